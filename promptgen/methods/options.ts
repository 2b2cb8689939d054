/** Options of methods: the one table from which the command line, its help, defaults and limits are made. Knows no method. */
import { distance } from "fastest-levenshtein";
import type { LoopSettings } from "../../models/training/loop.ts";

/** One option. */
export type Option = NumberOption | ChoiceOption | PathOption;

export type Common = {
  /** How its value is written in the help: X, N, DIR. */
  readonly value: string;
  readonly help: string;
  /** Part of what a prompter is made of: runs that differ in it cannot share one. Default: false. */
  readonly structural?: boolean;
  /** What suits the embedded world, where that is another value. */
  readonly world?: OptionValue;
};

/** Which numbers are taken, both ends included. */
export type Limits = {
  readonly least: number;
  readonly most?: number;
  /** In place of `most` where no number is wrong for what it means: more than this is more than can be computed. */
  readonly ceiling?: number;
  readonly whole?: boolean;
};

export type NumberOption = Common &
  Limits & {
    readonly kind: "number";
    readonly initial: number;
  };

export type ChoiceOption = Common & {
  readonly kind: "choice";
  readonly initial: string;
  readonly choices: readonly string[];
};

/** A directory, or a model by its name on the Hub; `initial` "world" is what the embedded world has of it. */
export type PathOption = Common & {
  readonly kind: "model" | "folder";
  readonly initial: string;
  /** Which of the world's folders that is. */
  readonly embedded: "data" | "bert" | "bart" | "t5";
};

export type OptionTable = Readonly<Record<string, Option>>;
export type OptionValue = number | string;

/** Values by name, as they stand in run.json. */
export type Options = Readonly<Record<string, OptionValue>>;

/** The values that a table gives: number or string. */
export type OptionsOf<T extends OptionTable> = {
  readonly [K in keyof T]: T[K] extends NumberOption ? number : string;
};

/**
 * The options of a table, with its defaults for those that were not given.
 * @throws one sentence for a name that is not in the table, a wrong kind, a number outside its limits
 */
export function optionsOf(table: OptionTable, given: Options, world = false): Options {
  const unknown = Object.keys(given).find((name) => !Object.hasOwn(table, name));
  if (unknown !== undefined) {
    throw new Error(
      `[options] there is no option ${unknown}; ${chooseAmong(Object.keys(table), unknown)}`,
    );
  }
  return Object.fromEntries(
    Object.entries(table).map(([name, option]) => {
      const value = given[name] ?? initialOf(option, world);
      const problem = problemOf(option, value);
      if (problem) throw new Error(`[options] ${name} is ${value}; ${problem}`);
      return [name, value];
    }),
  );
}

export const initialOf = (option: Option, world: boolean): OptionValue =>
  world ? (option.world ?? option.initial) : option.initial;

/** What to give instead of a value that an option does not take; undefined for one that it takes. */
export function problemOf(option: Option, value: OptionValue): string | undefined {
  if (option.kind === "choice") {
    return option.choices.includes(String(value))
      ? undefined
      : chooseAmong(option.choices, String(value));
  }
  if (option.kind !== "number") {
    return typeof value === "string" && value !== "" ? undefined : "name a folder";
  }
  return problemOfNumber(option, value);
}

/** What to write in place of a word that is none of `names`: the nearest, where a third of its letters or fewer differ, and all. */
export function chooseAmong(names: readonly string[], word: string): string {
  const plain = (text: string) => text.toLowerCase().replaceAll("_", "-");
  const near = names
    .map((name) => ({ name, far: distance(plain(name), plain(word)) }))
    .filter(({ name, far }) => far <= Math.max(1, Math.floor(name.length / 3)) && far < name.length)
    .sort((a, b) => a.far - b.far);
  const meant = near.length === 0 ? "" : `did you mean ${near[0].name}? `;
  return `${meant}choose among ${names.join(", ")}`;
}

/** As `problemOf`, of a number. */
export function problemOfNumber(limits: Limits, value: unknown): string | undefined {
  const { least, ceiling = Number.MAX_SAFE_INTEGER, most = ceiling, whole = false } = limits;
  const fits = typeof value === "number" && value >= least && value <= most;
  if (fits && (!whole || Number.isSafeInteger(value))) return undefined;
  const isTooLarge = limits.ceiling !== undefined && typeof value === "number" && value > most;
  const isSmall = limits.most === undefined && !isTooLarge;
  const range = isSmall ? `of ${least} or more` : `from ${least} to ${most}`;
  return `give ${whole ? "a whole number" : "a number"} ${range}`;
}

