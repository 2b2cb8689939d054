/** Numbers beside tensors: what the dtype does not hold is refused by every op, what it holds is taken exactly. */
import * as assert from "uvu/assert";
import { read } from "../../engine/compile.ts";
import { EngineError } from "../../engine/errors.ts";
import * as e from "../../engine/ops/elementwise.ts";
import { full } from "../../engine/ops/fill.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { type DType, scalar, state, tensor } from "../../engine/tensor.ts";
import { onDevices } from "../devices.ts";

const test = await onDevices("numbers beside tensors");

const { add, sub, mul, div, maximum, minimum } = e;
const { greater, less, greaterEqual, lessEqual, equal, notEqual } = e;
const arithmetic = { add, sub, mul, div, maximum, minimum };
const comparisons = { greater, less, greaterEqual, lessEqual, equal, notEqual };
const ops = { ...arithmetic, ...comparisons };

const tensors = {
  u32: tensor(Uint32Array.of(0, 1, 2)),
  i32: tensor(Int32Array.of(0, 1, 2)),
  f32: tensor(Float32Array.of(0, 1, 2)),
};
const condition = tensor(Uint32Array.of(0, 1, 1));
const wrong = {
  u32: [2.5, -1, -0.5, 1e-9, 2 ** 32, 3e10, 1e300, Number.NaN, Infinity],
  i32: [2.5, 1.5, 3e9, 2 ** 31, -(2 ** 31) - 1, -1e300, Number.NaN, -Infinity],
  f32: [3.5e38, -1e39, Number.MAX_VALUE, Number.NaN, Infinity],
};

test("are refused where the dtype does not hold them", () => {
  for (const [dtype, numbers] of Object.entries(wrong)) {
    const x = tensors[dtype as keyof typeof tensors];
    for (const value of numbers) {
      const calls: Record<string, () => unknown> = {
        whereLeft: () => e.where(condition, value, x),
        whereRight: () => e.where(condition, x, value),
      };
      for (const [name, op] of Object.entries(ops)) {
        calls[`${name} right`] = () => op(x, value);
        calls[`${name} left`] = () => op(value, x);
      }
      if (dtype === "u32") {
        calls.logicalAnd = () => e.logicalAnd(x, value);
        calls.logicalOr = () => e.logicalOr(value, x);
      }
      if (dtype !== "f32" || Number.isFinite(value)) {
        calls.full = () => full([2], value, dtype as DType);
        calls.tensor = () => tensor([1, value], [2], dtype as DType);
      }
      if (dtype === "f32") {
        calls.scalar = () => (Number.isFinite(value) ? scalar(value) : e.add(x, value));
        calls.whereBoth = () => e.where(condition, 1, value);
        calls.scale = () => matmul(full([2, 2], 1), full([2, 2], 1), { scale: value });
      }
      for (const [name, run] of Object.entries(calls)) {
        assert.throws(
          run,
          (error: Error) =>
            error instanceof EngineError &&
            /^\[\w+\] [^\n]*(does not hold the number|is not finite|must be finite)/.test(
              error.message,
            ),
          `${name} of ${dtype} and ${value}`,
        );
      }
    }
  }
});

test("are taken exactly up to the ends of the dtype", async (device) => {
  const most = tensor(Uint32Array.of(0, 2 ** 31, 2 ** 32 - 1));
  const ends = tensor(Int32Array.of(-(2 ** 31), 0, 2 ** 31 - 1));
  const values = await read(device, [
    e.less(most, 2 ** 32 - 1),
    e.greater(most, 2 ** 31 - 1),
    e.equal(ends, -(2 ** 31)),
    e.greaterEqual(ends, 2 ** 31 - 1),
    e.where(condition, most, 2 ** 32 - 1),
    e.where(condition, -(2 ** 31), ends),
    full([1], 2 ** 32 - 1, "u32"),
    full([1], -(2 ** 31), "i32"),
    full([3], Infinity),
    full([1], Number.NaN),
    e.mul(tensors.f32, 3.4e38),
    e.add(tensors.f32, 0.1),
  ]);
  assert.equal(
    values.map((v) => [...v]),
    [
      [1, 1, 0],
      [0, 1, 1],
      [1, 0, 0],
      [0, 0, 1],
      [2 ** 32 - 1, 2 ** 31, 2 ** 32 - 1],
      [-(2 ** 31), -(2 ** 31), -(2 ** 31)],
      [2 ** 32 - 1],
      [-(2 ** 31)],
      [Infinity, Infinity, Infinity],
      [Number.NaN],
      [0, Math.fround(3.4e38), Infinity],
      [0.1, 1.1, 2.1].map(Math.fround),
    ],
  );
});

