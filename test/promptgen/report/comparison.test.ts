import { suite } from "uvu";
import * as assert from "uvu/assert";
import { comparison } from "../../../promptgen/report/comparison.ts";
import { difference, percent, spread } from "../../../promptgen/report/figures.ts";
import { relationRows } from "../../../promptgen/report/relations.ts";
import { printTable } from "../../../promptgen/report/table.ts";
import { RELATIONS, SCORES } from "./world.ts";

const test = suite("comparison");
const rows = relationRows(RELATIONS);

test("a row for each relation by type, a column for each thing, the mean under a rule", () => {
  const other = new Map([...SCORES, ["C", { correct: 2, total: 3 }]] as const);
  const columns = [
    { title: "majority", scores: SCORES },
    { title: '"None"', scores: other },
  ];
  assert.is(
    printTable(comparison(rows, columns)),
    `relation  type       label           facts  majority  "None"
------------------------------------------------------------
C         N-1        label of C          1       0.0    66.7
A         N-M        label of A          2      50.0    50.0
B         symmetric  label of B          4      75.0    75.0
------------------------------------------------------------
mean                 over relations      7      41.7    63.9`,
  );
});

test("a relation that was not asked is an error, not a mean without it", () => {
  const scores = new Map([...SCORES].slice(1));
  assert.throws(() => comparison(rows, [{ title: "x", scores }]), /relation B has no scored fact/);
});

test("a spread is a mean with its deviation", () => {
  assert.is(spread({ mean: 31.06, deviation: 0.449 }), "31.1 ± 0.4");
  assert.is(spread({ mean: 31.06, deviation: undefined }), "31.1");
});

test("figures have one digit behind the point, differences their sign", () => {
  assert.equal([percent(12.34), percent(0), percent(undefined)], ["12.3", "0.0", null]);
  assert.equal([difference(2, 1), difference(1, 1.25), difference(1, 1)], ["+1.0", "-0.3", "0.0"]);
  assert.equal([difference(1, 1.01), difference(1.01, 1)], ["0.0", "0.0"]);
  assert.equal([difference(undefined, 1), difference(1, undefined)], [null, null]);
});

test.run();
