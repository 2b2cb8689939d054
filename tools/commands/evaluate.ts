/** The paper's tables beside what runs score on the test facts: `node tools/evaluate.ts RUN...`. */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Device } from "../../engine/device.ts";
import { loadTemplates, type TemplateSet } from "../../promptgen/facts/templates.ts";
import { loadSystem, type System } from "../../promptgen/methods/promptgen/system.ts";
import { Examiner, templateScores } from "../../promptgen/methods/promptgen/trainer.ts";
import {
  majorityScores,
  means,
  type Result,
  relationRows,
  report,
  type Score,
  type Scores,
} from "../../promptgen/report/report.ts";
import { RunFolder } from "../../promptgen/training/run-folder.ts";
import {
  commandLine,
  DEVICE_OPTIONS,
  deviceOf,
  type OptionSpec,
  optionHelp,
  Progress,
  Rate,
  runTool,
  UsageError,
} from "../lib/cli.ts";
import { table } from "../lib/summary.ts";
import { loadGenerator, located, type RunFile, readRun, sourcesOf } from "./runs.ts";

const TOOL = "evaluate";

const OPTIONS = {
  ...DEVICE_OPTIONS,
} satisfies Record<string, OptionSpec>;

const HELP = `Asks the test facts with the best generator of each run, and prints the paper's Tables 1, 2 and 4: what was
measured, the paper's figure, the difference. Rows that were not run say so. Several runs of one alpha (seeds) are added up
in the tables, and their mean and standard deviation stand below. Each run's folder gets results.json.

  npx node tools/evaluate.ts runs/world-alpha0.3-seed1
  npx node tools/evaluate.ts runs/*            seeds and alphas together

Options
${optionHelp(OPTIONS)}
`;

/** The best generator of one run on the test facts. */
interface RunResult {
  readonly path: string;
  readonly run: RunFile;
  readonly best: { readonly step: number; readonly score: number } | undefined;
  readonly scores: Scores;
  readonly none: Scores;
  readonly distinct: number;
}

/** Rows that need no training: the majority object and the templates that the data folder has. */
async function fixedResults(device: Device, system: System, data: string): Promise<Result[]> {
  const results: Result[] = [
    { method: "Majority", scores: majorityScores(system.relations) },
    { method: "Manual", scores: await templateScores(device, system) },
  ];
  const sets = [
    ["LPAQA", "LPAQA"],
    ["AutoPrompt", "AutoPrompt (5 [T]s)"],
  ] as const satisfies readonly (readonly [TemplateSet, string])[];
  for (const [set, method] of sets) {
    if (!existsSync(join(data, "relation_metainfo", `${set}_relations.jsonl`))) continue;
    const templates = await loadTemplates(data, set);
    if (!system.relations.every(({ id }) => templates.has(id))) continue;
    const of = ({ id, template }: { id: string; template: string }) =>
      templates.get(id) ?? template;
    results.push({ method, scores: await templateScores(device, system, of) });
  }
  return results;
}

/** Correct and total of several runs, added up. */
function added(all: readonly Scores[]): Scores {
  const sum = new Map<string, Score>();
  for (const scores of all) {
    for (const [id, { correct, total }] of scores) {
      const before = sum.get(id) ?? { correct: 0, total: 0 };
      sum.set(id, { correct: before.correct + correct, total: before.total + total });
    }
  }
  return sum;
}

function meanAndDeviation(values: readonly number[]): string {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  if (values.length === 1) return mean.toFixed(1);
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return `${mean.toFixed(1)} ± ${Math.sqrt(squares / (values.length - 1)).toFixed(1)}`;
}

