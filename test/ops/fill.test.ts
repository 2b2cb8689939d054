import { full } from "../../engine/ops/fill.ts";
import type { DType } from "../../engine/tensor.ts";
import { opcheck } from "../opcheck.ts";

type Attrs = { shape: number[]; value: number; dtype: DType };
opcheck<Attrs>("fill", (_, { shape, value, dtype }) => full(shape, value, dtype));
