/** Bytes that a launch moves, by its operands: for profiles and for counts of a plan. */

type Operand = { readonly byteLength: number } | null;

export type Moving = {
  readonly kernel: string;
  readonly params: Readonly<Record<string, number>>;
  readonly constants: Readonly<Record<string, number>>;
  readonly inputs: readonly Operand[];
  readonly inouts: readonly Operand[];
  readonly outputs: readonly Operand[];
};

/** Operands of which a launch touches no more than of its largest other one: tables and stacks. */
const IN_PART: ReadonlySet<string> = new Set(["embedding", "copy", "copy_many", "scatter_add"]);
/** Which output holds the sums of squares of all gradients, of which a launch writes `rows` pairs. */
const SQUARES: Readonly<Record<string, number>> = {
  matmul_gradient: 1,
  square_sums: 0,
  square_sums_many: 0,
};
/** What says of kernels' inouts, in their order, whether they are read too; others always are. */
const READ_TOO = ["ACCUMULATE_K", "ACCUMULATE_V"];

/** Bytes that a launch reads and writes, each operand once for either. */
export function bytesMoved(launch: Moving): number {
  const { kernel, params, constants, inputs, inouts, outputs } = launch;
  if (IN_PART.has(kernel)) return (kernel === "scatter_add" ? 3 : 2) * params.n * 4;
  if (kernel === "table_places") return 2 * params.rows * 4;
  // at most: a row is read, added to another, and one is set
  if (kernel === "table_rows") return 4 * params.rows * params.dim * 4;
  const size = (operand: Operand): number => operand?.byteLength ?? 0;
  const read = inputs.reduce((sum, operand) => sum + size(operand), 0);
  const both = inouts.reduce(
    (sum, operand, i) => sum + size(operand) * (constants[READ_TOO[i]] === 0 ? 1 : 2),
    0,
  );
  const written = outputs.reduce(
    (sum, operand, i) =>
      sum + (SQUARES[kernel] === i ? Math.min(size(operand), params.rows * 8) : size(operand)),
    0,
  );
  return read + both + written + (constants.ACCUMULATE === 1 ? size(outputs[0]) : 0);
}
