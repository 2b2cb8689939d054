/**
 * results.json: what a run scored on the test facts, in one shape for every method.
 *
 * It knows the file and the counts in it, and no model. Files that were written before the shape had a version are
 * read too, and come out in the new one. They hold {options, best?, test, distinctPrompts}, and `test` holds
 * {correct, total} by relation id for
 *
 *     a finished run    majority, manual, PromptGen, None
 *     an evaluated run  Majority, Manual, LPAQA?, "AutoPrompt (5 [T]s)"?, PromptGen, None
 *
 * where None is PromptGen asked with "None" for the subject.
 */
import { readText } from "../../models/formats/disk.ts";
import type { Split } from "../facts/facts.ts";
import { type LeftOutCounts, SPLITS } from "../facts/left-out.ts";
import type { Score, Scores } from "../scores.ts";
import type { FactFigures } from "./fact-rows.ts";
import type { Result } from "./paper-tables.ts";

export const RESULTS_VERSION = 2;

/** The name under which answers with "None" for the subject are counted. */
export const NONE_FILLER = "None";

/** Scores by relation id, as JSON holds them. */
export type Counts = Readonly<Record<string, Score>>;

/** One method's answers to the test facts. */
export type ResultsRow = {
  /** The row's name in the tables. */
  readonly row: string;
  /** Weight of the second loss term, for methods that have one. */
  readonly alpha?: number;
  /** Asked about each fact's own subject. */
  readonly own: Counts;
  /** Asked about something else in the subject's place, by what stood there. */
  readonly fillers: Readonly<Record<string, Counts>>;
  /** From facts.jsonl; absent where the row has none. */
  readonly figures?: FactFigures;
};

/** results.json. */
export type Results = {
  readonly version: typeof RESULTS_VERSION;
  /** The method that was run, by its name on the command line. */
  readonly method: string;
  /** Its row among `rows`; the others were asked in the same go. */
  readonly row: string;
  readonly options: Readonly<Record<string, unknown>>;
  /** The evaluation on the dev facts that chose what was asked; null for a method that chooses nothing. */
  readonly best: { readonly step: number; readonly score: number } | null;
  /** Test facts. */
  readonly facts: number;
  /** Different prompts for them; null where prompts are not counted. */
  readonly distinctPrompts: number | null;
  /** Sentences about a training that went wrong; absent where nothing did. */
  readonly warnings?: readonly string[];
  readonly rows: readonly ResultsRow[];
  /** Facts of the files that were not asked, by relation, reason and split. */
  readonly leftOut?: LeftOutCounts;
  /** What was said about facts and words that were left out. */
  readonly remarks?: readonly string[];
  /** Of the training, of all its processes. */
  readonly seconds?: RunSeconds;
  /** Of the process that ended it. */
  readonly memory?: RunMemory;
  /** Where patience ended its training, or those of some of its relations, before the last step. */
  readonly stopped?: RunStopped;
  /** What it had each time before it was extended; absent where it was not. */
  readonly extended?: readonly RunExtended[];
  /** What it ran on, in the order of its processes; several where it went on with another: it then has not the bits of one that did not. */
  readonly versions?: readonly Versions[];
};

/** An end before the last step. */
export type RunStopped = {
  readonly by: "patience";
  /** How many of its trainings: 1, or of its relations. */
  readonly trainings: number;
  /** Steps that were taken of how many, over all its trainings. */
  readonly step: number;
  readonly steps: number;
};

/** A run before it was extended: its epochs, and the steps of all its trainings. */
export type RunExtended = { readonly epochs: number; readonly step: number };

/** What a process of a run ran on. */
export type Versions = {
  readonly project: string;
  readonly node: string;
  readonly v8: string;
  readonly platform: string;
  /** As the device describes itself. */
  readonly device: string;
  /** The adapter and its driver, or the CPU's build. */
  readonly build: string;
  /** Of the package webgpu, where the device is one of it. */
  readonly webgpu?: string;
};

/** What a training took: its steps, and its evaluations on the dev facts. */
export type RunSeconds = { readonly training: number; readonly evaluating: number };

/** The most that was held, in bytes: resident of the process, and allocated on the device, which on the CPU is part of it. */
export type RunMemory = { readonly resident: number; readonly device: number };

/** What results are made from. */
export type ResultsParts = {
  readonly method: string;
  readonly row: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly best?: Results["best"] | undefined;
  readonly distinctPrompts?: number | null | undefined;
  readonly warnings?: readonly string[] | undefined;
  readonly rows: readonly {
    readonly row: string;
    readonly alpha?: number | undefined;
    readonly own: Scores;
    readonly fillers?: Readonly<Record<string, Scores>> | undefined;
    readonly figures?: FactFigures | undefined;
  }[];
  readonly leftOut?: LeftOutCounts;
  readonly remarks?: readonly string[];
  readonly seconds?: RunSeconds | undefined;
  readonly memory?: RunMemory | undefined;
  readonly stopped?: RunStopped | undefined;
  readonly extended?: readonly RunExtended[] | undefined;
  readonly versions?: readonly Versions[] | undefined;
};

