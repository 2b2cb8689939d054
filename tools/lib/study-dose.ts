/** What a study of several settings ends in: its gates, and how its rows change from one setting to the next. */
import { join, relative } from "node:path";
import { writeWhole } from "../../models/formats/files.ts";
import { RunFolder } from "../../models/training/run-folder.ts";
import { groupBy } from "../../promptgen/facts/group-by.ts";
import {
  type DosePart,
  dosePanels,
  dosePoints,
  doseTable,
  gateResults,
  gateTable,
} from "../../promptgen/report/dose.ts";
import { dosePicture } from "../../promptgen/report/page/dose.ts";
import type { RelationRow } from "../../promptgen/report/relations.ts";
import { readResults } from "../../promptgen/report/results.ts";
import { type Row, titleOf } from "../../promptgen/report/rows.ts";
import { printTable, tableData } from "../../promptgen/report/table.ts";
import type { Study } from "../../promptgen/study.ts";
import type { StudyFile, StudyPart } from "../../promptgen/study-parts.ts";
import { duration, printResult } from "./cli.ts";
import { secondsOfStep } from "./study-steps.ts";
import { rowsOf } from "./study-tables.ts";

/** Writes STUDY/dose.* and prints the tables. All runs are there. */
export async function writeDose(home: string, { name, parts, gates }: StudyFile): Promise<void> {
  const doses: DosePart[] = [];
  for (const part of parts) doses.push(await doseOf(part, join(home, part.folder)));
  const { against } = parts[0].study;
  const points = dosePoints(doses, against);
  const results = gateResults(gates, points);
  const tables = [...(gates.length > 0 ? [gateTable(results)] : []), doseTable(points, against)];
  const prepared = parts.flatMap(({ steps }) => steps.flatMap((step) => secondsOfStep(step) ?? []));
  const made = prepared.reduce((sum, seconds) => sum + seconds, 0);
  const cost = prepared.length === 0 ? "" : `\n\nprepared in ${duration(made)}`;
  for (const [ending, format] of [
    ["txt", "text"],
    ["md", "markdown"],
    ["csv", "csv"],
  ] as const) {
    const between = format === "csv" ? "\r\n\r\n" : "\n\n";
    const text = tables.map((table) => printTable(table, format)).join(between);
    await writeWhole(join(home, `dose.${ending}`), `${text}\n`);
  }
  const panels = dosePanels(points);
  const titles = [...new Set(points.map(({ row }) => row))];
  const told = new Set([against, ...gates.map(({ row }) => row)]);
  const drawn = gates.length > 0 ? titles.filter((row) => told.has(row)) : titles;
  const picture = join(home, "dose.svg");
  if (panels.length > 0) await writeWhole(picture, dosePicture(name, panels, drawn));
  const where = relative("", home) || ".";
  const more = panels.length > 0 ? `; a picture: ${where}/dose.svg` : "";
  printResult(
    { study: name, folder: where, prepared: made, tables: tables.map(tableData) },
    () =>
      `${tables.map((table) => printTable(table)).join("\n\n")}${cost}\n\nthe tables: ${where}/dose.md and .csv${more}`,
  );
}

async function doseOf({ setting, study }: StudyPart, out: string): Promise<DosePart> {
  const rows = await rowsOf(study, out);
  const seconds = new Map<string, number>();
  for (const [i, row] of rows.entries()) {
    const took = await trained(study.rows[i].tasks, out);
    if (took !== undefined) seconds.set(titleOf(row), took);
  }
  return { setting, relations: relationsOf(rows), rows, seconds };
}

/** Mean seconds of training of the runs that say so. */
async function trained(
  tasks: Study["rows"][number]["tasks"],
  out: string,
): Promise<number | undefined> {
  const found: number[] = [];
  for (const { name } of tasks) {
    const { seconds } = await readResults(new RunFolder(join(out, name)).file("results.json"));
    if (seconds !== undefined) found.push(seconds.training);
  }
  return found.length === 0 ? undefined : found.reduce((sum, one) => sum + one, 0) / found.length;
}

/** The relations that the facts of the first row are of; all rows of a setting are about the same facts. */
function relationsOf([row]: readonly Row[]): RelationRow[] {
  const own = groupBy(row.runs[0].facts, ({ relation }) => relation);
  return [...own].map(([id, facts]) => ({ id, label: id, type: "", facts: facts.length }));
}
