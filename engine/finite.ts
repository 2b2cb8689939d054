/**
 * The debug mode that finds the first op whose values are not finite, forward or backward: beside every value of a plan the plan
 * computes how large it is at most, and after each run the host looks at these numbers. Knows no device.
 */
import { EngineError } from "./errors.ts";
import { magnitudeOp } from "./ops/magnitude.ts";
import { concat } from "./ops/shape.ts";
import { show } from "./shape.ts";
import {
  ancestors,
  applyBehind,
  constantOp,
  inputOp,
  isLeaf,
  type Node,
  originOf,
  stateName,
  stateOp,
  type Tensor,
} from "./tensor.ts";

/** What is watched in a plan. */
export type Watched = {
  /** f32 [N], NaN or infinite where a watched value is. */
  readonly sizes: Tensor;
  /** What each of them is of, in the order in which they are computed. */
  readonly names: readonly string[];
};

/** Whether a value may be what it is: what a program fills itself, and what a kernel keeps for another one, partly unwritten. */
function isOf(node: Node, output: number): boolean {
  const { name } = node.op;
  if (name === "fill" || name === "adamw" || name === "gradNorm" || node.op.view?.(node))
    return false;
  return output === 0 || !name.startsWith("attention") || name === "attentionKeyBackward";
}

function lineOf(node: Node): string {
  const origin = originOf(node);
  if (!origin) return "";
  if ("line" in origin) return `, made at ${origin.line}`;
  const { op } = origin.gradientOf;
  const of = op === stateOp ? stateName(origin.gradientOf.outputs[0]) : op.name;
  return `, in the gradient of ${of}${lineOf(origin.gradientOf)}`;
}

function nameOf(t: Tensor): string {
  const { node } = t;
  const shape = `f32${show(t.shape)}`;
  if (node.op === stateOp) return `the state ${stateName(t)}, ${shape},`;
  if (node.op === inputOp)
    return `argument ${node.attrs.index} of the compiled function, ${shape},`;
  if (node.op === constantOp) return `a constant ${shape}${lineOf(node)}`;
  return `${node.op.name} ${shape}${lineOf(node)}`;
}

/** Watches every f32 value that `results` depend on; undefined where there is none. */
export function watched(results: readonly Tensor[]): Watched | undefined {
  const all = ancestors(results).flatMap((node) =>
    node.outputs.filter(
      (t, i) => t.dtype === "f32" && t.size > 0 && (isLeaf(node) || isOf(node, i)),
    ),
  );
  if (all.length === 0) return undefined;
  return {
    sizes: concat(
      all.map((t) => applyBehind(magnitudeOp, t)),
      0,
    ),
    names: all.map(nameOf),
  };
}

/** A value is NaN or infinite, which the device was asked to look for. */
export class NonFiniteError extends EngineError {
  override name = "NonFiniteError";
}

/** Throws NonFiniteError for the first value that is not finite. */
export function checkSizes(sizes: ArrayLike<number>, names: readonly string[]): void {
  const first = Array.from(sizes).findIndex((size) => !Number.isFinite(size));
  if (first < 0) return;
  const what = Number.isNaN(sizes[first]) ? "NaN" : "infinity";
  throw new NonFiniteError(
    `[finite] the first value that is not finite is ${what} in ${names[first]}; all that it is computed of is finite`,
  );
}
