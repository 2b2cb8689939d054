/**
 * Where a launch follows on matrix products and could read the parts of which they are made, the two become one: a join. For
 * devices that split the K of products. Works on launches whose operands have no memory yet.
 */
import { REDUCE, UNARY } from "../kernels/codes.ts";
import { kernelOperands } from "../kernels/manifest.ts";
import { ALIGNMENT, type Join, type Launch, type Product, readsOf, writesOf } from "./op.ts";
import type { Tensor, TensorSpec } from "./tensor.ts";

/** What a device says of joins. */
export type JoinRules = {
  /** Bytes of the largest operand that a launch may have. */
  readonly largest: number;
  /** Whether a product of this shape runs in two halves anyway, so that the second can be a join at no cost. */
  splits(product: Product): boolean;
  /** Into how many tiles a product is cut, each of which may be summed as it is made; undefined where its K is cut too. */
  tiles(product: Product): number | undefined;
  /** How many products of one x like this, none of them split, one launch can make. */
  each(product: Product): number;
  /** Bytes of the parts of `count` such products. */
  partsBytes(params: Product["params"], count: number): number;
  /** Rows of the smallest table over which attention is one launch, which reads it once. */
  readonly tableRows: number;
  /** Bytes of the parts of attention over a table, given the product that makes its scores. */
  tableBytes(params: Product["params"]): number;
  /** The launches with joins. Stands here so that what has no joins, as a page on the CPU, does not load what makes them. */
  join(planned: readonly Planned[], context: PlannerContext): Planned[];
};

export type Planned = {
  readonly op: string;
  /** That made the op, where such lines are noted. */
  readonly line?: string;
  readonly launch: Launch | Join;
};

/** Where a tensor lies: bytes `offset` on of what `root` is called. */
export type Place = { readonly root: Tensor; readonly offset: number };

export type Context = {
  readonly rules: JoinRules;
  place(t: Tensor): Place;
  /** Whether somebody wants what is in a memory after the last launch. */
  kept(root: Tensor): boolean;
};

/** What the planner says of memories. */
export type PlannerContext = Context & {
  /** A tensor for a part of a memory, bytes `offset` on. */
  window(root: Tensor, offset: number, spec: TensorSpec): Tensor;
  /** A memory in which `parts`, memories of their own so far, follow on each other. */
  stack(parts: readonly Tensor[]): Tensor;
};

/** Products that one launch makes at most. */
const MOST_PRODUCTS = 3;
/** Matrices whose columns one launch sums at most, and tensors that it squares. */
const MOST_SUMMED = kernelOperands("reduce_columns_many").filter((o) => o.list === "inputs").length;
const MOST_SQUARED = 7;
/** Tensors that one launch copies at most. */
const MOST_COPIED = 7;
/** Launches over which one is moved at most. */
export const REACH = 64;

type AnyKernel = (Launch | Join)["kernel"];
export type LaunchOf<K extends AnyKernel> = Extract<Launch | Join, { readonly kernel: K }>;

export const overlaps = (a: Tensor, b: Tensor, { place }: Context): boolean => {
  const [x, y] = [place(a), place(b)];
  return x.root === y.root && x.offset < y.offset + b.bytes && y.offset < x.offset + a.bytes;
};

/** Whether `launch` may change places with all of `others`. */
export function passes(
  launch: Launch | Join,
  others: readonly (Launch | Join)[],
  context: Context,
): boolean {
  const [reads, writes] = [readsOf(launch), writesOf(launch)];
  return others.every((other) => {
    const theirs = [...readsOf(other), ...writesOf(other)];
    const written = writesOf(other);
    return (
      !reads.some((t) => written.some((w) => overlaps(t, w, context))) &&
      !writes.some((t) => theirs.some((w) => overlaps(t, w, context)))
    );
  });
}

/** The places of the launches that read or write a memory. */
export function touchedBy(
  planned: readonly Planned[],
  { place }: Context,
): Map<Tensor, Set<number>> {
  const touched = new Map<Tensor, Set<number>>();
  planned.forEach(({ launch }, at) => {
    for (const t of [...readsOf(launch), ...writesOf(launch)]) {
      const { root } = place(t);
      const places = touched.get(root) ?? new Set<number>();
      touched.set(root, places.add(at));
    }
  });
  return touched;
}

/** Joins products with what follows on them, and products of one x with each other. */
export function withJoins(planned: readonly Planned[], context: Context): Planned[] {
  return new Joiner(planned, context).run();
}

class Joiner {
  /** The launches in order; those that others have taken in are gone. */
  readonly #list: (Planned | undefined)[];
  readonly #context: Context;
  /** Where a memory is read or written. */
  readonly #touched = new Map<Tensor, Set<number>>();

