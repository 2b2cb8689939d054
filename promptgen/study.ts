/**
 * A study: rows of a table, each a method with options, each run with some seeds. Read from a file in YAML, of which JSON is a part:
 *
 *     name: world
 *     world: true                                # take what suits the embedded world
 *     seeds: [1, 2, 3]
 *     options: { epochs: 5 }                     # of every row whose method has it
 *     rows:
 *       - { method: majority, seeds: [1] }
 *       - { method: promptgen, alpha: [0, 0.3] } # a list makes a row of each value
 *
 * It becomes a list of tasks, each a run in a folder of its own. Nothing here runs one. Of several settings each is a study of its
 * own: study-parts.ts.
 */
import { existsSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { groupBy } from "./facts/group-by.ts";
import { methodOf } from "./methods/index.ts";
import type { Method } from "./methods/method.ts";
import {
  chooseAmong,
  numberIn,
  type Option,
  type Options,
  type OptionValue,
  problemOf,
} from "./methods/options.ts";
import { titleOf } from "./report/rows.ts";
import { type RunOptions, rowOf, runOptions, SHARED_OPTIONS, WORLD } from "./run.ts";
import { parseYaml } from "./yaml-file.ts";

/** One run. */
export type Task = {
  /** Of its folder. */
  readonly name: string;
  readonly options: RunOptions;
};

/** One row of the tables: runs that differ in their seed. */
export type StudyRow = {
  /** As the file names it, else as the method does. */
  readonly name: string;
  readonly tasks: readonly Task[];
};

export type Study = {
  readonly name: string;
  /** The row that the others are tested against, by its title; each is tested against each where it is left out. */
  readonly against?: string;
  readonly rows: readonly StudyRow[];
};

const KEYS = [
  "name",
  "about",
  "world",
  "seeds",
  "against",
  "options",
  "rows",
  "settings",
  "prepare",
  "gates",
];
const ROW_KEYS = ["method", "name", "seeds"];
/** Options of every method's rows; seeds choose the seed. */
const optionNames = [...Object.keys(SHARED_OPTIONS).filter((name) => name !== "seed"), "relations"];
/** More of them are a mistake rather than a study. */
const MOST_TASKS = 10_000;
/** Characters of a folder's name that every file system takes, with what is put before and behind it while a file is written. */
const LONGEST_FOLDER = 180;
/** Characters of a name that becomes a folder's. */
const LONGEST_NAME = 100;

type Json = Readonly<Record<string, unknown>>;

/** What stands for {NAME} in options and rows. */
export type Standing = {
  readonly values: ReadonlyMap<string, string | number>;
  /** Folders among them, which need not be there yet. */
  readonly made: readonly string[];
};

const NOTHING: Standing = { values: new Map(), made: [] };

/**
 * Reads a study, or one part of it.
 * @param path of the file, which mistakes name; folders in it count from where it stands, if they are there
 * @param over options that count in place of those of the file, in every row whose method has them
 * @throws one sentence with file, line and key
 */
export function parseStudy(
  text: string,
  path: string,
  over: Options = {},
  standing: Standing = NOTHING,
): Study {
  const { values: file, fail } = parseYaml("study", text, path, {
    empty: "write name and rows",
    long: "name the file of a study, with a list of values in place of many rows",
  });
  for (const key of Object.keys(file)) {
    if (key !== "$schema" && !KEYS.includes(key))
      fail([key], `is not known here; ${chooseAmong(KEYS, key)}`);
  }
  const { name, about, world = false, seeds = [1], against } = file;
  const { options = {}, rows } = filledIn(file, standing.values, fail);
  if (typeof name !== "string" || !/^\w[\w.-]*$/.test(name)) {
    fail(["name"], "is no name of a folder; write letters, digits, points and dashes");
  }
  if (String(name).length > LONGEST_NAME) {
    fail(["name"], `has ${String(name).length} characters; write ${LONGEST_NAME} or fewer`);
  }
  if (typeof world !== "boolean") fail(["world"], `is ${shownAs(world)}; write true or false`);
  if (about !== undefined && typeof about !== "string") {
    fail(["about"], `is ${JSON.stringify(about)}; write a text`);
  }
  if (against !== undefined && typeof against !== "string") {
    fail(["against"], `is ${shownAs(against)}; write the title of a row`);
  }
  if (!isJson(options)) fail(["options"], "holds no options; write name: value");
  if (!Array.isArray(rows) || rows.length === 0) {
    fail(["rows"], "holds no rows; write a list of methods with their options");
  }
  const all = rows as readonly unknown[];
  const shared = { ...(options as Json), ...over };
  const methods = all.map((row, i) => {
    if (!isJson(row)) return fail(["rows", i], "is no row; write method: NAME and its options");
    const { method } = row;
    if (typeof method !== "string") return fail(["rows", i], "lacks method; write its name");
    return attempt(
      () => methodOf(method),
      (what) => fail(["rows", i, "method"], what),
    );
  });
  const has = (i: number, key: string): boolean =>
    optionNames.includes(key) || Object.hasOwn(methods[i].options, key);
  for (const key of Object.keys(shared)) {
    if (key === "seed") fail(["options", key], "is chosen by seeds; write seeds: [1, 2, 3]");
    if (methods.some((_, i) => has(i, key))) continue;
    if (Object.hasOwn(over, key)) {
      throw new Error(`[study] --${key} is an option of none of the methods in ${path}`);
    }
    const known = new Set(
      methods.flatMap((method) => [...optionNames, ...Object.keys(method.options)]),
    );
    fail(
      ["options", key],
      `is an option of none of the rows' methods; ${chooseAmong([...known], key)}`,
    );
  }
  let count = 0;
  const made = all.flatMap((row, i) => {
    const { method: _, name: title, seeds: own = seeds, ...given } = row as Json;
    if (title !== undefined && (typeof title !== "string" || !isTitle(title))) {
      const wanted = `a line of text with Latin letters or digits, ${LONGEST_NAME} characters at most`;
      fail(["rows", i, "name"], `is ${shownAs(title)}; write ${wanted}`);
    }
    const numbers = seedsOf(own, (what) =>
      fail(own === seeds ? ["seeds"] : ["rows", i, "seeds"], what),
    );
    for (const key of Object.keys(given)) {
      if (has(i, key)) continue;
      if (key === "seed") fail(["rows", i, key], "is chosen by seeds; write seeds: [1, 2, 3]");
      const known = [...ROW_KEYS, ...optionNames, ...Object.keys(methods[i].options)];
      fail(["rows", i, key], `is no option of ${methods[i].name}; ${chooseAmong(known, key)}`);
    }
    const common = Object.entries(shared).filter(([key]) => has(i, key));
    const settings = {
      ...Object.fromEntries(common),
      ...given,
      ...ofRow(over, (key) => has(i, key)),
    };
    const at = (key: string) => (Object.hasOwn(given, key) ? ["rows", i, key] : ["options", key]);
    for (const [key, value] of Object.entries(settings)) {
      const values = Array.isArray(value) ? value : [value];
      const isPlain = values.every((one) => typeof one === "string" || typeof one === "number");
      if (!isPlain || values.length === 0) {
        fail(at(key), `is ${shownAs(value)}; write a number or a text, or a list of them`);
      }
      for (const one of values) {
        const problem = problemOfKind(methods[i], key, one, path, standing.made);
        if (problem !== undefined) fail(at(key), `is ${shownAs(one)}; ${problem}`);
      }
    }
    const size = Object.values(settings).reduce<number>(
      (product, value) => product * (Array.isArray(value) ? value.length : 1),
      numbers.length,
    );
    count += size;
    if (count > MOST_TASKS) {
      fail(
        ["rows", i],
        `makes ${count} runs with those before it; write fewer values, ${MOST_TASKS} runs at most`,
      );
    }
    return grid(settings).map((values) => {
      const method = methods[i];
      const flat = (seed: number): Options => ({
        ...located(values, path),
        method: method.name,
        seed,
      });
      const runs = numbers.map((seed) =>
        attempt(
          () => runOptions(flat(seed), world === true),
          (what) => {
            const [, key, rest] = /^- (\S+) (is .*)$/.exec(what) ?? [];
            return key === undefined || !Object.hasOwn(settings, key)
              ? fail(["rows", i], what)
              : fail(at(key), rest);
          },
        ),
      );
      const lists = Object.keys(settings).filter((key) => Array.isArray(settings[key]));
      return { place: i, title: title as string | undefined, runs, varied: lists, values };
    });
  });
  const study: Study = {
    name: String(name),
    ...(typeof against === "string" ? { against } : {}),
    rows: rowsOf(made),
  };
  const titles = study.rows.map(titleOfRow);
  if (study.against !== undefined && !titles.includes(study.against)) {
    fail(["against"], `is no row's title; ${chooseAmong([...new Set(titles)], study.against)}`);
  }
  const [folders, named] = [new Map<string, number>(), new Map<string, number>()];
  study.rows.forEach((row, i) => {
    const { place } = made[i];
    for (const { name: folder } of row.tasks) {
      if (folder.length > LONGEST_FOLDER) {
        fail(
          ["rows", place],
          `makes a folder whose name has ${folder.length} characters; give it a shorter name`,
        );
      }
      const other = folders.get(folder);
      if (other !== undefined) {
        const how =
          other === place
            ? " twice; keep one of its values"
            : `, as rows[${other}] does; keep one, or give one another name`;
        fail(["rows", place], `makes the folder ${folder}${how}`);
      }
      folders.set(folder, place);
    }
    const other = named.get(titles[i]);
    if (other !== undefined) {
      fail(["rows", place], `is named ${titles[i]}, as rows[${other}] is; give one another name`);
    }
    named.set(titles[i], place);
  });
  return study;
}

/** Options and rows with their values for {NAME}: a text that is nothing else becomes the value itself. */
function filledIn(
  { options, rows }: Json,
  values: Standing["values"],
  fail: (keys: readonly (string | number)[], what: string) => never,
): { readonly options?: unknown; readonly rows?: unknown } {
  if (values.size === 0) return { options, rows }; // braces are text then
  const of = (value: unknown, keys: readonly (string | number)[]): unknown => {
    if (Array.isArray(value)) return value.map((one, i) => of(one, [...keys, i]));
    if (isJson(value)) {
      return Object.fromEntries(
        Object.entries(value).map(([key, one]) => [key, of(one, [...keys, key])]),
      );
    }
    if (typeof value !== "string") return value;
    const found = (name: string): string | number =>
      values.get(name) ??
      fail(
        keys,
        `has {${name}}, which is neither a setting nor a step; ${chooseAmong([...values.keys()], name)}`,
      );
    const [, whole] = /^\{([^{}]*)\}$/.exec(value) ?? [];
    if (whole !== undefined) return found(whole);
    return value.replace(/\{([^{}]*)\}/g, (_, name: string) => String(found(name)));
  };
  const filled = { options: of(options, ["options"]), rows: of(rows, ["rows"]) };
  return {
    ...(filled.options === undefined ? {} : { options: filled.options }),
    ...(filled.rows === undefined ? {} : { rows: filled.rows }),
  };
}

/** What cannot be a model's name. */
const PATH = /^\.{0,2}\//;

/** A value as the file would say it. */
function shownAs(value: unknown): string {
  const text = Number.isFinite(value) ? String(value) : (JSON.stringify(value) ?? "nothing");
  return text.length > 100 ? `${text.slice(0, 97)}...` : text;
}

const isTitle = (text: string): boolean =>
  /[a-z\d]/i.test(text) && text.length <= LONGEST_NAME && !/[\p{Cc}\u2028\u2029]/u.test(text);

/** What to write in place of a value that is of another kind than its option; undefined where it is of that kind. */
function problemOfKind(
  method: Method,
  key: string,
  value: OptionValue,
  path: string,
  made: readonly string[],
): string | undefined {
  if (key === "relations") {
    const isList = typeof value === "string" && value.split(",").every((id) => id.trim() !== "");
    return isList ? undefined : "write ids, as in P36,P17";
  }
  const option = Object.entries<Option>({ ...SHARED_OPTIONS, ...method.options }).find(
    ([name]) => name === key,
  )?.[1];
  if (option === undefined) return undefined;
  if (option.kind === "number") {
    const isText = typeof value === "string";
    const quotes = Number.isNaN(numberIn(String(value))) ? "" : ", without quotes";
    return isText ? `${problemOf(option, Number.NaN)}${quotes}` : undefined;
  }
  if (option.kind === "choice" || typeof value !== "string" || value === WORLD) return undefined;
  const isPath = PATH.test(value);
  if (value === "") return problemOf(option, value);
  if (option.kind === "model" && !isPath) return undefined;
  if (made.some((folder) => value === folder || value.startsWith(`${folder}/`))) return undefined;
  const homes = isPath ? [dirname(resolve(path)), "."] : ["."];
  return homes.some((home) => existsSync(resolve(home, value)))
    ? undefined
    : "which is not there; name a folder that is, from where the file stands as ./NAME, or a whole path";
}

const isJson = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** What `run` gives; its mistake is said by `fail`. */
function attempt<T>(run: () => T, fail: (what: string) => never): T {
  try {
    return run();
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error);
    return fail(what.replace(/^\[\w+\] /, "- "));
  }
}

