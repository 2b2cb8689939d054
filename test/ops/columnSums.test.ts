import { columnSums } from "../../engine/ops/column-sums.ts";
import { opcheck } from "../opcheck.ts";

opcheck("columnSums", ([a, times]) => columnSums(a, times));
