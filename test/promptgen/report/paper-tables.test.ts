import { suite } from "uvu";
import * as assert from "uvu/assert";
import { TABLE_1, TABLE_4, TABLE_4_METHODS } from "../../../promptgen/report/paper.ts";
import {
  isPaperBenchmark,
  type Result,
  relationsTable,
  table1,
  table2,
} from "../../../promptgen/report/paper-tables.ts";
import { type RelationRow, relationRows } from "../../../promptgen/report/relations.ts";
import {
  FORMATS,
  type Format,
  printTable,
  printTables,
  type Table,
} from "../../../promptgen/report/table.ts";
import { accuracy, means, type Scores } from "../../../promptgen/scores.ts";
import { RELATIONS, SCORES } from "./world.ts";

const PAPER_ROWS: RelationRow[] = TABLE_4.map(({ id, type, facts }) => ({
  id,
  type,
  facts,
  label: id,
}));

/** Scores that are the paper's own column of Table 4, to a tenth. */
const column = (index: number): Scores =>
  new Map(TABLE_4.map(({ id, accuracy }) => [id, { correct: accuracy[index] ?? 0, total: 100 }]));

const line = (text: string, start: string): string =>
  text.split("\n").find((row) => row.startsWith(start)) ?? `no line starts with ${start}`;

/** The paper's columns of Table 4, and what was measured of them. */
const table4 = (rows: readonly RelationRow[], results: readonly Result[]): Table =>
  relationsTable(
    rows,
    TABLE_4_METHODS.map((method) => {
      const result = results.find(({ row }) => row === method);
      const alone = (mean: number | undefined) =>
        mean === undefined ? undefined : { mean, deviation: undefined };
      return {
        title: result ? method : `${method}: not run`,
        method,
        of: (id: string) => alone(accuracy(result?.scores.get(id))),
        all: alone(result && means(rows, result.scores).all),
      };
    }),
  );

const tablesOf = (rows: readonly RelationRow[], results: readonly Result[]): Table[] =>
  [table1, table2, table4].map((table) => table(rows, results));
const report = (rows: readonly RelationRow[], results: readonly Result[], format?: Format) =>
  printTables(tablesOf(rows, results), format);

const text1 = (rows: readonly RelationRow[], results: readonly Result[]): string =>
  printTable(table1(rows, results));
const text2 = (rows: readonly RelationRow[], results: readonly Result[]): string =>
  printTable(table2(rows, results));
const text4 = (rows: readonly RelationRow[], results: readonly Result[]): string =>
  printTable(table4(rows, results));

const figures = suite("figures");

figures("the paper's columns average to its Table 1 (but for PromptGen's)", () => {
  for (const [index, method] of (["Manual", "LPAQA", "AutoPrompt (5 [T]s)"] as const).entries()) {
    const { types, all } = means(PAPER_ROWS, column(index));
    for (const [name, value] of [...types, ["All", all] as const]) {
      const printed = TABLE_1[method][name as "All"];
      assert.ok(Math.abs(value - printed) < 0.1, `${method} ${name}: ${value} and ${printed}`);
    }
  }
});

figures("only the paper's relations, types and counts are its benchmark", () => {
  assert.ok(isPaperBenchmark(PAPER_ROWS));
  assert.not(isPaperBenchmark(PAPER_ROWS.slice(1)));
  assert.not(isPaperBenchmark(PAPER_ROWS.map((row) => ({ ...row, facts: row.facts + 1 }))));
  assert.not(isPaperBenchmark(relationRows(RELATIONS)));
});

const tables = suite("tables");

tables("Table 1 has ours, the paper's and the difference; the rest was not run", () => {
  const better = new Map([...column(0)].map(([id, s]) => [id, { ...s, correct: s.correct + 1 }]));
  const text = text1(PAPER_ROWS, [{ row: "Manual", scores: better }]);
  const [, ours, paper, difference] = line(text, "Manual").split("|");
  assert.match(ours ?? "", /69\.0 +33\.4 +25\.7 +32\.1 +32\.\d/);
  assert.match(paper ?? "", /68\.0 32\.4 24\.7 31\.1/);
  assert.match(difference ?? "", /\+1\.0 +\+1\.0 +\+1\.0 +\+1\.0/);
  assert.match(line(text, "LPAQA"), /\| not run +\| 65\.0 35\.9 27\.9 34\.1 \| +- +- +- +-$/);
  assert.not.match(text, /no difference is taken/);
});

