/** The paper's tables beside what runs score on the test facts: `node tools/evaluate.ts RUN...`. */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Device } from "../../engine/device.ts";
import { printable } from "../../models/errors.ts";
import { RunFolder } from "../../models/training/run-folder.ts";
import {
  type Benchmark,
  itemsOf,
  loadBenchmark,
  NONE,
  type ReaderKind,
  withReader,
} from "../../promptgen/benchmark.ts";
import { groupBy } from "../../promptgen/facts/group-by.ts";
import { countLeftOut, type LeftOut, listed } from "../../promptgen/facts/left-out.ts";
import type { Measured } from "../../promptgen/measure.ts";
import { memoryOfAsking } from "../../promptgen/memory.ts";
import { methodOf } from "../../promptgen/methods/index.ts";
import {
  type FactRow,
  factFigures,
  factScores,
  writeFactRows,
} from "../../promptgen/report/fact-rows.ts";
import { spread } from "../../promptgen/report/figures.ts";
import { type Results, readResults, resultsOf } from "../../promptgen/report/results.ts";
import type { Row } from "../../promptgen/report/rows.ts";
import {
  FORMATS,
  type Format,
  printTable,
  printTables,
  tableData,
} from "../../promptgen/report/table.ts";
import {
  bestPrompter,
  commonFacts,
  fewerFacts,
  flatOptions,
  foldersOf,
  type Prepared,
  prepareOn,
  prompterKey,
  readerKindOf,
  rowOf,
  SHARED_OPTIONS,
  savedPrompter,
  sourcesOf,
  warningsOf,
} from "../../promptgen/run.ts";
import { checkContents, checkFiles, type RunFile, readRun } from "../../promptgen/run-file.ts";
import { meanAndDeviation, means, type Scores } from "../../promptgen/scores.ts";
import { resultsOfFacts, TestAsker } from "../../promptgen/test-facts.ts";
import { partsOf } from "../../promptgen/training/fingerprint.ts";
import {
  checkDevice,
  choiceOf,
  DEVICE_OPTIONS,
  deviceOf,
  modelDirectory,
  note,
  type OptionSpec,
  output,
  Progress,
  printResult,
  Rate,
  UsageError,
} from "../lib/cli.ts";
import { commandOf, type Line } from "../lib/command.ts";
import { promptsOf } from "../lib/prompts.ts";
import { rowTables } from "../lib/row-tables.ts";
import { checkedOptions, deviceFor } from "../lib/run-options.ts";
import { checkTrained, standOf } from "../lib/saved-run.ts";
import { transferRun } from "../lib/transfer.ts";

const TOOL = "evaluate";

const OPTIONS = {
  format: {
    value: "NAME",
    help: `of the tables: ${FORMATS.join(", ")}`,
    initial: "text",
    choices: FORMATS,
  },
  reader: {
    value: "DIR or NAME",
    help: "another masked LM, which is asked with the prompts of each run where they are words; nothing else is done then",
  },
  ...DEVICE_OPTIONS,
} satisfies Record<string, OptionSpec>;

/** A run on disk. */
type Entry = { readonly folder: RunFolder; readonly run: RunFile };

/** The best prompter of one run on the test facts. */
type RunResult = Entry & {
  readonly row: string;
  readonly alpha: number | undefined;
  readonly best: { readonly step: number; readonly score: number } | null;
  readonly measured: Measured;
  readonly facts: readonly FactRow[];
};

/** A row that takes no run. */
type FixedRow = { readonly row: string; readonly facts: readonly FactRow[] };

