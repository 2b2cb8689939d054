/**
 * The work that every library in the benchmark does: a BERT-like stack of 4 post-LayerNorm layers, hidden 256, 4 heads,
 * FFN 1024, batch 8, sequence 32, erf-GELU; loss = mean square of the output; Adam. 3.16 M parameters, 1.645 GFLOP forward.
 */
export const stack = {
  layers: 4,
  hidden: 256,
  heads: 4,
  ffn: 1024,
  batch: 8,
  sequence: 32,
} as const;

export const matmulSizes = [256, 512, 1024] as const;
/** Softmax runs over the rows of the first, layer normalisation over those of the second. */
export const rows = { softmax: [2048, 512], layernorm: [2048, 768] } as const;

/** Operands of the kernels. */
export const operands = {
  matmul: (n: number) => [uniform(n * n, 1, 1), uniform(n * n, 1, 2)],
  softmax: () => uniform(2048 * 512, 3, 3),
  layernorm: () => ({
    x: uniform(2048 * 768, 3, 4),
    weight: uniform(768, 1, 5),
    bias: uniform(768, 1, 6),
  }),
} as const;

const tokens = stack.batch * stack.sequence;
/** Floating-point operations of one forward pass; a training step does three times as many. */
export const stackFlops =
  stack.layers *
  (4 * 2 * tokens * stack.hidden ** 2 +
    2 * 2 * tokens * stack.hidden * stack.ffn +
    2 * 2 * tokens * stack.sequence * stack.hidden);

/** The same uniform values in [offset - scale, offset + scale) for the same seed, everywhere. */
export function uniform(
  n: number,
  scale: number,
  seed: number,
  offset = 0,
): Float32Array<ArrayBuffer> {
  let s = seed >>> 0;
  return Float32Array.from({ length: n }, () => {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    const mixed = Math.imul(s ^ (s >>> 16), 0x45d9f3b) >>> 0;
    return offset + (((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 31 - 1) * scale;
  });
}

export type Weight = { name: string; shape: number[]; data: Float32Array<ArrayBuffer> };

/** Weights by layer; matrices are [in, out]. */
export function stackWeights(): Weight[] {
  const { hidden, ffn } = stack;
  const spread = 0.05 * Math.sqrt(3);
  const weights: Weight[] = [];
  const push = (name: string, shape: number[], scale: number, offset = 0): void => {
    const n = shape.reduce((a, b) => a * b, 1);
    weights.push({ name, shape, data: uniform(n, scale, weights.length + 1, offset) });
  };
  for (let l = 0; l < stack.layers; l++) {
    for (const name of ["query", "key", "value", "attention"]) {
      push(`${l}.${name}.weight`, [hidden, hidden], spread);
      push(`${l}.${name}.bias`, [hidden], spread);
    }
    push(`${l}.norm1.weight`, [hidden], 0.1, 1);
    push(`${l}.norm1.bias`, [hidden], 0.1);
    push(`${l}.up.weight`, [hidden, ffn], spread);
    push(`${l}.up.bias`, [ffn], spread);
    push(`${l}.down.weight`, [ffn, hidden], spread);
    push(`${l}.down.bias`, [hidden], spread);
    push(`${l}.norm2.weight`, [hidden], 0.1, 1);
    push(`${l}.norm2.bias`, [hidden], 0.1);
  }
  return weights;
}

export const stackInput = (): Float32Array<ArrayBuffer> => uniform(tokens * stack.hidden, 1, 999);
