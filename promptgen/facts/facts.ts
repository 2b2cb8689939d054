/**
 * Facts of the benchmark and its filter.
 *
 * Layout (that of the OptiPrompt archive):
 *
 *     autoprompt_data/<relation>/{train,dev}.jsonl  {"sub_label": ..., "obj_label": ...} a line
 *     LAMA-TREx/<relation>.jsonl                    the test facts
 *     relation_metainfo/LAMA_relations.jsonl        {"relation", "template", "label", "type"} a line
 *     common_vocabs/common_vocab_cased.txt          the words that an object may be, one a line
 *
 * The filter, on each split by itself: a repeated (subject, object) is dropped, then an object
 * outside the common words.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { readRows, readTextFile } from "./rows.ts";
import { checkTemplate } from "./templates.ts";

/**
 * How subjects and objects pair up: `1-1`, `N-1`, `N-M` in the benchmark; any name groups relations
 * in a report.
 */
export type RelationType = string;

/** What is said of a subject. */
export type Fact = {
  subject: string;
  object: string;
};

/** The three parts of a relation's facts. */
export type Split = "train" | "dev" | "test";

/** One kind of fact with its manual template. */
export type Relation = {
  id: string;
  label: string;
  type: RelationType;
  template: string;
  train: Fact[];
  dev: Fact[];
  test: Fact[];
};

/** Rows read, rows dropped by each rule, rows kept. */
export type FilterCount = {
  raw: number;
  repeated: number;
  uncommon: number;
  kept: number;
};

/**
 * Relations in the order of their ids, the words to choose an answer from, and what the filter did.
 */
export type FactSet = {
  relations: Relation[];
  commonVocabulary: string[];
  counts: Record<Split, FilterCount>;
};

/** Choices for {@link loadFacts}. */
export type FactOptions = {
  /** Ids of the relations to read; all that have test facts when left out. */
  relations?: readonly string[] | undefined;
  /**
   * The common words: a file with one a line, or the words; the folder's own file when left out.
   */
  commonVocabulary?: string | readonly string[] | undefined;
};

const SPLITS = ["train", "dev", "test"] as const satisfies readonly Split[];

/**
 * Reads and filters the facts under `root`. Throws for a missing file, a broken line (file and line
 * number), an unknown relation, and a relation with nothing left.
 */
export async function loadFacts(root: string, options: FactOptions = {}): Promise<FactSet> {
  if (!existsSync(root)) {
    throw new Error(
      `[data] ${root} does not exist; point --data at a folder in the layout of the OptiPrompt archive`,
    );
  }
  const commonVocabulary = await words(root, options.commonVocabulary);
  const common = new Set(commonVocabulary);
  const known = await metainfo(root);
  const relations: Relation[] = [];
  const counts = { train: zero(), dev: zero(), test: zero() };
  for (const id of choose(root, known, options.relations)) {
    const relation = known.get(id);
    if (relation === undefined) throw unknown(id, known);
    for (const split of SPLITS) {
      const path = splitFile(root, id, split);
      const { facts, count } = filterFacts(await readFacts(path, id), common);
      if (facts.length === 0) {
        throw new Error(
          `[data] ${path} leaves relation ${id} without ${split} facts (${count.raw} rows, ${count.repeated} repeated, ` +
            `${count.uncommon} with an object outside the common words); add facts or leave the relation out`,
        );
      }
      relation[split] = facts;
      for (const key of Object.keys(count) as (keyof FilterCount)[])
        counts[split][key] += count[key];
    }
    relations.push(relation);
  }
  return { relations, commonVocabulary, counts };
}

/** The benchmark's filter on one split of one relation; the order of the rows is kept. */
export function filterFacts(
  facts: readonly Fact[],
  common: ReadonlySet<string>,
): { facts: Fact[]; count: FilterCount } {
  const seen = new Set<string>();
  const kept: Fact[] = [];
  const count = { ...zero(), raw: facts.length };
  for (const fact of facts) {
    const key = JSON.stringify([fact.subject, fact.object]);
    if (seen.has(key)) count.repeated++;
    else if (!common.has(fact.object)) count.uncommon++;
    else kept.push(fact);
    seen.add(key);
  }
  count.kept = kept.length;
  return { facts: kept, count };
}

/**
 * What {@link splitByVocabulary} leaves, and one line that says what it took out (empty when it
 * took nothing).
 */
export type VocabularySplit = {
  relations: Relation[];
  /** Facts whose object is not one token, in all. */
  dropped: number;
  /** Those objects, the most frequent first. */
  objects: string[];
  /**
   * Relations that are left without train, dev or test facts and are therefore not in `relations`.
   */
  emptied: string[];
  message: string;
};

