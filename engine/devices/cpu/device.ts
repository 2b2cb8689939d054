/** The CPU as a device: its states, slots and plans. Computes addresses on the main thread; workers touch the bytes. */
import type { Build } from "../../../kernels/load.ts";
import type {
  BytePart,
  Device,
  DeviceOptions,
  DeviceStats,
  Executable,
  ProfileRow,
} from "../../device.ts";
import { check, NoDeviceError } from "../../errors.ts";
import type { AnyPlan, Plan } from "../../plan.ts";
import { show } from "../../shape.ts";
import {
  directSource,
  initialPieces,
  stateName,
  stateOp,
  type Tensor,
  type TypedArray,
  valueBytes,
} from "../../tensor.ts";
import { describeAlive } from "../alive.ts";
import { debugLevel } from "../host.ts";
import { HOST_LAUNCHES, LoadedPlans, withoutEmpty, withoutJoins } from "../plans.ts";
import { LaunchTimes } from "../profiler.ts";
import { filled, initialBytes } from "../results.ts";
import { CPUExecutable } from "./executable.ts";
import { ADDRESSABLE, Heap, WIDE_ADDRESSABLE } from "./heap.ts";
import { growMemory, makeMemory, PAGE_BYTES } from "./memory.ts";
import { hasRelaxedSimd, hasWideMemory, type Kernels, loadKernels } from "./module.ts";
import { ownBytes, panelsName, plainStates } from "./needs.ts";
import { type CPULaunch, type Pack, type Panels, Program, packsOf } from "./program.ts";
import { heapAt } from "./protocol.ts";
import { Workers } from "./workers.ts";

/** More threads than this gain nothing at the sizes that 32-bit addresses hold. */
const MOST_THREADS = 16;

type State = {
  /** Where the values lie as they are; absent while only panels are kept. */
  at?: number;
  /** First values are on their way; what the host writes meanwhile waits in `late`. */
  arriving?: boolean;
  late?: TypedArray;
  /** Some plan or the host wants the values as they are. */
  plain: boolean;
  /** Counts changes. */
  version: number;
  readonly panels: Map<string, Panels>;
};

/** The bits of the exponent, all ones in what is NaN or infinite. */
const EXPONENT = { f32: 0x7f800000, f16: 0x7c00, bf16: 0x7f80 };

/** Of the host's memory, how much plans that nobody waits for may hold. */
const HOST_SHARE = 0.6;

async function threadsOf(options: DeviceOptions, shared: boolean): Promise<number> {
  const { threads } = options;
  if (threads !== undefined) {
    check(
      Number.isInteger(threads) && threads >= 1 && threads <= 64,
      "openDevice",
      () => `threads is ${threads}; give a whole number from 1 to 64`,
    );
  }
  if (!shared) return 1;
  if (threads !== undefined) return threads;
  const inNode = typeof process !== "undefined" && process.versions?.node;
  const cores = inNode
    ? (await import("node:os")).availableParallelism()
    : navigator.hardwareConcurrency;
  return Math.max(1, Math.min(MOST_THREADS, cores));
}

/** The kernels for what is asked: those with 64-bit addresses, which are slower, only for a budget beyond what 32 bits reach. */
function buildFor({ memoryBudget, memoryNeeded = 0, simd = "relaxed" }: DeviceOptions): Build {
  const relaxed = simd === "relaxed" && hasRelaxedSimd();
  const ordinary = relaxed ? "relaxed" : "plain";
  if (memoryBudget === undefined) {
    const isWide = memoryNeeded > ADDRESSABLE && relaxed && hasWideMemory();
    return isWide ? "wide" : ordinary;
  }
  if (memoryBudget <= ADDRESSABLE) return ordinary;
  if (hasWideMemory() && relaxed) return "wide";
  const what = hasWideMemory() ? "relaxed SIMD" : "64-bit addresses";
  throw new NoDeviceError(
    `[cpu] a memoryBudget of ${memoryBudget} bytes takes WebAssembly with ${what}, which this host lacks; ` +
      `give at most ${ADDRESSABLE}, or use Node 24 or Chromium 133`,
  );
}

