/** WebGPU as a device: its buffers, pipelines, states and plans. The only files that may call WebGPU are in this folder. */
import { type Adapter, type Geometry, geometryOf } from "../../../kernels/webgpu/table.ts";
import type { Device, DeviceOptions, DeviceStats, Executable, ProfileRow } from "../../device.ts";
import { check, DeviceLostError, EngineError, fail, OutOfMemoryError } from "../../errors.ts";
import type { Plan } from "../../plan.ts";
import { show } from "../../shape.ts";
import {
  initialPieces,
  stateName,
  stateOp,
  type Tensor,
  type TypedArray,
  valueBytes,
} from "../../tensor.ts";
import { debugLevel, paced } from "../host.ts";
import { RUNS_UNDER_WAY } from "../results.ts";
import { openAdapter } from "./adapter.ts";
import { chunked } from "./chunks.ts";
import { type Pipeline, SLOT_BYTES, type Step, up, WebGPUExecutable } from "./executable.ts";
import { kernelSource, packParams } from "./kernel-source.ts";
import { type Profiler, profiler } from "./timestamps.ts";
import { windows } from "./windows.ts";

export async function openWebGPU(options: DeviceOptions): Promise<Device> {
  const opened = await openAdapter(options);
  let budget = options.memoryBudget ?? Number.POSITIVE_INFINITY;
  if (options.memoryBudget === undefined && opened.software && typeof process !== "undefined") {
    const os = await import("node:os");
    budget = os.totalmem() * 0.6;
  }
  return new WebGPUDevice(opened.device, opened.description, opened.software, budget, options);
}

export class WebGPUDevice implements Device {
  readonly kind = "webgpu";
  readonly description: string;
  readonly stats: DeviceStats = {
    buffersCreated: 0,
    bytes: 0,
    submits: 0,
    launches: 0,
    pipelines: 0,
  };
  readonly gpu: GPUDevice;
  readonly adapter: Adapter;
  readonly maxBinding: number;
  readonly debug: number;
  readonly profiler: Profiler | undefined;
  #budget: number;
  #pipelines = new Map<string, Promise<Pipeline>>();
  #layouts = new Map<string, GPUBindGroupLayout>();
  #states = new Map<Tensor, GPUBuffer>();
  /** Settles when no state is being uploaded. */
  #preparing: Promise<void> = Promise.resolve();
  #slots: GPUBuffer[] = [];
  /** What the launches of a step hand each other; as large as the largest need of any plan. */
  #scratch: GPUBuffer | undefined;
  /** Grows when a slot or the scratch was reallocated: plans made before bind again. */
  slotsVersion = 0;
  /** The ends of the runs under way, oldest first. */
  #underWay: Promise<unknown>[] = [];
  #failure: EngineError | undefined;
  #staging: GPUBuffer | undefined;
  /** Settles when the staging buffer is free. */
  #reading: Promise<unknown> = Promise.resolve();
  #spare: { read: GPUBuffer; write: GPUBuffer } | undefined;

  constructor(
    gpu: GPUDevice,
    description: string,
    software: boolean,
    budget: number,
    options: DeviceOptions,
  ) {
    this.gpu = gpu;
    this.description = description;
    this.#budget = budget;
    this.debug = debugLevel(options);
    this.maxBinding = Math.min(
      options.maxBinding ?? Number.POSITIVE_INFINITY,
      gpu.limits.maxStorageBufferBindingSize,
    );
    this.adapter = {
      software: options.geometry ? options.geometry === "software" : software,
      subgroupSize: gpu.features.has("subgroups") ? (gpu.adapterInfo.subgroupMinSize ?? 0) : 0,
      maxWorkgroupStorage: gpu.limits.maxComputeWorkgroupStorageSize,
    };
    if (options.profile || this.debug > 0) this.profiler = profiler(gpu, this.debug);
    gpu.addEventListener("uncapturederror", (e) => {
      this.#failure ??= new DeviceLostError(`[webgpu] ${e.error.message}`);
    });
    gpu.lost.then((info) => {
      if (info.reason === "destroyed") return;
      this.#failure ??= new DeviceLostError(`[webgpu] the device was lost: ${info.message}`);
    });
  }

