/**
 * Tables of rows, computed from what each run answered about each fact: accuracy with its spread over seeds and over facts, what stands
 * beside accuracy, tests between rows, parts of the facts, and the paper's tables where the benchmark is the paper's.
 */

import { groupBy } from "../facts/group-by.ts";
import type { TestSplit } from "../facts/splits.ts";
import { added, typesOf } from "../scores.ts";
import { amongTen, isRight, reciprocalRank, rightWith, scoresOf, type Value } from "./fact-rows.ts";
import { spread } from "./figures.ts";
import { METHODS, TABLE_4_METHODS } from "./paper.ts";
import {
  isPaperBenchmark,
  PAPER_ALPHA,
  type RelationColumn,
  type Result,
  relationsTable,
  table1,
  table2,
} from "./paper-tables.ts";
import { inTableOrder, type RelationRow } from "./relations.ts";
import { NONE_FILLER } from "./results.ts";
import {
  checkedRows,
  type Figures,
  figuresOf,
  fillersOf,
  isEarned,
  type PairTest,
  Resampler,
  type Row,
  titleOf,
} from "./rows.ts";
import { type Cell, type Column, inWidth, type Table } from "./table.ts";

/** What a report holds beside accuracy. */
export type RowsOptions = {
  /** Parts of the test facts that each row is scored on too. */
  readonly splits?: readonly TestSplit[];
  /** Title of the row that every other is tested against; without it each is tested against each. */
  readonly against?: string | undefined;
  /** How often facts are drawn anew; 2,000 when left out. */
  readonly resamples?: number | undefined;
  /** What they are drawn by; 1 when left out. */
  readonly seed?: number | undefined;
  /**
   * Characters that a table's text may be wide, as far as its columns can be parted; 110 when left out. Infinity suits formats
   * that are not read as text.
   */
  readonly width?: number | undefined;
};

/** Title of the table of what is right without the subject. */
export const AUDIT_TITLE =
  "leak audit: still right (%) with this for the subject, the prompt being the same";

const left = (head: string): Column => ({ head, align: "left" });
const right = (head: string): Column => ({ head, align: "right" });

/**
 * All tables, in the order in which they are read.
 * @throws one sentence for rows that do not fit the relations or each other
 */
export function rowsReport(
  relations: readonly RelationRow[],
  rows: readonly Row[],
  options: RowsOptions = {},
): Table[] {
  if (rows.length === 0) throw new Error("[report] there are no rows; run a method first");
  const checked = checkedRows(relations, rows);
  const { resamples = 2000, seed = 1, width = 110, splits = [], against } = options;
  const fillers = fillersOf(checked);
  const resampler = new Resampler(relations, checked, { resamples, seed });
  const drawn = `95 % intervals: facts drawn anew within each relation, ${resamples} times by seed ${seed}, percentiles of the mean over relations.`;
  const withAlpha = checked
    .filter(({ alpha }) => alpha !== undefined)
    .sort((a, b) => (a.alpha ?? 0) - (b.alpha ?? 0));
  const tables = [
    {
      label: "Table 1",
      title: "accuracy on test facts (%), mean ± deviation over n seeds",
      ...accuracyTable(relations, checked, resampler),
      notes: [drawn, ...earnedNotes(checked), ...settingsNotes(checked)],
    },
    besideTable(relations, checked),
    ...(fillers.length === 0 ? [] : [auditTable(relations, checked, fillers)]),
    ...(withAlpha.length < 2
      ? []
      : [
          {
            label: "Table 2",
            title: "accuracy by alpha (%)",
            ...accuracyTable(relations, withAlpha, resampler),
          },
        ]),
    byRelation(relations, checked),
    ...(checked.length < 2 ? [] : [testsTable(checked, resampler, drawn, against)]),
    ...(splits.length === 0 ? [] : [splitsTable(relations, checked, splits)]),
    ...besidePaper(relations, checked),
  ];
  return tables.flatMap((table) => inWidth(table, width));
}

const spreadOf = (figures: Figures | undefined): Cell => (figures ? spread(figures.all) : null);

const intervalCell = ([low, high]: readonly [number, number]): Cell =>
  `[${low.toFixed(1)}, ${high.toFixed(1)}]`;

type Body = Pick<Table, "groups" | "rows">;

