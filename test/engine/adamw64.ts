/** AdamW as PyTorch's documentation writes it, in float64 and by element: what tests compare with. */
export type Adam64 = {
  readonly lr: number;
  readonly weightDecay: number;
  readonly betas?: readonly [number, number];
  readonly eps?: number;
};

/** Values and moments behind one step; `step` counts from 1. */
export type Moments64 = {
  readonly p: readonly number[];
  readonly m: readonly number[];
  readonly v: readonly number[];
};

export const start64 = (p: ArrayLike<number>): Moments64 => ({
  p: Array.from(p),
  m: Array.from(p, () => 0),
  v: Array.from(p, () => 0),
});

export function adamw64(
  { p, m, v }: Moments64,
  gradient: ArrayLike<number>,
  step: number,
  { lr, weightDecay, betas: [b1, b2] = [0.9, 0.999], eps = 1e-8 }: Adam64,
): Moments64 {
  const nextM = m.map((x, i) => b1 * x + (1 - b1) * gradient[i]);
  const nextV = v.map((x, i) => b2 * x + (1 - b2) * gradient[i] ** 2);
  const nextP = p.map((x, i) => {
    const mean = nextM[i] / (1 - b1 ** step);
    const spread = Math.sqrt(nextV[i] / (1 - b2 ** step));
    return x - lr * weightDecay * x - (lr * mean) / (spread + eps);
  });
  return { p: nextP, m: nextM, v: nextV };
}
