/** Files that look like facts, templates or words and are not read, for a file under another name is missed by nobody. */
import type { Dirent } from "node:fs";
import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { printable } from "../../models/errors.ts";
import { listed } from "./left-out.ts";

/** Where facts are and which of them are read. */
export type Places = {
  readonly root: string;
  /** Ids that have a template. */
  readonly known: readonly string[];
  readonly chosen: readonly string[];
  /** Whether all that have test facts were to be read. */
  readonly all: boolean;
};

const TEXT = /\.(?:jsonl?|ndjson|jl|csv|tsv|txt)(?:\.(?:gz|zip|bz2|xz))?$/i;
const TEMPLATES = ["LAMA", "LPAQA", "AutoPrompt"].map((set) => `${set}_relations.jsonl`);

/** One sentence about the files beside those that are read; none where there are none. */
export async function unreadFiles({ root, known, chosen, all }: Places): Promise<string[]> {
  const stem = (name: string) => name.replace(/\..*$/, "").toUpperCase();
  const ids = new Set(chosen.map(stem));
  // where relations were chosen, the files of others are not read because they were not chosen
  const concerns = (name: string) => all || ids.has(stem(name));
  const read = all ? [...known, ...chosen] : chosen;
  const tests = new Set(read.map((id) => `${id}.jsonl`));
  const found = [
    ...(await files(root, ".", (name) => ids.has(stem(name)))),
    ...(await files(root, "LAMA-TREx", (name) => !tests.has(name) && concerns(name))),
    ...(await files(root, "autoprompt_data", concerns)),
    ...(await files(root, "relation_metainfo", (name) => !TEMPLATES.includes(name))),
    ...(await files(root, "common_vocabs", (name) => name !== "common_vocab_cased.txt")),
  ];
  for (const id of chosen) {
    const own = join("autoprompt_data", id);
    found.push(
      ...(await files(root, own, (name) => name !== "train.jsonl" && name !== "dev.jsonl")),
    );
  }
  if (all) {
    const folders = await entries(join(root, "autoprompt_data"));
    const strange = folders.filter((one) => one.isDirectory() && !known.includes(one.name));
    found.push(...strange.map(({ name }) => join("autoprompt_data", name)));
  }
  if (found.length === 0) return [];
  const what = found.length === 1 ? "1 file looks" : `${found.length} files look`;
  return [
    `[data] ${what} like facts, templates or words and ${found.length === 1 ? "is" : "are"} not read (${listed(found.map(printable), 6)}); ` +
      "test facts are read from LAMA-TREx/ID.jsonl, others from autoprompt_data/ID/{train,dev}.jsonl, where LAMA_relations.jsonl has the relation ID",
  ];
}

/** Files beside one that is missing, of the same name but for its ending or case. */
export async function besides(path: string, id: string): Promise<string[]> {
  const stems = [id, basename(path, ".jsonl")].map((name) => name.toUpperCase());
  const there = await entries(dirname(path));
  return there
    .map(({ name }) => name)
    .filter((name) => stems.includes(name.replace(/\..*$/, "").toUpperCase()))
    .map(printable);
}

async function files(
  root: string,
  folder: string,
  wanted: (name: string) => boolean,
): Promise<string[]> {
  const there = await entries(join(root, folder));
  return there
    .filter((one) => !one.isDirectory() && TEXT.test(one.name) && wanted(one.name))
    .map(({ name }) => join(folder, name));
}

/** Sorted by name; none where there is no such folder. */
async function entries(folder: string): Promise<Dirent[]> {
  const there = await readdir(folder, { withFileTypes: true }).catch(() => []);
  return there
    .filter(({ name }) => !name.startsWith("."))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}
