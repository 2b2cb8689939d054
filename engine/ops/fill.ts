/** Tensors of one repeated value, made on the device. */
import { check } from "../errors.ts";
import { nondifferentiable, type Op } from "../op.ts";
import { checkShape, type Shape } from "../shape.ts";
import { apply1, checkHolds, type DType, type Tensor, type TensorSpec } from "../tensor.ts";
import { addressable, wordOf } from "./strided.ts";

/** y[i] = value, made on the device. */
export const fillOp: Op = {
  name: "fill",
  infer: (_, { spec }) => [addressable("fill", spec as TensorSpec)],
  grad: nondifferentiable("it has no inputs"),
  launch: ({ node, outputs: [y] }) => [
    {
      kernel: "fill",
      params: { n: y.size, bits: node.attrs.bits as number },
      inputs: [],
      outputs: [y],
    },
  ],
};

/** A tensor of one repeated value, any shape; f32 unless said otherwise. Throws for a number that the dtype does not hold. */
export function full(shape: Shape, value: number, dtype: DType = "f32"): Tensor {
  check(
    dtype === "f32" || dtype === "i32" || dtype === "u32",
    "fill",
    () => `${dtype} is not computed with; fill f32, i32 or u32`,
  );
  checkShape("fill", shape);
  checkHolds("fill", value, dtype);
  return apply1(fillOp, [], { spec: { shape, dtype }, bits: wordOf(value, dtype) });
}

export const zeros = (shape: Shape, dtype: DType = "f32"): Tensor => full(shape, 0, dtype);
export const ones = (shape: Shape, dtype: DType = "f32"): Tensor => full(shape, 1, dtype);
