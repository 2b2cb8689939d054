import { type Adapter, type Geometry, kernels } from "../../kernels/webgpu/table.ts";
import type { Device, DeviceOptions, DeviceStats, Executable, ProfileRow, Run } from "../device.ts";
import { check, DeviceLostError, EngineError, fail, OutOfMemoryError } from "../errors.ts";
import type { Memory, Plan, PlanLaunch, Region } from "../plan.ts";
import { show } from "../shape.ts";
import { hostData, stateName, stateOp, type Tensor, type TypedArray } from "../tensor.ts";
import { openAdapter, paced } from "./adapter.ts";
import { type Profiler, profiler } from "./profiler.ts";
import { kernelSource, packParams } from "./wgsl.ts";
import { windows } from "./windows.ts";

const slotBytes = 256;
/** Result slots of a plan: a result is readable until the second run after it. */
const ringSlots = 2;

const up = (bytes: number, to: number): number => Math.ceil(bytes / to) * to;

type Pipeline = { pipeline: GPUComputePipeline; layout: GPUBindGroupLayout; code: string };

/** A launch that is ready to encode but for its bind group. */
type Step = {
  launch: PlanLaunch;
  pipeline: Pipeline;
  groups: readonly [number, number, number];
  bindGroup?: GPUBindGroup;
};

export async function openWebGPU(options: DeviceOptions): Promise<Device> {
  const opened = await openAdapter(options);
  let budget = options.memoryBudget ?? Number.POSITIVE_INFINITY;
  if (options.memoryBudget === undefined && opened.software && typeof process !== "undefined") {
    const os = await import("node:os");
    budget = os.totalmem() * 0.6;
  }
  return new WebGPUDevice(opened.device, opened.description, opened.software, budget, options);
}

class WebGPUDevice implements Device {
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
  #slots: GPUBuffer[] = [];
  /** Grows when a slot was reallocated: plans made before bind again. */
  slotsVersion = 0;
  #failure: EngineError | undefined;
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
    this.debug =
      options.debug ?? Number((typeof process !== "undefined" && process.env.DEBUG) || 0);
    this.maxBinding = Math.min(
      options.maxBinding ?? Number.POSITIVE_INFINITY,
      gpu.limits.maxStorageBufferBindingSize,
    );
    this.adapter = {
      software,
      subgroupSize: gpu.features.has("subgroups") ? (gpu.adapterInfo.subgroupMinSize ?? 0) : 0,
      maxWorkgroupStorage: gpu.limits.maxComputeWorkgroupStorageSize,
    };
    if (options.profile || this.debug > 0) this.profiler = profiler(gpu);
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

  upload(buffer: GPUBuffer, data: TypedArray): void {
    const bytes = new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
    const chunk = 16 * 2 ** 20; // large writes stage slowly
    const whole = bytes.length - (bytes.length % 4);
    for (let at = 0; at < whole; at += chunk) {
      this.gpu.queue.writeBuffer(buffer, at, bytes, at, Math.min(chunk, whole - at));
    }
    if (whole < bytes.length) {
      const tail = new Uint8Array(4);
      tail.set(bytes.subarray(whole));
      this.gpu.queue.writeBuffer(buffer, whole, tail);
    }
  }

  /** The buffer of a state; its host data is uploaded at first use. */
  state(t: Tensor): GPUBuffer {
    let buffer = this.#states.get(t);
    if (!buffer) {
      buffer = this.storage(t.bytes, stateName(t));
      this.upload(buffer, hostData(t));
      this.#states.set(t, buffer);
    }
    return buffer;
  }

  /** Makes every slot at least as large as asked. */
  reserve(slots: readonly number[]): void {
    slots.forEach((bytes, i) => {
      const old = this.#slots[i];
      if (old && old.size >= bytes) return;
      if (old) {
        this.destroyBuffer(old);
        this.slotsVersion++;
      }
      this.#slots[i] = this.storage(bytes, "an intermediate");
    });
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
      return { pipeline, layout, code: source.code };
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
    const launches = plan.launches.flatMap((l) => windows(l, this.maxBinding));
    const params = new ArrayBuffer(Math.max(1, launches.length) * slotBytes);
    const view = new DataView(params);
    const steps = await Promise.all(
      launches.map(async (launch, i): Promise<Step> => {
        const choose = kernels[launch.kernel];
        if (!choose) return fail(launch.op, `there is no WebGPU kernel named ${launch.kernel}`);
        const geometry = choose(launch.params, launch.constants, this.adapter);
        const source = await kernelSource(geometry.file, geometry.uses);
        packParams(launch.kernel, source, launch.params, view, i * slotBytes);
        const given = launch.inputs.length + launch.inouts.length + launch.outputs.length;
        check(
          given === source.bindings.length,
          launch.kernel,
          () => `the launch has ${given} operands, the kernel ${source.bindings.length} bindings`,
        );
        return { launch, pipeline: await this.pipeline(geometry), groups: fold(geometry.groups) };
      }),
    );
    return new WebGPUExecutable(this, plan, steps, params);
  }

