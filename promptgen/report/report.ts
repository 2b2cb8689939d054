/**
 * The tables of the paper as text: what was measured, the paper's figure, the difference.
 *
 * A relation's score is correct / total. A mean is over relations, not facts (the paper's "All" is
 * the mean of 41 accuracies); the pooled figure, over facts, stands beside it. All figures are per
 * cent.
 */
import type { Fact, Relation } from "../facts/facts.ts";
import { METHODS, TABLE_1, TABLE_2, TABLE_4, TABLE_4_METHODS } from "./paper.ts";

/** Answers counted on one relation. Several seeds of one method are added up. */
export interface Score {
  correct: number;
  total: number;
}

/** Scores by relation id. */
export type Scores = ReadonlyMap<string, Score>;

/** What a table says of a relation; `facts` is the number of its test facts. */
export interface RelationRow {
  id: string;
  label: string;
  type: string;
  facts: number;
}

/**
 * One measured method. Table 1's rows are named by `METHODS`; other names make rows of their own.
 */
export interface Result {
  method: string;
  /** Weight of the second loss term (PromptGen only). */
  alpha?: number;
  scores: Scores;
  /** Scores with "None" for the subject. */
  none?: Scores;
}

/** Means over relations by type and over all, and the share of correct facts. */
export interface Means {
  types: ReadonlyMap<string, number>;
  all: number;
  pooled: number;
}

const PAPER_ALPHA = 0.3;
const NOT_COMPARABLE =
  "The test facts are not the paper's 41 relations with 34,017 facts: its figures stand for orientation, no difference is taken.";

/** Rows of a fact set, for the tables. */
export function relationRows(relations: readonly Relation[]): RelationRow[] {
  return relations.map(({ id, label, type, test }) => ({ id, label, type, facts: test.length }));
}

/** Types in the paper's order, then any others by name. */
export function typesOf(relations: readonly { type: string }[]): string[] {
  const order = ["1-1", "N-1", "N-M"];
  const rank = (type: string) => (order.includes(type) ? order.indexOf(type) : order.length);
  return [...new Set(relations.map(({ type }) => type))].sort(
    (a, b) => rank(a) - rank(b) || (a < b ? -1 : 1),
  );
}

/** Means of `scores` over `relations`. Throws when a relation has no score or no facts. */
export function means(relations: readonly { id: string; type: string }[], scores: Scores): Means {
  const accuracy = new Map<string, number>();
  let correct = 0;
  let total = 0;
  for (const { id } of relations) {
    const score = scores.get(id);
    if (score === undefined || !(score.total > 0)) {
      throw new Error(
        `[report] relation ${id} has no scored fact; score every relation or leave it out`,
      );
    }
    accuracy.set(id, (100 * score.correct) / score.total);
    correct += score.correct;
    total += score.total;
  }
  if (relations.length === 0) throw new Error("[report] there are no relations to average over");
  const over = (ids: readonly { id: string }[]) =>
    ids.reduce((sum, { id }) => sum + (accuracy.get(id) ?? 0), 0) / ids.length;
  const types = typesOf(relations).map(
    (type) => [type, over(relations.filter((relation) => relation.type === type))] as const,
  );
  return { types: new Map(types), all: over(relations), pooled: (100 * correct) / total };
}

/** The most frequent object; of equally frequent ones the first. Throws for no facts. */
export function majorityObject(facts: readonly Fact[]): string {
  const times = new Map<string, number>();
  for (const { object } of facts) times.set(object, (times.get(object) ?? 0) + 1);
  let best: string | undefined;
  for (const [object, n] of times) if (n > (times.get(best ?? "") ?? 0)) best = object;
  if (best === undefined) throw new Error("[report] no facts, so no most frequent object");
  return best;
}

