/** WebGPU as a device: its buffers, pipelines, states and plans. The only files that may call WebGPU are in this folder. */
import { type Adapter, type Geometry, geometryOf } from "../../../kernels/webgpu/table.ts";
import type {
  BytePart,
  Device,
  DeviceOptions,
  DeviceStats,
  Executable,
  Precision,
  ProfileRow,
} from "../../device.ts";
import { check, DeviceLostError, EngineError, fail, OutOfMemoryError } from "../../errors.ts";
import type { JoinRules } from "../../joins.ts";
import type { AnyPlan } from "../../plan.ts";
import { show } from "../../shape.ts";
import {
  initialPieces,
  stateName,
  stateOp,
  type Tensor,
  type TypedArray,
  valueBytes,
} from "../../tensor.ts";
import { describeAlive } from "../alive.ts";
import { debugLevel, inNode, paced } from "../host.ts";
import { HOST_LAUNCHES, LoadedPlans, SOFTWARE_LAUNCHES, withoutEmpty } from "../plans.ts";
import { destroyed, filled, initialBytes } from "../results.ts";
import { type Opened, openAdapter } from "./adapter.ts";
import { chunked, halving, joinRules, type StepLaunch } from "./chunks.ts";
import { Copies } from "./copies.ts";
import {
  type Pipeline,
  SLOT_BYTES,
  type Step,
  scratchOf,
  up,
  WebGPUExecutable,
} from "./executable.ts";
import {
  customSource,
  type KernelSource,
  kernelSource,
  packParams,
  withoutBindings,
} from "./kernel-source.ts";
import { type Profiler, profiler } from "./timestamps.ts";
import { windows } from "./windows.ts";

/** As many places as a kernel may have storage bindings, see kernels/README.md. */
const SPARE_PLACES = 8;

export async function openWebGPU(options: DeviceOptions): Promise<Device> {
  const opened = await openAdapter(options);
  let budget = options.memoryBudget ?? Number.POSITIVE_INFINITY;
  if (options.memoryBudget === undefined && opened.software && inNode()) {
    const os = await import("node:os");
    budget = os.totalmem() * 0.6;
  }
  if (!opened.units) return new WebGPUDevice(opened, budget, options);
  const { named, units } = await triedUnits(opened, options, ["lib/units"]);
  return new WebGPUDevice(named, budget, options, units);
}

/** A device that has matrix units, and the files by which products run on them, if what they compute is right. */
export async function triedUnits(
  opened: Opened,
  options: DeviceOptions,
  files: readonly string[],
): Promise<{ readonly named: Opened; readonly units: Adapter["units"] }> {
  const { unitsProblem } = await import("./units.ts");
  const problem = await unitsProblem(opened.device, adapterOf(opened, options, files));
  const { description, build } = opened;
  if (problem === undefined) {
    const names = { description: `${description}, matrix units`, build: `${build}, matrix units` };
    return { named: Object.assign(opened, names), units: files };
  }
  if (debugLevel(options) > 0) console.error(`[webgpu] matrix units are left unused: ${problem}`);
  const without = { description: `${description}, without its matrix units, which failed a test` };
  return { named: Object.assign(opened, without), units: undefined };
}

/** What the geometry of launches may know. */
function adapterOf(
  { device: gpu, software }: Opened,
  options: DeviceOptions,
  units?: Adapter["units"],
): Adapter {
  return {
    software: options.geometry ? options.geometry === "software" : software,
    subgroupSize: gpu.features.has("subgroups") ? (gpu.adapterInfo.subgroupMinSize ?? 0) : 0,
    maxWorkgroupStorage: gpu.limits.maxComputeWorkgroupStorageSize,
    maxStorageBuffers: gpu.limits.maxStorageBuffersPerShaderStage,
    half: options.precision === "f16",
    units,
  };
}

