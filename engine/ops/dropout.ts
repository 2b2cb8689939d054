/** Dropout, and the random numbers under it. */
import { check } from "../errors.ts";
import { endsGradient, type Op } from "../op.ts";
import { numel, show } from "../shape.ts";
import { apply1, type Tensor } from "../tensor.ts";
import { nextRandomOp } from "../trace.ts";

/** Throws unless dropout can draw from `rng`. */
const checkRandomState = (op: string, rng: Tensor): void =>
  check(
    rng.dtype === "u32" && numel(rng.shape) === 4,
    op,
    () => `the random state ${rng} must be u32[4]: seed low, seed high, step, micro-step`,
  );

/** Dropout inside another op: the rate p, and rng u32[4]; it draws what `dropout` in its place would draw. */
export type InnerDropout = { readonly p: number; readonly rng: Tensor };

/** What an op with dropout inside keeps of it: the rate, 0 for none, and which stream of random numbers. */
export type DropoutAttrs = { readonly p: number; readonly index: number };

/** The same as parameters of a kernel. */
export const dropoutParams = ({ p, index }: DropoutAttrs) => ({
  op: index,
  keep: 1 - p,
  rescale: 1 / (1 - p),
});

/** Checks dropout inside an op and gives it a stream; an op's last input is `rng` where p > 0. */
export function innerDropout(
  op: string,
  dropout: InnerDropout | undefined,
): { attrs: DropoutAttrs; inputs: readonly Tensor[] } {
  if (!dropout) return { attrs: { p: 0, index: 0 }, inputs: [] };
  const { p, rng } = dropout;
  checkRate(op, p);
  if (p === 0) return { attrs: { p, index: 0 }, inputs: [] };
  checkRandomState(op, rng);
  return { attrs: { p, index: nextRandomOp(rng) }, inputs: [rng] };
}

/** An op's last inputs: maybe another, and the random state where there is dropout. */
export function splitRandomState(
  extras: readonly Tensor[],
  { p }: DropoutAttrs,
): { other: Tensor | undefined; rng: Tensor | undefined } {
  const others = extras.length - (p > 0 ? 1 : 0);
  return { other: others > 0 ? extras[0] : undefined, rng: extras[others] };
}

/** Throws unless `p` may be dropout's rate. */
const checkRate = (op: string, p: number): void =>
  check(p >= 0 && p < 1, op, () => `p = ${p} is not a probability in [0, 1)`);

export const dropoutOp: Op = {
  name: "dropout",
  infer: ([x, rng]) => {
    check(x.dtype === "f32", "dropout", () => `${x} must be f32`);
    checkRandomState("dropout", rng);
    return [x];
  },
  // the same elements fall out of dy: nothing is kept for backward
  grad: ({ node, inputs: [, rng], upstream: [dy] }) => [
    dy && apply1(dropoutOp, [dy, rng], node.attrs),
  ],
  launch: ({ node, inputs: [x, rng], outputs: [y] }) => {
    const { p, index } = node.attrs as { p: number; index: number };
    return [
      {
        kernel: "dropout",
        params: { n: y.size, op: index, keep: 1 - p, scale: 1 / (1 - p) },
        inputs: [x],
        outputs: [y],
        uniform: rng,
      },
    ];
  },
};

/**
 * Zeroes each element with probability p and divides the others by 1 - p (Srivastava et al., 2014).
 * `rng` is u32[4]: seed low, seed high, step, micro-step; each dropout of a trace draws other
 * numbers from it, and outside a trace each that is made with this `rng`. p = 0 gives x itself.
 */
export function dropout(x: Tensor, p: number, rng: Tensor): Tensor {
  checkRate("dropout", p);
  return p === 0 ? x : apply1(dropoutOp, [x, rng], { p, index: nextRandomOp(rng) });
}

export const randomBitsOp: Op = {
  name: "randomBits",
  infer: ([counter, key]) => {
    const n = counter.shape[0];
    for (const [x, width] of [
      [counter, 4],
      [key, 2],
    ] as const) {
      check(
        x.dtype === "u32" && x.shape.length === 2 && x.shape[0] === n && x.shape[1] === width,
        "randomBits",
        () =>
          `counter ${show(counter.shape)} and key ${show(key.shape)} must be u32 [n, 4] and [n, 2]`,
      );
    }
    return [counter];
  },
  grad: endsGradient("integers"),
  launch: ({ inputs, outputs: [y] }) => [
    { kernel: "random_bits", params: { n: y.shape[0] }, inputs, outputs: [y] },
  ],
};

/** Philox4x32-10: counter u32 [n, 4] and key u32 [n, 2] give u32 [n, 4]. */
export const randomBits = (counter: Tensor, key: Tensor): Tensor =>
  apply1(randomBitsOp, [counter, key]);
