/** Ops from outside the package, with WGSL of their own: `customOp`. */
import { check } from "./errors.ts";
import { grad } from "./grad.ts";
import type { Attrs, CustomLaunch, Op } from "./op.ts";
import { addN, mul } from "./ops/elementwise.ts";
import { sum } from "./ops/reduce.ts";
import { apply, type Tensor, type TensorSpec } from "./tensor.ts";

export type CustomKernels<A> = {
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  readonly attrs: A;
  /** Memory for what one launch hands to another. */
  temp(spec: TensorSpec): Tensor;
};

export type CustomGradient<A> = {
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  /** The gradient of each output; undefined where none arrives. */
  readonly upstream: readonly (Tensor | undefined)[];
  readonly attrs: A;
};

/** An op of one's own. */
export type CustomOp<A extends Attrs> = {
  /** `namespace::name`, as PyTorch has it; errors and profiles begin with it. */
  readonly name: `${string}::${string}`;
  /** Shapes and dtypes of the outputs. Throws where the inputs do not fit. */
  infer(inputs: readonly Tensor[], attrs: A): TensorSpec[];
  /**
   * The same in the engine's ops: what the CPU computes, what `opcheck` compares the kernels with, and where the gradient comes
   * from when there is no `grad`.
   */
  primitives(inputs: readonly Tensor[], attrs: A): Tensor[];
  /** The gradient of each input, undefined where there is none, made of any ops. */
  grad?(context: CustomGradient<A>): (Tensor | undefined)[];
  /**
   * What WebGPU runs, in order. Of the WGSL the engine reads `struct Params` (binding 0, uniform; its fields are `params`), then a
   * storage binding for each of `inputs` (read) and `outputs` (read_write), the override constants, and the entry point `main`.
   */
  webgpu(context: CustomKernels<A>): CustomLaunch[];
};

/** The gradient by the rules of the primitives. */
function gradientOf<A extends Attrs>(
  primitives: CustomOp<A>["primitives"],
  { inputs, upstream, attrs }: CustomGradient<A>,
  needs: readonly boolean[],
): (Tensor | undefined)[] {
  const outputs = primitives(inputs, attrs);
  const terms = upstream.flatMap((up, i) => (up ? [sum(mul(outputs[i], up))] : []));
  const wanted = inputs.filter((_, i) => needs[i]);
  const found = grad(addN(terms), wanted);
  return needs.map((needed) => (needed ? found.shift() : undefined));
}

/**
 * Makes an op of one's own, for graphs, gradients and plans like the engine's: on WebGPU its WGSL runs, on the CPU its
 * primitives. `attrs` are compile-time facts as plain JSON. Hold it to its primitives with `opcheck`.
 * @returns a function of the inputs that gives the outputs
 */
export function customOp<A extends Attrs = Record<never, never>>(
  definition: CustomOp<A>,
): (inputs: readonly Tensor[], ...attrs: Record<never, never> extends A ? [A?] : [A]) => Tensor[] {
  const { name, infer, primitives, webgpu } = definition;
  check(/^\w+::\w+$/.test(name), "customOp", () => {
    return `the name ${name} is not namespace::name, as in mine::swiglu`;
  });
  const op: Op = {
    name,
    infer: (inputs, attrs) => infer(inputs, attrs as A),
    twin: (inputs, attrs) => primitives(inputs, attrs as A),
    on: ["webgpu"],
    grad: ({ node, inputs, outputs, upstream, needs }) => {
      const context = { inputs, outputs, upstream, attrs: node.attrs as A };
      return definition.grad?.(context) ?? gradientOf(primitives, context, needs);
    },
    launch: ({ node, inputs, outputs, temp }) =>
      webgpu({ inputs, outputs, attrs: node.attrs as A, temp }),
  };
  return (inputs, ...[attrs]) => apply(op, inputs, attrs ?? {});
}
