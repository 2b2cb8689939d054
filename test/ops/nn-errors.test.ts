/** What a user of the neural-network ops reads after a mistake. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { adamw, gradNorm } from "../../engine/ops/adamw.ts";
import { attention, type Layout } from "../../engine/ops/attention.ts";
import { binaryCrossEntropyWithLogits } from "../../engine/ops/binary-cross-entropy.ts";
import { crossEntropy } from "../../engine/ops/cross-entropy.ts";
import { dropout } from "../../engine/ops/dropout.ts";
import type { Activation } from "../../engine/ops/elementwise.ts";
import { layerNorm } from "../../engine/ops/layernorm.ts";
import { linear, matmul } from "../../engine/ops/matmul.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { stack } from "../../engine/ops/shape.ts";
import { softmax } from "../../engine/ops/softmax.ts";
import { AdamW } from "../../engine/optim.ts";
import { type Tensor, tensor } from "../../engine/tensor.ts";

const f32 = (...shape: number[]): Tensor =>
  tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape);
const u32 = (...shape: number[]): Tensor =>
  tensor(new Uint32Array(shape.reduce((a, b) => a * b, 1)), shape);
const half = (...shape: number[]): Tensor =>
  tensor(new Uint16Array(shape.reduce((a, b) => a * b, 1)), shape, "f16");

const heads = { heads: 2, scale: 1 };
const withDropout = (p: number, rng: Tensor): Tensor =>
  attention(f32(2, 3, 8), f32(2, 3, 8), f32(2, 3, 8), undefined, { ...heads, dropout: { p, rng } });
const adam = { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 };

type Mistake = [what: string, run: () => unknown, message: string];
const mistakes: Mistake[] = [
  [
    "targets of another shape",
    () => binaryCrossEntropyWithLogits(f32(3, 1), f32(3)),
    "[binaryCrossEntropyWithLogits] the logits f32[3, 1] and the targets f32[3] must be f32 of one shape; reshape or cast one",
  ],
  [
    "a stack of two shapes",
    () => stack([f32(3), f32(4)]),
    "[stack] f32[3] and f32[4] differ; give tensors of one shape and dtype, or concat them",
  ],
  ["a stack of nothing", () => stack([]), "[stack] needs one tensor or more, got none"],
  [
    "softmax of integers",
    () => softmax(u32(2, 3)),
    "[softmax] u32[2, 3] must be f32 with one axis or more and no empty one",
  ],
  [
    "inner sizes",
    () => matmul(f32(2, 3), f32(2, 3)),
    "[matmul] [2, 3] x [2, 3]: the inner sizes 3 and 2 differ",
  ],
  [
    "batches",
    () => matmul(f32(4, 2, 3), f32(5, 3, 2)),
    "[matmul] [4, 2, 3] x [5, 3, 2]: the batches must be equal, or one operand have none",
  ],
  ["vectors", () => matmul(f32(3), f32(3, 2)), "[matmul] [3] x [3, 2]: both need two axes or more"],
  [
    "half on the left",
    () => matmul(half(2, 2), f32(2, 2)),
    "[matmul] the left operand Tensor(constant, f16[2, 2]) must be f32; use cast()",
  ],
  [
    "integers on the right",
    () => matmul(f32(2, 2), u32(2, 2)),
    "[matmul] the right operand Tensor(constant, u32[2, 2]) must be f32, f16 or bf16; use cast()",
  ],
  [
    "infinite scale",
    () => matmul(f32(2, 2), f32(2, 2), { scale: 1 / 0 }),
    "[matmul] the scale Infinity must be finite",
  ],
  [
    "weight",
    () => linear(f32(2, 3), f32(3, 4)),
    "[linear] the weight [3, 4] must be [N, 3] for x [2, 3]",
  ],
  [
    "bias",
    () => linear(f32(2, 3), f32(4, 3), f32(3)),
    "[linear] the bias Tensor(constant, f32[3]) must be f32[4], the weight's first axis",
  ],
  [
    "residual",
    () => linear(f32(2, 3), f32(4, 3), undefined, { residual: f32(2, 3) }),
    "[linear] the residual Tensor(constant, f32[2, 3]) must have the result's shape [2, 4]",
  ],
  [
    "layernorm weight",
    () => layerNorm(f32(2, 3), f32(2), f32(3), 1e-5),
    "[layerNorm] the weight f32[2] must be f32[3], the last axis of x",
  ],
  [
    "layernorm residual",
    () => layerNorm(f32(2, 3), f32(3), f32(3), 1e-5, f32(3)),
    "[layerNorm] the residual Tensor(constant, f32[3]) must have the shape of x, [2, 3]",
  ],
  [
    "targets",
    () => crossEntropy(f32(2, 3), u32(3)),
    "[crossEntropy] the targets Tensor(constant, u32[3]) must be u32[2], one id for each row of [2, 3]",
  ],
  [
    "keys of another batch",
    () => attention(f32(2, 3, 4), f32(3, 2, 4), f32(3, 2, 4), undefined, heads),
    "[attention] q [2, 3, 4], k [3, 2, 4], v [3, 2, 4] (btd, btd): k and v need one shape, and q's batch and channels",
  ],
  [
    "heads",
    () => attention(f32(2, 3, 5), f32(2, 3, 5), f32(2, 3, 5), undefined, heads),
    "[attention] 5 channels do not split into 2 heads",
  ],
  [
    "mask",
    () => attention(f32(2, 3, 8), f32(2, 4, 8), f32(2, 4, 8), u32(2, 3), heads),
    "[attention] the mask Tensor(constant, u32[2, 3]) must be u32[2, 4] or u32[2, 3, 4]",
  ],
  [
    "rate of attention's dropout",
    () => withDropout(1, u32(4)),
    "[attention] p = 1 is not a probability in [0, 1)",
  ],
  [
    "random state of attention's dropout",
    () => withDropout(0.1, u32(3)),
    "[attention] the random state Tensor(constant, u32[3]) must be u32[4]: seed low, seed high, step, micro-step",
  ],
  [
    "gradient of another shape",
    () => adamw(f32(2), f32(2), f32(2), f32(3), f32(12), adam),
    "[adamw] Tensor(constant, f32[3]) must be f32[2], as the parameter",
  ],
  [
    "norm of integers",
    () => gradNorm([u32(2)], [], 1),
    "[gradNorm] Tensor(constant, u32[2]) must be f32",
  ],
  [
    "negative norm",
    () => gradNorm([f32(2)], [], -1),
    "[gradNorm] the largest norm -1 must not be negative",
  ],
  ...["swish", "gelu_new", "", "toString", 1].map(
    (activation): Mistake => [
      `activation ${activation}`,
      () => linear(f32(2, 3), f32(4, 3), undefined, { activation: activation as Activation }),
      `[linear] the activation ${JSON.stringify(activation)} is unknown; use one of relu, gelu, geluTanh, silu, tanh`,
    ],
  ),
  ...[Number.NaN, 0, -1e-5, Infinity, 1e-50, 1e39].map(
    (eps): Mistake => [
      `eps ${eps}`,
      () => layerNorm(f32(2, 3), f32(3), f32(3), eps),
      `[layerNorm] eps = ${eps} is no positive number that f32 holds; use the checkpoint's, often 1e-5 or 1e-12`,
    ],
  ),
  ...[Number.NaN, 1.5, 1, -0.1, Infinity].map(
    (p): Mistake => [
      `dropout ${p}`,
      () => dropout(f32(2), p, u32(4)),
      `[dropout] p = ${p} is not a probability in [0, 1)`,
    ],
  ),
  ...[0, -2, 0.5, Number.NaN, Infinity].map(
    (count): Mistake => [
      `${count} heads`,
      () =>
        attention(f32(2, 3, 8), f32(2, 3, 8), f32(2, 3, 8), undefined, { heads: count, scale: 1 }),
      `[attention] heads = ${count} must be a whole number of 1 or more`,
    ],
  ),
  ...["bdt", "TBD"].map(
    (layout): Mistake => [
      `layout ${layout}`,
      () => {
        const x = f32(2, 2, 8);
        return attention(x, x, x, undefined, { ...heads, keyLayout: layout as Layout });
      },
      `[attention] the layout "${layout}" is unknown; use "btd" or "tbd"`,
    ],
  ),
  ...["no", 0, null].flatMap((value): Mistake[] => {
    const flag = value as unknown as boolean;
    const x = f32(2, 2, 8);
    return [
      [
        `transA ${value}`,
        () => matmul(f32(2, 2), f32(2, 2), { transA: flag }),
        `[matmul] transA is ${value}; use true or false`,
      ],
      [
        `transB ${value}`,
        () => matmul(f32(2, 2), f32(2, 2), { transB: flag }),
        `[matmul] transB is ${value}; use true or false`,
      ],
      [
        `causal ${value}`,
        () => attention(x, x, x, undefined, { ...heads, causal: flag }),
        `[attention] causal is ${value}; use true or false`,
      ],
      [
        `keepdims ${value}`,
        () => sum(x, 0, { keepdims: flag }),
        `[sum] keepdims is ${value}; use true or false`,
      ],
    ];
  }),
  ...[Number.NaN, 1, -0.1].map(
    (beta2): Mistake => [
      `beta ${beta2}`,
      () => adamw(f32(2), f32(2), f32(2), f32(2), f32(12), { ...adam, beta2 }),
      `[adamw] the beta ${beta2} is not in [0, 1)`,
    ],
  ),
  ...[Number.NaN, -1, Infinity].map(
    (eps): Mistake => [
      `epsilon ${eps} of AdamW`,
      () => adamw(f32(2), f32(2), f32(2), f32(2), f32(12), { ...adam, eps }),
      `[adamw] eps = ${eps} must be 0 or more`,
    ],
  ),
  ...[0, 1.5, Number.NaN].map(
    (step): Mistake => [
      `step ${step}`,
      () => new AdamW([]).scalars(step, 1e-3),
      `[AdamW] step ${step} at the rate 0.001: steps count from 1, and the rate is a finite number`,
    ],
  ),
];

for (const [what, run, message] of mistakes) {
  test(what, () => {
    try {
      run();
    } catch (error) {
      assert.is((error as Error).message, message);
      return;
    }
    assert.unreachable("nothing was thrown");
  });
}
test.run();