/** What can be asked of a reader without training: majority, and the templates that the data folder has. */
async function fixedResults(
  device: Device,
  benchmark: Benchmark,
  shared: RunFile["options"],
): Promise<FixedRow[]> {
  const wanted: [method: string, own: Record<string, string>][] = [["majority", {}]];
  wanted.push(["template", { templates: "manual" }]);
  for (const set of ["LPAQA", "AutoPrompt"]) {
    const file = join(benchmark.data, "relation_metainfo", `${set}_relations.jsonl`);
    if (existsSync(file)) wanted.push(["template", { templates: set }]);
  }
  const results: FixedRow[] = [];
  for (const [method, own] of wanted) {
    const { readerDtype = "f32" } = benchmark;
    const reader = { "reader-weights": "trained", "reader-dtype": readerDtype } as const;
    const options = { ...shared, ...reader, method, own };
    let prepared: Prepared;
    try {
      prepared = await prepareOn(benchmark, options);
    } catch (error) {
      // a published set that lacks a relation is no row
      note(error instanceof Error ? error.message : String(error));
      continue;
    }
    const fewer = fewerFacts(prepared, benchmark);
    if (fewer !== undefined) {
      note(fewer);
      continue;
    }
    const asker = TestAsker.ofRun(device, prepared, prepared.prompter);
    const asked = await asker.ask(shared.seed);
    if (asked) results.push({ row: rowOf(options), facts: asked.rows });
  }
  return results;
}

/** One row a run, and the mean of each method and alpha with its standard deviation (over n - 1). */
function runTable(benchmark: Benchmark, results: readonly RunResult[]): string {
  const { relations } = benchmark;
  const over = (scores: Scores): number => means(relations, scores).all;
  const text = (value: number | undefined): string => value?.toFixed(1) ?? "-";
  const head = ["run", "row", "alpha", "seed", "dev", "test", '"None"', "earned", "prompts"];
  const blocks = alike(results).map((own) => {
    const earned = own.map(({ facts }) => factFigures(facts).subjectEarned);
    const rows = own.map(({ folder, run, row, alpha, best, measured }, i) => [
      folder.path,
      row,
      alpha === undefined ? "" : String(alpha),
      String(run.options.seed),
      text(best?.score),
      text(over(measured.scores[0])),
      text(over(measured.scores[1])),
      text(earned[i]),
      String(measured.distinct),
    ]);
    const [{ row, alpha }] = own;
    const of = (filler: number) =>
      spread(meanAndDeviation(own.map(({ measured }) => over(measured.scores[filler]))));
    const shown = alpha === undefined ? "" : String(alpha);
    if (own.length > 1) {
      const mean = spread(meanAndDeviation(earned));
      rows.push([`mean of ${own.length}`, row, shown, "", "", of(0), of(1), mean, ""]);
    }
    const columns = head.map(
      (title, i) => ({ head: title, align: i < 2 ? "left" : "right" }) as const,
    );
    return printTable({
      groups: [{ columns }],
      rows,
      rules: [own.length],
    });
  });
  return blocks.join("\n\n");
}

/** Runs that differ in nothing but their seed together. */
const alike = (results: readonly RunResult[]): RunResult[][] => [
  ...groupBy(
    results.toSorted((a, b) => (a.alpha ?? 0) - (b.alpha ?? 0)),
    ({ run }) => JSON.stringify(Object.entries({ ...flatOptions(run.options), seed: 0 }).sort()),
  ).values(),
];

/** A row of the tables for runs that are alike; options in which they differ from those before them of that name are in it. */
function rowName(own: readonly RunResult[], before: readonly (readonly RunResult[])[]): string {
  const [{ row, alpha, run }] = own;
  const same = before.find(([other]) => other.row === row && other.alpha === alpha);
  if (!same) return row;
  const first = flatOptions(same[0].run.options);
  const differing = Object.entries(flatOptions(run.options)).filter(
    ([name, value]) => name !== "seed" && first[name] !== value,
  );
  return `${row} (${differing.map(([name, value]) => `${name} ${value}`).join(", ")})`;
}

