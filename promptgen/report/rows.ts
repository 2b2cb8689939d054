/**
 * Rows of the tables, and all that is computed of them: each is a method's runs, which differ in their seed, and a run is what it
 * answered about each test fact.
 *
 * Figures are per cent and means over relations. Values of a fact are means over the row's runs where facts are drawn anew.
 */
import { printable } from "../../models/errors.ts";
import { groupBy } from "../facts/group-by.ts";
import { keyOf } from "../facts/splits.ts";
import { accuracy, meanAndDeviation, means, type Spread } from "../scores.ts";
import {
  bootstrapMeans,
  bootstrapP,
  mcnemar,
  percentileInterval,
  type Resampling,
} from "../statistics.ts";
import {
  type FactRow,
  fillersOf as fillersOfFacts,
  isEarned as isFactEarned,
  scoresOf,
  type Value,
} from "./fact-rows.ts";
import type { RelationRow } from "./relations.ts";

/** One run of a row. */
export type RowRun = {
  /** Left out where nothing was drawn: such a run is compared with each run of another row. */
  readonly seed?: number;
  readonly facts: readonly FactRow[];
  /** What it was run with, by name; printed below the tables. */
  readonly settings?: Readonly<Record<string, string | number | boolean>>;
};

/** Runs that differ in nothing but their seed. */
export type Row = {
  readonly name: string;
  /** Weight of the second loss term, for methods that have one. */
  readonly alpha?: number;
  readonly runs: readonly RowRun[];
};

/** Right with its own subject, and wrong with everything else that stood for it. */
export const isEarned: Value = (fact) =>
  Object.keys(fact.fillers).length === 0 ? undefined : Number(isFactEarned(fact));
/** How a table names a row. */
export const titleOf = ({ name, alpha }: Pick<Row, "name" | "alpha">): string =>
  alpha === undefined ? name : `${name} (alpha ${alpha})`;

/** Names of everything that stood for a subject, in the order of the files. */
export const fillersOf = (rows: readonly Row[]): string[] => [
  ...new Set(rows.flatMap(({ runs }) => runs.flatMap(({ facts }) => fillersOfFacts(facts)))),
];

/** A row's figures, each with its deviation over the runs. */
export type Figures = {
  readonly relations: ReadonlyMap<string, Spread>;
  readonly types: ReadonlyMap<string, Spread>;
  readonly all: Spread;
  readonly pooled: Spread;
};

/** Means over the relations that have a fact with a value; undefined where none has. */
export function figuresOf(
  relations: readonly RelationRow[],
  { runs }: Row,
  value: Value,
): Figures | undefined {
  const found = runs.map(({ facts }) => {
    const scores = scoresOf(facts, value);
    const asked = relations.filter(({ id }) => scores.has(id));
    if (asked.length === 0) return undefined;
    const shares = asked.map(({ id }) => [id, accuracy(scores.get(id)) ?? 0] as const);
    return { ...means(asked, scores), relations: new Map(shares) };
  });
  const own = found.filter((one) => one !== undefined);
  if (own.length < runs.length) return undefined;
  const over = (maps: readonly ReadonlyMap<string, number>[]): ReadonlyMap<string, Spread> =>
    new Map(
      [...maps[0].keys()].map((name) => [
        name,
        meanAndDeviation(maps.flatMap((one) => one.get(name) ?? [])),
      ]),
    );
  return {
    relations: over(own.map((one) => one.relations)),
    types: over(own.map(({ types }) => types)),
    all: meanAndDeviation(own.map(({ all }) => all)),
    pooled: meanAndDeviation(own.map(({ pooled }) => pooled)),
  };
}

/**
 * The rows with the facts of `relations` alone.
 * @throws one sentence for rows of one title, a row without runs, two runs of one seed, a relation without facts, a fact twice
 */