/** Scores of answering every test fact with the relation's most frequent training object. */
export function majorityScores(relations: readonly Relation[]): Map<string, Score> {
  return new Map(
    relations.map(({ id, train, test }) => {
      const answer = majorityObject(train);
      const correct = test.filter(({ object }) => object === answer).length;
      return [id, { correct, total: test.length }] as const;
    }),
  );
}

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
export function table1(relations: readonly RelationRow[], results: readonly Result[]): string {
  const named = (method: string) =>
    results.find(
      (result) => result.method === method && (result.alpha ?? PAPER_ALPHA) === PAPER_ALPHA,
    );
  const rows: MeanRow[] = METHODS.map((method) => ({
    name: method,
    result: named(method),
    paper: paperMeans(TABLE_1[method]),
  }));
  for (const result of results) {
    const isRow = (METHODS as readonly string[]).includes(result.method);
    if (isRow && named(result.method) === result) continue;
    const alpha = result.alpha === undefined ? "" : ` (alpha ${result.alpha})`;
    const row = { name: `${result.method}${alpha}`, result, paper: undefined };
    if (isRow) rows.push(row);
    else
      rows.splice(
        rows.findIndex(({ name }) => name === METHODS[0]),
        0,
        row,
      );
  }
  return `Table 1: accuracy on test facts (%)\n${meansTable("method", relations, rows, false)}`;
}

/** Table 2: PromptGen by alpha, with the accuracy when "None" stands for the subject. */
export function table2(relations: readonly RelationRow[], results: readonly Result[]): string {
  const ours = results.filter(({ method, alpha }) => method === "PromptGen" && alpha !== undefined);
  const alphas = new Set([...TABLE_2.map(({ alpha }) => alpha), ...ours.map((r) => r.alpha ?? 0)]);
  const rows = [...alphas]
    .sort((a, b) => a - b)
    .map((alpha): MeanRow => {
      const paper = TABLE_2.find((row) => row.alpha === alpha);
      return {
        name: `alpha ${alpha}`,
        result: ours.find((result) => result.alpha === alpha),
        paper: paper && paperMeans(paper),
      };
    });
  return `Table 2: PromptGen by alpha (%)\n${meansTable("", relations, rows, true)}`;
}

/** Table 4: every relation, for the methods that the paper lists there. */
export function table4(relations: readonly RelationRow[], results: readonly Result[]): string {
  const columns = TABLE_4_METHODS.map((method, column) => ({
    method,
    column,
    result: results.find(
      (result) => result.method === method && (result.alpha ?? PAPER_ALPHA) === PAPER_ALPHA,
    ),
  }));
  const types = typesOf(relations);
  const sorted = [...relations].sort(
    (a, b) => types.indexOf(a.type) - types.indexOf(b.type) || (a.id < b.id ? -1 : 1),
  );
  const body = sorted.map((relation) => {
    const paper = TABLE_4.find(({ id }) => id === relation.id);
    const same = isPaperRelation(relation);
    const cells = columns.flatMap(({ column, result }) => {
      const score = result?.scores.get(relation.id);
      const ours = score === undefined ? undefined : (100 * score.correct) / score.total;
      return triple(ours, paper?.accuracy[column], same);
    });
    return [relation.id, relation.type, shorten(relation.label), String(relation.facts), ...cells];
  });
  const all = columns.flatMap(({ method, result }) =>
    triple(
      result && means(relations, result.scores).all,
      TABLE_1[method].All,
      isPaperBenchmark(relations),
    ),
  );
  body.push(["All", "", "mean over relations", "", ...all]);
  const head = ["relation", "type", "label", "facts"];
  const groups = [
    { title: "", width: 4 },
    ...columns.map(({ method, result }) => ({
      title: result ? method : `${method}: not run`,
      width: 3,
    })),
  ];
  for (const _ of columns) head.push("run", "paper", "diff");
  const notes = relations.every(isPaperRelation) ? [] : [NOT_COMPARABLE];
  if (relations.some(({ id }) => id === "P264")) {
    notes.push("P264: the paper prints 5.6 for PromptGen; its means by type fit 45.6.");
  }
  return ["Table 4: accuracy by relation (%)", layout(groups, head, body, 3), ...notes].join("\n");
}

