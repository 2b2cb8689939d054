/** The normal distribution in float64, to about 1e-15 of each value: a reference for erf, GELU and its slope. */

/** 1 - erf(z) for z >= 0, to about 1e-15 of itself. */
export function erfc(z: number): number {
  const bell = Math.exp(-z * z);
  if (z < 2) {
    // erf(z) = 2 / sqrt(pi) exp(-z^2) (z + 2 z^3 / 3 + 4 z^5 / 15 + ...): nothing cancels
    let term = z;
    let total = z;
    for (let k = 1; term > total * 1e-18; k++) {
      term *= (2 * z * z) / (2 * k + 1);
      total += term;
    }
    return 1 - (2 / Math.sqrt(Math.PI)) * bell * total;
  }
  // exp(-z^2) / sqrt(pi) / (z + 1/2 / (z + 2/2 / (z + 3/2 / ...)))
  let fraction = z;
  for (let k = 120; k > 0; k--) fraction = z + k / 2 / fraction;
  return bell / Math.sqrt(Math.PI) / fraction;
}

/** The normal distribution's share below x. */
export const share = (x: number): number =>
  x < 0 ? erfc(-x / Math.SQRT2) / 2 : 1 - erfc(x / Math.SQRT2) / 2;
/** Its density. */
export const bell = (x: number): number => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