/** Opens the CPU: worker threads where memory can be shared, one worker elsewhere. */
export async function openCPU(options: DeviceOptions, why: string): Promise<Device> {
  const inNode = typeof process !== "undefined" && process.versions?.node !== undefined;
  const shared = inNode || globalThis.crossOriginIsolated === true;
  const build = buildFor(options);
  const threads = await threadsOf(options, shared);
  const kernels = await loadKernels(build, shared);
  const memory = shared
    ? makeMemory(build, Math.ceil(heapAt(threads) / PAGE_BYTES) + 16, true)
    : undefined;
  const workers = await Workers.start(kernels, memory, threads);
  const count = threads === 1 ? "1 thread" : `${threads} threads`;
  const alone = shared ? "" : ", for the page is not cross-origin isolated";
  const simd = { relaxed: "relaxed SIMD", plain: "SIMD", wide: "relaxed SIMD, 64-bit addresses" }[
    build
  ];
  const description = `CPU with ${count} (${simd}${alone}; ${why})`;
  const host = inNode ? (await import("node:os")).totalmem() : Number.POSITIVE_INFINITY;
  const reach = build === "wide" ? WIDE_ADDRESSABLE : ADDRESSABLE;
  const { memoryBudget = reach } = options;
  const heap = new Heap(
    heapAt(threads),
    memoryBudget,
    options.memoryBudget ?? HOST_SHARE * host,
    reach,
  );
  // the bits of 64-bit addresses are those of 32
  const named = { description, build: `CPU, ${build === "plain" ? "SIMD" : "relaxed SIMD"}` };
  return new CPUDevice(workers, kernels, heap, named, options);
}

export class CPUDevice implements Device {
  readonly kind = "cpu";
  readonly description: string;
  readonly build: string;
  readonly stats: DeviceStats = {
    buffersCreated: 0,
    bytes: 0,
    submits: 0,
    launches: 0,
    pipelines: 0,
  };
  readonly workers: Workers;
  readonly times: LaunchTimes | undefined;
  readonly debug: number;
  #kernels: Kernels;
  #heap: Heap;
  /** What the workers' memory reaches. */
  #reached = 0;
  #states = new Map<Tensor, State>();
  #slots: { at: number; bytes: number }[] = [];
  /** Grows when something moved: programs made before are written again. */
  layout = 0;
  #plans: LoadedPlans;

  constructor(
    workers: Workers,
    kernels: Kernels,
    heap: Heap,
    { description, build }: Pick<Device, "description" | "build">,
    options: DeviceOptions,
  ) {
    this.workers = workers;
    this.#kernels = kernels;
    this.#heap = heap;
    this.#plans = new LoadedPlans(HOST_LAUNCHES, () => workers.assertHealthy());
    this.description = description;
    this.build = build;
    this.debug = debugLevel(options);
    if (options.profile || this.debug > 0) this.times = new LaunchTimes(this.debug);
  }

  /** Hands out memory. Plans that nobody waits for are let go before it is refused. */
  allocate(bytes: number, what: string): number {
    while (!this.#heap.hasPlace(bytes) && this.#plans.letGo());
    const at = this.#heap.allocate(bytes, what);
    if (this.#heap.end > this.#reached) {
      this.#reached = this.#heap.end;
      this.workers.post({ kind: "grow", bytes: this.#reached });
    }
    this.stats.buffersCreated++;
    this.stats.bytes = this.#heap.bytes;
    return at;
  }

  free(at: number): void {
    this.#heap.free(at);
    this.stats.bytes = this.#heap.bytes;
  }

  upload(at: number, data: TypedArray): void {
    const copy = data.slice();
    this.workers.post({ kind: "write", at, data: copy.buffer }, [copy.buffer]);
  }

  #state(t: Tensor): State {
    let state = this.#states.get(t);
    if (!state) {
      state = { plain: false, version: 0, panels: new Map() };
      this.#states.set(t, state);
    }
    return state;
  }

  /** Where a state's values lie; 0 for values that only panels hold. */
  stateAt(t: Tensor): number {
    return this.#state(t).at ?? 0;
  }

  /** Brings the first values of states where they are not there. */
  async #fetch(states: Iterable<Tensor>): Promise<void> {
    const fetched: { t: Tensor; at: number; state: State }[] = [];
    try {
      for (const t of states) {
        const state = this.#state(t);
        if (state.at !== undefined) continue;
        const at = this.allocate(t.bytes, stateName(t));
        state.at = at;
        state.arriving = true;
        fetched.push({ t, at, state });
        this.layout++;
      }
      const here = ({ t }: { t: Tensor }) => this.workers.memory && directSource(t);
      await this.#readDirectly(fetched.filter(here));
      for (const { t, at, state } of fetched) {
        if (!here({ t })) await this.#upload(t, at, state);
      }
    } catch (error) {
      for (const { at, state } of fetched) {
        if (state.late) continue;
        delete state.at;
        this.free(at);
      }
      throw error;
    } finally {
      for (const { at, state } of fetched) {
        state.arriving = false;
        if (state.late) this.upload(at, state.late);
        delete state.late;
      }
    }
  }

  /** Fills memory from the main thread: bytes of a file are copied once. All is asked for at once, so that sources can order it. */
  async #readDirectly(states: readonly { t: Tensor; at: number }[]): Promise<void> {
    const { memory } = this.workers;
    if (!memory || states.length === 0) return;
    await this.synchronize(); // nobody uses what lay there, and the memory has grown
    growMemory(memory, this.#kernels.build, 0); // this thread's view too
    const reads = states.map(async ({ t, at }) => {
      const source = directSource(t);
      await source?.readInto(new Uint8Array(memory.buffer, at, valueBytes(t)));
      if (!source?.refused || !(t.dtype in EXPONENT)) return;
      const exponent = EXPONENT[t.dtype as keyof typeof EXPONENT];
      const bytes = valueBytes(t) / t.size;
      const look = { kind: "look", at, values: t.size, bytes, exponent } as const;
      const { place = -1 } = await this.workers.call(look); // while others are on their way
      if (place >= 0) throw source.refused(place);
    });
    for (const result of await Promise.allSettled(reads)) {
      if (result.status === "rejected") throw result.reason;
    }
  }

  /** Uploads a state's first values piece by piece. */
  async #upload(t: Tensor, start: number, state: State): Promise<void> {
    let at = start;
    for await (const piece of initialPieces(t)) {
      if (state.late) return;
      this.upload(at, piece);
      at += piece.byteLength;
      if (at < start + t.bytes) await this.synchronize(); // what is posted takes memory too
    }
    if (at === start) this.workers.post({ kind: "zero", at, bytes: t.bytes });
  }

