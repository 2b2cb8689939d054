/** The engine: describe, plan, replay. */
export { assign, compile, type Input, type Output, Result, read } from "./compile.ts";
export { type Device, type DeviceOptions, type DeviceStats, openDevice } from "./device.ts";
export { DeviceLostError, EngineError, NoDeviceError, OutOfMemoryError } from "./errors.ts";
export { grad } from "./grad.ts";
export {
  AdamW,
  type AdamWOptions,
  decaysByName,
  GradientAccumulator,
  linearSchedule,
} from "./optim.ts";
export { numel, type Shape } from "./shape.ts";
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
