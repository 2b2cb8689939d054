/** What Python's tokenizers made of awkward and random strings; written by tools/reference_tokenizers.py. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const FOLDER = fileURLToPath(new URL("../../golden/tokenizers/", import.meta.url));

export const goldenPath = (name: string): string => `${FOLDER}/${name}`;

export const readGolden = (name: string): unknown =>
  JSON.parse(readFileSync(goldenPath(name), "utf8"));

type Strings = {
  readonly awkward: readonly string[];
  readonly long: readonly (readonly [text: string, times: number])[];
};

/** Strings chosen by hand, the long ones last. */
export function awkwardStrings(): string[] {
  const { awkward, long } = readGolden("strings.json") as Strings;
  return [...awkward, ...long.map(([text, times]) => text.repeat(times))];
}

/** Strings of random fragments. */
export function randomStrings(): string[] {
  const { strings, fragments } = readGolden("fragments.json") as {
    readonly strings: number;
    readonly fragments: readonly string[];
  };
  let state = 1;
  const draw = (n: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 16) % n;
  };
  return Array.from({ length: strings }, () =>
    Array.from({ length: 1 + draw(14) }, () => fragments[draw(fragments.length)]).join(""),
  );
}

/** SHA-256 over lists of ids, as u32: for each its length, then the ids. */
export function digestOf(lists: Iterable<readonly number[]>): string {
  const hash = createHash("sha256");
  for (const ids of lists) hash.update(Uint32Array.of(ids.length, ...ids));
  return hash.digest("hex");
}

export const digestOfText = (text: string): string =>
  createHash("sha256").update(text).digest("hex");