/** A decimal number as it was typed; NaN for any other text, and for one that is too small to be held. */
export function numberIn(text: string): number {
  const [, digits] = /^[+-]?(\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.exec(text.trim()) ?? [];
  if (digits === undefined) return Number.NaN;
  const value = Number(text);
  if (value !== 0) return value;
  return /[1-9]/.test(digits) ? Number.NaN : 0; // never -0
}

/** Options of every method that is trained by AdamW in the loop; `initial` values are the paper's of that method. */
export const trainingOptions = (initial: {
  readonly lr: number;
  readonly warmup: number;
  readonly weightDecay: number;
  readonly batchSize: number;
  readonly epochs: number;
  /** What suits the embedded world. */
  readonly world?: { readonly lr?: number; readonly batchSize?: number; readonly epochs?: number };
}) =>
  ({
    lr: {
      kind: "number",
      value: "X",
      help: "peak learning rate of AdamW",
      initial: initial.lr,
      ...(initial.world?.lr === undefined ? {} : { world: initial.world.lr }),
      least: 0,
      ceiling: 100,
    },
    warmup: {
      kind: "number",
      value: "X",
      help: "share of the steps in which the rate rises; it then falls to 0",
      initial: initial.warmup,
      least: 0,
      most: 1,
    },
    "weight-decay": {
      kind: "number",
      value: "X",
      help: "decoupled decay",
      initial: initial.weightDecay,
      least: 0,
      ceiling: 100,
    },
    "batch-size": {
      kind: "number",
      value: "N",
      help: "facts a step",
      initial: initial.batchSize,
      ...(initial.world?.batchSize === undefined ? {} : { world: initial.world.batchSize }),
      least: 1,
      ceiling: 4096,
      whole: true,
    },
    epochs: {
      kind: "number",
      value: "N",
      help: "passes over the training facts",
      initial: initial.epochs,
      ...(initial.world?.epochs === undefined ? {} : { world: initial.world.epochs }),
      least: 1,
      ceiling: 10_000,
      whole: true,
    },
    "max-steps": {
      kind: "number",
      value: "N",
      help: "the most steps, over which the schedule is laid; of each relation where they are trained one by one; 0: those of all epochs",
      initial: 0,
      least: 0,
      ceiling: 1e9,
      whole: true,
    },
    accumulate: {
      kind: "number",
      value: "N",
      help: "batches a step, one after the other: as N times the batch size, in the memory of one batch and one gradient more",
      initial: 1,
      least: 1,
      ceiling: 4096,
      whole: true,
    },
    "dev-facts": {
      kind: "number",
      value: "N",
      help: "dev facts that are asked while it trains, of each relation its share and one at least, drawn by --seed; 0: all",
      initial: 0,
      least: 0,
      ceiling: 1e9,
      whole: true,
    },
    "eval-every": {
      kind: "number",
      value: "N",
      help: "steps between two evaluations on the dev facts; the last step is evaluated too; 0: three an epoch",
      initial: 0,
      least: 0,
      ceiling: 1e9,
      whole: true,
    },
    patience: {
      kind: "number",
      value: "N",
      help: "ends the training after N evaluations without a better one, of each relation where they are trained one by one; 0: never",
      initial: 0,
      least: 0,
      ceiling: 1e9,
      whole: true,
    },
  }) satisfies OptionTable;

export type TrainingOptions = OptionsOf<ReturnType<typeof trainingOptions>>;

/** A clip that no gradient reaches, for methods whose published code has none. */
export const NO_CLIP = 3e38;

/**
 * The settings of the loop for a method with these options.
 * @param clip the largest global gradient norm
 */
export const loopSettings = (
  options: TrainingOptions,
  { seed, clip }: Pick<LoopSettings, "seed" | "clip">,
): LoopSettings => ({
  epochs: options.epochs,
  maxSteps: options["max-steps"],
  batchSize: options["batch-size"],
  accumulate: options.accumulate,
  lr: options.lr,
  warmup: options.warmup,
  weightDecay: options["weight-decay"],
  clip,
  seed,
  evaluationsPerEpoch: 3,
  evalEvery: options["eval-every"],
  patience: options.patience,
});
