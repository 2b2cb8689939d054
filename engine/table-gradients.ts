/**
 * The gradient of a table of which a step reads some rows: zero but for these. As ops have it, it is filled with zeros, rows are added,
 * and the norm and AdamW read all of it. Here they read the rows, and from a list for each row of the table which of them it has. Works on
 * launches whose operands have no memory yet.
 */
import type { Context, LaunchOf, Planned, PlannerContext } from "./joins.ts";
import { type Join, type Launch, readsOf, writesOf } from "./op.ts";
import {
  apply1,
  constantOp,
  hostData,
  isLeaf,
  type Tensor,
  type TensorSpec,
  tempOp,
} from "./tensor.ts";

type Scatter = LaunchOf<"scatter_add">;
type Update = LaunchOf<"adamw" | "adamw_half">;

/** The launches of one gradient, each with its place in the list. */
type Found = {
  readonly fill: number;
  readonly repeating?: { readonly at: number; readonly launch: Scatter };
  readonly unique?: { readonly at: number; readonly launch: Scatter };
  readonly squares: { readonly at: number; readonly launch: LaunchOf<"square_sums"> };
  readonly update: { readonly at: number; readonly launch: Update };
};

/** The launches, with those of gradients that are made, squared and used as tables made to do so by rows. */
export function withTableRows(planned: readonly Planned[], context: PlannerContext): Planned[] {
  const list: (readonly Planned[])[] = planned.map((one) => [one]);
  const touched = touchedBy(planned, context);
  const at = (root: Tensor): readonly number[] => touched.get(root) ?? [];
  for (const { launch } of planned) {
    if (launch.kernel !== "adamw" && launch.kernel !== "adamw_half") continue;
    const [grad] = launch.inputs;
    const found = grad && gradientOf(planned, grad, at, context);
    if (found) byRows(list, planned, found, at, context);
  }
  return list.flat();
}

/** The places of the launches that read or write a memory, in order. */
function touchedBy(planned: readonly Planned[], { place }: Context): Map<Tensor, number[]> {
  const touched = new Map<Tensor, number[]>();
  planned.forEach(({ launch }, at) => {
    const roots = new Set([...readsOf(launch), ...writesOf(launch)].map((t) => place(t).root));
    for (const root of roots) touched.set(root, [...(touched.get(root) ?? []), at]);
  });
  return touched;
}

/** Whether `t` is all of a memory of its own that nobody wants. */
function isOwn(t: Tensor, { place, kept }: Context): boolean {
  const { root, offset } = place(t);
  const given = isLeaf(root.node) && root.node.op !== tempOp;
  return offset === 0 && root.bytes === t.bytes && !given && !kept(root);
}

/** What makes and uses a gradient, where that is what is described above and nothing else. */
function gradientOf(
  planned: readonly Planned[],
  grad: Tensor,
  touching: (root: Tensor) => readonly number[],
  context: Context,
): Found | undefined {
  const { place, rules } = context;
  const { root } = place(grad);
  if (!isOwn(grad, context) || grad.bytes > rules.largest) return undefined;
  const places = [...touching(root)];
  const take = <K extends (Launch | Join)["kernel"]>(...kernels: readonly K[]) => {
    const [at] = places;
    const launch = planned[at]?.launch;
    if (!launch || !kernels.some((kernel) => kernel === launch.kernel)) return undefined;
    places.shift();
    return { at, launch: launch as LaunchOf<K> };
  };
  const rows = (UNIQUE: 0 | 1) => {
    const [next] = places.map((at) => planned[at].launch);
    const fits = next?.kernel === "scatter_add" && next.constants.UNIQUE === UNIQUE;
    return fits ? take("scatter_add") : undefined;
  };
  const fill = take("fill");
  const [repeating, unique] = [rows(0), rows(1)];
  const squares = take("square_sums");
  const update = take("adamw", "adamw_half");
  if (!fill || !squares || !update || places.length > 0) return undefined;
  const whole = squares.launch.params.n === grad.size && squares.launch.constants.SQUARES === 1;
  if (fill.launch.params.bits !== 0 || fill.launch.params.n !== grad.size || !whole)
    return undefined;
  return {
    fill: fill.at,
    ...(repeating && { repeating }),
    ...(unique && { unique }),
    squares,
    update,
  };
}

