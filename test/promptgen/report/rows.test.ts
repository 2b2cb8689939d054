import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  amongTen,
  type FactAnswer,
  type FactRow,
  isRight,
  reciprocalRank,
  rightWith,
  type Value,
} from "../../../promptgen/report/fact-rows.ts";
import type { RelationRow } from "../../../promptgen/report/relations.ts";
import {
  checkedRows,
  figuresOf,
  isEarned,
  Resampler,
  type Row,
} from "../../../promptgen/report/rows.ts";
import { answers, type Marks, RELATIONS, run } from "./row-world.ts";

const near = (value: number | undefined, wanted: number, by = 1e-9): void =>
  assert.ok(Math.abs((value ?? Number.NaN) - wanted) <= by, `${value} and ${wanted}`);

/** Each run has one string a relation; see `run`. */
const row = (name: string, ...runs: [seed: number | undefined, marks: Marks][]): Row => ({
  name,
  runs: runs.map(([seed, marks]) => run(seed, marks)),
});

const figures = suite("figures of rows");

// A: 3 of 4, then 2 of 4; B: 1 of 2, then 2 of 2; C: 0 of 1, then 0 of 1
const TWO = row("two", [1, { A: "1110", B: "10", C: "0" }], [2, { A: "1001", B: "11", C: "0" }]);

figures("means over relations by type, their deviation over runs, pooled over facts", () => {
  const found = figuresOf(RELATIONS, TWO, isRight);
  assert.equal([...(found?.types.keys() ?? [])], ["1-1", "N-1"]);
  // A alone is 1-1: 75 and 50; N-1: (50 + 0) / 2 and (100 + 0) / 2
  near(found?.types.get("1-1")?.mean, 62.5);
  near(found?.types.get("1-1")?.deviation, 25 / Math.SQRT2);
  near(found?.types.get("N-1")?.mean, 37.5);
  near(found?.types.get("N-1")?.deviation, 25 / Math.SQRT2);
  // 125 / 3 and 150 / 3
  near(found?.all.mean, 275 / 6);
  near(found?.all.deviation, 25 / 3 / Math.SQRT2);
  near(found?.pooled.mean, 100 * (4 / 7));
  near(found?.relations.get("B")?.mean, 75);
});

figures("MRR and P@10 are means over relations of what each fact counts for", () => {
  // ranks: 1 where it is right, else 2 for the first fact of a relation, 3 for the second, ... ten times that for an x
  const one = row("one", [1, { A: "10x0", B: "0x", C: "1" }]);
  const a = (1 + 1 / 3 + 1 / 40 + 1 / 5) / 4;
  const b = (1 / 2 + 1 / 30) / 2;
  near(figuresOf(RELATIONS, one, reciprocalRank)?.all.mean, (100 * (a + b + 1)) / 3);
  near(figuresOf(RELATIONS, one, amongTen)?.all.mean, (100 * (3 / 4 + 1 / 2 + 1)) / 3);
});

figures("the tenth place is among the first ten, the eleventh is not", () => {
  const at = (rank: number): FactRow => ({ ...fact, own: { ...fact.own, rank } });
  assert.equal([at(10), at(11)].map(amongTen), [1, 0]);
});

const answer = (right: boolean): FactAnswer => ({ ...answers(right, 2), subject: "x" });
const fact: FactRow = {
  relation: "A",
  subject: "s",
  object: "o",
  prompt: "[X] [Y]",
  own: answer(true),
  top: [],
  fillers: {},
};

figures("earned is right with the own subject and wrong with every other", () => {
  const of = (own: boolean, ...others: boolean[]): FactRow => ({
    ...fact,
    own: answer(own),
    fillers: Object.fromEntries(others.map((right, i) => [`f${i}`, answer(right)])),
  });
  const cases: [FactRow, number | undefined][] = [
    [of(true, false, false), 1],
    [of(true, false, true), 0],
    [of(true, true, false), 0],
    [of(false, false, false), 0],
    [of(true), undefined],
  ];
  for (const [one, wanted] of cases) assert.is(isEarned(one), wanted);
});