/**
 * Keeps the facts that a masked LM can answer with one token: `has(object)` says whether the object
 * is one. Throws when no relation is left.
 */
export function splitByVocabulary(
  relations: readonly Relation[],
  has: (object: string) => boolean,
): VocabularySplit {
  const missing = new Map<string, number>();
  const kept: Relation[] = [];
  const emptied: string[] = [];
  let total = 0;
  for (const relation of relations) {
    const parts = SPLITS.map((split) =>
      relation[split].filter(({ object }) => {
        total++;
        const inside = has(object);
        if (!inside) missing.set(object, (missing.get(object) ?? 0) + 1);
        return inside;
      }),
    );
    const [train = [], dev = [], test = []] = parts;
    if (parts.every((part) => part.length > 0)) kept.push({ ...relation, train, dev, test });
    else emptied.push(relation.id);
  }
  const objects = [...missing].sort((a, b) => b[1] - a[1]).map(([object]) => object);
  const dropped = [...missing.values()].reduce((sum, n) => sum + n, 0);
  const message = splitMessage(objects, dropped, total, emptied);
  if (kept.length === 0) {
    throw new Error(
      `${message}; no relation is left: use a masked LM whose vocabulary holds the objects`,
    );
  }
  return { relations: kept, dropped, objects, emptied, message };
}

function splitMessage(
  objects: readonly string[],
  dropped: number,
  total: number,
  emptied: readonly string[],
): string {
  if (dropped === 0 && emptied.length === 0) return "";
  const shown = objects.slice(0, 8).join(", ");
  const more = objects.length > 8 ? `, and ${objects.length - 8} more` : "";
  const without = emptied.length > 0 ? `; relations left out: ${emptied.join(", ")}` : "";
  return (
    `[data] ${dropped} of ${total} facts have an object that is not one token of the masked LM's vocabulary ` +
    `(${objects.length} objects: ${shown}${more})${without}`
  );
}

function zero(): FilterCount {
  return { raw: 0, repeated: 0, uncommon: 0, kept: 0 };
}

async function words(root: string, given: FactOptions["commonVocabulary"]): Promise<string[]> {
  if (given !== undefined && typeof given !== "string") return [...given];
  const path = given ?? join(root, "common_vocabs", "common_vocab_cased.txt");
  const list = (await readTextFile(path)).split("\n").map((word) => word.trim());
  const found = [...new Set(list.filter((word) => word !== ""))];
  if (found.length === 0) {
    throw new Error(`[data] ${path} holds no words; write one common word a line`);
  }
  return found;
}

async function metainfo(root: string): Promise<Map<string, Relation>> {
  const path = join(root, "relation_metainfo", "LAMA_relations.jsonl");
  const known = new Map<string, Relation>();
  for (const { row, line } of await readRows(path, ["relation", "template", "label", "type"])) {
    const where = `${path}:${line}`;
    if (known.has(row.relation)) {
      throw new Error(`[data] ${where} repeats relation ${row.relation}; keep one of them`);
    }
    known.set(row.relation, {
      id: row.relation,
      label: row.label,
      type: row.type,
      template: checkTemplate(row.template, where),
      train: [],
      dev: [],
      test: [],
    });
  }
  return known;
}

function choose(
  root: string,
  known: ReadonlyMap<string, Relation>,
  wanted: readonly string[] | undefined,
): string[] {
  const ids = wanted ?? [...known.keys()].filter((id) => existsSync(splitFile(root, id, "test")));
  if (ids.length === 0) {
    throw new Error(
      wanted === undefined
        ? `[data] ${join(root, "LAMA-TREx")} holds no file of a known relation; the test facts of P17 go to P17.jsonl`
        : "[data] no relation was chosen; name one or more, or leave --relations out",
    );
  }
  return [...new Set(ids)].sort(); // by id, so that a run does not depend on the order of an option
}

function unknown(id: string, known: ReadonlyMap<string, Relation>): Error {
  return new Error(
    `[data] relation ${id} is unknown; choose among ${[...known.keys()].sort().join(", ")}`,
  );
}

function splitFile(root: string, id: string, split: Split): string {
  return split === "test"
    ? join(root, "LAMA-TREx", `${id}.jsonl`)
    : join(root, "autoprompt_data", id, `${split}.jsonl`);
}

async function readFacts(path: string, id: string): Promise<Fact[]> {
  const rows = await readRows(path, ["sub_label", "obj_label"]);
  return rows.map(({ row, line }) => {
    if (row.predicate_id !== undefined && row.predicate_id !== id) {
      throw new Error(
        `[data] ${path}:${line} is a fact of ${String(row.predicate_id)}, not of ${id}; move it to its own file`,
      );
    }
    return { subject: row.sub_label, object: row.obj_label };
  });
}