  async readBack(sources: readonly { buffer: GPUBuffer; bytes: number }[]): Promise<ArrayBuffer[]> {
    this.assertHealthy();
    const encoder = this.gpu.createCommandEncoder();
    const staging = sources.map(({ buffer, bytes }) => {
      const size = up(bytes, 4);
      const to = this.createBuffer(
        size,
        GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
        "a read",
      );
      encoder.copyBufferToBuffer(buffer, 0, to, 0, size);
      return to;
    });
    this.gpu.queue.submit([encoder.finish()]);
    const out: ArrayBuffer[] = [];
    for (let i = 0; i < staging.length; i++) {
      await paced(staging[i].mapAsync(GPUMapMode.READ));
      out.push(staging[i].getMappedRange().slice(0, sources[i].bytes));
      this.destroyBuffer(staging[i]);
    }
    this.assertHealthy();
    return out;
  }

  readStates(states: readonly Tensor[]): Promise<ArrayBuffer[]> {
    return this.readBack(
      states.map((t) => ({
        buffer: this.state(t),
        bytes: t.dtype === "f16" || t.dtype === "bf16" ? t.size * 2 : t.bytes,
      })),
    );
  }

  write(state: Tensor, data: TypedArray): void {
    this.assertHealthy();
    check(state.node.op === stateOp, "write", () => `${state} is not a state`);
    check(
      data.length === state.size,
      "write",
      () => `${data.length} values do not fill ${stateName(state)} ${show(state.shape)}`,
    );
    this.upload(this.state(state), data);
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

type ResultSlot = {
  buffer: GPUBuffer;
  staging: GPUBuffer;
  run: number;
  bytes?: Promise<ArrayBuffer>;
  /** Settles when the staging buffer is free again. */
  staged: Promise<unknown>;
};

class WebGPUExecutable implements Executable {
  #device: WebGPUDevice;
  #plan: Plan;
  #steps: Step[];
  #params: GPUBuffer;
  #inputs: GPUBuffer[];
  #constants = new Map<Tensor, GPUBuffer>();
  #ring: ResultSlot[] = [];
  #offsets: number[] = [];
  #version = -1;
  #runs = 0;

  constructor(device: WebGPUDevice, plan: Plan, steps: Step[], params: ArrayBuffer) {
    this.#device = device;
    this.#plan = plan;
    this.#steps = steps;
    this.#params = device.createBuffer(
      params.byteLength,
      GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
      "the parameters of a plan",
    );
    device.gpu.queue.writeBuffer(this.#params, 0, params);
    this.#inputs = plan.inputs.map((spec, i) =>
      device.storage(bytesOf(spec), `argument ${i} ${show(spec.shape)}`),
    );
    let bytes = 0;
    for (const out of plan.outputs) {
      this.#offsets.push(bytes);
      bytes += up(out.byteLength, slotBytes);
    }
    for (let i = 0; i < ringSlots && bytes > 0; i++) {
      const { COPY_DST, COPY_SRC, MAP_READ } = GPUBufferUsage;
      this.#ring.push({
        buffer: device.createBuffer(bytes, COPY_DST | COPY_SRC, "the results of a plan"),
        staging: device.createBuffer(bytes, COPY_DST | MAP_READ, "the results of a plan"),
        run: -1,
        staged: Promise.resolve(),
      });
    }
    for (const t of plan.states) device.state(t);
    device.reserve(plan.slots);
    this.#bind();
  }

  get bindGroups(): number {
    return this.#steps.length;
  }

  #buffer(memory: Memory): GPUBuffer {
    if (memory.kind === "slot") return this.#device.slot(memory.index);
    if (memory.kind === "state") return this.#device.state(memory.state);
    if (memory.kind === "input") return this.#inputs[memory.index];
    let buffer = this.#constants.get(memory.tensor);
    if (!buffer) {
      buffer = this.#device.storage(memory.tensor.bytes, `a constant ${memory.tensor}`);
      this.#device.upload(buffer, hostData(memory.tensor));
      this.#constants.set(memory.tensor, buffer);
    }
    return buffer;
  }

  #resource(region: Region | null, access: "read" | "read_write"): GPUBufferBinding {
    if (!region) return { buffer: this.#device.spare(access) };
    return {
      buffer: this.#buffer(region.memory),
      offset: region.byteOffset,
      size: up(region.byteLength, 4),
    };
  }

  #bind(): void {
    this.#version = this.#device.slotsVersion;
    this.#steps.forEach((step, i) => {
      const { inputs, inouts, outputs, rng } = step.launch;
      const resources: GPUBufferBinding[] = [
        { buffer: this.#params, offset: i * slotBytes, size: slotBytes },
        ...inputs.map((r) => this.#resource(r, "read")),
        ...[...inouts, ...outputs].map((r) => this.#resource(r, "read_write")),
        ...(rng ? [this.#resource(rng, "read")] : []),
      ];
      step.bindGroup = this.#device.gpu.createBindGroup({
        layout: step.pipeline.layout,
        entries: resources.map((resource, binding) => ({ binding, resource })),
      });
    });
  }

  run(inputs: readonly TypedArray[]): Run {
    const device = this.#device;
    device.assertHealthy();
    device.reserve(this.#plan.slots);
    if (this.#version !== device.slotsVersion) this.#bind();
    inputs.forEach((data, i) => {
      device.upload(this.#inputs[i], data);
    });
    const encoder = device.gpu.createCommandEncoder();
    if (device.profiler) this.#encodeProfiled(encoder, device.profiler);
    else {
      const pass = encoder.beginComputePass();
      let current: GPUComputePipeline | undefined;
      for (const { pipeline, bindGroup, groups } of this.#steps) {
        if (pipeline.pipeline !== current) {
          current = pipeline.pipeline;
          pass.setPipeline(current);
        }
        pass.setBindGroup(0, bindGroup);
        pass.dispatchWorkgroups(groups[0], groups[1], groups[2]);
      }
      pass.end();
    }
    const number = this.#runs++;
    const slot = this.#ring[number % ringSlots];
    if (slot) {
      slot.run = number;
      delete slot.bytes;
      this.#plan.outputs.forEach((out, i) => {
        const from = this.#buffer(out.memory);
        encoder.copyBufferToBuffer(
          from,
          out.byteOffset,
          slot.buffer,
          this.#offsets[i],
          up(out.byteLength, 4),
        );
      });
    }
    device.gpu.queue.submit([encoder.finish()]);
    device.stats.submits++;
    device.stats.launches += this.#steps.length;
    const finished = device.profiler?.finish(device.debug);
    return {
      read: async (index) => {
        await finished;
        return this.#read(slot, number, index);
      },
    };
  }

  #encodeProfiled(encoder: GPUCommandEncoder, profiler: Profiler): void {
    for (const { pipeline, bindGroup, groups, launch } of this.#steps) {
      const pass = encoder.beginComputePass(profiler.pass(launch));
      pass.setPipeline(pipeline.pipeline);
      pass.setBindGroup(0, bindGroup);
      pass.dispatchWorkgroups(groups[0], groups[1], groups[2]);
      pass.end();
    }
    profiler.resolve(encoder);
  }

  async #read(slot: ResultSlot, run: number, index: number): Promise<ArrayBuffer> {
    assertCurrent(slot, run);
    if (!slot.bytes) {
      const bytes = slot.staged.then(() => this.#map(slot, run));
      slot.bytes = bytes;
      slot.staged = bytes.catch(() => undefined);
    }
    const bytes = await slot.bytes;
    const { byteLength } = this.#plan.outputs[index];
    return bytes.slice(this.#offsets[index], this.#offsets[index] + byteLength);
  }

  /** All results of a run come to the host in one copy. */
  async #map(slot: ResultSlot, run: number): Promise<ArrayBuffer> {
    const device = this.#device;
    assertCurrent(slot, run);
    device.assertHealthy();
    const encoder = device.gpu.createCommandEncoder();
    encoder.copyBufferToBuffer(slot.buffer, 0, slot.staging, 0, slot.buffer.size);
    device.gpu.queue.submit([encoder.finish()]);
    await paced(slot.staging.mapAsync(GPUMapMode.READ));
    const bytes = slot.staging.getMappedRange().slice(0);
    slot.staging.unmap();
    device.assertHealthy();
    return bytes;
  }

  destroy(): void {
    const buffers = [this.#params, ...this.#inputs, ...this.#constants.values()];
    for (const slot of this.#ring) buffers.push(slot.buffer, slot.staging);
    for (const buffer of buffers) this.#device.destroyBuffer(buffer);
    this.#steps = [];
  }
}

function assertCurrent(slot: ResultSlot, run: number): void {
  if (slot.run === run) return;
  throw new EngineError(
    `[read] the result of run ${run} was reused by run ${slot.run}; read it before the second run after it`,
  );
}

const bytesOf = (spec: Plan["inputs"][number]): number =>
  spec.shape.reduce((n, d) => n * d, 1) * (spec.dtype === "f16" || spec.dtype === "bf16" ? 2 : 4);
