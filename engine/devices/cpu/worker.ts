/** The program of a worker: the leader (thread 0) takes messages, the helpers follow it through shared memory. */
import type { Build } from "../../../kernels/load.ts";
import { growMemory, makeMemory, PAGE_BYTES } from "./memory.ts";
import {
  type Answer,
  CONTROL_AT,
  control,
  header,
  launchRow,
  type Message,
  type Open,
  PROGRAM_UNIT,
  type Request,
  type Run,
  SCRATCH_AT,
  SCRATCH_BYTES,
  segmentRow,
} from "./protocol.ts";

type Kernel = (record: number, task: number, scratch: number) => void;
type Count = (record: number) => number;

/** How long a thread looks for work before it sleeps, in milliseconds: waking one takes as long as many a segment. */
const PATIENCE = 0.1;

class Thread {
  readonly #thread: number;
  readonly #all: number;
  /** Threads that take part in this run: nobody is woken for crumbs. */
  #threads: number;
  readonly #scratch: number;
  readonly #kernels: Kernel[];
  readonly #counts: Count[];
  /** Reads a word of memory. A view of a thread that did not grow the memory may be too short. */
  readonly #peek: (at: number) => number;
  /** The place of the first value that is NaN or infinite, or -1. */
  readonly look: (at: number, values: number, bytes: number, exponent: number) => number;
  readonly memory: WebAssembly.Memory;
  /** The control block. Shared memory keeps this view valid when it grows; other memory needs a new one. */
  #control: Int32Array;
  /** Tables of the programs by address; emptied whenever a program was written. */
  #programs = new Map<number, Uint32Array>();
  #version = 0;

  readonly #build: Build;

  constructor({ module, build, kernels, memory, thread, threads }: Open) {
    this.memory = memory ?? makeMemory(build, 64, false);
    this.#build = build;
    this.#thread = thread;
    this.#all = threads;
    this.#threads = threads;
    this.#scratch = SCRATCH_AT + thread * SCRATCH_BYTES;
    const abort = (): void => {
      throw new Error("a kernel was aborted");
    };
    const { exports } = new WebAssembly.Instance(module, { env: { memory: this.memory, abort } });
    this.#kernels = kernels.map((name) => exports[name] as Kernel);
    this.#counts = kernels.map((name) => exports[`${name}_tasks`] as Count);
    const peek = exports.peek as (at: number) => number;
    this.#peek = (at) => peek(at) >>> 0;
    this.look = exports.not_finite as Thread["look"];
    this.#control = this.#controlView();
  }