function accuracyTable(
  relations: readonly RelationRow[],
  rows: readonly Row[],
  resampler: Resampler,
): Body {
  const types = typesOf(relations);
  const heads = ["n", ...types, "All", "95 % interval", '"None"', "earned"];
  return {
    groups: [{ columns: [left("method"), ...heads.map(right)] }],
    rows: rows.map((row) => {
      const figures = figuresOf(relations, row, isRight);
      const byType = types.map((type): Cell => {
        const own = figures?.types.get(type);
        return own ? spread(own) : null;
      });
      return [
        titleOf(row),
        String(row.runs.length),
        ...byType,
        spreadOf(figures),
        intervalCell(resampler.interval(row)),
        spreadOf(figuresOf(relations, row, rightWith(NONE_FILLER))),
        spreadOf(figuresOf(relations, row, isEarned)),
      ];
    }),
  };
}

/** What "earned" was held against. */
function earnedNotes(rows: readonly Row[]): string[] {
  const groups = groupBy(rows, (row) =>
    fillersOf([row])
      .map((name) => `"${name}"`)
      .join(", "),
  );
  return [...groups]
    .filter(([fillers]) => fillers !== "")
    .map(([fillers, own]) => {
      const whose = groups.size > 1 ? ` (${own.map(titleOf).join("; ")})` : "";
      return `earned${whose}: right with the own subject and wrong with each of ${fillers} in its place.`;
    });
}

function settingsNotes(rows: readonly Row[]): string[] {
  return rows.flatMap((row) => {
    const settings = row.runs.map((run) => Object.entries(run.settings ?? {}));
    const names = [...new Set(settings.flatMap((own) => own.map(([name]) => name)))];
    if (names.length === 0) return [];
    const texts = names.map((name) => {
      const values = settings.flatMap((own) => own.filter(([key]) => key === name));
      return `${name} ${[...new Set(values.map(([, value]) => String(value)))].join(" or ")}`;
    });
    const seeds = row.runs.flatMap(({ seed }) => seed ?? []);
    const drawn = seeds.length === 0 ? [] : [`seed ${seeds.join(", ")}`];
    return [`${titleOf(row)}: ${[...texts, ...drawn].join("; ")}.`];
  });
}

function besideTable(relations: readonly RelationRow[], rows: readonly Row[]): Table {
  return {
    title: "beside accuracy (%)",
    groups: [{ columns: [left("method"), ...["MRR", "P@10", "pooled"].map(right)] }],
    rows: rows.map((row) => {
      const pooled = figuresOf(relations, row, isRight)?.pooled;
      return [
        titleOf(row),
        spreadOf(figuresOf(relations, row, reciprocalRank)),
        spreadOf(figuresOf(relations, row, amongTen)),
        pooled ? spread(pooled) : null,
      ];
    }),
    notes: [
      "MRR: mean of 100 / rank of the object; P@10: the object is among the first ten; means over relations.",
      "pooled: accuracy over facts.",
    ],
  };
}

/** What is right though something else stands for the subject. */
function auditTable(
  relations: readonly RelationRow[],
  rows: readonly Row[],
  fillers: readonly string[],
): Table {
  return {
    title: AUDIT_TITLE,
    groups: [
      { columns: [left("method")] },
      ...fillers.map((name) => ({ columns: [right(`"${name}"`)] })),
      { columns: [right("earned")] },
    ],
    rows: rows.map((row) => [
      titleOf(row),
      ...[...fillers.map(rightWith), isEarned].map((value) =>
        spreadOf(figuresOf(relations, row, value)),
      ),
    ]),
    notes: earnedNotes(rows),
  };
}

/** A column for each row; the paper's beside those that it lists. */
function byRelation(relations: readonly RelationRow[], rows: readonly Row[]): Table {
  const comparable = isPaperBenchmark(relations);
  const columns = rows.map((row): RelationColumn => {
    const figures = figuresOf(relations, row, isRight);
    const listed = isPaperRow(row) && TABLE_4_METHODS.find((method) => method === row.name);
    return {
      title: titleOf(row),
      method: comparable && listed ? listed : undefined,
      of: (id) => figures?.relations.get(id),
      all: figures?.all,
    };
  });
  return relationsTable(relations, columns);
}

