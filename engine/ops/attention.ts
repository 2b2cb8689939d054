/** Attention in one kernel, its gradients, and the same in primitive ops. */
import type { Params, Selected } from "../../kernels/manifest.ts";
import { check, checkFlag } from "../errors.ts";
import { type Attrs, nondifferentiable, type Op } from "../op.ts";
import { sameShape, show } from "../shape.ts";
import { apply, apply1, checkHolds, type Tensor, tensor } from "../tensor.ts";
import {
  type DropoutAttrs,
  dropoutOp,
  dropoutParams,
  type InnerDropout,
  innerDropout,
  splitRandomState,
} from "./dropout.ts";
import { logicalAnd, where } from "./elementwise.ts";
import { matmul } from "./matmul.ts";
import { permute, reshape } from "./shape.ts";
import { softmax } from "./softmax.ts";

/** Order of a sequence's axes: [batch, time, channels] or, step-major, [time, batch, channels]. */
export type Layout = "btd" | "tbd";

export type AttentionOptions = {
  readonly heads: number;
  /** Multiplies q . k; usually 1 / sqrt(D). */
  readonly scale: number;
  /** Key j is visible to query i iff j <= i + (Tk - Tq). */
  readonly causal?: boolean;
  readonly queryLayout?: Layout;
  readonly keyLayout?: Layout;
  /** Of the probabilities [B, H, Tq, Tk] before they meet v. */
  readonly dropout?: InnerDropout | undefined;
};

type AttentionAttrs = Required<Omit<AttentionOptions, "dropout">> & DropoutAttrs;

type Sizes = {
  readonly batch: number;
  readonly heads: number;
  readonly queries: number;
  readonly keys: number;
  /** Of one head. */
  readonly dim: number;
};

const timeAxis = (layout: Layout): 0 | 1 => (layout === "btd" ? 1 : 0);

function sizesOf(q: Tensor, k: Tensor, attrs: AttentionAttrs): Sizes {
  const qTime = timeAxis(attrs.queryLayout);
  const kTime = timeAxis(attrs.keyLayout);
  const { heads } = attrs;
  return {
    batch: q.shape[1 - qTime],
    heads,
    queries: q.shape[qTime],
    keys: k.shape[kTime],
    dim: q.shape[2] / heads,
  };
}

function checkInputs(inputs: readonly Tensor[], attrs: AttentionAttrs): Sizes {
  const [q, k, v, ...extras] = inputs;
  const { other: mask } = splitRandomState(extras, attrs);
  checkFlag("attention", "causal", attrs.causal);
  for (const layout of [attrs.queryLayout, attrs.keyLayout]) {
    check(layout === "btd" || layout === "tbd", "attention", () => {
      return `the layout ${JSON.stringify(layout)} is unknown; use "btd" or "tbd"`;
    });
  }
  check(
    Number.isInteger(attrs.heads) && attrs.heads > 0,
    "attention",
    () => `heads = ${attrs.heads} must be a whole number of 1 or more`,
  );
  const shapes = () => `q ${show(q.shape)}, k ${show(k.shape)}, v ${show(v.shape)}`;
  for (const t of [q, k, v]) {
    check(
      t.dtype === "f32" && t.shape.length === 3 && t.size > 0,
      "attention",
      () => `${t} must be f32 [batch, time, channels] or [time, batch, channels], not empty`,
    );
  }
  const sizes = sizesOf(q, k, attrs);
  const { batch, heads, queries, keys, dim } = sizes;
  check(
    sameShape(k.shape, v.shape) &&
      k.shape[2] === q.shape[2] &&
      k.shape[1 - timeAxis(attrs.keyLayout)] === batch,
    "attention",
    () =>
      `${shapes()} (${attrs.queryLayout}, ${attrs.keyLayout}): k and v need one shape, and q's batch and channels`,
  );
  check(
    Number.isInteger(dim) && dim > 0,
    "attention",
    () => `${q.shape[2]} channels do not split into ${heads} heads`,
  );
  check(Number.isFinite(attrs.scale), "attention", () => `the scale ${attrs.scale} must be finite`);
  checkHolds("attention", attrs.scale, "f32");
  check(
    !mask ||
      (mask.dtype === "u32" &&
        (sameShape(mask.shape, [batch, keys]) || sameShape(mask.shape, [batch, queries, keys]))),
    "attention",
    () => `the mask ${mask} must be u32[${batch}, ${keys}] or u32[${batch}, ${queries}, ${keys}]`,
  );
  check(
    batch * heads <= 65535 && dim <= 1024,
    "attention",
    () => `batch x heads ${batch * heads} is limited to 65535, the head dimension ${dim} to 1024`,
  );
  return sizes;
}

