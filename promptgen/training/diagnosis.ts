/** What a training says about itself when it went wrong: a table of diagnoses over the figures that its log has. */
import type { LogRow } from "../../models/training/run-folder.ts";

/** One training, from its log. */
export type Figures = {
  /** Relation where each has a training of its own; empty for all together. */
  readonly name: string;
  /** Evaluations in their order; the first is that before the first step, the last that behind the last. */
  readonly rows: readonly LogRow[];
  /** Share of the steps in which the rate rises. */
  readonly warmup: number;
  /** Prompts that differ and facts that were asked, where a method writes a prompt for each fact. */
  readonly prompts?: { readonly distinct: number; readonly facts: number } | undefined;
};

/** Fewer of the facts' prompts that differ. */
const LEAST_DISTINCT = 0.1;
/** A higher mean probability of the most probable word of a slot. */
const MOST_PROBABLE = 0.999;

type Diagnosis = {
  /** The sentence, where it is so. */
  of(figures: Figures): string | undefined;
};

const figure = (row: LogRow | undefined, name: string): number | undefined => {
  const value = row?.[name];
  return typeof value === "number" ? value : undefined;
};

const devOf = (row: LogRow | undefined): number => figure(row, "devAccuracy") ?? Number.NaN;

const DIAGNOSES: readonly Diagnosis[] = [
  {
    of({ rows }) {
      if (rows.findLast(({ best }) => best === true)?.step !== 0) return undefined;
      if (devOf(rows[0]) >= 100) return undefined; // nothing can be better
      return `was never better than before its first step (dev ${devOf(rows[0]).toFixed(1)}); try a smaller --lr, or more --epochs`;
    },
  },
  {
    of({ rows, warmup }) {
      const [start, ...later] = rows;
      const total = rows.at(-1)?.step ?? 0;
      const from = later.findIndex(({ step }) => step >= warmup * total);
      if (from < 0) return undefined;
      const fell = devOf(later[from]) < devOf(start);
      const rose = later.slice(from + 1).some((row) => devOf(row) > devOf(start));
      if (!fell || rose) return undefined;
      return `fell from dev ${devOf(start).toFixed(1)} to ${devOf(later[from]).toFixed(1)} in its warm-up and did not come back; try a smaller --lr, or a longer --warmup`;
    },
  },
  {
    of({ prompts }) {
      if (!prompts || prompts.distinct >= LEAST_DISTINCT * prompts.facts) return undefined;
      return `writes only ${prompts.distinct} different prompts for ${prompts.facts} facts; try a smaller --lr, or a larger --alpha`;
    },
  },
  {
    of({ rows }) {
      const top = figure(rows.at(-1), "topProbability");
      if (top === undefined || top <= MOST_PROBABLE) return undefined;
      return `has collapsed to one word in each slot (mean top probability ${top.toFixed(5)}); try a smaller --lr`;
    },
  },
];

/** One sentence for each thing that went wrong; none for a log without a step. */
export function diagnoses(figures: Figures): string[] {
  if (figures.rows.length < 2) return [];
  const what = figures.name === "" ? "training" : `training of ${figures.name}`;
  return DIAGNOSES.flatMap(({ of }) => of(figures) ?? []).map(
    (sentence) => `[diagnosis] the ${what} ${sentence}`,
  );
}
