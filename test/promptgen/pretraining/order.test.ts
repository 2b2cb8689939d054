/** The computed order of texts: each once an epoch, another one for each epoch and seed, none preferred. */
import assert from "node:assert/strict";
import { suite } from "uvu";
import { Permutation } from "../../../models/training/permutation.ts";
import { Random } from "../../../models/training/random.ts";
import { TextGroups } from "../../../promptgen/pretraining/texts.ts";
import { bertTokenizer, cacheOf, fileOf, madeTexts, world } from "./corpora.ts";

const test = suite("order of texts");

test("a permutation has each number once, whatever their number is", () => {
  for (const size of [1, 2, 3, 7, 64, 100, 257, 5000]) {
    const order = new Permutation(size, new Random(3, 1));
    const all = Array.from({ length: size }, (_, i) => order.at(i));
    assert.equal(new Set(all).size, size);
    assert.ok(all.every((n) => Number.isInteger(n) && n >= 0 && n < size));
  }
  const large = new Permutation(2 ** 32 - 1, new Random(3, 1));
  const some = Array.from({ length: 2000 }, (_, i) => large.at(i));
  assert.equal(new Set(some).size, 2000);
  assert.ok(some.filter((n) => n > 2 ** 31).length > 900);
  assert.throws(() => new Permutation(2 ** 32, new Random(1, 1)), /fewer than 2\^32/);
});

test("every order of four is as frequent as any other, and places of many are uniform", () => {
  const times = new Map<string, number>();
  const draws = 4800;
  for (let seed = 0; seed < draws; seed++) {
    const order = new Permutation(4, new Random(seed, 1));
    const key = [0, 1, 2, 3].map((i) => order.at(i)).join();
    times.set(key, (times.get(key) ?? 0) + 1);
  }
  assert.equal(times.size, 24);
  const chi = (seen: Iterable<number>, each: number): number =>
    [...seen].reduce((sum, n) => sum + (n - each) ** 2 / each, 0);
  assert.ok(chi(times.values(), draws / 24) < 60, `${chi(times.values(), draws / 24)}`); // 23 degrees: 1 in 30,000
  // where the first and the second number of 50 come to stand, and how far apart
  const [first, gap] = [new Array<number>(50).fill(0), new Array<number>(49).fill(0)];
  for (let seed = 0; seed < 5000; seed++) {
    const order = new Permutation(50, new Random(seed, 2));
    const [a, b] = [order.at(0), order.at(1)];
    first[a]++;
    gap[((b - a + 50) % 50) - 1]++;
  }
  assert.ok(chi(first, 100) < 105, `${chi(first, 100)}`);
  assert.ok(chi(gap, 5000 / 49) < 105, `${chi(gap, 5000 / 49)}`);
});

test("an epoch has each text in one batch that is as wide as its longest bucket text", async () => {
  const texts = madeTexts(203);
  const cache = await cacheOf([fileOf(texts)], world.bert);
  const groups = new TextGroups(cache, cache.train, 4);
  const wanted = texts.map((text) => bertTokenizer.encode(text).join()).sort();
  const epochOf = (seed: number, epoch: number) =>
    Array.from({ length: groups.groupsOf(8) }, (_, k) => groups.group(8, seed, epoch, k));
  const orders: string[] = [];
  const company: string[] = []; // which texts share a batch
  for (const [seed, epoch] of [
    [1, 0],
    [1, 1],
    [2, 0],
  ]) {
    const made = epochOf(seed, epoch);
    const ids = made.flatMap(({ items }) => items.map((item) => item.ids.join()));
    assert.deepEqual([...ids].sort(), wanted);
    orders.push(ids.join(" "));
    const batches = made.map(({ items }) =>
      items
        .map((item) => item.ids.join())
        .sort()
        .join(" "),
    );
    company.push(batches.sort().join("\n"));
    assert.ok(made.every(({ items }) => items.length > 0 && items.length <= 8));
    const widths = [...new Set(made.map(({ width }) => width))].sort((a, b) => a - b);
    assert.equal(widths.length, 4);
    for (const { items, width } of made) {
      const smaller = widths.filter((w) => w < width).at(-1) ?? 0;
      for (const { ids } of items) assert.ok(ids.length + 2 <= width && ids.length + 2 > smaller);
    }
    // all batches but one of each width are full
    for (const width of widths) {
      const own = made.filter((group) => group.width === width);
      assert.ok(own.filter(({ items }) => items.length < 8).length <= 1);
    }
    if (epoch === 0)
      assert.deepEqual(
        made.slice(0, 4).map(({ width }) => width),
        [...widths].reverse(),
      );
  }
  assert.equal(new Set(orders).size, 3);
  assert.equal(new Set(company).size, 3);
  assert.deepEqual(
    epochOf(1, 1).map(({ items }) => items),
    epochOf(1, 1).map(({ items }) => items),
  );
  assert.notDeepEqual(
    epochOf(1, 1).map(({ width }) => width),
    epochOf(1, 2).map(({ width }) => width),
  );
  cache.close();
});

test.run();
