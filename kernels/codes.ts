/**
 * What the numbers in a kernel's selectors mean. The sources have the same numbers under the same names, `UNARY_EXP` for
 * UNARY.exp; `npm run check` compares them.
 */

/** y = f(x). */
export const UNARY = {
  neg: 0,
  exp: 1,
  log: 2,
  sqrt: 3,
  rsqrt: 4,
  reciprocal: 5,
  tanh: 6,
  square: 7,
  abs: 8,
  sigmoid: 9,
  gelu: 10,
  relu: 11,
  geluTanh: 12,
  silu: 13,
  sin: 14,
  cos: 15,
} as const;

/** f' of the same functions; that of neg is neg. */
const { neg: _, ...slopes } = UNARY;
export const SLOPES = slopes;

/** y = a OP b. From `greater` on y is u32, 1 or 0; the last two are for u32 only. */
export const BINARY = {
  add: 0,
  sub: 1,
  mul: 2,
  div: 3,
  maximum: 4,
  minimum: 5,
  greater: 8,
  less: 9,
  greaterEqual: 10,
  lessEqual: 11,
  equal: 12,
  notEqual: 13,
  logicalAnd: 16,
  logicalOr: 17,
} as const;

/** Which operand of a binary kernel is a number in its parameters. */
export const NUMBER = { neither: 0, right: 1, left: 2 } as const;

export const REDUCE = { sum: 0, max: 1 } as const;

/** Types of 32 bits: what kernels compute with. */
export const WORD = { f32: 0, i32: 1, u32: 2 } as const;

/** What can be cast. */
export const TYPE = { ...WORD, f16: 3, bf16: 4 } as const;

/** How a table of floats is stored. */
export const DTYPE = { f32: 0, f16: 1, bf16: 2 } as const;
