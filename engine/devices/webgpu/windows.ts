import { fail } from "../../errors.ts";
import { alignment, type PlanLaunch, type Region } from "../../plan.ts";

type Operands = "inputs" | "inouts" | "outputs";
type Role = readonly [Operands, number];

const roles = (l: PlanLaunch): Role[] =>
  (["inputs", "inouts", "outputs"] as const).flatMap((kind) =>
    l[kind].map((_, i) => [kind, i] as const),
  );

const operand = (l: PlanLaunch, [kind, i]: Role): Region | null => l[kind][i] ?? null;

/** The launch with some operands narrowed to bytes [start, start + length) of what they were. */
function narrow(
  launch: PlanLaunch,
  narrowed: readonly (readonly [Role, start: number, length: number])[],
  params: Readonly<Record<string, number>>,
  constants: Readonly<Record<string, number>> = {},
): PlanLaunch {
  const copy = {
    inputs: [...launch.inputs],
    inouts: [...launch.inouts],
    outputs: [...launch.outputs],
  };
  for (const [[kind, i], start, length] of narrowed) {
    const region = launch[kind][i];
    if (!region) continue;
    copy[kind][i] = { ...region, byteOffset: region.byteOffset + start, byteLength: length };
  }
  return {
    ...launch,
    ...copy,
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
  while (widths.some((w) => (step * w) % alignment !== 0)) step *= 2;
  const size = Math.floor(maxBinding / widest / step) * step;
  if (size === 0) {
    fail(op, `${step} rows of ${widest} bytes do not fit a window of ${maxBinding} bytes`);
  }
  const out: [number, number][] = [];
  for (let at = 0; at < count; at += size) out.push([at, Math.min(count, at + size)]);
  return out;
}

type Rule = (launch: PlanLaunch, maxBinding: number) => PlanLaunch[] | undefined;

/** Every operand of n elements is cut at the same places; small ones (scalars) are whole in every window. */
const flat: Rule = (launch, maxBinding) => {
  const { n } = launch.params;
  if ((launch.constants.RANK ?? 0) !== 0) return undefined;
  if (launch.kernel === "cast" && launch.constants.FROM >= 3) return undefined; // halves are not cut
  const cut = roles(launch).filter((role) => operand(launch, role)?.byteLength === n * 4);
  return pieces(launch.op, n, [4], maxBinding).map(([from, to]) =>
    narrow(
      launch,
      cut.map((role) => [role, from * 4, (to - from) * 4] as const),
      { n: to - from },
    ),
  );
};

/** Rows are independent: every operand is cut between rows, but for those that all rows share. */
const byRows =
  (...shared: Role[]): Rule =>
  (launch, maxBinding) => {
    const { rows } = launch.params;
    const isShared = ([kind, i]: Role) => shared.some((s) => s[0] === kind && s[1] === i);
    const cut = roles(launch).filter((role) => operand(launch, role) && !isShared(role));
    const width = (role: Role): number => (operand(launch, role)?.byteLength ?? 0) / rows;
    return pieces(launch.op, rows, cut.map(width), maxBinding).map(([from, to]) =>
      narrow(
        launch,
        cut.map((role) => [role, from * width(role), (to - from) * width(role)] as const),
        { rows: to - from },
      ),
    );
  };

/** Rows of the result are independent: result and ids are cut between rows; the table may be cut after that. */
const gathered: Rule = (launch, maxBinding) => {
  const y = operand(launch, C);
  const { n, dim } = launch.params;
  if (!y || y.byteLength <= maxBinding) return byTable(A)(launch, maxBinding);
  return pieces(launch.op, n / dim, [dim * 4, 4], maxBinding).map(([from, to]) =>
    narrow(
      launch,
      [
        [B, from * 4, (to - from) * 4],
        [C, from * dim * 4, (to - from) * dim * 4],
      ],
      { n: (to - from) * dim },
    ),
  );
};

/** A table is bound in windows of rows; each launch serves the ids in its window. */
const byTable =
  (table: Role): Rule =>
  (launch, maxBinding) => {
    const region = operand(launch, table);
    const { vocab } = launch.params;
    if (!region || region.byteLength <= maxBinding) return undefined;
    const rowBytes = region.byteLength / vocab;
    return pieces(launch.op, vocab, [rowBytes], maxBinding).map(([from, to]) =>
      narrow(launch, [[table, from * rowBytes, (to - from) * rowBytes]], {
        first: from,
        count: to - from,
      }),
    );
  };

const A: Role = ["inputs", 0];
const B: Role = ["inputs", 1];
const bias: Role = ["inputs", 2];
const residual: Role = ["inputs", 3];
const C: Role = ["outputs", 0];
const pre: Role = ["outputs", 1];

/** A product is cut along N (rows of a transposed B), M (rows of C) or K (rows of B, summed into C). */
const matmul: Rule = (launch, maxBinding) => {
  const { params: p, constants, op } = launch;
  const tooLarge = (role: Role): boolean => (operand(launch, role)?.byteLength ?? 0) > maxBinding;
  if (p.batch !== 1) return undefined;
  const { TRANS_A, TRANS_B } = constants;
  const bBytes = (constants.B_DTYPE ?? 0) === 0 ? 4 : 2;
  if (tooLarge(C) || (tooLarge(A) && !TRANS_A)) {
    const units = [p.ldc * 4, TRANS_A ? 0 : p.lda * 4];
    return pieces(op, p.M, units, maxBinding).map(([from, to]) => {
      const rows = (role: Role, ld: number) =>
        [role, from * ld * 4, ((to - from - 1) * ld + Math.min(ld, p.N)) * 4] as const;
      const cut = [C, residual, pre].filter((r) => operand(launch, r)).map((r) => rows(r, p.ldc));
      const a = TRANS_A ? { aOffset: p.aOffset + from } : { aOffset: p.aOffset };
      const narrowedA = TRANS_A ? [] : [[A, from * p.lda * 4, (to - from) * p.lda * 4] as const];
      return narrow(launch, [...cut, ...narrowedA], { M: to - from, ...a });
    });
  }
  if (tooLarge(B) && TRANS_B) {
    return pieces(op, p.N, [p.ldb * bBytes, operand(launch, bias) ? 4 : 0], maxBinding).map(
      ([from, to]) =>
        narrow(
          launch,
          [
            [B, from * p.ldb * bBytes, (to - from) * p.ldb * bBytes],
            [bias, from * 4, (to - from) * 4],
          ],
          { N: to - from, cOffset: p.cOffset + from },
        ),
    );
  }
  if (tooLarge(B) || tooLarge(A)) {
    const widths = [TRANS_B ? 0 : p.ldb * bBytes, TRANS_A ? p.lda * 4 : 0];
    const cuts = pieces(op, p.K, widths, maxBinding);
    return cuts.map(([from, to], i) => {
      const narrowedB = TRANS_B ? [] : [[B, from * widths[0], (to - from) * widths[0]] as const];
      const narrowedA = TRANS_A ? [[A, from * widths[1], (to - from) * widths[1]] as const] : [];
      const last = i === cuts.length - 1;
      return narrow(
        launch,
        [...narrowedA, ...narrowedB],
        {
          K: to - from,
          ...(TRANS_A ? {} : { aOffset: p.aOffset + from }),
          ...(TRANS_B ? { bOffset: p.bOffset + from } : {}),
        },
        {
          ...(i > 0 ? { ACCUMULATE: 1 } : {}),
          ...(last ? {} : { BIAS: 0, ACTIVATION: 0, RESIDUAL: 0 }),
        },
      );
    });
  }
  return undefined;
};

/** Partial sums go to consecutive places. */
const squareSums: Rule = (launch, maxBinding) => {
  const { n, at } = launch.params;
  const chunk = 2048;
  const size = Math.floor(maxBinding / (chunk * 4)) * chunk;
  if (size === 0) return undefined;
  const out: PlanLaunch[] = [];
  for (let from = 0; from < n; from += size) {
    const count = Math.min(size, n - from);
    const params = { n: count, rows: Math.ceil(count / chunk), at: at + from / chunk };
    out.push(narrow(launch, [[["inputs", 0], from * 4, count * 4]], params));
  }
  return out;
};

const rules: Readonly<Record<string, Rule>> = {
  copy_flat: flat,
  fill: flat,
  binary: flat,
  unary: flat,
  unary_grad: flat,
  where: flat,
  cast: flat,
  add_n: flat,
  adamw: flat,
  softmax: byRows(),
  softmax_backward: byRows(),
  layernorm: byRows(["inputs", 2], ["inputs", 3]),
  layernorm_backward: byRows(["inputs", 3]),
  cross_entropy: byRows(),
  cross_entropy_backward: byRows(),
  embedding: gathered,
  scatter_add: byTable(["outputs", 0]),
  square_sums: squareSums,
  matmul,
};

/**
 * Splits a launch whose operands are larger than one binding (BART's embedding is 206 MB, a common limit 128 MiB) into
 * launches on windows. Throws for a kernel that has no windowed form.
 */
export function windows(launch: PlanLaunch, maxBinding: number): PlanLaunch[] {
  const sizes = roles(launch).map((role) => operand(launch, role)?.byteLength ?? 0);
  const largest = Math.max(0, ...sizes);
  if (largest <= maxBinding) return [launch];
  const split = rules[launch.kernel]?.(launch, maxBinding);
  if (!split || split.length < 2) {
    const refuse = `an operand of ${largest} bytes is larger than a binding of this adapter (${maxBinding} bytes)`;
    return fail(launch.op, `${refuse}, and the kernel ${launch.kernel} has no windowed form`);
  }
  return split.flatMap((l) => windows(l, maxBinding));
}