/** What the kernels need to know; strides count groups of four channels. */
function paramsOf(
  { batch, heads, queries, keys, dim }: Sizes,
  attrs: AttentionAttrs,
): Params<"attention_dkv"> {
  const chunks = dim / 4;
  const row = heads * chunks;
  const strides = (layout: Layout, time: number) =>
    layout === "btd" ? { batch: time * row, row } : { batch: row, row: batch * row };
  const q = strides(attrs.queryLayout, queries);
  const k = strides(attrs.keyLayout, keys);
  return {
    queries,
    keys,
    heads,
    pairs: batch * heads,
    chunks,
    qBatch: q.batch,
    qRow: q.row,
    kBatch: k.batch,
    kRow: k.row,
  };
}

/** What decides which keys a query sees, and whether some of those fall out. */
const selected = (
  mask: Tensor | undefined,
  { causal, p }: AttentionAttrs,
): Selected<"attention"> => ({
  MASK: mask ? 1 : 0,
  CAUSAL: causal ? 1 : 0,
  DROPOUT: p > 0 ? 1 : 0,
});

function maskedParams(
  mask: Tensor | undefined,
  sizes: Sizes,
  attrs: AttentionAttrs,
): Params<"attention"> {
  const { queries, keys } = sizes;
  const byQuery = mask?.shape.length === 3;
  return {
    ...paramsOf(sizes, attrs),
    maskBatch: byQuery ? queries * keys : keys,
    maskRow: byQuery ? keys : 0,
    offset: keys - queries,
    scale: attrs.scale,
    ...dropoutParams(attrs),
  };
}

/** Keys in whole groups of four, the unit in which the kernels keep weights. */
const paddedKeys = (keys: number): number => Math.ceil(keys / 4) * 4;

/** Inputs q, k, v, maybe mask, maybe rng. Outputs: the result in q's layout, and (max, sum of exp) of each query's scores. */
export const attentionOp: Op = {
  name: "attention",
  infer: (inputs, attrs) => {
    const { batch, heads, queries } = checkInputs(inputs, attrs as AttentionAttrs);
    return [
      { shape: inputs[0].shape, dtype: "f32" },
      { shape: [batch, heads, queries, 2], dtype: "f32" },
    ];
  },
  grad: (ctx) => {
    const [dout] = ctx.upstream;
    if (!dout) return [];
    const { needs } = ctx;
    const [q, k, v, ...extras] = ctx.inputs;
    const attrs = ctx.node.attrs;
    const first = [q, k, v, ctx.outputs[1], dout, ...extras];
    const [dq, weights] = apply(attentionQueryBackwardOp, first, attrs);
    if (!needs[1] && !needs[2]) return [dq];
    // one owner for each (batch, head, key): what has arrived so far is added to in place
    const dkSoFar = needs[1] ? ctx.take(1) : undefined;
    const dvSoFar = needs[2] ? ctx.take(2) : undefined;
    const inputs = [q, dout, weights, ...(dkSoFar ? [dkSoFar] : []), ...(dvSoFar ? [dvSoFar] : [])];
    const [dk, dv] = apply(attentionKeyBackwardOp, inputs, {
      ...attrs,
      kShape: k.shape,
      keys: sizesOf(q, k, attrs as AttentionAttrs).keys,
      addK: !!dkSoFar,
      addV: !!dvSoFar,
    });
    return [dq, needs[1] ? dk : undefined, needs[2] ? dv : undefined];
  },
  launch: ({ node, inputs, outputs: [o, stats], temp }) => {
    const [q, k, v, ...extras] = inputs;
    const attrs = node.attrs as AttentionAttrs;
    const { other: mask, rng = null } = splitRandomState(extras, attrs);
    const sizes = sizesOf(q, k, attrs);
    const { batch, heads, queries, keys } = sizes;
    const weights = temp({ shape: [batch, heads, queries, paddedKeys(keys)], dtype: "f32" });
    return [
      {
        kernel: "attention",
        constants: selected(mask, attrs),
        params: maskedParams(mask, sizes, attrs),
        inputs: [q, k, v, mask ?? null],
        outputs: [o, stats, weights],
        uniform: rng,
      },
    ];
  },
  twin: (inputs, attrs) => [attentionOfPrimitives(inputs, attrs)],
};

/**
 * Inputs q, k, v, stats, dout, maybe mask, maybe rng. Outputs: dq, and the weights w (after dropout) and ds for the gradients
 * of k and v.
 */
const attentionQueryBackwardOp: Op = {
  name: "attentionQueryBackward",
  infer: ([q, k], attrs) => {
    const { batch, heads, queries, keys } = sizesOf(q, k, attrs as AttentionAttrs);
    return [
      { shape: q.shape, dtype: "f32" },
      { shape: [batch, heads, queries, 2, paddedKeys(keys)], dtype: "f32" },
    ];
  },
  grad: nondifferentiable("second derivatives are not built"),
  launch: ({ node, inputs: [q, k, v, stats, dout, ...extras], outputs }) => {
    const attrs = node.attrs as AttentionAttrs;
    const { other: mask, rng = null } = splitRandomState(extras, attrs);
    const sizes = sizesOf(q, k, attrs);
    return [
      {
        kernel: "attention_dq",
        constants: selected(mask, attrs),
        params: maskedParams(mask, sizes, attrs),
        inputs: [q, k, v, mask ?? null, stats, dout],
        outputs,
        uniform: rng,
      },
    ];
  },
};

