/** Relations and scores that the tests of scores and tables share; small enough to check by hand. */
import type { Fact, Relation } from "../../../promptgen/facts/facts.ts";
import type { Scores } from "../../../promptgen/scores.ts";

export const facts = (...objects: string[]): Fact[] =>
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

export const RELATIONS = [
  relation("B", "symmetric", facts("y", "x", "x"), facts("x", "x", "x", "y")),
  relation("A", "N-M", facts("b", "a", "a", "b"), facts("b", "a")),
  relation("C", "N-1", facts("z"), facts("w")),
];

/** 75 %, 50 % and 0 % of the test facts of `RELATIONS`. */
export const SCORES: Scores = new Map([
  ["B", { correct: 3, total: 4 }],
  ["A", { correct: 1, total: 2 }],
  ["C", { correct: 0, total: 1 }],
]);
