/** A plan that is loaded on WebGPU: its buffers and bind groups, and how one run is encoded. */
import type { Run } from "../../device.ts";
import type { AnyPlan, Region } from "../../plan.ts";
import { show } from "../../shape.ts";
import { hostData, type Tensor, type TypedArray, valueBytes } from "../../tensor.ts";
import type { Resident } from "../plans.ts";
import { assertCurrent, RING_SLOTS } from "../results.ts";
import { type StepLaunch, type StepRegion, scratchBytes } from "./chunks.ts";
import { statesWritten } from "./copies.ts";
import type { WebGPUDevice } from "./device.ts";
import type { KernelSource } from "./kernel-source.ts";
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

export type Pipeline = {
  pipeline: GPUComputePipeline;
  layout: GPUBindGroupLayout;
  /** Bindings that the layout lacks. */
  absent: KernelSource["absent"];
};

/** A launch that is ready to encode but for its bind group. */
export type Step = {
  /** It makes this f16 copy of a state, and runs where the copy is stale. */
  readonly copy?: Tensor | undefined;
  launch: StepLaunch;
  pipeline: Pipeline;
  groups: readonly [number, number, number];
  bindGroup?: GPUBindGroup;
};

/** All results of one run, once somebody has asked for one of them. */
type Results = { bytes?: Promise<ArrayBuffer> };

type ResultSlot = {
  /** Each run copies its results here, in its own submit; the host maps it. */
  readonly buffer: GPUBuffer;
  run: number;
  /** Those of the last run, while nobody has asked for them. */
  unread?: Results;
  /** Settles when the buffer is no longer mapped; absent where it is not. */
  mapped?: Promise<void>;
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
    // each argument costs the host some of a dispatch's time
    const [x, y, z] = groups;
    if (z > 1) pass.dispatchWorkgroups(x, y, z);
    else if (y > 1) pass.dispatchWorkgroups(x, y);
    else pass.dispatchWorkgroups(x);
  }
  pass.end();
}

/** A plan with its buffers and bind groups, replayed by encoding its launches. */
export class WebGPUExecutable implements Resident {
  #device: WebGPUDevice;
  readonly #outputs: readonly Region[];
  readonly #slots: readonly number[];
  #steps: Step[];
  /** Those without what makes copies. */
  #always: Step[];
  readonly #written: ReadonlySet<Tensor>;
  #params: GPUBuffer;
  #inputs: GPUBuffer[];
  #constants: GPUBuffer[];
  #ring: ResultSlot[] = [];
  #offsets: number[] = [];
  #scratch: number;
  #version = -1;
  #runs = 0;

