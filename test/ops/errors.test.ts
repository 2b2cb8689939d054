/** What a user reads after a mistake: the op in brackets, what was given, the remedy. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { argmax, topK } from "../../engine/ops/argmax.ts";
import { columnSums } from "../../engine/ops/column-sums.ts";
import { dropout, randomBits } from "../../engine/ops/dropout.ts";
import * as e from "../../engine/ops/elementwise.ts";
import { embedding } from "../../engine/ops/embedding.ts";
import { full } from "../../engine/ops/fill.ts";
import { max, sum } from "../../engine/ops/reduce.ts";
import * as s from "../../engine/ops/shape.ts";
import { strided } from "../../engine/ops/strided.ts";
import { type DType, type Tensor, tensor } from "../../engine/tensor.ts";

const f32 = (...shape: number[]): Tensor =>
  tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape);
const u32 = (...shape: number[]): Tensor =>
  tensor(new Uint32Array(shape.reduce((a, b) => a * b, 1)), shape);
const half = (...shape: number[]): Tensor =>
  tensor(new Uint16Array(shape.reduce((a, b) => a * b, 1)), shape, "f16");

const mistakes: [what: string, run: () => unknown, message: string][] = [
  [
    "broadcast",
    () => e.add(f32(2, 3), f32(2)),
    "[add] shapes [2, 3] and [2] do not broadcast: sizes must be equal or 1",
  ],
  ["mixed dtypes", () => e.mul(f32(2), u32(3)), "[mul] f32[2] and u32[3] do not mix; use cast()"],
  ["two numbers", () => e.add(1, 2), "[add] two numbers need no tensor; compute them on the host"],
  [
    "infinite number",
    () => e.mul(f32(2), 1 / 0),
    "[mul] the number Infinity is not finite; pass a tensor",
  ],
  [
    "not a tensor",
    () => e.add(f32(2), null as unknown as Tensor),
    "[add] expected a Tensor or a number, got null",
  ],
  [
    "undefined operand of a unary op",
    () => e.exp(undefined as unknown as Tensor),
    "[exp] expected a Tensor, got undefined",
  ],
  [
    "half arithmetic",
    () => e.add(half(2), 1),
    "[add] Tensor(constant, f16[2]) must be f32, i32 or u32; use cast()",
  ],
  [
    "unary of integers",
    () => e.exp(u32(2)),
    "[exp] Tensor(constant, u32[2]) must be f32; use cast()",
  ],
  [
    "logic of floats",
    () => e.logicalAnd(f32(2), f32(2)),
    "[logicalAnd] Tensor(constant, f32[2]) must be u32; use cast()",
  ],
  [
    "logicalNot of floats",
    () => e.logicalNot(f32(2)),
    "[logicalNot] Tensor(constant, f32[2]) must be u32; use cast()",
  ],
  [
    "float condition",
    () => e.where(f32(2), 1, 0),
    "[where] the condition Tensor(constant, f32[2]) must be u32; use a comparison",
  ],
  [
    "where of two dtypes",
    () => e.where(u32(2), f32(2), u32(2)),
    "[where] f32[2] and u32[2] do not mix; use cast()",
  ],
  [
    "cast to storage",
    () => e.cast(f32(2), "bf16"),
    "[cast] bf16 is not computed with; cast to f32, i32 or u32",
  ],
  [
    "cast of half",
    () => e.cast(half(2), "u32"),
    "[cast] Tensor(constant, f16[2]) casts to f32 only",
  ],
  ["empty addN", () => e.addN([]), "[addN] needs one tensor or more, got none"],
  [
    "addN of two shapes",
    () => e.addN([f32(2), f32(1)]),
    "[addN] shapes [2] and [1] differ; use add() to broadcast",
  ],
  [
    "reshape",
    () => s.reshape(f32(2, 3), [4, -1]),
    "[reshape] shape [4, -1] does not hold the 6 elements of [2, 3]",
  ],
  [
    "two open sizes",
    () => s.reshape(f32(2, 3), [-1, -1]),
    "[reshape] shape [-1, -1] does not hold the 6 elements of [2, 3]",
  ],
  [
    "slice axis",
    () => s.slice(f32(2, 5), 3, 0, 1),
    "[slice] axis 3 is out of range for shape [2, 5]",
  ],
  [
    "slice range",
    () => s.slice(f32(2, 5), 1, 2, 6),
    "[slice] 2 to 6 is not a range of axis 1 of shape [2, 5]",
  ],
  [
    "empty slice",
    () => s.slice(f32(2, 5), 1, 2, 2),
    "[slice] 2 to 2 is not a range of axis 1 of shape [2, 5]",
  ],
  ["empty concat", () => s.concat([], 0), "[concat] needs one tensor or more, got none"],
  [
    "concat sizes",
    () => s.concat([f32(2, 3), f32(2, 4)], 0),
    "[concat] f32[2, 4] does not fit f32[2, 3]: only axis 0 may differ",
  ],
  [
    "concat ranks",
    () => s.concat([f32(2, 3), f32(2)], 0),
    "[concat] shapes [2, 3] and [2] differ in rank; reshape",
  ],
  [
    "concat dtypes",
    () => s.concat([f32(2), u32(2)], 0),
    "[concat] u32[2] does not fit f32[2]: only axis 0 may differ",
  ],
  [
    "concat of halves",
    () => s.concat([half(2), half(2)], 0),
    "[concat] Tensor(constant, f16[2]) is packed and cannot be copied by element; cast() it first",
  ],
  [
    "permute",
    () => s.permute(f32(2, 3), [0, 0]),
    "[permute] axes [0, 0] are not an order of the 2 axes of [2, 3]",
  ],
  [
    "expand",
    () => s.expand(f32(2, 3), [2, 4]),
    "[expand] shape [2, 3] does not expand to [2, 4]: sizes must be equal or 1",
  ],
  [
    "too many axes",
    () => strided("permute", [2, 2, 2, 2, 2, 2], { s: [1, 2, 4, 8, 16, 32] }),
    "[permute] [2, 2, 2, 2, 2, 2] needs 6 strided axes, at most 5 can be; reshape",
  ],
  ["sum axis", () => sum(f32(2, 5), -3), "[sum] axis -3 is out of range for shape [2, 5]"],
  ["sum twice", () => sum(f32(2, 5), [1, -1]), "[sum] axes [1, -1] name an axis twice"],
  ["sum of integers", () => sum(u32(2)), "[sum] Tensor(constant, u32[2]) must be f32; use cast()"],
  ["max of nothing", () => max(f32(0)), "[max] shape [0] has no elements to reduce"],
  [
    "columnSums",
    () => columnSums(f32(2)),
    "[columnSums] Tensor(constant, f32[2]) must be f32 [rows, columns]",
  ],
  [
    "table",
    () => embedding(f32(2), u32(2)),
    "[embedding] the table [2] must be [vocabulary, dimension]",
  ],
  [
    "float ids",
    () => embedding(f32(2, 3), f32(2)),
    "[embedding] the ids Tensor(constant, f32[2]) must be u32; use cast()",
  ],
  [
    "repeated ids",
    () => embedding(f32(9, 3), u32(2), { unique: true }),
    "[embedding] unique ids must not repeat, but 0 does",
  ],
  [
    "computed ids",
    () => embedding(f32(9, 3), e.cast(f32(2), "u32"), { unique: true }),
    "[embedding] unique ids must be a constant, got Tensor(cast, u32[2])",
  ],
  [
    "probability",
    () => dropout(f32(2), 1, u32(4)),
    "[dropout] p = 1 is not a probability in [0, 1)",
  ],
  [
    "random state",
    () => dropout(f32(2), 0.5, u32(2)),
    "[dropout] the random state Tensor(constant, u32[2]) must be u32[4]: seed low, seed high, step, micro-step",
  ],
  [
    "counters",
    () => randomBits(u32(2, 4), u32(3, 2)),
    "[randomBits] counter [2, 4] and key [3, 2] must be u32 [n, 4] and [n, 2]",
  ],
  ["argmax", () => argmax(f32()), "[argmax] shape [] has no last axis to search"],
  ["topK", () => topK(f32(3, 4), 5), "[topK] k = 5 is not in 1..4, the size of the last axis"],
  [
    "too many elements",
    () => e.add(f32(40000, 1), f32(1, 40000)),
    "[add] shape [40000, 40000] has 1600000000 elements, at most 2^30 - 1 can be addressed",
  ],
  [
    "too large a fill",
    () => full([2 ** 16, 2 ** 14], 0),
    "[fill] shape [65536, 16384] has 1073741824 elements, at most 2^30 - 1 can be addressed",
  ],
  [
    "fill",
    () => full([2], 1, "f16" satisfies DType),
    "[fill] f16 is not computed with; fill f32, i32 or u32",
  ],
];

for (const [what, run, message] of mistakes) {
  test(what, () => {
    assert.throws(run, (error: Error) => {
      assert.is(error.message, message);
      return error.name === "EngineError";
    });
  });
}

test.run();
