import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Fact, Relation } from "../../promptgen/facts/facts.ts";
import { TABLE_1, TABLE_4 } from "../../promptgen/report/paper.ts";
import {
  isPaperBenchmark,
  majorityObject,
  majorityScores,
  means,
  type RelationRow,
  relationRows,
  report,
  type Scores,
  table1,
  table2,
  table4,
  typesOf,
} from "../../promptgen/report/report.ts";

const facts = (...objects: string[]): Fact[] =>
  objects.map((object, i) => ({ subject: `s${i}`, object }));

const relation = (id: string, type: string, train: Fact[], test: Fact[]): Relation => ({
  id,
  label: `label of ${id}`,
  type,
  template: "[X] [Y]",
  train,
  dev: train,
  test,
});

const RELATIONS = [
  relation("B", "symmetric", facts("y", "x", "x"), facts("x", "x", "x", "y")),
  relation("A", "N-M", facts("b", "a", "a", "b"), facts("b", "a")),
  relation("C", "N-1", facts("z"), facts("w")),
];

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

const figures = suite("figures");

figures("the majority object is the most frequent one; a tie goes to the first", () => {
  assert.is(majorityObject(facts("y", "x", "x")), "x");
  assert.is(majorityObject(facts("b", "a", "a", "b")), "b");
  assert.throws(() => majorityObject([]), /no facts/);
});

figures("the majority row answers test facts from training facts", () => {
  assert.equal(
    [...majorityScores(RELATIONS)],
    [
      ["B", { correct: 3, total: 4 }],
      ["A", { correct: 1, total: 2 }],
      ["C", { correct: 0, total: 1 }],
    ],
  );
});

figures("means are over relations by type, pooled over facts", () => {
  const { types, all, pooled } = means(RELATIONS, majorityScores(RELATIONS));
  assert.equal(
    [...types],
    [
      ["N-1", 0],
      ["N-M", 50],
      ["symmetric", 75],
    ],
  );
  assert.is(all, 125 / 3);
  assert.is(pooled, 400 / 7);
});

figures("types come in the paper's order, then by name", () => {
  const types = ["zig", "N-M", "1-1", "alpha", "N-1", "N-M"].map((type) => ({ type }));
  assert.equal(typesOf(types), ["1-1", "N-1", "N-M", "alpha", "zig"]);
});

figures("a relation without scores is an error", () => {
  assert.throws(() => means(RELATIONS, new Map()), /relation B has no scored fact/);
  const empty = new Map([["B", { correct: 0, total: 0 }]]);
  assert.throws(() => means(RELATIONS.slice(0, 1), empty), /relation B has no scored fact/);
  assert.throws(() => means([], new Map()), /no relations/);
});

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
  const text = table1(PAPER_ROWS, [{ method: "Manual", scores: better }]);
  const [, ours, paper, difference] = line(text, "Manual").split("|");
  assert.match(ours ?? "", /69\.0 +33\.4 +25\.7 +32\.1 +32\.\d/);
  assert.match(paper ?? "", /68\.0 32\.4 24\.7 31\.1/);
  assert.match(difference ?? "", /\+1\.0 +\+1\.0 +\+1\.0 +\+1\.0/);
  assert.match(line(text, "LPAQA"), /\| not run +\| 65\.0 35\.9 27\.9 34\.1 \| +- +- +- +-$/);
  assert.not.match(text, /no difference is taken/);
});

tables("the majority row stands first, another alpha in a row of its own", () => {
  const scores = column(0);
  const text = table1(PAPER_ROWS, [
    { method: "PromptGen", alpha: 0, scores },
    { method: "Majority", scores },
    { method: "PromptGen", alpha: 0.3, scores },
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
  const text = table2(PAPER_ROWS, [{ method: "PromptGen", alpha: 0.3, scores: column(4), none }]);
  assert.match(
    line(text, "alpha 0.3"),
    /\| +56\.9 +53\.4 +44\.7 +50\.2 +2\.0 .* 0\.0 \| .*\+2\.0$/,
  );
  for (const alpha of ["0 ", "0.2", "0.4"]) assert.match(line(text, `alpha ${alpha}`), /not run/);
  const other = table2(PAPER_ROWS, [{ method: "PromptGen", alpha: 0.25, scores: column(4) }]);
  assert.match(line(other, "alpha 0.25"), /- +5\d\.\d \| +- /);
});

tables("Table 4 compares relation by relation and notes the misprint", () => {
  const text = table4(PAPER_ROWS, [{ method: "LPAQA", scores: column(1) }]);
  assert.match(line(text, "P1376"), /233 \| +- +73\.8 +- \| +67\.8 +67\.8 +0\.0 \|/);
  assert.match(text, /Manual: not run/);
  assert.match(line(text, "All"), /\| +34\.\d +34\.1 +\S+ \|/);
  assert.match(text, /P264: the paper prints 5\.6/);
});

tables("other relations are reported in full, without a difference", () => {
  const rows = relationRows(RELATIONS);
  const text = report(rows, [{ method: "Manual", scores: majorityScores(RELATIONS) }]);
  assert.match(
    line(text, "Manual "),
    /\| +0\.0 +50\.0 +75\.0 +41\.7 +57\.1 \| 32\.4 +24\.7 +- 31\.1 \|/,
  );
  assert.match(line(text, "B "), /symmetric label of B +4 \| +75\.0 +- +- \|/);
  assert.match(text, /no difference is taken/);
});

tables("every row of a table is as wide as its columns say", () => {
  const text = table4(PAPER_ROWS, []);
  const bars = (row: string) => [...row.matchAll(/\|/g)].map(({ index }) => index).join();
  const [, titles = "", head = "", , ...body] = text.split("\n").slice(0, 45);
  assert.is(bars(titles), bars(head));
  for (const row of body) assert.is(bars(row), bars(head), row);
});

for (const one of [figures, tables]) one.run();