test("in a list become the dtype that is asked for", async (device) => {
  const made = [
    tensor([1, 2.5, -3]),
    tensor([1, 2 ** 32 - 1], [2, 1], "u32"),
    tensor([-5, 2 ** 31 - 1], [2], "i32"),
    tensor([Infinity, Number.NaN], [2], "f32"),
  ];
  assert.equal(
    made.map(({ dtype }) => dtype),
    ["f32", "u32", "i32", "f32"],
  );
  const values = await read(device, made);
  const want = [
    [1, 2.5, -3],
    [1, 2 ** 32 - 1],
    [-5, 2 ** 31 - 1],
    [Infinity, Number.NaN],
  ];
  assert.equal(
    values.map((v) => [...v]),
    want,
  );
});

test("data and shapes that make no tensor are refused", () => {
  type Data = Parameters<typeof tensor>[0];
  const bad = (data: unknown, shape?: unknown, dtype?: unknown) => () =>
    tensor(data as Data, shape as number[], dtype as DType);
  const made = (data: unknown, shape: unknown, dtype?: unknown) => () =>
    state("w", data as Float32Array, shape as number[], dtype as DType);
  const three = new Float32Array(3);
  const calls: [() => unknown, RegExp][] = [
    [
      bad([
        [1, 2],
        [3, 4],
      ]),
      /^\[tensor\] the data hold a list where a number is expected; pass one flat list/,
    ],
    [bad([1, "2"]), /^\[tensor\] the data hold a string where a number/],
    [bad([1, null]), /^\[tensor\] the data hold null where a number/],
    [bad(new Array(2)), /^\[tensor\] the data hold undefined where a number/],
    [bad([1], [1], "f16"), /^\[tensor\] numbers make a tensor of f32, i32 or u32, not of f16/],
    [bad(new Float64Array(3)), /^\[tensor\] the data Float64Array is no Float32Array/],
    [bad(new BigInt64Array(3)), /^\[tensor\] the data BigInt64Array is no Float32Array/],
    [bad(new Uint8Array(3)), /^\[tensor\] the data Uint8Array is no Float32Array/],
    [bad(new Uint16Array(3)), /^\[tensor\] a Uint16Array needs its dtype/],
    [bad(3), /^\[tensor\] the data 3 is no Float32Array/],
    [bad(undefined), /^\[tensor\] the data undefined is no Float32Array/],
    [bad(null), /^\[tensor\] the data null is no Float32Array/],
    [bad(three, [3], "u32"), /^\[tensor\] Float32Array does not hold u32; pass a Uint32Array/],
    [
      bad(new Uint32Array(3), [3], "i32"),
      /^\[tensor\] Uint32Array does not hold i32; pass a Int32Array/,
    ],
    [
      bad(new Int32Array(3), [3], "f32"),
      /^\[tensor\] Int32Array does not hold f32; pass a Float32Array/,
    ],
    [bad(three, [3], "f16"), /^\[tensor\] Float32Array does not hold f16; pass a Uint16Array/],
    [bad(three, [3], "f64"), /^\[tensor\] the dtype f64 is none of f32, i32, u32, f16, bf16/],
    [bad(three, [3], "toString"), /^\[tensor\] the dtype toString is none of/],
    [bad(three, [-1, -3]), /^\[tensor\] the shape \[-1,-3\] must be a list of whole numbers/],
    [bad(three, [1.5, 2]), /^\[tensor\] the shape \[1.5,2\] must be/],
    [bad(three, [Number.NaN]), /^\[tensor\] the shape \[null\] must be/],
    [bad(three, ["3"]), /^\[tensor\] the shape \["3"\] must be/],
    [bad(three, 3), /^\[tensor\] the shape 3 must be/],
    [bad(three, [2]), /^\[tensor\] 3 values do not fill shape \[2\] \(2\)/],
    [made(three, [-3]), /^\[w\] the shape \[-3\] must be/],
    [made(three, [3], "u32"), /^\[w\] Float32Array does not hold u32/],
    [made([1, 2, 3], [3]), /^\[w\] the data Array is no Float32Array/],
    [made(new Float64Array(3), [3]), /^\[w\] the data Float64Array is no Float32Array/],
    [made({ read: async () => three }, [1.5]), /^\[w\] the shape \[1.5\] must be/],
    [() => full([1.5], 1), /^\[fill\] the shape \[1.5\] must be/],
    [() => full([-2, -2], 1), /^\[fill\] the shape \[-2,-2\] must be/],
    [() => full([2], 1, "f64" as DType), /^\[fill\] f64 is not computed with/],
  ];
  for (const [run, message] of calls) {
    assert.throws(
      run,
      (error: Error) => error instanceof EngineError && message.test(error.message),
      `${message}`,
    );
  }
});

test.run();
