/** Pre-trains a model on the texts of files, or the tiny models of a world on its facts: `node tools/pretrain.ts`. */
import { join, resolve } from "node:path";
import { type Held, takeFolder } from "../../models/training/lock.ts";
import { RunFolder } from "../../models/training/run-folder.ts";
import { embeddedWorld } from "../../promptgen/world/world.ts";
import {
  checkDevice,
  DEVICE_OPTIONS,
  deviceOf,
  exitCodeOf,
  note,
  numberOf,
  type OptionSpec,
  onSignals,
  say,
  UsageError,
} from "../lib/cli.ts";
import { commandOf, type Line } from "../lib/command.ts";
import { pretrainCorpus } from "./pretrain/corpus.ts";
import { MODELS, pretrainWorld, RECIPE } from "./pretrain/world.ts";

const TOOL = "pretrain";

const BOTH = {
  out: { value: "DIR", help: "folder of checkpoints and logs", initial: "runs/pretrain" },
  epochs: {
    value: "N",
    help: "passes over the texts",
    initial: "1; of a world 7 for bert, 4 for bart, 8 for t5",
  },
  seed: { value: "N", help: "decides weights, order and masks", initial: "1" },
  ...DEVICE_OPTIONS,
  resume: { help: "go on from the last checkpoint in --out" },
} satisfies Record<string, OptionSpec>;

const CORPUS = {
  model: {
    value: "FILE",
    help: "config.json of a bert, roberta or bart, or its folder, of which no weight is read",
  },
  tokenizer: { value: "DIR", help: "folder of its tokenizer", initial: "that of --model" },
  cache: { value: "DIR", help: "folder of the tokens, made where it is not", initial: "OUT/cache" },
  field: { value: "NAME", help: "where .jsonl files have their texts", initial: "text" },
  spans: {
    value: "NAME",
    help: "where they have the objects in a text: [[begin, end], ...] in characters",
  },
  object: {
    value: "NAME",
    help: "where they have the object that stands for each [MASK] of a text",
  },
  length: {
    value: "N",
    help: "tokens of the longest text, with the two around it; longer ones are cut in several",
    initial: "what the model reads, 512 at most",
  },
  "mask-rate": {
    value: "P",
    help: "share of the tokens that are masked",
    initial: "0.15; bart 0.3",
  },
  "object-rate": {
    value: "P",
    help: "probability that an object is masked",
    initial: "0: as any word",
  },
  span: { value: "N", help: "bart: mean words of a span (Poisson)", initial: "3" },
  "keep-order": { help: "bart: sentences stay in their order" },
  "held-out": { value: "P", help: "share of the texts for the validation loss", initial: "0.01" },
  "held-out-texts": { value: "N", help: "of them are asked, at the most", initial: "2048" },
  evaluations: { value: "N", help: "validation losses an epoch", initial: "5" },
  "batch-size": { value: "N", help: "texts a batch", initial: "32" },
  accumulate: { value: "N", help: "batches a step", initial: "1" },
  "max-steps": { value: "N", help: "the most steps, 0: those of all epochs", initial: "0" },
  lr: { value: "X", help: "peak learning rate", initial: "0.0005" },
  warmup: { value: "P", help: "share of the steps in which it rises", initial: "0.06" },
  "weight-decay": { value: "X", help: "of AdamW", initial: "0.01" },
  clip: { value: "X", help: "largest gradient norm", initial: "1" },
  buckets: { value: "N", help: "lengths that texts are padded to", initial: "6" },
} satisfies Record<string, OptionSpec>;

const WORLD = {
  world: { value: "DIR", help: "folder of the world", initial: "the embedded one" },
  only: { value: "MODEL", help: "bert, bart or t5", initial: "all", choices: MODELS },
  curves: { value: "DIR", help: "folder of the loss curves", initial: "docs/pretraining" },
} satisfies Record<string, OptionSpec>;

const OPTIONS = { ...BOTH, ...CORPUS, ...WORLD };
type Values = Line<keyof typeof OPTIONS>["values"];

const seedOf = (values: Values): number =>
  numberOf(TOOL, "seed", values.seed ?? "1", {
    least: 0,
    ceiling: Number.MAX_SAFE_INTEGER,
    whole: true,
  });

const epochsOf = (values: Values, initial: number): number =>
  numberOf(TOOL, "epochs", values.epochs ?? String(initial), {
    least: 1,
    ceiling: 10_000,
    whole: true,
  });

/** Throws UsageError for an option of the other kind of pre-training. */
function checkKind(values: Values, others: object, kind: string): void {
  const wrong = Object.keys(others).find((name) => Object.hasOwn(values, name));
  if (wrong === undefined) return;
  throw new UsageError(`[${TOOL}] --${wrong} is ${kind}; leave it out, see --help`);
}

function stopped(signal: AbortSignal, command = "npx promptgen pretrain"): number {
  note(`stopped by ${signal.reason}; go on with: ${command} --resume`);
  return exitCodeOf(signal.reason);
}

/** Takes folders for this process while something is done. */
async function holding(folders: readonly string[], act: () => Promise<number>): Promise<number> {
  const taken: Held[] = [];
  try {
    for (const folder of folders) {
      const held = await takeFolder(folder);
      taken.push(held);
      if (held.remark !== "") say(`${held.remark}\n`);
    }
    return await act();
  } finally {
    for (const held of taken) held.release();
  }
}