type KeyBackwardAttrs = AttentionAttrs & {
  kShape: readonly number[];
  keys: number;
  addK: boolean;
  addV: boolean;
};

/** Inputs q, dout, weights, and what dk and dv are added to. Outputs dk, dv. */
const attentionKeyBackwardOp: Op = {
  name: "attentionKeyBackward",
  infer: (_, attrs) => {
    const spec = { shape: (attrs as KeyBackwardAttrs).kShape, dtype: "f32" as const };
    return [spec, spec];
  },
  grad: nondifferentiable("second derivatives are not built"),
  donates: ({ attrs }) => {
    const { addK, addV } = attrs as KeyBackwardAttrs;
    return { ...(addK ? { 0: 3 } : {}), ...(addV ? { 1: addK ? 4 : 3 } : {}) };
  },
  launch: ({ node, inputs: [q, dout, weights], outputs: [dk, dv] }) => {
    const attrs = node.attrs as KeyBackwardAttrs;
    const sizes = { ...sizesOf(q, q, attrs), keys: attrs.keys };
    return [
      {
        kernel: "attention_dkv",
        constants: { ACCUMULATE_K: attrs.addK ? 1 : 0, ACCUMULATE_V: attrs.addV ? 1 : 0 },
        params: paramsOf(sizes, attrs),
        inputs: [q, dout, weights],
        inouts: [dk, dv],
        outputs: [],
      },
    ];
  },
};

/** Heads apart: -> [B, H, T, D]. */
function toHeads(x: Tensor, heads: number, layout: Layout): Tensor {
  const [a, b, channels] = x.shape;
  const split = reshape(x, [a, b, heads, channels / heads]);
  return permute(split, layout === "btd" ? [0, 2, 1, 3] : [1, 2, 0, 3]);
}

/** The same in matmul, where, softmax and dropout. */
function attentionOfPrimitives(inputs: readonly Tensor[], attributes: Attrs): Tensor {
  const attrs = attributes as AttentionAttrs;
  const [q, k, v, ...extras] = inputs;
  const { other: mask, rng } = splitRandomState(extras, attrs);
  const { heads, scale, causal, queryLayout, keyLayout, p, index } = attrs;
  const { batch, queries, keys } = sizesOf(q, k, attrs);
  const kh = toHeads(k, heads, keyLayout);
  let s = matmul(toHeads(q, heads, queryLayout), kh, { transB: true, scale }); // [B, H, Tq, Tk]
  let visible = mask && reshape(mask, [batch, 1, mask.shape.length === 3 ? queries : 1, keys]);
  if (causal) {
    const seen = Uint32Array.from({ length: queries * keys }, (_, at) =>
      (at % keys) - Math.floor(at / keys) <= keys - queries ? 1 : 0,
    );
    const triangle = tensor(seen, [1, 1, queries, keys]);
    visible = visible ? logicalAnd(visible, triangle) : triangle;
  }
  if (visible) s = where(visible, s, -1e30);
  let w = softmax(s);
  if (rng) w = apply1(dropoutOp, [w, rng], { p, index });
  const o = matmul(w, toHeads(v, heads, keyLayout)); // [B, H, Tq, D]
  return reshape(permute(o, queryLayout === "btd" ? [0, 2, 1, 3] : [2, 0, 1, 3]), q.shape);
}

/**
 * softmax(scale * q kᵀ) v for each head, the scores of masked keys being -1e30 (a fully masked query sees all keys alike).
 *
 * Gradients of k and v are added in place to what has arrived for them, so that many steps can share one key/value cache.
 * @param q f32 [B, Tq, H*D], or [Tq, B, H*D] where queryLayout is "tbd"
 * @param k f32 [B, Tk, H*D], or [Tk, B, H*D] where keyLayout is "tbd"; v likewise
 * @param mask u32 [B, Tk] or [B, Tq, Tk], 1 = visible
 * @returns f32, shape and layout of q. A head dimension that is not a multiple of 4 takes a slower way in primitive ops.
 */
export function attention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  mask: Tensor | undefined,
  options: AttentionOptions,
): Tensor {
  const { heads, scale, causal = false, queryLayout = "btd", keyLayout = "btd", dropout } = options;
  const drop = innerDropout("attention", dropout);
  const inputs = [q, k, v, ...(mask ? [mask] : []), ...drop.inputs];
  const attrs: AttentionAttrs = { heads, scale, causal, queryLayout, keyLayout, ...drop.attrs };
  const { dim } = checkInputs(inputs, attrs);
  return dim % 4 === 0
    ? apply(attentionOp, inputs, attrs)[0]
    : attentionOfPrimitives(inputs, attrs);
}
