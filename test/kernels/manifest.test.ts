/** What a launch may name: the compiler refuses what kernels/manifest.ts does not have. `tsc` is half of this test. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Launch } from "../../engine/op.ts";
import { add } from "../../engine/ops/elementwise.ts";
import { makePlan } from "../../engine/plan.ts";
import { apply1, tensor } from "../../engine/tensor.ts";
import { cpuKernels, kernelNames, kernels, webgpuKernels } from "../../kernels/manifest.ts";

const x = tensor(new Float32Array(8), [2, 4]);
const io = { inputs: [x], outputs: [x] };

const launches: Launch[] = [
  { kernel: "softmax", params: { rows: 2, cols: 4 }, ...io },
  { kernel: "unary", constants: { OP: 1 }, params: { n: 8 }, ...io },
  // @ts-expect-error no such kernel
  { kernel: "sofmax", params: { rows: 2, cols: 4 }, ...io },
  // @ts-expect-error the CPU device's own kernel
  { kernel: "pack_panels", params: { K: 1, N: 1, ldb: 1, bOffset: 0 }, ...io },
  // @ts-expect-error a parameter is missing
  { kernel: "softmax", params: { rows: 2 }, ...io },
  // @ts-expect-error a parameter is misspelt
  { kernel: "softmax", params: { rows: 2, cosl: 4 }, ...io },
  // @ts-expect-error a parameter too many
  { kernel: "softmax", params: { rows: 2, cols: 4, n: 8 }, ...io },
  // @ts-expect-error a selector where the kernel has none
  { kernel: "softmax", constants: { OP: 1 }, params: { rows: 2, cols: 4 }, ...io },
  // @ts-expect-error the selector is missing
  { kernel: "unary", params: { n: 8 }, ...io },
  // @ts-expect-error the selector is misspelt
  { kernel: "unary", constants: { OPP: 1 }, params: { n: 8 }, ...io },
  // @ts-expect-error there is no function 16
  { kernel: "unary", constants: { OP: 16 }, params: { n: 8 }, ...io },
  // @ts-expect-error neg has no backward kernel
  { kernel: "unary_backward", constants: { OP: 0 }, params: { n: 8 }, ...io },
  // @ts-expect-error random state is missing
  { kernel: "dropout", params: { n: 8, op: 0, keep: 1, scale: 1 }, ...io },
  // @ts-expect-error random state for a kernel that takes none
  { kernel: "softmax", params: { rows: 2, cols: 4 }, ...io, uniform: x },
];

test("a launch names a kernel, its parameters and its selectors by type", () => {
  assert.is(launches.length, 14);
});

test("every kernel has a device, and both have almost all", () => {
  assert.equal(new Set([...cpuKernels, ...webgpuKernels]).size, kernelNames.length);
  const alone = kernelNames.filter((name) => kernels[name].only);
  assert.equal(alone.sort(), [
    "adamw_half",
    "adamw_pair",
    "adamw_table",
    "attention_dkv_steps",
    "copy_many",
    "halve",
    "layernorm_backward_join",
    "layernorm_join",
    "matmul_each",
    "matmul_end",
    "matmul_gradient",
    "matmul_join",
    "matmul_join_each",
    "matmul_parts",
    "pack_panels",
    "reduce_columns_many",
    "square_sums_many",
    "table_attention",
    "table_attention_backward",
    "table_attention_parts",
    "table_places",
    "table_rows",
  ]);
});

test("work follows from a launch's parameters", () => {
  const [p, s] = [
    { rows: 2, cols: 4 },
    { TRANS_A: 0, TRANS_B: 0, BIAS: 0, ACTIVATION: 0, RESIDUAL: 0, ACCUMULATE: 0, B_DTYPE: 0 },
  ];
  assert.is(kernels.softmax.flops(p, {}), 40);
  assert.is(kernels.matmul.flops({ M: 2, N: 3, K: 4, batch: 5 }, s), 240);
  assert.is(kernels.add_n.flops({ n: 10 }, { COUNT: 4 }), 30);
});

test("a plan refuses a launch without the operands that its kernel takes", () => {
  const op = (inputs: (typeof x | null)[]) => ({
    ...add(x, x).node.op,
    launch: (): Launch[] => [
      { kernel: "softmax", params: { rows: 2, cols: 4 }, inputs, outputs: [x] },
    ],
  });
  const plan = (inputs: (typeof x | null)[]) => () =>
    makePlan([apply1(op(inputs), [x, x], { side: 0 })], [], []);
  assert.throws(plan([x, x]), /softmax takes 1 inputs, the launch gives 2/);
  assert.throws(plan([null]), /softmax needs its operand x/);
});

test.run();
