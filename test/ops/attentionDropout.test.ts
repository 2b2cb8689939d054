import { type AttentionOptions, attention } from "../../engine/ops/attention.ts";
import { opcheck } from "../opcheck.ts";

type Attrs = Omit<AttentionOptions, "dropout"> & { readonly p: number };

opcheck<Attrs>("attentionDropout", (inputs, { p, ...options }) => {
  const [q, k, v, ...extras] = inputs;
  const [mask, rng] = extras.length > 1 ? extras : [undefined, extras[0]];
  return attention(q, k, v, mask, { ...options, dropout: { p, rng } });
});
