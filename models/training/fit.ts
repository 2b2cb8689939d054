/**
 * `fit`: trains a model of one's own on items of one's own, by a loss of one's own. It makes a problem of them for the loop, which
 * PromptGen is trained by too, so that checkpoints, resume, schedule and reports are the same.
 */
import { compile, type Input } from "../../engine/compile.ts";
import type { Device } from "../../engine/device.ts";
import { mul } from "../../engine/ops/elementwise.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { reshape } from "../../engine/ops/shape.ts";
import type { ParameterRule } from "../../engine/optim.ts";
import { show } from "../../engine/shape.ts";
import { stateName, type Tensor, tensor } from "../../engine/tensor.ts";
import { ModelError } from "../errors.ts";
import type { ForwardOptions } from "../nn.ts";
import { streamTensors } from "../save.ts";
import { type BatchOptions, batchesOf, type Dataset } from "./data.ts";
import {
  type Evaluation,
  type LoopOptions,
  type LoopSettings,
  type Outcome,
  type StepReport,
  type StoredProblem,
  train,
} from "./loop.ts";
import { Random } from "./random.ts";
import type { JsonObject, LogRow, RunFolder } from "./run-folder.ts";

/** Parameters that are trained otherwise than the rest; of several groups that fit, the first counts. */
export type ParameterGroup = {
  /** Parts of their names from dot to dot, as "bert.embeddings", or a pattern found in their names. */
  readonly match: string | RegExp;
  /** Their peak rate; that of the others when left out. */
  readonly lr?: number;
  /** Weight decay of all of them; by the model's rule when left out. */
  readonly weightDecay?: number;
  /** They stay as they are. */
  readonly freeze?: boolean;
};

/** What is trained: a model, its adapters, or parameters that one made. */
export type Trainable = {
  /** States of f32, each of a name of its own. */
  readonly parameters: readonly Tensor[];
  /** Whether weight decay shrinks the parameter of this name; when left out, those of two axes or more. */
  readonly decays?: (name: string) => boolean;
};

/** What `collate` is told beside the items. */
export type CollateContext = {
  /** Of the batch, where the options have `width`; else 0. */
  readonly width: number;
  /** For what is left to chance: the same numbers for the same step, also after a resume. */
  readonly random: Random;
};

export type FitOptions<Item, Batch> = BatchOptions<Item> & {
  readonly device: Device;
  readonly model: Trainable;
  readonly data: Dataset<Item>;
  /**
   * The host's side of a batch: `batchSize` items as one record of tensors. At the end of an epoch the first item stands in for those
   * that are missing, and its repetitions weigh nothing.
   */
  collate(items: readonly Item[], context: CollateContext): Batch;
  /**
   * Inside `compile`: the loss of each item, f32 [batchSize], or their mean, f32 []. While training, `options.training` switches
   * dropout on where it is handed to the model.
   */
  loss(batch: Batch, options: ForwardOptions): Tensor;
  /** Peak rate of AdamW. */
  readonly lr: number;
  readonly epochs?: number;
  /** The most steps, over which the schedule is laid then. */
  readonly maxSteps?: number;
  /** Share of the steps in which the rate rises; default 0. */
  readonly warmup?: number;
  /** What the rate does behind it; default linear, to 0. */
  readonly schedule?: LoopSettings["schedule"];
  /** Of AdamW, for what the model's rule names; default 0.01. */
  readonly weightDecay?: number;
  readonly groups?: readonly ParameterGroup[];
  readonly betas?: readonly [number, number];
  readonly eps?: number;
  /** Largest norm of all gradients together; default: no clipping. */
  readonly maxNorm?: number;
  /** Batches whose gradients make a step together; default 1. */
  readonly accumulate?: number;
  /** Decides the order, dropout and `collate`'s numbers; default 0. */
  readonly seed?: number;
  /** Items whose mean loss, without dropout, is the evaluation: the smaller the better. */
  readonly dev?: Dataset<Item>;
  /** An evaluation of one's own in its place; undefined stops the training, as the signal does. */
  evaluate?(): Promise<Evaluation | undefined>;
  /** Evaluations of each epoch, beside that before the first step; default 1. */
  readonly evaluationsPerEpoch?: number;
  /** Steps between two evaluations, in place of it. */
  readonly evalEvery?: number;
  /** Evaluations without a better one after which training ends; default: never. */
  readonly patience?: number;
  /**
   * Node only: a folder for last.safetensors, from which a stopped or killed training goes on, log.jsonl with the evaluations, and
   * best/. Made when it is not there.
   */
  readonly directory?: string;
  /** Goes on from the directory's checkpoint, where it has one, with the same bits as without the stop; default false. */
  readonly resume?: boolean;
  /** Steps between two checkpoints, beside those at evaluations; default 50. */
  readonly saveEvery?: number;
  /** What else must be the same to go on, such as a name of the data. */
  readonly identity?: string;
  /** Writes the best model into this directory, as `saveCheckpoint` does; default: the trained parameters as model.safetensors. */
  save?(directory: string): Promise<void>;
  readonly signal?: AbortSignal;
  onStep?(report: StepReport): void;
  onEvaluation?(row: LogRow): void;
};

