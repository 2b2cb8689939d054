/** A folder that a command makes whole or not at all, and knows again by one of its files. */
import { existsSync, readdirSync } from "node:fs";
import { readFile, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { makeFolder, writeWhole } from "../../models/formats/files.ts";
import { UsageError } from "./cli.ts";

/** The file that says what a folder was made of, and its text. */
export type Mark = { readonly tool: string; readonly name: string; readonly text: string };

/** Whether the folder is there as it would be made; an empty one is removed. Throws UsageError where something else is. */
export async function isThere(out: string, { tool, name, text }: Mark): Promise<boolean> {
  if (!existsSync(out)) return false;
  const there = await readFile(join(out, name), "utf8").catch(() => undefined);
  if (there === text) return true;
  if (there === undefined && readdirSync(out).length === 0) {
    await rm(out, { recursive: true });
    return false;
  }
  const what = there === undefined ? "holds other files" : "was made with other settings";
  throw new UsageError(`[${tool}] ${out} ${what}; name another --out, or remove the folder`);
}

/** Writes texts by their paths, in a folder beside it that is then renamed. */
export async function writeFolder(out: string, files: ReadonlyMap<string, string>): Promise<void> {
  const part = join(dirname(out), `.${basename(out)}.part`);
  await rm(part, { recursive: true, force: true });
  await makeFolder(part);
  for (const [name, text] of files) await writeWhole(join(part, name), text);
  await rename(part, out);
}
