/** Ops whose kernels a device lacks become what they are made of. */
import { check } from "./errors.ts";
import type { Op } from "./op.ts";
import { ancestors, apply, type Node, sameSpec, type Tensor } from "./tensor.ts";

type Kind = NonNullable<Op["on"]>[number];

const lacks = (kind: Kind, { op }: Node): boolean => op.on !== undefined && !op.on.includes(kind);

/** The outputs of an op's twin; throws where they are not those of the op. */
export function twinOf({ op, attrs, outputs }: Node, inputs: readonly Tensor[]): Tensor[] {
  const twins = op.twin?.(inputs, attrs) ?? [];
  check(
    twins.length === outputs.length && twins.every((t, i) => sameSpec(t, outputs[i])),
    op.name,
    () => `the primitives give ${twins.join(", ")} where infer says ${outputs.join(", ")}`,
  );
  return twins;
}

/** The same tensors as a device of that kind can compute them; those themselves where it has all kernels. */
export function lowered(tensors: readonly Tensor[], kind: Kind): readonly Tensor[] {
  const nodes = ancestors(tensors);
  if (!nodes.some((node) => lacks(kind, node))) return tensors;
  const made = new Map<Tensor, Tensor>();
  const now = (t: Tensor): Tensor => made.get(t) ?? t;
  for (const node of nodes) {
    const { op, inputs, attrs, outputs } = node;
    const replaced = lacks(kind, node);
    if (!replaced && !inputs.some((t) => made.has(t))) continue;
    const news = inputs.map(now);
    const results = replaced ? twinOf(node, news) : apply(op, news, attrs);
    outputs.forEach((t, i) => {
      made.set(t, results[i]);
    });
  }
  return lowered(tensors.map(now), kind); // primitives may be such ops themselves
}
