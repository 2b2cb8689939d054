/** The prompts of a finished run, as facts.jsonl has them, for what takes them elsewhere. */
import { existsSync } from "node:fs";
import type { RunFolder } from "../../models/training/run-folder.ts";
import { METHODS, methodOf } from "../../promptgen/methods/index.ts";
import type { Method } from "../../promptgen/methods/method.ts";
import { type FactRow, readFactRows } from "../../promptgen/report/fact-rows.ts";
import type { RunFile } from "../../promptgen/run-file.ts";
import { UsageError } from "./cli.ts";

/** The kind of a method's prompts. */
export type Kind = NonNullable<Method["prompts"]>;

/** What the run's own reader was asked with. Throws UsageError for a run whose prompts are of no such kind, or are not there yet. */
export async function promptsOf(
  tool: string,
  folder: RunFolder,
  { options }: RunFile,
  kinds: readonly Kind[],
): Promise<FactRow[]> {
  const path = folder.file("facts.jsonl");
  const isOne = ({ prompts }: Method) => prompts !== undefined && kinds.includes(prompts);
  if (!isOne(methodOf(options.method))) {
    const names = METHODS.filter(isOne).map(({ name }) => name);
    throw new UsageError(
      `[${tool}] ${folder.path} is a run of ${options.method}, whose prompts are no ${kinds.join(" and no ")}, and what belongs to its reader stays with it; name a run of ${names.join(", ")}`,
    );
  }
  if (!existsSync(path)) {
    throw new UsageError(
      `[${tool}] ${folder.path} has no facts.jsonl, which holds its prompts; ask its own reader first, with npx promptgen evaluate ${folder.path}`,
    );
  }
  return readFactRows(path);
}
