import { dropout } from "../../engine/ops/dropout.ts";
import { opcheck } from "../opcheck.ts";

opcheck<{ p: number }>("dropout", ([x, rng], { p }) => dropout(x, p, rng));
