/** Writes the tables and the page of a study again: `node tools/report.ts --help`. */
import { resolve } from "node:path";
import {
  checkDevice,
  commandLine,
  DEVICE_OPTIONS,
  deviceOf,
  optionHelp,
  runTool,
  UsageError,
} from "../lib/cli.ts";
import { readPlan, writeReport } from "../lib/study-report.ts";

const TOOL = "report";

const HELP = `Writes the tables and the page of a study again, from the folders of its runs; nothing is trained or asked anew but
which subjects' names give the object away.

  npx node tools/report.ts runs/world
      runs/world/report.html, one page that opens from a disk and asks nobody for anything, its first drawing as rows.svg, and tables.txt, .md,
      .csv and .tex

Options
${optionHelp(DEVICE_OPTIONS)}
`;

async function main(): Promise<number> {
  const line = commandLine(TOOL, DEVICE_OPTIONS, HELP);
  if (!line) return 0;
  const { values, positionals } = line;
  if (positionals.length !== 1) {
    throw new UsageError(
      `[${TOOL}] name the folder of one study, as in npx node tools/report.ts runs/world`,
    );
  }
  checkDevice(TOOL, values);
  const out = resolve(positionals[0]);
  await writeReport(out, await readPlan(out), await deviceOf(TOOL, values));
  return 0;
}

await runTool(main, { writesFiles: true });