/** Whether all ids are known to be of the table: what others have must not go into the norm. */
const haveRows = (ids: Tensor, vocab: number): boolean =>
  ids.node.op === constantOp && hostData(ids).every((id) => id < vocab);

function byRows(
  list: (readonly Planned[])[],
  planned: readonly Planned[],
  { fill, repeating, unique, squares, update }: Found,
  touching: (root: Tensor) => readonly number[],
  context: PlannerContext,
): void {
  const { place, rules, stack } = context;
  const last = unique ?? repeating;
  if (!last) return;
  const { dim, vocab } = last.launch.params;
  const [first, more] = [unique, repeating].map((one) => one?.launch.params.rows ?? 0);
  const half = update.launch.kernel === "adamw_half";
  const whole = dim * vocab === squares.launch.params.n;
  if (!whole || first + more > vocab || (half && dim % 4 !== 0)) return;
  const [given, ids] = unique?.launch.inputs ?? [];
  if (unique && !(given && isOwn(given, context) && ids && haveRows(place(ids).root, vocab)))
    return;
  // rows are added to what the unique ids gave, which nobody else may read later, in the place of the last launch
  if (given && touching(place(given).root).some((at) => at > last.at)) return;
  const early = repeating ? readsOf(repeating.launch).map((t) => place(t).root) : [];
  const between = repeating ? planned.slice(repeating.at + 1, last.at) : [];
  const apart = between.every(({ launch }) =>
    writesOf(launch).every((t) => !early.includes(place(t).root)),
  );
  if (!apart || (given && early.includes(place(given).root))) return;
  const operands = [...readsOf(update.launch), ...writesOf(update.launch)];
  if (operands.some((t) => t.bytes > rules.largest)) return;

  const temp = (spec: TensorSpec): Tensor => apply1(tempOp, [], { spec });
  const places = temp({ shape: [vocab], dtype: "u32" });
  const added = more > 0 ? temp({ shape: [more, dim], dtype: "f32" }) : undefined;
  const parts = [given, added].flatMap((t) => (t ? [t] : []));
  const [grad] = parts.length > 1 ? [stack(parts)] : parts;
  const put = (at: number, ...launches: readonly (Launch | Join)[]): void => {
    list[at] = launches.map((launch) => ({ ...planned[at], launch }));
  };
  put(fill, { kernel: "fill", params: { n: vocab, bits: 0 }, inputs: [], outputs: [places] });
  if (repeating) put(repeating.at);
  put(
    last.at,
    ...(unique
      ? [
          {
            kernel: "table_places",
            params: { rows: first },
            inputs: [unique.launch.inputs[1]],
            inouts: [places],
            outputs: [],
            products: [],
          } as const,
        ]
      : []),
    ...(repeating
      ? [
          {
            kernel: "table_rows",
            params: { rows: more, dim, vocab, first },
            inputs: repeating.launch.inputs,
            inouts: [places, grad],
            outputs: [],
            products: [],
          } as const,
        ]
      : []),
  );
  // chunks without elements are zero
  const params = { ...squares.launch.params, n: grad.size };
  put(squares.at, { ...squares.launch, params, inputs: [grad] });
  const { inputs, inouts = [], outputs, params: rates } = update.launch;
  put(update.at, {
    kernel: "adamw_table",
    constants: { HALF: half ? 1 : 0 },
    params: { ...rates, dim },
    inputs: [grad, places, ...inputs.slice(1)],
    inouts,
    outputs: half ? outputs : [null],
    products: [],
  });
}