figures("a filler counts where it was asked: facts and relations without it do not", () => {
  const some = (marks: string): FactRow[] =>
    run(1, { A: marks }).facts.map((one, i) =>
      i === 0 ? one : { ...one, fillers: { It: answer(marks[i] === "1") } },
    );
  const own: Row = {
    name: "own",
    runs: [{ facts: [...some("0110"), ...run(1, { B: "11" }).facts] }],
  };
  near(figuresOf(RELATIONS, own, rightWith("It"))?.all.mean, 100 * (2 / 3));
  assert.is(figuresOf(RELATIONS, own, rightWith("He")), undefined);
  assert.is(figuresOf(RELATIONS, own, rightWith("toString")), undefined);
  const nothing: Value = () => undefined;
  assert.is(figuresOf(RELATIONS, own, nothing), undefined);
});

const tests = suite("tests between rows");
const DRAWN = { resamples: 4000, seed: 1 };
const resampler = (...rows: Row[]) => new Resampler(RELATIONS, rows, DRAWN);

tests("an interval is that of facts whose value is the mean over runs", () => {
  const some: RelationRow[] = RELATIONS.slice(0, 1);
  // facts of 1 and 1/2: drawn twice 50, 75 (half of the time) or 100
  const own = row("own", [1, { A: "11" }], [2, { A: "10" }]);
  assert.equal(new Resampler(some, [own], DRAWN).interval(own), [50, 100]);
  const sure = row("sure", [1, { A: "1" }]);
  assert.equal(new Resampler(some, [sure], DRAWN).interval(sure), [100, 100]);
});

tests("the draws of two rows are the same: alike rows never differ", () => {
  const marks = { A: "1101", B: "10", C: "1" };
  const [first, second] = [row("first", [1, marks]), row("second", [1, marks])];
  const { difference, interval, p, mcnemar } = resampler(first, second).test(first, second);
  assert.equal([difference, interval, p, mcnemar], [0, [0, 0], 1, 1]);
});

tests("a difference is that of the means over relations, with its sign and its p", () => {
  const better = row("better", [1, { A: "1".repeat(20), B: "1".repeat(20), C: "1" }]);
  const worse = row("worse", [1, { A: "10".repeat(10), B: "1".repeat(20), C: "1" }]);
  const made = resampler(better, worse);
  const { difference, interval, p, leftOut } = made.test(better, worse);
  near(difference, 50 / 3);
  assert.equal([leftOut, p], [0, 2 / (DRAWN.resamples + 1)]);
  // ten of twenty, drawn twenty times: half of 20 plus or minus about 2 sqrt(5)
  near(interval[0], (100 * (10 - 4)) / 20 / 3, 2);
  near(interval[1], (100 * (10 + 4)) / 20 / 3, 2);
  const back = made.test(worse, better);
  near(back.difference, -50 / 3);
  near(back.interval[0], -interval[1]);
});

tests("McNemar pairs runs of equal seed and gives the largest p", () => {
  const first = row(
    "first",
    [1, { A: "1111111111", B: "1", C: "1" }],
    [2, { A: "1111100000", B: "1", C: "1" }],
    [3, { A: "1111110000", B: "1", C: "1" }],
  );
  const second = row(
    "second",
    [2, { A: "0000000000", B: "1", C: "1" }], // 5 against 0: 2 / 2^5
    [3, { A: "0000000000", B: "1", C: "1" }], // 6 against 0: 2 / 2^6
    [4, { A: "1111111111", B: "1", C: "1" }],
  );
  const { mcnemar, pairs } = resampler(first, second).test(first, second);
  assert.equal([mcnemar, pairs], [2 / 2 ** 5, 2]);
  const other = row("other", [9, { A: "1111111111", B: "1", C: "1" }]);
  const none = resampler(first, other).test(first, other);
  assert.equal([none.mcnemar, none.pairs], [undefined, 0]);
  // what draws nothing goes with every seed: 10, 5 and 6 against 0
  const fixed = row("fixed", [undefined, { A: "0000000000", B: "1", C: "1" }]);
  const each = resampler(first, fixed).test(first, fixed);
  assert.equal([each.mcnemar, each.pairs], [2 / 2 ** 5, 3]);
});

tests("both kinds of disagreement count, facts that both have right or wrong do not", () => {
  const first = row("first", [1, { A: "1111110000", B: "0", C: "1" }]);
  const second = row("second", [1, { A: "1100001000", B: "0", C: "1" }]);
  // 4 against 1 of 5: 2 (1 + 5) / 32
  near(resampler(first, second).test(first, second).mcnemar, 12 / 32, 1e-15);
});