  /** Panels of which the state has changed since they were packed. The next run packs them. */
  stale(panels: readonly Panels[]): number[] {
    return panels.flatMap((p, i) => {
      const { version } = this.#state(p.state);
      if (p.version === version) return [];
      p.version = version;
      return [i];
    });
  }

  /** A run changed these states. */
  touch(states: Iterable<Tensor>): void {
    for (const t of states) this.#state(t).version++;
  }

  /** Makes every slot at least as large as asked. */
  reserve(slots: readonly number[]): void {
    const enough = (bytes: number, i: number): boolean => (this.#slots[i]?.bytes ?? -1) >= bytes;
    if (slots.every(enough)) return;
    const growth = slots.map((bytes, i) => Math.max(0, bytes - this.#slotBytes(i)));
    if (!this.#makeRoom(growth)) {
      if (this.#plans.empty) this.#releaseSlots();
      else this.#heap.require(growth, "an intermediate");
    }
    slots.forEach((bytes, i) => {
      if (enough(bytes, i)) return;
      const old = this.#slots[i];
      if (old) {
        delete this.#slots[i];
        this.free(old.at);
        this.layout++;
      }
      this.#slots[i] = { at: this.allocate(bytes, "an intermediate"), bytes };
    });
  }

  #slotBytes(index: number): number {
    return this.#slots[index]?.bytes ?? 0;
  }

  /** Lets plans go until blocks of these sizes fit comfortably; says whether they fit at all. */
  #makeRoom(sizes: readonly number[]): boolean {
    while (!this.#heap.hasRoom(sizes) && this.#plans.letGo());
    return this.#heap.fits(sizes);
  }

  /** Lets all slots go: they are as large as the largest of any plan that was ever loaded. */
  #releaseSlots(): void {
    for (const slot of this.#slots) if (slot) this.free(slot.at);
    this.#slots = [];
    this.layout++;
  }

  slotAt(index: number): number {
    return this.#slots[index].at;
  }

  /** What a plan would add to the memory, in bytes of each block. */
  #needs(plan: Plan, plain: Set<Tensor>, packs: readonly (Pack | undefined)[]): number[] {
    const states = [...plain].flatMap((t) =>
      this.#states.get(t)?.at === undefined ? [t.bytes] : [],
    );
    const slots = plan.slots.map((bytes, i) => Math.max(0, bytes - this.#slotBytes(i)));
    const panels = new Map<string, number>();
    let passing = 0; // values that are there only while they are packed
    for (const pack of packs) {
      if (!pack || this.#panelsMade(pack)) continue;
      panels.set(panelsName(pack), pack.bytes);
      if (!plain.has(pack.state)) passing = Math.max(passing, pack.state.bytes);
    }
    const own = ownBytes(plan, packs, this.#kernels);
    return [...states, ...slots, ...panels.values(), passing, ...own];
  }

  #panelsMade(pack: Pack): Panels | undefined {
    return this.#states.get(pack.state)?.panels.get(pack.key);
  }

  load(given: AnyPlan, drop: () => void): Promise<Executable> {
    if (this.debug > 1) console.error(describeAlive(given));
    const plan = withoutEmpty(withoutJoins(given));
    return this.#plans.load(plan.launches.length, () => this.#load(plan), drop);
  }

  async #load(plan: Plan): Promise<CPUExecutable> {
    let packs = packsOf(plan.launches);
    let plain = plainStates(plan, packs);
    if (!this.#makeRoom(this.#needs(plan, plain, packs))) {
      if (!this.#plans.empty) this.#heap.require(this.#needs(plan, plain, packs), "the plan");
      this.#releaseSlots();
    }
    if (!this.#heap.fits(this.#needs(plan, plain, packs))) {
      // panels are for speed: a large model may still fit without more of them
      packs = packs.map((pack) => (pack && this.#panelsMade(pack) ? pack : undefined));
      plain = plainStates(plan, packs);
      this.#heap.require(this.#needs(plan, plain, packs), "the plan");
    }
    for (const t of plain) this.#state(t).plain = true;
    await this.#fetch(plain);
    const launches: CPULaunch[] = [];
    for (const [i, launch] of plan.launches.entries()) {
      const pack = packs[i];
      launches.push({ launch, panels: pack && (await this.#panels(pack)) });
    }
    const program = new Program(launches, this.#kernels, this.times !== undefined);
    return new CPUExecutable(this, plan, program);
  }

  /** The panels of a parameter. Where nobody wants its values as they are, they are packed now and not kept. */
  async #panels(pack: Pack): Promise<Panels> {
    const state = this.#state(pack.state);
    const made = state.panels.get(pack.key);
    if (made) return made;
    const at = this.allocate(pack.bytes, `${stateName(pack.state)}, packed`);
    const panels: Panels = { ...pack, at, version: -1 };
    state.panels.set(pack.key, panels);
    if (state.plain) return panels;
    try {
      await this.#packNow(panels, state);
    } catch (error) {
      state.panels.delete(pack.key);
      this.free(at);
      throw error;
    }
    return panels;
  }

  /** Packs a parameter whose values are not kept as they are. */
  async #packNow(panels: Panels, state: State): Promise<void> {
    const program = Program.packing(panels, this.#kernels);
    await this.#fetch([panels.state]);
    const values = this.stateAt(panels.state);
    const here = this.allocate(4 * program.words, "the program of a plan");
    const words = program.write(
      () => 0,
      () => values,
    );
    this.workers.post({ kind: "program", at: here, words }, [words.buffer]);
    const run = { program: here, stale: [0], inputs: [], outputs: [], profile: false };
    const done = this.workers.call({ kind: "run", ...run });
    panels.version = state.version;
    this.free(here);
    this.free(values);
    delete state.at;
    await done; // one parameter at a time: what is posted takes memory too
  }

  /** Notes a run until it is done. */
  submitted(run: Promise<unknown>): void {
    this.stats.submits++;
    this.#plans.submitted(run);
  }

  /** Resolves when no first values of these states are on their way. */
  async #settled(states: readonly Tensor[]): Promise<void> {
    do await this.#plans.loading;
    while (states.some((t) => this.#states.get(t)?.arriving));
    this.workers.assertHealthy();
  }

  async readStates(states: readonly Tensor[], part?: BytePart): Promise<ArrayBuffer[]> {
    await this.#settled(states);
    // all are asked for at once, before anything else can happen to them
    const reads = states.map((t) => {
      const at = this.#states.get(t)?.at;
      const { begin, end } = part ?? { begin: 0, end: valueBytes(t) };
      if (at === undefined) return initialBytes(t, part); // it was never changed
      return this.workers
        .call({ kind: "read", ranges: [[at + begin, end - begin]] })
        .then(({ results = [] }) => results[0]);
    });
    const out = await Promise.all(reads);
    this.workers.assertHealthy();
    return out;
  }

  write(t: Tensor, data: TypedArray): void {
    this.workers.assertHealthy();
    check(t.node.op === stateOp, "write", () => `${t} is not a state`);
    check(
      data.length === t.size,
      "write",
      () => `${data.length} values do not fill ${stateName(t)} ${show(t.shape)}`,
    );
    const state = this.#state(t);
    state.plain = true;
    if (state.at === undefined) {
      state.at = this.allocate(t.bytes, stateName(t));
      this.layout++;
    }
    state.version++;
    if (state.arriving) state.late = data.slice();
    else this.upload(state.at, data);
  }

  async fill(t: Tensor, pieces: AsyncIterable<TypedArray>): Promise<void> {
    this.workers.assertHealthy();
    check(t.node.op === stateOp, "fill", () => `${t} is not a state`);
    await this.#settled([t]);
    const state = this.#state(t);
    state.plain = true;
    if (state.at === undefined) {
      state.at = this.allocate(t.bytes, stateName(t));
      this.layout++;
    }
    const { at } = state;
    await filled(t, pieces, async (piece, offset) => {
      this.upload(at + offset, piece);
      state.version++;
      await this.synchronize(); // what is posted takes memory too
    });
  }

  profile(): ProfileRow[] {
    return this.times?.rows() ?? [];
  }

  async synchronize(): Promise<void> {
    await this.workers.call({ kind: "read", ranges: [] });
  }

  destroy(): void {
    this.workers.terminate();
  }
}
