/**
 * Free vectors against PyTorch: OptiPrompt from both starts, IDPG, instance-aware prompts, on a tiny random BERT whose facts are
 * asked one by one there (tools/reference_optiprompt.py) and in padded batches here. Losses, gradients, what is learnt, and what
 * is kept.
 */
import * as assert from "uvu/assert";
import { compile, type Input, read } from "../../../engine/compile.ts";
import type { Device } from "../../../engine/device.ts";
import { grad } from "../../../engine/grad.ts";
import { stateName, type Tensor } from "../../../engine/tensor.ts";
import { Random } from "../../../models/training/random.ts";
import { itemsOf } from "../../../promptgen/benchmark.ts";
import { Examiner } from "../../../promptgen/measure.ts";
import type { Options } from "../../../promptgen/methods/options.ts";
import { OptiPromptPrompter } from "../../../promptgen/methods/optiprompt.ts";
import { type Answering, answerProblem } from "../../../promptgen/methods/shared/answering.ts";
import { FactVectorsPrompter } from "../../../promptgen/methods/shared/fact-vectors.ts";
import { type Prepared, prepare, runOptions } from "../../../promptgen/run.ts";
import { onDevices } from "../../devices.ts";
import {
  closeForward,
  closeGradients,
  closeLosses,
  goldenFolder,
  goldenText,
  ModelGolden,
} from "../../models/parity.ts";

const test = await onDevices("free vectors against PyTorch");
const golden = new ModelGolden("vectors");
type Case = {
  readonly lr: number;
  readonly weight_decay: number;
  readonly relations: readonly string[];
  readonly vectors?: number;
  readonly bottleneck?: number;
  readonly head?: number;
};
const cases: Readonly<Record<string, Case>> = JSON.parse(goldenText("vectors/settings.json"));

/** More rows than facts, so that some only fill up. */
const ROWS = 12;

function load(name: string, method: string, more: Options = {}): Promise<Prepared> {
  const { lr, weight_decay, relations, ...made } = cases[name];
  const { clip: _, ...own } = { clip: null, ...made };
  return prepare(
    runOptions({
      method,
      reader: goldenFolder("vectors/bert"),
      data: goldenFolder("vectors/data"),
      relations: relations.join(),
      lr,
      "weight-decay": weight_decay,
      "batch-size": ROWS,
      epochs: 10,
      ...own,
      ...more,
    }),
  );
}

function answering({ prompter }: Prepared): OptiPromptPrompter | FactVectorsPrompter {
  if (prompter instanceof OptiPromptPrompter || prompter instanceof FactVectorsPrompter) {
    return prompter;
  }
  throw new Error("it is no prompter of free vectors");
}

/** One bucket, wider than any subject. */
const bucketsOf = ({ buckets }: Prepared): number[] => [(buckets.at(-1) ?? 0) + 2];

function begin(device: Device, name: string, parameters: readonly Tensor[]): void {
  for (const t of parameters) device.write(t, golden.floats(`${name}.start.${stateName(t)}`));
}

/** The first step's loss and gradients beside the golden's. */
async function checkFirst(device: Device, run: Prepared, at: string): Promise<void> {
  const prompter: Answering = answering(run);
  const { parameters } = prompter;
  const items = itemsOf(run.benchmark.relations, "train");
  const buckets = bucketsOf(run);
  const problem = answerProblem(prompter, items, buckets);
  const batch = problem.collate(items, buckets[0], ROWS, new Random(1, 1));
  const step = compile(device, (inputs: typeof batch, rng: Tensor) => {
    const { loss } = problem.loss(inputs, rng);
    return { loss, gradients: grad(loss, [...parameters]) };
  });
  const { loss, gradients } = await step(batch as Input<typeof batch>, new Uint32Array(4));
  const values = await Promise.all(gradients.map((one) => one.read()));
  closeGradients(
    parameters.map((t, i) => {
      const name = `${at}.grad.${stateName(t)}`;
      return { name, got: values[i], want: golden.floats(name) };
    }),
  );
  if (golden.has(`${at}.loss`) && golden.shape(`${at}.loss`).length === 0) {
    closeForward([{ name: at, got: [await loss.item()], want: golden.floats(`${at}.loss`) }]);
  }
}

