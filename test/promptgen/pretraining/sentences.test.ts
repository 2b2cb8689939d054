import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import { hostData } from "../../../engine/tensor.ts";
import { BartForConditionalGeneration } from "../../../models/bart.ts";
import { BertForMaskedLM } from "../../../models/bert.ts";
import { T5ForConditionalGeneration } from "../../../models/t5.ts";
import { loadTokenizer } from "../../../models/tokenizer/tokenizer.ts";
import { type Problem, train } from "../../../models/training/loop.ts";
import { Random } from "../../../models/training/random.ts";
import { loadFacts } from "../../../promptgen/facts/facts.ts";
import { corrupt, infill } from "../../../promptgen/pretraining/damage.ts";
import { denoising, maskedLM, spanCorruption } from "../../../promptgen/pretraining/pretraining.ts";
import {
  allFacts,
  embeddedWorld,
  epochSentences,
  loadPatterns,
  statements,
} from "../../../promptgen/world/world.ts";
import { onDevices } from "../../devices.ts";

const test = suite("pre-training");
const each = await onDevices("pre-training");

const world = embeddedWorld();
const { relations } = await loadFacts(world.data, { relations: ["P36", "P30"] });
const patterns = await loadPatterns(world.data);
const shares = { manual: 0.4, none: 0.1 };
const epoch = (e: number) => epochSentences(relations, patterns, shares, 1, e);
const config = (folder: string) => JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));

test("an epoch states every fact in every pattern, and some in the manual template", () => {
  const facts = allFacts(relations);
  const sentences = epoch(0);
  const manual = sentences.filter((sentence) => sentence.manual).length;
  assert.equal(manual, Math.round(0.4 * facts.length));
  const stated = facts.reduce(
    (sum, { relation }) => sum + (patterns.get(relation.id)?.length ?? 0),
    0,
  );
  assert.equal(sentences.length, manual + stated);
  assert.deepEqual(epoch(0), sentences);
  assert.notDeepEqual(epoch(1), sentences);
  const nobody = sentences.filter(({ text, fact }) => !text.includes(fact.subject)).length;
  assert.ok(nobody > 0.05 * sentences.length && nobody < 0.15 * sentences.length, `${nobody}`);
});

test("more than a tenth of manual sentences is refused", () => {
  const few = new Map([...patterns].map(([id, own]) => [id, own.slice(0, 3)]));
  assert.throws(
    () => epochSentences(relations, few, { manual: 1, none: 0 }, 1, 0),
    /sentences are of the manual template, more than a tenth/,
  );
});

test("in-filling removes the share that it is asked for, and is decided by the seed", () => {
  const ids = Array.from({ length: 40 }, (_, i) => 100 + i);
  const draw = (seed: number) => infill(ids, 0.5, 3, 7, new Random(seed, 0));
  const damaged = draw(1);
  assert.deepEqual(draw(1), damaged);
  assert.notDeepEqual(draw(2), damaged);
  assert.equal(damaged.filter((id) => id !== 7).length, 20);
  assert.ok(damaged.includes(7));
  const kept = damaged.filter((id) => id !== 7);
  assert.deepEqual(
    kept,
    [...kept].sort((a, b) => a - b),
  );
});

test("span corruption: source and target together are the text, each sentinel once and in order", () => {
  const ids = Array.from({ length: 40 }, (_, i) => 100 + i);
  const sentinels = [9, 8, 7, 6];
  const draw = (seed: number, share = 0.5, own = sentinels) =>
    corrupt(ids, share, 3, own, new Random(seed, 0));
  assert.deepEqual(draw(1), draw(1));
  assert.notDeepEqual(draw(2), draw(1));
  for (let seed = 0; seed < 50; seed++) {
    const { source, target } = draw(seed);
    // each sentinel of the source stands for what follows it in the target
    const fills = new Map<number, number[]>();
    for (const id of target) {
      if (id < 100) fills.set(id, []);
      else [...fills.values()].at(-1)?.push(id);
    }
    const used = source.filter((id) => id < 100);
    assert.deepEqual([...fills.keys()], sentinels.slice(0, used.length + 1));
    assert.deepEqual(used, sentinels.slice(0, used.length));
    assert.deepEqual(fills.get(sentinels[used.length]), []); // the last one ends the target
    assert.deepEqual(
      source.flatMap((id) => fills.get(id) ?? [id]),
      ids,
    );
    const gaps = used.map((id) => source.indexOf(id));
    assert.ok(
      gaps.every((at, i) => i === 0 || at > gaps[i - 1] + 1),
      "two sentinels in a row",
    );
    for (const id of used) assert.ok((fills.get(id)?.length ?? 0) > 0);
  }
  const { source, target } = draw(1, 0.3, [9, 8, 7, 6, 5, 4, 3, 2, 1]);
  assert.equal(target.filter((id) => id >= 100).length, 12);
  assert.equal(source.filter((id) => id >= 100).length, 28);
});

