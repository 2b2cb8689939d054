/** The files of a tokenizer go with a generator that is saved. */
import { existsSync } from "node:fs";
import { copyFile, mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";

const TOKENIZER_FILES = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "vocab.txt",
  "vocab.json",
  "merges.txt",
];

/** Copies them, where `to` is another folder than `from`. */
export async function copyTokenizer(from: string, to: string): Promise<void> {
  if (resolve(from) === resolve(to)) return;
  await mkdir(to, { recursive: true });
  for (const name of TOKENIZER_FILES) {
    if (existsSync(join(from, name))) await copyFile(join(from, name), join(to, name));
  }
}
