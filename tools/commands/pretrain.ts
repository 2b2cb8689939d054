/** Pre-trains the tiny BERT, BART and T5 of a world on sentences made from all of its facts: `node tools/pretrain.ts`. */
import { existsSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Device } from "../../engine/device.ts";
import { BartForConditionalGeneration } from "../../models/bart.ts";
import { BertForMaskedLM } from "../../models/bert.ts";
import { writeWhole } from "../../models/formats/files.ts";
import { streamTensors, tensorsOf } from "../../models/save.ts";
import { T5ForConditionalGeneration } from "../../models/t5.ts";
import { loadTokenizer, type Tokenizer } from "../../models/tokenizer/tokenizer.ts";
import type { ModelWeights } from "../../models/weights.ts";
import { loadFacts } from "../../promptgen/facts/facts.ts";
import { leftOutMessage } from "../../promptgen/facts/left-out.ts";
import { denoising, maskedLM, spanCorruption } from "../../promptgen/pretraining/pretraining.ts";
import { type Held, takeFolder } from "../../promptgen/training/lock.ts";
import { type LoopSettings, type Problem, train } from "../../promptgen/training/loop.ts";
import { Random } from "../../promptgen/training/random.ts";
import { RunFolder } from "../../promptgen/training/run-folder.ts";
import {
  embeddedWorld,
  epochSentences,
  loadPatterns,
  MANUAL_SHARE,
  type Sentence,
  statements,
} from "../../promptgen/world/world.ts";
import {
  checkDevice,
  DEVICE_OPTIONS,
  deviceOf,
  exitCodeOf,
  note,
  numberOf,
  type OptionSpec,
  onSignals,
  Progress,
  printResult,
  Rate,
  say,
  UsageError,
} from "../lib/cli.ts";
import { commandOf, type Line } from "../lib/command.ts";
import { linePlot } from "../lib/plot.ts";

const TOOL = "pretrain";

/** What was found to work; see docs/training.md. */
const RECIPE = {
  bert: {
    settings: { epochs: 7, batchSize: 32, lr: 2e-3, warmup: 0.1, weightDecay: 0.01, clip: 1 },
    masking: { object: 0.95, copy: 0.8, other: 0.05 },
    shares: { manual: 0.005, none: 0.1 },
  },
  bart: {
    settings: { epochs: 4, batchSize: 32, lr: 2e-3, warmup: 0.1, weightDecay: 0.01, clip: 1 },
    infill: { least: 0.3, most: 0.8, span: 3, paraphrase: 0.7 },
    shares: { manual: 0.4, none: 0 },
  },
  t5: {
    settings: { epochs: 8, batchSize: 32, lr: 3e-3, warmup: 0.1, weightDecay: 0.01, clip: 1 },
    spans: { least: 0.3, most: 0.8, span: 3 },
    shares: { manual: 0.005, none: 0 },
  },
};

const TITLES = {
  bert: "Tiny BERT, masked LM",
  bart: "Tiny BART, span in-filling",
  t5: "Tiny T5, span corruption",
};

const MODELS = ["bert", "bart", "t5"] as const;
type Model = (typeof MODELS)[number];

const OPTIONS = {
  world: { value: "DIR", help: "folder of the world", initial: "the embedded one" },
  only: { value: "MODEL", help: "bert, bart or t5", initial: "all", choices: MODELS },
  out: { value: "DIR", help: "folder of checkpoints and logs", initial: "runs/pretrain" },
  curves: { value: "DIR", help: "folder of the loss curves", initial: "docs/pretraining" },
  epochs: {
    value: "N",
    help: "passes over the sentences",
    initial: "7 for bert, 4 for bart, 8 for t5",
  },
  seed: { value: "N", help: "decides weights, order and masks", initial: "1" },
  ...DEVICE_OPTIONS,
  resume: { help: "go on from the last checkpoint in --out" },
} satisfies Record<string, OptionSpec>;