  constructor(device: WebGPUDevice, plan: AnyPlan, steps: Step[], params: ArrayBuffer) {
    this.#device = device;
    this.#outputs = plan.outputs;
    this.#slots = plan.slots;
    this.#steps = steps;
    this.#always = steps.filter(({ copy }) => !copy);
    this.#written = device.copies ? statesWritten(plan) : new Set();
    this.#params = device.createBuffer(
      params.byteLength,
      GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
      "the parameters of a plan",
    );
    device.gpu.queue.writeBuffer(this.#params, 0, params);
    this.#inputs = plan.inputs.map((spec, i) =>
      device.storage(valueBytes(spec), `argument ${i} ${show(spec.shape)}`),
    );
    this.#constants = plan.constants.map((t) => {
      const buffer = device.storage(t.bytes, `a constant ${t}`);
      device.upload(buffer, hostData(t));
      return buffer;
    });
    let bytes = 0;
    for (const out of plan.outputs) {
      this.#offsets.push(bytes);
      bytes += up(out.byteLength, SLOT_BYTES);
    }
    for (let i = 0; i < RING_SLOTS && bytes > 0; i++) {
      const usage = GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ;
      const buffer = device.createBuffer(bytes, usage, "the results of a plan");
      this.#ring.push({ buffer, run: -1 });
    }
    this.#scratch = scratchOf(steps);
    device.reserve(plan.slots, this.#scratch);
    this.#bind();
  }

  /** Bytes that a plan takes for itself, buffer by buffer. */
  static needs(plan: AnyPlan, steps: readonly Step[]): number[] {
    const results = plan.outputs.reduce((sum, out) => sum + up(out.byteLength, SLOT_BYTES), 0);
    const ring = plan.outputs.length > 0 ? new Array<number>(RING_SLOTS).fill(results) : [];
    const params = Math.max(1, steps.length) * SLOT_BYTES;
    return [params, ...plan.inputs.map(valueBytes), ...plan.constants.map((t) => t.bytes), ...ring];
  }

  get launches(): number {
    return this.#steps.length;
  }

  #buffer(memory: StepRegion["memory"]): GPUBuffer {
    if (memory.kind === "scratch") return this.#device.scratch();
    if (memory.kind === "slot") return this.#device.slot(memory.index);
    if (memory.kind === "state") return this.#device.state(memory.state);
    if (memory.kind === "input") return this.#inputs[memory.index];
    return this.#constants[memory.index];
  }

  /** @param place of the operand among those that are read, or written */
  #resource(
    region: StepRegion | null,
    access: "read" | "read_write",
    place: number,
  ): GPUBufferBinding {
    if (!region || region.byteLength === 0) return this.#device.spare(access, place);
    return {
      buffer: this.#buffer(region.memory),
      offset: region.byteOffset,
      size: up(region.byteLength, 4),
    };
  }

  #bind(): void {
    this.#version = this.#device.slotsVersion;
    this.#steps.forEach((step, i) => {
      const { inputs, inouts, outputs, uniform } = step.launch;
      const resources: GPUBufferBinding[] = [
        { buffer: this.#params, offset: i * SLOT_BYTES, size: SLOT_BYTES },
        ...inputs.map((r, at) => this.#resource(r, "read", at)),
        ...[...inouts, ...outputs].map((r, at) => this.#resource(r, "read_write", at)),
        ...(uniform === undefined ? [] : [this.#resource(uniform, "read", inputs.length)]),
      ];
      step.bindGroup = this.#device.gpu.createBindGroup({
        layout: step.pipeline.layout,
        entries: resources
          .map((resource, binding) => ({ binding, resource }))
          .filter(({ binding }) => !step.pipeline.absent.has(binding)),
      });
    });
  }

  busy(): Promise<void> | undefined {
    return this.#ring[this.#runs % RING_SLOTS]?.mapped;
  }

  start(inputs: readonly TypedArray[]): Run {
    const device = this.#device;
    device.assertHealthy();
    device.reserve(this.#slots, this.#scratch);
    if (this.#version !== device.slotsVersion) this.#bind();
    inputs.forEach((data, i) => {
      device.upload(this.#inputs[i], data);
    });
    let encoder = device.gpu.createCommandEncoder();
    const steps = this.#stepsNow();
    if (device.profiler) this.#encodeProfiled(encoder, steps, device.profiler);
    else {
      const piece = device.adapter.software ? steps.length : LAUNCHES_PER_SUBMIT;
      for (let at = 0; at < steps.length; at += piece) {
        if (at > 0) {
          device.submit(encoder.finish());
          encoder = device.gpu.createCommandEncoder();
        }
        encode(encoder, steps.slice(at, at + piece));
      }
    }
    const number = this.#runs++;
    const slot = this.#ring[number % RING_SLOTS];
    const results: Results = {};
    if (slot) {
      slot.run = number;
      slot.unread = results;
      this.#outputs.forEach((out, i) => {
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
    device.stats.launches += steps.length;
    const finished = device.profiler?.finish();
    // whoever does not read the results of a failed run learns of it from the next call
    finished?.catch(() => undefined);
    return {
      read: async (index) => {
        const { byteLength } = this.#outputs[index];
        if (byteLength === 0) return new ArrayBuffer(0); // a run without bytes has no slot
        assertCurrent(slot.run, number);
        const reading = this.#read(slot, results);
        await finished;
        const bytes = await reading;
        device.assertHealthy();
        return bytes.slice(this.#offsets[index], this.#offsets[index] + byteLength);
      },
    };
  }

  /** What a run encodes now. Behind it copies that it has are what their states are, but those of states that it wrote alone. */
  #stepsNow(): readonly Step[] {
    const { copies } = this.#device;
    if (!copies) return this.#steps;
    const stale = this.#steps.filter(({ copy }) => copy && copies.isStale(copy));
    for (const state of this.#written) copies.wrote(state);
    for (const { copy } of this.#steps) {
      if (!copy) continue;
      const [{ state }] = copies.among([copy]);
      if (!this.#written.has(state) || this.#written.has(copy)) copies.made(copy);
    }
    return stale.length > 0 ? [...stale, ...this.#always] : this.#always;
  }

  #encodeProfiled(encoder: GPUCommandEncoder, steps: readonly Step[], profiler: Profiler): void {
    for (const { pipeline, bindGroup, groups, launch } of steps) {
      const pass = encoder.beginComputePass(profiler.pass(launch));
      pass.setPipeline(pipeline.pipeline);
      pass.setBindGroup(0, bindGroup);
      pass.dispatchWorkgroups(groups[0], groups[1], groups[2]);
      pass.end();
    }
    profiler.resolve(encoder);
  }

  /** Brings all results of a run to the host at once, however often they are asked for. The plan keeps no copy. */
  #read(slot: ResultSlot, results: Results): Promise<ArrayBuffer> {
    if (!results.bytes) {
      delete slot.unread;
      results.bytes = this.#map(slot.buffer);
      const unmapped = (): void => {
        delete slot.mapped;
      };
      slot.mapped = results.bytes.then(unmapped, unmapped);
    }
    return results.bytes;
  }

  async #map(buffer: GPUBuffer): Promise<ArrayBuffer> {
    this.#device.assertHealthy();
    await this.#device.settled(buffer.mapAsync(GPUMapMode.READ));
    const bytes = buffer.getMappedRange().slice(0);
    buffer.unmap();
    this.#device.assertHealthy();
    return bytes;
  }

  /** Runs under way are not hurt, and results that nobody has read yet are brought to the host. */
  release(): void {
    const buffers = [this.#params, ...this.#inputs, ...this.#constants];
    for (const buffer of buffers) this.#device.destroyBuffer(buffer);
    for (const slot of this.#ring) {
      if (slot.unread) this.#read(slot, slot.unread);
      this.#device.destroyBuffer(slot.buffer, slot.mapped);
    }
    this.#steps = [];
    this.#always = [];
  }
}

/** Bytes of the scratch that these launches hand each other. */
export const scratchOf = (steps: readonly Step[]): number =>
  Math.max(0, ...steps.map(({ launch }) => scratchBytes(launch)));
