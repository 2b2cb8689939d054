/**
 * What a device is: where plans run. Who opens which is in open.ts; no implementation is known here.
 */
import type { CopyRules } from "./copies.ts";
import type { JoinRules } from "./joins.ts";
import type { AnyPlan } from "./plan.ts";
import type { Tensor, TypedArray } from "./tensor.ts";

/** One finished or running execution of a plan. */
export type Run = {
  /** The bytes of output `index`. Rejects when a later run has reused its result slot. */
  read(index: number): Promise<ArrayBuffer>;
};

/** A plan that is loaded on a device. */
export type Executable = {
  /** Whether the device has let it go, for its memory; then it must be loaded again. */
  readonly gone: boolean;
  /**
   * Runs when its turn has come, in the order of the calls; until then the device keeps the plan. Gives what `begin` makes of
   * the run. A read that `begin` starts gets its value, however many runs wait: none of them starts before it.
   */
  run<T>(inputs: readonly TypedArray[], begin: (run: Run) => T): Promise<T>;
};

/** Counts since the device was opened; what is wrapped is what the driver sees. */
export type DeviceStats = {
  buffersCreated: number;
  bytes: number;
  submits: number;
  launches: number;
  pipelines: number;
};

/** Bytes of a state. */
export type BytePart = { readonly begin: number; readonly end: number };

/** Where plans run. */
export type Device = {
  readonly kind: "webgpu" | "cpu";
  /** What was opened and why, in one line. */
  readonly description: string;
  /** What its bits depend on: the adapter and its driver, or the CPU's build; any number of threads gives the same. */
  readonly build: string;
  readonly stats: DeviceStats;
  /** @internal Present where plans are to have joins. */
  readonly joins?: JoinRules | undefined;
  /** @internal Present where products read f16 copies of states. */
  readonly copies?: CopyRules | undefined;
  /** What products multiply; f32 where it is absent. */
  readonly precision?: Precision | undefined;
  /** Whether runs fail that compute a value that is not finite. */
  readonly checkFinite?: boolean | undefined;
  /**
   * @internal
   * Uploads a plan. The least recently called plans that nobody waits for are let go where there is no memory for it; of each the
   * device says so through the `drop` that it was given. Whoever loads a plan must run it.
   */
  load(plan: AnyPlan, drop: () => void): Promise<Executable>;
  /** The values of states, or of each those bytes alone: from `begin` to `end`, multiples of 4. */
  readStates(states: readonly Tensor[], part?: BytePart): Promise<ArrayBuffer[]>;
  /** Overwrites a state from the host, between runs. */
  write(state: Tensor, data: TypedArray): void;
  /**
   * Overwrites a state by pieces that fill it one after the other, so that a large one is never on the host whole. Until it
   * resolves, the state holds some of both.
   */
  fill(state: Tensor, pieces: AsyncIterable<TypedArray>): Promise<void>;
  /** Time for each kernel, op and line since the device was opened with `profile`; empty otherwise. */
  profile(): ProfileRow[];
  /** Resolves when everything submitted so far is done; throws if any of it failed. */
  synchronize(): Promise<void>;
  destroy(): void;
};

/**
 * The time of launches of one kernel, one op and one line of a program; on the CPU of those that were cut into so many tasks, which
 * threads share.
 */
export type ProfileRow = {
  kernel: string;
  /** The op that launched them; of several that became one launch, the last or, side by side, the first. */
  op: string;
  /** The line that made the op, of a gradient the one that made what it is the gradient of. */
  line?: string;
  tasks?: number;
  launches: number;
  milliseconds: number;
  /** Bytes that they read and write, each operand once. */
  bytes: number;
  /** Floating-point operations. */
  flops: number;
};

export const deviceNames = ["auto", "cpu", "gpu", "gpu:software"] as const;
export type DeviceName = (typeof deviceNames)[number];

export const precisions = ["f32", "f16"] as const;
export type Precision = (typeof precisions)[number];

export type DeviceOptions = {
  /**
   * `cpu`: WebAssembly; `gpu`: a hardware adapter; `gpu:software`: a software Vulkan adapter; `auto`: a hardware adapter if
   * there is one, else the CPU.
   */
  device?: DeviceName;
  /** WebGPU in Node only: part of the name of the adapter that is taken, in any case. Default: the one that is fastest. */
  adapter?: string;
  /** CPU only: worker threads. Default: one for each core. One where memory cannot be shared. */
  threads?: number;
  /** CPU only: `plain` leaves relaxed SIMD unused even where the host has it. Default: `relaxed` where it has it. */
  simd?: "relaxed" | "plain";
  /**
   * The most bytes that may be allocated. Default: no limit on hardware, 60 % of the host's memory on
   * software adapters, 4 GiB on the CPU.
   */
  memoryBudget?: number;
  /**
   * Bytes that will be wanted, where that is known. Beyond what 32-bit addresses reach the CPU takes those with 64 bits, which are
   * slower, if the host has them.
   */
  memoryNeeded?: number;
  /** The largest storage binding, in bytes, to emulate a smaller adapter. */
  maxBinding?: number;
  /** Which form of the kernels runs; by default that of the adapter. Tests run both on a software adapter. */
  geometry?: "hardware" | "software";
  /**
   * What matrix products multiply. `f16`, GPUs only: operands rounded to f16, matrices read from f16 copies that the device keeps, sums
   * in f32; states stay f32, and so does all else. Default: `f32`.
   */
  precision?: Precision;
  /** Precision f16 only: `false` leaves a GPU's matrix units unused, even where it has them. */
  units?: boolean;
  /** Times every kernel. Runs slower. */
  profile?: boolean;
  /**
   * Every run looks at all values that it computes, and fails with the name of the first op that gave NaN or infinity and the line
   * that made it, forward or backward. Runs much slower. Default: whether the environment's DEBUG is nan.
   */
  checkFinite?: boolean;
  /** 0: silent; 1: launches with their times; 2: shapes, bytes, and what a plan keeps alive when that is most; 3: the WGSL. Default: the environment's DEBUG. */
  debug?: number;
};
