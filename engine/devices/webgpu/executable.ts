/** A plan that is loaded on WebGPU: its buffers and bind groups, and how one run is encoded. */
import type { Executable, Run } from "../../device.ts";
import type { Plan } from "../../plan.ts";
import { show } from "../../shape.ts";
import { hostData, type Tensor, type TypedArray, valueBytes } from "../../tensor.ts";
import { paced } from "../host.ts";
import { assertCurrent, RING_SLOTS } from "../results.ts";
import { type StepLaunch, type StepRegion, scratchBytes } from "./chunks.ts";
import type { WebGPUDevice } from "./device.ts";
import type { Profiler } from "./timestamps.ts";

/** Bytes of one launch's parameter block in the uniform buffer of its plan. */
export const SLOT_BYTES = 256;

/**
 * Launches that go to a hardware GPU at once: it works on them while the host encodes the next. A software adapter has
 * the host's cores and gets a run whole.
 */
const LAUNCHES_PER_SUBMIT = 512;

/** `bytes` rounded up to a multiple of `to`. */
export const up = (bytes: number, to: number): number => Math.ceil(bytes / to) * to;

export type Pipeline = { pipeline: GPUComputePipeline; layout: GPUBindGroupLayout };

/** A launch that is ready to encode but for its bind group. */
export type Step = {
  launch: StepLaunch;
  pipeline: Pipeline;
  groups: readonly [number, number, number];
  bindGroup?: GPUBindGroup;
};

type ResultSlot = {
  /** Each run copies its results here, in its own submit; the host maps it. */
  buffer: GPUBuffer;
  run: number;
  bytes?: Promise<ArrayBuffer>;
  /** Settles when the buffer is not mapped. */
  free: Promise<unknown>;
};

/** Writes launches into one pass. */
function encode(encoder: GPUCommandEncoder, steps: readonly Step[]): void {
  const pass = encoder.beginComputePass();
  let current: GPUComputePipeline | undefined;
  for (const { pipeline, bindGroup, groups } of steps) {
    if (pipeline.pipeline !== current) {
      current = pipeline.pipeline;
      pass.setPipeline(current);
    }
    pass.setBindGroup(0, bindGroup);
    pass.dispatchWorkgroups(groups[0], groups[1], groups[2]);
  }
  pass.end();
}

/** A plan with its buffers and bind groups, replayed by encoding its launches. */
export class WebGPUExecutable implements Executable {
  #device: WebGPUDevice;
  #plan: Plan;
  #steps: Step[];
  #params: GPUBuffer;
  #inputs: GPUBuffer[];
  #constants = new Map<Tensor, GPUBuffer>();
  #ring: ResultSlot[] = [];
  #offsets: number[] = [];
  #scratch: number;
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
      device.storage(valueBytes(spec), `argument ${i} ${show(spec.shape)}`),
    );
    let bytes = 0;
    for (const out of plan.outputs) {
      this.#offsets.push(bytes);
      bytes += up(out.byteLength, SLOT_BYTES);
    }
    for (let i = 0; i < RING_SLOTS && bytes > 0; i++) {
      const usage = GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ;
      const buffer = device.createBuffer(bytes, usage, "the results of a plan");
      this.#ring.push({ buffer, run: -1, free: Promise.resolve() });
    }
    this.#scratch = Math.max(0, ...steps.map(({ launch }) => scratchBytes(launch)));
    device.reserve(plan.slots, this.#scratch);
    this.#bind();
  }

  get bindGroups(): number {
    return this.#steps.length;
  }

  #buffer(memory: StepRegion["memory"]): GPUBuffer {
    if (memory.kind === "scratch") return this.#device.scratch();
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

  #resource(region: StepRegion | null, access: "read" | "read_write"): GPUBufferBinding {
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
        { buffer: this.#params, offset: i * SLOT_BYTES, size: SLOT_BYTES },
        ...inputs.map((r) => this.#resource(r, "read")),
        ...[...inouts, ...outputs].map((r) => this.#resource(r, "read_write")),
        ...(rng === undefined ? [] : [this.#resource(rng, "read")]),
      ];
      step.bindGroup = this.#device.gpu.createBindGroup({
        layout: step.pipeline.layout,
        entries: resources.map((resource, binding) => ({ binding, resource })),
      });
    });
  }

  async ready(): Promise<void> {
    await this.#ring[this.#runs % RING_SLOTS]?.free;
  }

  run(inputs: readonly TypedArray[]): Run {
    const device = this.#device;
    device.assertHealthy();
    device.reserve(this.#plan.slots, this.#scratch);
    if (this.#version !== device.slotsVersion) this.#bind();
    inputs.forEach((data, i) => {
      device.upload(this.#inputs[i], data);
    });
    let encoder = device.gpu.createCommandEncoder();
    if (device.profiler) this.#encodeProfiled(encoder, device.profiler);
    else {
      const piece = device.adapter.software ? this.#steps.length : LAUNCHES_PER_SUBMIT;
      for (let at = 0; at < this.#steps.length; at += piece) {
        if (at > 0) {
          device.submit(encoder.finish());
          encoder = device.gpu.createCommandEncoder();
        }
        encode(encoder, this.#steps.slice(at, at + piece));
      }
    }
    const number = this.#runs++;
    const slot = this.#ring[number % RING_SLOTS];
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
    device.submit(encoder.finish());
    device.track();
    device.stats.launches += this.#steps.length;
    const finished = device.profiler?.finish();
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
    const { byteLength } = this.#plan.outputs[index];
    if (byteLength === 0) return new ArrayBuffer(0); // a run without bytes has no slot
    assertCurrent(slot.run, run);
    if (!slot.bytes) {
      slot.bytes = this.#map(slot);
      slot.free = slot.bytes.catch(() => undefined);
    }
    const bytes = await slot.bytes;
    return bytes.slice(this.#offsets[index], this.#offsets[index] + byteLength);
  }

  /** All results of a run come to the host at once. */
  async #map(slot: ResultSlot): Promise<ArrayBuffer> {
    this.#device.assertHealthy();
    await paced(slot.buffer.mapAsync(GPUMapMode.READ));
    const bytes = slot.buffer.getMappedRange().slice(0);
    slot.buffer.unmap();
    this.#device.assertHealthy();
    return bytes;
  }

  destroy(): void {
    const buffers = [this.#params, ...this.#inputs, ...this.#constants.values()];
    for (const slot of this.#ring) buffers.push(slot.buffer);
    for (const buffer of buffers) this.#device.destroyBuffer(buffer);
    this.#steps = [];
  }
}
