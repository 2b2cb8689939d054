/** Logistic regression beside Newton's method in numpy (tools/reference_probe.py), on rows as they are and on short ones. */
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { fitLogistic, shortRows } from "../../promptgen/logistic.ts";
import { closeForward } from "../models/parity.ts";

type Case = {
  readonly l2: number;
  readonly rows: readonly number[][];
  readonly classes: readonly number[];
  readonly others: readonly number[][];
  readonly loss: number;
  readonly logP: readonly number[][];
};

const cases: readonly Case[] = JSON.parse(
  readFileSync(new URL("../golden/logistic.json", import.meta.url), "utf8"),
);

const exact = (rows: readonly number[][]) => rows.map((row) => Float64Array.from(row));
const product = (a: readonly number[], b: readonly number[]) =>
  a.reduce((sum, x, i) => sum + x * b[i], 0);

test("loss and log-probabilities of rows that were not trained on", () => {
  for (const { l2, rows, classes, others, loss, logP } of cases) {
    const count = logP[0].length;
    const model = fitLogistic({ rows: exact(rows), classes }, count, l2);
    closeForward([{ name: "loss", got: [model.loss], want: [loss] }], 0, 1e-8);
    exact(others).forEach((row, i) => {
      closeForward([{ name: `log P ${i}`, got: model.logP(row), want: logP[i] }], 1e-4);
      assert.is(model.name(row), logP[i].indexOf(Math.max(...logP[i])));
    });
    assert.is(fitLogistic({ rows: exact(rows), classes }, count, l2).loss, model.loss);
    // from wherever it begins
    const other = fitLogistic({ rows: exact(rows), classes }, count, 3);
    const again = fitLogistic({ rows: exact(rows), classes }, count, l2, other);
    closeForward([{ name: "loss again", got: [again.loss], want: [loss] }], 0, 1e-8);
  }
});

test("short rows have the products of long ones, and give the same model", () => {
  for (const { l2, rows, classes, others, loss, logP } of cases) {
    const all = [...rows, ...others];
    const products = all.map((a) => rows.map((b) => product(a, b)));
    const short = shortRows(products, rows.length);
    assert.ok(short[0].length <= Math.min(rows.length, rows[0].length));
    const plain = short.map((row) => [...row]);
    for (const [a, row] of products.entries()) {
      const got = rows.map((_, b) => product(plain[a], plain[b]));
      closeForward([{ name: `products of ${a}`, got, want: row }], 1e-4);
    }
    const count = logP[0].length;
    const model = fitLogistic({ rows: short.slice(0, rows.length), classes }, count, l2);
    closeForward([{ name: "loss", got: [model.loss], want: [loss] }], 0, 1e-4);
    others.forEach((_, i) => {
      const got = model.logP(short[rows.length + i]);
      closeForward([{ name: `log P ${i}`, got, want: logP[i] }], 1e-3);
    });
  }
});

test("rows that are all alike tell nothing: the most frequent class, by its share", () => {
  const short = shortRows(
    [0, 0, 0, 0].map(() => [0, 0, 0]),
    3,
  );
  assert.equal(
    short.map(({ length }) => length),
    [0, 0, 0, 0],
  );
  const model = fitLogistic({ rows: short.slice(0, 3), classes: [1, 0, 1] }, 2, 1);
  assert.is(model.name(short[3]), 1);
  closeForward([{ name: "share", got: [Math.exp(model.logP(short[3])[1])], want: [2 / 3] }], 1e-7);
});

test.run();