/** A batch with the weight of each of its items, f32 [batchSize]: 1 / items, and 0 for what only fills it up. */
type Weighed<Batch> = { readonly batch: Batch; readonly weights: Tensor };

/** Items of one batch, filled up, as `collate` gives them. */
function weighed<Item, Batch>(
  options: FitOptions<Item, Batch>,
  items: readonly Item[],
  context: CollateContext,
): Weighed<Batch> {
  const { batchSize, collate } = options;
  const rows = Array.from({ length: batchSize }, (_, i) => items[i] ?? items[0]);
  const weights = rows.map((_, i) => (i < items.length ? 1 / items.length : 0));
  return { batch: collate(rows, context), weights: tensor(weights) };
}

/** The mean of a loss over the items of a batch. */
function meanOf(value: Tensor, weights: Tensor, ragged: boolean): Tensor {
  const [rows] = weights.shape;
  if (value.dtype === "f32" && value.size === rows && value.shape.length === 1) {
    return sum(mul(value, weights));
  }
  if (value.dtype !== "f32" || value.size !== 1) {
    throw new ModelError(
      `[fit] the loss is ${value.dtype}${show(value.shape)}; give one number for each item, f32[${rows}], or their mean`,
    );
  }
  if (ragged) {
    throw new ModelError(
      `[fit] the loss is one number, in which the items that only fill the last batch would count; give one for each item, f32[${rows}], or set lastBatch to "drop"`,
    );
  }
  return reshape(value, []);
}

const fitsName = (match: string | RegExp, name: string): boolean =>
  typeof match === "string" ? `.${name}.`.includes(`.${match}.`) : name.search(match) >= 0;

/** The parameters that are trained and the rule of each. Throws for a group that no parameter is in, and where none is left. */
function trained(
  { parameters }: Trainable,
  lr: number,
  groups: readonly ParameterGroup[],
): { readonly parameters: Tensor[]; readonly rules: (name: string) => ParameterRule | undefined } {
  for (const { match } of groups) {
    if (parameters.some((p) => fitsName(match, stateName(p)))) continue;
    throw new ModelError(
      `[fit] no parameter is in the group ${match}; their names are such as ${parameters.slice(0, 3).map(stateName).join(", ")}`,
    );
  }
  const groupOf = (name: string) => groups.find(({ match }) => fitsName(match, name));
  const left = parameters.filter((p) => groupOf(stateName(p))?.freeze !== true);
  if (left.length === 0) {
    throw new ModelError("[fit] no parameter is left to train; freeze fewer of them");
  }
  const rules = (name: string): ParameterRule | undefined => {
    const group = groupOf(name);
    return group && { rate: (group.lr ?? lr) / lr, weightDecay: group.weightDecay };
  };
  return { parameters: left, rules };
}

/** The mean loss over the dev items. */
function devLoss<Item, Batch>(
  dev: Dataset<Item>,
  options: FitOptions<Item, Batch>,
): () => Promise<Evaluation> {
  const { device, batchSize, seed = 0, loss } = options;
  const batches = batchesOf(dev, { ...options, shuffle: false, lastBatch: "pad" });
  const run = compile(device, ({ batch, weights }: Weighed<Batch>) => ({
    loss: meanOf(loss(batch, {}), weights, batches.ragged),
  }));
  return async () => {
    let total = 0;
    for (let i = 0; i < batches.groupsOf(batchSize); i++) {
      const { items, width } = await batches.group(batchSize, seed, 0, i);
      const context = { width, random: new Random(seed, DEV, i) };
      const result = await run(weighed(options, items, context) as Input<Weighed<Batch>>);
      total += (await result.loss.item()) * items.length;
    }
    const mean = total / batches.items;
    return { score: -mean, figures: { devLoss: mean } };
  };
}

const DEV = 11; // purpose of the seed

