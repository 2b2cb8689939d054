/**
 * Tables 1, 2 and 4 of the paper: what was measured, the paper's figure, the difference.
 *
 * They are made from relations and scores, whoever measured them; the paper's figures stand in `paper.ts`. A mean is
 * over relations, not facts; the pooled figure, over facts, stands beside it.
 */
import { means, type Scores, type Spread, typesOf } from "../scores.ts";
import { difference, percent, spread } from "./figures.ts";
import { METHODS, type Method, TABLE_1, TABLE_2, TABLE_4, TABLE_4_METHODS } from "./paper.ts";
import { inTableOrder, type RelationRow } from "./relations.ts";
import type { Cell, Column, Table } from "./table.ts";

/** What one method scored, or several seeds of it added up. */
export type Result = {
  /** A row of Table 1 where it is one of `METHODS`; any other name makes a row of its own. */
  readonly row: string;
  /** Weight of the second loss term, for methods that have one. */
  readonly alpha?: number;
  readonly scores: Scores;
  /** Scores with "None" for the subject. */
  readonly none?: Scores;
};

export const PAPER_ALPHA = 0.3;
const LABEL_WIDTH = 28;
const NOT_COMPARABLE =
  "The test facts are not the paper's 41 relations with 34,017 facts: its figures stand for orientation, " +
  "no difference is taken.";
const MISPRINT = "P264: the paper prints 5.6 for PromptGen; its means by type fit 45.6.";

const left = (head: string): Column => ({ head, align: "left" });
const right = (head: string): Column => ({ head, align: "right" });

/** True when the relations, their types and their numbers of test facts are those of the paper. */
export function isPaperBenchmark(relations: readonly RelationRow[]): boolean {
  const ids = new Set(relations.map(({ id }) => id));
  return ids.size === TABLE_4.length && relations.every(isPaperRelation);
}

function isPaperRelation(relation: RelationRow): boolean {
  const paper = TABLE_4.find(({ id }) => id === relation.id);
  return paper !== undefined && paper.type === relation.type && paper.facts === relation.facts;
}

/** Table 1: every method by relation type. */
export function table1(relations: readonly RelationRow[], results: readonly Result[]): Table {
  const others = results.filter((result) => resultOf(result.row, results) !== result);
  const toRow = (result: Result): MeanRow => ({
    name: result.alpha === undefined ? result.row : `${result.row} (alpha ${result.alpha})`,
    result,
    paper: undefined,
  });
  return {
    label: "Table 1",
    title: "accuracy on test facts (%)",
    ...meansTable("method", relations, false, [
      ...others.filter(({ row }) => !isMethod(row)).map(toRow),
      ...METHODS.map((method) => ({
        name: method,
        result: resultOf(method, results),
        paper: figuresOf(TABLE_1[method]),
      })),
      ...others.filter(({ row }) => isMethod(row)).map(toRow),
    ]),
  };
}

/** Table 2: PromptGen by alpha, with the accuracy when "None" stands for the subject. */
export function table2(relations: readonly RelationRow[], results: readonly Result[]): Table {
  const ours = results.filter(({ row, alpha }) => row === "PromptGen" && alpha !== undefined);
  const alphas = new Set([...TABLE_2, ...ours].map(({ alpha = PAPER_ALPHA }) => alpha));
  const rows = [...alphas]
    .sort((a, b) => a - b)
    .map((alpha): MeanRow => {
      const paper = TABLE_2.find((row) => row.alpha === alpha);
      return {
        name: `alpha ${alpha}`,
        result: ours.find((result) => result.alpha === alpha),
        paper: paper && figuresOf(paper),
      };
    });
  return {
    label: "Table 2",
    title: "PromptGen by alpha (%)",
    ...meansTable("", relations, true, rows),
  };
}

/** What one method scored on each relation. */
export type RelationColumn = {
  readonly title: string;
  /** Where the paper's figures and the differences stand beside it. */
  readonly method?: (typeof TABLE_4_METHODS)[number] | undefined;
  of(id: string): Spread | undefined;
  readonly all: Spread | undefined;
};

