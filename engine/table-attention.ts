/**
 * Attention whose keys and values are one table, as where a distribution over words is made and the words' vectors are averaged by it:
 *
 *     scores = x tableᵀ + bias,  y = softmax(scores),  mean = y table
 *
 * and its gradient, given that of the mean and what others want of y:
 *
 *     dy = dmean tableᵀ + residual,  dscores = y * (dy - sum(y * dy)),  dx = dscores table.
 *
 * Each of the two reads the table twice; here it becomes one launch that reads it once, tile by tile (Dao, Fu, Ermon, Rudra, Ré:
 * FlashAttention; NeurIPS 2022). The second takes sum(y * dy) * mean off what y * dy gives, and so keeps the first one's mean. For
 * tables of `tableRows` rows or more and few rows of x. Works on launches whose operands have no memory yet.
 */
import {
  type Context,
  isWhole,
  type LaunchOf,
  overlaps,
  type Planned,
  passes,
  REACH,
  touchedBy,
} from "./joins.ts";
import { type Join, type Launch, type Product, readsOf, writesOf } from "./op.ts";
import type { Tensor } from "./tensor.ts";

/** Rows of x beyond which the table is a small part of what is read. */
const MOST_ROWS = 64;

/** What is known of a table that was averaged: by which y, and where in the list. */
type Averaged = {
  readonly at: number;
  readonly table: Tensor;
  readonly y: Tensor;
  readonly mean: Tensor;
};

type Found<K extends Launch["kernel"]> = { readonly at: number; readonly launch: LaunchOf<K> };

/** The launches, with those of attention over a table made few. */
export function withTableAttention(planned: readonly Planned[], context: Context): Planned[] {
  if (context.rules.tableRows === Number.POSITIVE_INFINITY) return [...planned];
  return new Tables(planned, context).run();
}

class Tables {
  readonly #list: (Planned | undefined)[];
  readonly #context: Context;
  readonly #touched: ReadonlyMap<Tensor, ReadonlySet<number>>;
  readonly #averaged: Averaged[] = [];

  constructor(planned: readonly Planned[], context: Context) {
    this.#list = [...planned];
    this.#context = context;
    this.#touched = touchedBy(planned, context);
  }

