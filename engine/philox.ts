/** Counter-based random numbers on the host, the same on every machine and in every kernel that draws them. */

import { check } from "./errors.ts";

/** The low and the high 32 bits of a seed. */
export function seedWords(seed: number): [number, number] {
  check(Number.isSafeInteger(seed) && seed >= 0, "seed", () => {
    return `${seed} is no seed; give a whole number from 0 to 2^53 - 1`;
  });
  return [seed >>> 0, Math.floor(seed / 2 ** 32)];
}

/** The high 32 bits of a 32 x 32 bit product. */
function mulHigh(a: number, b: number): number {
  const [al, ah, bl, bh] = [a & 0xffff, a >>> 16, b & 0xffff, b >>> 16];
  const low = al * bl;
  const middle = ah * bl + (low >>> 16);
  const cross = al * bh + (middle & 0xffff);
  return (ah * bh + Math.floor(middle / 65536) + (cross >>> 16)) >>> 0;
}

/**
 * Philox4x32 with 10 rounds: four random 32-bit words from a counter of four words and a key of two.
 * Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011.
 */
export function philox(counter: readonly number[], key: readonly number[]): number[] {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const high0 = mulHigh(0xd2511f53, c0);
    const high1 = mulHigh(0xcd9e8d57, c2);
    const low0 = Math.imul(0xd2511f53, c0) >>> 0;
    const low1 = Math.imul(0xcd9e8d57, c2) >>> 0;
    [c0, c1, c2, c3] = [(high1 ^ c1 ^ k0) >>> 0, low1, (high0 ^ c3 ^ k1) >>> 0, low0];
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  return [c0, c1, c2, c3];
}
