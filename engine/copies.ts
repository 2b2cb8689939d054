/**
 * At precision f16 products read f16 copies of matrices: which launches read them, and which write them. Works on launches whose
 * operands have no memory yet.
 */
import { DTYPE } from "../kernels/codes.ts";
import type { LaunchOf, Place, Planned } from "./joins.ts";
import { ALIGNMENT, type Join, type Launch } from "./op.ts";
import { stateOp, type Tensor, type TensorSpec } from "./tensor.ts";

/** What a device says of copies. Where a run did not write a copy beside its state, the device makes it anew before it is read. */
export type CopyRules = {
  /** Bytes of the largest state that may have a copy. */
  readonly largest: number;
  has(state: Tensor): boolean;
  /** The copy of a state, made where there is none. */
  of(state: Tensor): Tensor;
  /** The launches with copies: `withCopies`, which a device without copies does not load. */
  use(planned: readonly Planned[], context: CopyContext): Planned[];
};

export type CopyContext = {
  readonly rules: CopyRules;
  place(t: Tensor): Place;
  window(root: Tensor, offset: number, spec: TensorSpec): Tensor;
};

/** Whole groups of so many elements are read, and written. */
const GROUP = 8;

/** Right operands of products from copies, and AdamW writing those of what it trains. */
export function withCopies(planned: readonly Planned[], context: CopyContext): Planned[] {
  const reading = planned.map(({ launch, ...rest }): Planned => {
    return { ...rest, launch: launch.kernel === "matmul" ? fromCopy(launch, context) : launch };
  });
  return reading.map(({ launch, ...rest }): Planned => {
    return { ...rest, launch: launch.kernel === "adamw" ? withCopy(launch, context) : launch };
  });
}

/** A product whose right operand is a matrix that is a state, or a part of one. */
function fromCopy(launch: LaunchOf<"matmul">, { rules, place, window }: CopyContext): Launch {
  const [a, b, ...rest] = launch.inputs;
  if (b?.dtype !== "f32") return launch;
  const { root, offset } = place(b);
  const isMatrix = root.node.op === stateOp && root.shape.length === 2;
  const fits = root.size % GROUP === 0 && b.size % GROUP === 0 && root.bytes <= rules.largest;
  if (!isMatrix || !fits || offset % (2 * ALIGNMENT) !== 0) return launch;
  const half = window(rules.of(root), offset / 2, { shape: b.shape, dtype: "f16" });
  const constants = { ...launch.constants, B_DTYPE: DTYPE.f16 };
  return { ...launch, constants, inputs: [a, half, ...rest] };
}

/** A step of AdamW on a state that has a copy. */
function withCopy(launch: LaunchOf<"adamw">, { rules, place }: CopyContext): Launch | Join {
  const { params, inputs, inouts = [] } = launch;
  const { root } = place(inouts[0]);
  if (root.node.op !== stateOp || !rules.has(root)) return launch;
  const outputs = [rules.of(root)];
  return { kernel: "adamw_half", params, inputs, inouts, outputs, products: [] };
}
