/** LAMA's facts split anew, with corpora, cut vocabularies and configurations, in the layouts that train and pretrain read. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { failAbout } from "../../models/errors.ts";
import { readRegularFile } from "../../models/formats/disk.ts";
import { decodeText } from "../../models/formats/text.ts";
import { loadTokenizer, type TokenizerFiles } from "../../models/tokenizer/tokenizer.ts";
import { Random } from "../../models/training/random.ts";
import { NONE } from "../../promptgen/benchmark.ts";
import { loadCandidates } from "../../promptgen/facts/candidates.ts";
import { listed, SPLITS } from "../../promptgen/facts/left-out.ts";
import { readLines, readRows, rowsOf } from "../../promptgen/facts/rows.ts";
import { UNSTATED } from "../../promptgen/facts/splits.ts";
import { filledIn, loadTemplates } from "../../promptgen/facts/templates.ts";
import {
  type Evidence,
  type EvidenceSettings,
  type PromptShape,
  promptOf,
  statedFacts,
} from "../../promptgen/world/evidence.ts";
import { cutTokenizer } from "./cut-tokenizers.ts";
import { bartConfig, bertConfig, type WorldSizes } from "./tiny-models.ts";

const EVIDENCE = "trex-evidence.jsonl.gz";
const FIELDS = [
  "predicate_id",
  "sub_label",
  "obj_label",
  "obj_surface",
  "masked_sentence",
] as const;
const WORDS = "common_vocabs/common_vocab_cased.txt";
const LINES = 44; // a purpose of the seed
/** What the audit asks with in a subject's place. */
const FILLERS = [NONE, "It", "He"];
const MASKS = { bert: "[MASK]", bart: "<mask>" };

const jsonLines = (rows: readonly object[]): string =>
  rows.map((row) => `${JSON.stringify(row)}\n`).join("");

/** The sentences of a data folder and the SHA-256 of their file. */
export async function readEvidence(
  data: string,
): Promise<{ readonly evidence: readonly Evidence[]; readonly sha256: string }> {
  const path = join(data, EVIDENCE);
  const fail = failAbout("data", path);
  const bytes = await readRegularFile(
    path,
    fail,
    "name the folder that holds it, with lama/, lpaqa/ and tokenizers/",
  );
  let plain: Uint8Array;
  try {
    plain = gunzipSync(bytes);
  } catch (cause) {
    return fail("is not gzip, or damaged; copy it anew", cause);
  }
  const rows = rowsOf(decodeText(plain, fail).split("\n"), FIELDS, path);
  const evidence = rows.map(({ row }) => ({
    relation: row.predicate_id,
    subject: row.sub_label,
    object: row.obj_label,
    surface: row.obj_surface,
    sentence: row.masked_sentence,
  }));
  return { evidence, sha256: createHash("sha256").update(bytes).digest("hex") };
}

/** Relations that are there, else one sentence that names those that are not. */
function checkRelations(
  wanted: readonly string[],
  evidence: readonly Evidence[],
  templates: ReadonlyMap<string, string>,
): void {
  const stated = new Set(evidence.map(({ relation }) => relation));
  const lacking = wanted.filter((id) => !stated.has(id) || !templates.has(id));
  if (lacking.length === 0) return;
  const there = [...stated].filter((id) => templates.has(id)).sort();
  throw new Error(
    `[data] ${listed(lacking)}: no relation with sentences and a manual template; choose among ${listed(there, 60)}`,
  );
}

/** Texts by the names of their files, and how much there is. */
export type EvidenceFiles = {
  readonly files: ReadonlyMap<string, string>;
  readonly facts: number;
  readonly unstated: number;
  readonly texts: number;
  /** Ids of the two vocabularies. */
  readonly sizes: { readonly bert: number; readonly bart: number };
};

/**
 * @param data the folder of `readEvidence`
 * @throws one sentence for a file that is not there or broken, and for a relation with too few facts
 */
