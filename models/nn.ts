/** The layers that architectures share, and the texts and options that every model takes. Knows no architecture. */
import { type AttentionOptions, attention, type Layout } from "../engine/ops/attention.ts";
import { dropout } from "../engine/ops/dropout.ts";
import { type Activation, activations, add } from "../engine/ops/elementwise.ts";
import { embedding } from "../engine/ops/embedding.ts";
import { layerNorm } from "../engine/ops/layernorm.ts";
import { type LinearOptions, linear, matmul } from "../engine/ops/matmul.ts";
import { rmsNorm } from "../engine/ops/rms-norm.ts";
import { reshape } from "../engine/ops/shape.ts";
import { type Tensor, tensor } from "../engine/tensor.ts";

export type { AttentionOptions, Layout };

/** Activations by the names of config.json. */
export const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  relu: "relu",
  gelu: "gelu",
  gelu_new: "geluTanh",
  gelu_pytorch_tanh: "geluTanh",
  silu: "silu",
  swish: "silu",
  tanh: "tanh",
};

/** Present while training: dropout is on and draws from `rng`, u32[4] (see `dropout`). */
export type Training = {
  readonly rng: Tensor;
};

/** What a forward pass may be asked beside its result. */
export type ForwardOptions = {
  readonly training?: Training | undefined;
  /** Receives the hidden states: the embeddings, then each layer's output. */
  readonly hidden?: Tensor[] | undefined;
};

/** A batch of texts: token ids or, in their place, embeddings of tokens that may be mixtures. Each model says its layout. */
export type TextInput = {
  /** u32 [B, T]; step-major [T, B] for the decoder of a `Seq2Seq`. */
  readonly ids?: Tensor;
  /** f32 [B, T, d] or [T, B, d], in place of ids; without positions, as a model's `embed` gives them. */
  readonly embeds?: Tensor;
  /** u32 [B, T], 1 where there is a token that may be seen; undefined where every place holds one. */
  readonly mask?: Tensor | undefined;
  /** u32, of the shape of ids, counted from 0 in any model; 0, 1, ..., T-1 when left out. */
  readonly positions?: Tensor | undefined;
  /** u32 [B, T], the segment of each place (token_type_ids), in models that have segments; 0 when left out. */
  readonly types?: Tensor | undefined;
};

/** Dropout of rate `p` while training, else `x`. */
export const drop = (x: Tensor, p: number, training: Training | undefined): Tensor =>
  training === undefined ? x : dropout(x, p, training.rng);

/** A product of low rank beside a matrix: scale B A. */
export type Adapter = {
  readonly a: Tensor; // [rank, inputs]
  readonly b: Tensor; // [outputs, rank]
  readonly scale: number;
};

/** A layer with a matrix that an adapter may stand beside. */
export type Adaptable = {
  /** [outputs, inputs], or [inputs, outputs] where it is `transposed`. */
  readonly weight: Tensor;
  readonly transposed: boolean;
  adapter: Adapter | undefined;
};

/** y, a layer's [..., outputs] of x [..., inputs], and what the adapter adds to it. */
export function adapted(y: Tensor, x: Tensor, adapter: Adapter | undefined): Tensor {
  if (!adapter) return y;
  const { a, b, scale } = adapter;
  return add(y, matmul(linear(x, a), b, { transB: true, scale }));
}

/** y = x Wᵀ + b. */
export class Linear implements Adaptable {
  readonly weight: Tensor; // [outputs, inputs]
  readonly bias: Tensor | undefined; // [outputs]
  readonly transposed = false;
  adapter: Adapter | undefined;
  constructor(weight: Tensor, bias: Tensor | undefined) {
    this.weight = weight;
    this.bias = bias;
  }
  /** x [..., inputs] -> [..., outputs]. */
  apply(x: Tensor, options: LinearOptions = {}): Tensor {
    if (!this.adapter) return linear(x, this.weight, this.bias, options);
    const { activation, residual } = options;
    const sum = adapted(linear(x, this.weight, this.bias), x, this.adapter);
    const y = activation ? activations[activation](sum) : sum;
    return residual ? add(y, residual) : y;
  }
}

/** LayerNorm over the last axis, of x plus an optional residual; with dropout of rate `p` on x while training. */
export class LayerNorm {
  readonly weight: Tensor;
  readonly bias: Tensor;
  readonly eps: number;
  constructor(weight: Tensor, bias: Tensor, eps: number) {
    this.weight = weight;
    this.bias = bias;
    this.eps = eps;
  }
  apply(x: Tensor, residual?: Tensor, p = 0, training?: Training): Tensor {
    const drop = training && { p, rng: training.rng };
    return layerNorm(x, this.weight, this.bias, this.eps, residual, drop);
  }
}

/** RMSNorm over the last axis (Zhang and Sennrich, 2019): LayerNorm without mean and bias. */
export class RMSNorm {
  readonly weight: Tensor;
  readonly eps: number;
  constructor(weight: Tensor, eps: number) {
    this.weight = weight;
    this.eps = eps;
  }
  apply(x: Tensor): Tensor {
    return rmsNorm(x, this.weight, this.eps);
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

/** Sums of x f32 [R, T] from the left end up to each place, [R, T]; exact for whole numbers. */
export function runningSum(x: Tensor): Tensor {
  const [, length] = x.shape;
  const upTo = new Float32Array(length * length); // upTo[i][j] = 1 where i <= j
  for (let i = 0; i < length; i++) upTo.fill(1, i * length + i, (i + 1) * length);
  return matmul(x, tensor(upTo, [length, length]));
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
  const { rng } = training ?? {};
  return attention(q, k, v, mask, { ...options, dropout: rng && { p, rng } });
}