/** Throws when `row` is not among the rows, or a row stands there twice. */
export function resultsOf({
  rows,
  best,
  distinctPrompts,
  leftOut,
  remarks,
  seconds,
  memory,
  stopped,
  extended = [],
  versions,
  warnings = [],
  ...run
}: ResultsParts): Results {
  const made = rows.map(({ row, alpha, own, fillers = {}, figures }): ResultsRow => {
    const asked = Object.entries(fillers).map(([name, scores]) => [name, countsOf(scores)]);
    const weight = alpha === undefined ? {} : { alpha };
    return {
      row,
      ...weight,
      own: countsOf(own),
      fillers: Object.fromEntries(asked),
      ...(figures === undefined ? {} : { figures }),
    };
  });
  const results: Results = {
    version: RESULTS_VERSION,
    method: run.method,
    row: run.row,
    options: run.options,
    best: best ?? null,
    facts: factsOf(made.find(({ row }) => row === run.row)),
    distinctPrompts: distinctPrompts ?? null,
    ...(warnings.length > 0 ? { warnings } : {}),
    rows: made,
    ...(leftOut === undefined ? {} : { leftOut }),
    ...(remarks === undefined ? {} : { remarks }),
    ...(seconds === undefined ? {} : { seconds }),
    ...(memory === undefined ? {} : { memory }),
    ...(stopped === undefined ? {} : { stopped }),
    ...(extended.length > 0 ? { extended } : {}),
    ...(versions === undefined ? {} : { versions }),
  };
  const wrong = inconsistency(results);
  if (wrong)
    throw new Error(`[results] ${wrong.key} ${wrong.what}; give the own row and each row once`);
  return results;
}

/** The rows as the tables take them. */
export function tableResults({ rows }: Results): Result[] {
  return rows.map(({ row, alpha, own, fillers }) => ({
    row,
    ...(alpha === undefined ? {} : { alpha }),
    scores: scoresOf(own),
    ...(Object.hasOwn(fillers, NONE_FILLER) ? { none: scoresOf(fillers[NONE_FILLER]) } : {}),
  }));
}

/**
 * Reads a results.json of any shape.
 * @throws one sentence with the file, the key and the remedy
 */
export async function readResults(path: string): Promise<Results> {
  const fail = (what: string, cause?: unknown): never => {
    throw new Error(`[results] ${path} ${what}`, { cause });
  };
  const text = await readText(path, fail, "name the results.json of a run that has ended");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new Error(`[results] ${path} is not JSON; write it again with tools/evaluate.ts`, {
      cause,
    });
  }
  try {
    return parsed(value);
  } catch (error) {
    if (!(error instanceof WrongKey)) throw error;
    throw new Error(`[results] ${path}: ${error.message}; ${error.remedy}`, { cause: error });
  }
}

const countsOf = (scores: Scores): Counts =>
  Object.fromEntries([...scores].map(([id, { correct, total }]) => [id, { correct, total }]));

const scoresOf = (counts: Counts): Scores => new Map(Object.entries(counts));

const factsOf = (row: ResultsRow | undefined): number =>
  Object.values(row?.own ?? {}).reduce((sum, { total }) => sum + total, 0);

/** What the types leave open: the own row is there, no row is there twice, `facts` is what the own row was asked. */
function inconsistency({ row, rows, facts }: Results): { key: string; what: string } | undefined {
  const names = rows.map((one) => one.row);
  const twice = names.findIndex((name, i) => names.indexOf(name) < i);
  if (twice >= 0) return { key: `rows[${twice}].row`, what: `repeats ${show(names[twice])}` };
  const own = rows.find((one) => one.row === row);
  if (!own) return { key: "row", what: `is ${show(row)}, which is none of the rows` };
  const asked = factsOf(own);
  if (asked !== facts) return { key: "facts", what: `is ${facts} where ${row} was asked ${asked}` };
  return undefined;
}

// Reading: a value that came from outside, and where in the file it stands

type Json = Readonly<Record<string, unknown>>;

const KEYS = ["version", "method", "row", "options", "best", "facts", "distinctPrompts", "rows"];
const OPTIONAL = [
  ...["warnings", "leftOut", "remarks", "seconds", "memory"],
  ...["stopped", "extended", "versions"],
];
/** Stands for a key where the value is all that the file holds. */
const WHOLE = "the file";

class WrongKey extends Error {
  readonly remedy: string;
  constructor(key: string, what: string, remedy = "write it again with tools/evaluate.ts") {
    super(`${key} ${what}`);
    this.remedy = remedy;
  }
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? "missing";
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}

