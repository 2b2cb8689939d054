/** Random initial values of parameters, the same on every machine: Philox on the host. */
import { check } from "./errors.ts";
import { philox, seedWords } from "./philox.ts";
import { numel, type Shape, show } from "./shape.ts";

/** Calls `take` with the place of each pair of random words below 2^32. */
function pairs(
  count: number,
  seed: number,
  stream: number,
  take: (at: number, a: number, b: number) => void,
): void {
  const key = seedWords(seed);
  for (let i = 0; i < count; i += 4) {
    const words = philox([i / 4, 0, stream, 0], key);
    take(i, words[0], words[1]);
    if (i + 2 < count) take(i + 2, words[2], words[3]);
  }
}

/**
 * `count` normal values of mean 0 and standard deviation `std`, by Box and Muller.
 *
 * @param seed a non-negative integer below 2^53
 * @param stream separates the tensors of one seed
 */
export function normal(count: number, std: number, seed: number, stream: number): Float32Array {
  const values = new Float32Array(count);
  pairs(count, seed, stream, (at, a, b) => {
    const radius = std * Math.sqrt(-2 * Math.log((a + 1) / 2 ** 32)); // argument in (0, 1]
    const angle = (2 * Math.PI * b) / 2 ** 32;
    values[at] = radius * Math.cos(angle);
    if (at + 1 < count) values[at + 1] = radius * Math.sin(angle);
  });
  return values;
}

/** `count` values from -`bound` to below `bound`, each as likely as any other; `seed` and `stream` as for `normal`. */
export function uniform(count: number, bound: number, seed: number, stream: number): Float32Array {
  const values = new Float32Array(count);
  const put = (at: number, word: number): void => {
    values[at] = bound * ((2 * word) / 2 ** 32 - 1);
  };
  pairs(count, seed, stream, (at, a, b) => {
    put(at, a);
    if (at + 1 < count) put(at + 1, b);
  });
  return values;
}

/** A weight as PyTorch stores it: [out, in], further axes being those of a kernel. */
function fans(shape: Shape): { fanIn: number; fanOut: number } {
  check(shape.length >= 2, "init", () => `a weight of shape ${show(shape)} has no two axes`);
  const field = numel(shape.slice(2));
  return { fanIn: shape[1] * field, fanOut: shape[0] * field };
}

/** Uniform within gain * sqrt(6 / (fan in + fan out)) (Glorot and Bengio, 2010). @param shape [out, in] */
export function xavierUniform(shape: Shape, seed: number, stream: number, gain = 1): Float32Array {
  const { fanIn, fanOut } = fans(shape);
  return uniform(numel(shape), gain * Math.sqrt(6 / (fanIn + fanOut)), seed, stream);
}

/**
 * Uniform within sqrt(6 / ((1 + slope^2) fan in)) (He et al., 2015). The default slope, sqrt 5, is that of PyTorch's `Linear`: within 1 / sqrt(fan in),
 * which its bias has too.
 * @param shape [out, in]
 * @param slope of the leaky ReLU behind the layer; 0 for a ReLU
 */
export function kaimingUniform(
  shape: Shape,
  seed: number,
  stream: number,
  slope = Math.sqrt(5),
): Float32Array {
  const bound = Math.sqrt(6 / ((1 + slope ** 2) * fans(shape).fanIn));
  return uniform(numel(shape), bound, seed, stream);
}