test("a batch of span corruption: the decoder reads the target one behind, and padding weighs nothing", async () => {
  const tokenizer = await loadTokenizer(world.t5);
  const tiny = { ...config(world.t5), d_model: 8, d_kv: 4, d_ff: 8 };
  const t5 = T5ForConditionalGeneration.random(tiny, 1);
  const sentinels = [0, 1, 2, 3, 4].map((i) => tokenizer.id(`<extra_id_${i}>`));
  const spans = { least: 0.3, most: 0.8, span: 3 };
  const problem = spanCorruption(t5, tokenizer, epoch, spans, sentinels);
  const items = problem.items(0).slice(0, 12);
  const [width] = problem.buckets.slice(-1);
  assert.ok(items.every((item) => problem.width(item) <= width));
  const batch = problem.collate(items, width, 16, new Random(3, 0));
  const [ids, mask, prefix, keys, targets, weights] = [
    batch.ids,
    batch.mask,
    batch.prefix,
    batch.keys,
    batch.targets,
    batch.weights,
  ].map((t) => [...hostData(t)]);
  const column = (values: number[], b: number) => values.filter((_, i) => i % 16 === b);
  items.forEach((item, b) => {
    const live = column(weights, b).filter((weight) => weight === 1).length;
    const read = column(prefix, b).slice(0, live);
    const written = column(targets, b).slice(0, live);
    assert.deepEqual(read, [tokenizer.pad, ...written.slice(0, -1)]);
    assert.equal(written.at(-1), tokenizer.eos);
    assert.equal(keys.slice(b * width, (b + 1) * width).lastIndexOf(1), live - 1);
    const length = mask.slice(b * width, (b + 1) * width).lastIndexOf(1) + 1;
    const source = ids.slice(b * width, b * width + length);
    assert.equal(source.at(-1), tokenizer.eos);
    const both = [...source, ...written].filter(
      (id) => !sentinels.includes(id) && id !== tokenizer.eos,
    );
    assert.deepEqual(both.toSorted(), item.toSorted());
  });
  for (let b = 12; b < 16; b++) assert.ok(column(weights, b).every((weight) => weight === 0));
  assert.throws(() => spanCorruption(t5, tokenizer, epoch, spans, [5]), /fewer than two sentinels/);
});

test("a masked batch asks for what was masked and for nothing else", async () => {
  const tokenizer = await loadTokenizer(world.bert);
  const tiny = {
    ...config(world.bert),
    hidden_size: 8,
    intermediate_size: 8,
    num_attention_heads: 1,
  };
  const bert = BertForMaskedLM.random(tiny, 1);
  const masking = { object: 0.9, copy: 0.5, other: 0.1 };
  const problem = maskedLM(bert, tokenizer, epoch, masking);
  const width = problem.buckets[problem.buckets.length - 1];
  const items = problem.items(0).slice(0, 12);
  const batch = problem.collate(items, width, 16, new Random(3, 0));
  const [ids, rows, targets, weights] = [batch.ids, batch.rows, batch.targets, batch.weights].map(
    (t) => hostData(t),
  );
  const asked = new Set<number>();
  rows.forEach((row, i) => {
    if (weights[i] === 0) return;
    const b = Math.floor(row / width);
    assert.equal(targets[i], items[b].ids[row % width]);
    asked.add(row);
  });
  items.forEach((item, b) => {
    assert.ok(
      [...asked].some((row) => Math.floor(row / width) === b),
      "a text without a masked place",
    );
    item.ids.forEach((id, t) => {
      if (!asked.has(b * width + t)) assert.equal(ids[b * width + t], id);
    });
  });
});

each("all problems learn", async (device) => {
  const settings = {
    epochs: 1,
    batchSize: 32,
    lr: 1e-2,
    warmup: 0.1,
    weightDecay: 0.01,
    clip: 1,
    seed: 1,
    evaluationsPerEpoch: 1,
  };
  const losses = async <Item, Batch>(problem: Problem<Item, Batch>): Promise<number[]> => {
    const seen: number[] = [];
    await train({ device, problem, settings, onStep: ({ terms }) => seen.push(terms.loss) });
    return seen;
  };
  const [bertTokenizer, bartTokenizer] = [
    await loadTokenizer(world.bert),
    await loadTokenizer(world.bart),
  ];
  const bert = BertForMaskedLM.random(
    {
      ...config(world.bert),
      hidden_size: 16,
      intermediate_size: 16,
      num_attention_heads: 2,
      num_hidden_layers: 1,
    },
    1,
  );
  const masking = { object: 0.9, copy: 0.5, other: 0.1 };
  const bart = BartForConditionalGeneration.random(
    {
      ...config(world.bart),
      d_model: 16,
      encoder_layers: 1,
      decoder_layers: 1,
      encoder_ffn_dim: 16,
      decoder_ffn_dim: 16,
      encoder_attention_heads: 2,
      decoder_attention_heads: 2,
    },
    1,
  );
  const options = {
    least: 0.3,
    most: 0.6,
    span: 3,
    paraphrase: 0.5,
    statements: (s: Parameters<typeof statements>[0]) => statements(s, patterns),
  };
  const random = (purpose: number, e: number) => new Random(1, purpose, e);
  const t5Tokenizer = await loadTokenizer(world.t5);
  const sentinels = [0, 1, 2, 3, 4].map((i) => t5Tokenizer.id(`<extra_id_${i}>`));
  const t5 = T5ForConditionalGeneration.random(
    { ...config(world.t5), d_model: 16, d_kv: 8, d_ff: 16, num_layers: 1, num_decoder_layers: 1 },
    1,
  );
  for (const seen of [
    await losses(maskedLM(bert, bertTokenizer, epoch, masking)),
    await losses(denoising(bart, bartTokenizer, epoch, options, random)),
    await losses(spanCorruption(t5, t5Tokenizer, epoch, options, sentinels)),
  ]) {
    const mean = (part: number[]) => part.reduce((a, b) => a + b, 0) / part.length;
    assert.ok(seen.every(Number.isFinite));
    assert.ok(mean(seen.slice(-5)) < 0.8 * mean(seen.slice(0, 2)), `${seen[0]} to ${seen.at(-1)}`);
  }
});

test.run();
each.run();