export class WebGPUDevice implements Device {
  readonly kind = "webgpu";
  readonly description: string;
  readonly build: string;
  readonly stats: DeviceStats = {
    buffersCreated: 0,
    bytes: 0,
    submits: 0,
    launches: 0,
    pipelines: 0,
  };
  readonly gpu: GPUDevice;
  readonly adapter: Adapter;
  readonly joins: JoinRules | undefined;
  readonly precision: Precision;
  readonly copies: Copies | undefined;
  readonly maxBinding: number;
  readonly debug: number;
  readonly profiler: Profiler | undefined;
  #budget: number;
  #pipelines = new Map<KernelSource, Map<string, Promise<Pipeline>>>();
  #layouts = new Map<string, GPUBindGroupLayout>();
  #states = new Map<Tensor, GPUBuffer>();
  /** Settles when no state is being uploaded. */
  #preparing: Promise<void> = Promise.resolve();
  #slots: (GPUBuffer | undefined)[] = [];
  /** What the launches of a step hand each other; as large as the largest need of any plan. */
  #scratch: GPUBuffer | undefined;
  /** Grows when a slot or the scratch was reallocated: plans made before bind again. */
  slotsVersion = 0;
  #plans: LoadedPlans;
  /** What `granted` has made so far. */
  #taken: GPUBuffer[] | undefined;
  /** Buffers that are given back as soon as the host has read them. */
  #leaving = new Set<Promise<unknown>>();
  #failure: EngineError | undefined;
  /** Settles when nobody reads states. */
  #reading: Promise<unknown> = Promise.resolve();
  #spare: { read: GPUBuffer; write: GPUBuffer } | undefined;

  /** @param units by what files products run on matrix units, if they do */
  constructor(opened: Opened, budget: number, options: DeviceOptions, units?: Adapter["units"]) {
    const { device: gpu, description, build, software } = opened;
    this.gpu = gpu;
    this.description = description;
    this.build = build;
    this.#budget = budget;
    this.#plans = new LoadedPlans(software ? SOFTWARE_LAUNCHES : HOST_LAUNCHES, () =>
      this.assertHealthy(),
    );
    this.debug = debugLevel(options);
    this.maxBinding = Math.min(
      options.maxBinding ?? Number.POSITIVE_INFINITY,
      gpu.limits.maxStorageBufferBindingSize,
    );
    this.adapter = adapterOf(opened, options, units);
    this.precision = options.precision ?? "f32";
    if (this.precision === "f16") this.copies = new Copies(this.maxBinding);
    this.joins = joinRules(this.adapter, this.maxBinding);
    if (options.profile || this.debug > 0) this.profiler = profiler(gpu, this.debug);
    gpu.addEventListener("uncapturederror", this.#onError);
    gpu.lost.then((info) => {
      if (info.reason === "destroyed") return;
      this.#failure ??= new DeviceLostError(`[webgpu] the device was lost: ${info.message}`);
    });
  }

