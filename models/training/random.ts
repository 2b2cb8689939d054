/** Random numbers of the host (order of the data, masks): the same on every machine, and addressable, so that nothing must be saved. */
import { philox, seedWords } from "../../engine/philox.ts";

/** Uniform numbers of one purpose: Philox4x32-10 with the seed as key and (position, a, b, purpose) as counter. */
export class Random {
  readonly #key: readonly [number, number];
  readonly #address: readonly [number, number, number];
  #words: number[] = [];
  #position = 0;

  /**
   * @param seed a non-negative integer below 2^53
   * @param purpose separates the uses of one seed; `a` and `b` (epoch, step, ...) separate the streams of one use
   */
  constructor(seed: number, purpose: number, a = 0, b = 0) {
    this.#key = seedWords(seed);
    this.#address = [a >>> 0, b >>> 0, purpose >>> 0];
  }

  /** A whole number from 0 to 2^32 - 1. */
  bits(): number {
    if (this.#words.length === 0) {
      const [a, b, purpose] = this.#address;
      this.#words = philox([this.#position++, a, b, purpose], this.#key).reverse();
    }
    return this.#words.pop() ?? 0;
  }

  /** A number from 0 to below 1. */
  unit(): number {
    return this.bits() / 2 ** 32;
  }

  /** A whole number from 0 to below `n`. */
  below(n: number): number {
    return Math.floor(this.unit() * n);
  }

  /** A copy of `items` in random order (Fisher and Yates). */
  shuffled<T>(items: readonly T[]): T[] {
    const order = [...items];
    for (let i = order.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  }
}

/** What dropout draws from in one batch of a step: u32[4] = (seed low, seed high, step, batch of the step, from 0). */
export const dropoutState = (seed: number, step: number, part = 0): Uint32Array =>
  Uint32Array.of(...seedWords(seed), step, part);
