/** A plan that is loaded on the CPU: where its arguments and results lie, and how one run is asked for. */
import type { Run } from "../../device.ts";
import type { Memory, Plan, Region } from "../../plan.ts";
import { show } from "../../shape.ts";
import { byteLength, hostData, type Tensor, type TypedArray } from "../../tensor.ts";
import type { Resident } from "../plans.ts";
import { assertCurrent, RING_SLOTS } from "../results.ts";
import type { CPUDevice } from "./device.ts";
import type { Program } from "./program.ts";

/** A plan with its program in the workers' memory. */
export class CPUExecutable implements Resident {
  #device: CPUDevice;
  readonly #outputs: readonly Region[];
  readonly #slots: readonly number[];
  #program: Program;
  /** Everything below that was allocated for this plan alone. */
  readonly #own: number[] = [];
  readonly #at: number;
  readonly #inputs: readonly number[];
  readonly #constants: readonly number[];
  #written: ReadonlySet<Tensor>;
  #layout = -1;
  #runs = 0;
  /** The run whose results each slot stands for; the results themselves come with the answer. */
  #ring: number[] = Array.from({ length: RING_SLOTS }, () => -1);

  constructor(device: CPUDevice, plan: Plan, program: Program) {
    this.#device = device;
    this.#outputs = plan.outputs;
    this.#slots = plan.slots;
    this.#program = program;
    const allocate = (bytes: number, what: string): number => {
      const at = device.allocate(bytes, what);
      this.#own.push(at);
      return at;
    };
    try {
      this.#inputs = plan.inputs.map((spec, i) =>
        allocate(byteLength(spec), `argument ${i} ${show(spec.shape)}`),
      );
      this.#at = allocate(4 * program.words, "the program of a plan");
      this.#constants = plan.constants.map((t) => {
        const at = allocate(t.bytes, `a constant ${t}`);
        device.upload(at, hostData(t));
        return at;
      });
      device.reserve(plan.slots);
    } catch (error) {
      this.release();
      throw error;
    }
    const written = plan.launches.flatMap((l) =>
      [...l.inouts, ...l.outputs].flatMap((r) =>
        r?.memory.kind === "state" ? [r.memory.state] : [],
      ),
    );
    this.#written = new Set(written);
  }

  #base(memory: Memory): number {
    if (memory.kind === "slot") return this.#device.slotAt(memory.index);
    if (memory.kind === "state") return this.#device.stateAt(memory.state);
    if (memory.kind === "input") return this.#inputs[memory.index];
    return this.#constants[memory.index];
  }

  #address(region: Region): number {
    return this.#base(region.memory) + region.byteOffset;
  }

  get launches(): number {
    return this.#program.launches.length;
  }

  /** Results leave the workers' memory with the answer to their run. */
  busy(): undefined {}

  #write(): void {
    const device = this.#device;
    const words = this.#program.write(
      (region) => this.#address(region),
      (state) => device.stateAt(state),
    );
    device.workers.post({ kind: "program", at: this.#at, words }, [words.buffer]);
    this.#layout = device.layout;
  }

  start(inputs: readonly TypedArray[]): Run {
    const device = this.#device;
    device.workers.assertHealthy();
    device.reserve(this.#slots);
    const { panels } = this.#program;
    const stale = device.stale(panels);
    if (this.#layout !== device.layout) this.#write();
    const copies = inputs.map((data) => data.slice().buffer);
    const outputs = this.#outputs.map((r) => [this.#address(r), r.byteLength] as const);
    const answer = device.workers.call(
      {
        kind: "run",
        program: this.#at,
        stale,
        inputs: copies.map((data, i) => [this.#inputs[i], data] as const),
        outputs,
        profile: device.times !== undefined,
      },
      copies,
    );
    device.touch(this.#written);
    device.submitted(answer);
    device.stats.launches += this.launches;
    const finished = answer.then(({ times, tasks }) => {
      if (times) device.times?.add(this.#program.order, times, tasks);
    });
    const number = this.#runs++;
    const slot = number % RING_SLOTS;
    this.#ring[slot] = number;
    // whoever does not read a failed run learns of it from the next call
    finished.catch(() => undefined);
    return {
      read: async (index) => {
        assertCurrent(this.#ring[slot], number);
        await finished;
        device.workers.assertHealthy();
        const { results = [] } = await answer;
        return results[index].slice(0);
      },
    };
  }

  /** Runs under way are not hurt: the leader takes messages in order, and whoever is given this memory writes it later. */
  release(): void {
    for (const at of this.#own.splice(0)) this.#device.free(at);
  }
}
