/** Writes the tables and the page of a study again: `node tools/report.ts --help`. */
import { resolve } from "node:path";
import { checkDevice, DEVICE_OPTIONS, deviceOf, UsageError } from "../lib/cli.ts";
import { commandOf, type Line } from "../lib/command.ts";
import { readPlan, writeReport } from "../lib/study-report.ts";

const TOOL = "report";

async function main({ values, positionals }: Line<keyof typeof DEVICE_OPTIONS>): Promise<number> {
  if (positionals.length !== 1) {
    throw new UsageError(
      `[${TOOL}] name the folder of one study, as in npx promptgen report runs/world`,
    );
  }
  checkDevice(TOOL, values);
  const out = resolve(positionals[0]);
  await writeReport(out, await readPlan(out), await deviceOf(TOOL, values));
  return 0;
}

export const command = commandOf({
  name: TOOL,
  about:
    "Writes the tables and the page of a study again, from the folders of its runs; nothing is trained or asked anew but which subjects' names give the object away.",
  operands: "STUDY",
  examples: [
    [
      "runs/world",
      "runs/world/report.html, one page that opens from a disk, and tables.txt, .md, .csv and .tex",
    ],
    ["runs/world --json > tables.json", "the tables for a program"],
  ],
  options: DEVICE_OPTIONS,
  writesFiles: true,
  run: main,
});
