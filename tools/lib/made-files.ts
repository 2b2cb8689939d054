/** The files of a made world, in the layouts that train and pretrain read. */
import { generatorCorpus, type MadeWorld, readerCorpus } from "../../promptgen/world/made.ts";
import { tinyModelFiles } from "./tiny-models.ts";

/** Hidden size and layers of both models. */
export type Sizes = { readonly width: number; readonly layers: number };

/** Numbers in an attention head, at the most. */
const HEAD = 64;

/** Stands for the relation of a subject and its kind. */
const KIND = "kind";

const lines = (rows: readonly object[]): string =>
  rows.map((row) => `${JSON.stringify(row)}\n`).join("");

/** Texts by the names of their files. */
export function filesOf(world: MadeWorld, { width, layers }: Sizes): ReadonlyMap<string, string> {
  const { relations, kinds, telling } = world;
  const files = new Map<string, string>();
  for (const { id, facts, patterns } of relations) {
    const of = (split: string): string =>
      lines(
        facts
          .filter((fact) => fact.split === split)
          .map(({ subject, object }) => ({
            predicate_id: id,
            sub_label: subject,
            obj_label: object,
          })),
      );
    files.set(`autoprompt_data/${id}/train.jsonl`, of("train"));
    files.set(`autoprompt_data/${id}/dev.jsonl`, of("dev"));
    files.set(`LAMA-TREx/${id}.jsonl`, of("test"));
    files.set(
      `prompt/mine/${id}.jsonl`,
      lines(patterns.map(({ pattern }) => ({ template: pattern }))),
    );
  }
  const templates = relations.map(({ id, template, label }) => ({
    relation: id,
    template,
    label,
    type: "N-1",
  }));
  files.set("relation_metainfo/LAMA_relations.jsonl", lines(templates));
  const patterns = relations.flatMap(({ id, patterns: own }) =>
    own.map(({ pattern, kind }) => ({ relation: id, pattern, kind })),
  );
  files.set("patterns.jsonl", lines(patterns));
  files.set("kinds.jsonl", lines([...kinds].map(([subject, kind]) => ({ subject, kind }))));
  const reader = readerCorpus(world).map(({ text, span }) => ({ text, spans: [span] }));
  files.set("reader.jsonl", lines(reader));
  files.set(
    "generator.txt",
    generatorCorpus(world)
      .map((text) => `${text}\n`)
      .join(""),
  );
  const facts = [
    ...relations.flatMap(({ id, facts: own }) =>
      own.flatMap(({ subject, object, other }) =>
        [object, other].flatMap((one) =>
          one === undefined ? [] : [{ relation: id, subject, object: one }],
        ),
      ),
    ),
    ...Array.from(kinds, ([subject, object]) => ({ relation: KIND, subject, object })),
  ];
  const sentences = [
    [KIND, telling] as const,
    ...patterns.map(({ relation, pattern }) => [relation, pattern] as const),
    ...templates.map(({ relation, template }) => [relation, template] as const),
  ];
  const heads = Math.max(2, Math.ceil(width / HEAD));
  const models = tinyModelFiles(facts, sentences, { width, layers, heads });
  for (const [name, text] of models.files) if (!name.startsWith("t5/")) files.set(name, text);
  return files;
}
