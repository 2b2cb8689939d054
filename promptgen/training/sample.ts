/** A sample of items that stand in groups: of each group its share. */

import { Random } from "../../models/training/random.ts";
import { textFingerprint } from "./fingerprint.ts";

const SAMPLE = 10; // purpose of the seed

/**
 * `count` of all items, or all where there are fewer: of each group one at least, and beyond that as its size is (Sainte-Lague:
 * one after the other goes to the group of the largest size / (2 taken + 1)). Which of a group is decided by the seed and the
 * group's name alone; a larger sample holds the smaller one. In the order of the groups and of their items.
 */
export function stratified<T>(
  groups: readonly { readonly name: string; readonly items: readonly T[] }[],
  count: number,
  seed: number,
): T[] {
  const held = groups.filter(({ items }) => items.length > 0);
  const taken = held.map(() => 1);
  const all = held.reduce((sum, { items }) => sum + items.length, 0);
  for (let given = held.length; given < Math.min(count, all); given++) {
    let next = 0;
    let most = 0;
    held.forEach(({ items: { length } }, i) => {
      const claim = taken[i] < length ? length / (2 * taken[i] + 1) : 0;
      if (claim > most) [next, most] = [i, claim];
    });
    taken[next]++;
  }
  return held.flatMap(({ name, items }, i) => {
    const stream = Number.parseInt(textFingerprint(name).slice(0, 7), 16);
    const chosen = new Set(new Random(seed, SAMPLE, stream).shuffled(items).slice(0, taken[i]));
    return items.filter((item) => chosen.has(item));
  });
}
