/** A plan that is loaded on the CPU: where its arguments and results lie, and how one run is asked for. */
import type { Executable, Run } from "../../device.ts";
import type { Memory, Plan, Region } from "../../plan.ts";
import { show } from "../../shape.ts";
import { byteLength, hostData, type Tensor, type TypedArray } from "../../tensor.ts";
import { assertCurrent, RING_SLOTS } from "../results.ts";
import type { CPUDevice } from "./device.ts";
import type { Program } from "./program.ts";

/** A plan with its program in the workers' memory. */
export class CPUExecutable implements Executable {
  #device: CPUDevice;
  #plan: Plan;
  #program: Program;
  #at: number;
  #inputs: number[];
  #constants = new Map<Tensor, number>();
  #written: ReadonlySet<Tensor>;
  #layout = -1;
  #runs = 0;
  /** The run whose results each slot stands for; the results themselves come with the answer. */
  #ring: number[] = Array.from({ length: RING_SLOTS }, () => -1);

  constructor(device: CPUDevice, plan: Plan, program: Program) {
    this.#device = device;
    this.#plan = plan;
    this.#program = program;
    this.#inputs = plan.inputs.map((spec, i) =>
      device.allocate(byteLength(spec), `argument ${i} ${show(spec.shape)}`),
    );
    this.#at = device.allocate(4 * program.words, "the program of a plan");
    const written = plan.launches.flatMap((l) =>
      [...l.inouts, ...l.outputs].flatMap((r) =>
        r?.memory.kind === "state" ? [r.memory.state] : [],
      ),
    );
    this.#written = new Set(written);
    device.reserve(plan.slots);
  }

  #base(memory: Memory): number {
    if (memory.kind === "slot") return this.#device.slotAt(memory.index);
    if (memory.kind === "state") return this.#device.stateAt(memory.state);
    if (memory.kind === "input") return this.#inputs[memory.index];
    let at = this.#constants.get(memory.tensor);
    if (at === undefined) {
      at = this.#device.allocate(memory.tensor.bytes, `a constant ${memory.tensor}`);
      this.#device.upload(at, hostData(memory.tensor));
      this.#constants.set(memory.tensor, at);
    }
    return at;
  }

  #address(region: Region): number {
    return this.#base(region.memory) + region.byteOffset;
  }

  /** As on a GPU, the least recently run plans go when there are too many launches. */
  get bindGroups(): number {
    return this.#program.launches.length;
  }

  async ready(): Promise<void> {}

  #write(): void {
    const device = this.#device;
    const words = this.#program.write(
      this.#at,
      (region) => this.#address(region),
      (state) => device.stateAt(state),
    );
    device.workers.post({ kind: "program", at: this.#at, words }, [words.buffer]);
    this.#layout = device.layout;
  }

  run(inputs: readonly TypedArray[]): Run {
    const device = this.#device;
    device.workers.assertHealthy();
    device.reserve(this.#plan.slots);
    const { panels } = this.#program;
    const stale = device.stale(panels);
    if (this.#layout !== device.layout) this.#write();
    const copies = inputs.map((data) => data.slice().buffer);
    const outputs = this.#plan.outputs.map((r) => [this.#address(r), r.byteLength] as const);
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
    device.stats.launches += this.#plan.launches.length;
    const finished = answer.then(({ times }) => {
      if (times) device.times?.add(this.#program.order, times);
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
        const { results = [] } = await answer;
        return results[index].slice(0);
      },
    };
  }

  destroy(): void {
    for (const at of [this.#at, ...this.#inputs, ...this.#constants.values()])
      this.#device.free(at);
  }
}
