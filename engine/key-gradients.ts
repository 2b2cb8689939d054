/**
 * Gradients of keys and values that several decoding steps share: each step's launch adds its own to all of them, so that they go
 * to memory and back once a step. Here the last launch before somebody reads a key adds what all steps have for it. Works on
 * launches whose operands have no memory yet.
 */
import {
  type Context,
  type LaunchOf,
  type Place,
  type Planned,
  type PlannerContext,
  touchedBy,
} from "./joins.ts";
import { ALIGNMENT, type Join, readsOf, writesOf } from "./op.ts";
import { isLeaf, type Tensor, type TensorSpec } from "./tensor.ts";

type Step = LaunchOf<"attention_dkv">;
/** A launch of one query, and where in the list it stands. */
type Found = { readonly at: number; readonly step: Step };

/** What a step's launch takes in: q, dout, weights. */
const OPERANDS = [0, 1, 2] as const;

/** The launches, with those of attention_dkv that share keys and follow on each other made few. */
export function withSharedSteps(planned: readonly Planned[], context: PlannerContext): Planned[] {
  const list: (Planned | undefined)[] = [...planned];
  const touched = touchedBy(planned, context);
  for (const run of runsOf(planned, context)) share(list, run, touched, context);
  return list.flatMap((one) => (one ? [one] : []));
}

/** Launches of one query each, two or more, that add to the same keys with none of more queries between them. */
function runsOf(planned: readonly Planned[], { place }: Context): Found[][] {
  const runs: Found[][] = [];
  const open = new Map<Tensor, Found[]>();
  planned.forEach(({ launch }, at) => {
    if (launch.kernel !== "attention_dkv") return;
    const step: Step = launch;
    const [dk, dv] = step.inouts ?? [];
    const { root } = place(dk);
    const run = open.get(root);
    const last = run?.[run.length - 1];
    if (run && last && follows(step, last.step, run, place)) {
      run.push({ at, step });
      return;
    }
    open.delete(root);
    const starts = step.params.queries === 1 && dv !== undefined && root !== place(dv).root;
    if (!starts) return;
    const begun = [{ at, step }];
    open.set(root, begun);
    runs.push(begun);
  });
  return runs.filter((run) => run.length > 1);
}

const same = (a: Place, b: Place): boolean => a.root === b.root && a.offset === b.offset;

/** Whether a step goes on with what the one before it in the list, later in time, has added to. */
function follows(
  step: Step,
  last: Step,
  run: readonly Found[],
  place: (t: Tensor) => Place,
): boolean {
  const [a, b] = [step.params, last.params];
  const grow = b.keys - a.keys;
  const [first, second] = run;
  const before = second ? first.step.params.keys - second.step.params.keys : grow;
  const names = ["queries", "heads", "pairs", "chunks", "kBatch", "kRow"] as const;
  const [dk, dv] = step.inouts ?? [];
  const [lastK, lastV] = last.inouts ?? [];
  return (
    step.constants.ACCUMULATE_K === 1 &&
    step.constants.ACCUMULATE_V === 1 &&
    (grow === 0 || (grow === 1 && haveWindows(step))) &&
    grow === before &&
    names.every((name) => a[name] === b[name]) &&
    same(place(dk), place(lastK)) &&
    same(place(dv), place(lastV))
  );
}

/** Whether each key's rows stand together, where a window can begin. */
const haveWindows = ({ params: { pairs, heads, kBatch, kRow } }: Step): boolean =>
  kRow === (pairs / heads) * kBatch && (kRow * 16) % ALIGNMENT === 0;

function share(
  list: (Planned | undefined)[],
  run: readonly Found[],
  touched: ReadonlyMap<Tensor, ReadonlySet<number>>,
  context: PlannerContext,
): void {
  const { place, window, stack } = context;
  if (!OPERANDS.every((i) => stacks(list, run, i, touched, context))) return;
  if (!onlyReadBehind(list, run, touched, place)) return;
  const operands = OPERANDS.map((i) => run.flatMap(({ step }) => step.inputs[i] ?? []));
  const memories = operands.map(stack);
  const [first] = run;
  const { heads, pairs, chunks, kBatch, kRow, keys } = first.step.params;
  const grow = keys - run[1].step.params.keys;
  const keyBytes = kRow * 16;
  run.forEach(({ at, step }, s) => {
    const one = list[at];
    const last = s === run.length - 1;
    const from = last ? 0 : run[s + 1].step.params.keys;
    const count = step.params.keys - from;
    if (!one || count === 0) {
      list[at] = undefined;
      return;
    }
    const inouts = (step.inouts ?? []).map((t) => {
      if (from === 0) return t;
      const { root, offset } = place(t);
      const spec: TensorSpec = { shape: [count * kRow * 4], dtype: "f32" };
      return window(root, offset + from * keyBytes, spec);
    });
    const inputs = memories.map((root, i) => {
      const size = operands[i].slice(0, s + 1).reduce((sum, t) => sum + t.size, 0);
      return window(root, 0, { shape: [size], dtype: "f32" });
    });
    const launch: Join = {
      kernel: "attention_dkv_steps",
      constants: first.step.constants,
      params: { steps: s + 1, keys, grow, first: from, count, heads, pairs, chunks, kBatch, kRow },
      inputs,
      inouts,
      outputs: [],
      products: [],
    };
    list[at] = { ...one, launch };
  });
}

/** Whether operand `i` of all steps can lie in one memory: nobody reads one of them and writes another at once. */
function stacks(
  list: readonly (Planned | undefined)[],
  run: readonly Found[],
  i: number,
  touched: ReadonlyMap<Tensor, ReadonlySet<number>>,
  { rules, place, kept }: Context,
): boolean {
  const parts = run.flatMap(({ step }) => step.inputs[i] ?? []);
  const roots = new Set(parts.map((t) => place(t).root));
  const bytes = parts.reduce((sum, t) => sum + t.bytes, 0);
  if (roots.size !== run.length || parts.length !== run.length || bytes > rules.largest) {
    return false;
  }
  const own = (t: Tensor): boolean => {
    const { root, offset } = place(t);
    const whole = offset === 0 && root.bytes === t.bytes && root.bytes % ALIGNMENT === 0;
    return whole && !isLeaf(root.node) && !kept(root);
  };
  if (!parts.every(own)) return false;
  const touching = new Set(parts.flatMap((t) => [...(touched.get(place(t).root) ?? [])]));
  return [...touching].every((at) => {
    const launch = list[at]?.launch;
    if (!launch) return true;
    const inside = (t: Tensor): boolean => roots.has(place(t).root);
    const written = writesOf(launch).filter(inside).length;
    return written === 0 || (written === 1 && !readsOf(launch).some(inside));
  });
}

/** Whether, between the steps, others at most read keys that no step to come adds to. */
function onlyReadBehind(
  list: readonly (Planned | undefined)[],
  run: readonly Found[],
  touched: ReadonlyMap<Tensor, ReadonlySet<number>>,
  place: (t: Tensor) => Place,
): boolean {
  return (run[0].step.inouts ?? []).every((t) => {
    const { root, offset } = place(t);
    return [...(touched.get(root) ?? [])].every((at) => {
      const next = run.findIndex((found) => found.at >= at);
      const launch = list[at]?.launch;
      if (next <= 0 || run[next].at === at || !launch) return true; // outside, or one of them
      const { step } = run[next];
      const done = offset + step.params.keys * step.params.kRow * 16;
      const behind = (x: Tensor): boolean => place(x).root !== root || place(x).offset >= done;
      return !writesOf(launch).some((x) => place(x).root === root) && readsOf(launch).every(behind);
    });
  });
}
