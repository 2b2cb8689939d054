import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import type { Device } from "../../../engine/device.ts";
import { readCheckpoint } from "../../../models/formats/checkpoint.ts";
import { languageModel, loadMaskedLM } from "../../../models/registry.ts";
import type { Tokenizer } from "../../../models/tokenizer/tokenizer.ts";
import { loadTokenizer } from "../../../models/tokenizer/tokenizer.ts";
import { loadFacts } from "../../../promptgen/facts/facts.ts";
import { rankRelation, sentencesOf } from "../../../promptgen/ranking/rank.ts";
import { type PllMetric, scorerOf } from "../../../promptgen/ranking/scorer.ts";
import { rankedRelations } from "../../../promptgen/ranking/statements.ts";
import { embeddedWorld } from "../../../promptgen/world/world.ts";
import { onDevices, openDevices } from "../../devices.ts";

const test = await onDevices("scores of sentences");

const folder = (name: string) =>
  fileURLToPath(new URL(`../../golden/ranking/${name}`, import.meta.url));

async function open(device: Device, name: string, batchTokens?: number, pll?: PllMetric) {
  const directory = folder(name);
  const model = languageModel(await readCheckpoint(directory));
  const tokenizer = await loadTokenizer(directory);
  return scorerOf(device, { model, tokenizer, directory }, { batchTokens, pll });
}

const SENTENCES = ["Osk cast it.", "Ilse Vandermolen cast it.", "Osk cast it.", "It."];

for (const name of ["bert", "roberta", "gpt2"]) {
  test(`${name}: a sentence has the same score alone, among others, and twice; the same bits in the same call`, async (device) => {
    const scorer = await open(device, name);
    const together = await scorer.tokenScores(SENTENCES);
    assert.deepEqual(together[2], together[0]);
    for (const [i, sentence] of SENTENCES.entries()) {
      const [alone] = await scorer.tokenScores([sentence]);
      assert.equal(alone.length, together[i].length);
      assert.ok(alone.every((score, j) => Math.abs(score - together[i][j]) < 1e-4));
    }
    assert.deepEqual(await (await open(device, name)).tokenScores(SENTENCES), together);
    assert.deepEqual(await scorer.tokenScores([]), []);
  });
}

test("what cannot be read is refused with the sentence", async (device) => {
  for (const [name, limit] of [
    ["bert", 128],
    ["roberta", 128],
    ["gpt2", 128],
  ] as const) {
    const scorer = await open(device, name);
    await assert.rejects(
      scorer.tokenScores(["a ".repeat(200)]),
      new RegExp(`\\[ranking\\] "a a .*\\.\\.\\." has \\d+ tokens .*the model reads ${limit}`),
    );
    await assert.rejects(scorer.tokenScores([""]), /\[ranking\] "" has no tokens/);
  }
});

/** A tokenizer that counts what it encodes. */
async function counted(directory: string, seen: string[]): Promise<Tokenizer> {
  const tokenizer = await loadTokenizer(directory);
  const encodeWords = tokenizer.encodeWords.bind(tokenizer);
  tokenizer.encodeWords = (text) => {
    seen.push(text);
    return encodeWords(text);
  };
  return tokenizer;
}

test.run();

const lama = suite("LAMA's facts by ranking");

lama("objects of several pieces: kept, ranked, and asked once each", async () => {
  const [device] = await openDevices();
  const { data, bert } = embeddedWorld();
  const { relations } = await loadFacts(data, { relations: ["P30"], keep: () => true });
  const [world] = relations;
  const more = {
    ...world,
    test: [...world.test.slice(0, 3), { subject: "Peru", object: "South America" }],
  };
  const [ranked] = rankedRelations([more]);
  assert.ok(ranked.answers.includes("South America"));
  const seen: string[] = [];
  const tokenizer = await counted(bert, seen);
  const pieces = tokenizer.encode("South America").length;
  assert.ok(pieces > 1);
  seen.length = 0;
  const model = await loadMaskedLM(bert);
  const scorer = scorerOf(device, { model, tokenizer, directory: bert });
  let scored = 0;
  const onScored = (sentences: number) => {
    scored += sentences;
  };
  const rows = await rankRelation(scorer, ranked, { onScored });
  assert.equal(rows.length, 4);
  assert.equal(scored, sentencesOf(ranked));
  assert.equal(seen.length, 4 * ranked.answers.length);
  assert.deepEqual(
    rows.slice(0, 3).map(({ sum }) => sum.right),
    [true, true, true],
  );
  const place = ranked.answers.indexOf("South America");
  const single = ranked.answers.findIndex((answer) => tokenizer.encode(answer).length === 1);
  assert.equal(rows[3].tokens[place] - rows[3].tokens[single], pieces - 1);
  assert.deepEqual(await rankRelation(scorer, ranked, { limit: 2 }), rows.slice(0, 2));
  const signal = AbortSignal.abort("SIGINT");
  await assert.rejects(
    rankRelation(scorer, ranked, { signal }),
    (reason: unknown) => reason === "SIGINT",
  );
});

lama.run();