  constructor(planned: readonly Planned[], context: Context) {
    this.#list = [...planned];
    this.#context = context;
    planned.forEach((_, i) => {
      this.#note(i, true);
    });
  }

  run(): Planned[] {
    this.#each("add_n", (launch, at) => this.#joinSum(launch, at));
    this.#each("unary_backward", (launch, at) => this.#joinSlope(launch, at));
    this.#each("dropout", (launch, at) => this.#joinDropout(launch, at));
    this.#each("layernorm", (launch, at) => this.#joinNorm(launch, at));
    this.#each("layernorm_backward", (launch, at) => this.#joinNormBackward(launch, at));
    this.#each("matmul", (launch, at) => this.#joinEach(launch, at));
    this.#each("add_n", (launch, at) => this.#joinGradients(launch, at));
    this.#each("matmul", (launch, at) => this.#joinGradient(launch, at));
    this.#each("reduce_columns", (launch, at) => this.#joinPair(launch, at));
    this.#each("reduce_columns_many", (launch, at) => this.#joinPairs(launch, at));
    this.#each("reduce_columns", (launch, at) => this.#joinColumns(launch, at));
    this.#each("square_sums", (launch, at) => this.#joinSquares(launch, at));
    this.#each("copy", (launch, at) => this.#joinCopies(launch, at));
    this.#each("adamw", (launch, at) => this.#joinUpdates(launch, at));
    return this.#list.flatMap((one) => (one ? [one] : []));
  }

