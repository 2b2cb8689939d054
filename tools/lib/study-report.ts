/** What a study ends in: its tables as files and its page; and STUDY/study.json, from which they can be made again. */
import { join, relative } from "node:path";
import type { Device } from "../../engine/device.ts";
import { writeWhole } from "../../models/formats/files.ts";
import { RunFolder } from "../../models/training/run-folder.ts";
import { loadBenchmark } from "../../promptgen/benchmark.ts";
import { studyPage } from "../../promptgen/report/page/page.ts";
import { rowsPicture } from "../../promptgen/report/page/picture.ts";
import { FORMATS, printTables, tableData } from "../../promptgen/report/table.ts";
import { sourcesOf } from "../../promptgen/run.ts";
import { readRun } from "../../promptgen/run-file.ts";
import type { Study, StudyRow } from "../../promptgen/study.ts";
import { modelDirectory, printResult } from "./cli.ts";
import { pageRows } from "./study-page.ts";
import { tablesOf } from "./study-tables.ts";
import { madeBy } from "./versions.ts";

/** A study of which all runs are there, and the command line that began it. */
export type Planned = { readonly study: Study; readonly command: string };

const PLAN = "study.json";
/** Characters of a table that fit a desk's screen, and a sheet across. */
const PAGE_WIDTH = 125;

/** Writes study.json: which runs make which row. */
export async function writePlan(out: string, study: Study, command: string): Promise<void> {
  const { name, against, rows } = study;
  const plan = {
    name,
    command,
    ...(against === undefined ? {} : { against }),
    rows: rows.map((row) => ({ name: row.name, runs: row.tasks.map((task) => task.name) })),
  };
  await writeWhole(join(out, PLAN), `${JSON.stringify(plan, null, 2)}\n`);
}

/**
 * Reads study.json and the options of the runs that it names.
 * @throws one sentence for what is no folder of a study
 */
export async function readPlan(out: string): Promise<Planned> {
  const plan = await new RunFolder(out).readJson(PLAN).catch((cause) => {
    throw new Error(
      `[report] ${out} holds no ${PLAN} that can be read; name the folder of a study that tools/study.ts has ended`,
      { cause },
    );
  });
  const unfit = (): never => {
    throw new Error(
      `[report] ${join(out, PLAN)} is not what tools/study.ts wrote; run the study again, which runs nothing twice`,
    );
  };
  const text = (value: unknown): string => (typeof value === "string" ? value : unfit());
  const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : unfit());
  const rows: StudyRow[] = [];
  for (const row of list(plan.rows)) {
    const { name, runs } = Object(row);
    const tasks: StudyRow["tasks"][number][] = [];
    for (const run of list(runs)) {
      const { options } = await readRun(new RunFolder(join(out, text(run))));
      tasks.push({ name: text(run), options });
    }
    rows.push({ name: text(name), tasks: tasks.length > 0 ? tasks : unfit() });
  }
  if (rows.length === 0) unfit();
  const { against } = plan;
  const own = against === undefined ? {} : { against: text(against) };
  return { study: { name: text(plan.name), ...own, rows }, command: text(plan.command) };
}

/** Writes the tables and the page into the study's folder, and prints the tables. */
export async function writeReport(
  out: string,
  { study, command }: Planned,
  device: Device,
): Promise<void> {
  const locate = (name: string) => modelDirectory(name);
  const sources = await sourcesOf(study.rows[0].tasks[0].options, locate);
  const benchmark = await loadBenchmark({ ...sources, readerSeed: undefined });
  const { relations, rows, tables } = await tablesOf(study, out, benchmark, device);
  const [narrow, wide] = [tables(), tables(Number.POSITIVE_INFINITY)];
  for (const format of FORMATS) {
    const ending = { text: "txt", markdown: "md", csv: "csv", latex: "tex" }[format];
    const own = format === "text" ? narrow : wide;
    await writeWhole(join(out, `tables.${ending}`), `${printTables(own, format)}\n`);
  }
  const page = studyPage({
    name: study.name,
    relations,
    tables: tables(PAGE_WIDTH),
    rows: await pageRows(study, out, rows, relations),
    made: [...madeBy(), ["Again", command]],
  });
  await writeWhole(join(out, "report.html"), page);
  await writeWhole(join(out, "rows.svg"), rowsPicture(study.name, relations, rows));
  const where = relative("", out) || ".";
  const json = { study: study.name, folder: where, page: `${where}/report.html` };
  printResult(
    { ...json, tables: wide.map(tableData) },
    () =>
      `${printTables(narrow)}\n\nthe page: ${where}/report.html; a picture: ${where}/rows.svg; the tables: ${where}/tables.md, .csv and .tex`,
  );
}
