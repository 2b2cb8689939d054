/** Adds the backward computation to a graph, by the gradient rules of its ops. Knows no device. */
import { check, fail } from "./errors.ts";
import type { Contribution } from "./op.ts";
import { columnSums } from "./ops/column-sums.ts";
import { addN } from "./ops/elementwise.ts";
import { zeros } from "./ops/fill.ts";
import { outer } from "./ops/matmul.ts";
import { scatterAdd } from "./ops/scatter-add.ts";
import { concat, expand, reshape } from "./ops/shape.ts";
import { numel, sameShape } from "./shape.ts";
import { ancestors, asGradientOf, scalar, type Tensor } from "./tensor.ts";

type Outer = { readonly outer: readonly [Tensor, Tensor]; readonly group: string };
type Rows = { readonly rows: Tensor; readonly ids: Tensor; readonly unique: boolean };
type Columns = { readonly columns: Tensor; readonly times?: Tensor; readonly group: string };

/** What the passes of `grad` hand on: contributions that are there. */
type Arrived = Exclude<Contribution, undefined>;

/** Stacks rows; equal stacks (one x feeding the query, key and value projections) are made once. */
class RowStacks {
  #made = new Map<string, Tensor>();
  stack(parts: readonly Tensor[]): Tensor {
    const flat = parts.map((t) => reshape(t, [-1, t.shape[t.shape.length - 1]]));
    if (flat.length === 1) return flat[0];
    const key = parts.map((t) => `${t.node.id}.${t.index}`).join(" ");
    let made = this.#made.get(key);
    if (!made) {
      made = concat(flat, 0);
      this.#made.set(key, made);
    }
    return made;
  }
}

function groupBy<T extends { group: string }>(items: readonly T[]): T[][] {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const list = groups.get(item.group);
    if (list) list.push(item);
    else groups.set(item.group, [item]);
  }
  return [...groups.values()];
}

/**
 * Adds up what has arrived for `t`: one product for each group of outer products, one sum for each of columns. Rows of a
 * table are added last and in place, so that a table has one gradient, however many read it.
 */
function total(t: Tensor, arrived: readonly Arrived[], stacks: RowStacks): Tensor {
  const dense: Tensor[] = [];
  const outers: Outer[] = [];
  const columns: Columns[] = [];
  const rows: Rows[] = [];
  // contributions arrive last consumer first; stacking in the order of the forward pass makes stacks coincide
  for (const c of [...arrived].reverse()) {
    if ("outer" in c) outers.push(c);
    else if ("columns" in c) columns.push(c);
    else if ("rows" in c) rows.push(c);
    else dense.push(c);
  }
  for (const group of groupBy(outers)) {
    const a = stacks.stack(group.map((c) => c.outer[0]));
    const b = stacks.stack(group.map((c) => c.outer[1]));
    dense.push(outer(a, b));
  }
  for (const group of groupBy(columns)) {
    const times = group.flatMap((c) => (c.times ? [c.times] : []));
    check(times.length === 0 || times.length === group.length, "grad", () => "mixed column sums");
    const a = stacks.stack(group.map((c) => c.columns));
    dense.push(times.length > 0 ? columnSums(a, stacks.stack(times)) : columnSums(a));
  }
  const shaped = dense.map((g) => (sameShape(g.shape, t.shape) ? g : reshape(g, t.shape)));
  if (shaped.length === 0) shaped.push(zeros(t.shape));
  const base = shaped.length === 1 ? shaped[0] : addN(shaped);
  return addRows(base, rows, stacks);
}

/** base [V, D] and rows of it: those whose ids may repeat in one pass, then each of the others. */
function addRows(base: Tensor, all: readonly Rows[], stacks: RowStacks): Tensor {
  const repeating = all.filter(({ unique }) => !unique);
  const unique = all.filter((one) => one.unique);
  let sum = base;
  if (repeating.length > 0) {
    const rows = stacks.stack(repeating.map((one) => one.rows));
    const ids = repeating.map((one) => one.ids);
    sum = scatterAdd(sum, rows, ids.length === 1 ? ids[0] : concat(ids, 0), false);
  }
  for (const { rows, ids } of unique) sum = scatterAdd(sum, rows, ids, true);
  return sum;
}

/**
 * The gradients of a scalar with respect to each tensor of `wrt`, as new nodes of the same graph. A tensor that the
 * loss does not depend on gets zeros. Throws when a gradient reaches an op without a rule.
 */
export function grad(loss: Tensor, wrt: readonly Tensor[]): Tensor[] {
  check(
    loss.dtype === "f32" && numel(loss.shape) === 1,
    "grad",
    () => `the loss must be one f32 value, got ${loss}; reduce it with mean() or sum()`,
  );
  const nodes = ancestors([loss]);
  const wanted = new Set(wrt);
  const required = new Set<Tensor>();
  for (const node of nodes) {
    const rule = node.op.grad;
    const ends = typeof rule !== "function" && rule.ends;
    const carries = !ends && node.inputs.some((x) => required.has(x));
    for (const t of node.outputs) if (carries || wanted.has(t)) required.add(t);
  }
  const arrived = new Map<Tensor, Arrived[]>();
  const totals = new Map<Tensor, Tensor>();
  const stacks = new RowStacks();
  const settle = (t: Tensor): Tensor | undefined => {
    const list = arrived.get(t);
    if (!list) return undefined;
    arrived.delete(t);
    return asGradientOf(t.node, () => total(t, list, stacks));
  };
  if (required.has(loss)) arrived.set(loss, [expand(scalar(1), loss.shape)]);
  for (let i = nodes.length - 1; i >= 0; i--) {
    const node = nodes[i];
    const upstream = node.outputs.map((t) => {
      const g = settle(t);
      if (g && wanted.has(t)) totals.set(t, g);
      return g;
    });
    const needs = node.inputs.map((x) => required.has(x));
    if (!upstream.some((g) => g) || !needs.some((n) => n)) continue;
    const rule = node.op.grad;
    if (typeof rule !== "function") {
      if (rule.ends) continue;
      fail(node.op.name, `a gradient reached an op without a gradient rule (${rule.why})`);
    }
    const { inputs, outputs } = node;
    const take = (input: number): Tensor | undefined => settle(inputs[input]);
    const context = { node, inputs, outputs, upstream, needs, take };
    const contributions = asGradientOf(node, () => rule(context));
    for (let j = 0; j < inputs.length; j++) {
      const c = contributions[j];
      if (!needs[j] || c === undefined) continue;
      if ("node" in c && !sameShape(c.shape, inputs[j].shape)) {
        fail(node.op.name, `the gradient rule gave ${c} for input ${j}, ${inputs[j]}`);
      }
      const list = arrived.get(inputs[j]);
      if (list) list.push(c);
      else arrived.set(inputs[j], [c]);
    }
  }
  return wrt.map((t) => totals.get(t) ?? expand(scalar(0), t.shape));
}
