/** The tables of rows about a benchmark's test facts, whoever asked them. */
import type { Device } from "../../engine/device.ts";
import type { Benchmark } from "../../promptgen/benchmark.ts";
import { loadUnstated, testSplits } from "../../promptgen/facts/splits.ts";
import { relationRows } from "../../promptgen/report/relations.ts";
import type { Row } from "../../promptgen/report/rows.ts";
import { rowsReport } from "../../promptgen/report/rows-tables.ts";
import type { Table } from "../../promptgen/report/table.ts";
import { namedAway } from "../../promptgen/uhn.ts";

/** Gives the tables for a width of text, see `rowsReport`. */
export type RowTables = (width?: number) => Table[];

/**
 * @param device asks the reader which subjects' names give the object away
 * @param against title of the row that the others are tested against
 */
export async function rowTables(
  device: Device,
  benchmark: Benchmark,
  rows: readonly Row[],
  against?: string | undefined,
): Promise<RowTables> {
  const unstated = await loadUnstated(benchmark.data);
  const splits = testSplits(benchmark.relations, await namedAway(device, benchmark), unstated);
  const relations = relationRows(benchmark.relations);
  return (width) => rowsReport(relations, rows, { splits, against, width });
}