const isPaperRow = ({ name, alpha }: Row): boolean =>
  (METHODS as readonly string[]).includes(name) && (alpha ?? PAPER_ALPHA) === PAPER_ALPHA;

/** `0.012`, `<0.001`. */
const pCell = (p: number | undefined): Cell =>
  p === undefined ? null : p < 0.001 ? "<0.001" : p.toFixed(3);

function testsTable(
  rows: readonly Row[],
  resampler: Resampler,
  drawn: string,
  against: string | undefined,
): Table {
  const chosen = rows.find((row) => titleOf(row) === against);
  if (against !== undefined && chosen === undefined) {
    throw new Error(
      `[report] there is no row ${against} to test against; choose among ${rows.map(titleOf).join(", ")}`,
    );
  }
  const pairs = chosen
    ? rows.filter((row) => row !== chosen).map((row) => [row, chosen] as const)
    : rows.flatMap((row, i) => rows.slice(i + 1).map((other) => [row, other] as const));
  const cells = ({ difference, interval, p, mcnemar, pairs: runs, leftOut }: PairTest): Cell[] => [
    `${difference < 0 ? "" : "+"}${difference.toFixed(1)}`,
    intervalCell(interval),
    pCell(p),
    pCell(mcnemar),
    String(runs),
    String(leftOut),
  ];
  const heads = ["diff", "95 % interval", "bootstrap p", "McNemar p", "pairs", "left out"];
  return {
    title: chosen ? `each row against ${against}` : "tests between rows",
    groups: [{ columns: [left("row"), ...(chosen ? [] : [left("against")]), ...heads.map(right)] }],
    rows: pairs.map(([first, second]) => [
      titleOf(first),
      ...(chosen ? [] : [titleOf(second)]),
      ...cells(resampler.test(first, second)),
    ]),
    notes: [
      drawn,
      "diff: points of All; bootstrap p: two-sided, the same facts drawn for both rows.",
      "McNemar p: exact, two-sided, over facts, the largest of the pairs of runs of equal seed (one without a seed goes with each).",
      "left out: facts that a run of one of both lacks. No p is corrected for the number of tests.",
    ],
  };
}

function splitsTable(
  relations: readonly RelationRow[],
  rows: readonly Row[],
  splits: readonly TestSplit[],
): Table {
  const within =
    (split: TestSplit): Value =>
    (fact) =>
      split.has(fact) ? isRight(fact) : undefined;
  const count = (split: TestSplit): string => {
    const counts = rows.flatMap(({ runs }) =>
      runs.map(({ facts }) => facts.filter((f) => split.has(f)).length),
    );
    const [least, most] = [Math.min(...counts), Math.max(...counts)];
    return least === most ? String(most) : `${least} to ${most}`;
  };
  const all: TestSplit = { name: "all", what: "", has: () => true };
  const parts = [all, ...splits];
  return {
    title: "parts of the test facts: accuracy (%), mean over the relations that have such facts",
    groups: [
      { columns: [left("method")] },
      ...parts.map(({ name }) => ({ columns: [right(name)] })),
    ],
    rows: [
      ["facts", ...parts.map(count)],
      ...rows.map((row) => [
        titleOf(row),
        ...parts.map((split) => spreadOf(figuresOf(relations, row, within(split)))),
      ]),
    ],
    rules: [1],
    notes: splits.map(({ what }) => `${what}.`),
  };
}

/** Tables 1 and 2 with the paper's figures and the differences, seeds added up. */
function besidePaper(relations: readonly RelationRow[], rows: readonly Row[]): Table[] {
  if (!isPaperBenchmark(relations)) return [];
  const results = rows.map(({ name, alpha, runs }): Result => {
    const none = runs.map(({ facts }) => scoresOf(facts, rightWith(NONE_FILLER)));
    const isAsked = none.every((scores) => relations.every(({ id }) => scores.has(id)));
    return {
      row: name,
      ...(alpha === undefined ? {} : { alpha }),
      scores: added(runs.map(({ facts }) => scoresOf(facts, isRight))),
      ...(isAsked ? { none: added(none) } : {}),
    };
  });
  const ordered = inTableOrder(relations);
  return [
    { ...table1(ordered, results), label: "Table 1", title: "beside the paper's (%)" },
    { ...table2(ordered, results), label: "Table 2", title: "beside the paper's (%)" },
  ];
}
