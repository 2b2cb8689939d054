/** The f16 copies of states that products read: which there are, and which of them are what their states are. */
import { type CopyContext, type CopyRules, withCopies } from "../../copies.ts";
import type { Planned } from "../../joins.ts";
import type { AnyPlan } from "../../plan.ts";
import { stateName, type Tensor, zeroState } from "../../tensor.ts";

export class Copies implements CopyRules {
  readonly largest: number;
  readonly #of = new Map<Tensor, Tensor>();
  readonly #states = new Map<Tensor, Tensor>();
  /** Copies of states that have been written since. */
  readonly #stale = new Set<Tensor>();

  constructor(largest: number) {
    this.largest = largest;
  }

  has(state: Tensor): boolean {
    return this.#of.has(state);
  }

  of(state: Tensor): Tensor {
    let copy = this.#of.get(state);
    if (!copy) {
      copy = zeroState(`${stateName(state)} in f16`, state.shape, "f16");
      this.#of.set(state, copy);
      this.#states.set(copy, state);
      this.#stale.add(copy);
    }
    return copy;
  }

  use(planned: readonly Planned[], context: CopyContext): Planned[] {
    return withCopies(planned, context);
  }

  /** The copies among states, and whose they are. */
  among(states: readonly Tensor[]): { readonly copy: Tensor; readonly state: Tensor }[] {
    return states.flatMap((copy) => {
      const state = this.#states.get(copy);
      return state ? [{ copy, state }] : [];
    });
  }

  isStale(copy: Tensor): boolean {
    return this.#stale.has(copy);
  }

  /** A state was written, its copy was not. */
  wrote(state: Tensor): void {
    const copy = this.#of.get(state);
    if (copy) this.#stale.add(copy);
  }

  /** A copy is what its state is. */
  made(copy: Tensor): void {
    this.#stale.delete(copy);
  }
}

/** States that a plan writes. */
export function statesWritten({ launches }: AnyPlan): Set<Tensor> {
  const regions = launches.flatMap(({ inouts, outputs }) => [...inouts, ...outputs]);
  return new Set(regions.flatMap((r) => (r?.memory.kind === "state" ? [r.memory.state] : [])));
}