const unexpected = (key: string, value: unknown, wanted: string): WrongKey =>
  new WrongKey(key, `is ${show(value)} where ${wanted} is expected`);

function object(value: unknown, key: string): Json {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Json;
  throw unexpected(key, value, "an object");
}

function string(value: unknown, key: string): string {
  if (typeof value === "string" && value !== "") return value;
  throw unexpected(key, value, "text");
}

function number(value: unknown, key: string): number {
  if (typeof value === "number") return value;
  throw unexpected(key, value, "a number");
}

function count(value: unknown, key: string): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw unexpected(key, value, "a whole number of 0 or more");
}

/** An object that holds all of `required`, and beside them nothing but `optional`. */
function fields(
  value: unknown,
  key: string,
  required: readonly string[],
  optional: readonly string[] = [],
): Json {
  const found = object(value, key);
  const path = (name: string) => (key === WHOLE ? name : `${key}.${name}`);
  const missing = required.find((name) => !Object.hasOwn(found, name));
  if (missing !== undefined) throw new WrongKey(path(missing), "is missing");
  const known = [...required, ...optional];
  const other = Object.keys(found).find((name) => !known.includes(name));
  if (other !== undefined) throw new WrongKey(path(other), "is not known here");
  return found;
}

/** Names and values of an object whose names are data: relations, fillers. */
function named<T>(
  value: unknown,
  key: string,
  read: (value: unknown, key: string) => T,
): Record<string, T> {
  const entries = Object.entries(object(value, key));
  return Object.fromEntries(entries.map(([name, own]) => [name, read(own, `${key}.${name}`)]));
}

function score(value: unknown, key: string): Score {
  const found = fields(value, key, ["correct", "total"]);
  const total = count(found.total, `${key}.total`);
  const correct = count(found.correct, `${key}.correct`);
  if (correct > total) throw unexpected(`${key}.correct`, correct, `${total}, the total, or less`);
  return { correct, total };
}

const counts = (value: unknown, key: string): Counts => named(value, key, score);

function best(value: unknown): Results["best"] {
  if (value === null || value === undefined) return null;
  const found = fields(value, "best", ["step", "score"]);
  return { step: count(found.step, "best.step"), score: number(found.score, "best.score") };
}

function resultsRow(value: unknown, key: string): ResultsRow {
  const found = fields(value, key, ["row", "own", "fillers"], ["alpha", "figures"]);
  const { alpha } = found;
  return {
    row: string(found.row, `${key}.row`),
    ...(alpha === undefined ? {} : { alpha: number(alpha, `${key}.alpha`) }),
    own: counts(found.own, `${key}.own`),
    fillers: named(found.fillers, `${key}.fillers`, counts),
    ...(found.figures === undefined ? {} : { figures: figures(found.figures, `${key}.figures`) }),
  };
}

function figures(value: unknown, key: string): FactFigures {
  const found = fields(value, key, ["subjectEarned", "mrr", "precisionAt10"]);
  const share = (name: string): number => {
    const own = number(found[name], `${key}.${name}`);
    if (own >= 0 && own <= 100) return own;
    throw unexpected(`${key}.${name}`, own, "a number from 0 to 100");
  };
  return {
    subjectEarned: share("subjectEarned"),
    mrr: share("mrr"),
    precisionAt10: share("precisionAt10"),
  };
}

const leftOutCounts = (value: unknown): LeftOutCounts =>
  named(value, "leftOut", (reasons, key) =>
    named(reasons, key, (splits, at) => {
      const found = fields(splits, at, SPLITS);
      const of = (split: Split) => count(found[split], `${at}.${split}`);
      return { train: of("train"), dev: of("dev"), test: of("test") };
    }),
  );

/** Numbers of 0 or more by these names. */
function amounts<K extends string>(
  value: unknown,
  key: string,
  names: readonly K[],
): Readonly<Record<K, number>> {
  const found = fields(value, key, names);
  const entries = names.map((name) => {
    const own = number(found[name], `${key}.${name}`);
    if (own >= 0) return [name, own];
    throw unexpected(`${key}.${name}`, own, "a number of 0 or more");
  });
  return Object.fromEntries(entries);
}

function stoppedOf(value: unknown): RunStopped {
  const { by, ...rest } = object(value, "stopped");
  if (by !== "patience") throw unexpected("stopped.by", by, '"patience"');
  return { by, ...amounts(rest, "stopped", ["trainings", "step", "steps"]) };
}

const VERSIONS = ["project", "node", "v8", "platform", "device", "build"] as const;

function versionsOf(value: unknown, key: string): Versions {
  const found = fields(value, key, VERSIONS, ["webgpu"]);
  const { webgpu } = found;
  const entries = VERSIONS.map((name) => [name, string(found[name], `${key}.${name}`)]);
  return {
    ...(Object.fromEntries(entries) as Record<(typeof VERSIONS)[number], string>),
    ...(webgpu === undefined ? {} : { webgpu: string(webgpu, `${key}.webgpu`) }),
  };
}

