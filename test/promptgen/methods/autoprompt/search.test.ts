/** Iterations of the search beside an independent one in PyTorch, which reads every fact alone and tries every trigger by itself. */
import * as assert from "uvu/assert";
import type { Device } from "../../../../engine/device.ts";
import { tensor } from "../../../../engine/tensor.ts";
import { BertForMaskedLM } from "../../../../models/bert.ts";
import {
  type Draw,
  type FactBatch,
  TriggerSearch,
} from "../../../../promptgen/methods/autoprompt/search.ts";
import { Reader, type ReaderIds } from "../../../../promptgen/reader.ts";
import { filledUp, rightPadded, rowWeights } from "../../../../promptgen/training/padding.ts";
import { onDevices } from "../../../devices.ts";
import { closeForward, goldenCheckpoint, goldenText, ModelGolden } from "../../../models/parity.ts";

const test = await onDevices("autoprompt search");

type Iteration = {
  readonly position: number;
  readonly slope: readonly (readonly number[])[];
  readonly trial: readonly (readonly number[])[];
};
type Settings = {
  readonly ids: ReaderIds & { readonly period: number };
  readonly k: number;
  readonly candidates: number;
  readonly rows: number;
  readonly iterations: readonly Iteration[];
};

const golden = new ModelGolden("autoprompt");
const settings: Settings = JSON.parse(goldenText("autoprompt/settings.json"));
const { ids, k, candidates, rows, iterations } = settings;
const reader = new Reader(BertForMaskedLM.from(goldenCheckpoint("autoprompt")), ids);
const allowed = Uint32Array.from(golden.integers("allowed"));
const objects = golden.integers("objects");

/** Row `at` of a golden of `width` columns. */
const row = <T>(values: { readonly [i: number]: T }, at: number, width: number): T[] =>
  Array.from({ length: width }, (_, i) => values[at * width + i]);

const subjects = Array.from(golden.integers("lengths"), (length, fact) =>
  row(golden.integers("subjects"), fact, 4).slice(0, length),
);

/** A batch of facts by their places, wider and with more rows than they need. */
function batchOf(facts: readonly number[]): FactBatch {
  const filled = filledUp(facts, rows);
  return {
    ...rightPadded(
      filled.map((fact) => [ids.cls, ...subjects[fact]]),
      6,
      ids.pad,
    ),
    objects: tensor(Uint32Array.from(filled, (fact) => objects[fact])),
    weights: rowWeights(facts.length, rows),
  };
}

const drawOf = ({ position, slope, trial }: Iteration): Draw => ({
  position,
  slope: slope.map(batchOf),
  trial: trial.map(batchOf),
});

const triggersAt = (at: number) => row(golden.integers("triggers"), at, k);
const searchOf = (device: Device, count = candidates) =>
  new TriggerSearch(device, reader, ids.period, count);

test("candidates, log-likelihoods and what is taken", async (device) => {
  const search = searchOf(device);
  let triggers: readonly number[] = new Array<number>(k).fill(ids.mask);
  let taken = 0;
  for (const [at, iteration] of iterations.entries()) {
    const found = await search.iterate(triggers, drawOf(iteration), allowed);
    const what = `iteration ${at}`;
    assert.equal(found.candidates, row(golden.integers("candidates"), at, candidates), what);
    const scores = row(golden.floats("scores"), at, candidates);
    closeForward([
      { name: `${what}: loss`, got: [found.loss], want: [golden.floats("loss")[at]] },
      { name: `${what}: norm`, got: [found.gradientNorm], want: [golden.floats("norm")[at]] },
      { name: `${what}: current`, got: [found.current], want: [golden.floats("current")[at]] },
      { name: `${what}: scores`, got: found.scores, want: scores },
    ]);
    assert.is(found.accepted ?? -1, golden.integers("accepted")[at], what);
    assert.equal(found.triggers, triggersAt(at + 1), what);
    if (found.accepted !== undefined) taken++;
    triggers = found.triggers;
  }
  assert.ok(taken >= 5 && taken < iterations.length, `${taken} are taken`);
});

test("candidates are those that differences of losses name, without any gradient", async (device) => {
  const words = Array.from(allowed.keys()).filter((word) => allowed[word] === 1);
  for (const [at, iteration] of iterations.entries()) {
    const changes = row(golden.floats("first_order"), at, allowed.length);
    const best = words.toSorted((a, b) => changes[a] - changes[b]);
    for (const count of [1, candidates]) {
      const search = searchOf(device, count);
      const { candidates: got } = await search.iterate(triggersAt(at), drawOf(iteration), allowed);
      assert.equal(got, best.slice(0, count), `iteration ${at}`);
    }
    if (at === 2) break;
  }
});

test("a mask among the triggers is worse than any candidate", async (device) => {
  const [iteration] = iterations;
  const draw = drawOf(iteration);
  const search = searchOf(device);
  const worseThan = async (triggers: readonly number[]) => {
    const words = Uint32Array.from(allowed, (_, id) => (id === ids.mask ? 0 : 1));
    const { current, scores, candidates: tried } = await search.iterate(triggers, draw, words);
    const worst = scores.indexOf(Math.min(...scores));
    assert.ok(scores[worst] < current, "there is a worse one");
    const only = Uint32Array.from(allowed, (_, id) => (id === tried[worst] ? 1 : 0));
    return search.iterate(triggers, draw, only);
  };
  const masked = await worseThan(new Array<number>(k).fill(ids.mask));
  assert.is(masked.accepted, 0);
  assert.equal(masked.triggers[iteration.position], masked.candidates[0]);
  const words = triggersAt(iterations.length);
  assert.not.ok(words.includes(ids.mask));
  const kept = await worseThan(words);
  assert.is(kept.candidates.length, 1, "the words that are not allowed are not tried");
  assert.is(kept.accepted, undefined);
  assert.equal(kept.triggers, words);
});

test("a candidate that equals the trigger there is is no better", async (device) => {
  const words = triggersAt(iterations.length);
  const [iteration] = iterations;
  const only = Uint32Array.from(allowed, (_, id) => (id === words[iteration.position] ? 1 : 0));
  const found = await searchOf(device).iterate(words, drawOf(iteration), only);
  assert.equal(found.scores, [found.current]);
  assert.is(found.accepted, undefined);
});

test("what is not finite is told", async (device) => {
  const { config, tensors, where } = goldenCheckpoint("autoprompt");
  const name = "bert.embeddings.word_embeddings.weight";
  const table = tensors.get(name);
  if (!table) throw new Error("the golden has no embeddings");
  const data = new Uint8Array(new Float32Array(table.data.length / 4).fill(3e38).buffer);
  const broken = new Map([...tensors, [name, { ...table, data }]]);
  const lm = BertForMaskedLM.from({ config, where, tensors: broken });
  const search = new TriggerSearch(device, new Reader(lm, ids), ids.period, 5);
  const said = await search.iterate(triggersAt(0), drawOf(iterations[0]), allowed).then(
    () => "nothing",
    (error: Error) => error.message,
  );
  assert.match(said, /^\[autoprompt\] the masked LM's loss is NaN while .*; use weights that are/);
});

test.run();
