/**
 * facts.jsonl: what a run's prompter answered about each test fact, one line a fact. Tables, splits, tests between rows and the audit
 * are computed from it, so that none of them needs a model. facts.csv has the same for a spreadsheet.
 */
import { join } from "node:path";
import { printable, printableJson } from "../../models/errors.ts";
import { readText } from "../../models/formats/disk.ts";
import { writeWhole } from "../../models/formats/files.ts";
import type { Scores } from "../scores.ts";
import { type Cell, printTable, type Table } from "./table.ts";

/** The answer to one question about a fact. */
export type FactAnswer = {
  /** What stood for the subject. */
  readonly subject: string;
  readonly answer: string;
  /** Whether it is the object. */
  readonly right: boolean;
  /** Place of the object among the words that may be answers; 1 is the first. */
  readonly rank: number;
  /** log P(object), natural. */
  readonly logP: number;
};

/** One line. */
export type FactRow = {
  readonly relation: string;
  readonly subject: string;
  readonly object: string;
  /** The prompt in words, [X] for the subject and [Y] for the object. */
  readonly prompt: string;
  /** Asked with its own subject. */
  readonly own: FactAnswer;
  /** The most probable answers to that, with their probabilities, the first five. */
  readonly top: readonly (readonly [word: string, probability: number])[];
  /** Asked with something else for the subject, by the filler's name ("None", "other", ...); the prompt stays. */
  readonly fillers: Readonly<Record<string, FactAnswer>>;
  /** Further figures that a method gives about a fact, by name. */
  readonly figures?: Readonly<Record<string, number>>;
};

/** Whether the answer is one that only the own subject gives. */
export const isEarned = ({ own, fillers }: FactRow): boolean =>
  own.right && !Object.values(fillers).some(({ right }) => right);

/** What a fact counts for, 0 to 1; undefined where it was not asked. */
export type Value = (fact: FactRow) => number | undefined;

export const isRight: Value = ({ own }) => (own.right ? 1 : 0);
export const reciprocalRank: Value = ({ own }) => 1 / own.rank;
export const amongTen: Value = ({ own }) => (own.rank <= 10 ? 1 : 0);
export const rightWith =
  (filler: string): Value =>
  ({ fillers }) =>
    Object.hasOwn(fillers, filler) ? Number(fillers[filler].right) : undefined;

/** Values added up by relation: `correct` need not be whole. Facts without a value do not count. */
export function scoresOf(facts: readonly FactRow[], value: Value): Scores {
  const scores = new Map<string, { correct: number; total: number }>();
  for (const fact of facts) {
    const own = value(fact);
    if (own === undefined) continue;
    const score = scores.get(fact.relation) ?? { correct: 0, total: 0 };
    score.correct += own;
    score.total++;
    scores.set(fact.relation, score);
  }
  return scores;
}

/** What the rows of a run say together: means over relations, per cent. */
export type FactFigures = {
  /** Share of facts that are right with their own subject and wrong with every filler. */
  readonly subjectEarned: number;
  /** 100 / rank of the object. */
  readonly mrr: number;
  /** Share of facts whose object is among the first ten. */
  readonly precisionAt10: number;
};

/** Throws for no rows. */
export function factFigures(rows: readonly FactRow[]): FactFigures {
  if (rows.length === 0) throw new Error("[facts] there are no facts to count; ask some first");
  const over = (value: Value): number => {
    const shares = [...scoresOf(rows, value).values()].map(({ correct, total }) => correct / total);
    return (100 * shares.reduce((sum, share) => sum + share, 0)) / shares.length;
  };
  return {
    subjectEarned: over((row) => (isEarned(row) ? 1 : 0)),
    mrr: over(reciprocalRank),
    precisionAt10: over(amongTen),
  };
}

/** Right answers by relation: with the own subject, or with a filler; facts that were not asked with it do not count. */
export const factScores = (rows: readonly FactRow[], filler?: string): Scores =>
  scoresOf(rows, filler === undefined ? isRight : rightWith(filler));