/** The settings that decide the weights. Throws for those that do not go together. */
function settingsOf<Item, Batch>(options: FitOptions<Item, Batch>): LoopSettings {
  const { lr, epochs = 1, warmup = 0, schedule = "linear", maxSteps = 0 } = options;
  const { weightDecay = 0.01, maxNorm = 3e38, accumulate = 1, seed = 0 } = options;
  const { evaluationsPerEpoch = 1, evalEvery = 0, patience = 0 } = options;
  const { batchSize, betas = [0.9, 0.999], eps = 1e-8 } = options;
  const whole = { epochs, accumulate };
  for (const [name, value] of Object.entries(whole)) {
    if (Number.isSafeInteger(value) && value >= 1) continue;
    throw new ModelError(`[fit] ${name} is ${value}; use a whole number of 1 or more`);
  }
  if (!(lr > 0 && Number.isFinite(lr))) {
    throw new ModelError(`[fit] lr is ${lr}; use a rate above 0, such as 5e-5`);
  }
  if (!(warmup >= 0 && warmup <= 1)) {
    throw new ModelError(`[fit] warmup is ${warmup}; it is a share of the steps, from 0 to 1`);
  }
  if (patience > 0 && !options.dev && !options.evaluate) {
    throw new ModelError("[fit] patience needs an evaluation; give dev, or evaluate");
  }
  return {
    batchSize,
    accumulate,
    weightDecay,
    clip: maxNorm,
    betas,
    eps,
    seed,
    epochs,
    maxSteps,
    lr,
    warmup,
    schedule,
    evaluationsPerEpoch,
    evalEvery,
    patience,
  };
}

/**
 * Trains a model's parameters on the device, in place, by AdamW. With a directory, a training that was stopped, or killed at any
 * moment, goes on where its last checkpoint stands and ends in the same bits.
 *
 * @throws ModelError `[fit] ...` for options that do not go together, NotFiniteError when the loss or a gradient is not finite,
 *   `[resume] ...` for a checkpoint of another training
 */
export async function fit<Item, Batch>(options: FitOptions<Item, Batch>): Promise<Outcome> {
  const { device, model, data, loss, groups = [], seed = 0, directory } = options;
  const settings = settingsOf(options);
  const batches = batchesOf(data, options);
  const { parameters, rules } = trained(model, settings.lr, groups);
  const shapes = new Map(parameters.map((p) => [stateName(p), p.shape]));
  if (shapes.size < parameters.length) {
    throw new ModelError("[fit] two parameters have one name; give each state a name of its own");
  }
  const problem: StoredProblem<Item, Weighed<Batch>> = {
    parameters,
    decays: model.decays ?? ((name) => (shapes.get(name)?.length ?? 0) > 1),
    rules,
    terms: ["loss"],
    collate: (items, width, _, random) => weighed(options, items, { width, random }),
    loss: ({ batch, weights }, rng) => {
      const value = meanOf(loss(batch, { training: { rng } }), weights, batches.ragged);
      return { loss: value, terms: reshape(value, [1]) };
    },
    groupsOf: (size) => batches.groupsOf(size),
    group: (size, _, epoch, position) => batches.group(size, seed, epoch, position),
  };
  const evaluate = options.evaluate ?? (options.dev && devLoss(options.dev, options));
  const identity = JSON.stringify([
    settings,
    options.lastBatch ?? "pad",
    options.shuffle ?? true,
    batches.items,
    groups.map((group) => ({ ...group, match: String(group.match) })),
    [...shapes],
    options.identity ?? "",
  ]);
  const { saveEvery, signal, onStep, onEvaluation } = options;
  const loop = { device, problem, settings, identity, evaluate, saveEvery, signal, onStep };
  const all = { ...loop, onEvaluation } as LoopOptions<Item, Weighed<Batch>>;
  if (directory === undefined) {
    if (options.resume) throw new ModelError("[fit] resume needs the directory to go on from");
    return train(all);
  }
  return inFolder(directory, options, parameters, (folder) => train({ ...all, ...folder }));
}

type Folder = { readonly folder: RunFolder; readonly resume: boolean; saveBest(): Promise<void> };

/** Runs `begin` with the folder of a training, which nobody else writes into meanwhile. */
async function inFolder<Item, Batch>(
  directory: string,
  { resume = false, device, save }: FitOptions<Item, Batch>,
  parameters: readonly Tensor[],
  begin: (folder: Folder) => Promise<Outcome>,
): Promise<Outcome> {
  const { RunFolder } = await import("./run-folder.ts");
  const { takeFolder } = await import("./lock.ts");
  const held = await takeFolder(directory);
  try {
    const folder = new RunFolder(directory);
    if (folder.hasStarted() && !resume) {
      throw new ModelError(
        `[fit] ${directory} holds a training already; set resume to go on with it, or name another directory`,
      );
    }
    const saveBest = (): Promise<void> =>
      save ? save(folder.best) : folder.saveBest(streamTensors(device, parameters));
    return await begin({ folder, resume: folder.hasStarted(), saveBest });
  } finally {
    await held.release();
  }
}

/** A record of figures for the log. */
export type { Evaluation, JsonObject, LogRow, Outcome, StepReport };
