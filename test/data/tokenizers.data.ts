/**
 * Real vocabularies against Python's tokenizers: every subject, object and template, by digest.
 * `npm run test:data -- FOLDER` sets PROMPTGEN_DATA.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { createTokenizer, loadTokenizer } from "../../models/tokenizer/tokenizer.ts";
import { pairVocabularies } from "../../promptgen/methods/promptgen/vocabulary.ts";
import {
  awkwardStrings,
  digestOf,
  digestOfText,
  randomStrings,
  readGolden,
} from "../models/tokenizer/golden.ts";

const root = process.env.PROMPTGEN_DATA;
if (root === undefined) {
  throw new Error("[test:data] PROMPTGEN_DATA is not set; type npm run test:data -- FOLDER");
}
const folder = root;

type Digests = {
  readonly strings: number;
  readonly ids: number;
  readonly sha256: string;
  readonly decoded: string;
};

type Golden = {
  readonly files: string;
  readonly config: object;
  readonly facts: number;
  readonly data: Digests;
  readonly awkward: Digests;
  readonly random: Digests;
};

const golden = readGolden("data.json") as Readonly<Record<string, Golden>>;

type Row = Readonly<Record<string, string>>;

function readRows(...path: string[]): Row[] {
  const text = readFileSync(join(folder, "lama", ...path), "utf8");
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Row);
}

/** Facts and templates in the order of tools/reference_tokenizers.py. */
function readAll() {
  const byPath = (a: string, b: string) => (a < b ? -1 : 1);
  const relations = readdirSync(join(folder, "lama", "autoprompt_data")).sort((a, b) =>
    byPath(`${a}/`, `${b}/`),
  );
  const of = (name: string) => relations.flatMap((id) => readRows("autoprompt_data", id, name));
  const tests = readdirSync(join(folder, "lama", "LAMA-TREx")).sort(byPath);
  const facts = [
    ...of("train.jsonl"),
    ...of("dev.jsonl"),
    ...tests.flatMap((name) => readRows("LAMA-TREx", name)),
  ];
  const templates = ["LAMA", "LPAQA", "AutoPrompt"].map((set) =>
    readRows("relation_metainfo", `${set}_relations.jsonl`),
  );
  const mined = readdirSync(join(folder, "lpaqa", "prompt"), { recursive: true, encoding: "utf8" })
    .map((name) => name.replaceAll("\\", "/"))
    .filter((name) => name.includes("."))
    .sort(byPath)
    .flatMap((name) => {
      const text = readFileSync(join(folder, "lpaqa", "prompt", name), "utf8");
      const lines = text.split("\n").filter((line) => line !== "");
      return name.endsWith(".txt")
        ? lines
        : lines.map((line) => (JSON.parse(line) as Row).template);
    });
  return { facts, templates, mined };
}

const { facts, templates, mined } = readAll();
const manual = new Map(templates[0].map(({ relation, template }) => [relation, template]));

function strings(mask: string): string[] {
  return [
    ...facts.flatMap(({ sub_label, obj_label }) => [sub_label, obj_label]),
    ...templates.flat().map(({ template }) => template),
    ...mined,
    ...facts.map(({ predicate_id, sub_label }) =>
      (manual.get(predicate_id) ?? "").split("[X]").join(sub_label).split("[Y]").join(mask),
    ),
  ];
}

const equality = suite("equal to Python");

for (const [name, { files, config, ...wanted }] of Object.entries(golden)) {
  const vocabularies = {
    "bert-base-cased": ["vocab.txt"],
    "bart-large": ["vocab.json", "merges.txt"],
  } as const;
  const contents = Object.fromEntries(
    vocabularies[files as keyof typeof vocabularies].map((file) => [
      file,
      readFileSync(join(folder, "tokenizers", files, file), "utf8"),
    ]),
  );
  const tokenizer = createTokenizer({
    ...contents,
    "tokenizer_config.json": JSON.stringify(config),
  });
  const sources = {
    data: () => strings(tokenizer.token(tokenizer.mask)),
    awkward: awkwardStrings,
    random: randomStrings,
  };
  for (const kind of ["data", "awkward", "random"] as const) {
    equality(`${name}: ${kind}, ${wanted[kind].strings} strings`, () => {
      assert.is(facts.length, wanted.facts);
      const texts = sources[kind]();
      const ids = texts.map((text) => tokenizer.encode(text));
      const count = ids.reduce((sum, one) => sum + one.length, 0);
      const { strings: total, ids: all, sha256, decoded } = wanted[kind];
      assert.equal([texts.length, count, digestOf(ids)], [total, all, sha256]);
      const back = ids.map((one) => tokenizer.decode(one)).join("\0");
      assert.is(digestOfText(back), decoded);
      console.log(`${name}: ${texts.length} strings, ${count} ids, there and back`);
    });
  }
}

const pairs = suite("common vocabulary");

const bart = await loadTokenizer(join(folder, "tokenizers", "bart-large"));
const bert = await loadTokenizer(join(folder, "tokenizers", "bert-base-cased"));

pairs("BART with BERT: pair by pair as the computed table", () => {
  const table = readFileSync(join(folder, "paper", "vcommon_pairs.tsv"), "utf8")
    .split("\n")
    .map((line) => line.split("\t"))
    .filter(([set]) => set === "A")
    .map(([, from, to]) => `${from} ${to}`);
  const { generator: from, reader: to, end } = pairVocabularies(bart, bert);
  assert.equal(
    [...from.subarray(0, end)].map((id, i) => `${id} ${to[i]}`),
    table.sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10)),
  );
  assert.is(end, 18_543);
});

pairs("BART with RoBERTa: every word after a space, with itself", () => {
  const common = pairVocabularies(bart, bart);
  assert.equal([...common.generator], [...common.reader]);
  assert.ok(common.words.includes("Paris") && !common.words.includes("<mask>"));
  const spaced = [...bart.vocabulary.keys()].filter((token) => token.startsWith("Ġ")).length;
  console.log(`${common.end} of ${spaced} tokens after a space are words`);
  assert.equal([common.end, spaced], [33_085, 33_135]);
});

for (const one of [equality, pairs]) one.run();
