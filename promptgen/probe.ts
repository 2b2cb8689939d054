/**
 * Does a prompt give the answer away? A logistic regression is asked to name the object from the mean distribution of the prompt's
 * slots, one relation at a time: trained on the training facts, its penalty chosen on the dev facts, counted on the test facts.
 *
 * What it names beyond the majority object, a reader could take from the prompt alone.
 */
import { compile } from "../engine/compile.ts";
import type { Device } from "../engine/device.ts";
import { matmul } from "../engine/ops/matmul.ts";
import { type Tensor, tensor } from "../engine/tensor.ts";
import { groups } from "../models/training/buckets.ts";
import { type Item, itemsOf } from "./benchmark.ts";
import type { Relation } from "./facts/facts.ts";
import { fitLogistic, type Logistic, shortRows } from "./logistic.ts";
import { byFrequency } from "./methods/majority.ts";
import type { Asked, Batch, Prompter } from "./methods/method.ts";
import { meanOfSlots } from "./methods/shared/slots.ts";
import type { Prepared } from "./run.ts";
import type { Score } from "./scores.ts";

/** Penalties that are tried, the strongest first. */
export const PENALTIES = [10, 1, 0.1, 0.01, 0.001] as const;

/** What was found for one relation, counted on its test facts. */
export type Probed = {
  readonly relation: Relation;
  /** Test facts whose object the regression names. */
  readonly probe: Score;
  /** Those whose object is the most frequent one in training: what the regression can name without a prompt. */
  readonly majority: Score;
  /** The penalty that was best on dev. */
  readonly l2: number;
  /** Means of what the method tells of each test fact, see `Prediction.figures`. */
  readonly figures: Readonly<Record<string, number>>;
};

export type ProbeOptions = {
  /** Facts whose prompts are made at once. */
  readonly batchSize?: number;
  readonly signal?: AbortSignal | undefined;
  /** Facts whose prompts are there, of all. */
  onProgress?(done: number, all: number): void;
};

/**
 * Probes the prompts of every relation; undefined when the signal came.
 * @throws for a method whose prompts are no distributions over words
 */
export async function probePrompts(
  device: Device,
  { benchmark, buckets, method }: Pick<Prepared, "benchmark" | "buckets" | "method">,
  prompter: Prompter,
  { batchSize = 32, signal, onProgress }: ProbeOptions = {},
): Promise<Probed[] | undefined> {
  const { relations } = benchmark;
  const write = compile(device, (batch: Batch) => {
    const { slots, figures = {} } = prompter.predict(batch);
    if (slots === undefined) {
      throw new Error(
        `[probe] the prompts of ${method.name} are no distributions over words; probe a run of promptgen`,
      );
    }
    return { mean: meanOfSlots(slots), figures };
  });
  const multiply = compile(device, ({ all, train }: Record<"all" | "train", Tensor>) => ({
    products: matmul(all, train, { transB: true }),
  }));
  const splits = (relation: Relation) =>
    (["train", "dev", "test"] as const).map((split) => itemsOf([relation], split));
  const total = relations.reduce((sum, relation) => sum + splits(relation).flat().length, 0);
  const found: Probed[] = [];
  let done = 0;
  for (const relation of relations) {
    await prompter.select?.(device, relation);
    const [train, dev, test] = splits(relation);
    const items = [...train, ...dev, ...test];
    const prompts = new Map<Item, Prompt>();
    const asked = items.map((item) => ({ ...item, item, subjects: [item.fact.subject] }));
    const width = (one: Asked) => prompter.width(one);
    for (const group of groups(asked, width, buckets, batchSize)) {
      if (signal?.aborted) return undefined;
      const out = await write(prompter.collate(group.items, group.width, batchSize));
      const mean = (await out.mean.read()) as Float32Array;
      const size = mean.length / batchSize;
      const figures: [string, ArrayLike<number>][] = [];
      for (const [name, result] of Object.entries(out.figures)) {
        figures.push([name, await result.read()]);
      }
      group.items.forEach(({ item }, row) => {
        prompts.set(item, {
          mean: mean.slice(row * size, (row + 1) * size),
          figures: new Map(figures.map(([name, values]) => [name, values[row]])),
        });
      });
      done += group.items.length;
      onProgress?.(done, total);
    }
    const own = items.flatMap((item) => prompts.get(item) ?? []);
    const rows = centred(
      own.map(({ mean }) => mean),
      train.length,
    );
    const size = rows[0].length;
    const matrix = (part: readonly Float32Array[]) => {
      const data = new Float32Array(part.length * size);
      part.forEach((row, r) => {
        data.set(row, r * size);
      });
      return tensor(data, [part.length, size]);
    };
    const out = await multiply({ all: matrix(rows), train: matrix(rows.slice(0, train.length)) });
    const products = await out.products.read();
    const short = shortRows(
      rows.map((_, a) => products.subarray(a * train.length, (a + 1) * train.length)),
      train.length,
    );
    const { model, objects, l2 } = chosen(train, dev, short);
    const first = train.length + dev.length;
    const named = test.filter(
      ({ fact }, i) => objects[model.name(short[first + i])] === fact.object,
    );
    const [[most]] = byFrequency(relation.train);
    const frequent = test.filter(({ fact }) => fact.object === most);
    found.push({
      relation,
      probe: { correct: named.length, total: test.length },
      majority: { correct: frequent.length, total: test.length },
      l2,
      figures: meanFigures(own.slice(first)),
    });
  }
  return found;
}