async function evaluate(
  device: Device,
  prepared: Prepared,
  askers: Map<string, TestAsker>,
  { folder, run }: Entry,
): Promise<RunResult> {
  const { benchmark } = prepared;
  const test = itemsOf(benchmark.relations, "test");
  const prompter = await bestPrompter(prepared, device, folder);
  // runs of one prompter share its plans
  const key = prompterKey(run.options);
  const kept = prompter === prepared.prompter ? askers.get(key) : undefined;
  const asker = kept ?? TestAsker.ofRun(device, prepared, prompter);
  askers.set(key, asker);
  const rate = new Rate();
  const bar = new Progress(folder.path, test.length, 0, "facts/s");
  let before = 0;
  const asked = await asker.ask(run.options.seed, {
    onProgress(done) {
      bar.update(done, "", rate.add(done - before));
      before = done;
    },
  });
  bar.stop();
  if (!asked) throw new Error(`[${TOOL}] stopped`);
  for (const remark of asked.remarks) note(`${folder.path}: ${remark}`);
  const { own } = run.options;
  const alpha = typeof own.alpha === "number" ? own.alpha : undefined;
  return {
    folder,
    run,
    row: rowOf(run.options),
    alpha,
    best: await bestOf(prepared, folder),
    measured: asked.measured,
    facts: asked.rows,
  };
}

/** The evaluation that chose the run's best prompter; where there is one a relation, the mean of them. */
async function bestOf(prepared: Prepared, folder: RunFolder): Promise<RunResult["best"]> {
  const found: { step: number; score: number }[] = [];
  for (const own of foldersOf(prepared, folder)) {
    const last = (await own.readLog()).findLast(({ best }) => best === true);
    if (last) found.push({ step: last.step, score: Number(last.devAccuracy) });
  }
  if (found.length === 0) return null;
  const score = found.reduce((sum, one) => sum + one.score, 0) / found.length;
  return { step: found.reduce((sum, one) => sum + one.step, 0), score };
}

