/** The largest size of a tensor's elements: what tells whether all of them are finite. */
import { UNARY } from "../../kernels/codes.ts";
import { nondifferentiable, type Op } from "../op.ts";
import { reduceLaunches } from "./reduce.ts";

/** y f32 [1] = max |x|, NaN if there is one in x, f32 of any shape. */
export const magnitudeOp: Op = {
  name: "magnitude",
  infer: () => [{ shape: [1], dtype: "f32" }],
  grad: nondifferentiable("it is asked by the debugger alone"),
  launch: ({ inputs: [x], outputs: [y], temp }) => {
    const n = x.size;
    const sizes = temp({ shape: [n], dtype: "f32" });
    return [
      {
        kernel: "unary",
        constants: { OP: UNARY.abs },
        params: { n },
        inputs: [x],
        outputs: [sizes],
      },
      ...reduceLaunches(temp, { kind: "max", x: sizes, y, outer: 1, n, inner: 1, scale: 1 }),
    ];
  },
};