type Job = {
  readonly model: Model;
  readonly world: string;
  readonly folder: RunFolder;
  readonly curves: string;
  readonly seed: number;
  readonly epochs: number;
  readonly resume: boolean;
  readonly device: Device;
  readonly signal: AbortSignal;
};

/** What became of a model. */
type Trained = {
  readonly model: Model;
  readonly loss: number;
  readonly bytes: number;
  readonly directory: string;
};

/** Trains one model; undefined when the signal came. */
async function pretrain(job: Job): Promise<Trained | undefined> {
  const { model, world, seed } = job;
  const directory = join(world, model);
  const config = JSON.parse(await readFile(join(directory, "config.json"), "utf8"));
  const tokenizer = await loadTokenizer(directory);
  const { relations, leftOut, remarks, counts } = await loadFacts(world);
  const read = Object.values(counts).reduce((sum, { raw }) => sum + raw, 0);
  const ids = relations.map(({ id }) => id);
  const left = leftOutMessage(leftOut, read, ids);
  for (const remark of left === "" ? remarks : [...remarks, left]) note(remark);
  const patterns = await loadPatterns(world);
  const { shares } = RECIPE[model];
  const sentences = (epoch: number) => epochSentences(relations, patterns, shares, seed, epoch);
  const first = sentences(0);
  const share = first.filter((sentence) => sentence.manual).length / first.length;
  note(
    `${model}: ${first.length} sentences an epoch, ${(100 * share).toFixed(1)} % of the manual templates (at most ${100 * MANUAL_SHARE} %)`,
  );
  if (model === "bert") {
    const bert = BertForMaskedLM.random(config, seed);
    const problem = maskedLM(bert, tokenizer, sentences, RECIPE.bert.masking);
    return fit(job, problem, bert.weights, directory);
  }
  if (model === "t5") {
    const t5 = T5ForConditionalGeneration.random(config, seed);
    const { spans } = RECIPE.t5;
    const problem = spanCorruption(t5, tokenizer, sentences, spans, sentinelsOf(tokenizer));
    return fit(job, problem, t5.weights, directory);
  }
  const bart = BartForConditionalGeneration.random(config, seed);
  const random = (purpose: number, epoch: number) => new Random(seed, purpose, epoch);
  const infill = { ...RECIPE.bart.infill, statements: (s: Sentence) => statements(s, patterns) };
  const problem = denoising(bart, tokenizer, sentences, infill, random);
  return fit(job, problem, bart.weights, directory);
}

/** Ids of <extra_id_0>, <extra_id_1>, ... */
const sentinelsOf = ({ vocabulary }: Tokenizer): number[] =>
  [...vocabulary].flatMap(([token, id]) => (/^<extra_id_\d+>$/.test(token) ? [id] : [])).reverse();

async function fit<Item, Batch>(
  job: Job,
  problem: Problem<Item, Batch>,
  weights: ModelWeights,
  directory: string,
): Promise<Trained | undefined> {
  const { model, folder, seed, epochs, resume, device, signal } = job;
  const settings: LoopSettings = {
    ...RECIPE[model].settings,
    epochs,
    seed,
    evaluationsPerEpoch: 5,
  };
  const identity = JSON.stringify({ ...RECIPE[model], settings });
  const goesOn = resume && folder.exists();
  if (!goesOn) await folder.begin({ model, recipe: identity });
  else for (const remark of await folder.check()) note(remark);
  const rate = new Rate();
  let bar: Progress | undefined;
  const outcome = await train({
    device,
    problem,
    settings,
    folder,
    resume: goesOn && existsSync(folder.last), // stopped before its first checkpoint, it begins anew
    signal,
    identity,
    saveEvery: 200,
    onStep({ step, steps, items, terms }) {
      bar ??= new Progress(model, steps, step - 1, "sentences/s");
      bar.update(step, `loss ${terms.loss.toFixed(3)}`, rate.add(items));
    },
  });
  bar?.stop();
  if (!outcome.finished) return undefined;
  const path = join(directory, "model.safetensors");
  await writeWhole(path, streamTensors(device, tensorsOf(weights), undefined, "F16"));
  const loss = await writeCurve(job);
  const { size: bytes } = statSync(path);
  note(`${model}: final loss ${loss.toFixed(3)}, ${bytes} bytes in ${directory}`);
  return { model, loss, bytes, directory };
}