  #each<K extends AnyKernel>(kernel: K, visit: (launch: LaunchOf<K>, at: number) => void): void {
    for (let at = 0; at < this.#list.length; at++) {
      const launch = this.#list[at]?.launch;
      if (launch?.kernel === kernel) visit(launch as LaunchOf<K>, at);
    }
  }

  #root(t: Tensor): Tensor {
    return this.#context.place(t).root;
  }

  #note(at: number, there: boolean): void {
    const one = this.#list[at];
    if (!one) return;
    for (const t of [...readsOf(one.launch), ...writesOf(one.launch)]) {
      const root = this.#root(t);
      const places = this.#touched.get(root) ?? new Set<number>();
      this.#touched.set(root, places);
      if (there) places.add(at);
      else places.delete(at);
    }
  }

  #put(at: number, one: Planned | undefined): void {
    this.#note(at, false);
    this.#list[at] = one;
    this.#note(at, true);
  }

  #overlaps(a: Tensor, b: Tensor): boolean {
    return overlaps(a, b, this.#context);
  }

  /** The launches between two places but for those of `members`. */
  #between(from: number, to: number, members: readonly number[]): (Launch | Join)[] {
    return this.#list
      .slice(from + 1, to)
      .flatMap((one, i) => (one && !members.includes(from + 1 + i) ? [one.launch] : []));
  }

  #passes(launch: Launch | Join, others: readonly (Launch | Join)[]): boolean {
    return passes(launch, others, this.#context);
  }

  /** Whether neither `launch` nor one of `others` reads what the other writes. */
  #apart(launch: Launch | Join, others: readonly (Launch | Join)[]): boolean {
    const meet = (reads: readonly Tensor[], writes: readonly Tensor[]): boolean =>
      reads.some((r) => writes.some((w) => this.#overlaps(r, w)));
    return !others.some(
      (other) => meet(readsOf(launch), writesOf(other)) || meet(readsOf(other), writesOf(launch)),
    );
  }

  /** The launch behind which `t` is a result of its own that only the launch at `at` reads, and where that is. */
  #maker(t: Tensor | null | undefined, at: number): number | undefined {
    if (!t) return undefined;
    const { root, offset } = this.#context.place(t);
    const places = this.#touched.get(root);
    if (offset !== 0 || root.bytes !== t.bytes || places?.size !== 2) return undefined;
    if (this.#context.kept(root)) return undefined;
    const [first] = [...places].filter((place) => place !== at);
    const one = this.#list[first]?.launch;
    const read = readsOf(this.#list[at]?.launch as Launch).filter((x) => this.#overlaps(x, t));
    const made = one && writesOf(one).some((x) => this.#overlaps(x, t));
    return made && first < at && at - first <= REACH && read.length === 1 ? first : undefined;
  }

  /** The product at `at` as it may be joined: whole, alone, its result not added to anything. */
  #product(at: number | undefined): Product | undefined {
    const launch = at === undefined ? undefined : this.#list[at]?.launch;
    if (launch?.kernel !== "matmul") return undefined;
    return isWhole(launch) ? launch : undefined;
  }

  /** Whether launches can be joined as `join` and run at `at`, where the last of them stands; `more` are not products. */
  #fits(join: Join, members: readonly number[], more: number): boolean {
    const { products } = join;
    const [first] = products;
    const { largest, splits, tiles, each, partsBytes } = this.#context.rules;
    // a product that is not split runs with its end as one dispatch, and so do those of one x: without parts
    const single = join.kernel === "matmul_join" && products.length === 1;
    const whole =
      tiles(first) !== undefined &&
      (single || (join.kernel === "matmul_join_each" && products.length <= each(first)));
    const halves = splits(first) ? 2 : 1;
    if (!whole && products.length * halves + more <= 2) return false;
    if (!whole && partsBytes(first.params, products.length) > largest) return false;
    const bound = whole ? products.flatMap(({ inputs }) => inputs) : [];
    if (!this.#bindable(join, bound)) return false;
    const at = Math.max(...members);
    return members.every((member) => {
      const launch = this.#list[member]?.launch;
      return launch !== undefined && this.#passes(launch, this.#between(member, at, members));
    });
  }

  /** Whether every operand fits a binding, and no memory is both read and written by one dispatch, which reads `more` too. */
  #bindable(join: Join, more: readonly (Tensor | null)[] = []): boolean {
    const { largest } = this.#context.rules;
    if ([...readsOf(join), ...writesOf(join)].some((t) => t.bytes > largest)) return false;
    const written = writesOf(join).map((t) => this.#root(t));
    const read = [...join.inputs, ...more, join.uniform].flatMap((t) => (t ? [this.#root(t)] : []));
    return new Set(written).size === written.length && !read.some((root) => written.includes(root));
  }

  #take(join: Join, members: readonly number[]): void {
    this.#replace(join, Math.max(...members), members);
  }

  /** Products, and at most one more, that are added up. */
  #joinSum(sum: LaunchOf<"add_n">, at: number): void {
    const terms = sum.inputs.flatMap((t) => (t ? [t] : []));
    const makers = terms.map((t) => {
      const maker = this.#maker(t, at);
      const product = this.#product(maker);
      const plain = product && !product.constants.BIAS && !product.constants.ACTIVATION;
      return plain ? maker : undefined;
    });
    const members = makers.flatMap((maker) => (maker === undefined ? [] : [maker]));
    const products = members.flatMap((maker) => this.#product(maker) ?? []);
    const [residual = null, ...rest] = terms.filter((_, i) => makers[i] === undefined);
    const [first] = products;
    if (!first || products.length > MOST_PRODUCTS || rest.length > 0) return;
    if (!products.every((p) => sameShape(p, first))) return;
    const join = endOf(products, { residual, outputs: sum.outputs });
    if (this.#fits(join, [...members, at], 1)) this.#take(join, [...members, at]);
  }

  /** A gradient of GELU of a product, with dropout between them. */
  #joinSlope(slope: LaunchOf<"unary_backward">, at: number): void {
    if (slope.constants.OP !== UNARY.gelu) return;
    const maker = this.#maker(slope.inputs[0], at);
    const before = maker === undefined ? undefined : this.#list[maker]?.launch;
    const drop = before?.kernel === "dropout" ? before : undefined;
    const from = drop && maker !== undefined ? this.#maker(drop.inputs[0], maker) : maker;
    const product = this.#product(from);
    if (!product || from === undefined || maker === undefined) return;
    if (product.constants.BIAS || product.constants.ACTIVATION) return;
    const members = [...new Set([from, maker, at])];
    const join = endOf([product], { drop, r: slope.inputs[1], outputs: slope.outputs });
    if (this.#fits(join, members, members.length - 1)) this.#take(join, members);
  }

  /** Dropout of a product with all that it ends with. */
  #joinDropout(drop: LaunchOf<"dropout">, at: number): void {
    const maker = this.#maker(drop.inputs[0], at);
    const product = this.#product(maker);
    if (!product || maker === undefined) return;
    const join = endOf([product], { drop, outputs: drop.outputs });
    if (this.#fits(join, [maker, at], 1)) this.#take(join, [maker, at]);
  }

  #joinNorm(norm: LaunchOf<"layernorm">, at: number): void {
    const [x, residual, weight, shift] = norm.inputs;
    const maker = this.#maker(x, at);
    const product = this.#product(maker);
    const { rows, cols, firstRow: _, ...rest } = norm.params;
    if (!product || maker === undefined || product.constants.ACTIVATION) return;
    if (product.params.M !== rows || product.params.N !== cols || product.params.alpha !== 1)
      return;
    const { BIAS } = product.constants;
    const join: Join = {
      kernel: "layernorm_join",
      constants: { BIAS, ...norm.constants },
      params: { rows, cols, chunks: 1, ...rest },
      inputs: [null, product.inputs[2], residual, weight, shift],
      outputs: norm.outputs,
      uniform: norm.uniform,
      products: [product],
    };
    if (this.#fits(join, [maker, at], 1)) this.#take(join, [maker, at]);
  }

  /** Others may read dy too, but nobody before the norm does. */
  #joinNormBackward(norm: LaunchOf<"layernorm_backward">, at: number): void {
    const [dy, xhat, rstd, weight] = norm.inputs;
    const { rows, cols, firstRow: _, ...rest } = norm.params;
    if (!dy) return;
    const maker = [...(this.#touched.get(this.#root(dy)) ?? [])]
      .filter((place) => place < at && at - place <= REACH)
      .sort((a, b) => b - a)
      .find((place) => {
        const one = this.#list[place]?.launch;
        return one && writesOf(one).some((t) => this.#overlaps(t, dy));
      });
    const made = maker === undefined ? undefined : this.#list[maker]?.launch;
    if (!made || maker === undefined) return;
    const products = this.#sumOf(made, maker);
    const [out] = made.outputs;
    if (!products || !out) return;
    const [a, b] = [this.#context.place(out), this.#context.place(dy)];
    const { M, N, alpha } = products[0].params;
    const same = a.root === b.root && a.offset === b.offset && out.bytes === dy.bytes;
    if (!same || M !== rows || N !== cols || alpha !== 1) return;
    const residual = made.kernel === "matmul_join" ? made.inputs[2] : null;
    const join: Join = {
      kernel: "layernorm_backward_join",
      constants: { HAS_RESIDUAL: residual ? 1 : 0, DROPOUT: norm.constants.DROPOUT },
      params: { rows, cols, chunks: 1, ...rest },
      inputs: [null, residual, xhat, rstd, weight],
      outputs: [dy, ...norm.outputs],
      uniform: norm.uniform,
      products,
    };
    if (this.#fits(join, [maker, at], 1)) this.#take(join, [maker, at]);
  }

  /** The products of which a launch gives the sum, with or without a residual. */
  #sumOf(made: Launch | Join, at: number): readonly Product[] | undefined {
    if (made.kernel === "matmul") {
      const product = this.#product(at);
      const plain = product && !product.constants.BIAS && !product.constants.ACTIVATION;
      return plain ? [product] : undefined;
    }
    if (made.kernel !== "matmul_join") return undefined;
    const { BIAS, ACTIVATION, DROPOUT, SLOPE } = made.constants;
    return BIAS || ACTIVATION || DROPOUT || SLOPE ? undefined : made.products;
  }

  /**
   * Places from `at` on of launches like the one there that may all run in its place, `most` of them at most. `like` says
   * of a launch whether it is one, behind the last of those that are taken.
   */
  #alike(
    at: number,
    most: number,
    like: (launch: Launch | Join, last: Launch | Join) => boolean,
  ): number[] {
    const members = [at];
    for (let next = at + 1; next < Math.min(this.#list.length, at + REACH); next++) {
      if (members.length === most) break;
      const launch = this.#list[next]?.launch;
      const own = members.flatMap((member) => this.#list[member]?.launch ?? []);
      if (!launch || !like(launch, own[own.length - 1])) continue;
      if (!this.#apart(launch, own)) continue;
      if (this.#passes(launch, this.#between(at, next, members))) members.push(next);
    }
    return members;
  }

  /** `join` in the place of the first of the launches that it does the work of. */
  #gather(join: Join, members: readonly number[]): void {
    this.#replace(join, members[0], members);
  }

  /** `join` at `at`, with the name of what was there, for all members. */
  #replace(join: Join, at: number, members: readonly number[]): void {
    const { op = "join", ...rest } = this.#list[at] ?? {};
    for (const member of members) this.#put(member, undefined);
    this.#put(at, { ...rest, op, launch: join });
  }

  #launches<K extends AnyKernel>(kernel: K, members: readonly number[]): LaunchOf<K>[] {
    return members.flatMap((member) => {
      const launch = this.#list[member]?.launch;
      return launch?.kernel === kernel ? [launch as LaunchOf<K>] : [];
    });
  }

  /** Products of one x with matrices of one shape, such as query, key and value. */
  #joinEach(launch: Product, at: number): void {
    const first = this.#product(at);
    const [x] = launch.inputs;
    if (!first || !x || first.constants.ACTIVATION || first.params.alpha !== 1) return;
    // parts that nobody would have made cost more memory traffic than a dispatch
    const { splits, each } = this.#context.rules;
    const most = splits(first) ? MOST_PRODUCTS : Math.min(MOST_PRODUCTS, each(first));
    const { root, offset } = this.#context.place(x);
    const members = this.#alike(at, most, (other) => {
      if (other.kernel !== "matmul" || !isWhole(other) || !sameShape(other, first)) return false;
      const [a] = other.inputs;
      const there = a && this.#context.place(a);
      const { ACTIVATION, BIAS } = other.constants;
      const same = there?.root === root && there.offset === offset;
      return same && !ACTIVATION && BIAS === first.constants.BIAS;
    });
    if (members.length < 2) return;
    const products = this.#launches("matmul", members);
    const biases = products.map(({ inputs }) => inputs[2]);
    const outputs = products.map((p) => p.outputs[0]);
    const join: Join = {
      kernel: "matmul_join_each",
      constants: { BIAS: first.constants.BIAS },
      params: { M: first.params.M, N: first.params.N, products: products.length, chunks: 1 },
      inputs: [null, ...filled(biases, MOST_PRODUCTS)],
      outputs: filled(outputs, MOST_PRODUCTS),
      products,
    };
    if (this.#fits(join, [at], 0)) this.#gather(join, members);
  }

  /** A matrix's gradient that is the sum of two products, where a matrix has two uses. */
  #joinGradients(sum: LaunchOf<"add_n">, at: number): void {
    const makers = sum.inputs.flatMap((t) => (t ? [this.#maker(t, at)] : []));
    const products = makers.flatMap((maker) => {
      const launch = maker === undefined ? undefined : this.#list[maker]?.launch;
      return launch?.kernel === "matmul" && isGradient(launch) ? [launch] : [];
    });
    if (makers.length !== 2 || products.length !== 2) return;
    const [{ M, N, K, lda, ldb }, more] = products.map(({ params }) => params);
    const alike = more.M === M && more.N === N && more.lda === lda && more.ldb === ldb;
    const { tiles } = this.#context.rules;
    if (!alike || products.some((product) => tiles(product) === undefined)) return;
    const join: Join = {
      kernel: "matmul_gradient",
      constants: { SQUARES: 0, SUMS: 0, PAIR: 1 },
      params: { M, N, K, K1: more.K, lda, ldb, rows: 0, at: 0 },
      inputs: products.flatMap(({ inputs: [a, b] }) => [a, b]),
      outputs: [...sum.outputs, null, null],
      products: [],
    };
    const members = [...makers.flatMap((maker) => maker ?? []), at];
    const free = members.every((member) => {
      const launch = this.#list[member]?.launch;
      return launch !== undefined && this.#passes(launch, this.#between(member, at, members));
    });
    if (free && this.#bindable(join)) this.#take(join, members);
  }

  /** A matrix's gradient that is squared as it is made, and the columns of its left operand, a bias's gradient, that are summed. */
  #joinGradient(product: Product, at: number): void {
    const { params, inputs, outputs } = product;
    const [a, b] = inputs;
    const [made] = outputs;
    if (!a || !b || !made || !isGradient(product)) return;
    const tiles = this.#context.rules.tiles(product);
    if (tiles === undefined) return;
    const squares = this.#squaresOf(made, tiles, at);
    const sums = this.#columnsOf(a, params, at);
    if (!squares && !sums) return;
    const { M, N, K, lda, ldb } = params;
    const { rows = 0, at: first = 0 } = squares?.launch.params ?? {};
    const join: Join = {
      kernel: "matmul_gradient",
      constants: { SQUARES: squares ? 1 : 0, SUMS: sums ? 1 : 0, PAIR: 0 },
      params: { M, N, K, K1: 0, lda, ldb, rows, at: first },
      inputs: [a, b, null, null],
      outputs: [made, squares?.launch.outputs[0] ?? null, sums?.y ?? null],
      products: [],
    };
    if (!this.#bindable(join)) return;
    this.#replace(join, at, [at, ...(squares ? [squares.at] : []), ...(sums?.members ?? [])]);
  }

  /** Where `made`, what the launch at `at` gives, is squared later on into no fewer partial sums than `tiles`. */
  #squaresOf(made: Tensor, tiles: number, at: number) {
    const { root, offset } = this.#context.place(made);
    for (const place of this.#touched.get(root) ?? []) {
      const launch = this.#list[place]?.launch;
      if (place < at || launch?.kernel !== "square_sums") continue;
      const [x] = launch.inputs;
      const there = x && this.#context.place(x);
      const same = there?.root === root && there.offset === offset && x?.bytes === made.bytes;
      if (!same || launch.constants.SQUARES === 0 || launch.params.rows < tiles) continue;
      const others = this.#between(at, place, [place]).filter((l) => !partsWith(launch, l));
      if (this.#passes(launch, others)) return { launch, at: place };
    }
    return undefined;
  }

  /** The launches that sum the columns of `a`, K x M, and could do so at `at`; `y` is what they give. */
  #columnsOf(a: Tensor, { K, M, lda }: Product["params"], at: number) {
    const { root, offset } = this.#context.place(a);
    const sumAt = (place: number): LaunchOf<"reduce_columns"> | undefined => {
      const launch = this.#list[place]?.launch;
      return launch?.kernel === "reduce_columns" && isColumnSum(launch) ? launch : undefined;
    };
    if (lda !== M) return undefined;
    for (const place of this.#touched.get(root) ?? []) {
      const launch = sumAt(place);
      const x = launch?.inputs[0];
      const there = x && this.#context.place(x);
      if (there?.root !== root || there.offset !== offset || launch?.constants.TIMES) continue;
      if (launch?.params.n !== K || launch.params.inner !== M) continue;
      const [partial] = launch.outputs;
      const members = [place];
      let y = partial;
      if (launch.params.parts > 1) {
        const next = this.#onlyReader(partial, place);
        const last = next === undefined ? undefined : sumAt(next);
        if (!last || next === undefined || last.constants.TIMES || last.params.parts > 1) continue;
        members.push(next);
        y = last.outputs[0];
      }
      const free = members.every((member) => {
        const one = this.#list[member]?.launch;
        const [from, to] = [Math.min(member, at), Math.max(member, at)];
        return one && this.#passes(one, this.#between(from, to, members));
      });
      if (y && free) return { members, y };
    }
    return undefined;
  }

  /** The place of the one launch that reads what the launch at `at` alone writes, and nobody wants. */
  #onlyReader(t: Tensor | null | undefined, at: number): number | undefined {
    if (!t || this.#context.kept(this.#root(t))) return undefined;
    const places = [...(this.#touched.get(this.#root(t)) ?? [])];
    const [reader] = places.filter((place) => place !== at);
    return places.length === 2 && this.#maker(t, reader) === at ? reader : undefined;
  }

  /** Sums of a matrix and of its product with another, which a layernorm's two gradients are, in one reading of it. */
  #joinPair(launch: LaunchOf<"reduce_columns">, at: number): void {
    const [x] = launch.inputs;
    if (!x || !isColumnSum(launch)) return;
    const { root, offset } = this.#context.place(x);
    const members = this.#alike(at, 2, (other) => {
      if (other.kernel !== "reduce_columns" || !isColumnSum(other)) return false;
      const there = other.inputs[0] && this.#context.place(other.inputs[0]);
      const same = there?.root === root && there.offset === offset && sameColumns(other, launch);
      return same && other.constants.TIMES !== launch.constants.TIMES;
    });
    const sums = this.#launches("reduce_columns", members);
    const times = sums.find(({ constants }) => constants.TIMES);
    const plain = sums.find(({ constants }) => !constants.TIMES);
    if (!times || !plain) return;
    const { n, inner, parts, chunk } = launch.params;
    const join: Join = {
      kernel: "reduce_columns_many",
      constants: { TIMES: 1, BOTH: 1 },
      params: { count: 1, n, inner, parts, chunk },
      inputs: filled(times.inputs, MOST_SUMMED),
      outputs: [times.outputs[0], null, plain.outputs[0], null],
      products: [],
    };
    if (this.#bindable(join)) this.#gather(join, members);
  }

  /** Two such pairs of one shape. */
  #joinPairs(launch: LaunchOf<"reduce_columns_many">, at: number): void {
    const single = ({ constants, params }: LaunchOf<"reduce_columns_many">): boolean =>
      constants.BOTH === 1 && params.count === 1;
    if (!single(launch)) return;
    const members = this.#alike(
      at,
      2,
      (other) =>
        other.kernel === "reduce_columns_many" && single(other) && sameColumns(other, launch),
    );
    const [, other] = this.#launches("reduce_columns_many", members);
    if (!other) return;
    const [first, second] = [launch, other].map(({ inputs }) => inputs.slice(0, 2));
    const [one, two] = [launch.outputs, other.outputs];
    const join: Join = {
      ...launch,
      params: { ...launch.params, count: 2 },
      inputs: [...first, ...second],
      outputs: [one[0], two[0], one[2], two[2]],
    };
    if (this.#bindable(join)) this.#gather(join, members);
  }

  /** Sums down the columns of matrices of one shape. */
  #joinColumns(launch: LaunchOf<"reduce_columns">, at: number): void {
    const { TIMES } = launch.constants;
    const { n, inner, parts, chunk } = launch.params;
    if (!isColumnSum(launch)) return;
    const members = this.#alike(at, TIMES ? MOST_SUMMED / 2 : MOST_SUMMED, (other) => {
      if (other.kernel !== "reduce_columns" || !isColumnSum(other)) return false;
      return sameColumns(other, launch) && other.constants.TIMES === TIMES;
    });
    if (members.length < 2) return;
    const launches = this.#launches("reduce_columns", members);
    const inputs = launches.flatMap(({ inputs: [x, w] }) => (TIMES ? [x, w] : [x]));
    const join: Join = {
      kernel: "reduce_columns_many",
      constants: { TIMES, BOTH: 0 },
      params: { count: members.length, n, inner, parts, chunk },
      inputs: filled(inputs, MOST_SUMMED),
      outputs: filled(
        launches.map(({ outputs: [y] }) => y),
        MOST_SUMMED,
      ),
      products: [],
    };
    if (this.#bindable(join)) this.#gather(join, members);
  }

  /** Copies of whole tensors that follow on each other in one. */
  #joinCopies(launch: LaunchOf<"copy">, at: number): void {
    const whole = ({ constants, params, inputs: [x] }: LaunchOf<"copy">): boolean =>
      constants.RANK === 0 && params.xfrom === 0 && x?.bytes === params.n * 4;
    const { yfrom } = launch.params;
    if (!whole(launch)) return;
    const members = this.#alike(at, MOST_COPIED, (other, last) => {
      if (other.kernel !== "copy" || last.kernel !== "copy" || !whole(other)) return false;
      const behind = other.params.yfrom === last.params.yfrom + last.params.n;
      return behind && other.outputs[0] === launch.outputs[0];
    });
    if (members.length < 2) return;
    const launches = this.#launches("copy", members);
    const ends = launches.map(({ params }) => params.yfrom + params.n - yfrom);
    const copied = ends[ends.length - 1];
    const join: Join = {
      kernel: "copy_many",
      params: { n: copied, yfrom, ...numbered("end", ends, copied) },
      inputs: filled(
        launches.map(({ inputs: [x] }) => x),
        MOST_COPIED,
      ),
      outputs: launch.outputs,
      products: [],
    };
    if (this.#bindable(join)) this.#gather(join, members);
  }

  /** Two steps of AdamW. */
  #joinUpdates(launch: LaunchOf<"adamw">, at: number): void {
    const [, update] = launch.inputs;
    const { beta1, beta2, eps } = launch.params;
    if (!update || launch.params.n % 4 > 0) return;
    const { root, offset } = this.#context.place(update);
    if (offset % ALIGNMENT > 0) return;
    const members = this.#alike(at, 2, (other) => {
      if (other.kernel !== "adamw" || other.params.n % 4 > 0) return false;
      const { params, inputs } = other;
      const there = inputs[1] && this.#context.place(inputs[1]);
      const same = params.beta1 === beta1 && params.beta2 === beta2 && params.eps === eps;
      return same && there?.root === root && there.offset === offset;
    });
    const [first, second] = this.#launches("adamw", members);
    if (!second) return;
    const join: Join = {
      kernel: "adamw_pair",
      params: {
        n0: first.params.n,
        n1: second.params.n,
        beta1,
        beta2,
        eps,
        weightDecay0: first.params.weightDecay,
        weightDecay1: second.params.weightDecay,
      },
      inputs: [first.inputs[0], second.inputs[0]],
      inouts: [...(first.inouts ?? []), ...(second.inouts ?? [])],
      outputs: [],
      uniform: update,
      products: [],
    };
    if (this.#bindable(join)) this.#gather(join, members);
  }

  /** Sums of squares of gradients. */
  #joinSquares(launch: LaunchOf<"square_sums">, at: number): void {
    const { SQUARES } = launch.constants;
    const { largest } = this.#context.rules;
    const small = (l: LaunchOf<"square_sums">): boolean =>
      !l.inputs.some((x) => x && x.bytes > largest);
    if (!small(launch)) return;
    const members = this.#alike(at, MOST_SQUARED, (other) => {
      if (other.kernel !== "square_sums" || !small(other)) return false;
      return other.constants.SQUARES === SQUARES && other.outputs[0] === launch.outputs[0];
    });
    if (members.length < 2) return;
    const launches = this.#launches("square_sums", members);
    let rows = 0;
    const ends = launches.map(({ params }) => (rows += params.rows));
    const join: Join = {
      kernel: "square_sums_many",
      constants: { SQUARES },
      params: {
        rows,
        ...numbered(
          "at",
          launches.map(({ params }) => params.at),
          0,
        ),
        ...numbered(
          "n",
          launches.map(({ params }) => params.n),
          0,
        ),
        ...numbered("end", ends, rows),
      },
      inputs: filled(
        launches.map(({ inputs: [x] }) => x),
        MOST_SQUARED,
      ),
      outputs: launch.outputs,
      products: [],
    };
    if (this.#bindable(join)) this.#gather(join, members);
  }
}

