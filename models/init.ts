/** Random initial values, the same on every machine: Philox4x32-10 and the Box-Muller transform. */

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

/**
 * `count` normal values of mean 0 and standard deviation `std`.
 *
 * @param seed a non-negative integer below 2^53
 * @param stream separates the tensors of one seed
 */
export function normal(count: number, std: number, seed: number, stream: number): Float32Array {
  const key = [seed >>> 0, Math.floor(seed / 2 ** 32)];
  const values = new Float32Array(count);
  for (let i = 0; i < count; i += 4) {
    const words = philox([i / 4, 0, stream, 0], key);
    for (let j = 0; j < 4 && i + j < count; j += 2) {
      const radius = std * Math.sqrt(-2 * Math.log((words[j] + 1) / 2 ** 32)); // argument in (0, 1]
      const angle = (2 * Math.PI * words[j + 1]) / 2 ** 32;
      values[i + j] = radius * Math.cos(angle);
      if (i + j + 1 < count) values[i + j + 1] = radius * Math.sin(angle);
    }
  }
  return values;
}
