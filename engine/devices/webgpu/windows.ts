/** Cuts launches whose operands are larger than one binding, by the rules that kernels/manifest.ts gives. */
import { type AnyKernel, kernelOperands, kernels } from "../../../kernels/manifest.ts";
import { fail } from "../../errors.ts";
import { ALIGNMENT } from "../../op.ts";
import type { AnyLaunch, PlanLaunch, Region } from "../../plan.ts";

/** Launches of the kernels that have these parameters. */
type LaunchWith<Name extends string> = Extract<
  PlanLaunch,
  { readonly params: Readonly<Record<Name, number>> }
>;

const has = <Name extends string>(
  launch: PlanLaunch,
  ...names: readonly Name[]
): launch is LaunchWith<Name> => names.every((name) => name in launch.params);

type Named = { readonly name: string; readonly region: Region };

/** The operands that the launch gives, by their names in the manifest. */
const given = (launch: PlanLaunch): Named[] =>
  kernelOperands(launch.kernel).flatMap(({ name, list, index }) => {
    const region = launch[list][index];
    return region ? [{ name, region }] : [];
  });

const bytesOf = (launch: PlanLaunch, name: string): number =>
  given(launch).find((o) => o.name === name)?.region.byteLength ?? 0;

/** An operand's bytes from `start` on. */
type Cut = readonly [name: string, start: number, length: number];

/** The launch with some operands narrowed to windows of what they were; those that it does not give stay away. */
function narrow<L extends PlanLaunch>(
  launch: L,
  cuts: readonly Cut[],
  params: Partial<L["params"]>,
  constants: Partial<L["constants"]> = {},
): L {
  const lists = {
    inputs: [...launch.inputs],
    inouts: [...launch.inouts],
    outputs: [...launch.outputs],
  };
  for (const { name, list, index } of kernelOperands(launch.kernel)) {
    const cut = cuts.find((c) => c[0] === name);
    const region = lists[list][index];
    if (!cut || !region) continue;
    const [, start, byteLength] = cut;
    lists[list][index] = { ...region, byteOffset: region.byteOffset + start, byteLength };
  }
  return {
    ...launch,
    ...lists,
    params: { ...launch.params, ...params },
    constants: { ...launch.constants, ...constants },
  };
}

/**
 * [start, end) pieces of `count` units. A unit is so many bytes in each operand that is cut; every piece fits a binding
 * and starts at an aligned address in all of them.
 */
function pieces(
  op: string,
  count: number,
  unitBytes: readonly number[],
  maxBinding: number,
): [number, number][] {
  const widths = unitBytes.filter((w) => w > 0);
  const widest = Math.max(...widths);
  let step = 1;
  while (widths.some((w) => (step * w) % ALIGNMENT !== 0)) step *= 2;
  const size = Math.floor(maxBinding / widest / step) * step;
  if (size === 0) {
    fail(op, `${step} rows of ${widest} bytes do not fit a window of ${maxBinding} bytes`);
  }
  const out: [number, number][] = [];
  for (let at = 0; at < count; at += size) out.push([at, Math.min(count, at + size)]);
  return out;
}

/** Every operand of n elements is cut at the same places; small ones (scalars) are whole in every window. */
function byElements(launch: LaunchWith<"n">, maxBinding: number): PlanLaunch[] {
  const { n } = launch.params;
  const cut = given(launch).filter(({ region }) => region.byteLength === n * 4);
  return pieces(launch.op, n, [4], maxBinding).map(([from, to]) =>
    narrow(
      launch,
      cut.map(({ name }) => [name, from * 4, (to - from) * 4] as const),
      { n: to - from },
    ),
  );
}

/** Rows are independent: every operand is cut between rows, but for those that all rows share. */
function byRows(
  launch: LaunchWith<"rows">,
  shared: readonly string[],
  maxBinding: number,
): PlanLaunch[] {
  const { rows } = launch.params;
  const cut = given(launch)
    .filter(({ name }) => !shared.includes(name))
    .map(({ name, region }) => ({ name, width: region.byteLength / rows }));
  const widths = cut.map(({ width }) => width);
  return pieces(launch.op, rows, widths, maxBinding).map(([from, to]) =>
    narrow(
      launch,
      cut.map(({ name, width }) => [name, from * width, (to - from) * width] as const),
      has(launch, "firstRow")
        ? { rows: to - from, firstRow: launch.params.firstRow + from }
        : { rows: to - from },
    ),
  );
}