type Prompt = {
  /** [C]. */
  readonly mean: Float32Array;
  readonly figures: ReadonlyMap<string, number>;
};

/** Trained with each penalty; the one that names most dev facts, of several the one that finds them most probable, else the strongest. */
function chosen(
  train: readonly Item[],
  dev: readonly Item[],
  rows: readonly Float64Array[],
): { readonly model: Logistic; readonly objects: readonly string[]; readonly l2: number } {
  const objects = [...new Set(train.map(({ fact }) => fact.object))];
  const classes = train.map(({ fact }) => objects.indexOf(fact.object));
  const labelled = { rows: rows.slice(0, train.length), classes };
  let last: Logistic | undefined;
  const tried = PENALTIES.map((l2) => {
    const model = fitLogistic(labelled, objects.length, l2, last);
    last = model;
    let right = 0;
    let logP = 0;
    dev.forEach(({ fact }, i) => {
      const row = rows[train.length + i];
      const object = objects.indexOf(fact.object);
      if (object < 0) return;
      if (model.name(row) === object) right++;
      logP += model.logP(row)[object];
    });
    return { model, objects, l2, right, logP };
  });
  return tried.reduce((best, one) =>
    one.right > best.right || (one.right === best.right && one.logP > best.logP) ? one : best,
  );
}

/**
 * Rows less the mean of the first `count`, in units in which these have the mean square length 1: the penalty then means the same for
 * prompts that differ much and little.
 */
function centred(rows: readonly Float32Array[], count: number): Float32Array[] {
  const mean = new Float64Array(rows[0].length);
  for (const row of rows.slice(0, count)) {
    for (let c = 0; c < mean.length; c++) mean[c] += row[c] / count;
  }
  const moved = rows.map((row) => row.map((x, c) => x - mean[c]));
  const squares = (of: readonly Float32Array[]) =>
    of.slice(0, count).reduce((sum, row) => sum + row.reduce((own, x) => own + x * x, 0), 0);
  // prompts that differ by rounding alone are one prompt
  const differ = squares(moved) > 1e-10 * squares(rows);
  const scale = differ ? Math.sqrt(count / squares(moved)) : 0;
  return moved.map((row) => row.map((x) => x * scale));
}

function meanFigures(prompts: readonly Prompt[]): Record<string, number> {
  const names = [...prompts[0].figures.keys()];
  const of = (name: string) =>
    prompts.reduce((sum, { figures }) => sum + (figures.get(name) ?? 0), 0) / prompts.length;
  return Object.fromEntries(names.map((name) => [name, of(name)]));
}
