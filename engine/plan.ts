/** Turns a graph into a flat list of launches on windows of a few memories. Knows no device. */
import {
  kernelOperands,
  type Params,
  type Selected,
  type SharedKernel,
  type WebGPUKernel,
} from "../kernels/manifest.ts";
import type { CopyRules } from "./copies.ts";
import { check, fail } from "./errors.ts";
import type { JoinRules, Planned } from "./joins.ts";
import {
  ALIGNMENT,
  type CustomLaunch,
  type Join,
  type JoinKernel,
  type Launch,
  type Product,
  readsOf,
  writesOf,
} from "./op.ts";
import { copyLaunch } from "./ops/copy.ts";
import {
  ancestors,
  apply1,
  constantOp,
  isLeaf,
  lineOf,
  type Node,
  stateOp,
  type Tensor,
  type TensorSpec,
  tempOp,
} from "./tensor.ts";
import type { Assign } from "./trace.ts";

/** The four kinds of memory; slots are shared by intermediates whose lives do not overlap. */
export type Memory =
  | { readonly kind: "slot"; readonly index: number }
  | { readonly kind: "state"; readonly state: Tensor }
  | { readonly kind: "input"; readonly index: number }
  | { readonly kind: "constant"; readonly index: number };

/** A window of one memory. Bytes. */
export type Region = {
  readonly memory: Memory;
  readonly byteOffset: number;
  readonly spec: TensorSpec;
  readonly byteLength: number;
};

type PlanLaunchOf<K extends WebGPUKernel> = {
  readonly op: string;
  /** That made the op, where such lines are noted. */
  readonly line?: string;
  readonly kernel: K;
  readonly constants: Selected<K>;
  readonly params: Params<K>;
  readonly inputs: readonly (Region | null)[];
  readonly inouts: readonly Region[];
  readonly outputs: readonly (Region | null)[];
  readonly uniform?: Region | null;
};

/** A launch whose operands are regions. */
export type PlanLaunch = { [K in SharedKernel]: PlanLaunchOf<K> }[SharedKernel];

/** What lies in a slot, from the launch that first writes it to the last one that uses it; a result stays beyond all of them. */
export type Life = {
  readonly slot: number;
  readonly spec: TensorSpec;
  readonly bytes: number;
  readonly first: number;
  readonly last: number;
};
/** Products, and the launch that reads their parts, its first input: null here. */
export type JoinedLaunch = {
  [K in JoinKernel]: PlanLaunchOf<K> & { readonly products: readonly PlanLaunchOf<"matmul">[] };
}[JoinKernel];

/** A launch of a kernel that is not the package's. */
export type CustomPlanLaunch = Omit<CustomLaunch, "inputs" | "inouts" | "outputs" | "constants"> & {
  readonly op: string;
  readonly line?: string;
  readonly constants: Readonly<Record<string, number>>;
  readonly inputs: readonly Region[];
  readonly inouts: readonly [];
  readonly outputs: readonly Region[];
};

export type AnyLaunch = PlanLaunch | JoinedLaunch | CustomPlanLaunch;
/** A plan for a device that has more than the shared kernels. */
export type AnyPlan = Plan<AnyLaunch>;

/** What a device needs to run a graph; names no device. */
export type Plan<L = PlanLaunch> = {
  readonly launches: readonly L[];
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly Region[];
  readonly states: readonly Tensor[];
  /** Tensors of host data that stand in the plan. */
  readonly constants: readonly Tensor[];
  /** Bytes of each shared slot. */
  readonly slots: readonly number[];
  /** Every intermediate, by its first launch. */
  readonly lives: readonly Life[];
};

const align = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

type Place = { root: Tensor; offset: number };

/** Which tensors are windows of which memory: views, stacks that producers write into, donated buffers. */
class Aliases {
  #to = new Map<Tensor, Place>();
  /** Every tensor that was ever aliased, by its root at that time; used to find who shares a memory. */
  #members = new Map<Tensor, Tensor[]>();