tests("facts that a run of one of both lacks are left out of both, and counted", () => {
  const first = row("first", [1, { A: "1111", B: "10", C: "1" }]);
  // the second lacks two of A; its B has one that the first lacks
  const second = row("second", [1, { A: "00", B: "111", C: "1" }]);
  const found = resampler(first, second).test(first, second);
  assert.is(found.leftOut, 3);
  near(found.difference, (100 + (50 - 100) + 0) / 3);
  assert.is(found.mcnemar, 1); // 2 against 1: 2 (1 + 3) / 8
  const runs = row("runs", [1, { A: "11", B: "1", C: "1" }], [2, { A: "1111", B: "1", C: "1" }]);
  const full = row("full", [1, { A: "1111", B: "1", C: "1" }]);
  assert.is(resampler(runs, full).test(runs, full).leftOut, 2);
  const fewer: Row = { name: "fewer", runs: runs.runs.toReversed() };
  assert.is(resampler(fewer, full).test(fewer, full).leftOut, 2);
});

tests("a row's test is the same whatever rows stand beside it", () => {
  const [first, second, third] = [
    row("first", [1, { A: "1101011", B: "10", C: "1" }]),
    row("second", [1, { A: "0111000", B: "11", C: "1" }]),
    row("third", [1, { A: "1", B: "1", C: "1" }]),
  ];
  const alone = resampler(first, second);
  const beside = resampler(third, first, second);
  assert.equal(beside.test(first, second), alone.test(first, second));
  assert.equal(beside.interval(first), alone.interval(first));
});

tests("the order in which facts were written decides nothing", () => {
  const own = row("own", [1, { A: "1101000110101", B: "101100011", C: "1" }]);
  const runs = own.runs.map((one) => ({ ...one, facts: one.facts.toReversed() }));
  const turned: Row = { name: "turned", runs };
  const other = row("other", [1, { A: "0110010011101", B: "110011010", C: "0" }]);
  const few = (...rows: Row[]) => new Resampler(RELATIONS, rows, { resamples: 40, seed: 1 });
  assert.equal(few(turned).interval(turned), few(own).interval(own));
  assert.equal(few(turned, other).test(turned, other), few(own, other).test(own, other));
});

const refused = suite("rows that are refused");
const ALL = { A: "1", B: "1", C: "1" };
const said = (...rows: Row[]) => {
  try {
    checkedRows(RELATIONS, rows);
  } catch (error) {
    return (error as Error).message;
  }
  return "nothing";
};

refused("each with one sentence that names row, seed, relation and fact", () => {
  assert.is(said(row("a", [1, ALL]), row("b", [1, ALL])), "nothing");
  assert.match(said(row("a", [1, ALL]), row("a", [2, ALL])), /^\[report\] two rows are named a; /);
  assert.match(said(row("a")), /^\[report\] a has no runs; /);
  assert.match(said(row("a", [3, ALL], [3, ALL])), /^\[report\] a, seed 3, is there twice; /);
  assert.match(
    said(row("a", [3, { A: "1", C: "1" }])),
    /^\[report\] a, seed 3, has no fact of B; ask it all relations, /,
  );
  const { facts } = run(1, ALL);
  assert.match(
    said({ name: "a", runs: [{ facts: [...facts, facts[1]] }] }),
    /^\[report\] a holds B: B0 > o0 twice; /,
  );
});

refused("an alpha makes another row, a fact of another relation is not looked at", () => {
  const [first, second] = [0, 0.3].map((alpha) => ({ ...row("a", [1, ALL]), alpha }));
  assert.is(said(first, second), "nothing");
  const [checked] = checkedRows(RELATIONS.slice(1), [first]);
  assert.equal(
    checked.runs[0].facts.map(({ relation }) => relation),
    ["B", "C"],
  );
});

refused("rows about other facts cannot be tested", () => {
  const first = row("first", [1, ALL]);
  const moved = run(1, ALL).facts.map((one) => ({ ...one, subject: `other ${one.subject}` }));
  const second: Row = { name: "second", runs: [{ seed: 1, facts: moved }] };
  assert.throws(
    () => resampler(first, second).test(first, second),
    /no fact was asked in every run of first and second; /,
  );
});

for (const one of [figures, tests, refused]) one.run();
