import { topK } from "../../engine/ops/argmax.ts";
import { opcheck } from "../opcheck.ts";

opcheck<{ k: number }>("topK", ([x], { k }) => {
  const { indices, values } = topK(x, k);
  return [indices, values];
});
