/** Text files of facts, templates and words: lines and JSON lines, with messages that name the file and the line. */
import { printable, printableJson } from "../../models/errors.ts";
import { readText } from "../../models/formats/disk.ts";

/** One line of a file: its string fields and where it stands (from 1). */
export type Row<Field extends string> = {
  row: Record<Field, string> & Record<string, unknown>;
  line: number;
};

/** The most characters that a field may have: more than any model's positions take, and a tokenizer is slow on. */
const LONGEST = 10_000;

/** C0, DEL, C1 and the separators of lines and paragraphs: they move a terminal's cursor and break a table's line. */
const CONTROL = /[\p{Cc}\u2028\u2029]/u;

const LAYOUT = "point --data at a folder in the layout of the OptiPrompt archive";

/**
 * Reads a JSON-lines file in which every line must hold the string `fields`, none of them blank;
 * empty lines are passed over. Throws with file and line number for a line that does not, and with
 * the file's name when it cannot be read.
 */
export async function readRows<Field extends string>(
  path: string,
  fields: readonly Field[],
  remedy?: string,
): Promise<Row<Field>[]> {
  return rowsOf(await readLines(path, remedy), fields, path);
}

/** As `readRows`, of the lines of a text. @param name of the text in messages */
export function rowsOf<Field extends string>(
  lines: readonly string[],
  fields: readonly Field[],
  name: string,
): Row<Field>[] {
  return lines.flatMap((text, index) => {
    const line = index + 1;
    // a file that another was appended to has a mark within
    const own = text.trim();
    if (own === "") return [];
    const cut = line === lines.length; // the last line of a whole file is an empty one
    return [{ row: parseRow(own, fields, `${name}:${line}`, cut), line }];
  });
}

/**
 * Lines of a file in UTF-8, with or without a byte order mark, that end as Unix, Windows or old Macs end them; behind a last
 * line's end stands an empty one. Throws one sentence for what is no such file.
 */
export async function readLines(path: string, remedy = LAYOUT): Promise<string[]> {
  const fail = (what: string, cause?: unknown): never => {
    throw new Error(`[data] ${path} ${what}`, { cause });
  };
  const lines = (await readText(path, fail, remedy)).split(/\r\n?|\n/);
  const nul = lines.findIndex((line) => line.includes("\0"));
  if (nul >= 0) {
    fail(`has a NUL character in line ${nul + 1}, as UTF-16 read as UTF-8 has; save it as UTF-8`);
  }
  return lines;
}

/** What no word, subject, object or template may hold, in words; undefined where there is nothing of the kind. */
export function unprintable(text: string): string | undefined {
  if (!text.isWellFormed()) return "half a character (an unpaired surrogate)";
  const [control] = CONTROL.exec(text) ?? [];
  if (control !== undefined) return `the control character ${printable(control)}`;
  return text.length > LONGEST ? `${text.length} characters, more than ${LONGEST}` : undefined;
}

function parseRow<Field extends string>(
  text: string,
  fields: readonly Field[],
  where: string,
  cut: boolean,
): Row<Field>["row"] {
  const broken = (what: string, first = ""): Error => {
    const wanted = `{${fields.map((field) => `"${field}": "..."`).join(", ")}}`;
    return new Error(
      `[data] ${where} ${what}: ${printable(text)}; ${first}write ${wanted} or remove the line`,
    );
  };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw broken("is not JSON", cut ? "the file ends in this line: copy it whole, or " : "");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw broken("is not a JSON object");
  }
  const twice = repeatedKey(text);
  if (twice !== undefined) throw broken(`has the key "${printable(twice)}" twice`);
  const row = value as Row<Field>["row"];
  for (const field of fields) {
    const own: unknown = Object.hasOwn(row, field) ? row[field] : undefined;
    if (typeof own !== "string" || own.trim() === "") {
      const it = own === undefined ? "missing" : printableJson(own);
      throw broken(`has no text in "${field}" (it is ${it})`);
    }
    const what = unprintable(own);
    if (what !== undefined) throw broken(`has ${what} in "${field}"`);
  }
  return row;
}

/** A key that the object of a JSON text has twice, of which JSON.parse keeps the last value without a word. `text` is JSON. */
function repeatedKey(text: string): string | undefined {
  const seen = new Set<string>();
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === "{" || c === "[") depth++;
    else if (c === "}" || c === "]") depth--;
    if (c !== '"') continue;
    const start = i++;
    while (text[i] !== '"') i += text[i] === "\\" ? 2 : 1;
    if (depth !== 1) continue;
    let next = i + 1;
    while (/\s/.test(text[next])) next++;
    if (text[next] !== ":") continue; // a value
    const key = String(JSON.parse(text.slice(start, i + 1)));
    if (seen.has(key)) return key;
    seen.add(key);
  }
  return undefined;
}
