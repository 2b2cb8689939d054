/**
 * What the main thread and the workers say to each other. The first worker is the leader: it takes messages in order, as
 * a queue, and runs programs together with the helpers, which follow it through shared memory and take no messages.
 */

import type { Build } from "../../../kernels/load.ts";

/** Where the control block stands in memory, in bytes; below it is the module's own data. */
export const CONTROL_AT = 65536;

/** Words of the control block, a cache line apart. */
export const control = {
  /** Counts runs; helpers sleep on it. */
  run: 0,
  /** Address of the running program's tables, in units of `PROGRAM_UNIT`. */
  program: 16,
  /** Counts programs that were written, so that a helper sees that a table changed. */
  version: 32,
  /** The next task of the running segment. */
  next: 48,
  /** Threads that have reached the barrier. */
  arrived: 64,
  /** Counts barriers; threads wait on it. */
  barrier: 80,
  /** Threads that sleep in the barrier. */
  sleeping: 96,
  /** 1 after a kernel trapped in a helper. */
  failed: 112,
  words: 128,
} as const;

/** Programs begin where this divides the address, so that a word of 32 bits tells each. */
export const PROGRAM_UNIT = 256;

/** Bytes that a kernel may use as it likes, for each thread. */
export const SCRATCH_BYTES = 2 ** 20;
export const SCRATCH_AT = CONTROL_AT + 4096;
export const heapAt = (threads: number): number => SCRATCH_AT + threads * SCRATCH_BYTES;

/** First message to every worker. */
export type Open = {
  readonly kind: "open";
  readonly module: WebAssembly.Module;
  readonly build: Build;
  /** Kernel names in the order of their numbers. */
  readonly kernels: readonly string[];
  /** Shared by all workers; undefined where memory cannot be shared: then the one worker makes its own. */
  readonly memory: WebAssembly.Memory | undefined;
  readonly thread: number;
  readonly threads: number;
};

export type Run = {
  readonly kind: "run";
  /** Address of the program. */
  readonly program: number;
  /** Which packing launches at the start of the program to run. */
  readonly stale: readonly number[];
  readonly inputs: readonly (readonly [at: number, data: ArrayBuffer])[];
  readonly outputs: readonly (readonly [at: number, bytes: number])[];
  /** Time each launch; every launch must be a segment. */
  readonly profile: boolean;
};

export type Request =
  | Open
  | Run
  /** The memory must reach `bytes`. */
  | { readonly kind: "grow"; readonly bytes: number }
  | { readonly kind: "write"; readonly at: number; readonly data: ArrayBuffer }
  | { readonly kind: "zero"; readonly at: number; readonly bytes: number }
  /** Words of a program for address `at`; the leader counts the tasks and fills them in. */
  | { readonly kind: "program"; readonly at: number; readonly words: Uint32Array<ArrayBuffer> }
  /** Is one of the values that lie there NaN or infinite? Answered with its place. */
  | {
      readonly kind: "look";
      readonly at: number;
      readonly values: number;
      readonly bytes: number;
      readonly exponent: number;
    }
  | { readonly kind: "read"; readonly ranges: readonly (readonly [at: number, bytes: number])[] };

/** A request with a number is answered under that number. */
export type Message = { readonly id?: number; readonly request: Request };

export type Answer = {
  /** Absent when a message that wants no answer failed. */
  readonly id?: number;
  readonly results?: ArrayBuffer[];
  /** Of the first value that is not finite; -1 where all are. */
  readonly place?: number;
  /** Milliseconds for each launch, and the tasks that it was cut into. */
  readonly times?: Float64Array<ArrayBuffer>;
  readonly tasks?: Uint32Array<ArrayBuffer>;
  readonly error?: string;
};

/**
 * A program is words: a header, one row for each segment, one for each launch, then the launches' records. Segments run one
 * after the other; the launches of a parallel segment touch nothing in common. Where there are parameters to pack, the first
 * segment packs them. Header: `packs` launches that pack, of which `stale` are wanted in this run; `shared`: segments that
 * want several threads.
 */
export const header = {
  packs: 0,
  stale: 1,
  segments: 2,
  launches: 3,
  shared: 4,
  words: 5,
} as const;
export const segmentRow = { first: 0, end: 1, tasks: 2, serial: 3, words: 4 } as const;
/** `record` is where the launch's record begins, in bytes from the start of the program. `tasks` of all launches of the segment before this one come first. A packing launch is left out where `skip` is set. */
export const launchRow = { kernel: 0, record: 1, tasks: 2, before: 3, skip: 4, words: 5 } as const;