function list<T>(value: unknown, key: string, read: (value: unknown, key: string) => T): T[] {
  if (!Array.isArray(value)) throw unexpected(key, value, "a list");
  return value.map((one: unknown, i) => read(one, `${key}[${i}]`));
}

function sentences(value: unknown): string[] {
  if (!Array.isArray(value)) throw unexpected("remarks", value, "a list");
  return value.map((one: unknown, i) => string(one, `remarks[${i}]`));
}

function parsed(value: unknown): Results {
  const { version } = object(value, WHOLE);
  if (version === undefined) return fromUnversioned(value);
  if (version !== RESULTS_VERSION) {
    const what = `is ${show(version)} and only ${RESULTS_VERSION} is known here`;
    throw new WrongKey("version", what, "read it with the release that wrote it");
  }
  const found = fields(value, WHOLE, KEYS, OPTIONAL);
  if (!Array.isArray(found.rows)) throw unexpected("rows", found.rows, "a list");
  const { distinctPrompts, warnings } = found;
  if (warnings !== undefined && !Array.isArray(warnings)) {
    throw unexpected("warnings", warnings, "a list");
  }
  const results: Results = {
    version: RESULTS_VERSION,
    method: string(found.method, "method"),
    row: string(found.row, "row"),
    options: object(found.options, "options"),
    best: best(found.best),
    facts: count(found.facts, "facts"),
    distinctPrompts: distinctPrompts === null ? null : count(distinctPrompts, "distinctPrompts"),
    ...(warnings && { warnings: warnings.map((one, i) => string(one, `warnings[${i}]`)) }),
    rows: found.rows.map((row: unknown, i) => resultsRow(row, `rows[${i}]`)),
    ...(found.leftOut === undefined ? {} : { leftOut: leftOutCounts(found.leftOut) }),
    ...(found.remarks === undefined ? {} : { remarks: sentences(found.remarks) }),
    ...(found.seconds === undefined
      ? {}
      : { seconds: amounts(found.seconds, "seconds", ["training", "evaluating"]) }),
    ...(found.memory === undefined
      ? {}
      : { memory: amounts(found.memory, "memory", ["resident", "device"]) }),
    ...(found.stopped === undefined ? {} : { stopped: stoppedOf(found.stopped) }),
    ...(found.extended === undefined
      ? {}
      : {
          extended: list(found.extended, "extended", (one, key) =>
            amounts(one, key, ["epochs", "step"]),
          ),
        }),
    ...(found.versions === undefined
      ? {}
      : { versions: list(found.versions, "versions", versionsOf) }),
  };
  const wrong = inconsistency(results);
  if (wrong) throw new WrongKey(wrong.key, wrong.what);
  return results;
}

// What was written before there was a version

const OLD_METHOD = "PromptGen";
/** Names in `test` and what they are called now, for a finished run and for an evaluated one. */
const OLD_FINISHED = { majority: "Majority", manual: "Manual", [OLD_METHOD]: OLD_METHOD };
const OLD_EVALUATED = { Majority: "Majority", Manual: "Manual", [OLD_METHOD]: OLD_METHOD };
/** What an evaluated run has beside them where the facts come with such templates. */
const OLD_TEMPLATES = ["LPAQA", "AutoPrompt (5 [T]s)"];

function fromUnversioned(value: unknown): Results {
  const found = fields(value, WHOLE, ["options", "test", "distinctPrompts"], ["best"]);
  const options = object(found.options, "options");
  const finished = Object.hasOwn(object(found.test, "test"), "majority");
  const names: Readonly<Record<string, string>> = finished ? OLD_FINISHED : OLD_EVALUATED;
  const required = [...Object.keys(names), NONE_FILLER];
  const test = fields(found.test, "test", required, finished ? [] : OLD_TEMPLATES);
  const none = counts(test[NONE_FILLER], `test.${NONE_FILLER}`);
  const asked = Object.keys(test).filter((name) => name !== NONE_FILLER);
  const rows = asked.map((name): ResultsRow => {
    const own = counts(test[name], `test.${name}`);
    if (name !== OLD_METHOD) return { row: names[name] ?? name, own, fillers: {} };
    const alpha = number(options.alpha, "options.alpha");
    return { row: name, alpha, own, fillers: { [NONE_FILLER]: none } };
  });
  return {
    version: RESULTS_VERSION,
    method: "promptgen",
    row: OLD_METHOD,
    options,
    best: best(found.best),
    facts: factsOf(rows.find(({ row }) => row === OLD_METHOD)),
    distinctPrompts: count(found.distinctPrompts, "distinctPrompts"),
    rows,
  };
}
