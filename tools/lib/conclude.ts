/** The end of a run: its best prompter is asked the test facts, and what came out is saved and printed. */
import type { Device } from "../../engine/device.ts";
import type { Outcome } from "../../models/training/loop.ts";
import type { RunFolder } from "../../models/training/run-folder.ts";
import { type Item, itemsOf } from "../../promptgen/benchmark.ts";
import { countLeftOut } from "../../promptgen/facts/left-out.ts";
import type { Measured } from "../../promptgen/measure.ts";
import { comparison } from "../../promptgen/report/comparison.ts";
import { factFigures, writeFactRows } from "../../promptgen/report/fact-rows.ts";
import { relationRows } from "../../promptgen/report/relations.ts";
import { resultsOf } from "../../promptgen/report/results.ts";
import { printTable } from "../../promptgen/report/table.ts";
import {
  bestPrompter,
  examinerOf,
  fewerFacts,
  flatOptions,
  type Prepared,
  prepareOn,
  rowOf,
  runOptions,
  secondsOf,
  warningsOf,
} from "../../promptgen/run.ts";
import type { RunFile } from "../../promptgen/run-file.ts";
import { resultsOfFacts, TestAsker } from "../../promptgen/test-facts.ts";
import { note, output, Progress } from "./cli.ts";
import { explanation } from "./summary.ts";
import { SHOWN } from "./train-progress.ts";

/** Asks the test facts with the best prompter; saves what came out and prints it. False when the signal came. */
export async function conclude(
  device: Device,
  run: Prepared,
  { folder, file }: { readonly folder: RunFolder; readonly file: RunFile },
  outcome: Outcome,
  signal: AbortSignal,
  memory: { readonly device: number },
): Promise<boolean> {
  const { benchmark, method, options } = run;
  const { relations } = benchmark;
  const test = itemsOf(relations, "test");
  const asker = TestAsker.ofRun(device, run, await bestPrompter(run, device, folder));
  let bar: Progress | undefined;
  const asked = await asker.ask(options.seed, {
    signal,
    onProgress(done) {
      if (test.length < SHOWN) return;
      bar ??= new Progress("test facts", test.length, 0, "facts/s");
      bar.update(done, "", "");
    },
  });
  bar?.stop();
  if (!asked) return false;
  const { measured } = asked;
  for (const remark of asked.remarks) note(remark);
  const row = rowOf(options);
  const others = await baselines(device, run, signal);
  const shown = new Set(
    pick(
      relations,
      asked.facts.map(({ item }) => item),
    ),
  );
  if (signal.aborted) return false;
  const { best, step, steps, early = 0 } = outcome;
  const alpha = typeof options.own.alpha === "number" ? options.own.alpha : undefined;
  const rows = [
    ...others.map((other) => resultOf(other.row, other.measured)),
    { row, ...resultsOfFacts(asked.rows), alpha },
  ];
  const warnings = await warningsOf(run, folder, measured);
  const results = resultsOf({
    method: method.name,
    row,
    options: flatOptions(options),
    best,
    distinctPrompts: measured.distinct,
    warnings,
    rows,
    leftOut: countLeftOut(benchmark.leftOut),
    remarks: run.remarks,
    seconds: await secondsOf(run, folder),
    memory: {
      resident: process.resourceUsage().maxRSS * 1024,
      device: Math.max(memory.device, device.stats.bytes),
    },
    stopped: early > 0 ? { by: "patience", trainings: early, step, steps } : undefined,
    extended: file.extended,
    versions: file.versions,
  });
  await writeFactRows(folder.path, asked.rows);
  await folder.writeJson("results.json", results);
  if (output.json) return true;
  const chosen = best
    ? `best dev accuracy ${best.score.toFixed(1)} after step ${best.step} of ${steps}. `
    : "";
  console.log(`\n${chosen}Accuracy on ${test.length} test facts, per cent:\n`);
  const columns = [
    ...others.map((other) => ({
      title: other.row.toLowerCase(),
      scores: other.measured.scores[0],
    })),
    { title: row, scores: measured.scores[0] },
    { title: '"None"', scores: measured.scores[1] },
  ];
  console.log(printTable(comparison(relationRows(relations), columns)));
  const { subjectEarned, mrr, precisionAt10 } = factFigures(asked.rows);
  console.log(
    `\nsubject-earned ${subjectEarned.toFixed(1)}: right with the own subject and with nothing else in its place. ` +
      `MRR ${mrr.toFixed(1)}, P@10 ${precisionAt10.toFixed(1)}`,
  );
  console.log(
    `\n${measured.distinct} different prompts for ${test.length} facts. Some of them, in words (the most probable of each slot):`,
  );
  for (const one of asked.facts) {
    if (shown.has(one.item)) console.log(`\n${explanation(one, benchmark)}`);
  }
  if (warnings.length > 0) console.log(`\n${warnings.join("\n")}`);
  return true;
}

const resultOf = (row: string, { scores: [own, none] }: Measured) => ({
  row,
  own,
  fillers: { None: none },
});

/** The majority object and the manual template on the test facts, beside a method that is neither. */
async function baselines(
  device: Device,
  { benchmark, method, options }: Prepared,
  signal: AbortSignal,
): Promise<{ readonly row: string; readonly measured: Measured }[]> {
  const { own: _, ...shared } = options;
  const found: { row: string; measured: Measured }[] = [];
  for (const name of ["majority", "template"]) {
    if (name === method.name) continue;
    const other = await prepareOn(benchmark, runOptions({ ...shared, method: name }));
    const fewer = fewerFacts(other, benchmark);
    if (fewer !== undefined) {
      note(fewer);
      continue;
    }
    const test = itemsOf(benchmark.relations, "test");
    const measured = await examinerOf(device, other).measure(test, { signal });
    if (measured) found.push({ row: rowOf(other.options), measured });
  }
  return found;
}

/** One test fact of each of five relations, of different types where there are some. */
function pick(relations: Prepared["benchmark"]["relations"], test: readonly Item[]): Item[] {
  const step = Math.max(1, Math.floor(relations.length / 5));
  const chosen = relations.filter((_, i) => i % step === 0).slice(0, 5);
  return chosen.flatMap(({ id }) => test.filter((item) => item.relation.id === id).slice(0, 1));
}
