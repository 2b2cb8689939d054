/** The packs of the page: the embedded world with the run that answers, what training starts from, and a pack for each other run. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { RunFolder } from "../../../models/training/run-folder.ts";
import { groupBy } from "../../../promptgen/facts/group-by.ts";
import { METHODS, methodOf } from "../../../promptgen/methods/index.ts";
import {
  flatOptions,
  type RunOptions,
  readerKindOf,
  rowOf,
  WORLD,
} from "../../../promptgen/run.ts";
import { readRun } from "../../../promptgen/run-file.ts";
import { embeddedWorld } from "../../../promptgen/world/world.ts";
import { UsageError } from "../../lib/cli.ts";
import { type PackedRun, packed } from "../../page/worker/pack.ts";

/** A run on disk that the page can ask. */
export type Source = { readonly folder: RunFolder; readonly options: RunOptions };

type Packing = { readonly path: string; readonly bytes: Uint8Array };

/** More is too much for a page. */
const LARGEST = 8 * 2 ** 20; // bytes

/**
 * The runs of a study that the page can ask: those of the embedded world that are finished.
 * @param remark is told a sentence about each run that another version has written
 * @throws UsageError for a folder without one of PromptGen
 */
export async function runsOf(study: string, remark: (text: string) => void): Promise<Source[]> {
  if (!existsSync(study))
    throw new UsageError(`[page] ${study} does not exist; name a study's folder`);
  const folders = readdirSync(study)
    .sort()
    .map((name) => new RunFolder(join(study, name)))
    .filter((folder) => folder.exists());
  const runs: Source[] = [];
  for (const folder of folders) {
    const options = await readRun(folder).then(
      (run) => run.options,
      (error) => remark(`${error.message}; it is left out`),
    );
    if (!options) continue;
    const { reader, data, relations } = options;
    const isWorld = [reader, data].every((place) => place === WORLD) && relations === "";
    const kind = readerKindOf(options);
    const isPlain = kind.readerSeed === undefined && kind.readerDtype === "f32";
    const isFinished = existsSync(folder.file("results.json"));
    if (isWorld && isPlain && isFinished) runs.push({ folder, options });
  }
  if (runs.some(({ options }) => options.method === "promptgen")) return runs;
  throw new UsageError(
    `[page] ${study} has no finished run of PromptGen in the embedded world; train one with npm start -- --out ${join(study, "promptgen")}`,
  );
}

/** Of runs that differ in their seed alone one: the best on the dev facts, then the one of the lowest seed. */
export async function bestSeeds(runs: readonly Source[]): Promise<Source[]> {
  const scored = await Promise.all(
    runs.map(async (run) => {
      const rows = await run.folder.readLog();
      const best = rows.findLast((row) => row.best === true);
      return { run, accuracy: Number(best?.devAccuracy ?? 0), none: Number(best?.devNone ?? 0) };
    }),
  );
  const groups = groupBy(scored, ({ run }) => {
    const { seed: _, ...rest } = flatOptions(run.options);
    return JSON.stringify(rest);
  });
  return [...groups.values()].map((own) => {
    const order = own.sort(
      (a, b) =>
        b.accuracy - a.accuracy || a.none - b.none || a.run.options.seed - b.run.options.seed,
    );
    return order[0].run;
  });
}

/** The one that answers: PromptGen with the paper's alpha, else any of PromptGen's. */
function answering(runs: readonly Source[]): Source {
  const own = runs.filter(({ options }) => options.method === "promptgen");
  return own.find(({ options }) => options.own.alpha === 0.3) ?? own[0];
}

/** As tables name it; PromptGen's alphas are rows of their own. */
function nameOf({ options }: Source): string {
  const { alpha } = options.own;
  return alpha === undefined ? rowOf(options) : `${rowOf(options)}, alpha ${alpha}`;
}

const filesBelow = (from: string, to: string): Packing[] =>
  readdirSync(from, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.startsWith("."))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .map((path) => ({ path: `${to}${path.slice(from.length)}`, bytes: readFileSync(path) }));

/** What of a run is asked: its best prompter, or one for each relation. */
function prompterFiles({ folder, options }: Source, key: string): Packing[] {
  if (methodOf(options.method).scope === "all")
    return filesBelow(folder.best, `/packed/${key}/best`);
  return readdirSync(folder.path)
    .map((id) => new RunFolder(folder.file(id)))
    .filter((own) => existsSync(own.best))
    .flatMap((own) =>
      filesBelow(own.best, `/packed/${key}${own.path.slice(folder.path.length)}/best`),
    );
}

/** Of the embedded world what asking and training need: its facts, its words and the masked LM. */
function worldFiles(): Packing[] {
  const { data, bert } = embeddedWorld();
  const folders = ["autoprompt_data", "LAMA-TREx", "relation_metainfo", "common_vocabs"];
  return [
    ...folders.flatMap((name) => filesBelow(join(data, name), `/world/${name}`)),
    ...filesBelow(bert, "/world/bert"),
  ];
}

/**
 * Writes the packs into a folder.
 * @param runs of which one of each group of seeds is taken
 * @returns a line about each pack
 */
export async function writePacks(runs: readonly Source[], folder: string): Promise<string[]> {
  mkdirSync(folder, { recursive: true });
  const chosen = await bestSeeds(runs);
  const first = answering(chosen);
  const place = ({ options }: Source) => METHODS.findIndex(({ name }) => name === options.method);
  const others = chosen.filter((run) => run !== first).sort((a, b) => place(a) - place(b));
  const described = [first, ...others].map((run, i) => {
    const key = `run-${i}`;
    const files = prompterFiles(run, key);
    const bytes = files.reduce((sum, one) => sum + one.bytes.length, 0);
    const entry: PackedRun = {
      key,
      row: nameOf(run),
      summary: methodOf(run.options.method).summary,
      options: flatOptions(run.options) as PackedRun["options"],
      file: i === 0 ? "first.pack" : `${key}.pack`,
      bytes,
    };
    return { entry, files };
  });
  const lines: string[] = [];
  const write = (name: string, bytes: Uint8Array, what: string) => {
    writeFileSync(join(folder, name), bytes);
    lines.push(`${name.padEnd(12)} ${(bytes.length / 1e6).toFixed(2).padStart(6)} MB  ${what}`);
  };
  const kept = described.filter(
    ({ entry, files }, i) => i === 0 || (files.length > 0 && entry.bytes <= LARGEST),
  );
  for (const { entry } of described.filter((one) => !kept.includes(one))) {
    lines.push(`left out     ${(entry.bytes / 1e6).toFixed(2).padStart(6)} MB  ${entry.row}`);
  }
  const [{ entry, files }, ...rest] = kept;
  const head = { runs: kept.map((one) => one.entry) };
  write("first.pack", packed(head, [...worldFiles(), ...files]), `the world and ${entry.row}`);
  write(
    "start.pack",
    packed({}, filesBelow(embeddedWorld().bart, "/world/bart")),
    "what training starts from",
  );
  for (const one of rest) write(one.entry.file, packed({}, one.files), one.entry.row);
  return lines;
}
