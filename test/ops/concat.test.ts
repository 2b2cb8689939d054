import { mul } from "../../engine/ops/elementwise.ts";
import { concat } from "../../engine/ops/shape.ts";
import { opcheck } from "../opcheck.ts";

opcheck<{ axis: number }>("concat", (tensors, { axis }) => concat(tensors, axis));

// produced on the device, so that some parts are written in place
opcheck<{ axis: number }>("concat", (tensors, { axis }) =>
  concat(
    tensors.map((x) => mul(x, 1)),
    axis,
  ),
);