  resolve(t: Tensor): Place {
    let root = t;
    let offset = 0;
    for (let next = this.#to.get(root); next; next = this.#to.get(root)) {
      root = next.root;
      offset += next.offset;
    }
    return { root, offset };
  }
  has(t: Tensor): boolean {
    return this.#to.has(t);
  }
  set(t: Tensor, root: Tensor, offset: number): void {
    this.#to.set(t, { root, offset });
    const list = this.#members.get(root);
    if (list) list.push(t);
    else this.#members.set(root, [t]);
  }
  /** All tensors in the memory of `root`, itself included, except those reached through `except`. */
  sharing(root: Tensor, except: Tensor): Tensor[] {
    const found = [root];
    for (let i = 0; i < found.length; i++) {
      for (const t of this.#members.get(found[i]) ?? []) if (t !== except) found.push(t);
    }
    return found;
  }
}

/**
 * Plans the computation of `outputs` and `effects`; `inputs` are the arguments, in order. With `joins`, products are joined with
 * what follows on them where those rules allow it; with `copies`, they read f16 copies of matrices.
 */
export function makePlan(
  outputs: readonly Tensor[],
  effects: readonly Assign[],
  inputs: readonly Tensor[],
): Plan;
export function makePlan(
  outputs: readonly Tensor[],
  effects: readonly Assign[],
  inputs: readonly Tensor[],
  joins: JoinRules | undefined,
  copies?: CopyRules,
): AnyPlan;
export function makePlan(
  outputs: readonly Tensor[],
  effects: readonly Assign[],
  inputs: readonly Tensor[],
  joins?: JoinRules,
  copies?: CopyRules,
): AnyPlan {
  return new Planner(outputs, effects, inputs).plan(joins, copies);
}

/** Throws unless the launch gives the operands that its kernel takes. */
function checkOperands(op: string, launch: Launch): void {
  if ("wgsl" in launch) return; // its bindings are counted where its source is read
  const wanted = kernelOperands(launch.kernel);
  for (const list of ["inputs", "inouts", "outputs"] as const) {
    const given = launch[list] ?? [];
    const here = wanted.filter((o) => o.list === list);
    check(
      given.length === here.length,
      op,
      () => `${launch.kernel} takes ${here.length} ${list}, the launch gives ${given.length}`,
    );
    const missing = here.find((o) => !o.optional && !given[o.index]);
    check(!missing, op, () => `${launch.kernel} needs its operand ${missing?.name}`);
  }
}

class Planner {
  #outputs: readonly Tensor[];
  #effects: readonly Assign[];
  #inputs: readonly Tensor[];
  #aliases = new Aliases();
  #nodes: Node[];
  #position = new Map<Node, number>();
  /** Positions of the nodes that read a tensor; views do not count, their readers do. */
  #readers = new Map<Tensor, number[]>();
  /** Results that are windows of a state which this run assigns. */
  #windows: readonly Tensor[] = [];
  /** Their copies, made before the state is written. */
  #saved = new Map<Tensor, Tensor>();
  #launches: Planned[] = [];
  /** Of the node whose launches are emitted. */
  #line: string | undefined;
  #constants: Tensor[] = [];

