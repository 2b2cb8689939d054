/** Random small programs for the soak: each as ops of the engine and as plain numbers. All values are whole and exact in f32. */
import { add, maximum, mul, sub } from "../../../engine/ops/elementwise.ts";
import { matmul } from "../../../engine/ops/matmul.ts";
import { sum } from "../../../engine/ops/reduce.ts";
import { concat, permute, slice } from "../../../engine/ops/shape.ts";
import { type Tensor, tensor } from "../../../engine/tensor.ts";

/** Random numbers by seed (mulberry32). */
export class Draws {
  #word: number;
  constructor(seed: number) {
    this.#word = seed;
  }
  /** A whole number below n. */
  below(n: number): number {
    this.#word = (this.#word + 0x6d2b79f5) | 0;
    let x = Math.imul(this.#word ^ (this.#word >>> 15), 1 | this.#word);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return Math.floor((((x ^ (x >>> 14)) >>> 0) * n) / 2 ** 32);
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)];
  }
}

/** A matrix in plain numbers. */
export type Matrix = {
  readonly rows: number;
  readonly columns: number;
  readonly data: readonly number[];
};

/** The matrix whose element at [i, j] is `at(i, j)`. */
export function matrix(
  rows: number,
  columns: number,
  at: (i: number, j: number) => number,
): Matrix {
  const data = new Array<number>(rows * columns);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) data[i * columns + j] = at(i, j);
  return { rows, columns, data };
}

export const zip = (a: Matrix, b: Matrix, f: (x: number, y: number) => number): Matrix => ({
  ...a,
  data: a.data.map((x, i) => f(x, b.data[i])),
});

/** a b. */
export function product(a: Matrix, b: Matrix): Matrix {
  return matrix(a.rows, b.columns, (i, j) => {
    let total = 0;
    for (let k = 0; k < a.columns; k++) {
      total += a.data[i * a.columns + k] * b.data[k * b.columns + j];
    }
    return total;
  });
}

/** As the engine takes it. */
export const upload = ({ rows, columns, data }: Matrix): Tensor =>
  tensor(Float32Array.from(data), [rows, columns]);

/** One op, for a matrix of any size. */
type Step = {
  readonly name: string;
  readonly engine: (x: Tensor) => Tensor;
  readonly plain: (x: Matrix) => Matrix;
};

const half = (n: number): number => Math.ceil(n / 2);
const weights = (columns: number): Matrix =>
  matrix(columns, 8, (i, j) => ((7 * i + 3 * j) % 3) - 1);
const pattern = (columns: number): Matrix => matrix(1, columns, (_, j) => (j % 5) - 2);

const narrow: readonly Step[] = [
  {
    name: "sum",
    engine: (x) => sum(x, 1, { keepdims: true }),
    plain: (x) =>
      matrix(x.rows, 1, (i) =>
        x.data.slice(i * x.columns, (i + 1) * x.columns).reduce((a, b) => a + b, 0),
      ),
  },
  {
    name: "matmul",
    engine: (x) =>
      matmul(slice(x, 1, 0, Math.min(64, x.shape[1])), upload(weights(Math.min(64, x.shape[1])))),
    plain: (x) => {
      const inner = Math.min(64, x.columns);
      const left = matrix(x.rows, inner, (i, k) => x.data[i * x.columns + k]);
      return product(left, weights(inner));
    },
  },
];

const steps = (k: number): readonly Step[] => [
  {
    name: `add ${k}`,
    engine: (x) => add(x, k),
    plain: (x) => ({ ...x, data: x.data.map((v) => v + k) }),
  },
  {
    name: "double",
    engine: (x) => add(x, x),
    plain: (x) => ({ ...x, data: x.data.map((v) => 2 * v) }),
  },
  {
    name: "negate",
    engine: (x) => mul(x, -1),
    plain: (x) => ({ ...x, data: x.data.map((v) => 0 - v) }),
  },
  {
    name: "relu",
    engine: (x) => maximum(x, 0),
    plain: (x) => ({ ...x, data: x.data.map((v) => (v > 0 ? v : 0)) }),
  },
  {
    name: "pattern",
    engine: (x) => sub(x, upload(pattern(x.shape[1]))),
    plain: (x) => {
      const { data } = pattern(x.columns);
      return matrix(x.rows, x.columns, (i, j) => x.data[i * x.columns + j] - data[j]);
    },
  },
  {
    name: "top",
    engine: (x) => slice(x, 0, 0, half(x.shape[0])),
    plain: (x) => matrix(half(x.rows), x.columns, (i, j) => x.data[i * x.columns + j]),
  },
  {
    name: "left",
    engine: (x) => slice(x, 1, 0, half(x.shape[1])),
    plain: (x) => matrix(x.rows, half(x.columns), (i, j) => x.data[i * x.columns + j]),
  },
  {
    name: "twice",
    engine: (x) => concat([x, x], 0),
    plain: (x) => matrix(2 * x.rows, x.columns, (i, j) => x.data[(i % x.rows) * x.columns + j]),
  },
  {
    name: "transpose",
    engine: (x) => permute(x, [1, 0]),
    plain: (x) => matrix(x.columns, x.rows, (i, j) => x.data[j * x.columns + i]),
  },
];

/** A chain of ops that gives its last value and one on the way. */
export type Program = {
  readonly name: string;
  readonly engine: (x: Tensor) => Tensor[];
  readonly plain: (x: Matrix) => Matrix[];
};

/** One op to six, of which at most one adds up many values: what is below 5 stays below 2 ** 24. */
export function randomProgram(draws: Draws): Program {
  const chain: Step[] = [];
  for (let left = 1 + draws.below(4); left > 0; left--) {
    const step = draws.pick(steps(draws.below(7) - 3));
    if (step.name !== "twice" || !chain.some(({ name }) => name === "twice")) chain.push(step);
  }
  if (draws.below(2) === 0) chain.push(draws.pick(narrow));
  chain.push(draws.pick(steps(1).filter(({ name }) => name !== "twice")));
  const stop = draws.below(chain.length);
  const values = <T>(first: T, apply: (step: Step, x: T) => T): T[] => {
    const all = [first];
    for (const step of chain) all.push(apply(step, all[all.length - 1]));
    return [all[chain.length], all[stop]];
  };
  return {
    name: `${chain.map(({ name }) => name).join(", ")}; and ${stop}`,
    engine: (x) => values(x, (step, y) => step.engine(y)),
    plain: (x) => values(x, (step, y) => step.plain(y)),
  };
}
