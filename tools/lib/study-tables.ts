/** The tables of a study, from what its runs have written. */
import { join } from "node:path";
import type { Device } from "../../engine/device.ts";
import type { Benchmark } from "../../promptgen/benchmark.ts";
import { methodOf } from "../../promptgen/methods/index.ts";
import { readFactRows } from "../../promptgen/report/fact-rows.ts";
import { type RelationRow, relationRows } from "../../promptgen/report/relations.ts";
import type { Row, RowRun } from "../../promptgen/report/rows.ts";
import type { Study, Task } from "../../promptgen/study.ts";
import { type RowTables, rowTables } from "./row-tables.ts";

/** What a study's runs have written, as the tables take it. */
export type StudyTables = {
  readonly relations: readonly RelationRow[];
  /** In the order of the study. */
  readonly rows: readonly Row[];
  readonly tables: RowTables;
};

/**
 * @param out the study's folder, with a folder for each run
 * @param device asks the reader which subjects' names give the object away
 */
export async function tablesOf(
  study: Study,
  out: string,
  benchmark: Benchmark,
  device: Device,
): Promise<StudyTables> {
  const rows = await rowsOf(study, out);
  const tables = await rowTables(device, benchmark, rows, study.against);
  return { relations: relationRows(benchmark.relations), rows, tables };
}

/** What the runs of a study have answered, in its order. */
export async function rowsOf(study: Study, out: string): Promise<Row[]> {
  const rows: Row[] = [];
  for (const { name, tasks } of study.rows) {
    const runs: RowRun[] = [];
    for (const task of tasks) {
      const facts = await readFactRows(join(out, task.name, "facts.jsonl"));
      runs.push({ seed: task.options.seed, facts, settings: settingsOf(task) });
    }
    const { alpha } = tasks[0].options.own;
    rows.push({ name, ...(typeof alpha === "number" ? { alpha } : {}), runs });
  }
  return rows;
}

/** The options that say how a run was trained; models and folders are what a row is about. */
function settingsOf({ options: { method, own } }: Task): Record<string, string | number> {
  const table = methodOf(method).options;
  return Object.fromEntries(
    Object.entries(own).filter(
      ([name]) => name !== "alpha" && !["model", "folder"].includes(table[name]?.kind ?? ""),
    ),
  );
}