export function checkedRows(relations: readonly RelationRow[], rows: readonly Row[]): Row[] {
  const ids = new Set(relations.map(({ id }) => id));
  const titles = rows.map(titleOf);
  const twice = titles.find((title, i) => titles.indexOf(title) < i);
  if (twice !== undefined) {
    throw new Error(`[report] two rows are named ${printable(twice)}; give each its own name`);
  }
  return rows.map((row) => {
    if (row.runs.length === 0) {
      throw new Error(`[report] ${printable(titleOf(row))} has no runs; leave it out or run it`);
    }
    const seeds = row.runs.map(({ seed }) => seed);
    const again = seeds.findIndex((seed, i) => seeds.indexOf(seed) < i);
    if (again >= 0) {
      throw new Error(
        `[report] ${runName(row, row.runs[again])} is there twice; keep one of these runs`,
      );
    }
    const runs = row.runs.map((run) => {
      const facts = run.facts.filter(({ relation }) => ids.has(relation));
      const found = new Set<string>();
      for (const fact of facts) {
        const key = keyOf(fact);
        if (found.has(key)) {
          throw new Error(
            `[report] ${runName(row, run)} holds ${fact.relation}: ${printable(fact.subject)} > ${printable(fact.object)} twice; write its facts again`,
          );
        }
        found.add(key);
      }
      const asked = new Set(facts.map(({ relation }) => relation));
      const lacking = relations.find(({ id }) => !asked.has(id));
      if (lacking !== undefined) {
        throw new Error(
          `[report] ${runName(row, run)} has no fact of ${lacking.id}; ask it all relations, or leave that one out`,
        );
      }
      return { ...run, facts };
    });
    return { ...row, runs };
  });
}

const runName = (row: Row, { seed }: RowRun): string =>
  seed === undefined ? printable(titleOf(row)) : `${printable(titleOf(row))}, seed ${seed},`;

/** The test of one row against another. */
export type PairTest = {
  /** Points that the first is above the second. */
  readonly difference: number;
  readonly interval: readonly [low: number, high: number];
  /** Of the bootstrap on relation means, two-sided. */
  readonly p: number;
  /** The largest of McNemar's over runs of equal seed; undefined where no two have one. */
  readonly mcnemar: number | undefined;
  /** How many pairs of runs that was. */
  readonly pairs: number;
  /** Facts that a run of one of both lacks. */
  readonly leftOut: number;
};

/** A run's facts by their keys. */
type Answers = ReadonlyMap<string, FactRow>;

/** By fact, the mean over the runs of what is right; facts that a run lacks are not there. */
type ByFact = ReadonlyMap<string, { readonly relation: string; readonly value: number }>;

/** Draws facts anew, the same for all rows that were asked the same. */
export class Resampler {
  readonly #relations: readonly RelationRow[];
  readonly #resampling: Resampling;
  readonly #answers = new Map<RowRun, Answers>();
  readonly #byRow = new Map<Row, ByFact>();
  /** Means of the rows that share their facts. */
  readonly #shared: { readonly keys: ByFact; readonly means: Map<Row, Float64Array> }[] = [];