const ofRow = (options: Options, has: (key: string) => boolean): Options =>
  Object.fromEntries(Object.entries(options).filter(([key]) => has(key)));

/** `3` stands for 1, 2, 3. */
function seedsOf(value: unknown, fail: (what: string) => never): readonly number[] {
  const isCount = typeof value === "number" && value <= MOST_TASKS;
  const list = isCount ? Array.from({ length: value }, (_, i) => i + 1) : value;
  const fits =
    Array.isArray(list) &&
    list.length > 0 &&
    list.every((one) => Number.isSafeInteger(one) && one >= 0);
  if (!fits) return fail(`is ${shownAs(value)}; write a list of whole numbers, or how many`);
  return [...new Set(list as number[])];
}

/** Every combination of the values of lists. */
function grid(settings: Json): Readonly<Record<string, OptionValue>>[] {
  let all: Record<string, OptionValue>[] = [{}];
  for (const [key, value] of Object.entries(settings)) {
    const values = (Array.isArray(value) ? value : [value]) as OptionValue[];
    all = all.flatMap((one) => values.map((own) => ({ ...one, [key]: own })));
  }
  return all;
}

/** Folders that stand beside the study's file. */
function located(values: Options, path: string): Options {
  const home = dirname(resolve(path));
  const at = (value: OptionValue) =>
    typeof value === "string" && PATH.test(value) && existsSync(resolve(home, value))
      ? resolve(home, value)
      : value;
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, at(value)]));
}