  #controlView(): Int32Array {
    return new Int32Array(this.memory.buffer, CONTROL_AT, control.words);
  }

  grow(bytes: number): void {
    const pages = Math.ceil((bytes - this.memory.buffer.byteLength) / PAGE_BYTES);
    if (pages <= 0) return;
    growMemory(this.memory, this.#build, pages);
    this.#control = this.#controlView();
  }

  /** Puts a program into memory with the number of tasks of each launch. */
  install(at: number, words: Uint32Array): void {
    const rows = header.words + words[header.segments] * segmentRow.words;
    const here = new Uint32Array(this.memory.buffer, at, words.length);
    here.set(words);
    for (let s = 0; s < words[header.segments]; s++) {
      const segment = header.words + s * segmentRow.words;
      let tasks = 0;
      for (let l = here[segment + segmentRow.first]; l < here[segment + segmentRow.end]; l++) {
        const row = rows + l * launchRow.words;
        const record = here[row + launchRow.record];
        const count = this.#counts[here[row + launchRow.kernel]](at + record) >>> 0;
        here[row + launchRow.before] = tasks;
        here[row + launchRow.tasks] = count;
        tasks += count;
      }
      here[segment + segmentRow.tasks] = tasks;
    }
    this.#programs.clear();
    Atomics.add(this.#control, control.version, 1);
  }

  #program(at: number): Uint32Array {
    let words = this.#programs.get(at);
    if (!words) {
      const segments = this.#peek(at + 4 * header.segments);
      const launches = this.#peek(at + 4 * header.launches);
      words = new Uint32Array(
        header.words + segments * segmentRow.words + launches * launchRow.words,
      );
      for (let i = 0; i < words.length; i++) words[i] = this.#peek(at + 4 * i);
      this.#programs.set(at, words);
    }
    return words;
  }

  /** The leader's side of a run. */
  lead({ program, stale, profile }: Run): Pick<Answer, "times" | "tasks"> {
    const words = this.#program(program);
    const here = new Uint32Array(this.memory.buffer, program, words.length);
    const rows = header.words + words[header.segments] * segmentRow.words;
    here[header.stale] = stale.length;
    for (let l = 0; l < words[header.packs]; l++) {
      here[rows + l * launchRow.words + launchRow.skip] = stale.includes(l) ? 0 : 1;
    }
    const times = profile ? new Float64Array(words[header.segments]) : undefined;
    const c = this.#control;
    this.#threads = stale.length === 0 && words[header.shared] === 0 ? 1 : this.#all;
    Atomics.store(c, control.next, 0);
    Atomics.store(c, control.failed, 0);
    if (this.#threads > 1) {
      Atomics.store(c, control.program, program / PROGRAM_UNIT);
      Atomics.add(c, control.run, 1);
      Atomics.notify(c, control.run);
    }
    this.#execute(program, words, times);
    if (Atomics.load(c, control.failed) !== 0) throw new Error("a kernel failed in a helper");
    if (!times) return {};
    const first = words[header.packs] > 0 ? 1 : 0;
    const tasks = Uint32Array.from(
      times,
      (_, s) => words[header.words + s * segmentRow.words + segmentRow.tasks],
    );
    return { times: times.slice(first), tasks: tasks.slice(first) };
  }

  /** The life of a helper: never returns. */
  follow(): never {
    let run = 0;
    for (;;) {
      if (!this.#changes(control.run, run)) Atomics.wait(this.#control, control.run, run);
      const now = Atomics.load(this.#control, control.run);
      if (now === run) continue;
      run = now;
      const version = Atomics.load(this.#control, control.version);
      if (version !== this.#version) this.#programs.clear();
      this.#version = version;
      const program = Atomics.load(this.#control, control.program) * PROGRAM_UNIT;
      this.#execute(program, this.#program(program), undefined);
    }
  }

  #execute(program: number, words: Uint32Array, times: Float64Array | undefined): void {
    const idle = words[header.packs] > 0 && this.#peek(program + 4 * header.stale) === 0;
    for (let s = idle ? 1 : 0; s < words[header.segments]; s++) {
      const segment = header.words + s * segmentRow.words;
      const first = words[segment + segmentRow.first];
      const end = words[segment + segmentRow.end];
      const start = times ? performance.now() : 0;
      const packing = s === 0 && words[header.packs] > 0 ? program : 0;
      try {
        if (words[segment + segmentRow.serial] !== 0 || this.#threads === 1) {
          if (this.#thread === 0) this.#runAll(program, words, first, end, packing);
        } else this.#share(program, words, first, words[segment + segmentRow.tasks], packing);
      } catch (error) {
        Atomics.store(this.#control, control.failed, 1);
        if (this.#thread === 0) this.#failure = error;
      }
      this.#barrier();
      if (times) times[s] = performance.now() - start;
    }
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure) throw failure;
  }

  #failure: unknown;

  /** Whether a launch of the packing segment of the program at `packing` (0: another segment) is left out. */
  #skips(packing: number, row: number): boolean {
    return packing !== 0 && this.#peek(packing + 4 * (row + launchRow.skip)) !== 0;
  }

  #runAll(at: number, words: Uint32Array, first: number, end: number, packing: number): void {
    const rows = header.words + words[header.segments] * segmentRow.words;
    for (let l = first; l < end; l++) {
      const row = rows + l * launchRow.words;
      if (this.#skips(packing, row)) continue;
      const kernel = this.#kernels[words[row + launchRow.kernel]];
      const record = at + words[row + launchRow.record];
      const tasks = words[row + launchRow.tasks];
      for (let task = 0; task < tasks; task++) kernel(record, task, this.#scratch);
    }
  }

  /** Takes the next task until none is left. */
  #share(at: number, words: Uint32Array, first: number, tasks: number, packing: number): void {
    const rows = header.words + words[header.segments] * segmentRow.words;
    let row = rows + first * launchRow.words;
    for (;;) {
      const next = Atomics.add(this.#control, control.next, 1);
      if (next >= tasks) return;
      while (next >= words[row + launchRow.before] + words[row + launchRow.tasks]) {
        row += launchRow.words;
      }
      if (this.#skips(packing, row)) continue;
      const kernel = this.#kernels[words[row + launchRow.kernel]];
      const record = at + words[row + launchRow.record];
      kernel(record, next - words[row + launchRow.before], this.#scratch);
    }
  }

  /** Whether a word of the control block soon holds something else. */
  #changes(word: number, from: number): boolean {
    const end = performance.now() + PATIENCE;
    do {
      for (let i = 0; i < 100; i++) if (Atomics.load(this.#control, word) !== from) return true;
    } while (performance.now() < end);
    return false;
  }

  /** Waits until all threads are here. The last one makes the next segment's tasks available. */
  #barrier(): void {
    if (this.#threads === 1) return;
    const c = this.#control;
    const now = Atomics.load(c, control.barrier);
    if (Atomics.add(c, control.arrived, 1) === this.#threads - 1) {
      Atomics.store(c, control.arrived, 0);
      Atomics.store(c, control.next, 0);
      Atomics.add(c, control.barrier, 1);
      if (Atomics.load(c, control.sleeping) > 0) Atomics.notify(c, control.barrier);
      return;
    }
    if (this.#changes(control.barrier, now)) return;
    Atomics.add(c, control.sleeping, 1);
    // a thread may still wake whom it found asleep at the barrier before: look again
    while (Atomics.load(c, control.barrier) === now) Atomics.wait(c, control.barrier, now);
    Atomics.sub(c, control.sleeping, 1);
  }
}

let current: Thread | undefined;

function opened(): Thread {
  if (!current) throw new Error("the worker was not opened");
  return current;
}

function serve(request: Request): Answer {
  if (request.kind === "open") {
    current = new Thread(request);
    return {};
  }
  const thread = opened();
  const { memory } = thread;
  const copyOut = (ranges: readonly (readonly [number, number])[]): ArrayBuffer[] =>
    ranges.map(([at, bytes]) => {
      const out = new ArrayBuffer(bytes);
      new Uint8Array(out).set(new Uint8Array(memory.buffer, at, bytes));
      return out;
    });
  const put = (at: number, data: ArrayBuffer): void => {
    new Uint8Array(memory.buffer, at, data.byteLength).set(new Uint8Array(data));
    data.transfer(0); // a collector would come later, and megabytes would wait for it
  };
  switch (request.kind) {
    case "grow":
      thread.grow(request.bytes);
      return {};
    case "write":
      put(request.at, request.data);
      return {};
    case "zero":
      new Uint8Array(memory.buffer, request.at, request.bytes).fill(0);
      return {};
    case "program":
      thread.install(request.at, request.words);
      return {};
    case "look": {
      const { at, values, bytes, exponent } = request;
      return { place: thread.look(at, values, bytes, exponent) };
    }
    case "read":
      return { results: copyOut(request.ranges) };
    case "run": {
      for (const [at, data] of request.inputs) put(at, data);
      const seen = thread.lead(request);
      return { results: copyOut(request.outputs), ...seen };
    }
  }
}

/** Posts an answer; array buffers are handed over, not copied. */
type Post = (answer: Answer, transfer: ArrayBuffer[]) => void;

function handle({ id, request }: Message, post: Post): void {
  let answer: Answer;
  try {
    answer = serve(request);
  } catch (error) {
    answer = { error: error instanceof Error ? error.message : String(error) };
  }
  if (id !== undefined) post({ ...answer, id }, answer.results ?? []);
  else if (answer.error !== undefined) post(answer, []);
  if (request.kind === "open" && request.thread > 0 && current) setTimeout(() => opened().follow());
}

if (typeof process !== "undefined" && process.versions?.node) {
  import("node:worker_threads").then(({ parentPort }) => {
    parentPort?.on("message", (m: Message) => {
      handle(m, (answer, transfer) => parentPort.postMessage(answer, transfer));
    });
  });
} else {
  // a page's worker; the compiler's `self` is a window
  const scope = globalThis as unknown as {
    onmessage: (e: MessageEvent<Message>) => void;
    postMessage(answer: Answer, transfer: ArrayBuffer[]): void;
  };
  scope.onmessage = (e) =>
    handle(e.data, (answer, transfer) => scope.postMessage(answer, transfer));
}