/** Names of the fillers that any fact was asked with, in the order of the rows. */
export function fillersOf(rows: readonly FactRow[]): string[] {
  const names = new Set<string>();
  for (const { fillers } of rows) for (const name of Object.keys(fillers)) names.add(name);
  return [...names];
}

// Files

/** Writes facts.jsonl and facts.csv into a folder, each whole or not at all. */
export async function writeFactRows(folder: string, rows: readonly FactRow[]): Promise<void> {
  await writeWhole(join(folder, "facts.jsonl"), rows.map((row) => `${line(row)}\n`).join(""));
  await writeWhole(join(folder, "facts.csv"), `${printTable(factTable(rows), "csv")}\r\n`);
}

/** Keys in one order, whoever made the row. */
function line(row: FactRow): string {
  const { relation, subject, object, prompt, own, top, fillers, figures } = row;
  const ordered = (answer: FactAnswer): FactAnswer => ({
    subject: answer.subject,
    answer: answer.answer,
    right: answer.right,
    rank: answer.rank,
    logP: answer.logP,
  });
  const others = Object.entries(fillers).map(([name, answer]) => [name, ordered(answer)]);
  return JSON.stringify({
    relation,
    subject,
    object,
    prompt,
    own: ordered(own),
    top,
    fillers: Object.fromEntries(others),
    ...(figures === undefined ? {} : { figures }),
  });
}

/** The rows as a table: one line a fact, two columns a filler. */
export function factTable(rows: readonly FactRow[]): Table {
  const fillers = fillersOf(rows);
  const figures = [...new Set(rows.flatMap((row) => Object.keys(row.figures ?? {})))];
  const most = rows.reduce((count, { top }) => Math.max(count, top.length), 0);
  const places = Array.from({ length: most }, (_, i) => i);
  const heads = [
    ...["relation", "subject", "object", "answer", "right", "earned", "rank", "logP"],
    ...places.flatMap((i) => [`top ${i + 1}`, `p ${i + 1}`]),
    ...fillers.flatMap((name) => [`${name}: answer`, `${name}: right`]),
    ...figures,
    "prompt",
  ];
  const flag = (is: boolean) => (is ? "1" : "0");
  const number = (value: number | undefined) => (value === undefined ? null : String(value));
  return {
    groups: [{ columns: heads.map((head) => ({ head, align: "left" })) }],
    rows: rows.map((row) => [
      ...[row.relation, row.subject, row.object, row.own.answer, flag(row.own.right)],
      ...[flag(isEarned(row)), String(row.own.rank), String(row.own.logP)],
      ...places.flatMap((i): Cell[] => [row.top[i]?.[0] ?? null, number(row.top[i]?.[1])]),
      ...fillers.flatMap((name): Cell[] => {
        const answer = row.fillers[name];
        return answer ? [answer.answer, flag(answer.right)] : [null, null];
      }),
      ...figures.map((name) => number(row.figures?.[name])),
      row.prompt,
    ]),
  };
}

const REMEDY = "write it again with tools/evaluate.ts";

/**
 * Reads a facts.jsonl.
 * @throws one sentence with the file, the line and what stands there for whatever is no row, for a fact that stands there twice and
 * for no facts
 */
export async function readFactRows(path: string): Promise<FactRow[]> {
  const fail = (what: string, cause?: unknown): never => {
    throw new Error(`[facts] ${path} ${what}`, { cause });
  };
  const text = await readText(path, fail, "name the facts.jsonl of a run that has ended");
  const lines = text.split("\n");
  if (lines.pop() !== "") fail(`ends within line ${lines.length + 1}; ${REMEDY}`);
  if (lines.length === 0) fail(`holds no facts; ${REMEDY}`);
  const first = new Map<string, number>();
  return lines.map((own, i) => {
    const where = `${path}:${i + 1}`;
    const row = factRow(own, where);
    const key = JSON.stringify([row.relation, row.subject, row.object]);
    const before = first.get(key);
    if (before !== undefined) {
      throw new Error(
        `[facts] ${where} repeats the fact of line ${before} (${row.relation}: ${printable(row.subject)}); ${REMEDY}`,
      );
    }
    first.set(key, i + 1);
    return row;
  });
}

