/** A file in YAML, of which JSON is a part, as keys and values; mistakes in it are said with their line and what to write. */
import {
  type Document,
  isAlias,
  isCollection,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  visit,
  type YAMLError,
} from "yaml";
import { visible } from "./report/table.ts";

/** Keys and places in lists, from the top. */
export type KeyPath = readonly (string | number)[];

/** Says where in a file something stands: `FILE:LINE `, with a blank behind. */
export type Place = (keys: KeyPath) => string;

export type YamlFile = {
  readonly values: Readonly<Record<string, unknown>>;
  readonly place: Place;
  /** Throws `[TOOL] FILE:LINE key what`, in one line. */
  fail(keys: KeyPath, what: string): never;
};

/** Characters; the largest file that anybody would write has a hundredth of them. */
const MOST_TEXT = 2 ** 20;

/** What to do about what is no YAML, by the parser's names for it. */
const REMEDIES: Readonly<Partial<Record<YAMLError["code"], string>>> = {
  DUPLICATE_KEY: "stands there already; keep one of them",
  TAB_AS_INDENT: "begins with a tab; write blanks in its place",
  MULTIPLE_DOCS: "begins a second document; write a file for each",
  BAD_ALIAS: "names an anchor that is not there before it; write &NAME before a value, then *NAME",
  TAG_RESOLVE_FAILED: "has a tag; leave out what begins with an exclamation mark",
  MISSING_CHAR:
    "lacks a quote, a bracket, a colon or a comma here or above; close what is opened, and part values by commas",
  RESOURCE_EXHAUSTION: "is nested too deeply to be meant; name another file",
  BAD_INDENT:
    "is indented so that it belongs to nothing, or lies in a bracket that is not closed; write what belongs together equally far from the left",
  BLOCK_AS_IMPLICIT_KEY:
    "has two keys, or a colon in a value; write one key a line, and such a value in quotes",
  MULTILINE_IMPLICIT_KEY: "is a key that goes over lines, or lacks its colon; write key: value",
  UNEXPECTED_TOKEN: "has a mark where none can be; write such a value in quotes",
  BAD_SCALAR_START: "begins with a mark that no value begins with; write it in quotes",
  BAD_DQ_ESCAPE:
    "has a backslash that spells nothing; write two of them, or single quotes around the text",
};

/**
 * Reads YAML 1.2 with anchors, aliases and merge keys, whose top is a map.
 * @param tool in brackets before a mistake
 * @param path which mistakes name
 * @param remedies what to write where it holds no keys, and in place of a file that is too long
 * @throws one sentence with file and line
 */
export function parseYaml(
  tool: string,
  text: string,
  path: string,
  remedies: { readonly empty: string; readonly long: string },
): YamlFile {
  if (text.length > MOST_TEXT) {
    throw new Error(
      `[${tool}] ${path} has ${text.length} characters, more than such a file has; ${remedies.long}`,
    );
  }
  const lines = new LineCounter();
  const lineOf = (offset: number): string => `${path}:${Math.max(1, lines.linePos(offset).line)}`;
  const at = (offset: number, what: string): never => {
    throw new Error(`[${tool}] ${lineOf(offset)} ${visible(what)}`);
  };
  const plain = text.replace(/\r\n?/g, "\n");
  const document = parseDocument(plain, { lineCounter: lines, merge: true });
  const [error] = [...document.errors, ...document.warnings];
  if (error !== undefined) {
    const [said] = error.message.split("\n");
    const what = said.replace(/ at line \d+, column \d+:$/, "");
    const key = error.code === "DUPLICATE_KEY" ? `${keyAt(document, error.pos[0])} ` : "";
    at(error.pos[0], `${key}${REMEDIES[error.code] ?? `is no YAML: ${what}`}`);
  }
  visit(document, {
    Alias(_, alias) {
      if (alias.resolve(document) !== undefined) return;
      at(alias.range?.[0] ?? 0, `*${alias.source} ${REMEDIES.BAD_ALIAS}`);
    },
    Pair(_, { key }) {
      if (isCollection(key)) at(key.range?.[0] ?? 0, "has a list for a key; write a word");
    },
  });
  const place: Place = (keys) => `${lineOf(offsetOf(document, keys))} `;
  const fail = (keys: KeyPath, what: string): never =>
    at(offsetOf(document, keys), `${nameOf(keys)}${what}`);
  if (!isMap(document.contents)) return fail([], `holds no keys; ${remedies.empty}`);
  try {
    return { values: document.toJS(), place, fail };
  } catch (cause) {
    const what = cause instanceof Error ? cause.message : String(cause);
    return fail([], `cannot be read: ${what}; write its values out`);
  }
}

/** Where a key or an item of a list stands; of what is missing, or comes from elsewhere, that which should hold it. */
function offsetOf(document: Document.Parsed, keys: KeyPath): number {
  let node: unknown = document.contents;
  let offset = isNode(node) ? (node.range?.[0] ?? 0) : 0;
  for (const key of keys) {
    if (isAlias(node)) node = node.resolve(document);
    const pair = isMap(node)
      ? node.items.find((one) => textOf(one.key) === String(key))
      : undefined;
    const item = isSeq(node) ? node.items[Number(key)] : undefined;
    const place = pair?.key ?? item;
    if (!isNode(place)) break;
    offset = place.range?.[0] ?? offset;
    node = pair ? pair.value : item;
  }
  return offset;
}

const textOf = (key: unknown): string => String(isScalar(key) ? key.value : key);

const nameOf = (keys: KeyPath): string => {
  if (keys.length === 0) return "";
  const text = keys.map((key) => (typeof key === "number" ? `[${key}]` : `.${key}`)).join("");
  return `${text.replace(/^\./, "")} `;
};

/** The key that stands at a place of the text. */
function keyAt(document: Document.Parsed, offset: number): string {
  let found = "a key";
  visit(document, {
    Pair(_, { key }) {
      if (isScalar(key) && key.range?.[0] === offset) found = textOf(key);
    },
  });
  return found;
}