/** A table is bound in windows of rows; each launch serves the ids in its window. */
function byTable(
  launch: LaunchWith<"first" | "count" | "vocab">,
  table: string,
  maxBinding: number,
): PlanLaunch[] | undefined {
  const bytes = bytesOf(launch, table);
  if (bytes <= maxBinding) return undefined;
  const { vocab } = launch.params;
  const rowBytes = bytes / vocab;
  return pieces(launch.op, vocab, [rowBytes], maxBinding).map(([from, to]) =>
    narrow(launch, [[table, from * rowBytes, (to - from) * rowBytes]], {
      first: from,
      count: to - from,
    }),
  );
}

/** Rows of the result are independent: result and ids are cut between rows; the table may be cut after that. */
function gathered(
  launch: PlanLaunch & { readonly kernel: "embedding" },
  table: string,
  maxBinding: number,
): PlanLaunch[] | undefined {
  if (bytesOf(launch, "y") <= maxBinding) return byTable(launch, table, maxBinding);
  const { n, dim } = launch.params;
  return pieces(launch.op, n / dim, [dim * 4, 4], maxBinding).map(([from, to]) =>
    narrow(
      launch,
      [
        ["ids", from * 4, (to - from) * 4],
        ["y", from * dim * 4, (to - from) * dim * 4],
      ],
      { n: (to - from) * dim },
    ),
  );
}

/** Rows that are added: each to one row of the table, which may be cut after that; equal ids are not to be parted. */
function scattered(
  launch: PlanLaunch & { readonly kernel: "scatter_add" },
  table: string,
  maxBinding: number,
): PlanLaunch[] | undefined {
  if (launch.constants.UNIQUE === 0 || bytesOf(launch, "dy") <= maxBinding) {
    return byTable(launch, table, maxBinding);
  }
  const { rows, dim } = launch.params;
  return pieces(launch.op, rows, [dim * 4, 4], maxBinding).map(([from, to]) =>
    narrow(
      launch,
      [
        ["dy", from * dim * 4, (to - from) * dim * 4],
        ["ids", from * 4, (to - from) * 4],
      ],
      { n: (to - from) * dim, rows: to - from },
    ),
  );
}

/** Partial sums go to consecutive places. */
function byChunks(
  launch: PlanLaunch & { readonly kernel: "square_sums" },
  chunk: number,
  maxBinding: number,
): PlanLaunch[] | undefined {
  const { n, at } = launch.params;
  const size = Math.floor(maxBinding / (chunk * 4)) * chunk;
  if (size === 0) return undefined;
  const out: PlanLaunch[] = [];
  for (let from = 0; from < n; from += size) {
    const count = Math.min(size, n - from);
    const params = { n: count, rows: Math.ceil(count / chunk), at: at + from / chunk };
    out.push(narrow(launch, [["x", from * 4, count * 4]], params));
  }
  return out;
}

type Product = PlanLaunch & { readonly kernel: "matmul" };