/** Writes the losses as CSV and SVG; gives the last. */
async function writeCurve({ model, folder, curves }: Job): Promise<number> {
  const rows = (await folder.readLog()).filter((row) => typeof row.loss === "number");
  const points = rows.map((row) => [row.step, Number(row.loss)] as const);
  const lines = points.map(([step, loss]) => `${step},${loss.toFixed(4)}`);
  await writeWhole(join(curves, `${model}.csv`), `step,loss\n${lines.join("\n")}\n`);
  const plot = linePlot(`${TITLES[model]}: training loss`, "step", "nats a token", [
    { label: "mean since the last point", color: "#1f5fa8", points },
  ]);
  await writeWhole(join(curves, `${model}.svg`), plot);
  return points[points.length - 1][1];
}

async function main({ values }: Line<keyof typeof OPTIONS>): Promise<number> {
  const only = MODELS.find((model) => model === values.only);
  if (values.only !== undefined && only === undefined) {
    throw new UsageError(`[${TOOL}] --only is ${values.only}; choose bert, bart or t5`);
  }
  const seed = numberOf(TOOL, "seed", values.seed ?? "1", {
    least: 0,
    ceiling: Number.MAX_SAFE_INTEGER,
    whole: true,
  });
  const epochs = Object.fromEntries(
    MODELS.map((model) => {
      const initial = String(RECIPE[model].settings.epochs);
      const limits = { least: 1, ceiling: 10_000, whole: true };
      return [model, numberOf(TOOL, "epochs", values.epochs ?? initial, limits)];
    }),
  );
  checkDevice(TOOL, values);
  const out = resolve(values.out ?? "runs/pretrain");
  const models = only ? [only] : MODELS;
  const taken: Held[] = [];
  try {
    for (const model of models) {
      const held = await takeFolder(join(out, model));
      taken.push(held);
      if (held.remark !== "") say(`${held.remark}\n`);
    }
    const device = await deviceOf(TOOL, values);
    note(device.description);
    const signal = onSignals();
    const trained: Trained[] = [];
    for (const model of models) {
      const done = await pretrain({
        model,
        world: resolve(values.world ?? embeddedWorld().data),
        folder: new RunFolder(join(out, model)),
        curves: resolve(values.curves ?? "docs/pretraining"),
        seed,
        epochs: epochs[model],
        resume: "resume" in values,
        device,
        signal,
      });
      if (done) {
        trained.push(done);
        continue;
      }
      const { reason } = signal;
      printResult(
        { models: trained, stopped: reason },
        () => `stopped by ${reason}; go on with: npx promptgen pretrain --resume`,
      );
      return exitCodeOf(reason);
    }
    printResult({ models: trained }, () => `${models.length} of ${MODELS.length} models written`);
    return 0;
  } finally {
    for (const held of taken) held.release();
  }
}

export const command = commandOf({
  name: TOOL,
  about:
    "Pre-trains the tiny BERT (masked LM), BART (span in-filling) and T5 (span corruption) of a world on sentences made from ALL of its facts, test facts too: a masked LM that was never told a fact cannot be asked for it.",
  examples: [
    ["", "repeats what is in the repository"],
    ["--only bart", "one of the three"],
    ["--resume", "after Ctrl-C"],
  ],
  options: OPTIONS,
  notes: `The manual template is one of the patterns, in at most a tenth of the sentences. Weights are written as f16 into the world's bert/,
bart/ and t5/.`,
  writesFiles: true,
  run: main,
});