  /** Throws what went wrong on the device since the last call, if anything did. */
  assertHealthy(): void {
    if (this.#failure) throw this.#failure;
  }

  createBuffer(size: number, usage: number, what: string): GPUBuffer {
    const bytes = up(Math.max(size, 4), 4);
    const { maxBufferSize } = this.gpu.limits;
    if (this.stats.bytes + bytes > this.#budget || bytes > maxBufferSize) {
      const limit = Math.min(this.#budget, maxBufferSize);
      throw new OutOfMemoryError(
        `[webgpu] ${what} needs ${bytes} bytes beside ${this.stats.bytes} in use, but the budget is ` +
          `${Math.floor(limit)} bytes; use a smaller batch or model, or raise memoryBudget`,
      );
    }
    const buffer = this.gpu.createBuffer({ size: bytes, usage });
    this.stats.buffersCreated++;
    this.stats.bytes += bytes;
    return buffer;
  }

  destroyBuffer(buffer: GPUBuffer): void {
    this.stats.bytes -= buffer.size;
    buffer.destroy();
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
  prepare(states: readonly Tensor[]): Promise<void> {
    const made = this.#preparing.then(async () => {
      for (const t of states) {
        if (this.#states.has(t)) continue;
        const buffer = this.storage(t.bytes, stateName(t)); // zeros
        let at = 0;
        for await (const piece of initialPieces(t)) {
          this.upload(buffer, piece, at);
          at += piece.byteLength;
        }
        // the host may have written it meanwhile
        if (this.#states.has(t)) this.destroyBuffer(buffer);
        else this.#states.set(t, buffer);
      }
    });
    this.#preparing = made.catch(() => undefined);
    return made;
  }

  /** Makes every slot, and the scratch, at least as large as asked. */
  reserve(slots: readonly number[], scratch: number): void {
    slots.forEach((bytes, i) => {
      this.#slots[i] = this.#grown(this.#slots[i], bytes, "an intermediate");
    });
    if (scratch > 0) this.#scratch = this.#grown(this.#scratch, scratch, "splitting products");
  }

  #grown(old: GPUBuffer | undefined, bytes: number, what: string): GPUBuffer {
    if (old && old.size >= bytes) return old;
    if (old) {
      this.destroyBuffer(old);
      this.slotsVersion++;
    }
    return this.storage(bytes, what);
  }

  scratch(): GPUBuffer {
    return this.#scratch ?? fail("webgpu", "no scratch was reserved");
  }

  slot(index: number): GPUBuffer {
    return this.#slots[index];
  }

  /** Bound where a kernel has a binding that the launch does not use. */
  spare(access: "read" | "read_write"): GPUBuffer {
    this.#spare ??= { read: this.storage(256, "a spare"), write: this.storage(256, "a spare") };
    return access === "read" ? this.#spare.read : this.#spare.write;
  }

  #layout(bindings: readonly string[], rng: boolean): GPUBindGroupLayout {
    const key = `${bindings.join()}${rng}`;
    let layout = this.#layouts.get(key);
    if (!layout) {
      const types: GPUBufferBindingType[] = [
        "uniform",
        ...bindings.map(
          (b) => (b === "read" ? "read-only-storage" : "storage") as GPUBufferBindingType,
        ),
        ...(rng ? ["uniform" as const] : []),
      ];
      layout = this.gpu.createBindGroupLayout({
        entries: types.map((type, binding) => ({
          binding,
          visibility: GPUShaderStage.COMPUTE,
          buffer: { type },
        })),
      });
      this.#layouts.set(key, layout);
    }
    return layout;
  }

  /** Compiled once for each (files, constants). */
  pipeline(geometry: Geometry): Promise<Pipeline> {
    const key = JSON.stringify([geometry.file, geometry.uses, geometry.constants]);
    let made = this.#pipelines.get(key);
    if (!made) {
      made = this.#compile(geometry);
      this.#pipelines.set(key, made);
    }
    return made;
  }

  async #compile({ file, uses, constants }: Geometry): Promise<Pipeline> {
    const source = await kernelSource(file, uses);
    for (const name of Object.keys(constants)) {
      check(source.overrides.has(name), file, () => `the kernel has no override constant ${name}`);
    }
    const layout = this.#layout(source.bindings, source.rng);
    if (this.debug >= 3) console.error(`// ${file} ${JSON.stringify(constants)}\n${source.code}`);
    const module = this.gpu.createShaderModule({ code: source.code, label: file });
    const compiling = this.gpu.createComputePipelineAsync({
      label: file,
      layout: this.gpu.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: "main", constants: { ...constants } },
    });
    try {
      const pipeline = await paced(compiling);
      this.stats.pipelines++;
      return { pipeline, layout };
    } catch (cause) {
      const { messages } = await paced(module.getCompilationInfo());
      const why = messages.map((m) => `line ${m.lineNum}: ${m.message}`).join("; ");
      throw new EngineError(`[${file}] the kernel does not compile: ${why || String(cause)}`, {
        cause,
      });
    }
  }

  async load(plan: Plan): Promise<Executable> {
    this.assertHealthy();
    const launches = plan.launches
      .flatMap((l) => windows(l, this.maxBinding))
      .flatMap((l) => chunked(l, this.adapter));
    const params = new ArrayBuffer(Math.max(1, launches.length) * SLOT_BYTES);
    const view = new DataView(params);
    const steps = await Promise.all(
      launches.map(async (launch, i): Promise<Step> => {
        const { kernel, params: values, constants } = launch;
        const geometry = geometryOf(kernel, values, constants, this.adapter);
        const source = await kernelSource(geometry.file, geometry.uses);
        packParams(launch.kernel, source, launch.params, view, i * SLOT_BYTES);
        const given = launch.inputs.length + launch.inouts.length + launch.outputs.length;
        check(
          given === source.bindings.length,
          launch.kernel,
          () => `the launch has ${given} operands, the kernel ${source.bindings.length} bindings`,
        );
        return { launch, pipeline: await this.pipeline(geometry), groups: fold(geometry.groups) };
      }),
    );
    await this.prepare(plan.states);
    return new WebGPUExecutable(this, plan, steps, params);
  }

  /** Submits a run, or a piece of it. */
  submit(commands: GPUCommandBuffer): void {
    this.gpu.queue.submit([commands]);
    this.stats.submits++;
  }

  /** Counts what has been submitted as a run that is under way. */
  track(): void {
    const done = paced(this.gpu.queue.onSubmittedWorkDone()).catch(() => undefined);
    this.#underWay.push(done);
    done.then(() => {
      this.#underWay = this.#underWay.filter((d) => d !== done);
    });
  }

  async ready(): Promise<void> {
    while (this.#underWay.length >= RUNS_UNDER_WAY) await this.#underWay[0];
    this.assertHealthy();
  }

  /** Copies buffers to the host through one staging buffer that is kept; large ones in parts. */
  async #readBack(
    sources: readonly { buffer: GPUBuffer; bytes: number }[],
  ): Promise<ArrayBuffer[]> {
    this.assertHealthy();
    const most = 64 * 2 ** 20;
    const need = Math.min(most, Math.max(...sources.map((s) => up(s.bytes, 4))));
    if (!this.#staging || this.#staging.size < need) {
      if (this.#staging) this.destroyBuffer(this.#staging);
      const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
      this.#staging = this.createBuffer(need, usage, "reading states");
    }
    const staging = this.#staging;
    const out: ArrayBuffer[] = [];
    for (const { buffer, bytes } of sources) {
      const whole = new Uint8Array(bytes);
      for (let at = 0; at < bytes; at += most) {
        const size = Math.min(most, up(bytes - at, 4));
        const encoder = this.gpu.createCommandEncoder();
        encoder.copyBufferToBuffer(buffer, at, staging, 0, size);
        this.gpu.queue.submit([encoder.finish()]);
        await paced(staging.mapAsync(GPUMapMode.READ, 0, size));
        const length = Math.min(size, bytes - at);
        whole.set(new Uint8Array(staging.getMappedRange(0, size), 0, length), at);
        staging.unmap();
      }
      out.push(whole.buffer);
    }
    this.assertHealthy();
    return out;
  }

  async readStates(states: readonly Tensor[]): Promise<ArrayBuffer[]> {
    await this.prepare(states);
    const sources = states.map((t) => ({
      buffer: this.state(t),
      bytes: valueBytes(t),
    }));
    const read = this.#reading.then(() => this.#readBack(sources));
    this.#reading = read.catch(() => undefined);
    return read;
  }

  write(state: Tensor, data: TypedArray): void {
    this.assertHealthy();
    check(state.node.op === stateOp, "write", () => `${state} is not a state`);
    check(
      data.length === state.size,
      "write",
      () => `${data.length} values do not fill ${stateName(state)} ${show(state.shape)}`,
    );
    let buffer = this.#states.get(state);
    if (!buffer) {
      buffer = this.storage(state.bytes, stateName(state));
      this.#states.set(state, buffer);
    }
    this.upload(buffer, data);
  }

  profile(): ProfileRow[] {
    return this.profiler?.rows() ?? [];
  }

  async synchronize(): Promise<void> {
    await paced(this.gpu.queue.onSubmittedWorkDone());
    this.assertHealthy();
  }

  destroy(): void {
    this.gpu.destroy();
  }
}

/** One dimension holds 65,535 workgroups; what is more is folded into two, and kernels check bounds. */
function fold(
  groups: number | readonly [number, number, number],
): readonly [number, number, number] {
  if (typeof groups !== "number") return groups;
  if (groups <= 65535) return [Math.max(1, groups), 1, 1];
  const y = Math.ceil(groups / 65535);
  return [Math.ceil(groups / y), y, 1];
}
