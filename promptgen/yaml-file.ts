/** A file in YAML, of which JSON is a part, as keys and values; mistakes in it are said with their line. */
import { isMap, isNode, LineCounter, parseDocument } from "yaml";

/** Says where in a file something stands: `run.yaml:3 rows[0].alpha `, with a space behind. */
export type Place = (path: readonly (string | number)[]) => string;

export type YamlFile = {
  readonly value: Readonly<Record<string, unknown>>;
  readonly place: Place;
};

/**
 * Reads a file whose top is a map.
 * @param tool in brackets before a mistake
 * @param path of the file, which mistakes name
 * @param remedy what to write where it holds no keys
 * @throws one sentence with file and line
 */
export function parseYaml(tool: string, text: string, path: string, remedy: string): YamlFile {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const [error] = document.errors;
  if (error !== undefined) {
    const what = error.message.split("\n")[0].replace(/ at line \d+, column \d+:$/, "");
    throw new Error(`[${tool}] ${path}:${lines.linePos(error.pos[0]).line} ${what}`);
  }
  const place: Place = (keys) => {
    // the nearest that is there: what is missing stands where it should be
    for (let depth = keys.length; depth >= 0; depth--) {
      const node = depth === 0 ? document.contents : document.getIn(keys.slice(0, depth), true);
      if (isNode(node) && node.range) {
        return `${path}:${lines.linePos(node.range[0]).line} ${nameOf(keys)}`;
      }
    }
    return `${path} ${nameOf(keys)}`;
  };
  if (!isMap(document.contents)) throw new Error(`[${tool}] ${place([])}holds no keys; ${remedy}`);
  try {
    return { value: document.toJS(), place };
  } catch (cause) {
    const what = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`[${tool}] ${place([])}${what}`, { cause });
  }
}

const nameOf = (keys: readonly (string | number)[]): string => {
  if (keys.length === 0) return "";
  const text = keys.map((key) => (typeof key === "number" ? `[${key}]` : `.${key}`)).join("");
  return `${text.replace(/^\./, "")} `;
};