export async function evidenceFiles(
  data: string,
  evidence: readonly Evidence[],
  settings: EvidenceSettings & PromptShape,
  sizes: WorldSizes,
): Promise<EvidenceFiles> {
  const lama = join(data, "lama");
  const manual = await loadTemplates(lama, "LAMA");
  const lpaqa = await loadTemplates(lama, "LPAQA");
  checkRelations(settings.relations, evidence, manual);
  const common = (await readLines(join(lama, WORDS), "write one common word a line")).map((word) =>
    word.trim(),
  );
  const [bert, bart] = await Promise.all(
    ["bert-base-cased", "bart-large"].map((name) => loadTokenizer(join(data, "tokenizers", name))),
  );
  const words = new Set(
    common.filter((word) => word !== "" && bert.wordIdOrUndefined(word) !== undefined),
  );
  const { relations, corpus } = statedFacts(evidence, (word) => words.has(word), settings);
  const files = new Map<string, string>();
  const [read, written] = [new Set<string>(), new Set<string>()]; // by the two models
  for (const { text } of corpus) {
    read.add(text);
    written.add(text);
  }
  const isPromptWord = (word: string): boolean =>
    [bert, bart].every((tokenizer) => tokenizer.wordIdOrUndefined(word) !== undefined);
  const stated = new Set(corpus.map(({ text }) => text));
  const lines: string[] = [];
  const known = relations.map(({ id }) => ({ id, template: manual.get(id) ?? "" }));
  const { templates } = await loadCandidates(join(data, "lpaqa"), known);
  const kinds = new Set<string>();
  const patterns: object[] = [];
  const unstated: object[] = [];
  for (const { id, facts } of relations) {
    for (const split of SPLITS) {
      const own = facts.filter((fact) => fact.split === split);
      if (own.length === 0) {
        throw new Error(
          `[data] ${id} is left without ${split} facts that have a sentence of ${settings.words} words or fewer; allow longer ones, or leave ${id} out`,
        );
      }
      const rows = own.map(({ subject, object }) => ({
        predicate_id: id,
        sub_label: subject,
        obj_label: object,
      }));
      files.set(
        split === "test" ? `LAMA-TREx/${id}.jsonl` : `autoprompt_data/${id}/${split}.jsonl`,
        jsonLines(rows),
      );
    }
    const candidates = templates.get(id) ?? [];
    files.set(`prompt/mine/${id}.jsonl`, jsonLines(candidates.map((template) => ({ template }))));
    const asked = new Set([...candidates, lpaqa.get(id) ?? ""]);
    for (const { subject, object, isStated, patterns: own } of facts) {
      kinds.add(subject);
      patterns.push({ relation: id, pattern: own[0], kind: subject });
      if (!isStated) unstated.push({ relation: id, subject, object });
      for (const pattern of own) read.add(filledIn(pattern, subject, object));
      const [prompt] = own
        .filter((pattern) => stated.has(filledIn(pattern, subject, object)))
        .flatMap((pattern) => promptOf(pattern, settings, isPromptWord) ?? []);
      if (prompt !== undefined) {
        lines.push(filledIn(`${prompt} ${manual.get(id) ?? ""}`, subject, object));
      }
      for (const name of [subject, ...FILLERS]) {
        written.add(filledIn(manual.get(id) ?? "", name, MASKS.bart)).add(name);
        for (const template of asked) read.add(filledIn(template, name, MASKS.bert));
      }
      for (const list of [read, written]) list.add(` ${object}`);
    }
  }
  for (const set of ["LAMA", "LPAQA"] as const) {
    const rows = await readRows(join(lama, "relation_metainfo", `${set}_relations.jsonl`), [
      "relation",
    ]);
    const own = rows
      .map(({ row }) => row)
      .filter(({ relation }) => settings.relations.includes(relation));
    files.set(`relation_metainfo/${set}_relations.jsonl`, jsonLines(own));
  }
  // each subject is a kind of its own, and is asked in its first sentence
  files.set("kinds.jsonl", jsonLines([...kinds].map((subject) => ({ subject, kind: subject }))));
  files.set("patterns.jsonl", jsonLines(patterns));
  files.set(UNSTATED, jsonLines(unstated));
  files.set("reader.jsonl", jsonLines(corpus));
  files.set(
    "generator.jsonl",
    jsonLines(new Random(settings.seed, LINES).shuffled(lines).map((text) => ({ text }))),
  );
  for (const line of lines) written.add(line);
  const cut = { bert: cutTokenizer(bert, [...read]), bart: cutTokenizer(bart, [...written]) };
  const ids = {
    bert: (cut.bert["vocab.txt"] ?? "").split("\n").length - 1,
    bart: Object.keys(JSON.parse(cut.bart["vocab.json"] ?? "{}")).length,
  };
  const tokens = new Set((cut.bert["vocab.txt"] ?? "").split("\n"));
  files.set(
    WORDS,
    [...words]
      .filter((word) => tokens.has(word))
      .map((word) => `${word}\n`)
      .join(""),
  );
  const configs = { bert: bertConfig(ids.bert, sizes), bart: bartConfig(ids.bart, sizes) };
  for (const model of ["bert", "bart"] as const) {
    const own: TokenizerFiles = cut[model];
    for (const [name, text] of Object.entries(own))
      if (text !== undefined) files.set(`${model}/${name}`, text);
    files.set(`${model}/config.json`, `${JSON.stringify(configs[model], null, 2)}\n`);
  }
  const facts = relations.reduce((sum, relation) => sum + relation.facts.length, 0);
  return { files, facts, unstated: unstated.length, texts: corpus.length, sizes: ids };
}
