/**
 * LAMA's facts split anew: the real sentences, templates and vocabularies. `npm run test:data -- FOLDER` sets PROMPTGEN_DATA.
 */

import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  createTokenizer,
  loadTokenizer,
  type TokenizerFiles,
} from "../../models/tokenizer/tokenizer.ts";
import { evidenceFiles, readEvidence } from "../../tools/lib/evidence-files.ts";

const root = process.env.PROMPTGEN_DATA;
if (root === undefined) {
  throw new Error("[test:data] PROMPTGEN_DATA is not set; type npm run test:data -- FOLDER");
}
const { evidence } = await readEvidence(root);
const relations = ["P106", "P1303", "P136", "P176", "P178", "P364", "P413", "P449"];
const settings = {
  relations,
  words: 20,
  sentences: 4,
  unstated: 0.2,
  seed: 1,
  before: 3,
  behind: 2,
};
const sizes = { width: 64, layers: 1, heads: 1 };
const { files, ...told } = await evidenceFiles(root, evidence, settings, sizes);
const rows = (name: string): Record<string, string>[] =>
  (files.get(name) ?? "")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

const test = suite("evidence");

test("107,624 sentences of 28 relations; of eight relations 2,923 facts have a sentence of 20 words that states them", () => {
  assert.equal(
    [evidence.length, new Set(evidence.map(({ relation }) => relation)).size],
    [107_624, 28],
  );
  assert.equal(told, {
    facts: 2923,
    unstated: 598,
    texts: 3479,
    sizes: { bert: 9903, bart: 13_636 },
  });
});

test("no text of the corpora holds subject and object of an unstated fact, and none is held by no fact", () => {
  const corpora = [...rows("reader.jsonl"), ...rows("generator.jsonl")];
  const texts = corpora.map(({ text }) => ` ${text} `);
  // words of a name in a text: what stands around them is no letter
  const holds = (text: string, name: string): boolean =>
    text.split(name).some((_, i, parts) => {
      if (i === 0) return false;
      return !/\p{L}$|\p{N}$/u.test(parts[i - 1]) && !/^\p{L}|^\p{N}/u.test(parts[i]);
    });
  for (const { subject, object } of rows("unstated.jsonl")) {
    const found = texts.find(
      (text) => text.includes(subject) && holds(text, subject) && holds(text, object),
    );
    assert.is(found, undefined, `${subject} > ${object}: ${found}`);
  }
});

test("subjects are in one split, and objects are one token of the cut vocabulary", async () => {
  const bert = createTokenizer({ "vocab.txt": files.get("bert/vocab.txt") });
  const where = new Map<string, string>();
  for (const id of relations) {
    const splits = {
      train: `autoprompt_data/${id}/train.jsonl`,
      dev: `autoprompt_data/${id}/dev.jsonl`,
      test: `LAMA-TREx/${id}.jsonl`,
    };
    const counts = Object.entries(splits).map(([split, name]) => {
      for (const { sub_label, obj_label } of rows(name)) {
        assert.is(where.get(sub_label) ?? split, split, sub_label);
        where.set(sub_label, split);
        assert.is(bert.encode(` ${obj_label}`).length, 1, obj_label);
      }
      return rows(name).length;
    });
    const all = counts.reduce((sum, count) => sum + count, 0);
    counts.forEach((count, i) => {
      assert.ok(Math.abs(count / all - [0.6, 0.1, 0.3][i]) < 0.01, `${id}: ${counts}`);
    });
  }
});

test("the corpora fall into the tokens of the published vocabularies", async () => {
  const cuts: readonly (readonly [published: string, cut: TokenizerFiles])[] = [
    ["bert-base-cased", { "vocab.txt": files.get("bert/vocab.txt") }],
    [
      "bart-large",
      { "vocab.json": files.get("bart/vocab.json"), "merges.txt": files.get("bart/merges.txt") },
    ],
  ];
  for (const [published, cut] of cuts) {
    const whole = await loadTokenizer(join(root, "tokenizers", published));
    const own = createTokenizer(cut);
    const read = rows(published.startsWith("bert") ? "reader.jsonl" : "generator.jsonl");
    for (const { text } of read) {
      const ids = own.encode(text).map((id) => whole.id(own.token(id)));
      assert.equal(ids, whole.encode(text), text);
    }
  }
});

test.run();