async function main({ values, positionals }: Line<keyof typeof OPTIONS>): Promise<number> {
  const format = choiceOf<Format>(TOOL, "format", values.format ?? "text", FORMATS);
  if (positionals.length === 0) {
    throw new UsageError(`[${TOOL}] no run was named; type npx promptgen evaluate RUN`);
  }
  const runs = await Promise.all(
    positionals.map(async (path): Promise<Entry> => {
      const folder = new RunFolder(resolve(path));
      return { folder, run: await readRun(folder) };
    }),
  );
  const [first] = runs;
  const shared = ({ run: { contents, options } }: Entry): string =>
    JSON.stringify([contents.data, partsOf(contents.reader ?? "")[0], options.relations]);
  const other = runs.find((entry) => shared(entry) !== shared(first));
  if (other) {
    throw new UsageError(
      `[${TOOL}] ${other.folder.path} differs from ${first.folder.path} in the facts or the masked LM; evaluate them one by one`,
    );
  }
  checkDevice(TOOL, values);
  if (values.reader !== undefined) return transferAll(runs, values.reader, format, values);
  for (const { folder, run } of runs) checkTrained(TOOL, folder, run);
  const locate = (name: string) => modelDirectory(name);
  const sources = await sourcesOf(first.run.options, locate);
  const dtypes = new Set(runs.map(({ run }) => run.options["reader-dtype"]));
  // what is asked beside the runs is asked of the reader that all of them have, else of the whole one
  const plain: ReaderKind = { readerDtype: dtypes.size > 1 ? "f32" : [...dtypes][0] };
  const benchmark = await loadBenchmark({ ...sources, readerSeed: undefined, ...plain });
  /** By the kind of reader: random weights and rounded ones are other readers, but asked about the same facts. */
  const kindKey = ({ readerSeed, readerDtype }: ReaderKind) =>
    JSON.stringify([readerSeed ?? "trained", readerDtype]);
  const benchmarks = new Map<string, Benchmark>([[kindKey(plain), benchmark]]);
  for (const { run } of runs) {
    const kind = readerKindOf(run.options);
    if (benchmarks.has(kindKey(kind))) continue;
    benchmarks.set(kindKey(kind), await withReader(benchmark, kind));
  }
  for (const { run } of runs) checkContents(run, benchmark);
  const unchecked: string[] = [];
  const prepared = new Map<string, Prepared>();
  for (const { folder, run } of runs) {
    unchecked.push(...(await checkFiles(run, benchmark, folder)));
    const key = prompterKey(run.options);
    if (prepared.has(key)) continue;
    const saved = savedPrompter(methodOf(run.options.method), folder);
    const own = benchmarks.get(kindKey(readerKindOf(run.options))) ?? benchmark;
    prepared.set(key, await prepareOn(own, run.options, { saved, locate }));
  }
  // every row is about the same facts
  const common = commonFacts(benchmark.relations, [...prepared.values()]);
  const { relations } = common;
  if (relations.length === 0) {
    throw new UsageError(
      `[${TOOL}] there is no fact that all runs can be asked; evaluate them one by one`,
    );
  }
  const asked = { ...benchmark, relations };
  const device = await deviceFor(TOOL, values, { benchmark }, () =>
    memoryOfAsking([...prepared.values()]),
  );
  note(`device: ${device.description}`);
  const remarks = new Set([...prepared.values()].flatMap((one) => one.remarks));
  note(benchmark.answers);
  for (const remark of [...remarks, ...unchecked]) note(remark);
  if (prepared.size > 1 && common.leftOut.length > 0) {
    const names = common.leftOut.map(
      ({ relation, fact }) => `${relation}: ${printable(fact.subject)}`,
    );
    note(
      `[data] facts that are left out, for one of the runs cannot be asked them: ${names.length} (${listed(names)})`,
    );
  }
  for (const { folder, run } of runs) {
    const stand = await standOf(TOOL, { method: methodOf(run.options.method), benchmark }, folder);
    if (stand !== "") note(stand);
  }
  const fixed = await fixedResults(device, asked, first.run.options);
  const askers = new Map<string, TestAsker>();
  const results: RunResult[] = [];
  const warned: string[] = [];
  const files: object[] = [];
  for (const entry of runs) {
    const key = prompterKey(entry.run.options);
    const made = prepared.get(key);
    if (!made) continue;
    const own = { ...made, benchmark: { ...made.benchmark, relations } };
    const result = await evaluate(device, own, askers, entry);
    results.push(result);
    const gone = new Set(made.benchmark.leftOut.map(({ fact }) => fact));
    const leftOut = [
      ...made.benchmark.leftOut,
      ...common.leftOut.filter(({ fact }) => !gone.has(fact)),
    ];
    const warnings = await warningsOf(own, entry.folder, result.measured);
    for (const warning of warnings) warned.push(`${entry.folder.path}: ${warning}`);
    const file = {
      ...resultsFile(result, own, leftOut, fixed, warnings),
      ...(await takenBy(entry.folder)),
    };
    await writeFactRows(entry.folder.path, result.facts);
    await entry.folder.writeJson("results.json", file);
    files.push({ folder: entry.folder.path, ...file });
  }
  const groups = alike(results);
  const rows = groups.map((own, i): Row => {
    const [{ alpha }] = own;
    const name = rowName(own, groups.slice(0, i));
    const all = own.map(({ run, facts }) => ({ seed: run.options.seed, facts }));
    // a run and its copy are one
    const runs = all.filter(({ seed }, k) => all.findIndex((one) => one.seed === seed) === k);
    return { name, ...(alpha === undefined ? {} : { alpha }), runs };
  });
  const named = new Set(rows.map(({ name }) => name));
  const beside = fixed.flatMap(({ row, facts }): Row[] =>
    named.has(row) ? [] : [{ name: row, runs: [{ facts }] }],
  );
  const tables = await rowTables(device, asked, [...beside, ...rows]);
  // only text, which people read as it is, is kept narrow
  const width = format === "text" ? undefined : Number.POSITIVE_INFINITY;
  const wide = () => tables(Number.POSITIVE_INFINITY);
  const beneath = [runTable(asked, results), warned.join("\n")].filter((text) => text !== "");
  printResult(output.json ? { tables: wide().map(tableData), runs: files } : undefined, () =>
    format === "text"
      ? ["", printTables(tables(width), format), ...beneath.flatMap((text) => ["", text])].join(
          "\n",
        )
      : printTables(tables(width), format),
  );
  // behind what a program reads it would be no part of the format
  if (!output.json && format !== "text") for (const text of beneath) note(text);
  return 0;
}