/** Ten steps of the method's own training from the golden's start. */
async function checkTraining(device: Device, run: Prepared, name: string): Promise<void> {
  const { method, benchmark, options } = run;
  const prompter = answering(run);
  const { relations } = benchmark;
  const buckets = bucketsOf(run);
  const examiner = new Examiner(device, benchmark, prompter, { buckets });
  const losses: number[] = [];
  const dev: unknown[] = [];
  const none: unknown[] = [];
  let kept: Float32Array[] = [];
  const outcome = await method.train(prompter, {
    device,
    relations,
    options: options.own,
    seed: 1,
    buckets,
    async evaluate() {
      // the start is the golden's wherever it was drawn
      if (dev.length === 0) begin(device, name, prompter.parameters);
      const measured = await examiner.measure(itemsOf(relations, "dev"));
      if (!measured) return undefined;
      const [score, nobody] = measured.accuracy;
      return { score, figures: { nobody } };
    },
    onStep: ({ terms }) => losses.push(terms.object),
    onEvaluation(row) {
      dev.push(row.best);
      none.push(row.nobody);
    },
  });
  kept = (await read(device, [...prompter.parameters])) as Float32Array[];
  closeLosses(name, losses, golden.doubles(`${name}.loss`));
  const scores = Array.from(golden.doubles(`${name}.dev`));
  const picks = scores.map((score, i) => score > Math.max(-1, ...scores.slice(0, i)));
  assert.equal(dev, picks, "what is better on the dev facts");
  assert.equal(outcome.best, {
    step: picks.lastIndexOf(true),
    score: scores[picks.lastIndexOf(true)],
  });
  assert.equal(none, Array.from(golden.doubles(`${name}.none`)));
  closeForward(
    prompter.parameters.map((t, i) => {
      const end = `${name}.end.${stateName(t)}`;
      return { name: end, got: kept[i], want: golden.floats(end) };
    }),
    2e-4,
  );
}

const OPTI: Readonly<Record<string, Options>> = {
  random: {},
  manual: { start: "manual" },
  object_first: { start: "manual" },
};

for (const [name, more] of Object.entries(OPTI)) {
  test(`OptiPrompt, ${name}: gradients, ten losses, picks, vectors`, async (device) => {
    const run = await load(name, "optiprompt", more);
    const prompter = answering(run);
    assert.instance(prompter, OptiPromptPrompter);
    if (prompter instanceof OptiPromptPrompter) {
      const [relation] = run.benchmark.relations;
      await prompter.start(device, 1, relation);
      if (name !== "random") {
        const [got] = await read(device, [prompter.vectors]);
        closeForward([{ name: "start", got, want: golden.floats(`${name}.start.vectors`) }], 0);
      }
    }
    begin(device, name, prompter.parameters);
    await checkFirst(device, run, name);
    await checkTraining(device, run, name);
  });
}

test("IDPG: gradients from each encoding, ten losses, picks, the network", async (device) => {
  for (const encoding of ["mask", "mean", "cls"]) {
    const run = await load("idpg", "idpg", { encoding, dropout: 0 });
    begin(device, "idpg", answering(run).parameters);
    await checkFirst(device, run, encoding === "cls" ? "idpg" : encoding);
    if (encoding === "cls") await checkTraining(device, run, "idpg");
  }
});

test("instance-aware prompts: gradients, ten losses, picks, all parameters", async (device) => {
  const run = await load("instance", "instance-prompt");
  begin(device, "instance", answering(run).parameters);
  await checkFirst(device, run, "instance");
  await checkTraining(device, run, "instance");
});

test.run();