  constructor(outputs: readonly Tensor[], effects: readonly Assign[], inputs: readonly Tensor[]) {
    this.#outputs = outputs;
    this.#effects = effects;
    this.#inputs = inputs;
    const nodes = ancestors([...outputs, ...effects.map((e) => e.value)]);
    // whoever overwrites a state runs after everybody who reads it; ties keep the order of the trace
    const writers = nodes.filter((n) => this.#writesState(n));
    const late = new Set(writers);
    this.#nodes = [...nodes.filter((n) => !late.has(n)), ...writers];
    this.#nodes.forEach((n, i) => {
      this.#position.set(n, i);
    });
    if (!this.#ordered()) {
      this.#nodes = nodes;
      this.#nodes.forEach((n, i) => {
        this.#position.set(n, i);
      });
    }
  }

  plan(joins: JoinRules | undefined, copies: CopyRules | undefined): AnyPlan {
    this.#aliasViews();
    this.#aliasStacks();
    this.#windows = this.#outputs.filter((t) => {
      const { root } = this.#aliases.resolve(t);
      return this.#effects.some((e) => e.state === root && e.value !== root);
    });
    for (const node of this.#nodes) {
      if (node.op.view?.(node)) continue;
      // what already lies in a stack that is itself part of another is read by nobody here
      const there = this.#isPlacedStack(node) ? this.#inPlace(node) : [];
      node.inputs.forEach((x, i) => {
        if (there[i]) return;
        const list = this.#readers.get(x);
        if (list) list.push(this.#at(node));
        else this.#readers.set(x, [this.#at(node)]);
      });
    }
    for (const node of this.#nodes) if (!isLeaf(node)) this.#emit(node);
    this.#emitAssigns();
    const results = this.#outputs.map((t) => this.#saved.get(t) ?? t);
    const place = (t: Tensor) => this.#aliases.resolve(t);
    const window = (root: Tensor, offset: number, spec: TensorSpec) => {
      const made = apply1(tempOp, [], { spec });
      this.#aliases.set(made, root, offset);
      return made;
    };
    if (copies) this.#launches = copies.use(this.#launches, { rules: copies, place, window });
    if (joins) {
      const kept = new Set(results.map((t) => place(t).root));
      const context = {
        rules: joins,
        place,
        kept: (root: Tensor) => kept.has(root),
        window,
        stack: (parts: readonly Tensor[]) => {
          const bytes = parts.reduce((sum, t) => sum + t.bytes, 0);
          const made = apply1(tempOp, [], { spec: { shape: [bytes / 4], dtype: "f32" } });
          let at = 0;
          for (const t of parts) {
            this.#aliases.set(this.#aliases.resolve(t).root, made, at);
            at += t.bytes;
          }
          return made;
        },
      };
      this.#launches = joins.join(this.#launches, context);
    }
    return this.#allocate(results);
  }

  #at(node: Node): number {
    return this.#position.get(node) ?? -1;
  }

  #ordered(): boolean {
    return this.#nodes.every((n) => n.inputs.every((x) => this.#at(x.node) < this.#at(n)));
  }

  #writesState(node: Node): boolean {
    const donated = node.op.donates?.(node) ?? {};
    return Object.entries(donated).some(([o, i]) => {
      const state = node.inputs[i];
      return this.#effects.some((e) => e.state === state && e.value === node.outputs[Number(o)]);
    });
  }

  #aliasViews(): void {
    for (const node of this.#nodes) {
      const view = node.op.view?.(node);
      if (view) this.#aliases.set(node.outputs[0], node.inputs[view.input], view.byteOffset);
    }
  }

  #isPlacedStack(node: Node): boolean {
    return node.op.stacks === true && this.#aliases.has(node.outputs[0]);
  }

  /** Lets producers write straight into the stack that is made of them; the largest stack chooses first. */
  #aliasStacks(): void {
    const stacks = this.#nodes.filter((n) => n.op.stacks && this.#axis0(n));
    for (const node of [...stacks].sort(
      (a, b) => b.outputs[0].bytes - a.outputs[0].bytes || b.id - a.id,
    )) {
      const out = node.outputs[0];
      const places = node.inputs.map((x) => this.#aliases.resolve(x));
      let end = places[0].offset;
      const joined = places.every(({ root, offset }, i) => {
        const fits = root === places[0].root && offset === end;
        end += node.inputs[i].bytes;
        return fits;
      });
      if (joined && places[0].offset % ALIGNMENT === 0 && places[0].root !== node.inputs[0]) {
        this.#aliases.set(out, places[0].root, places[0].offset);
        continue;
      }
      let offset = 0;
      for (const x of node.inputs) {
        const { root } = this.#aliases.resolve(x);
        const whole = root.bytes === x.bytes && root !== this.#aliases.resolve(out).root;
        if (whole && offset % ALIGNMENT === 0 && !isLeaf(root.node)) {
          this.#aliases.set(root, out, offset);
        }
        offset += x.bytes;
      }
    }
  }

  /** For each input of a stack, whether it lies where the stack has it. */
  #inPlace(node: Node): boolean[] {
    const { root, offset } = this.#aliases.resolve(node.outputs[0]);
    let at = offset;
    return node.inputs.map((x) => {
      const from = this.#aliases.resolve(x);
      const there = from.root === root && from.offset === at;
      at += x.bytes;
      return there;
    });
  }

  #axis0(node: Node): boolean {
    return (node.attrs.axis ?? 0) === 0;
  }

  /** May `node` write over its input: does nobody read the old value later? */
  #mayTakeOver(node: Node, input: Tensor, output: Tensor): boolean {
    if (this.#aliases.has(output)) return false;
    const { root, offset } = this.#aliases.resolve(input);
    if (root.node.op === stateOp) {
      const assigned = this.#effects.some((e) => e.state === root && e.value === output);
      if (!assigned || root.bytes !== input.bytes) return false;
    } else if (isLeaf(root.node)) return false;
    const now = this.#at(node);
    return this.#aliases.sharing(root, output).every((t) => {
      const start = this.#aliases.resolve(t).offset;
      if (start >= offset + input.bytes || start + t.bytes <= offset) return true;
      if (root.node.op !== stateOp && this.#outputs.includes(t)) return false;
      if (this.#effects.some((e) => e.value === t)) return false;
      return (this.#readers.get(t) ?? []).every((at) => at <= now);
    });
  }

  #push(op: string, launch: Launch): void {
    checkOperands(op, launch);
    const written = new Set<Tensor>();
    for (const t of [...launch.outputs, ...(launch.inouts ?? [])]) {
      if (t) written.add(this.#aliases.resolve(t).root);
    }
    this.#save(written);
    // one dispatch cannot read and write one buffer, not even in different places: read from a copy
    const apart = (t: Tensor): Tensor => {
      if (!written.has(this.#aliases.resolve(t).root)) return t;
      const copy = apply1(tempOp, [], { spec: { shape: t.shape, dtype: t.dtype } });
      this.#launches.push(this.#named("copy", copyLaunch(t, copy)));
      return copy;
    };
    const inputs = launch.inputs.map((t) => t && apart(t));
    const uniform = launch.uniform && apart(launch.uniform);
    // random state stays with the kernels that have it
    this.#launches.push(
      this.#named(op, { ...launch, inputs, ...(uniform && { uniform }) } as Launch),
    );
  }

  #named(op: string, launch: Launch): Planned {
    return { op, ...(this.#line === undefined ? {} : { line: this.#line }), launch };
  }

  /** A result shows a state as it was at the start of the run: it is copied before what it shows is `written`. */
  #save(written: ReadonlySet<Tensor>): void {
    for (const t of this.#windows) {
      if (this.#saved.has(t) || !written.has(this.#aliases.resolve(t).root)) continue;
      const copy = apply1(tempOp, [], { spec: { shape: t.shape, dtype: t.dtype } });
      this.#saved.set(t, copy);
      this.#push("copy", copyLaunch(t, copy));
    }
  }

  #emit(node: Node): void {
    const { op, inputs, outputs } = node;
    this.#line = lineOf(node);
    if (op.view && this.#aliases.has(outputs[0]) && op.view(node)) return;
    const temp = (spec: TensorSpec) => apply1(tempOp, [], { spec });
    if (op.stacks && this.#axis0(node)) {
      const there = this.#inPlace(node);
      op.launch({ node, inputs, outputs, temp }).forEach((launch, i) => {
        if (!there[i]) this.#push(op.name, launch);
      });
      return;
    }
    const donated = Object.entries(op.donates?.(node) ?? {}).map(([o, i]) => [Number(o), i]);
    for (const [o, i] of donated) {
      if (this.#mayTakeOver(node, inputs[i], outputs[o])) {
        this.#aliases.set(outputs[o], inputs[i], 0);
      } else this.#push(op.name, copyLaunch(inputs[i], outputs[o]));
    }
    for (const launch of op.launch({ node, inputs, outputs, temp })) this.#push(op.name, launch);
  }

  /** What was not written in place is copied at the very end, when nobody reads the old values any more. */
  #emitAssigns(): void {
    const pending = this.#effects.filter((e) => this.#aliases.resolve(e.value).root !== e.state);
    const staged = pending.map(({ state, value }) => {
      if (!pending.some((e) => e.state === this.#aliases.resolve(value).root))
        return { state, value };
      const copy = apply1(tempOp, [], { spec: { shape: value.shape, dtype: value.dtype } });
      this.#push("assign", copyLaunch(value, copy));
      return { state, value: copy };
    });
    for (const { state, value } of staged) this.#push("assign", copyLaunch(value, state));
  }

  /** Gives every intermediate a slot from its first write to its last use: best fit, else the largest grows. */
  #allocate(results: readonly Tensor[]): AnyPlan {
    const lives = new Map<Tensor, { first: number; last: number }>();
    const uses = (launch: Launch | Join): Tensor[] => [...readsOf(launch), ...writesOf(launch)];
    const isSlot = (root: Tensor) => !isLeaf(root.node) || root.node.op === tempOp;
    this.#launches.forEach(({ launch }, i) => {
      for (const t of uses(launch)) {
        const { root } = this.#aliases.resolve(t);
        const life = lives.get(root);
        if (life) life.last = i;
        else if (isSlot(root)) lives.set(root, { first: i, last: i });
      }
    });
    for (const t of results) {
      const life = lives.get(this.#aliases.resolve(t).root);
      if (life) life.last = Number.POSITIVE_INFINITY;
    }
    const slots: number[] = [];
    const slotOf = new Map<Tensor, number>();
    let free: number[] = [];
    const starting = new Map<number, Tensor[]>();
    for (const [root, { first }] of lives) {
      starting.set(first, [...(starting.get(first) ?? []), root]);
    }
    this.#launches.forEach((_, i) => {
      for (const root of starting.get(i) ?? []) {
        const bytes = align(root.bytes);
        const fits = free.filter((s) => slots[s] >= bytes).sort((a, b) => slots[a] - slots[b]);
        const chosen = fits[0] ?? [...free].sort((a, b) => slots[b] - slots[a])[0] ?? slots.length;
        slots[chosen] = Math.max(slots[chosen] ?? 0, bytes);
        free = free.filter((s) => s !== chosen);
        slotOf.set(root, chosen);
      }
      for (const t of new Set(
        uses(this.#launches[i].launch).map((x) => this.#aliases.resolve(x).root),
      )) {
        const slot = slotOf.get(t);
        if (slot !== undefined && lives.get(t)?.last === i) free.push(slot);
      }
    });
    // the largest first: plans share slots by their index, and so the largest of one with the largest of another
    const order = slots.map((_, slot) => slot).sort((x, y) => slots[y] - slots[x]);
    const rank = new Map(order.map((slot, place) => [slot, place]));
    for (const [root, slot] of slotOf) slotOf.set(root, rank.get(slot) ?? slot);
    const states = new Set<Tensor>(this.#effects.map((e) => e.state));
    for (const n of this.#nodes) if (n.op === stateOp) states.add(n.outputs[0]);
    for (const { launch } of this.#launches) {
      for (const t of uses(launch)) {
        const { root } = this.#aliases.resolve(t);
        if (root.node.op === stateOp) states.add(root); // an f16 copy is no node's
      }
    }
    const region = (t: Tensor): Region => {
      const { root, offset } = this.#aliases.resolve(t);
      const spec = { shape: t.shape, dtype: t.dtype };
      return { memory: this.#memory(root, slotOf), byteOffset: offset, byteLength: t.bytes, spec };
    };
    const maybe = (t: Tensor | null) => (t ? region(t) : null);
    const placed = ({ op, line, launch }: Planned): AnyLaunch => {
      const { kernel, params, constants = {}, inputs, inouts = [], outputs, uniform } = launch;
      const own = {
        op,
        ...(line === undefined ? {} : { line }),
        kernel,
        params,
        constants,
        inputs: inputs.map(maybe),
        inouts: inouts.map(region),
        outputs: outputs.map(maybe),
        ...(uniform === undefined ? {} : { uniform: maybe(uniform) }),
        ...("products" in launch ? { products: launch.products.map((p) => product(op, p)) } : {}),
        ...("wgsl" in launch ? { wgsl: launch.wgsl, groups: launch.groups } : {}),
      };
      // a launch's parameters and selectors are those of its kernel, here as there
      return own as AnyLaunch;
    };
    // what a product would write is nowhere: its parts are read
    const product = (op: string, launch: Product): AnyLaunch =>
      placed({ op, launch: { ...launch, outputs: [null, null] } });
    const launches = this.#launches.map(placed);
    return {
      launches,
      // without the tensors, which hold the data of the first call
      inputs: this.#inputs.map(({ shape, dtype }) => ({ shape, dtype })),
      outputs: results.map(region),
      states: [...states],
      constants: this.#constants,
      slots: order.map((slot) => slots[slot]),
      lives: [...lives].map(([root, life]) => ({
        slot: slotOf.get(root) ?? 0,
        spec: { shape: root.shape, dtype: root.dtype },
        bytes: align(root.bytes),
        ...life,
      })),
    };
  }

  #memory(root: Tensor, slotOf: Map<Tensor, number>): Memory {
    const slot = slotOf.get(root);
    if (slot !== undefined) return { kind: "slot", index: slot };
    if (root.node.op === stateOp) return { kind: "state", state: root };
    const index = this.#inputs.indexOf(root);
    if (index >= 0) return { kind: "input", index };
    if (root.node.op === constantOp) {
      const known = this.#constants.indexOf(root);
      return { kind: "constant", index: known >= 0 ? known : this.#constants.push(root) - 1 };
    }
    return fail("plan", `${root} is used but never written`);
  }
}