async function ofWorld(values: Values): Promise<number> {
  checkKind(values, CORPUS, "for a corpus, and no file is named");
  const only = MODELS.find((model) => model === values.only);
  if (values.only !== undefined && only === undefined) {
    throw new UsageError(`[${TOOL}] --only is ${values.only}; choose bert, bart or t5`);
  }
  const seed = seedOf(values);
  for (const model of MODELS) epochsOf(values, RECIPE[model].settings.epochs);
  checkDevice(TOOL, values);
  const out = resolve(values.out ?? "runs/pretrain");
  const models = only ? [only] : MODELS;
  const folders = models.map((model) => join(out, model));
  return holding(folders, async () => {
    const device = await deviceOf(TOOL, values);
    note(device.description);
    const signal = onSignals();
    for (const model of models) {
      const done = await pretrainWorld({
        model,
        world: resolve(values.world ?? embeddedWorld().data),
        folder: new RunFolder(join(out, model)),
        curves: resolve(values.curves ?? "docs/pretraining"),
        seed,
        epochs: epochsOf(values, RECIPE[model].settings.epochs),
        resume: "resume" in values,
        device,
        signal,
      });
      if (!done) return stopped(signal);
    }
    return 0;
  });
}

async function ofCorpus(values: Values, files: readonly string[]): Promise<number> {
  checkKind(values, WORLD, "for a world, and files are named");
  const { model } = values;
  if (model === undefined) {
    throw new UsageError(`[${TOOL}] --model is missing; name the config.json of a bert or a bart`);
  }
  if (values.spans !== undefined && values.object !== undefined) {
    throw new UsageError(`[${TOOL}] --spans and --object both say where objects are; choose one`);
  }
  const number = (
    name: keyof typeof CORPUS,
    initial: number,
    least: number,
    most: number,
  ): number => numberOf(TOOL, name, values[name] ?? String(initial), { least, most });
  const whole = (name: keyof typeof CORPUS, initial: number, least: number, most: number): number =>
    numberOf(TOOL, name, values[name] ?? String(initial), { least, most, whole: true });
  const length = "length" in values ? whole("length", 512, 8, 65_536) : 0;
  const settings = {
    fields: { text: values.field ?? "text", spans: values.spans, object: values.object },
    length,
    heldOut: number("held-out", 0.01, 0, 0.9),
    heldOutTexts: whole("held-out-texts", 2048, 1, 1e9),
    buckets: whole("buckets", 6, 1, 64),
    masking: {
      rate: number("mask-rate", 0.15, 0.01, 0.9),
      object: number("object-rate", 0, 0, 1),
    },
    denoising: {
      rate: number("mask-rate", 0.3, 0.01, 0.9),
      span: number("span", 3, 0.1, 50),
      other: 0.1,
      permute: !("keep-order" in values),
    },
    loop: {
      epochs: epochsOf(values, 1),
      maxSteps: whole("max-steps", 0, 0, 1e9),
      batchSize: whole("batch-size", 32, 1, 65_536),
      accumulate: whole("accumulate", 1, 1, 65_536),
      lr: number("lr", 5e-4, 1e-12, 1e3),
      warmup: number("warmup", 0.06, 0, 1),
      weightDecay: number("weight-decay", 0.01, 0, 1e3),
      clip: number("clip", 1, 1e-12, 1e12),
      seed: seedOf(values),
      evaluationsPerEpoch: whole("evaluations", 5, 1, 10_000),
    },
  };
  if (settings.masking.object > 0 && values.spans === undefined && values.object === undefined) {
    throw new UsageError(
      `[${TOOL}] --object-rate needs to know where objects are; add --spans or --object`,
    );
  }
  const { threads } = checkDevice(TOOL, values);
  const out = resolve(values.out ?? "runs/pretrain");
  const at = resolve(model);
  const signal = onSignals();
  return holding([out], async () => {
    const done = await pretrainCorpus({
      files: files.map((file) => resolve(file)),
      config: at,
      tokenizer: resolve(values.tokenizer ?? (at.endsWith(".json") ? join(at, "..") : at)),
      cache: resolve(values.cache ?? join(out, "cache")),
      folder: new RunFolder(out),
      settings,
      resume: "resume" in values,
      threads,
      signal,
      open: () => deviceOf(TOOL, values),
    });
    return done ? 0 : stopped(signal, "the same command and");
  });
}

const main = ({ values, positionals }: Line<keyof typeof OPTIONS>): Promise<number> =>
  positionals.length > 0 ? ofCorpus(values, positionals) : ofWorld(values);

export const command = commandOf({
  name: TOOL,
  about:
    "Pre-trains a model from random weights: a BERT or RoBERTa by masking whole words, a BART by in-filling and permuted sentences. Without files: the tiny models of a world.",
  operands: "FILE...",
  examples: [
    [
      "corpus.txt more.jsonl.gz --model DIR --out runs/mine",
      "OUT/best and OUT/final are checkpoints",
    ],
    ["corpus.txt more.jsonl.gz --model DIR --out runs/mine --resume", "after Ctrl-C"],
    ["--only bart", "one of the three of the embedded world, as in the repository"],
  ],
  options: OPTIONS,
  notes: `A file has a text a line; a .jsonl has it in a field. Either may end in .gz. The models of a world, BERT (masked LM), BART (span in-filling) and T5
(span corruption), learn from sentences made from ALL of its facts, test facts too: a masked LM that was never told a fact cannot be asked for it. The
manual template is one of the patterns, in at most a tenth of the sentences. Weights are written as f16 into the world's bert/, bart/ and t5/.`,
  writesFiles: true,
  run: main,
});
