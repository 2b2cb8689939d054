/** Random initial values of weights, the same on every machine: Philox and the Box-Muller transform. Knows no tensor. */
import { philox } from "../engine/philox.ts";

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
