/** Prints the figures of all libraries side by side. */
import { printTable } from "../../../promptgen/report/table.ts";
import { median, type Row } from "./process.ts";
import { matmulSizes, stackFlops } from "./workload.ts";

const flops = new Map<string, number>([
  ["stack forward", stackFlops],
  ["stack training", 3 * stackFlops],
  ...matmulSizes.map((n) => [`matmul ${n}`, 2 * n ** 3] as const),
]);

const milliseconds = (ms: number): string => ms.toFixed(ms < 10 ? 2 : 1);

/** Our figures and each peer's with the ratio; notes follow below. Rows that we lack are left out. */
export function table(
  collected: ReadonlyMap<string, ReadonlyMap<string, readonly Row[]>>,
  peers: readonly string[],
  key: "median" | "first",
): string {
  const header = ["", "ours", ...(key === "median" ? ["GFLOPS"] : []), ...peers];
  const notes: string[] = [];
  const lines = [...collected].flatMap(([name, sides]) => {
    const of = (side: string): number | undefined => {
      const rows = sides.get(side);
      return rows && median(rows.map((row) => row[key]));
    };
    const mine = of("ours");
    if (mine === undefined) return [];
    const note = sides.get("ours")?.[0].note;
    if (note && key === "median") notes.push(`${name}: ${note}`);
    const operations = flops.get(name.split(",")[0]);
    const rate = operations === undefined ? "" : (operations / mine / 1e6).toFixed(1);
    const theirs = peers.map((peer) => {
      const ms = of(peer);
      return ms === undefined ? "-" : `${milliseconds(ms)} (${(mine / ms).toFixed(2)})`;
    });
    return [[name, milliseconds(mine), ...(key === "median" ? [rate] : []), ...theirs]];
  });
  const columns = header.map((head, i) => ({ head, align: i === 0 ? "left" : "right" }) as const);
  return printTable({ groups: [{ columns }], rows: lines, notes });
}
