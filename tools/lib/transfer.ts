/** What `evaluate --reader` does: asks another reader with the prompts of runs, and prints and saves what it answers. */
import { basename, join } from "node:path";
import type { Device } from "../../engine/device.ts";
import type { RunFolder } from "../../models/training/run-folder.ts";
import { loadBenchmark } from "../../promptgen/benchmark.ts";
import { comparison } from "../../promptgen/report/comparison.ts";
import { factFigures, factScores, writeFactRows } from "../../promptgen/report/fact-rows.ts";
import { relationRows } from "../../promptgen/report/relations.ts";
import { type Format, printTable, tableData } from "../../promptgen/report/table.ts";
import { sourcesOf } from "../../promptgen/run.ts";
import type { RunFile } from "../../promptgen/run-file.ts";
import { transfer } from "../../promptgen/transfer.ts";
import { modelDirectory, note, Progress, Rate } from "./cli.ts";
import { promptsOf } from "./prompts.ts";

/**
 * Asks the reader with the prompts of one run; its facts go into a folder of the run that is named after the reader. Gives what is to be
 * told of it, for programs and for people; undefined where it was stopped.
 */
export async function transferRun(
  tool: string,
  device: Device,
  { folder, run }: { readonly folder: RunFolder; readonly run: RunFile },
  { reader, format }: { readonly reader: string; readonly format: Format },
): Promise<{ readonly json: object; readonly text: string } | undefined> {
  const rows = await promptsOf(tool, folder, run, ["words"]);
  const sources = await sourcesOf({ ...run.options, reader }, (name) => modelDirectory(name));
  const benchmark = await loadBenchmark(sources);
  note(benchmark.answers);
  for (const remark of benchmark.remarks) note(remark);
  const rate = new Rate();
  const bar = new Progress(folder.path, rows.length, 0, "facts/s");
  let before = 0;
  const done = await transfer(device, benchmark, rows, run.options.seed, {
    onProgress(count) {
      bar.update(count, "", rate.add(count - before));
      before = count;
    },
  }).finally(() => bar.stop());
  if (!done) return undefined;
  const { asked, relations } = done;
  note(done.counts);
  for (const remark of asked.remarks) note(remark);
  const name = basename(sources.reader).replace(/[^\w.-]/g, "_");
  const place = join(folder.path, `transfer-${name}-${benchmark.contents.reader.slice(0, 8)}`);
  await writeFactRows(place, asked.rows);
  const columns = [
    { title: "own reader", scores: factScores(done.before) },
    { title: "other", scores: factScores(asked.rows) },
    { title: 'other "None"', scores: factScores(asked.rows, "None") },
  ];
  const title = `Transfer of ${folder.path} to ${reader}: accuracy on the facts that both were asked, per cent`;
  const table = comparison(relationRows(relations), columns);
  const titled = { ...table, title };
  const [own, other] = [done.before, asked.rows].map((one) => factFigures(one).subjectEarned);
  const earned = `subject-earned ${own.toFixed(1)} with its own reader, ${other.toFixed(1)} here`;
  return {
    json: {
      folder: folder.path,
      facts: place,
      subjectEarned: { own, other },
      ...tableData(titled),
    },
    text: `\n${printTable(titled, format)}\n\n${earned}\nfacts in ${place}\n`,
  };
}
