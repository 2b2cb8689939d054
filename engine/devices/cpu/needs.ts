/** What plans take of the CPU's memory, before anything of it is there. */
import type { Plan, Region } from "../../plan.ts";
import { byteLength, type Tensor } from "../../tensor.ts";
import { withoutEmpty } from "../plans.ts";
import { type Kernels, loadKernels } from "./module.ts";
import { mostWords, type Pack, packsOf } from "./program.ts";

/** The states that a plan wants as they are, when these launches' right operands are packed. */
export function plainStates(plan: Plan, packs: readonly (Pack | undefined)[]): Set<Tensor> {
  const plain = new Set<Tensor>();
  const add = (r: Region | null | undefined): void => {
    if (r?.memory.kind === "state") plain.add(r.memory.state);
  };
  plan.launches.forEach(({ inputs, inouts, outputs, uniform }, l) => {
    inputs.forEach((r, i) => {
      if (!(packs[l] && i === 1)) add(r);
    });
    for (const r of [...inouts, ...outputs, uniform]) add(r);
  });
  plan.outputs.forEach(add);
  return plain;
}

/** Panels under one name are one. */
export const panelsName = ({ state, key }: Pack): string => `${state.node.id} ${key}`;

/** What a plan has for itself: constants, arguments, its program. Bytes. */
export function ownBytes(
  plan: Plan,
  packs: readonly (Pack | undefined)[],
  kernels: Kernels,
): number[] {
  const packings = packs.filter((pack) => pack !== undefined).length;
  const program = 4 * mostWords(plan.launches, packings, kernels);
  return [...[...plan.constants, ...plan.inputs].map(byteLength), program];
}

/** Bytes that plans take together on a CPU device that has nothing else. */
export async function bytesOnCPU(plans: readonly Plan[]): Promise<number> {
  const kernels = await loadKernels("relaxed", true);
  const states = new Set<Tensor>();
  const slots: number[] = [];
  const panels = new Map<string, Pack>();
  let own = 0;
  for (const given of plans) {
    const plan = withoutEmpty(given);
    const packs = packsOf(plan.launches);
    for (const state of plainStates(plan, packs)) states.add(state);
    plan.slots.forEach((bytes, i) => {
      slots[i] = Math.max(slots[i] ?? 0, bytes);
    });
    for (const pack of packs) if (pack) panels.set(panelsName(pack), pack);
    own += ownBytes(plan, packs, kernels).reduce((sum, bytes) => sum + bytes, 0);
  }
  // values that are there only while they are packed
  const passing = [...panels.values()].map(({ state }) => (states.has(state) ? 0 : state.bytes));
  const all = [
    ...[...states].map((t) => t.bytes),
    ...slots,
    ...[...panels.values()].map(({ bytes }) => bytes),
    passing.reduce((most, bytes) => Math.max(most, bytes), 0),
    own,
  ];
  return all.reduce((sum, bytes) => sum + bytes, 0);
}
