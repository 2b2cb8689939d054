/** A sample that has of each group its share, beside largest-quotient tables and bounds worked out anew. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { itemsOf } from "../../../promptgen/benchmark.ts";
import { devFacts, prepare, runOptions } from "../../../promptgen/run.ts";
import { stratified } from "../../../promptgen/training/sample.ts";

const test = suite("sample");

const groupsOf = (sizes: readonly number[]) =>
  sizes.map((size, g) => ({
    name: `P${g}`,
    items: Array.from({ length: size }, (_, i) => `${g}:${i}`),
  }));

const countsOf = (sizes: readonly number[], count: number, seed = 1): number[] => {
  const chosen = stratified(groupsOf(sizes), count, seed);
  return sizes.map((_, g) => chosen.filter((item) => item.startsWith(`${g}:`)).length);
};

/** One of each, and the rest to the largest of all quotients size / 3, size / 5, ... at once. */
function byQuotients(sizes: readonly number[], count: number): number[] {
  const quotients = sizes.flatMap((size, g) =>
    Array.from({ length: size - 1 }, (_, i) => ({ g, value: size / (2 * i + 3) })),
  );
  const won = quotients
    .sort((a, b) => b.value - a.value || a.g - b.g)
    .slice(0, count - sizes.length);
  return sizes.map((_, g) => 1 + won.filter((one) => one.g === g).length);
}

test("each group has its share and one at least", () => {
  const rows: [sizes: number[], count: number][] = [
    [[100, 200, 300], 60],
    [[1, 1, 998], 100],
    [[3, 50, 7, 1, 120], 17],
    [[9, 9, 9, 9], 10],
    [[944, 12, 500, 77, 1], 500],
  ];
  for (const [sizes, count] of rows) {
    const got = countsOf(sizes, count);
    assert.equal(got, byQuotients(sizes, count), `${sizes} of ${count}`);
    assert.is(
      got.reduce((a, b) => a + b, 0),
      count,
    );
    const all = sizes.reduce((a, b) => a + b, 0);
    got.forEach((own, g) => {
      assert.ok(own >= 1 && Math.abs(own - (count * sizes[g]) / all) <= 3, `${own} of ${sizes[g]}`);
    });
  }
  assert.equal(countsOf([100, 200, 300], 60), [10, 20, 30]);
});

test("as many as there are at most, and one of each group at least", () => {
  assert.equal(countsOf([2, 3], 5), [2, 3]);
  assert.equal(countsOf([2, 3], 1000), [2, 3]);
  assert.equal(countsOf([5, 6, 7], 1), [1, 1, 1]);
  assert.equal(stratified([], 4, 1), []);
  assert.equal(countsOf([0, 4], 2), [0, 2]);
});

test("the seed and the group's name decide, and more hold fewer", () => {
  const groups = groupsOf([40, 25, 60]);
  const drawn = (count: number, seed: number) => stratified(groups, count, seed);
  assert.equal(drawn(30, 5), drawn(30, 5));
  assert.not.equal(drawn(30, 5), drawn(30, 6));
  const order = groups.flatMap(({ items }) => items);
  const few = drawn(20, 5);
  assert.equal(
    few,
    order.filter((item) => few.includes(item)),
    "in the order of the groups",
  );
  assert.is(new Set(few).size, 20);
  const more = drawn(50, 5);
  assert.ok(few.every((item) => more.includes(item)));
  // a group's own does not depend on those beside it
  const alone = stratified(
    groups.slice(1, 2),
    few.filter((item) => item.startsWith("1:")).length,
    5,
  );
  assert.equal(
    alone,
    few.filter((item) => item.startsWith("1:")),
  );
  // every item comes up for some seed
  const seen = new Set(Array.from({ length: 60 }, (_, seed) => drawn(10, seed)).flat());
  assert.ok(seen.size > 110, `${seen.size}`);
});

test("a run asks these of its dev facts, all where none are counted", async () => {
  const chosen = async (given: Record<string, string | number>) => {
    const run = await prepare(runOptions(given, true));
    return { facts: devFacts(run), relations: run.benchmark.relations };
  };
  const { facts, relations } = await chosen({ method: "optiprompt", "dev-facts": 40 });
  assert.is(facts.size, 40);
  const all = itemsOf(relations, "dev");
  const counts = relations.map(({ dev }) => dev.filter((fact) => facts.has(fact)).length);
  assert.ok(
    counts.every((count) => count >= 2 && count <= 4),
    `${counts}`,
  );
  assert.is(
    counts.reduce((a, b) => a + b, 0),
    40,
  );
  assert.is((await chosen({ method: "optiprompt" })).facts.size, all.length);
  assert.is((await chosen({ method: "majority" })).facts.size, all.length);
  const names = async (seed: number) =>
    [...(await chosen({ method: "promptgen", "dev-facts": 20, seed })).facts].map((f) => f.subject);
  assert.equal(await names(4), await names(4));
  assert.not.equal(await names(4), await names(5));
});

test.run();
