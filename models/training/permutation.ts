/**
 * An order of the numbers below n that is computed, not kept: the swap-or-not shuffle (Hoang, Morris and Rogaway, 2012). Each round
 * pairs every number with another one and swaps the two or not, so that any number of rounds is a permutation.
 */
import type { Random } from "./random.ts";

/** Rounds for each bit of n, and beside them: where the order cannot be told from a uniform one. */
const [EACH, BESIDE] = [6, 16];

/** A whole number from 0 to 2^32 - 1 for two of them. */
function hash(a: number, b: number): number {
  let h = Math.imul(a ^ b ^ (b >>> 15), 0x2c1b3c6d);
  h = Math.imul(h ^ (h >>> 12), 0x297a2d39);
  h = Math.imul(h ^ (h >>> 15) ^ b, 0x85ebca6b);
  return (h ^ (h >>> 13)) >>> 0;
}

export class Permutation {
  readonly size: number;
  readonly #offsets: Float64Array;
  readonly #keys: Uint32Array;

  /** @param size a whole number below 2^32 */
  constructor(size: number, random: Random) {
    if (!Number.isInteger(size) || size < 0 || size >= 2 ** 32) {
      throw new Error(`[order] ${size} numbers cannot be put in order; give fewer than 2^32`);
    }
    this.size = size;
    const rounds = EACH * Math.ceil(Math.log2(Math.max(2, size))) + BESIDE;
    this.#offsets = Float64Array.from({ length: rounds }, () => random.below(size));
    this.#keys = Uint32Array.from({ length: rounds }, () => random.bits());
  }

  /** The number at a place, from 0 to below `size`. */
  at(place: number): number {
    const { size } = this;
    let x = place;
    for (let round = 0; round < this.#keys.length; round++) {
      const offset = this.#offsets[round];
      const other = offset < x ? offset - x + size : offset - x;
      if ((hash(Math.max(x, other), this.#keys[round]) & 1) === 1) x = other;
    }
    return x;
  }
}