/** Accuracy by relation, a column for each method or three. */
export function relationsTable(
  relations: readonly RelationRow[],
  columns: readonly RelationColumn[],
): Table {
  const cells = (ours: Spread | undefined, paper: number | undefined, same: boolean): Cell[] => [
    ours === undefined ? null : spread(ours),
    percent(paper),
    difference(ours?.mean, same ? paper : undefined),
  ];
  const rows = inTableOrder(relations).map((relation) => {
    const paper = TABLE_4.find(({ id }) => id === relation.id);
    const same = isPaperRelation(relation);
    const figures = columns.flatMap(({ method, of }) => {
      const all = cells(of(relation.id), method && paper?.accuracy[columnOf(method)], same);
      return method === undefined ? all.slice(0, 1) : all;
    });
    return [relation.id, relation.type, relation.label, String(relation.facts), ...figures];
  });
  const comparable = isPaperBenchmark(relations);
  const over = columns.flatMap(({ method, all }) =>
    method === undefined
      ? cells(all, undefined, false).slice(0, 1)
      : cells(all, TABLE_1[method].All, comparable),
  );
  const label: Column = { ...left("label"), most: LABEL_WIDTH };
  const isBeside = columns.some(({ method }) => method !== undefined);
  return {
    label: "Table 4",
    title: "accuracy by relation (%)",
    groups: [
      { columns: [left("relation"), left("type"), label, right("facts")] },
      ...columns.map(({ title, method }) =>
        method === undefined
          ? { columns: [right(title)] }
          : { title, columns: ["run", "paper", "diff"].map(right) },
      ),
    ],
    rows: [...rows, ["All", "", "mean over relations", "", ...over]],
    notes: isBeside
      ? [
          ...(relations.every(isPaperRelation) ? [] : [NOT_COMPARABLE]),
          ...(relations.some(({ id }) => id === "P264") ? [MISPRINT] : []),
        ]
      : [],
  };
}

const columnOf = (method: (typeof TABLE_4_METHODS)[number]): number =>
  TABLE_4_METHODS.indexOf(method);

const isMethod = (row: string): row is Method => (METHODS as readonly string[]).includes(row);

/** What stands in the row of a method of the paper: its first result with the paper's alpha. */
function resultOf(row: string, results: readonly Result[]): Result | undefined {
  if (!isMethod(row)) return undefined;
  return results.find(
    (result) => result.row === row && (result.alpha ?? PAPER_ALPHA) === PAPER_ALPHA,
  );
}

type Figures = ReadonlyMap<string, number>;

/** A row of means: ours, the paper's, or both. */
type MeanRow = {
  readonly name: string;
  readonly result: Result | undefined;
  readonly paper: Figures | undefined;
};

/** A row of the paper by the names of its columns. */
const figuresOf = (row: Readonly<Record<string, number>>): Figures => new Map(Object.entries(row));

function measured(relations: readonly RelationRow[], { scores, none }: Result): Figures {
  const { types, all, pooled } = means(relations, scores);
  return new Map([
    ...types,
    ["All", all],
    ["pooled", pooled],
    ...(none ? ([["None", means(relations, none).all]] as const) : []),
  ]);
}

function meansTable(
  head: string,
  relations: readonly RelationRow[],
  withNone: boolean,
  rows: readonly MeanRow[],
): Table {
  const names = [...typesOf(relations), "All", ...(withNone ? ["None"] : [])];
  const comparable = isPaperBenchmark(relations);
  const cells = ({ name, result, paper }: MeanRow): Cell[] => {
    const ours = result && measured(relations, result);
    return [
      name,
      ...(ours
        ? [...names, "pooled"].map((column) => percent(ours.get(column)))
        : ["not run", ...names.map(() => "")]),
      ...names.map((column) => percent(paper?.get(column))),
      ...names.map((column) =>
        difference(ours?.get(column), comparable ? paper?.get(column) : undefined),
      ),
    ];
  };
  return {
    groups: [
      { columns: [left(head)] },
      { title: "this run", columns: [...names, "pooled"].map(right) },
      { title: "paper", columns: names.map(right) },
      { title: "difference", columns: names.map(right) },
    ],
    rows: rows.map(cells),
    notes: comparable ? [] : [NOT_COMPARABLE],
  };
}
