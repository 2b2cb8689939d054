// What the numbers in selectors mean, as in kernels/codes.ts; DTYPE is in lib/decode.wgsl.
const UNARY_NEG: u32 = 0u;
const UNARY_EXP: u32 = 1u;
const UNARY_LOG: u32 = 2u;
const UNARY_SQRT: u32 = 3u;
const UNARY_RSQRT: u32 = 4u;
const UNARY_RECIPROCAL: u32 = 5u;
const UNARY_TANH: u32 = 6u;
const UNARY_SQUARE: u32 = 7u;
const UNARY_ABS: u32 = 8u;
const UNARY_SIGMOID: u32 = 9u;
const UNARY_GELU: u32 = 10u;
const UNARY_RELU: u32 = 11u;
const UNARY_GELU_TANH: u32 = 12u;
const UNARY_SILU: u32 = 13u;
const UNARY_SIN: u32 = 14u;
const UNARY_COS: u32 = 15u;

const BINARY_ADD: u32 = 0u;
const BINARY_SUB: u32 = 1u;
const BINARY_MUL: u32 = 2u;
const BINARY_DIV: u32 = 3u;
const BINARY_MAXIMUM: u32 = 4u;
const BINARY_MINIMUM: u32 = 5u;
const BINARY_GREATER: u32 = 8u;
const BINARY_LESS: u32 = 9u;
const BINARY_GREATER_EQUAL: u32 = 10u;
const BINARY_LESS_EQUAL: u32 = 11u;
const BINARY_EQUAL: u32 = 12u;
const BINARY_NOT_EQUAL: u32 = 13u;
const BINARY_LOGICAL_AND: u32 = 16u;
const BINARY_LOGICAL_OR: u32 = 17u;

const NUMBER_NEITHER: u32 = 0u;
const NUMBER_RIGHT: u32 = 1u;
const NUMBER_LEFT: u32 = 2u;

const REDUCE_SUM: u32 = 0u;
const REDUCE_MAX: u32 = 1u;

const TYPE_F32: u32 = 0u;
const TYPE_I32: u32 = 1u;
const TYPE_U32: u32 = 2u;
const TYPE_F16: u32 = 3u;
const TYPE_BF16: u32 = 4u;