/** Whether the columns of one matrix are summed, and nothing else is done to them. */
const isColumnSum = ({ constants, params }: LaunchOf<"reduce_columns">): boolean =>
  constants.OP === REDUCE.sum && params.outer === 1 && params.scale === 1;

type ColumnSums = LaunchOf<"reduce_columns" | "reduce_columns_many">;

/** Whether two launches sum columns of matrices of one shape, in the same pieces. */
const sameColumns = ({ params: a }: ColumnSums, { params: b }: ColumnSums): boolean =>
  a.n === b.n && a.inner === b.inner && a.parts === b.parts && a.chunk === b.chunk;

/** Whether a product is one alone, and its result not added to anything. */
export function isWhole({ params: p, constants: c }: Product): boolean {
  const whole = p.batch === 1 && p.aOffset === 0 && p.bOffset === 0 && p.ldc === p.N;
  return whole && !c.TRANS_A && !c.RESIDUAL && !c.ACCUMULATE;
}

/** The gradient of a matrix as a product makes it: over rows, whole, alone. */
function isGradient({ params: p, constants: c }: Product): boolean {
  const whole =
    p.batch === 1 && p.aOffset === 0 && p.bOffset === 0 && p.cOffset === 0 && p.ldc === p.N;
  const bare = !c.BIAS && !c.ACTIVATION && !c.RESIDUAL && !c.ACCUMULATE && p.alpha === 1;
  return whole && bare && c.TRANS_A === 1 && c.TRANS_B === 0 && c.B_DTYPE === 0;
}

