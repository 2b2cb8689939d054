/** JSON-lines files of facts and templates, with messages that name the file and the line. */
import { readFile } from "node:fs/promises";

/** One line of a file: its string fields and where it stands (from 1). */
export type Row<Field extends string> = {
  row: Record<Field, string> & Record<string, unknown>;
  line: number;
};

/**
 * Reads a JSON-lines file in which every line must hold the string `fields`, none of them blank;
 * empty lines are passed over. Throws with file and line number for a line that does not, and with
 * the file's name when it cannot be read.
 */
export async function readRows<Field extends string>(
  path: string,
  fields: readonly Field[],
): Promise<Row<Field>[]> {
  const rows: Row<Field>[] = [];
  for (const [index, text] of (await readTextFile(path)).split("\n").entries()) {
    if (text.trim() === "") continue;
    rows.push({ row: parseRow(text, fields, `${path}:${index + 1}`), line: index + 1 });
  }
  return rows;
}

/** Text of a file. Throws one sentence that names the file when it is missing. */
export async function readTextFile(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    const { code } = cause as { code?: string };
    const why =
      code === "ENOENT" || code === "ENOTDIR" ? "does not exist" : `cannot be read (${code})`;
    throw new Error(
      `[data] ${path} ${why}; point --data at a folder in the layout of the OptiPrompt archive`,
      { cause },
    );
  }
}

function parseRow<Field extends string>(
  text: string,
  fields: readonly Field[],
  where: string,
): Row<Field>["row"] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw broken(text, fields, where, "is not JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw broken(text, fields, where, "is not a JSON object");
  }
  const row = value as Row<Field>["row"];
  for (const field of fields) {
    if (typeof row[field] !== "string" || row[field].trim() === "") {
      throw broken(text, fields, where, `has no text in "${field}"`);
    }
  }
  return row;
}

function broken(text: string, fields: readonly string[], where: string, what: string): Error {
  const shown = text.length > 60 ? `${text.slice(0, 60)}...` : text;
  const wanted = `{${fields.map((field) => `"${field}": "..."`).join(", ")}}`;
  return new Error(`[data] ${where} ${what}: ${shown.trim()}; write ${wanted} or remove the line`);
}
