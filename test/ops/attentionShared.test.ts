import { attention } from "../../engine/ops/attention.ts";
import { add, mul } from "../../engine/ops/elementwise.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { opcheck } from "../opcheck.ts";

const options = { heads: 1, scale: 1 };

opcheck<{ elsewhere: boolean }>("attentionShared", ([q1, q2, k, v], { elsewhere }) => {
  const first = attention(q1, k, v, undefined, options);
  const y = add(first, mul(attention(q2, k, v, undefined, options), 2));
  return elsewhere ? mul(y, sum(k)) : y;
});
