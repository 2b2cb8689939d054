/**
 * Facts that a visitor pastes or drops, as text: a line a fact, of cells divided by tabs or commas, or of JSON. What is no fact is told
 * with its line and left out; nothing in a text is anything but text. Knows no file.
 */

import type { Fact, Relation } from "../../promptgen/facts/facts.ts";
import { unprintable } from "../../promptgen/facts/rows.ts";
import { checkTemplate } from "../../promptgen/facts/templates.ts";

/** Characters that a text may have. */
export const LONGEST_TEXT = 20_000_000;
/** Problems that are told one by one. */
const TOLD = 6;
/** Facts that a relation needs: one to train on, one for dev, one for the test. */
const FEWEST = 3;
/** Of each relation's facts: dev and test, the rest is trained on. */
const SHARE = 0.15;

/** What a text holds. */
export type FactsRead = {
  readonly relations: readonly Relation[];
  readonly problems: readonly string[];
};

type Row = {
  readonly line: number;
  readonly relation: string;
  readonly template: string;
  readonly subject: string;
  readonly object: string;
};

const COLUMNS = ["relation", "template", "subject", "object"] as const;
type Column = (typeof COLUMNS)[number];

/** Other names of columns, as the benchmark's files have them. */
const SYNONYMS: Readonly<Record<string, Column>> = { sub_label: "subject", obj_label: "object" };

const columnOf = (name: string): Column | undefined => {
  const plain = name.trim().toLowerCase();
  return COLUMNS.find((column) => column === plain) ?? SYNONYMS[plain];
};

/** Cells of a line; quotes around a cell of a line with commas may hold commas, doubled ones a quote. */
export function cellsOf(line: string, tabs: boolean): string[] {
  if (tabs) return line.split("\t").map((cell) => cell.trim());
  const cells: string[] = [];
  for (const [, quoted, plain] of line.matchAll(
    /(?:^|,)(?:\s*"((?:[^"]|"")*)"\s*(?=,|$)|([^,]*))/g,
  )) {
    cells.push((quoted?.replaceAll('""', '"') ?? plain).trim());
  }
  return cells;
}

/** The columns of lines without a head, by how many cells there are. */
const WITHOUT_HEAD: Readonly<Record<number, readonly Column[]>> = {
  2: ["subject", "object"],
  3: ["relation", "subject", "object"],
};

/** Reads the rows of a text. @param tell is told what is wrong with a line */
function rowsOf(text: string, tell: (line: number, what: string) => void): Row[] {
  const lines = text.split(/\r\n?|\n/);
  const isJson =
    lines
      .find((line) => line.trim() !== "")
      ?.trimStart()
      .startsWith("{") ?? false;
  const tabs = !isJson && text.includes("\t");
  let head: readonly Column[] | undefined;
  let isFirst = true;
  const rows: Row[] = [];
  lines.forEach((own, index) => {
    if (own.trim() === "") return;
    const line = index + 1;
    const cells = isJson ? fieldsOf(own) : cellsOf(own, tabs);
    if (cells === undefined) {
      tell(line, 'is no JSON object; write {"subject": "...", "object": "..."}');
      return;
    }
    if (Array.isArray(cells) && isFirst) {
      isFirst = false;
      const names = cells.map(columnOf);
      if (names.includes("subject") && names.includes("object")) {
        head = names.map((name) => name ?? "template");
        return;
      }
    }
    const named = Array.isArray(cells) ? byColumn(cells, head) : cells;
    if (named === undefined) {
      tell(
        line,
        `has ${(cells as readonly string[]).length} cells; write subject and object, or relation, subject and object`,
      );
      return;
    }
    const { relation = "", template = "", subject = "", object = "" } = named;
    const odd = [relation, template, subject, object]
      .map(unprintable)
      .find((what) => what !== undefined);
    if (subject === "" || object === "") tell(line, "lacks its subject or its object; write both");
    else if (odd !== undefined) tell(line, `has ${odd}; write it without`);
    else rows.push({ line, relation, template, subject, object });
  });
  return rows;
}

function byColumn(
  cells: readonly string[],
  head: readonly Column[] | undefined,
): Partial<Record<Column, string>> | undefined {
  const columns = head ?? WITHOUT_HEAD[cells.length];
  if (columns === undefined || columns.length !== cells.length) return undefined;
  return Object.fromEntries(columns.map((column, i) => [column, cells[i]]));
}

/** Texts of a line of JSON, by column; undefined for what is no object. */
function fieldsOf(line: string): Partial<Record<Column, string>> | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const known = Object.entries(value).flatMap(([name, own]) => {
    const column = columnOf(name);
    return column !== undefined && typeof own === "string" ? [[column, own.trim()] as const] : [];
  });
  return Object.fromEntries(known);
}

/**
 * The relations of a text, each split into facts to train on, dev and test, always in the same way.
 * @param template of relations whose facts name none
 * @throws one sentence for a text that is too long
 */
export function readFacts(text: string, template: string): FactsRead {
  if (text.length > LONGEST_TEXT) {
    throw new Error(
      `[facts] the text has ${text.length} characters, the limit is ${LONGEST_TEXT}; give a part of it`,
    );
  }
  const told: string[] = [];
  const tell = (line: number, what: string) => told.push(`Line ${line} ${what}.`);
  const rows = rowsOf(text, tell);
  const relations: Relation[] = [];
  for (const [name, own] of Map.groupBy(rows, ({ relation }) => relation)) {
    const label = name === "" ? "facts" : name;
    const written = own.find((row) => row.template !== "")?.template ?? template;
    const problem = problemOf(written);
    const facts = distinct(own);
    if (problem !== undefined) told.push(`${label}: ${problem}.`);
    else if (facts.length < FEWEST) {
      told.push(
        `${label} has ${facts.length} facts and needs ${FEWEST}: to train on, for dev and for the test.`,
      );
    } else
      relations.push({
        id: `R${relations.length + 1}`,
        label,
        type: "own",
        template: written,
        ...split(facts),
      });
  }
  const more = told.length - TOLD;
  const problems = more > 0 ? [...told.slice(0, TOLD), `And ${more} more.`] : told;
  return { relations, problems };
}

function problemOf(template: string): string | undefined {
  try {
    checkTemplate(template, "template");
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

const distinct = (rows: readonly Row[]): Fact[] => [
  ...new Map(
    rows.map(({ subject, object }) => [JSON.stringify([subject, object]), { subject, object }]),
  ).values(),
];

/** Takes dev and test facts from all of a list, evenly. */
function split(facts: readonly Fact[]): Pick<Relation, "train" | "dev" | "test"> {
  const size = Math.max(1, Math.floor(SHARE * facts.length));
  const every = facts.length / size;
  const at = (shift: number) =>
    new Set(Array.from({ length: size }, (_, i) => Math.floor(i * every) + shift));
  const [dev, test] = [at(0), at(1)];
  return {
    train: facts.filter((_, i) => !dev.has(i) && !test.has(i)),
    dev: facts.filter((_, i) => dev.has(i)),
    test: facts.filter((_, i) => test.has(i)),
  };
}
