/**
 * What is noted while a function runs as the trace of a plan: its effects, and how many random ops it has. Ops may know
 * it; it knows no plan and no device.
 */
import { check, fail } from "./errors.ts";
import { sameSpec, stateName, stateOp, type Tensor } from "./tensor.ts";

/** An effect: the state holds the value after the run. */
export type Assign = { readonly state: Tensor; readonly value: Tensor };

type Trace = { effects: Assign[]; randomOps: number };
let trace: Trace | undefined;

/** Runs `fn` as the trace of a plan. */
export function traced<R>(fn: () => R): { value: R; effects: Assign[] } {
  check(trace === undefined, "compile", () => "a compiled function was called inside a trace");
  const mine: Trace = { effects: [], randomOps: 0 };
  trace = mine;
  try {
    const value = fn();
    check(
      !(value instanceof Promise),
      "compile",
      () => "the function to compile must not be async",
    );
    return { value, effects: mine.effects };
  } finally {
    trace = undefined;
  }
}

/** Random ops that were made outside a trace, by their random state. */
const untraced = new WeakMap<Tensor, number>();

/** The index of the next random op of this trace, or outside a trace of those on this random state. */
export function nextRandomOp(rng: Tensor): number {
  if (trace) return trace.randomOps++;
  const index = untraced.get(rng) ?? 0;
  untraced.set(rng, index + 1);
  return index;
}

/** Inside `compile`: the state holds `value` after the run. Reads in the same run see the old value. */
export function assign(target: Tensor, value: Tensor): void {
  if (!trace)
    fail("assign", "only works inside compile; use device.write to set a state from the host");
  check(target.node.op === stateOp, "assign", () => `${target} is not a state`);
  check(sameSpec(target, value), "assign", () => `${value} does not fit the state ${target}`);
  check(
    !trace.effects.some((e) => e.state === target),
    "assign",
    () => `the state ${stateName(target)} is assigned twice in one run`,
  );
  trace.effects.push({ state: target, value });
}