  readonly #onError = (e: GPUUncapturedErrorEvent): void => {
    this.#failure ??= new DeviceLostError(`[webgpu] ${e.error.message}`);
  };

  /** Throws what went wrong on the device since the last call, if anything did. */
  assertHealthy(): void {
    if (this.#failure) throw this.#failure;
  }

  /** What a promise of the driver gives; its own words are not for whoever has destroyed the device. */
  async settled<T>(promise: Promise<T>): Promise<T> {
    try {
      return await paced(promise);
    } catch (error) {
      this.assertHealthy();
      throw error;
    }
  }

  /** Whether buffers of these sizes keep the budget, once plans that nobody waits for were let go. */
  #makeRoom(sizes: readonly number[]): boolean {
    const need = total(sizes);
    while (this.stats.bytes + need > this.#budget) if (!this.#plans.letGo()) return false;
    return true;
  }

  #refuse(need: number, what: string, limit: number): never {
    throw new OutOfMemoryError(
      `[webgpu] ${what} needs ${need} bytes beside ${this.stats.bytes} in use, but the budget is ` +
        `${Math.floor(limit)} bytes; use a smaller batch or model, or raise memoryBudget`,
    );
  }

  createBuffer(size: number, usage: number, what: string): GPUBuffer {
    const bytes = sizeOf(size);
    const { maxBufferSize } = this.gpu.limits;
    if (bytes > maxBufferSize) this.#refuse(bytes, what, Math.min(this.#budget, maxBufferSize));
    if (!this.#makeRoom([bytes])) this.#refuse(bytes, what, this.#budget);
    const buffer = this.gpu.createBuffer({ size: bytes, usage });
    this.stats.buffersCreated++;
    this.stats.bytes += bytes;
    this.#taken?.push(buffer);
    return buffer;
  }

  /** Gives a buffer back, when `read` has settled where the host still reads it. */
  destroyBuffer(buffer: GPUBuffer, read?: Promise<unknown>): void {
    this.stats.bytes -= buffer.size;
    if (!read) {
      buffer.destroy();
      return;
    }
    const left = read.then(() => {
      buffer.destroy();
      this.#leaving.delete(left);
    });
    this.#leaving.add(left);
  }

  /**
   * Makes buffers, all or none. Where the adapter has no memory for them, plans that nobody waits for are let go, one after the
   * other, and it is asked again.
   */
  async #granted<T>(what: string, make: () => T): Promise<T> {
    for (;;) {
      this.assertHealthy();
      const taken: GPUBuffer[] = [];
      this.#taken = taken;
      this.gpu.pushErrorScope("validation"); // what is bound to a buffer that was refused is invalid
      this.gpu.pushErrorScope("out-of-memory");
      let made: { readonly value: T } | undefined;
      let thrown: unknown;
      try {
        made = { value: make() };
      } catch (error) {
        thrown = error;
      }
      this.#taken = undefined;
      const scopes = [this.gpu.popErrorScope(), this.gpu.popErrorScope()];
      const [refused, invalid] = await this.settled(Promise.all(scopes));
      this.assertHealthy();
      if (made && !refused) {
        if (invalid) this.#failure = new DeviceLostError(`[webgpu] ${invalid.message}`);
        this.assertHealthy();
        return made.value;
      }
      this.#forget(taken);
      if (!refused) throw thrown;
      if (!this.#plans.letGo()) {
        const need = taken.reduce((sum, { size }) => sum + size, 0);
        throw new OutOfMemoryError(
          `[webgpu] ${what} needs ${need} bytes beside ${this.stats.bytes} in use, but the adapter has no more ` +
            "memory; use a smaller batch or model",
        );
      }
      await Promise.all(this.#leaving);
      await this.settled(this.gpu.queue.onSubmittedWorkDone()); // destroyed buffers are given back behind it
    }
  }

  /** Takes back what was made, wherever it is kept by now. */
  #forget(taken: readonly GPUBuffer[]): void {
    const gone = new Set(taken);
    const kept = (buffer: GPUBuffer | undefined) =>
      buffer && gone.has(buffer) ? undefined : buffer;
    this.#slots = this.#slots.map(kept);
    this.#scratch = kept(this.#scratch);
    if (this.#spare && (gone.has(this.#spare.read) || gone.has(this.#spare.write))) {
      this.#spare = undefined;
    }
    this.slotsVersion++;
    for (const buffer of taken) this.destroyBuffer(buffer);
  }

  storage(size: number, what: string): GPUBuffer {
    const { STORAGE, COPY_SRC, COPY_DST, UNIFORM } = GPUBufferUsage;
    return this.createBuffer(size, STORAGE | COPY_SRC | COPY_DST | UNIFORM, what);
  }

  /** Writes `data` at byte `offset`. */
  upload(buffer: GPUBuffer, data: TypedArray, offset = 0): void {
    const bytes = new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
    const chunk = 16 * 2 ** 20; // large writes stage slowly
    const whole = bytes.length - (bytes.length % 4);
    for (let at = 0; at < whole; at += chunk) {
      this.gpu.queue.writeBuffer(buffer, offset + at, bytes, at, Math.min(chunk, whole - at));
    }
    if (whole < bytes.length) {
      const tail = new Uint8Array(4);
      tail.set(bytes.subarray(whole));
      this.gpu.queue.writeBuffer(buffer, offset + whole, tail);
    }
  }

  /** The buffer of a state that `prepare` has uploaded. */
  state(t: Tensor): GPUBuffer {
    const buffer = this.#states.get(t);
    return buffer ?? fail("webgpu", `${stateName(t)} was not uploaded`);
  }

  /** Uploads the states that are not there, piece by piece. */
  #prepare(states: readonly Tensor[]): Promise<void> {
    const made = this.#preparing.then(() => this.#upload(states));
    this.#preparing = made.catch(() => undefined);
    return made;
  }

  async #upload(states: readonly Tensor[]): Promise<void> {
    const missing = states.filter((t) => !this.#states.has(t));
    if (missing.length === 0) return;
    const first = stateName(missing[0]);
    const what = missing.length === 1 ? first : `${first} with ${missing.length - 1} other states`;
    const need = missing.map((t) => sizeOf(t.bytes));
    const buffers = await this.#granted(what, () => {
      if (!this.#makeRoom(need)) this.#refuse(total(need), what, this.#budget);
      return missing.map((t) => ({ t, buffer: this.storage(t.bytes, stateName(t)) })); // zeros
    });
    let done = 0;
    try {
      for (const { t, buffer } of buffers) {
        let at = 0;
        for await (const piece of initialPieces(t)) {
          this.assertHealthy();
          this.upload(buffer, piece, at);
          at += piece.byteLength;
        }
        // the host may have written it meanwhile
        if (this.#states.has(t)) this.destroyBuffer(buffer);
        else this.#states.set(t, buffer);
        done++;
      }
    } finally {
      for (const { buffer } of buffers.slice(done)) this.destroyBuffer(buffer);
    }
  }

  #slotBytes(index: number): number {
    return this.#slots[index]?.size ?? 0;
  }

  /** What slots and scratch have to grow by. */
  #growth(slots: readonly number[], scratch: number): number[] {
    return [
      ...slots.map((bytes, i) => Math.max(0, sizeOf(bytes) - this.#slotBytes(i))),
      Math.max(0, scratch - (this.#scratch?.size ?? 0)),
    ];
  }

  /** Makes every slot, and the scratch, at least as large as asked. */
  reserve(slots: readonly number[], scratch: number): void {
    const growth = this.#growth(slots, scratch);
    if (growth.every((bytes) => bytes === 0)) return;
    if (!this.#makeRoom(growth)) {
      if (!this.#plans.empty) this.#refuse(total(growth), "an intermediate", this.#budget);
      this.#releaseSlots();
    }
    slots.forEach((bytes, i) => {
      const old = this.#slots[i];
      if (old && old.size >= bytes) return;
      this.#slots[i] = undefined;
      this.#slots[i] = this.#instead(old, bytes, "an intermediate");
    });
    const old = this.#scratch;
    if (scratch <= (old?.size ?? 0)) return;
    this.#scratch = undefined;
    this.#scratch = this.#instead(old, scratch, "splitting products");
  }

  #instead(old: GPUBuffer | undefined, bytes: number, what: string): GPUBuffer {
    if (old) {
      this.destroyBuffer(old);
      this.slotsVersion++;
    }
    return this.storage(bytes, what);
  }

  /** Lets slots and scratch go: they are as large as the largest of any plan that was ever loaded. */
  #releaseSlots(): void {
    for (const buffer of [...this.#slots, this.#scratch]) if (buffer) this.destroyBuffer(buffer);
    this.#slots = [];
    this.#scratch = undefined;
    this.slotsVersion++;
  }

  scratch(): GPUBuffer {
    return this.#scratch ?? fail("webgpu", "no scratch was reserved");
  }

  slot(index: number): GPUBuffer {
    return this.#slots[index] ?? fail("webgpu", `slot ${index} was not reserved`);
  }

  /** Bound where a kernel has a binding that the launch does not use; two that it may write are never in one place. */
  spare(access: "read" | "read_write", place: number): GPUBufferBinding {
    this.#spare ??= {
      read: this.storage(SLOT_BYTES, "a spare"),
      write: this.storage(SPARE_PLACES * SLOT_BYTES, "a spare"),
    };
    if (access === "read") return { buffer: this.#spare.read };
    return { buffer: this.#spare.write, offset: place * SLOT_BYTES, size: SLOT_BYTES };
  }

  #layout({ bindings, uniform, absent }: KernelSource): GPUBindGroupLayout {
    const key = `${bindings.join()}${uniform} ${[...absent].join()}`;
    let layout = this.#layouts.get(key);
    if (!layout) {
      const types: GPUBufferBindingType[] = [
        "uniform",
        ...bindings.map(
          (b) => (b === "read" ? "read-only-storage" : "storage") as GPUBufferBindingType,
        ),
        ...(uniform ? ["uniform" as const] : []),
      ];
      layout = this.gpu.createBindGroupLayout({
        entries: types
          .map((type, binding) => ({
            binding,
            visibility: GPUShaderStage.COMPUTE,
            buffer: { type },
          }))
          .filter(({ binding }) => !absent.has(binding)),
      });
      this.#layouts.set(key, layout);
    }
    return layout;
  }

  /** Compiled once for each source and its constants. */
  pipeline(source: KernelSource, constants: Geometry["constants"]): Promise<Pipeline> {
    const key = JSON.stringify(constants);
    const ofSource = this.#pipelines.get(source) ?? new Map<string, Promise<Pipeline>>();
    this.#pipelines.set(source, ofSource);
    let made = ofSource.get(key);
    if (!made) {
      made = this.#compile(source, constants);
      ofSource.set(key, made);
    }
    return made;
  }

  async #compile(source: KernelSource, constants: Geometry["constants"]): Promise<Pipeline> {
    const file = source.name;
    for (const name of Object.keys(constants)) {
      check(source.overrides.has(name), file, () => `the kernel has no override constant ${name}`);
    }
    const layout = this.#layout(source);
    if (this.debug >= 3) console.error(`// ${file} ${JSON.stringify(constants)}\n${source.code}`);
    this.gpu.pushErrorScope("validation"); // a wrong kernel of one's own is no end of the device
    const module = this.gpu.createShaderModule({ code: source.code, label: file });
    paced(this.gpu.popErrorScope()).catch(() => undefined);
    const compiling = this.gpu.createComputePipelineAsync({
      label: file,
      layout: this.gpu.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: "main", constants: { ...constants } },
    });
    try {
      const pipeline = await paced(compiling);
      this.stats.pipelines++;
      return { pipeline, layout, absent: source.absent };
    } catch (cause) {
      this.assertHealthy();
      const { messages } = await paced(module.getCompilationInfo());
      const why = messages.map((m) => `line ${m.lineNum}: ${m.message}`).join("; ");
      throw new EngineError(`[${file}] the kernel does not compile: ${why || String(cause)}`, {
        cause,
      });
    }
  }

  async load(given: AnyPlan, drop: () => void): Promise<Executable> {
    this.assertHealthy();
    if (this.debug > 1) console.error(describeAlive(given));
    const plan = withoutEmpty(given);
    const copies = this.copies?.among(plan.states) ?? [];
    const launches = [
      ...copies.map(({ copy, state }) => halving(state, copy)),
      ...plan.launches
        .flatMap((l) => windows(l, this.maxBinding))
        .flatMap((l) => chunked(l, this.adapter)),
    ];
    const params = new ArrayBuffer(Math.max(1, launches.length) * SLOT_BYTES);
    const view = new DataView(params);
    const steps = await Promise.all(
      launches.map(async (launch, i): Promise<Step> => {
        const { source, constants, groups } = await form(launch, this.adapter);
        packParams(launch.kernel, source, launch.params, view, i * SLOT_BYTES);
        checkBindings(launch, source);
        const pipeline = await this.pipeline(withoutBindings(source, absentOf(launch)), constants);
        return { launch, pipeline, groups: fold(groups), copy: copies[i]?.copy };
      }),
    );
    const states = [...new Set([...plan.states, ...copies.map(({ state }) => state)])];
    const all = { ...plan, states };
    return this.#plans.load(steps.length, () => this.#place(all, steps, params), drop);
  }

  /** Gives a plan its memory. No run starts meanwhile: it might use a slot that has to be taken back. */
  async #place(plan: AnyPlan, steps: Step[], params: ArrayBuffer): Promise<WebGPUExecutable> {
    await this.#prepare(plan.states);
    const own = WebGPUExecutable.needs(plan, steps).map(sizeOf);
    const scratch = scratchOf(steps);
    return this.#plans.exclusively(() =>
      this.#granted("the plan", () => {
        const needs = () => [...own, ...this.#growth(plan.slots, scratch)];
        if (!this.#makeRoom(needs()) && this.#plans.empty) this.#releaseSlots();
        if (!this.#makeRoom(needs())) this.#refuse(total(needs()), "the plan", this.#budget);
        return new WebGPUExecutable(this, plan, steps, params);
      }),
    );
  }

  /** Submits a run, or a piece of it. */
  submit(commands: GPUCommandBuffer): void {
    this.gpu.queue.submit([commands]);
    this.stats.submits++;
  }

  /** Counts what has been submitted as a run that is under way. */
  track(): void {
    this.#plans.submitted(paced(this.gpu.queue.onSubmittedWorkDone()));
  }

  /** Copies buffers to the host through one staging buffer; large ones in parts. */
  async #readBack(
    sources: readonly {
      readonly buffer: GPUBuffer;
      readonly begin: number;
      readonly bytes: number;
    }[],
  ): Promise<ArrayBuffer[]> {
    const most = 64 * 2 ** 20;
    const need = Math.min(most, Math.max(...sources.map((s) => up(s.bytes, 4))));
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
    const staging = await this.#granted("reading states", () =>
      this.createBuffer(need, usage, "reading states"),
    );
    try {
      const out: ArrayBuffer[] = [];
      for (const { buffer, begin, bytes } of sources) {
        const whole = new Uint8Array(bytes);
        for (let at = 0; at < bytes; at += most) {
          const size = Math.min(most, up(bytes - at, 4));
          this.assertHealthy();
          const encoder = this.gpu.createCommandEncoder();
          encoder.copyBufferToBuffer(buffer, begin + at, staging, 0, size);
          this.gpu.queue.submit([encoder.finish()]);
          await this.settled(staging.mapAsync(GPUMapMode.READ, 0, size));
          const length = Math.min(size, bytes - at);
          whole.set(new Uint8Array(staging.getMappedRange(0, size), 0, length), at);
          staging.unmap();
        }
        out.push(whole.buffer);
      }
      return out;
    } finally {
      this.destroyBuffer(staging);
    }
  }

  async readStates(states: readonly Tensor[], part?: BytePart): Promise<ArrayBuffer[]> {
    await this.#plans.loading;
    await this.#preparing; // first values may be on their way
    this.assertHealthy();
    const here = states.flatMap((t) => {
      const buffer = this.#states.get(t);
      const { begin, end } = part ?? { begin: 0, end: valueBytes(t) };
      return buffer ? [{ buffer, begin, bytes: end - begin }] : [];
    });
    // what is not there was never changed
    const others = states.map((t) => (this.#states.has(t) ? undefined : initialBytes(t, part)));
    const reading = this.#reading.then(() =>
      here.length > 0 ? this.#plans.retried(() => this.#readBack(here)) : [],
    );
    this.#reading = reading.catch(() => undefined);
    const [read, made] = await Promise.all([reading, Promise.all(others)]);
    this.assertHealthy();
    let next = 0;
    return made.map((bytes) => bytes ?? read[next++]);
  }

  write(state: Tensor, data: TypedArray): void {
    check(
      data.length === state.size,
      "write",
      () => `${data.length} values do not fill ${stateName(state)} ${show(state.shape)}`,
    );
    this.#put(state, data, 0);
  }

  async fill(t: Tensor, pieces: AsyncIterable<TypedArray>): Promise<void> {
    await this.#plans.loading;
    await this.#preparing; // first values may be on their way
    await filled(t, pieces, async (piece, offset) => {
      this.#put(t, piece, offset);
      await this.synchronize();
    });
  }

  #put(state: Tensor, data: TypedArray, offset: number): void {
    this.assertHealthy();
    check(state.node.op === stateOp, "write", () => `${state} is not a state`);
    this.gpu.pushErrorScope("out-of-memory");
    try {
      let buffer = this.#states.get(state);
      if (!buffer) {
        buffer = this.storage(state.bytes, stateName(state));
        this.#states.set(state, buffer);
      }
      this.upload(buffer, data, offset);
      this.copies?.wrote(state);
    } finally {
      const refused = (error: GPUError | null): void => {
        if (!error) return;
        const why = `[webgpu] the adapter has no memory for ${stateName(state)}: ${error.message}`;
        this.#failure ??= new OutOfMemoryError(why);
      };
      paced(this.gpu.popErrorScope()).then(refused, () => undefined);
    }
  }

  profile(): ProfileRow[] {
    return this.profiler?.rows() ?? [];
  }

  async synchronize(): Promise<void> {
    this.assertHealthy();
    await this.settled(this.gpu.queue.onSubmittedWorkDone());
    this.assertHealthy();
  }

  destroy(): void {
    this.#failure = destroyed("webgpu");
    // Dawn's side holds the listener, which holds this side, which holds Dawn's: a circle that nobody collects
    this.gpu.removeEventListener("uncapturederror", this.#onError);
    this.gpu.destroy();
  }
}

