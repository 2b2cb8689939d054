import { type MatmulOptions, matmul } from "../../engine/ops/matmul.ts";
import { opcheck } from "../opcheck.ts";

opcheck<MatmulOptions>("matmul", ([a, b], options) => matmul(a, b, options));
