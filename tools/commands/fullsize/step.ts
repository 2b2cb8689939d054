/**
 * The whole PromptGen step beside PyTorch, in a process of its own: `step.ts FOLDER DEVICE STORAGE`. Gradients are computed
 * for one group of parameters after another, read and let go: BART, BERT and all gradients of BART at once are more than the
 * CPU device holds.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { compile, type Output } from "../../../engine/compile.ts";
import { grad } from "../../../engine/grad.ts";
import { openDevice } from "../../../engine/open.ts";
import { permute, slice } from "../../../engine/ops/shape.ts";
import type { Tensor } from "../../../engine/tensor.ts";
import { BartForConditionalGeneration } from "../../../models/bart.ts";
import { BertForMaskedLM } from "../../../models/bert.ts";
import type { Storage } from "../../../models/weights.ts";
import { extraOf, subjectWidth } from "../../../promptgen/methods/promptgen/batch.ts";
import { Generator } from "../../../promptgen/methods/promptgen/generator.ts";
import type { TrainingBatch } from "../../../promptgen/methods/promptgen/index.ts";
import { Reader } from "../../../promptgen/reader.ts";
import {
  classesOf,
  compareForward,
  DEVICES,
  distance,
  exampleOf,
  memory,
  Results,
  type StepFact,
  type StepSettings,
  say,
  stepBatch,
  stepOf,
} from "./process.ts";

/** Bytes of gradients that are computed at once. */
const GROUP = 400e6;

const [folder, deviceName, storage] = process.argv.slice(2);
const settings: StepSettings & { readonly facts: StepFact[] } = JSON.parse(
  readFileSync(join(folder, "step.json"), "utf8"),
);
const want = await Results.open(join(folder, `step.${storage}.safetensors`));
const classes = classesOf(await want.integers("common")); // [V, 2]
const { size } = classes;

const device = await openDevice(DEVICES[deviceName]);
say({ kind: "note", text: device.description });
const start = performance.now();
const bart = await BartForConditionalGeneration.load(join(folder, "bart"));
const bert = await BertForMaskedLM.load(join(folder, "bert"), storage as Storage);
const generator = new Generator(bart, classes, settings.bart.mask, settings);
const reader = new Reader(bert, settings.bert);
const examples = settings.facts.map((fact) => exampleOf(fact, settings.bert.none));
const rows = settings.facts.length;
const width = Math.max(...examples.map(subjectWidth));
const batch = stepBatch(settings.facts, width, rows, extraOf(examples), settings);
const step = (inputs: TrainingBatch) => stepOf(generator, reader, inputs, settings);

/** What a step gives beside gradients. */
function resultsOf({ prompts, logits, loss, object, none }: ReturnType<typeof step>) {
  return {
    distributions: permute(prompts.distributions, [1, 0, 2]), // [B, m+n, V]
    live: permute(prompts.live, [1, 0]),
    mask_logits: slice(logits, 0, 0, rows),
    none_mask_logits: slice(logits, 0, rows, 2 * rows),
    loss_object: object,
    loss_none: none,
    loss,
  };
}

async function compareResults(results: Output<ReturnType<typeof resultsOf>>): Promise<void> {
  const { live, distributions, ...others } = results;
  const alive = await live.read();
  compareForward("live slots", alive, await want.integers("live"), 0);
  const shown = (await distributions.read()).map((p, i) => (alive[Math.floor(i / size)] ? p : 0));
  compareForward("distributions", shown, await want.floats("distributions"), 1e-4);
  for (const [name, result] of Object.entries(others)) {
    compareForward(name, await result.read(), await want.floats(name));
  }
}

/** Parameters of which there are gradients to compare, in groups. */
function groups(): [string, Tensor][][] {
  const all: [string, Tensor][][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const [name, parameter] of bart.weights.parameters) {
    if (!want.has(`grad.${name}`)) continue;
    if (bytes + parameter.bytes > GROUP) {
      all.push([]);
      bytes = 0;
    }
    all[all.length - 1].push([name, parameter]);
    bytes += parameter.bytes;
  }
  return all;
}

async function compareGradients(): Promise<void> {
  const found: { name: string; difference: number; most: number }[] = [];
  for (const group of groups()) {
    const begun = performance.now();
    const parameters = group.map(([, parameter]) => parameter);
    const run = compile(device, (inputs: TrainingBatch) => {
      const made = step(inputs);
      return { gradients: grad(made.loss, parameters), ...resultsOf(made) };
    });
    const { gradients, ...results } = await run(batch);
    if (found.length === 0) await compareResults(results);
    for (const [i, [name]] of group.entries()) {
      const got = await gradients[i].read();
      const [difference, most] = distance(got, await want.floats(`grad.${name}`));
      found.push({ name, difference, most });
    }
    const seconds = ((performance.now() - begun) / 1000).toFixed(1);
    const used = (device.stats.bytes / 1e9).toFixed(2);
    say({
      kind: "note",
      text: `${group.length} gradients, ${seconds} s, ${used} GB on the device`,
    });
  }
  // as the tests: 1e-3 of the tensor's own largest, and 1e-6 of the largest of all
  const floor = 1e-6 * Math.max(...found.map(({ most }) => most));
  const ratio = (g: (typeof found)[number]) => g.difference / (1e-3 * g.most + floor);
  const worst = found.reduce((a, b) => (ratio(b) <= ratio(a) ? a : b)); // a NaN is the worst
  const allowed = 1e-3 * worst.most + floor;
  const { name, difference, most: largest } = worst;
  const what = `${found.length} gradients; worst ${name}`;
  say({ kind: "compared", what, difference, allowed, largest });
}

await compareGradients();
say({ kind: "done", seconds: (performance.now() - start) / 1000, peak: memory("VmHWM") });
process.exit(0);