/** Asks another reader with the prompts of every run. */
async function transferAll(
  runs: readonly Entry[],
  name: string,
  format: Format,
  values: Parameters<typeof deviceOf>[1],
): Promise<number> {
  const { reader } = checkedOptions(TOOL, { reader: SHARED_OPTIONS.reader }, { reader: name });
  for (const { folder, run } of runs) await promptsOf(TOOL, folder, run, ["words"]);
  const device = await deviceOf(TOOL, values);
  note(`device: ${device.description}`);
  const found: object[] = [];
  for (const entry of runs) {
    const told = await transferRun(TOOL, device, entry, { reader: String(reader), format });
    if (!told) continue;
    found.push(told.json);
    if (!output.json) console.log(told.text);
  }
  if (output.json) console.log(JSON.stringify({ reader, runs: found }));
  return 0;
}

const TAKEN = ["seconds", "memory", "stopped", "extended", "versions"] as const;
type Taken = Pick<Results, (typeof TAKEN)[number]>;

/** What the training took, and how it went, which its results.json tells and asking anew does not change. */
async function takenBy(folder: RunFolder): Promise<Taken> {
  if (!existsSync(folder.file("results.json"))) return {};
  // one that cannot be read is written anew, without them
  const found = await readResults(folder.file("results.json")).catch((): Partial<Results> => ({}));
  const kept = TAKEN.flatMap((name) => (found[name] === undefined ? [] : [[name, found[name]]]));
  return Object.fromEntries(kept);
}

function resultsFile(
  result: RunResult,
  { method, remarks }: Prepared,
  leftOut: readonly LeftOut[],
  fixed: readonly FixedRow[],
  warnings: readonly string[],
) {
  const { run, row, alpha, best, measured, facts } = result;
  const others = fixed.filter((other) => other.row !== row);
  return resultsOf({
    method: method.name,
    row,
    options: flatOptions(run.options),
    best,
    distinctPrompts: measured.distinct,
    warnings,
    rows: [
      ...others.map((other) => ({
        row: other.row,
        own: factScores(other.facts),
        fillers: { [NONE]: factScores(other.facts, NONE) },
      })),
      { row, alpha, ...resultsOfFacts(facts) },
    ],
    leftOut: countLeftOut(leftOut),
    remarks,
  });
}

export const command = commandOf({
  name: TOOL,
  about:
    "Asks the test facts with the best prompter of each run, of any method, and prints tables: accuracy by type of relation and by relation, what is right with something else for the subject, tests between rows, parts of the facts.",
  operands: "RUN...",
  examples: [
    ["runs/world-alpha0.3-seed1", "one run"],
    ["runs/*", "methods, seeds and alphas together, a row for runs that differ in their seed"],
    ["runs/NAME --reader FacebookAI/roberta-base", "its prompts asked of another masked LM"],
    ["runs/* --json > tables.json", "tables, and each run's results, for a program"],
  ],
  options: OPTIONS,
  notes: `The paper's figures stand beside where the facts are the paper's. Runs that differ in their seed alone make one row, mean and standard
deviation. Each run's folder gets results.json and, with a line for each fact, facts.jsonl and facts.csv. "earned" is the share of
facts that are right with their own subject and wrong with each of "None", another training subject, "It", "He", the mask and
nothing in its place.`,
  screen: 40,
  writesFiles: true,
  run: main,
});