/** Whether a launch writes other partial sums of squares than these. */
function partsWith(
  { params, outputs: [partials] }: LaunchOf<"square_sums">,
  other: Launch | Join,
): boolean {
  const writes =
    (other.kernel === "square_sums" && other.outputs[0] === partials) ||
    (other.kernel === "matmul_gradient" && other.outputs[1] === partials);
  if (!writes) return false;
  const { at, rows } = other.params;
  return at + rows <= params.at || params.at + params.rows <= at;
}

/** The numbers as parameters `n0`, `n1`, ... up to the most; `rest` for those that are not there. */
const numbered = <const Letter extends string>(
  letter: Letter,
  values: readonly number[],
  rest: number,
) =>
  Object.fromEntries(
    Array.from({ length: MOST_SQUARED }, (_, i) => [`${letter}${i}`, values[i] ?? rest]),
  ) as { readonly [Name in `${Letter}${0 | 1 | 2 | 3 | 4 | 5 | 6}`]: number };

/** So many operands, those behind the last of them unused. */
const filled = (operands: readonly (Tensor | null)[], count: number): (Tensor | null)[] => [
  ...operands,
  ...new Array<null>(count - operands.length).fill(null),
];

/** Whether two products can be made by one launch and added up. */
function sameShape(a: Product, b: Product): boolean {
  const names = ["M", "N", "K", "lda", "ldb", "alpha"] as const;
  return (
    names.every((name) => a.params[name] === b.params[name]) &&
    a.constants.TRANS_B === b.constants.TRANS_B &&
    a.constants.B_DTYPE === b.constants.B_DTYPE
  );
}

type End = {
  readonly residual?: Tensor | null;
  readonly drop?: LaunchOf<"dropout"> | undefined;
  readonly r?: Tensor | null;
  readonly outputs: readonly (Tensor | null)[];
};

/** The sum of products with what follows on it. */
function endOf(
  products: readonly Product[],
  { residual = null, drop, r = null, outputs }: End,
): Join {
  const [{ params, constants, inputs, outputs: made }] = products;
  const { M, N, ldc, cOffset, alpha } = params;
  const { BIAS, ACTIVATION } = constants;
  const { op = 0, keep = 1, scale: rescale = 1 } = drop?.params ?? {};
  return {
    kernel: "matmul_join",
    constants: {
      BIAS,
      ACTIVATION,
      DROPOUT: drop ? 1 : 0,
      SLOPE: r ? 1 : 0,
      RESIDUAL: residual ? 1 : 0,
      ACCUMULATE: 0,
    },
    params: { M, N, ldc, cOffset, chunks: 1, alpha, op, keep, rescale },
    inputs: [null, inputs[2], residual, r],
    outputs: [outputs[0], made[1]],
    uniform: drop?.uniform ?? null,
    products,
  };
}
