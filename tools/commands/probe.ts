/** Does a run's prompt give the answer away? `node tools/probe.ts RUN...`. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { Device } from "../../engine/device.ts";
import { RunFolder } from "../../models/training/run-folder.ts";
import { methodOf } from "../../promptgen/methods/index.ts";
import { type Probed, probePrompts } from "../../promptgen/probe.ts";
import { percent } from "../../promptgen/report/figures.ts";
import { printTable } from "../../promptgen/report/table.ts";
import { bestPrompter, prepare, rowOf, savedPrompter } from "../../promptgen/run.ts";
import { checkContents, checkFiles, type RunFile, readRun } from "../../promptgen/run-file.ts";
import { accuracy, means, type Score } from "../../promptgen/scores.ts";
import {
  checkDevice,
  DEVICE_OPTIONS,
  deviceOf,
  modelDirectory,
  note,
  Progress,
  printResult,
  Rate,
  UsageError,
} from "../lib/cli.ts";
import { commandOf, type Line } from "../lib/command.ts";

const TOOL = "probe";

type Entry = { readonly folder: RunFolder; readonly run: RunFile };

async function probe(device: Device, { folder, run }: Entry): Promise<Probed[]> {
  const saved = savedPrompter(methodOf(run.options.method), folder);
  const prepared = await prepare(run.options, { saved, locate: (name) => modelDirectory(name) });
  checkContents(run, prepared.benchmark);
  const remarks = [...prepared.remarks, ...(await checkFiles(run, prepared.benchmark, folder))];
  for (const remark of remarks) note(remark);
  const prompter = await bestPrompter(prepared, device, folder);
  const rate = new Rate();
  let bar: Progress | undefined;
  let before = 0;
  const found = await probePrompts(device, prepared, prompter, {
    onProgress(done, all) {
      bar ??= new Progress(folder.path, all, 0, "facts/s");
      bar.update(done, "", rate.add(done - before));
      before = done;
    },
  });
  bar?.stop();
  if (!found) throw new Error(`[${TOOL}] stopped`);
  return found;
}

/** The mean over relations, per cent. */
const over = (found: readonly Probed[], of: (one: Probed) => Score): number =>
  means(
    found.map(({ relation }) => relation),
    new Map(found.map((one) => [one.relation.id, of(one)])),
  ).all;

/** The mean over relations of a figure, per cent. */
const figure = (found: readonly Probed[], name: string): number =>
  found.reduce((sum, { figures }) => sum + 100 * figures[name], 0) / found.length;

async function main({ values, positionals }: Line<keyof typeof DEVICE_OPTIONS>): Promise<number> {
  if (positionals.length === 0) {
    throw new UsageError(`[${TOOL}] no run was named; type npx promptgen probe RUN`);
  }
  const runs = await Promise.all(
    positionals.map(async (path): Promise<Entry> => {
      const folder = new RunFolder(resolve(path));
      const run = await readRun(folder);
      if (methodOf(run.options.method).scope === "all" && !existsSync(folder.best)) {
        throw new UsageError(
          `[${TOOL}] ${path} has no best/ yet: the run is not finished; go on with npx promptgen train --resume ${path}`,
        );
      }
      return { folder, run };
    }),
  );
  checkDevice(TOOL, values);
  const device = await deviceOf(TOOL, values);
  note(`device: ${device.description}`);
  const names = new Set<string>();
  const all: { readonly entry: Entry; readonly found: readonly Probed[] }[] = [];
  for (const entry of runs) {
    const found = await probe(device, entry);
    for (const { figures } of found) for (const name of Object.keys(figures)) names.add(name);
    all.push({ entry, found });
    await entry.folder.writeJson("probe.json", summaryOf(found));
  }
  const runsFound = all.map(({ entry: { folder, run }, found }) => ({
    folder: folder.path,
    row: rowOf(run.options),
    ...("alpha" in run.options.own ? { alpha: run.options.own.alpha } : {}),
    seed: run.options.seed,
    ...summaryOf(found),
  }));
  printResult({ runs: runsFound }, () => tables(all, [...names]));
  return 0;
}

/** probe.json. */
const summaryOf = (found: readonly Probed[]) => ({
  probe: over(found, (one) => one.probe),
  majority: over(found, (one) => one.majority),
  relations: Object.fromEntries(found.map(({ relation, ...own }) => [relation.id, own])),
});

/** A line a run; where it is one, the relations too. @param names of the figures */
function tables(
  all: readonly { readonly entry: Entry; readonly found: readonly Probed[] }[],
  names: readonly string[],
): string {
  const rows = all.map(({ entry, found }) => {
    const { options } = entry.run;
    return [
      entry.folder.path,
      rowOf(options),
      "alpha" in options.own ? String(options.own.alpha) : "",
      String(options.seed),
      percent(over(found, (one) => one.probe)),
      percent(over(found, (one) => one.majority)),
      ...names.map((name) => percent(figure(found, name))),
    ];
  });
  const head = ["run", "row", "alpha", "seed", "probe", "majority", ...names.map(words)];
  const columns = head.map(
    (title, i) => ({ head: title, align: i < 2 ? "left" : "right" }) as const,
  );
  return [
    "\nMeans over relations on the test facts, per cent:\n",
    printTable({ groups: [{ columns }], rows, rules: [] }),
    ...(all.length === 1 ? [`\n${byRelation(all[0].found)}`] : []),
  ].join("\n");
}

/** objectMass -> object mass */
const words = (name: string): string =>
  name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);

function byRelation(found: readonly Probed[]): string {
  const head = ["relation", "type", "label", "facts", "probe", "majority", "penalty"];
  const columns = head.map(
    (title, i) => ({ head: title, align: i < 3 ? "left" : "right" }) as const,
  );
  const rows = found.map(({ relation, probe: named, majority, l2 }) => [
    relation.id,
    relation.type,
    relation.label,
    String(named.total),
    percent(accuracy(named)),
    percent(accuracy(majority)),
    String(l2),
  ]);
  return printTable({ groups: [{ columns }], rows, rules: [] });
}

export const command = commandOf({
  name: TOOL,
  about:
    "Asks whether the prompts of finished runs of PromptGen give the answer away: a logistic regression learns to name the object by the mean distribution of the prompt's slots, without any masked LM.",
  operands: "RUN...",
  examples: [
    ["runs/world-alpha0-seed1 runs/world-alpha0.3-seed1", "two runs, a line each"],
    ["runs/world-alpha0-seed1", "one run, relation by relation"],
  ],
  options: DEVICE_OPTIONS,
  notes: `It learns from each relation's training facts, its penalty is chosen on the dev facts, the test facts are counted. Beside it stand what
the most frequent object names, and how much probability the slots give to the fact's own object and to all training objects of
its relation. Each run's folder gets probe.json, with the figures of each relation.`,
  writesFiles: true,
  run: main,
});
