/**
 * Learning curves: from the records of steps what each step was, from the logs what an evaluation found; of all relations together or
 * of each by itself.
 */
import type { LogRow } from "../../../models/training/run-folder.ts";
import type { StepTable } from "../../training/steps.ts";

/** One place of a curve. */
export type CurvePoint = {
  /** Where relations are trained one after the other, the mean over them. */
  readonly step: number;
  /** Of the last step that was logged, 0 to 1. */
  readonly share: number;
  readonly values: ReadonlyMap<string, number>;
};

/** What stands in a log beside what is drawn. */
const ASIDE = ["step", "epoch", "best", "devFacts", "relation"];

/** What one training has written. */
export type Written = {
  readonly log: readonly LogRow[];
  readonly steps?: StepTable | undefined;
};

const mean = (list: readonly number[]) => list.reduce((sum, one) => sum + one, 0) / list.length;

/** Places of all steps' figures in a page together: about half a megabyte of drawings. */
const MOST_PLACES = 40_000;

/** Places that each figure's curve of steps has at most in a page with these runs, each of one training or more. */
export function placesFor(runs: readonly (readonly Written[])[]): number {
  const lines = runs.reduce(
    (sum, parts) => sum + Math.max(0, ...parts.map(({ steps }) => steps?.columns.length ?? 0)),
    0,
  );
  return Math.min(120, Math.max(8, Math.floor(MOST_PLACES / Math.max(1, lines))));
}

/**
 * The trainings of a run as one curve: means over them. What a step was has `places` places or fewer, each the mean over an equal stretch
 * of the training; what an evaluation found has one at the first, second, ... evaluation. A figure that is missing or null has no place.
 */
export function curveOf(parts: readonly Written[], places = 120): CurvePoint[] {
  const tables = parts.flatMap(({ steps }) => steps ?? []);
  const known = new Set(tables.flatMap(({ columns }) => columns));
  const logged = logPoints(parts.map(({ log }) => log)).map(({ step, values }) => ({
    step,
    values: new Map([...values].filter(([name]) => !known.has(name))),
  }));
  const points = [...logged, ...stepPoints(tables, places)].sort((a, b) => a.step - b.step);
  const last = Math.max(0, logged.at(-1)?.step ?? 0, mean(tables.map(({ steps }) => steps)) || 0);
  return points.map((point) => ({ ...point, share: last === 0 ? 0 : point.step / last }));
}

type Place = Omit<CurvePoint, "share">;

function stepPoints(tables: readonly StepTable[], places: number): Place[] {
  const count = Math.min(places, Math.max(0, ...tables.map(({ steps }) => steps)));
  return Array.from({ length: count }, (_, i) => {
    const lists = new Map<string, number[]>();
    const middles: number[] = [];
    for (const { columns, steps, values } of tables) {
      if (steps === 0) continue;
      const begin = Math.min(steps - 1, Math.floor((i * steps) / count));
      const end = Math.max(begin + 1, Math.floor(((i + 1) * steps) / count));
      middles.push((begin + 1 + end) / 2);
      columns.forEach((name, c) => {
        const own: number[] = [];
        for (let step = begin; step < end; step++) {
          const value = values[step * columns.length + c];
          if (Number.isFinite(value)) own.push(value);
        }
        if (own.length > 0) lists.set(name, [...(lists.get(name) ?? []), mean(own)]);
      });
    }
    return {
      step: mean(middles),
      values: new Map([...lists].map(([name, list]) => [name, mean(list)])),
    };
  });
}

function logPoints(logs: readonly (readonly LogRow[])[]): Place[] {
  const length = Math.max(0, ...logs.map((log) => log.length));
  return Array.from({ length }, (_, i) => {
    const rows = logs.flatMap((log) => log[i] ?? []);
    const lists = new Map<string, number[]>();
    for (const row of rows) {
      for (const [name, value] of Object.entries(row)) {
        if (typeof value !== "number" || (ASIDE.includes(name) && name !== "step")) continue;
        lists.set(name, [...(lists.get(name) ?? []), value]);
      }
    }
    const means = new Map([...lists].map(([name, list]) => [name, mean(list)]));
    const step = means.get("step") ?? 0;
    means.delete("step");
    return { step, values: means };
  });
}

/** Figures that share a drawing, as their names in the log and in print. */
export type Panel = {
  readonly title: string;
  readonly series: readonly (readonly [key: string, name: string])[];
};

const PANELS: readonly Panel[] = [
  {
    title: "dev facts, % right",
    series: [
      ["devAccuracy", "own subject"],
      ["devNone", "\u201cNone\u201d"],
      ["trainAccuracy", "train facts"],
      ["best dev", "the best text so far"],
    ],
  },
  { title: "train facts, % right, with a candidate", series: [["accuracy", "candidate"]] },
  {
    title: "log-likelihood",
    series: [
      ["log-likelihood", "the most probable text"],
      ["logLikelihood", "of the tokens"],
    ],
  },
  { title: "top probability of a slot", series: [["topProbability", "mean"]] },
  { title: "entropy of a slot, nats", series: [["entropy", "mean"]] },
  { title: "distinct prompts, dev facts", series: [["distinctPrompts", "prompts"]] },
  {
    title: "norm of the gradient",
    series: [
      ["gradientNorm", "mean"],
      ["largestGradientNorm", "largest"],
    ],
  },
  {
    title: "learning rate",
    series: ["learningRate", "rate", "lr"].map((key) => [key, "rate"] as const),
  },
  {
    title: "facts a second",
    series: ["factsPerSecond", "pace"].map((key) => [key, "facts/s"] as const),
  },
];

/** The panels of curves that hold two places of a figure or more; what no panel knows is a loss term. */
export function panelsOf(curves: readonly (readonly CurvePoint[])[]): Panel[] {
  const has = (key: string): boolean =>
    curves.some((curve) => curve.filter(({ values }) => values.has(key)).length > 1);
  const keys = new Set(
    curves.flatMap((curve) => curve.flatMap(({ values }) => [...values.keys()])),
  );
  const known = PANELS.flatMap(({ series }) => series.map(([key]) => key));
  const terms = [...keys].filter((key) => !known.includes(key)).map((key) => [key, key] as const);
  const [dev, ...others] = PANELS;
  return [dev, { title: "loss terms", series: terms }, ...others]
    .map(({ title, series }) => ({ title, series: series.filter(([key]) => has(key)) }))
    .filter(({ series }) => series.length > 0);
}