/** Tables 1, 2 and 4, one after the other. */
export function report(relations: readonly RelationRow[], results: readonly Result[]): string {
  return [table1, table2, table4].map((table) => table(relations, results)).join("\n\n");
}

interface MeanRow {
  name: string;
  result: Result | undefined;
  paper: ReadonlyMap<string, number> | undefined;
}

/** Figures of a paper row by column name. */
function paperMeans(row: object): Map<string, number> {
  return new Map(Object.entries(row) as [string, number][]);
}

function meansTable(
  first: string,
  relations: readonly RelationRow[],
  rows: readonly MeanRow[],
  withNone: boolean,
): string {
  const columns = [...typesOf(relations), "All", ...(withNone ? ["None"] : [])];
  const comparable = isPaperBenchmark(relations);
  const body = rows.map(({ name, result, paper }) => {
    const ours = result && figures(relations, result);
    const measured = ours
      ? [...columns, "pooled"].map((column) => percent(ours.get(column)))
      : ["not run", ...columns.map(() => "")];
    const printed = columns.map((column) => percent(paper?.get(column)));
    const differences = columns.map((column) =>
      difference(ours?.get(column), comparable ? paper?.get(column) : undefined),
    );
    return [name, ...measured, ...printed, ...differences];
  });
  const groups = [
    { title: "", width: 1 },
    { title: "this run", width: columns.length + 1 },
    { title: "paper", width: columns.length },
    { title: "difference", width: columns.length },
  ];
  const head = [first, ...columns, "pooled", ...columns, ...columns];
  const text = layout(groups, head, body, 1);
  return comparable ? text : `${text}\n${NOT_COMPARABLE}`;
}

function figures(relations: readonly RelationRow[], result: Result): Map<string, number> {
  const { types, all, pooled } = means(relations, result.scores);
  const found = new Map([...types, ["All", all], ["pooled", pooled]] as [string, number][]);
  if (result.none) found.set("None", means(relations, result.none).all);
  return found;
}

function triple(ours: number | undefined, paper: number | undefined, same: boolean): string[] {
  return [percent(ours), percent(paper), difference(ours, same ? paper : undefined)];
}

function percent(value: number | undefined): string {
  return value === undefined ? "-" : value.toFixed(1);
}

function difference(ours: number | undefined, paper: number | undefined): string {
  if (ours === undefined || paper === undefined) return "-";
  const text = (ours - paper).toFixed(1);
  if (text === "0.0" || text === "-0.0") return "0.0";
  return ours > paper ? `+${text}` : text;
}

function shorten(label: string): string {
  return label.length > 28 ? `${label.slice(0, 27)}.` : label;
}

/**
 * Aligned columns: the first `left` to the left, the rest to the right, under titles that span
 * `width` columns.
 */
function layout(
  groups: readonly { title: string; width: number }[],
  head: readonly string[],
  body: readonly (readonly string[])[],
  left: number,
): string {
  const widths = head.map((title, i) =>
    Math.max(title.length, ...body.map((row) => (row[i] ?? "").length)),
  );
  let from = 0;
  for (const { title, width } of groups) {
    const last = from + width - 1;
    const span = spanOf(widths, from, width);
    if (title.length > span) widths[last] = (widths[last] ?? 0) + title.length - span;
    from += width;
  }
  const starts = new Set(groups.map((_, g) => groups.slice(0, g).reduce((n, x) => n + x.width, 0)));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) => {
        const text = i < left ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0);
        return i === 0 ? text : (starts.has(i) ? " | " : " ") + text;
      })
      .join("")
      .trimEnd();
  let column = 0;
  const titles = groups.map(({ title, width }) => {
    const text = title.padEnd(spanOf(widths, column, width));
    column += width;
    return text;
  });
  const top = titles.join(" | ").trimEnd();
  const rule = "-".repeat(Math.max(...[top, line(head), ...body.map(line)].map((x) => x.length)));
  return [top, line(head), rule, ...body.map(line)].join("\n");
}

function spanOf(widths: readonly number[], from: number, width: number): number {
  return widths.slice(from, from + width).reduce((sum, w) => sum + w, width - 1);
}