  constructor(relations: readonly RelationRow[], rows: readonly Row[], resampling: Resampling) {
    this.#relations = relations;
    this.#resampling = resampling;
    const alike: { keys: ByFact; rows: Row[] }[] = [];
    for (const row of rows) {
      for (const one of row.runs) {
        this.#answers.set(one, new Map(one.facts.map((fact) => [keyOf(fact), fact])));
      }
      const own = byFact(row.runs.map((one) => this.#answersOf(one)));
      this.#byRow.set(row, own);
      const found = alike.find(({ keys }) => sameKeys(keys, own));
      if (found) found.rows.push(row);
      else alike.push({ keys: own, rows: [row] });
    }
    for (const { keys, rows: some } of alike) {
      const drawn = this.#draw([...keys.keys()], some);
      this.#shared.push({ keys, means: new Map(some.map((row, i) => [row, drawn[i]])) });
    }
  }

  /** The interval of the row's "All", per cent. */
  interval(row: Row): [low: number, high: number] {
    const means = this.#shared.flatMap((one) => one.means.get(row) ?? []);
    return percentileInterval(means[0]);
  }

  test(first: Row, second: Row): PairTest {
    const [a, b] = [this.#of(first), this.#of(second)];
    const common = [...a.keys()].filter((key) => b.has(key));
    const shared = this.#shared.find(({ means }) => means.has(first))?.means;
    const known = [shared?.get(first), shared?.get(second)];
    const [one, other] = known.every((means) => means !== undefined)
      ? (known as Float64Array[])
      : this.#draw(common, [first, second]);
    const differences = one.map((value, i) => value - other[i]);
    const mean = (values: ByFact): number =>
      average(this.#groups(common, [values]).map(([own]) => average(own)));
    const ps = pairsOf(first, second).map(([left, right]) =>
      mcnemarOf(this.#answersOf(left), this.#answersOf(right)),
    );
    const asked = [...first.runs, ...second.runs].flatMap((one) => [
      ...this.#answersOf(one).keys(),
    ]);
    return {
      difference: 100 * (mean(a) - mean(b)),
      interval: percentileInterval(differences),
      p: bootstrapP(differences),
      mcnemar: ps.length === 0 ? undefined : Math.max(...ps),
      pairs: ps.length,
      leftOut: new Set(asked).size - common.length,
    };
  }

  #of(row: Row): ByFact {
    const found = this.#byRow.get(row);
    if (found === undefined) throw new Error(`[report] ${titleOf(row)} is none of these rows`);
    return found;
  }

  #answersOf(one: RowRun): Answers {
    return this.#answers.get(one) ?? new Map();
  }

  /** Values by relation and column. */
  #groups(keys: readonly string[], columns: readonly ByFact[]): number[][][] {
    const byRelation = groupBy(keys, (key) => columns[0].get(key)?.relation);
    return this.#relations.flatMap(({ id }) => {
      const own = byRelation.get(id);
      if (own === undefined) return [];
      return [columns.map((values) => own.map((key) => values.get(key)?.value ?? 0))];
    });
  }

  #draw(keys: readonly string[], rows: readonly Row[]): Float64Array[] {
    if (keys.length === 0) {
      const names = rows.map((row) => printable(titleOf(row))).join(" and ");
      throw new Error(
        `[report] no fact was asked in every run of ${names}; give runs about the same facts`,
      );
    }
    const columns = rows.map((row) => this.#of(row));
    const drawn = bootstrapMeans(this.#groups(keys, columns), this.#resampling);
    return drawn.map((means) => means.map((value) => 100 * value));
  }
}

const average = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

const sameKeys = (a: ByFact, b: ByFact): boolean =>
  a.size === b.size && [...a.keys()].every((key) => b.has(key));

function byFact(runs: readonly Answers[]): ByFact {
  const [first, ...others] = runs;
  const common = [...first.keys()].filter((key) => others.every((own) => own.has(key)));
  // one order, whichever file the facts came from
  return new Map(
    common.sort().map((key) => {
      const right = runs.filter((own) => own.get(key)?.own.right).length;
      return [key, { relation: first.get(key)?.relation ?? "", value: right / runs.length }];
    }),
  );
}

/** Runs of equal seed; one without a seed goes with each. */
const pairsOf = (first: Row, second: Row): (readonly [RowRun, RowRun])[] =>
  first.runs.flatMap((one) =>
    second.runs
      .filter(({ seed }) => seed === undefined || one.seed === undefined || seed === one.seed)
      .map((other) => [one, other] as const),
  );

function mcnemarOf(first: Answers, second: Answers): number {
  let [alone, other] = [0, 0];
  for (const [key, { own }] of first) {
    const theirs = second.get(key)?.own.right;
    if (theirs === undefined || theirs === own.right) continue;
    if (theirs) other++;
    else alone++;
  }
  return mcnemar(alone, other);
}
