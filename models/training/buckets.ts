/** Which items stand together in a batch. A batch has one width, so that a few plans serve all of them. */
import { Random } from "./random.ts";

/**
 * At most `count` bucket widths, ascending, the last the largest of `widths`, with the least padding in all: every item is padded
 * to the smallest bucket that holds it. Exact, by dynamic programming over the distinct widths.
 */
export function bucketWidths(widths: Iterable<number>, count: number): number[] {
  const times = new Map<number, number>();
  for (const width of widths) times.set(width, (times.get(width) ?? 0) + 1);
  return bucketWidthsOf(times, count);
}

/** As `bucketWidths`, of widths with how often each is there. */
export function bucketWidthsOf(times: ReadonlyMap<number, number>, count: number): number[] {
  const values = [...times.keys()].sort((a, b) => a - b);
  const held = [0]; // items up to the i-th width
  for (const value of values) held.push(held[held.length - 1] + (times.get(value) ?? 0));
  // best[i]: the cheapest buckets for the first i widths
  let best = values.map((value, i) => ({ cost: value * held[i + 1], chosen: [value] }));
  for (let buckets = 2; buckets <= Math.min(count, values.length); buckets++) {
    best = values.map((value, i) => {
      let least = best[i];
      for (let j = 0; j < i; j++) {
        const cost = best[j].cost + value * (held[i + 1] - held[j + 1]);
        if (cost < least.cost) least = { cost, chosen: [...best[j].chosen, value] };
      }
      return least;
    });
  }
  return best.at(-1)?.chosen ?? [];
}

/** The smallest bucket that holds `width`. */
export function bucketOf(width: number, buckets: readonly number[]): number {
  const found = buckets.find((bucket) => width <= bucket);
  if (found === undefined) {
    throw new Error(
      `[batch] width ${width} is larger than the largest bucket, ${buckets.at(-1)}; make the buckets from all items`,
    );
  }
  return found;
}

/** Items of one batch; fewer than the batch size only at the end of an epoch. */
export type Group<Item> = {
  width: number;
  items: Item[];
};

/** Groups of up to `size` items, each of one bucket, longest buckets first; the items keep their order. */
export function groups<Item>(
  items: readonly Item[],
  widthOf: (item: Item) => number,
  buckets: readonly number[],
  size: number,
): Group<Item>[] {
  const open = new Map<number, Group<Item>[]>(buckets.toReversed().map((width) => [width, []]));
  for (const item of items) {
    const width = bucketOf(widthOf(item), buckets);
    const list = open.get(width) ?? [];
    const last = list.at(-1);
    if (last && last.items.length < size) last.items.push(item);
    else list.push({ width, items: [item] });
  }
  return [...open.values()].flat();
}

/** Purposes of the seed. */
export const ORDER = 1;
const BATCHES = 2;

/**
 * The batches of one epoch in random order, decided by (seed, epoch) alone. The first epoch begins with one batch of each
 * bucket, longest first: the memory that the plans share then grows once.
 */
export function epochGroups<Item>(
  items: readonly Item[],
  widthOf: (item: Item) => number,
  buckets: readonly number[],
  size: number,
  seed: number,
  epoch: number,
): Group<Item>[] {
  const shuffled = new Random(seed, ORDER, epoch).shuffled(items);
  const made = groups(shuffled, widthOf, buckets, size);
  const first = epoch === 0 ? made.filter((g, i) => g.width !== made[i - 1]?.width) : [];
  const rest = made.filter((group) => !first.includes(group));
  return [...first, ...new Random(seed, BATCHES, epoch).shuffled(rest)];
}
