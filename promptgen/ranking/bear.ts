/**
 * Facts in the layout of BEAR (Wiland et al. 2024, "BEAR: A Unified Framework for Evaluating Relational Knowledge in Causal and
 * Masked Language Models"), as its repository has them.
 *
 *     metadata_relations.json  {"P36": {"templates": ["The capital of [X] is [Y].", ...], "answer_space_labels": [...],
 *                              "answer_space_ids": [...]}, ...}; without an answer space it is the objects of the relation's file
 *     P36.jsonl                {"sub_label", "obj_label", "answer_idx", "obj_id"} a line; the place in the answer space is
 *                              answer_idx, else that of obj_id, else that of obj_label
 */
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { printable, printableJson } from "../../models/errors.ts";
import { readText } from "../../models/formats/disk.ts";
import { listed } from "../facts/left-out.ts";
import { type Row, readRows, unprintable } from "../facts/rows.ts";
import type { RankedFact, RankedRelation } from "./statements.ts";

/** The file that makes a folder one of this layout. */
export const METADATA = "metadata_relations.json";

const LAYOUT = "point --data at a folder in BEAR's layout";

/** What a folder holds. */
export type BearSet = {
  /** In the order of their ids, P6 before P19. */
  readonly relations: RankedRelation[];
  /** Sentences about files that are not read. */
  readonly remarks: string[];
};

type Answers = { readonly labels: readonly string[]; readonly ids?: readonly string[] };

const refuse = (where: string, what: string): never => {
  throw new Error(`[data] ${where} ${what}`);
};

/**
 * Reads the relations of a folder, or those that are named.
 * @throws one sentence with the file and its line, or the relation, for what is missing or does not fit
 */
export async function loadBear(root: string, only?: readonly string[]): Promise<BearSet> {
  const path = join(root, METADATA);
  const known = await metadata(path);
  const unknown = only?.find((id) => !Object.hasOwn(known, id));
  if (unknown !== undefined) {
    refuse(path, `has no relation ${printable(unknown)}; it has ${listed(Object.keys(known), 12)}`);
  }
  const byNumber = new Intl.Collator("en", { numeric: true });
  const ids = [...new Set(only ?? Object.keys(known))].sort(byNumber.compare);
  const relations: RankedRelation[] = [];
  for (const id of ids) relations.push(await relationOf(root, path, id, known[id]));
  const files = (await readdir(root)).filter((name) => /^P\d+\.jsonl$/.test(name));
  const unread = files.filter((name) => !Object.hasOwn(known, name.slice(0, -".jsonl".length)));
  const remarks =
    unread.length === 0
      ? []
      : [`[data] ${path} does not name ${listed(unread, 8)}, which therefore are not read`];
  return { relations, remarks };
}

async function metadata(path: string): Promise<Readonly<Record<string, unknown>>> {
  const text = await readText(
    path,
    (what, cause) => {
      throw new Error(`[data] ${path} ${what}`, { cause });
    },
    LAYOUT,
  );
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new Error(`[data] ${path} is not JSON (${Object(cause).message}); copy it again`, {
      cause,
    });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return refuse(path, `is no object of relations; write {"P36": {"templates": [...], ...}}`);
  }
  const known = Object.fromEntries(Object.entries(value));
  if (Object.keys(known).length === 0) refuse(path, `holds no relations; ${LAYOUT}`);
  for (const id of Object.keys(known)) {
    // an id names files and stands in lists with commas
    if (!/^[^\s,./\\][^\s,/\\]*$/.test(id)) {
      refuse(path, `names a relation ${JSON.stringify(printable(id))}; use letters and digits`);
    }
  }
  return known;
}

/** The texts of a list in the metadata; undefined where there is none. */
function textsOf(entry: object, key: string, where: string): readonly string[] | undefined {
  const value: unknown = Object.hasOwn(entry, key) ? Object(entry)[key] : undefined;
  if (value === undefined) return undefined;
  if (!Array.isArray(value) || value.length === 0) {
    return refuse(where, `has no list in "${key}" (it is ${printableJson(value)}); write texts`);
  }
  value.forEach((text: unknown, i) => {
    if (typeof text !== "string" || text.trim() === "") {
      refuse(where, `has no text in "${key}"[${i}] (it is ${printableJson(text)}); write one`);
    }
    const what = unprintable(String(text));
    if (what !== undefined) refuse(where, `has ${what} in "${key}"[${i}]; remove it`);
  });
  return value;
}

async function relationOf(
  root: string,
  path: string,
  id: string,
  entry: unknown,
): Promise<RankedRelation> {
  const where = `${path}: ${id}`;
  if (typeof entry !== "object" || entry === null) {
    return refuse(where, `is ${printableJson(entry)}; write {"templates": [...]}`);
  }
  const templates = textsOf(entry, "templates", where);
  if (templates === undefined) return refuse(where, `has no "templates"; write at least one`);
  templates.forEach((template, i) => {
    const slot = ["[X]", "[Y]"].find((own) => !template.includes(own));
    if (slot === undefined) return;
    const shown = JSON.stringify(printable(template));
    refuse(where, `"templates"[${i}] is ${shown}, without ${slot}; write it where it belongs`);
  });
  const file = join(root, `${id}.jsonl`);
  if (!existsSync(file)) {
    refuse(
      file,
      `does not exist, but ${METADATA} has ${id}; copy it, or name others in --relations`,
    );
  }
  const rows = await readRows(file, ["sub_label", "obj_label"], LAYOUT);
  if (rows.length === 0) refuse(file, "holds no facts; write one a line, or leave it out");
  const labels = textsOf(entry, "answer_space_labels", where);
  const ids = textsOf(entry, "answer_space_ids", where);
  if (labels && ids && labels.length !== ids.length) {
    refuse(where, `has ${labels.length} answer_space_labels and ${ids.length} answer_space_ids`);
  }
  const space: Answers = labels ? { labels, ...(ids && { ids }) } : answersOfFile(rows);
  const facts = rows.map(({ row, line }) => factOf(row, space, `${file}:${line}`));
  return { id, templates, answers: space.labels, facts, capitalize: true };
}

/** The objects of a file, one an id where there are ids, in the order in which they first stand. */
function answersOfFile(rows: readonly Row<"sub_label" | "obj_label">[]): Answers {
  const first = new Map<string, string>();
  for (const { row } of rows) {
    const key = typeof row.obj_id === "string" ? row.obj_id : row.obj_label;
    if (!first.has(key)) first.set(key, row.obj_label);
  }
  return { labels: [...first.values()], ids: [...first.keys()] };
}

function factOf(
  row: Row<"sub_label" | "obj_label">["row"],
  { labels, ids }: Answers,
  where: string,
): RankedFact {
  const { sub_label: subject, obj_label: object, obj_id: id, answer_idx: index } = row;
  const shown = JSON.stringify(printable(object));
  if (index === undefined) {
    const byId = typeof id === "string" ? (ids?.indexOf(id) ?? -1) : -1;
    const answer = byId >= 0 ? byId : labels.indexOf(object);
    if (answer < 0) refuse(where, `has the object ${shown}, which is not in the answer space`);
    return { subject, object, answer };
  }
  if (typeof index !== "number" || !Number.isInteger(index) || !(index in labels)) {
    const shownIndex = printableJson(index);
    return refuse(where, `has the answer_idx ${shownIndex}; the answer space has ${labels.length}`);
  }
  if (labels[index] !== object) {
    const there = JSON.stringify(printable(labels[index]));
    refuse(where, `has the object ${shown}, but its answer_idx ${index} is ${there}; correct one`);
  }
  return { subject, object, answer: index };
}
