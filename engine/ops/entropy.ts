/** The entropy of distributions along the last axis. */
import { check } from "../errors.ts";
import type { Op } from "../op.ts";
import { show } from "../shape.ts";
import { apply1, type Tensor } from "../tensor.ts";
import { add, log, mul, neg } from "./elementwise.ts";
import { reduceLaunches } from "./reduce.ts";
import { reshape } from "./shape.ts";

/** Input: p [..., N]. Output [...]. */
export const entropyOp: Op = {
  name: "entropy",
  infer: ([p]) => {
    check(p.dtype === "f32", "entropy", () => `${p} must be f32; use cast()`);
    check(
      p.shape.length > 0 && p.size > 0,
      "entropy",
      () => `shape ${show(p.shape)} has no last axis of probabilities`,
    );
    return [{ shape: p.shape.slice(0, -1), dtype: "f32" }];
  },
  // d(-p ln p) = -(ln p + 1)
  grad: ({ inputs: [p], upstream: [dy] }) =>
    dy ? [mul(neg(add(log(p), 1)), reshape(dy, [...p.shape.slice(0, -1), 1]))] : [],
  launch: ({ inputs: [x], outputs: [y], temp }) => {
    const attrs = { outer: y.size, n: x.size / y.size, inner: 1, scale: 1 };
    return reduceLaunches(temp, { kind: "entropy", x, y, ...attrs });
  },
};

/** The entropy of distributions along the last axis, -sum p ln p in nats, where 0 ln 0 is 0: f32 [..., N] gives [...]. */
export const entropy = (p: Tensor): Tensor => apply1(entropyOp, [p]);
