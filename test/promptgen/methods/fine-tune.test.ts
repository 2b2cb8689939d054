/** Fine-tuning: losses beside PyTorch's, a copy that leaves the reader alone, relations one after the other, files of what is done. */
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { read } from "../../../engine/compile.ts";
import type { Device } from "../../../engine/device.ts";
import { crossEntropy } from "../../../engine/ops/cross-entropy.ts";
import { mean } from "../../../engine/ops/reduce.ts";
import { linearSchedule } from "../../../engine/optim.ts";
import { tensor } from "../../../engine/tensor.ts";
import type { MaskedLM } from "../../../models/masked-lm.ts";
import { Learner } from "../../../models/training/learner.ts";
import type { Outcome } from "../../../models/training/loop.ts";
import { Random } from "../../../models/training/random.ts";
import { RunFolder } from "../../../models/training/run-folder.ts";
import { itemsOf, loadBenchmark } from "../../../promptgen/benchmark.ts";
import { Examiner } from "../../../promptgen/measure.ts";
import { FineTunePrompter } from "../../../promptgen/methods/fine-tune.ts";
import { answerProblem } from "../../../promptgen/methods/shared/answering.ts";
import {
  type TemplateBatch,
  TemplatePrompter,
} from "../../../promptgen/methods/shared/templates.ts";
import {
  bestPrompter,
  type Prepared,
  prepare,
  runOptions,
  trainRun,
} from "../../../promptgen/run.ts";
import { beginRun, checkFiles } from "../../../promptgen/run-file.ts";
import { embeddedWorld } from "../../../promptgen/world/world.ts";
import { onDevices } from "../../devices.ts";
import { closeForward, goldenFolder, goldenText } from "../../models/parity.ts";
import { folder, rows } from "../fixture.ts";

const world = embeddedWorld();
const test = await onDevices("fine-tuning");
const runs = mkdtempSync(join(tmpdir(), "promptgen-"));
process.on("exit", () => rmSync(runs, { recursive: true, force: true }));

/** Values of all weights, by name. */
async function weightsOf(device: Device, lm: MaskedLM): Promise<Map<string, Float32Array>> {
  const values = await read(device, lm.parameters);
  return new Map(
    [...lm.weights.parameters.keys()].map((name, i) => [name, values[i] as Float32Array]),
  );
}

type Golden = {
  readonly template: string;
  readonly facts: readonly (readonly [string, string])[];
  readonly batches: readonly (readonly number[])[];
  readonly lr: number;
  readonly warmup: number;
  readonly weightDecay: number;
  readonly losses: readonly number[];
  readonly rates: readonly number[];
  readonly norms: Readonly<Record<string, number>>;
};

test("ten steps: losses and weights beside PyTorch's", async (device) => {
  const golden: Golden = JSON.parse(goldenText("fine-tune/golden.json"));
  const lines = golden.facts.map((fact) => fact.join(" > "));
  const relation = { relation: "R1", template: golden.template, label: "place", type: "N-1" };
  const data = folder({
    "relation_metainfo/LAMA_relations.jsonl": `${JSON.stringify(relation)}\n`,
    "common_vocabs/common_vocab_cased.txt": `${[...new Set(golden.facts.map(([, o]) => o))].join("\n")}\n`,
    "autoprompt_data/R1/train.jsonl": rows(...lines),
    "autoprompt_data/R1/dev.jsonl": rows("Louvre > Paris"),
    "LAMA-TREx/R1.jsonl": rows("Louvre > Paris"),
  });
  const benchmark = await loadBenchmark({ data, reader: goldenFolder("fine-tune") });
  const items = itemsOf(benchmark.relations, "train");
  assert.is(items.length, golden.facts.length);
  const prompter = await FineTunePrompter.open(benchmark);
  const problem = answerProblem(prompter, items, []);
  const settings = { weightDecay: golden.weightDecay, clip: 3e38 };
  const learner = new Learner(device, problem, settings);
  const losses: number[] = [];
  for (const [i, facts] of golden.batches.entries()) {
    const own = facts.map((fact) => items[fact]);
    const width = Math.max(...own.map((item) => problem.width(item))) + (i % 3); // padding is nothing
    const batch = problem.collate(own, width, 2, new Random(1, 0));
    const lr = linearSchedule(i + 1, golden.batches.length, golden.warmup, golden.lr);
    closeForward([{ name: "rate", got: [lr], want: [golden.rates[i]] }], 1e-12);
    const rng = Uint32Array.of(1, 2, 3, 4);
    const { report } = await learner.step(batch, rng, learner.optimizer.scalars(i + 1, lr));
    const [, taken, , , loss] = await report.read();
    assert.is(taken, 1);
    losses.push(loss);
  }
  closeForward([{ name: "losses", got: losses, want: golden.losses }], 1e-4);
  const weights = await weightsOf(device, prompter.benchmark.reader.lm);
  assert.equal([...weights.keys()].sort(), Object.keys(golden.norms).sort());
  // key biases have no gradient but rounding noise, which AdamW makes as large as any
  const names = Object.keys(golden.norms).filter((name) => !name.endsWith("key.bias"));
  const norm = (values: Float32Array) => Math.hypot(...values);
  closeForward(
    names.map((name) => ({
      name,
      got: [norm(weights.get(name) ?? new Float32Array(0))],
      want: [golden.norms[name]],
    })),
    2e-4,
  );
});