/** One row a run, and the mean of each alpha with its standard deviation (over n - 1). */
function runTable(system: System, results: readonly RunResult[]): string {
  const { relations } = system;
  const row = ({ run, path, best, scores, none, distinct }: RunResult) => [
    path,
    String(run.options.alpha),
    String(run.options.seed),
    best ? best.score.toFixed(1) : "-",
    means(relations, scores).all.toFixed(1),
    means(relations, none).all.toFixed(1),
    String(distinct),
  ];
  const head = ["run", "alpha", "seed", "dev", "test", '"None"', "prompts"];
  const blocks = byAlpha(results).map(([alpha, own]) => {
    const over = (pick: (result: RunResult) => Scores) =>
      meanAndDeviation(own.map((result) => means(relations, pick(result)).all));
    const last = [
      `mean of ${own.length}`,
      String(alpha),
      "",
      "",
      over(({ scores }) => scores),
      over(({ none }) => none),
      "",
    ];
    return table(head, [...own.map(row), last], 1);
  });
  return blocks.join("\n\n");
}

const byAlpha = (results: readonly RunResult[]): [number, RunResult[]][] =>
  [...Map.groupBy(results, ({ run }) => run.options.alpha)].sort(([a], [b]) => a - b);

async function evaluate(
  device: Device,
  examiner: Examiner,
  system: System,
  { folder, run }: { folder: RunFolder; run: RunFile },
): Promise<RunResult> {
  const { test } = system.items;
  await loadGenerator(device, system, folder.best);
  const rate = new Rate();
  const bar = new Progress(folder.path, test.length, 0, "facts/s");
  let before = 0;
  const measured = await examiner.measure(test, {
    onProgress(done) {
      bar.update(done, "", rate.add(done - before));
      before = done;
    },
  });
  bar.stop();
  if (!measured) throw new Error(`[${TOOL}] stopped`);
  const evaluations = (await folder.readLog()).filter(({ best }) => best === true);
  const last = evaluations.at(-1);
  const best = last && { step: last.step, score: Number(last.devAccuracy) };
  const { scores, none, distinct } = measured;
  return { path: folder.path, run, best, scores, none, distinct };
}

async function main(): Promise<number> {
  const line = commandLine(TOOL, OPTIONS, HELP);
  if (!line) return 0;
  const { values, positionals } = line;
  if (positionals.length === 0) {
    throw new UsageError(`[${TOOL}] no run was named; type npx node tools/evaluate.ts RUN`);
  }
  const runs = await Promise.all(
    positionals.map(async (path) => {
      const folder = new RunFolder(resolve(path));
      return { folder, run: await readRun(folder) };
    }),
  );
  const [first] = runs;
  const shared = ({ run }: { run: RunFile }): string =>
    JSON.stringify([run.options.m, run.options.n, run.contents.data, run.contents.mlm]);
  const other = runs.find((entry) => shared(entry) !== shared(first));
  if (other) {
    throw new UsageError(
      `[${TOOL}] ${other.folder.path} differs from ${first.folder.path} in the facts, the masked LM, m or n; evaluate them one by one`,
    );
  }
  const options = { ...first.run.options, generator: first.folder.best };
  const sources = sourcesOf(await located(options));
  const system = await loadSystem(sources);
  const device = await deviceOf(TOOL, values);
  console.log(`device: ${device.description}`);
  for (const remark of system.remarks) console.log(remark);
  const fixed = await fixedResults(device, system, sources.data);
  const examiner = new Examiner(device, system);
  const results: RunResult[] = [];
  for (const entry of runs) {
    const result = await evaluate(device, examiner, system, entry);
    results.push(result);
    const plain = (scores: Scores) => Object.fromEntries(scores);
    await entry.folder.writeJson("results.json", {
      options: entry.run.options,
      best: result.best,
      test: {
        ...Object.fromEntries(fixed.map(({ method, scores }) => [method, plain(scores)])),
        PromptGen: plain(result.scores),
        None: plain(result.none),
      },
      distinctPrompts: result.distinct,
    });
  }
  const generated = byAlpha(results).map(([alpha, own]): Result => {
    const scores = added(own.map((result) => result.scores));
    return { method: "PromptGen", alpha, scores, none: added(own.map(({ none }) => none)) };
  });
  console.log(`\n${report(relationRows(system.relations), [...fixed, ...generated])}`);
  console.log(`\n${runTable(system, results)}`);
  return 0;
}

await runTool(main);
