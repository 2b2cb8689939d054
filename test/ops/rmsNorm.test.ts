import { rmsNorm } from "../../engine/ops/rms-norm.ts";
import { opcheck } from "../opcheck.ts";

opcheck<{ eps: number }>("rmsNorm", ([x, weight], { eps }) => rmsNorm(x, weight, eps));