  run(): Planned[] {
    this.#list.forEach((one, at) => {
      if (one?.launch.kernel === "softmax") this.#average({ at, launch: one.launch });
    });
    this.#list.forEach((one, at) => {
      if (one?.launch.kernel === "softmax_backward") this.#gradient({ at, launch: one.launch });
    });
    return this.#list.flatMap((one) => (one ? [one] : []));
  }

  #average(softmax: Found<"softmax">): void {
    const [scores] = softmax.launch.inputs;
    const [y] = softmax.launch.outputs;
    if (!scores || !y) return;
    const first = this.#scoresOf(scores, softmax.at);
    const table = first?.launch.inputs[1];
    const last = first && table ? this.#productWith(y, table, first.launch, softmax.at) : undefined;
    const mean = last?.launch.outputs[0];
    if (!first || !table || !last || !mean) return;
    const { M, N, K } = first.launch.params;
    if (softmax.launch.params.rows !== M || softmax.launch.params.cols !== N) return;
    const join: Join = {
      kernel: "table_attention",
      params: { M, N, K, tiles: 1 },
      inputs: [null, null],
      outputs: [scores, y, mean],
      products: [first.launch],
    };
    // whoever reads the scores does so behind the first
    const members = [first.at, softmax.at, last.at];
    if (!this.#fits(join, first.at, members)) return;
    this.#replace(join, first.at, members);
    this.#averaged.push({ at: first.at, table, y, mean });
  }

  #gradient(softmax: Found<"softmax_backward">): void {
    const [y, dy] = softmax.launch.inputs;
    const [dscores] = softmax.launch.outputs;
    if (!y || !dy || !dscores) return;
    const sum = this.#sumOf(dy, softmax.at);
    const known = this.#averaged.filter((one) => this.#same(one.y, y) && one.at < softmax.at);
    const terms: Tensor[] = sum ? sum.launch.inputs.flatMap((t) => (t ? [t] : [])) : [dy];
    const makers = terms.map((t) => this.#scoresOf(t, sum?.at ?? softmax.at));
    for (const { at, table, mean } of known) {
      const own = makers.findIndex((maker) => {
        const b = maker?.launch.inputs[1];
        return b && this.#same(b, table) && !maker?.launch.constants.BIAS;
      });
      const first = makers[own];
      const residual = terms[1 - own] ?? null;
      if (!first || terms.length > 2 || residual === terms[own]) continue;
      const last = this.#productWith(dscores, table, first.launch, softmax.at);
      const dx = last?.launch.outputs[0];
      const { M, N, K } = first.launch.params;
      if (!last || !dx) continue;
      if (softmax.launch.params.rows !== M || softmax.launch.params.cols !== N) continue;
      const [a, b] = first.launch.inputs;
      const product: Product = {
        ...first.launch,
        constants: { ...first.launch.constants, RESIDUAL: residual ? 1 : 0 },
        inputs: [a, b, null, residual],
      };
      const join: Join = {
        kernel: "table_attention_backward",
        params: { M, N, K, tiles: 1 },
        inputs: [null, null, y, mean],
        outputs: [dscores, dx],
        products: [product],
      };
      const members = [first.at, ...(sum ? [sum.at] : []), softmax.at, last.at];
      // nobody else wants what is no longer written
      const gone = [terms[own], dy];
      if (!gone.every((t) => this.#isOwn(t, members))) continue;
      const to = members.find((to) => {
        return this.#fits(join, to, members) && this.#stays([table, y, mean], at, to);
      });
      if (to === undefined) continue;
      this.#replace(join, to, members);
      return;
    }
  }

  /** The product with a transposed table of which `scores` is the result, before `at`. */
  #scoresOf(scores: Tensor, at: number): Found<"matmul"> | undefined {
    const found = this.#writer(scores, at);
    if (found?.launch.kernel !== "matmul") return undefined;
    const launch: Product = found.launch;
    const { M, N, K, lda, ldb, cOffset, alpha } = launch.params;
    const { rules } = this.#context;
    const { TRANS_B, ACTIVATION, B_DTYPE } = launch.constants;
    const plain = isWhole(launch) && TRANS_B === 1 && !ACTIVATION && B_DTYPE === 0;
    const dense = lda === K && ldb === K && cOffset === 0 && alpha === 1;
    const fits = M <= MOST_ROWS && N >= rules.tableRows;
    if (!plain || !dense || !fits || rules.tableBytes(launch.params) > rules.largest)
      return undefined;
    return { at: found.at, launch };
  }

  /** The product of `a` with `table`, not transposed as it is in `first`, behind `at`. */
  #productWith(a: Tensor, table: Tensor, first: Product, at: number): Found<"matmul"> | undefined {
    for (const place of this.#places(a)) {
      const launch = this.#list[place]?.launch;
      if (place <= at || launch?.kernel !== "matmul") continue;
      const [left, right] = launch.inputs;
      const { M, N, K, lda, ldb, cOffset, alpha } = launch.params;
      const { TRANS_B, BIAS, ACTIVATION, B_DTYPE } = launch.constants;
      const plain = isWhole(launch) && !TRANS_B && !BIAS && !ACTIVATION && B_DTYPE === 0;
      const dense = lda === K && ldb === N && cOffset === 0 && alpha === 1;
      const fits = M === first.params.M && N === first.params.K && K === first.params.N;
      if (!plain || !dense || !fits || !left || !right) continue;
      if (this.#same(left, a) && this.#same(right, table)) return { at: place, launch };
    }
    return undefined;
  }

  /** The launch that adds two to `t`. */
  #sumOf(t: Tensor, at: number): Found<"add_n"> | undefined {
    const found = this.#writer(t, at);
    return found?.launch.kernel === "add_n" ? { at: found.at, launch: found.launch } : undefined;
  }

  /** The last launch before `at` that writes anything of `t`, if it writes `t`. */
  #writer(t: Tensor, at: number): { at: number; launch: Launch | Join } | undefined {
    const before = [...this.#places(t)].filter((place) => place < at && at - place <= REACH);
    for (const place of before.sort((a, b) => b - a)) {
      const launch = this.#list[place]?.launch;
      const written = launch && writesOf(launch).find((w) => overlaps(w, t, this.#context));
      if (launch && written) return this.#same(written, t) ? { at: place, launch } : undefined;
    }
    return undefined;
  }

  #places(t: Tensor): ReadonlySet<number> {
    return this.#touched.get(this.#context.place(t).root) ?? new Set();
  }

  #same(a: Tensor, b: Tensor): boolean {
    const [x, y] = [this.#context.place(a), this.#context.place(b)];
    return x.root === y.root && x.offset === y.offset && a.bytes === b.bytes;
  }

  /** Whether `t` is a memory that only `members` touch. */
  #isOwn(t: Tensor, members: readonly number[]): boolean {
    const { root } = this.#context.place(t);
    const whole = root.bytes === t.bytes && !this.#context.kept(root);
    return whole && [...this.#places(t)].every((place) => members.includes(place));
  }

  /** Whether nobody writes one of these between two launches. */
  #stays(all: readonly Tensor[], from: number, to: number): boolean {
    return this.#list.slice(from + 1, to).every((one) => {
      const written = one ? writesOf(one.launch) : [];
      return !written.some((w) => all.some((t) => overlaps(w, t, this.#context)));
    });
  }

  /** Whether `members` can all run at `at`, and as `join`: every operand fits a binding, none is read and written by one dispatch. */
  #fits(join: Join, at: number, members: readonly number[]): boolean {
    const { rules, place } = this.#context;
    const [reads, writes] = [readsOf(join), writesOf(join)];
    const written = writes.map((t) => place(t).root);
    const apart = new Set(written).size === written.length;
    if (!apart || reads.some((t) => written.includes(place(t).root))) return false;
    if ([...reads, ...writes].some((t) => t.bytes > rules.largest)) return false;
    return members.every((member) => {
      const launch = this.#list[member]?.launch;
      const [from, to] = [Math.min(member, at), Math.max(member, at)];
      const between = this.#list.slice(from + 1, to).flatMap((one, i) => {
        return one && !members.includes(from + 1 + i) ? [one.launch] : [];
      });
      return launch && to - from <= REACH && passes(launch, between, this.#context);
    });
  }

  /** `join` at `at`, with the name of what was there, for all members. */
  #replace(join: Join, at: number, members: readonly number[]): void {
    const { op = "attention over a table", ...rest } = this.#list[at] ?? {};
    for (const member of members) this.#list[member] = undefined;
    this.#list[at] = { ...rest, op, launch: join };
  }
}