test("dropout is on in training, and off when asked", async (device) => {
  const reader = join(runs, "with dropout");
  cpSync(world.bert, reader, { recursive: true });
  const config = JSON.parse(readFileSync(join(reader, "config.json"), "utf8"));
  writeFileSync(
    join(reader, "config.json"),
    JSON.stringify({ ...config, hidden_dropout_prob: 0.2 }),
  );
  const benchmark = await loadBenchmark({ data: world.data, reader, relations: ["P36"] });
  const prompter = await FineTunePrompter.open(benchmark);
  const items = itemsOf(benchmark.relations, "train").slice(0, 8);
  const problem = answerProblem(prompter, items, []);
  const width = Math.max(...items.map((item) => problem.width(item)));
  const batch = problem.collate(items, width, 8, new Random(1, 0));
  const draws = [1, 2].map((seed) => problem.loss(batch, tensor(Uint32Array.of(seed, 2, 3, 4))));
  const asked = mean(
    crossEntropy(prompter.predict(batch.questions as TemplateBatch).logits, batch.objects),
  );
  const values = await read(device, [...draws.map(({ loss }) => loss), asked]);
  const [one, two, plain] = values.map(([value]) => value);
  const far = (a: number, b: number) => Math.abs(a - b) > 1e-3 * plain;
  assert.ok(far(one, two) && far(one, plain) && far(two, plain), `${one} ${two} ${plain}`);
});

const options = runOptions({
  method: "fine-tune",
  relations: "P1303,P36",
  epochs: 2,
  "batch-size": 16,
  lr: 1e-3,
  seed: 3,
});
const load = (given = options): Promise<Prepared> => prepare(given);

let count = 0;
async function trained(
  device: Device,
  run: Prepared,
  more: { folder?: RunFolder; after?: number } = {},
): Promise<{ folder: RunFolder; outcome: Outcome; steps: number }> {
  const place = more.folder ?? new RunFolder(join(runs, `run ${count++}`));
  const resume = more.folder !== undefined;
  const { identity } = await beginRun(place, run);
  const stop = new AbortController();
  let steps = 0;
  const outcome = await trainRun(run, {
    device,
    folder: place,
    resume,
    identity,
    saveEvery: 2,
    signal: stop.signal,
    onStep() {
      if (++steps === more.after) stop.abort();
    },
  });
  return { folder: place, outcome, steps };
}

const bytesOf = (of: RunFolder, relation: string): Buffer =>
  readFileSync(of.file(`${relation}/best/model.safetensors`));

