/** Does a run's prompt give the answer away? `node tools/probe.ts RUN...`. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { Device } from "../../engine/device.ts";
import { methodOf } from "../../promptgen/methods/index.ts";
import { type Probed, probePrompts } from "../../promptgen/probe.ts";
import { percent } from "../../promptgen/report/figures.ts";
import { printTable } from "../../promptgen/report/table.ts";
import { bestPrompter, prepare, rowOf, savedPrompter } from "../../promptgen/run.ts";
import { checkContents, checkFiles, type RunFile, readRun } from "../../promptgen/run-file.ts";
import { accuracy, means, type Score } from "../../promptgen/scores.ts";
import { RunFolder } from "../../promptgen/training/run-folder.ts";
import {
  checkDevice,
  commandLine,
  DEVICE_OPTIONS,
  deviceOf,
  modelDirectory,
  optionHelp,
  Progress,
  Rate,
  runTool,
  UsageError,
} from "../lib/cli.ts";

const TOOL = "probe";

const HELP = `Asks whether the prompts of finished runs of PromptGen give the answer away. For each relation a logistic regression learns from the
training facts to name the object by the mean distribution of the prompt's slots, without any masked LM; its penalty is chosen on the
dev facts, the test facts are counted. Beside it stand what the most frequent object names, and how much probability the slots give to
the fact's own object and to all training objects of its relation. Each run's folder gets probe.json, with the figures of each relation.

  npx node tools/probe.ts runs/world-alpha0-seed1 runs/world-alpha0.3-seed1

Options
${optionHelp(DEVICE_OPTIONS)}
`;

type Entry = { readonly folder: RunFolder; readonly run: RunFile };

async function probe(device: Device, { folder, run }: Entry): Promise<Probed[]> {
  const saved = savedPrompter(methodOf(run.options.method), folder);
  const prepared = await prepare(run.options, { saved, locate: (name) => modelDirectory(name) });
  checkContents(run, prepared.benchmark);
  const remarks = [...prepared.remarks, ...(await checkFiles(run, prepared.benchmark, folder))];
  for (const remark of remarks) console.log(remark);
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

async function main(): Promise<number> {
  const line = commandLine(TOOL, DEVICE_OPTIONS, HELP);
  if (!line) return 0;
  const { values, positionals } = line;
  if (positionals.length === 0) {
    throw new UsageError(`[${TOOL}] no run was named; type npx node tools/probe.ts RUN`);
  }
  const runs = await Promise.all(
    positionals.map(async (path): Promise<Entry> => {
      const folder = new RunFolder(resolve(path));
      const run = await readRun(folder);
      if (methodOf(run.options.method).scope === "all" && !existsSync(folder.best)) {
        throw new UsageError(
          `[${TOOL}] ${path} has no best/ yet: the run is not finished; go on with npx node tools/train.ts --resume ${path}`,
        );
      }
      return { folder, run };
    }),
  );
  checkDevice(TOOL, values);
  const device = await deviceOf(TOOL, values);
  console.log(`device: ${device.description}`);
  const rows: (string | null)[][] = [];
  const names = new Set<string>();
  const all: { readonly entry: Entry; readonly found: readonly Probed[] }[] = [];
  for (const entry of runs) {
    const found = await probe(device, entry);
    for (const { figures } of found) for (const name of Object.keys(figures)) names.add(name);
    all.push({ entry, found });
    await entry.folder.writeJson("probe.json", {
      probe: over(found, (one) => one.probe),
      majority: over(found, (one) => one.majority),
      relations: Object.fromEntries(found.map(({ relation, ...own }) => [relation.id, own])),
    });
  }
  for (const { entry, found } of all) {
    const { options } = entry.run;
    rows.push([
      entry.folder.path,
      rowOf(options),
      "alpha" in options.own ? String(options.own.alpha) : "",
      String(options.seed),
      percent(over(found, (one) => one.probe)),
      percent(over(found, (one) => one.majority)),
      ...[...names].map((name) => percent(figure(found, name))),
    ]);
  }
  const head = ["run", "row", "alpha", "seed", "probe", "majority", ...[...names].map(words)];
  const columns = head.map(
    (title, i) => ({ head: title, align: i < 2 ? "left" : "right" }) as const,
  );
  console.log("\nMeans over relations on the test facts, per cent:\n");
  console.log(printTable({ groups: [{ columns }], rows, rules: [] }));
  if (all.length === 1) console.log(`\n${byRelation(all[0].found)}`);
  return 0;
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

await runTool(main, { writesFiles: true });
