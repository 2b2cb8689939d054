/** Learning curves from logs: one line an evaluation, of all relations together or of each by itself. */
import type { LogRow } from "../../training/run-folder.ts";

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

/**
 * The logs of a run as one curve: means over the logs at their first, second, ... evaluation. A figure that is missing or null has no
 * place there.
 */
export function curveOf(logs: readonly (readonly LogRow[])[]): CurvePoint[] {
  const length = Math.max(0, ...logs.map((log) => log.length));
  const points = Array.from({ length }, (_, i) => {
    const rows = logs.flatMap((log) => log[i] ?? []);
    const lists = new Map<string, number[]>();
    for (const row of rows) {
      for (const [name, value] of Object.entries(row)) {
        if (typeof value !== "number" || (ASIDE.includes(name) && name !== "step")) continue;
        lists.set(name, [...(lists.get(name) ?? []), value]);
      }
    }
    const mean = (list: readonly number[]) => list.reduce((sum, one) => sum + one, 0) / list.length;
    const means = new Map([...lists].map(([name, list]) => [name, mean(list)]));
    const step = means.get("step") ?? 0;
    means.delete("step");
    return { step, values: means };
  });
  const last = points.at(-1)?.step ?? 0;
  return points.map((point) => ({ ...point, share: last === 0 ? 0 : point.step / last }));
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