test("relations one after the other, each from the reader's own weights", async (device) => {
  const run = await load();
  const { lm } = run.benchmark.reader;
  const before = await weightsOf(device, lm);
  const both = await trained(device, run);
  assert.equal(await weightsOf(device, lm), before, "the benchmark's reader stays");
  for (const relation of run.benchmark.relations) {
    // in the same buckets
    const one = { ...(await load()), benchmark: { ...run.benchmark, relations: [relation] } };
    const alone = await trained(device, one);
    const { id } = relation;
    assert.ok(bytesOf(alone.folder, id).equals(bytesOf(both.folder, id)), id);
  }
  assert.ok(!bytesOf(both.folder, "P1303").equals(bytesOf(both.folder, "P36")));
  // every weight is trained
  const { prompter } = run;
  assert.instance(prompter, FineTunePrompter);
  const copy = (prompter as FineTunePrompter).benchmark.reader.lm;
  for (const id of ["P1303", "P36"]) {
    await prompter.restore(device, both.folder.file(`${id}/best`));
    for (const [name, values] of await weightsOf(device, copy)) {
      const old = before.get(name);
      const isKey = name.endsWith("key.bias"); // has no gradient, and does not decay
      if (!isKey)
        assert.ok(
          values.some((x, i) => x !== old?.[i]),
          `${id} ${name}`,
        );
    }
  }
  // what is done keeps its best weights alone, and is a run that can be checked and asked
  assert.is(existsSync(both.folder.file("P36/last.safetensors")), false);
  assert.equal(await checkFiles(run, run.benchmark, both.folder), []);
});

test("stopped in either relation and gone on with, the weights are the same", async (device) => {
  const run = await load();
  const whole = await trained(device, run);
  const { steps } = whole.outcome;
  for (const after of [1, steps - 1]) {
    const cut = await trained(device, run, { after });
    assert.is(cut.outcome.finished, false);
    const on = await trained(device, run, { folder: cut.folder });
    assert.equal(on.outcome, whole.outcome);
    assert.is(on.steps, steps - after, "what was done is not done again");
    for (const id of ["P1303", "P36"]) {
      assert.ok(bytesOf(cut.folder, id).equals(bytesOf(whole.folder, id)), `${id} after ${after}`);
    }
  }
  const again = await trained(device, run, { folder: whole.folder });
  assert.equal([again.steps, again.outcome], [0, whole.outcome]);
});

test("joined, each relation is asked of its own copy; f16 is half as large", async (device) => {
  const run = await load();
  const { folder: place } = await trained(device, run);
  const { benchmark, buckets } = run;
  const items = itemsOf(benchmark.relations, "test");
  const joined = await bestPrompter(run, device, place);
  const answered = await new Examiner(device, benchmark, joined, { buckets }).ask(items);
  const half = await load({ ...options, own: { ...options.own, "save-as": "f16" } });
  const rounded = await trained(device, half);
  const nearly = await new Examiner(
    device,
    half.benchmark,
    await bestPrompter(half, device, rounded.folder),
    {
      buckets,
    },
  ).ask(itemsOf(half.benchmark.relations, "test"));
  for (const { id } of benchmark.relations) {
    // the folder is a masked LM like any other
    const reader = place.file(`${id}/best`);
    const own = await loadBenchmark({
      data: benchmark.data,
      reader,
      relations: [id],
    });
    const templates = new Map(own.relations.map((one) => [one.id, one.template]));
    const alone = new TemplatePrompter(own, templates);
    const want = await new Examiner(device, own, alone, { buckets }).ask(
      itemsOf(own.relations, "test"),
    );
    const of = (all: typeof answered) => all?.filter(({ item }) => item.relation.id === id);
    const logs = (all: typeof answered) => all?.map(({ answers }) => answers[0].logP) ?? [];
    assert.equal(
      of(answered)?.map(({ answers }) => answers),
      want?.map(({ answers }) => answers),
    );
    closeForward([{ name: id, got: logs(of(nearly)), want: logs(want) }], 0.05);
    const sizes = [place, rounded.folder].map(
      (one) => statSync(one.file(`${id}/best/model.safetensors`)).size,
    );
    assert.ok(sizes[1] < 0.6 * sizes[0], sizes.join());
  }
});

test("a copy of a random reader begins as that one; a folder of another model is refused", async (device) => {
  const random = await load({ ...options, "reader-weights": "random" });
  const { prompter, benchmark } = random;
  const copy = (prompter as FineTunePrompter).benchmark.reader.lm;
  assert.equal(await weightsOf(device, copy), await weightsOf(device, benchmark.reader.lm));
  assert.is.not(copy, benchmark.reader.lm);
  const said = await prompter.restore(device, goldenFolder("bert")).then(
    () => "it was taken",
    ({ message }) => message,
  );
  assert.match(said, /in the model and .* in the checkpoint; use a checkpoint of the same model$/);
});

test.run();