function factRow(text: string, where: string): FactRow {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new Error(`[facts] ${where} is not JSON: ${printable(text)}; ${REMEDY}`, { cause });
  }
  const unfit = (key: string, own: unknown, wanted: string): never => {
    const shown = own === undefined ? "missing" : printableJson(own);
    throw new Error(`[facts] ${where}: ${key} is ${shown} where ${wanted} is expected; ${REMEDY}`);
  };
  const object = (own: unknown, key: string): Readonly<Record<string, unknown>> =>
    typeof own === "object" && own !== null && !Array.isArray(own)
      ? (own as Readonly<Record<string, unknown>>)
      : unfit(key, own, "an object");
  const fields = (own: unknown, key: string, known: readonly string[]) => {
    const found = object(own, key);
    const other = Object.keys(found).find((name) => !known.includes(name));
    if (other === undefined) return found;
    throw new Error(`[facts] ${where}: ${printable(other)} is not known in ${key}; ${REMEDY}`);
  };
  const string = (own: unknown, key: string): string =>
    typeof own === "string" ? own : unfit(key, own, "text");
  const filled = (own: unknown, key: string): string => string(own, key) || unfit(key, own, "text");
  const number = (own: unknown, key: string): number =>
    typeof own === "number" ? own : unfit(key, own, "a number");
  const flag = (own: unknown, key: string): boolean =>
    typeof own === "boolean" ? own : unfit(key, own, "true or false");
  const rank = (own: unknown, key: string): number =>
    typeof own === "number" && Number.isSafeInteger(own) && own >= 1
      ? own
      : unfit(key, own, "a whole number of 1 or more");
  const answer = (own: unknown, key: string): FactAnswer => {
    const found = fields(own, key, ["subject", "answer", "right", "rank", "logP"]);
    const logP = number(found.logP, `${key}.logP`);
    return {
      subject: string(found.subject, `${key}.subject`),
      answer: filled(found.answer, `${key}.answer`),
      right: flag(found.right, `${key}.right`),
      rank: rank(found.rank, `${key}.rank`),
      logP: logP <= 0 ? logP : unfit(`${key}.logP`, logP, "a number of 0 or less"),
    };
  };
  const top = (own: unknown): FactRow["top"] => {
    const list = Array.isArray(own) ? own : unfit("top", own, "a list");
    return list.map((pair: unknown, i) => {
      const [word, probability, ...more]: unknown[] = Array.isArray(pair) ? pair : [];
      const isPair = typeof word === "string" && typeof probability === "number";
      if (isPair && more.length === 0 && probability >= 0 && probability <= 1.0001) {
        return [word, probability] as const;
      }
      return unfit(`top[${i}]`, pair, "a word with its probability");
    });
  };
  const named = <T>(own: unknown, key: string, read: (value: unknown, key: string) => T) =>
    Object.fromEntries(
      Object.entries(object(own, key)).map(([name, one]) => [name, read(one, `${key}.${name}`)]),
    );
  const known = ["relation", "subject", "object", "prompt", "own", "top", "fillers", "figures"];
  const found = fields(value, "the line", known);
  const row = {
    relation: filled(found.relation, "relation"),
    subject: filled(found.subject, "subject"),
    object: filled(found.object, "object"),
    prompt: filled(found.prompt, "prompt"),
    own: answer(found.own, "own"),
    top: top(found.top),
    fillers: named(found.fillers, "fillers", answer),
  };
  return found.figures === undefined
    ? row
    : { ...row, figures: named(found.figures, "figures", number) };
}
