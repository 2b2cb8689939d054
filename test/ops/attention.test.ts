import { type AttentionOptions, attention } from "../../engine/ops/attention.ts";
import { opcheck } from "../opcheck.ts";

opcheck<AttentionOptions>("attention", ([q, k, v, mask], options) =>
  attention(q, k, v, mask, options),
);
