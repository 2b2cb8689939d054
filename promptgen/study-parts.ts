/**
 * A study of several parts: the same rows for each of some settings, on facts and models that its own steps make first.
 *
 *     settings:                                  # a part of each, in a folder of its own
 *       - { context: 0 }
 *       - { context: 1 }
 *     prepare:                                   # commands of promptgen, in this order; {here} is the step's own folder
 *       world: make-world --context {context} --out {here}
 *       reader: pretrain {world}/reader.jsonl --model {world}/bert --out {here} --resume
 *     options: { data: "{world}", reader: "{reader}/final" }
 *     gates:                                     # figures without which the rows say nothing
 *       - { row: Manual, least: 15, most: 60 }
 *
 * {NAME} stands for a value of the setting, or for the folder of a step. A file with neither settings nor steps has one part.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { chooseAmong, type Options } from "./methods/options.ts";
import { type Gate, holds, type Setting } from "./report/dose.ts";
import { parseStudy, type Study, titleOfRow } from "./study.ts";
import { parseYaml } from "./yaml-file.ts";

/** A command that makes what the runs of a part need. */
export type Step = {
  /** Of its folder. */
  readonly name: string;
  /** Where it writes. */
  readonly folder: string;
  readonly command: string;
  readonly arguments: readonly string[];
  /** Of its words and of the steps that it reads from: what was made by another key is something else. */
  readonly key: string;
};

/** The rows of one setting. */
export type StudyPart = {
  readonly setting: Setting;
  /** Its folder in that of the study; empty where the study has no settings. */
  readonly folder: string;
  readonly steps: readonly Step[];
  readonly study: Study;
};

export type StudyFile = {
  readonly name: string;
  readonly parts: readonly StudyPart[];
  readonly gates: readonly Gate[];
};

type Json = Readonly<Record<string, unknown>>;
type Fail = (keys: readonly (string | number)[], what: string) => never;

const isJson = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** What {NAME} may be. */
const NAME = /^[a-z][a-z\d-]*$/;
/** The step's own folder. */
const HERE = "here";
const MOST_PARTS = 200;
/** Where a part's steps write. */
const PREPARED = "prepared";

/**
 * Reads a study, whether it has parts or not.
 * @param path of the file, which mistakes name
 * @param over options that count in place of those of the file
 * @param home the study's folder, by its name
 * @throws one sentence with file, line and key
 */
export function parseStudyFile(
  text: string,
  path: string,
  over: Options,
  home: (name: string) => string,
): StudyFile {
  const { values: file, fail } = parseYaml("study", text, path, {
    empty: "write name and rows",
    long: "name the file of a study, with a list of values in place of many rows",
  });
  const { settings, prepare, gates = [] } = file;
  const all = settings === undefined ? [{}] : settingsOf(settings, fail);
  const name = String(file.name);
  const parts = all.map((setting): StudyPart => {
    const folder = folderOf(setting);
    const at = join(home(name), folder);
    const steps = prepare === undefined ? [] : stepsOf(prepare, setting, join(at, PREPARED), fail);
    const values = new Map<string, string | number>(Object.entries(setting));
    for (const step of steps) values.set(step.name, step.folder);
    const study = parseStudy(text, path, over, { values, made: steps.map((step) => step.folder) });
    return { setting, folder, steps, study };
  });
  return { name: parts[0].study.name, parts, gates: gatesOf(gates, parts, fail) };
}