/** A product is cut along N (rows of a transposed B), M (rows of C) or K (rows of B, summed into C). */
function product(launch: Product, maxBinding: number): PlanLaunch[] | undefined {
  const { params: p, constants, op } = launch;
  const tooLarge = (name: string): boolean => bytesOf(launch, name) > maxBinding;
  if (p.batch !== 1) return undefined;
  const { TRANS_A, TRANS_B, B_DTYPE } = constants;
  const bBytes = B_DTYPE === 0 ? 4 : 2;
  if (tooLarge("c") || (tooLarge("a") && !TRANS_A)) {
    const units = [p.ldc * 4, TRANS_A ? 0 : p.lda * 4];
    return pieces(op, p.M, units, maxBinding).map(([from, to]) => {
      const rows = (name: string): Cut => [
        name,
        from * p.ldc * 4,
        ((to - from - 1) * p.ldc + Math.min(p.ldc, p.N)) * 4,
      ];
      const cuts = ["c", "residual", "pre"].map(rows);
      if (TRANS_A) return narrow(launch, cuts, { M: to - from, aOffset: p.aOffset + from });
      const a: Cut = ["a", from * p.lda * 4, (to - from) * p.lda * 4];
      return narrow(launch, [...cuts, a], { M: to - from });
    });
  }
  if (tooLarge("b") && TRANS_B) {
    const units = [p.ldb * bBytes, bytesOf(launch, "bias") > 0 ? 4 : 0];
    return pieces(op, p.N, units, maxBinding).map(([from, to]) =>
      narrow(
        launch,
        [
          ["b", from * p.ldb * bBytes, (to - from) * p.ldb * bBytes],
          ["bias", from * 4, (to - from) * 4],
        ],
        { N: to - from, cOffset: p.cOffset + from },
      ),
    );
  }
  if (tooLarge("b") || tooLarge("a")) {
    const widths = [TRANS_B ? 0 : p.ldb * bBytes, TRANS_A ? p.lda * 4 : 0];
    const [bWidth, aWidth] = widths;
    const ranges = pieces(op, p.K, widths, maxBinding);
    return ranges.map(([from, to], i) => {
      const cuts: Cut[] = [];
      const params: Partial<Product["params"]> = {
        K: to - from,
        aOffset: p.aOffset + (TRANS_A ? 0 : from),
        bOffset: p.bOffset + (TRANS_B ? from : 0),
      };
      if (TRANS_A) cuts.push(["a", from * aWidth, (to - from) * aWidth]);
      if (!TRANS_B) cuts.push(["b", from * bWidth, (to - from) * bWidth]);
      const last = i === ranges.length - 1;
      return narrow(launch, cuts, params, {
        ACCUMULATE: i > 0 ? 1 : constants.ACCUMULATE,
        BIAS: last ? constants.BIAS : 0,
        ACTIVATION: last ? constants.ACTIVATION : 0,
        RESIDUAL: last ? constants.RESIDUAL : 0,
      });
    });
  }
  return undefined;
}

function split(launch: PlanLaunch, maxBinding: number): PlanLaunch[] | undefined {
  const { windows: rule }: AnyKernel = kernels[launch.kernel];
  if (rule?.by === "elements" && has(launch, "n")) {
    const whole = rule.where && !rule.where(launch.constants);
    return whole ? undefined : byElements(launch, maxBinding);
  }
  if (rule?.by === "rows" && has(launch, "rows")) return byRows(launch, rule.shared, maxBinding);
  if (rule?.by === "scattered" && launch.kernel === "scatter_add") {
    return scattered(launch, rule.table, maxBinding);
  }
  if (rule?.by === "gathered" && launch.kernel === "embedding") {
    return gathered(launch, rule.table, maxBinding);
  }
  if (rule?.by === "chunks" && launch.kernel === "square_sums") {
    return byChunks(launch, rule.chunk, maxBinding);
  }
  if (rule?.by === "product" && launch.kernel === "matmul") return product(launch, maxBinding);
  return undefined;
}

/**
 * Splits a launch whose operands are larger than one binding (BART's embedding is 206 MB, a common limit 128 MiB) into
 * launches on windows. Throws for a kernel that has no windowed form.
 */
export function windows<L extends AnyLaunch>(launch: L, maxBinding: number): (PlanLaunch | L)[] {
  if ("products" in launch) return [launch]; // what is joined fits
  const operands = [...launch.inputs, ...launch.inouts, ...launch.outputs];
  const largest = Math.max(0, ...operands.map((region) => region?.byteLength ?? 0));
  if (largest <= maxBinding) return [launch];
  const parts = "wgsl" in launch ? undefined : split(launch, maxBinding);
  if (!parts || parts.length < 2) {
    const refuse = `an operand of ${largest} bytes is larger than a binding of this adapter (${maxBinding} bytes)`;
    return fail(launch.op, `${refuse}, and the kernel ${launch.kernel} has no windowed form`);
  }
  return parts.flatMap((l) => windows(l, maxBinding));
}
