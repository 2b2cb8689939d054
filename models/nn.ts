/** The layers that BERT and BART share: parameters and what is done with them. */
import { attention } from "../engine/ops/attention.ts";
import { dropout } from "../engine/ops/dropout.ts";
import { logicalAnd, where } from "../engine/ops/elementwise.ts";
import { embedding } from "../engine/ops/embedding.ts";
import { layerNorm } from "../engine/ops/layernorm.ts";
import { linear, matmul } from "../engine/ops/matmul.ts";
import { permute, reshape } from "../engine/ops/shape.ts";
import { softmax } from "../engine/ops/softmax.ts";
import { type Tensor, tensor } from "../engine/tensor.ts";

/** Present while training: dropout is on and draws from `rng`, u32[4] (see `dropout`). */
export interface Training {
  readonly rng: Tensor;
}

/** What a forward pass may be asked beside its result. */
export interface ForwardOptions {
  readonly training?: Training | undefined;
  /** Receives the hidden states: the embeddings, then each layer's output. */
  readonly hidden?: Tensor[] | undefined;
}

/** Dropout of rate `p` while training, else `x`. */
export const drop = (x: Tensor, p: number, training: Training | undefined): Tensor =>
  training === undefined ? x : dropout(x, p, training.rng);

/** y = x Wᵀ + b. */
export class Linear {
  readonly weight: Tensor; // [outputs, inputs]
  readonly bias: Tensor | undefined; // [outputs]
  constructor(weight: Tensor, bias: Tensor | undefined) {
    this.weight = weight;
    this.bias = bias;
  }
  /** x [..., inputs] -> [..., outputs]. */
  apply(x: Tensor, options: { activation?: "gelu"; residual?: Tensor } = {}): Tensor {
    return linear(x, this.weight, this.bias, options);
  }
}

/** LayerNorm over the last axis, of x plus an optional residual. */
export class LayerNorm {
  readonly weight: Tensor;
  readonly bias: Tensor;
  readonly eps: number;
  constructor(weight: Tensor, bias: Tensor, eps: number) {
    this.weight = weight;
    this.bias = bias;
    this.eps = eps;
  }
  apply(x: Tensor, residual?: Tensor): Tensor {
    return layerNorm(x, this.weight, this.bias, this.eps, residual);
  }
}

/** A table of rows. */
export class Embedding {
  readonly weight: Tensor; // [rows, width]
  constructor(weight: Tensor) {
    this.weight = weight;
  }
  /** ids u32 [...] -> [..., width]. */
  apply(ids: Tensor): Tensor {
    return embedding(this.weight, ids);
  }
}

/** Rows of x [..., D] counted over all leading axes: `rows` u32 [R] -> [R, D]. */
export function gatherRows(x: Tensor, rows: Tensor): Tensor {
  return embedding(reshape(x, [-1, x.shape[x.shape.length - 1]]), rows);
}

/** "btd": batch first, [B, T, H*D]; "tbd": step-major, [T, B, H*D]. */
export type Layout = "btd" | "tbd";

export interface AttentionOptions {
  readonly heads: number;
  readonly scale: number;
  readonly causal?: boolean;
  readonly queryLayout?: Layout;
  readonly keyLayout?: Layout;
}

/**
 * Multi-head attention, softmax(scale q kᵀ) v for each head, with dropout of rate `p` on the probabilities while training.
 *
 * @param q [B, Tq, H*D] or [Tq, B, H*D]; the result has its layout
 * @param k as q with Tk for Tq; so is v
 * @param mask u32 [B, Tk] or [B, Tq, Tk], 1 = attend; undefined attends everywhere
 */
export function multiHeadAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  mask: Tensor | undefined,
  options: AttentionOptions,
  p = 0,
  training?: Training,
): Tensor {
  if (training === undefined || p === 0) return attention(q, k, v, mask, options);
  const { heads, scale, causal, queryLayout = "btd", keyLayout = "btd" } = options;
  const [query, key, value] = [
    splitHeads(q, heads, queryLayout), // [B, H, Tq, D]
    splitHeads(k, heads, keyLayout), // [B, H, Tk, D]
    splitHeads(v, heads, keyLayout),
  ];
  const [tq, tk] = [query.shape[2], key.shape[2]];
  let visible =
    mask &&
    (mask.shape.length === 2 ? reshape(mask, [-1, 1, 1, tk]) : reshape(mask, [-1, 1, tq, tk]));
  if (causal && tq > 1) {
    const past = causalMask(tq, tk);
    visible = visible ? logicalAnd(visible, past) : past;
  }
  const scores = matmul(query, key, { transB: true, scale }); // [B, H, Tq, Tk]
  const probabilities = softmax(visible ? where(visible, scores, -1e30) : scores);
  const mixed = matmul(dropout(probabilities, p, training.rng), value); // [B, H, Tq, D]
  const order = queryLayout === "btd" ? [0, 2, 1, 3] : [2, 0, 1, 3];
  return reshape(permute(mixed, order), q.shape);
}

function splitHeads(x: Tensor, heads: number, layout: Layout): Tensor {
  const [first, second, width] = x.shape;
  const split = reshape(x, [first, second, heads, width / heads]);
  return permute(split, layout === "btd" ? [0, 2, 1, 3] : [1, 2, 0, 3]); // [B, H, T, D]
}

/** u32 [1, 1, Tq, Tk]: key j is visible to query i when j <= i + Tk - Tq. */
function causalMask(tq: number, tk: number): Tensor {
  const visible = new Uint32Array(tq * tk);
  for (let i = 0; i < tq; i++) visible.fill(1, i * tk, i * tk + i + tk - tq + 1);
  return tensor(visible, [1, 1, tq, tk]);
}