type Made = {
  /** Of the row in the file. */
  readonly place: number;
  readonly title: string | undefined;
  readonly runs: readonly RunOptions[];
  readonly varied: readonly string[];
  readonly values: Options;
};

/** Rows with their folders' names and titles: the method or the name that was given, and what tells it from its other rows. */
function rowsOf(made: readonly Made[]): StudyRow[] {
  const SHARED = [
    "reader",
    "objects",
    "reader-weights",
    "reader-dtype",
    "precision",
    "data",
    "relations",
  ];
  /** The values that the rows of a method have of an option. */
  const found = new Map<string, Set<unknown>>();
  for (const { runs, values } of made) {
    const [{ method, own }] = runs;
    const all = [...Object.entries(own), ...SHARED.map((key) => [key, values[key]] as const)];
    for (const [key, value] of all) {
      const name = `${method} ${key}`;
      found.set(name, (found.get(name) ?? new Set()).add(value));
    }
  }
  const rows = made.map(({ title, runs, varied, values }) => {
    const [options] = runs;
    const { method, own } = options;
    const isTold = (key: string): boolean =>
      varied.includes(key) ||
      (title === undefined && (found.get(`${method} ${key}`)?.size ?? 0) > 1);
    const keys = Object.keys(own).filter(isTold);
    const shared = SHARED.filter(isTold);
    const parts = [
      ...keys.map((key) => ({ key, value: String(own[key]) })),
      ...shared.flatMap((key) =>
        values[key] === undefined ? [] : [{ key, value: basename(String(values[key])) }],
      ),
    ];
    const slug = [title ?? method, ...parts.map(({ key, value }) => `${key}-${value}`)].join("-");
    const folder = slug
      .replace(/[^\w.]+/g, "-")
      .replace(/^[-.]+|[-.]+$/g, "")
      .toLowerCase();
    const tasks = runs.map((one) => ({ name: `${folder}-seed${one.seed}`, options: one }));
    return { name: title ?? rowOf(options), tasks, parts };
  });
  const titles = groupBy(rows, titleOfRow);
  return rows.map((row) => {
    const { name, tasks, parts } = row;
    const isAlone = titles.get(titleOfRow(row))?.length === 1;
    const more = isAlone ? [] : parts.filter(({ key }) => key !== "alpha");
    return { name: [name, ...more.map(({ key, value }) => `${key} ${value}`)].join(", "), tasks };
  });
}

/** As the tables name it. */
export function titleOfRow({ name, tasks }: StudyRow): string {
  const { alpha } = tasks[0].options.own;
  return titleOf({ name, ...(typeof alpha === "number" ? { alpha } : {}) });
}