tables("the majority row stands first, another alpha in a row of its own", () => {
  const scores = column(0);
  const text = text1(PAPER_ROWS, [
    { row: "PromptGen", alpha: 0, scores },
    { row: "Majority", scores },
    { row: "PromptGen", alpha: 0.3, scores },
  ]);
  const names = text
    .split("\n")
    .slice(4)
    .map((row) => row.split("|")[0]?.trim());
  assert.is(names[0], "Majority");
  assert.is(names.at(-1), "PromptGen (alpha 0)");
  assert.match(line(text, "PromptGen  "), /\| +68\.0 .*54\.8 55\.3 44\.0 51\.0 \| \+13\.2/);
});

tables("Table 2 lists the paper's alphas and ours, with None", () => {
  const none: Scores = new Map(TABLE_4.map(({ id }) => [id, { correct: 1, total: 50 }]));
  const text = text2(PAPER_ROWS, [{ row: "PromptGen", alpha: 0.3, scores: column(4), none }]);
  assert.match(
    line(text, "alpha 0.3"),
    /\| +56\.9 +53\.4 +44\.7 +50\.2 +2\.0 .* 0\.0 \| .*\+2\.0$/,
  );
  for (const alpha of ["0 ", "0.2", "0.4"]) assert.match(line(text, `alpha ${alpha}`), /not run/);
  const other = text2(PAPER_ROWS, [{ row: "PromptGen", alpha: 0.25, scores: column(4) }]);
  assert.match(line(other, "alpha 0.25"), /- +5\d\.\d \| +- /);
});

tables("Table 2 is PromptGen's, whatever else has an alpha", () => {
  const other: Result = { row: "T5 search", alpha: 0.25, scores: column(1) };
  const names = table2(PAPER_ROWS, [other]).rows.map(([name]) => name);
  assert.equal(names, ["alpha 0", "alpha 0.2", "alpha 0.3", "alpha 0.4"]);
});

tables("Table 4 compares relation by relation and notes the misprint", () => {
  const text = text4(PAPER_ROWS, [{ row: "LPAQA", scores: column(1) }]);
  assert.match(line(text, "P1376"), /233 \| +- +73\.8 +- \| +67\.8 +67\.8 +0\.0 \|/);
  assert.match(text, /Manual: not run/);
  assert.match(line(text, "All"), /\| +34\.\d +34\.1 +\S+ \|/);
  assert.match(text, /P264: the paper prints 5\.6/);
});

tables("other relations are reported in full, without a difference", () => {
  const rows = relationRows(RELATIONS);
  const text = report(rows, [{ row: "Manual", scores: SCORES }]);
  assert.match(
    line(text, "Manual "),
    /\| +0\.0 +50\.0 +75\.0 +41\.7 +57\.1 \| 32\.4 +24\.7 +- 31\.1 \|/,
  );
  assert.match(line(text, "B "), /symmetric label of B +4 \| +75\.0 +- +- \|/);
  assert.match(text, /no difference is taken/);
});

tables("every row of a table is as wide as its columns say", () => {
  const text = text4(PAPER_ROWS, []);
  const bars = (row: string) => [...row.matchAll(/\|/g)].map(({ index }) => index).join();
  const [, titles = "", head = "", , ...body] = text.split("\n").slice(0, 45);
  assert.is(bars(titles), bars(head));
  for (const row of body) assert.is(bars(row), bars(head), row);
});

