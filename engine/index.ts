/** The engine: describe, plan, replay. */
export { compile, type Input, type Output, Result, read } from "./compile.ts";
export { type CustomGradient, type CustomKernels, type CustomOp, customOp } from "./custom-op.ts";
export type { Device, DeviceOptions, DeviceStats } from "./device.ts";
export {
  type BytePart,
  type DeviceName,
  deviceNames,
  type Precision,
  type ProfileRow,
  precisions,
} from "./device.ts";
export { DeviceLostError, EngineError, NoDeviceError, OutOfMemoryError } from "./errors.ts";
export { NonFiniteError } from "./finite.ts";
export { grad } from "./grad.ts";
export { kaimingUniform, normal, uniform, xavierUniform } from "./init.ts";
export type { Attrs, CustomLaunch } from "./op.ts";
export { opcheck } from "./opcheck.ts";
export { openDevice } from "./open.ts";
export { argmax, topK } from "./ops/argmax.ts";
export { type AttentionOptions, attention, type Layout } from "./ops/attention.ts";
export { binaryCrossEntropyWithLogits } from "./ops/binary-cross-entropy.ts";
export { clamp } from "./ops/clamp.ts";
export { crossEntropy } from "./ops/cross-entropy.ts";
export type { InnerDropout } from "./ops/dropout.ts";
export { dropout } from "./ops/dropout.ts";
export {
  type Activation,
  abs,
  activations,
  add,
  addN,
  cast,
  cos,
  div,
  equal,
  exp,
  gelu,
  geluTanh,
  greater,
  greaterEqual,
  less,
  lessEqual,
  log,
  logicalAnd,
  logicalNot,
  logicalOr,
  maximum,
  minimum,
  mul,
  neg,
  notEqual,
  type Operand,
  reciprocal,
  relu,
  rsqrt,
  sigmoid,
  silu,
  sin,
  sqrt,
  square,
  sub,
  tanh,
  where,
} from "./ops/elementwise.ts";
export { embedding } from "./ops/embedding.ts";
export { full, ones, zeros } from "./ops/fill.ts";
export { layerNorm } from "./ops/layernorm.ts";
export { logSoftmax } from "./ops/log-softmax.ts";
export { type LinearOptions, linear, type MatmulOptions, matmul } from "./ops/matmul.ts";
export { pow } from "./ops/pow.ts";
export { max, mean, min, type ReduceOptions, sum } from "./ops/reduce.ts";
export { rmsNorm } from "./ops/rms-norm.ts";
export {
  concat,
  expand,
  permute,
  reshape,
  slice,
  stack,
  stopGradient,
  transpose,
} from "./ops/shape.ts";
export { softmax } from "./ops/softmax.ts";
export { std, type VarianceOptions, variance } from "./ops/variance.ts";
export {
  AdamW,
  type AdamWOptions,
  constantSchedule,
  cosineSchedule,
  GradientAccumulator,
  linearSchedule,
  type ParameterRule,
  SGD,
  type SGDOptions,
} from "./optim.ts";
export { numel, type Shape } from "./shape.ts";
export type { StateSource } from "./tensor.ts";
export {
  type DType,
  scalar,
  state,
  stateName,
  Tensor,
  type TensorSpec,
  type TypedArray,
  tensor,
} from "./tensor.ts";
export { assign } from "./trace.ts";
