/** The engine's errors: one family, thrown by `check` and `fail`. */

/** An error of the engine: one sentence, `[op] what, the values, the remedy`. */
export class EngineError extends Error {
  override name = "EngineError";
}

/** No adapter or device could be opened. */
export class NoDeviceError extends EngineError {
  override name = "NoDeviceError";
}

/** An allocation would exceed the byte budget; nothing was allocated. */
export class OutOfMemoryError extends EngineError {
  override name = "OutOfMemoryError";
}

/** The device was lost, or an earlier command failed on it: its contents cannot be trusted. */
export class DeviceLostError extends EngineError {
  override name = "DeviceLostError";
}

/** Throws `[op] message`. */
export function fail(op: string, message: string): never {
  throw new EngineError(`[${op}] ${message}`);
}

/** Throws `[op] message` unless the condition holds; the message is made only when needed. */
export function check(condition: boolean, op: string, message: () => string): asserts condition {
  if (!condition) fail(op, message());
}

/** Refuses an option, called `name`, that is neither true nor false. */
export function checkFlag(op: string, name: string, value: unknown): void {
  check(typeof value === "boolean", op, () => `${name} is ${value}; use true or false`);
}