tables("the text is the one that stood here before there was a printer", () => {
  const results: Result[] = [
    { row: "Manual", scores: SCORES },
    { row: "a method of ours", scores: SCORES },
    { row: "PromptGen", alpha: 0.3, scores: SCORES, none: SCORES },
  ];
  assert.is(
    report(relationRows(RELATIONS), results),
    `Table 1: accuracy on test facts (%)
                     | this run                           | paper                    | difference
method               |     N-1  N-M symmetric  All pooled |  N-1  N-M symmetric  All | N-1 N-M symmetric All
------------------------------------------------------------------------------------------------------------
a method of ours     |     0.0 50.0      75.0 41.7   57.1 |    -    -         -    - |   -   -         -   -
Manual               |     0.0 50.0      75.0 41.7   57.1 | 32.4 24.7         - 31.1 |   -   -         -   -
LPAQA                | not run                            | 35.9 27.9         - 34.1 |   -   -         -   -
Gao et al. (2021)    | not run                            | 12.7  8.5         - 11.4 |   -   -         -   -
AutoPrompt (5 [T]s)  | not run                            | 46.5 34.0         - 42.2 |   -   -         -   -
OptiPrompt (5 [V]s)  | not run                            | 53.1 39.4         - 47.6 |   -   -         -   -
OptiPrompt (10 [V]s) | not run                            | 53.2 39.2         - 48.1 |   -   -         -   -
OptiPrompt (manual)  | not run                            | 54.1 40.1         - 48.6 |   -   -         -   -
PromptGen            |     0.0 50.0      75.0 41.7   57.1 | 55.3 44.0         - 51.0 |   -   -         -   -
The test facts are not the paper's 41 relations with 34,017 facts: its figures stand for orientation, no difference is taken.

Table 2: PromptGen by alpha (%)
          | this run                                | paper                         | difference
          |     N-1  N-M symmetric  All None pooled |  N-1  N-M symmetric  All None | N-1 N-M symmetric All None
----------------------------------------------------------------------------------------------------------------
alpha 0   | not run                                 | 53.9 43.1         - 49.7 48.1 |   -   -         -   -    -
alpha 0.2 | not run                                 | 53.5 43.3         - 49.6  0.0 |   -   -         -   -    -
alpha 0.3 |     0.0 50.0      75.0 41.7 41.7   57.1 | 55.3 44.0         - 51.0  0.0 |   -   -         -   -    -
alpha 0.4 | not run                                 | 49.3 38.4         - 44.9  0.0 |   -   -         -   -    -
The test facts are not the paper's 41 relations with 34,017 facts: its figures stand for orientation, no difference is taken.

Table 4: accuracy by relation (%)
                                             | Manual          | LPAQA: not run | AutoPrompt (5 [T]s): not run | OptiPrompt (manual): not run | PromptGen
relation type      label               facts |  run paper diff | run paper diff | run paper               diff | run paper               diff |  run paper diff
---------------------------------------------------------------------------------------------------------------------------------------------------------------
C        N-1       label of C              1 |  0.0     -    - |   -     -    - |   -     -                  - |   -     -                  - |  0.0     -    -
A        N-M       label of A              2 | 50.0     -    - |   -     -    - |   -     -                  - |   -     -                  - | 50.0     -    -
B        symmetric label of B              4 | 75.0     -    - |   -     -    - |   -     -                  - |   -     -                  - | 75.0     -    -
All                mean over relations       | 41.7  31.1    - |   -  34.1    - |   -  42.2                  - |   -  48.6                  - | 41.7  51.0    -
The test facts are not the paper's 41 relations with 34,017 facts: its figures stand for orientation, no difference is taken.`,
  );
});

tables("a method of any name has a row, with its alpha where it has one", () => {
  const none = SCORES;
  const table = table1(relationRows(RELATIONS), [
    { row: "OptiPrompt (7 [V]s)", scores: SCORES },
    { row: "T5 search", alpha: 0.3, scores: SCORES, none },
  ]);
  const names = table.rows.map(([name]) => name);
  assert.equal(names.slice(0, 3), ["OptiPrompt (7 [V]s)", "T5 search (alpha 0.3)", "Manual"]);
});

tables("text cuts a long label, a file for programs keeps it", () => {
  const label = "a label that is longer than twenty-eight characters";
  const rows = relationRows(RELATIONS).map((row) => ({ ...row, label }));
  const table = table4(rows, []);
  assert.match(printTable(table), /N-M +a label that is longer than\. +2 /);
  assert.match(printTable(table, "csv"), new RegExp(`A,N-M,${label},2,`));
});

tables("every format holds every figure that was measured", () => {
  const results: Result[] = [{ row: "LPAQA", scores: column(1) }];
  const cells = ({ rows }: Table) => rows.flat().filter((cell) => /^\d/.test(cell ?? ""));
  for (const format of FORMATS) {
    const text = report(PAPER_ROWS, results, format);
    for (const cell of tablesOf(PAPER_ROWS, results).flatMap(cells)) {
      assert.ok(text.includes(String(cell)), `${format}: ${cell}`);
    }
  }
});

for (const one of [figures, tables]) one.run();
