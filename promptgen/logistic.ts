/**
 * Multinomial logistic regression with an L2 penalty, on the host in float64, all rows at once: the same numbers give the same model.
 * Knows numbers only.
 */

/** Rows of as many numbers each, and the class of each. */
export type Labelled = {
  readonly rows: readonly Float64Array[];
  /** From 0 to K - 1. */
  readonly classes: readonly number[];
};

/** What was learnt; `name` gives the most probable class of a row, the first of equal ones. */
export type Logistic = {
  /** Minimum of the loss. */
  readonly loss: number;
  /** W and the biases: [K, features + 1], the bias last. */
  readonly parameters: Float64Array;
  /** Log-probabilities of the K classes. */
  logP(row: Float64Array): Float64Array;
  name(row: Float64Array): number;
};

/** Curvature pairs that L-BFGS remembers. */
const MEMORY = 12;
const MOST_STEPS = 2000;

/**
 * Minimises  sum of -log P(class | row) + l2 / 2 |W|²  over W [K, features] and the biases [K], which are not punished. The loss is
 * convex, so there is one minimum, to which L-BFGS (Liu and Nocedal, 1989) goes.
 * @param count K
 * @param start where it begins; zero when left out
 */
export function fitLogistic(
  { rows, classes }: Labelled,
  count: number,
  l2: number,
  start?: Logistic,
): Logistic {
  const width = rows[0].length + 1;
  const model = start ? start.parameters.slice() : new Float64Array(count * width);
  const logits = (of: Float64Array, row: Float64Array): Float64Array => {
    const values = new Float64Array(count);
    for (let k = 0; k < count; k++) {
      let value = of[k * width + row.length];
      for (let i = 0; i < row.length; i++) value += of[k * width + i] * row[i];
      values[k] = value;
    }
    return values;
  };
  const logP = (of: Float64Array, row: Float64Array): Float64Array => {
    const values = logits(of, row);
    const most = values.reduce((a, b) => Math.max(a, b));
    const total = Math.log(values.reduce((sum, x) => sum + Math.exp(x - most), 0)) + most;
    return values.map((x) => x - total);
  };
  const measure = (of: Float64Array, gradient: Float64Array): number => {
    gradient.fill(0);
    let loss = 0;
    rows.forEach((row, r) => {
      const own = logP(of, row);
      loss -= own[classes[r]];
      for (let k = 0; k < count; k++) {
        const error = Math.exp(own[k]) - (k === classes[r] ? 1 : 0);
        for (let i = 0; i < row.length; i++) gradient[k * width + i] += error * row[i];
        gradient[k * width + row.length] += error;
      }
    });
    for (let at = 0; at < of.length; at++) {
      if (at % width === width - 1) continue;
      loss += (l2 / 2) * of[at] ** 2;
      gradient[at] += l2 * of[at];
    }
    return loss;
  };
  const loss = minimised(model, measure, 1e-8 * rows.length);
  return {
    loss,
    parameters: model,
    logP: (row) => logP(model, row),
    name: (row) => logits(model, row).reduce((best, x, k, all) => (x > all[best] ? k : best), 0),
  };
}

const dot = (a: Float64Array, b: Float64Array): number => {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += a[i] * b[i];
  return total;
};

/** Moves `x` to the minimum of a convex function and gives its value there. */
function minimised(
  x: Float64Array,
  measure: (x: Float64Array, gradient: Float64Array) => number,
  tolerance: number,
): number {
  let gradient = new Float64Array(x.length);
  let value = measure(x, gradient);
  const pairs: { s: Float64Array; y: Float64Array; rho: number }[] = [];
  for (let step = 0; step < MOST_STEPS; step++) {
    if (gradient.every((g) => Math.abs(g) <= tolerance)) break;
    const direction = newtonLike(gradient, pairs);
    const slope = dot(direction, gradient);
    const from = x.slice();
    const next = new Float64Array(x.length);
    let found = Number.POSITIVE_INFINITY;
    let length = pairs.length === 0 ? 1 / Math.max(1, Math.sqrt(dot(gradient, gradient))) : 1;
    // rounding lets the value rise by some of its last bits
    const slack = 1e-15 * Math.abs(value);
    for (let tries = 0; tries < 60; tries++, length /= 2) {
      for (let i = 0; i < x.length; i++) x[i] = from[i] + length * direction[i];
      found = measure(x, next);
      if (found <= value + 1e-4 * length * slope + slack) break;
      found = Number.POSITIVE_INFINITY;
    }
    if (found === Number.POSITIVE_INFINITY) {
      x.set(from);
      break;
    }
    const s = x.map((to, i) => to - from[i]);
    const y = next.map((to, i) => to - gradient[i]);
    const curvature = dot(s, y);
    if (curvature > 0) pairs.push({ s, y, rho: 1 / curvature });
    if (pairs.length > MEMORY) pairs.shift();
    gradient = next;
    value = found;
  }
  return value;
}

/** The two-loop recursion of L-BFGS: downhill, bent by the curvature that was seen. */
function newtonLike(
  gradient: Float64Array,
  pairs: readonly { s: Float64Array; y: Float64Array; rho: number }[],
): Float64Array {
  const q = gradient.map((g) => -g);
  const add = (scale: number, of: Float64Array) => {
    for (let i = 0; i < q.length; i++) q[i] += scale * of[i];
  };
  const shares = pairs.toReversed().map(({ s, y, rho }) => {
    const share = rho * dot(s, q);
    add(-share, y);
    return share;
  });
  const last = pairs.at(-1);
  if (last) {
    const scale = 1 / (last.rho * dot(last.y, last.y));
    for (let i = 0; i < q.length; i++) q[i] *= scale;
  }
  pairs.forEach(({ s, y, rho }, i) => {
    add(shares[pairs.length - 1 - i] - rho * dot(y, q), s);
  });
  return q;
}

/**
 * Rows of few numbers that have the products of rows of many: `products[a][b]` is the product of row a with row b, b among the first
 * `count`. By Cholesky's factorisation with pivots among these; what the others have beside them is left out, for no model that is
 * trained on the first `count` rows and punished by L2 sees it.
 */
export function shortRows(products: readonly ArrayLike<number>[], count: number): Float64Array[] {
  const rest = Float64Array.from({ length: count }, (_, b) => products[b][b]);
  const largest = rest.reduce((a, b) => Math.max(a, b), 0);
  const columns: Float64Array[] = [];
  while (columns.length < count) {
    const pivot = rest.reduce((best, x, b) => (x > rest[best] ? b : best), 0);
    // products are float32
    if (rest[pivot] <= 1e-6 * largest) break;
    const scale = Math.sqrt(rest[pivot]);
    const column = Float64Array.from(products, (row, a) => {
      const known = columns.reduce((sum, one) => sum + one[a] * one[pivot], 0);
      return (row[pivot] - known) / scale;
    });
    columns.push(column);
    for (let b = 0; b < count; b++) rest[b] -= column[b] ** 2;
    rest[pivot] = 0;
  }
  return Array.from(products, (_, a) => Float64Array.from(columns, (column) => column[a]));
}
