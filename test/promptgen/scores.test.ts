import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  accuracy,
  added,
  meanAndDeviation,
  means,
  type Scores,
  typesOf,
} from "../../promptgen/scores.ts";
import { RELATIONS, SCORES } from "./report/world.ts";

const test = suite("scores");

test("an accuracy is per cent, and nothing where nothing was asked", () => {
  assert.is(accuracy({ correct: 3, total: 4 }), 75);
  assert.is(accuracy({ correct: 0, total: 4 }), 0);
  assert.is(accuracy({ correct: 0, total: 0 }), undefined);
  assert.is(accuracy(undefined), undefined);
});

test("means are over relations by type, pooled over facts", () => {
  const { types, all, pooled } = means(RELATIONS, SCORES);
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

test("a type's mean is over its own relations", () => {
  const relations = [
    { id: "A", type: "x" },
    { id: "B", type: "x" },
    { id: "C", type: "y" },
  ];
  assert.equal([...means(relations, SCORES).types.values()], [62.5, 0]);
});

test("types come in the paper's order, then by name", () => {
  const types = ["zig", "N-M", "1-1", "Alpha", "N-1", "N-M"].map((type) => ({ type }));
  assert.equal(typesOf(types), ["1-1", "N-1", "N-M", "Alpha", "zig"]);
});

test("a relation without scores is an error", () => {
  assert.throws(() => means(RELATIONS, new Map()), /relation B has no scored fact/);
  const empty = new Map([["B", { correct: 0, total: 0 }]]);
  assert.throws(() => means(RELATIONS.slice(0, 1), empty), /relation B has no scored fact/);
  assert.throws(() => means([], new Map()), /no relations/);
});

test("runs are added up relation by relation, and stay as they were", () => {
  const other: Scores = new Map([
    ["A", { correct: 2, total: 2 }],
    ["D", { correct: 1, total: 9 }],
  ]);
  assert.equal(
    [...added([SCORES, other, SCORES])],
    [
      ["B", { correct: 6, total: 8 }],
      ["A", { correct: 4, total: 6 }],
      ["C", { correct: 0, total: 2 }],
      ["D", { correct: 1, total: 9 }],
    ],
  );
  assert.equal(SCORES.get("A"), { correct: 1, total: 2 });
  assert.is(added([]).size, 0);
});

test("the deviation is over n - 1, and one value has none", () => {
  const { mean, deviation = Number.NaN } = meanAndDeviation([2, 4, 4, 4, 5, 5, 7, 9]);
  assert.is(mean, 5);
  assert.ok(Math.abs(deviation - Math.sqrt(32 / 7)) < 1e-12, String(deviation));
  assert.equal(meanAndDeviation([3, 3]), { mean: 3, deviation: 0 });
  assert.equal(meanAndDeviation([31.5]), { mean: 31.5, deviation: undefined });
  assert.throws(() => meanAndDeviation([]), /no values/);
});

test.run();