type Form = Pick<Geometry, "constants" | "groups"> & { readonly source: KernelSource };

/** How a launch runs on this adapter. */
async function form(launch: StepLaunch, adapter: Adapter): Promise<Form> {
  const { params, constants } = launch;
  if (launch.wgsl !== undefined) {
    const { kernel, wgsl, groups } = launch;
    return { source: customSource(kernel, wgsl), constants, groups };
  }
  const geometry = geometryOf(launch.kernel, params, constants, adapter);
  return { ...geometry, source: await kernelSource(geometry.file, geometry.uses) };
}

/** The bindings of operands that a launch of a kernel of the package does not have. */
function absentOf({ wgsl, inputs, inouts, outputs, uniform }: StepLaunch): number[] {
  if (wgsl !== undefined) return [];
  const operands = [...inputs, ...inouts, ...outputs, ...(uniform === undefined ? [] : [uniform])];
  return operands.flatMap((operand, i) => (operand ? [] : [i + 1]));
}

/** Throws unless a launch gives an operand for each binding of its kernel, and may write where the kernel does. */
function checkBindings(
  { kernel, inputs, inouts, outputs }: StepLaunch,
  source: KernelSource,
): void {
  const given = inputs.length + inouts.length + outputs.length;
  check(
    given === source.bindings.length,
    kernel,
    () => `the launch has ${given} operands, the kernel ${source.bindings.length} bindings`,
  );
  const wrong = source.bindings.findIndex((b, i) => (b === "read") !== i < inputs.length);
  check(wrong < 0, kernel, () => {
    const [is, must] = wrong < inputs.length ? ["an input", "read"] : ["written", "read_write"];
    return `binding ${wrong + 1} is ${is}, so that the kernel must declare it var<storage, ${must}>`;
  });
}

/** Bytes of the buffer that holds so many. */
const sizeOf = (bytes: number): number => up(Math.max(bytes, 4), 4);
const total = (sizes: readonly number[]): number => sizes.reduce((sum, size) => sum + size, 0);

/** One dimension holds 65,535 workgroups; what is more is folded into two, and kernels check bounds. */
function fold(
  groups: number | readonly [number, number, number],
): readonly [number, number, number] {
  if (typeof groups !== "number") return groups;
  if (groups <= 65535) return [Math.max(1, groups), 1, 1];
  const y = Math.ceil(groups / 65535);
  return [Math.ceil(groups / y), y, 1];
}