function settingsOf(given: unknown, fail: Fail): Setting[] {
  if (!Array.isArray(given) || given.length === 0 || given.length > MOST_PARTS) {
    return fail(["settings"], `is no list of settings; write 1 to ${MOST_PARTS} of NAME: value`);
  }
  const seen = new Map<string, number>();
  return given.map((one: unknown, i) => {
    if (!isJson(one) || Object.keys(one).length === 0) {
      return fail(["settings", i], "is no setting; write NAME: value");
    }
    for (const [name, value] of Object.entries(one)) {
      if (!NAME.test(name) || name === HERE) {
        fail(
          ["settings", i, name],
          "is no name of a value; write small letters, digits and dashes",
        );
      }
      const isPlain =
        typeof value === "number" || (typeof value === "string" && /^[\w.-]+$/.test(value));
      if (!isPlain) fail(["settings", i, name], "is no number and no word; write one of both");
    }
    const [first] = given;
    const names = Object.keys(Object(first));
    const lacking = names.find((name) => !Object.hasOwn(one, name));
    const more = Object.keys(one).find((name) => !names.includes(name));
    if (lacking !== undefined || more !== undefined) {
      fail(["settings", i], `has not the names of the first; write ${names.join(", ")}`);
    }
    const folder = folderOf(one as Setting);
    const before = seen.get(folder);
    if (before !== undefined) fail(["settings", i], `is settings[${before}] again; keep one`);
    seen.set(folder, i);
    return one as Setting;
  });
}

const folderOf = (setting: Setting): string =>
  Object.entries(setting)
    .map(([name, value]) => `${name}-${value}`)
    .join("-");

function stepsOf(given: unknown, setting: Setting, home: string, fail: Fail): Step[] {
  if (!isJson(given)) return fail(["prepare"], "holds no steps; write NAME: COMMAND");
  const steps: Step[] = [];
  for (const [name, line] of Object.entries(given)) {
    const keys = ["prepare", name];
    if (!NAME.test(name) || name === HERE || Object.hasOwn(setting, name)) {
      fail(
        keys,
        "is no name of a step, or that of a setting; write small letters, digits and dashes",
      );
    }
    if (typeof line !== "string" || line.trim() === "") {
      fail(keys, "is no command; write one of promptgen's with its options");
    }
    const words = String(line).trim().split(/\s+/);
    if (words.some((word) => /["'\\]/.test(word))) {
      fail(keys, "has a quote or a backslash, which mean nothing here; leave them out");
    }
    const folder = join(home, name);
    const places = new Map([...steps.map((step) => [step.name, step] as const)]);
    const known = [...Object.keys(setting), ...places.keys(), HERE];
    const of = (word: string, place: (name: string) => string): string =>
      word.replace(/\{([^{}]*)\}/g, (_, key: string) => {
        if (Object.hasOwn(setting, key)) return String(setting[key]);
        if (key === HERE || places.has(key)) return place(key);
        return fail(
          keys,
          `has {${key}}, which stands for nothing here; ${chooseAmong(known, key)}`,
        );
      });
    if (!words.some((word) => word.includes(`{${HERE}}`))) {
      fail(keys, "does not say where it writes; give {here} to it, as in --out {here}");
    }
    // the same wherever the study's folder is
    const content = words.map((word) => of(word, (key) => places.get(key)?.key ?? `{${key}}`));
    const key = createHash("sha256").update(JSON.stringify(content)).digest("hex").slice(0, 16);
    const [command, ...rest] = words.map((word) =>
      of(word, (own) => places.get(own)?.folder ?? folder),
    );
    steps.push({ name, folder, command, arguments: rest, key });
  }
  return steps;
}

function gatesOf(given: unknown, parts: readonly StudyPart[], fail: Fail): Gate[] {
  if (!Array.isArray(given)) return fail(["gates"], "is no list; write row and least or most");
  const titles = parts[0].study.rows.map(titleOfRow);
  return given.map((one: unknown, i) => {
    if (!isJson(one)) return fail(["gates", i], "is no gate; write row and least or most");
    const { row, least = 0, most = 100, ...where } = one;
    if (typeof row !== "string" || !titles.includes(row)) {
      return fail(["gates", i, "row"], `is no row's title; ${chooseAmong(titles, String(row))}`);
    }
    for (const [key, value] of Object.entries({ least, most })) {
      if (typeof value === "number" && value >= 0 && value <= 100) continue;
      fail(["gates", i, key], "is no share; write a number from 0 to 100");
    }
    const asked = where as Setting;
    if (!parts.some(({ setting }) => holds(asked, setting))) {
      fail(["gates", i], "is for a setting that is not there; write values of settings");
    }
    return { row, least: Number(least), most: Number(most), where: asked };
  });
}
