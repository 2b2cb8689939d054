// What the numbers in selectors mean, as in kernels/codes.ts.
export const UNARY_NEG: u32 = 0;
export const UNARY_EXP: u32 = 1;
export const UNARY_LOG: u32 = 2;
export const UNARY_SQRT: u32 = 3;
export const UNARY_RSQRT: u32 = 4;
export const UNARY_RECIPROCAL: u32 = 5;
export const UNARY_TANH: u32 = 6;
export const UNARY_SQUARE: u32 = 7;
export const UNARY_ABS: u32 = 8;
export const UNARY_SIGMOID: u32 = 9;
export const UNARY_GELU: u32 = 10;
export const UNARY_RELU: u32 = 11;
export const UNARY_GELU_TANH: u32 = 12;
export const UNARY_SILU: u32 = 13;
export const UNARY_SIN: u32 = 14;
export const UNARY_COS: u32 = 15;

export const BINARY_ADD: u32 = 0;
export const BINARY_SUB: u32 = 1;
export const BINARY_MUL: u32 = 2;
export const BINARY_DIV: u32 = 3;
export const BINARY_MAXIMUM: u32 = 4;
export const BINARY_MINIMUM: u32 = 5;
export const BINARY_GREATER: u32 = 8;
export const BINARY_LESS: u32 = 9;
export const BINARY_GREATER_EQUAL: u32 = 10;
export const BINARY_LESS_EQUAL: u32 = 11;
export const BINARY_EQUAL: u32 = 12;
export const BINARY_NOT_EQUAL: u32 = 13;
export const BINARY_LOGICAL_AND: u32 = 16;
export const BINARY_LOGICAL_OR: u32 = 17;

export const NUMBER_NEITHER: u32 = 0;
export const NUMBER_RIGHT: u32 = 1;
export const NUMBER_LEFT: u32 = 2;

export const REDUCE_SUM: u32 = 0;
export const REDUCE_MAX: u32 = 1;

export const TYPE_F32: u32 = 0;
export const TYPE_I32: u32 = 1;
export const TYPE_U32: u32 = 2;
export const TYPE_F16: u32 = 3;
export const TYPE_BF16: u32 = 4;

export const DTYPE_F32: u32 = 0;
export const DTYPE_F16: u32 = 1;
export const DTYPE_BF16: u32 = 2;
