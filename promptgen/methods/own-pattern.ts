/**
 * The ceiling of a made world: each fact is asked in a pattern of its own subject's kind, in which it was stated. Nothing is trained,
 * and nobody could ask so who does not know how the world was made. Of facts with sentences each subject is a kind of its own.
 *
 * Read from the facts' folder: kinds.jsonl, one {"subject", "kind"} a line, and patterns.jsonl, one {"relation", "pattern", "kind"}.
 */
import { join } from "node:path";
import type { Device } from "../../engine/device.ts";
import { failAbout } from "../../models/errors.ts";
import { readText } from "../../models/formats/disk.ts";
import { writeWhole } from "../../models/formats/files.ts";
import { isObject } from "../../models/formats/json.ts";
import { type Benchmark, type Item, itemsOf, SPLITS } from "../benchmark.ts";
import { readRows } from "../facts/rows.ts";
import { checkTemplate } from "../facts/templates.ts";
import { textFingerprint } from "../training/fingerprint.ts";
import { type Method, untrained } from "./method.ts";
import { TemplatePrompter } from "./shared/templates.ts";

const FILE = "own-patterns.json";

/** The first pattern of each kind of subject in a relation, and the subjects' kinds. */
type OwnPatterns = {
  /** By relation, by kind. */
  readonly patterns: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** By subject. */
  readonly kinds: Readonly<Record<string, string>>;
};

class OwnPatternPrompter extends TemplatePrompter {
  override readonly contents: Readonly<Record<string, string>>;
  #own: OwnPatterns;

  constructor(benchmark: Benchmark, own: OwnPatterns) {
    super(benchmark, new Map(benchmark.relations.map(({ id, template }) => [id, template])));
    this.#own = own;
    this.contents = { patterns: textFingerprint(JSON.stringify(own)) };
  }

  protected override template({ relation: { id }, fact: { subject } }: Item): string {
    return ownPattern(this.#own, id, subject);
  }

  override async save(_device: Device, folder: string): Promise<void> {
    await writeWhole(join(folder, FILE), `${JSON.stringify(this.#own)}\n`);
  }

  override async restore(_device: Device, folder: string): Promise<void> {
    this.#own = await readSaved(folder);
  }
}

function ownPattern({ patterns, kinds }: OwnPatterns, relation: string, subject: string): string {
  const kind = Object.hasOwn(kinds, subject) ? kinds[subject] : undefined;
  if (kind === undefined) {
    throw new Error(
      `[own-pattern] the kind of ${JSON.stringify(subject)} is not known; ask about subjects of kinds.jsonl`,
    );
  }
  const own = Object.hasOwn(patterns, relation) ? patterns[relation] : {};
  if (Object.hasOwn(own, kind)) return own[kind];
  throw new Error(
    `[own-pattern] patterns.jsonl has no pattern of ${relation} for the kind ${JSON.stringify(kind)}; add one`,
  );
}

async function readOwn(data: string): Promise<OwnPatterns> {
  const remedy =
    "only what was made here tells the kinds of its subjects; make it with make-world or make-lama";
  const kinds: Record<string, string> = {};
  const named = join(data, "kinds.jsonl");
  for (const { row, line } of await readRows(named, ["subject", "kind"], remedy)) {
    const { subject, kind } = row;
    if (Object.hasOwn(kinds, subject) && kinds[subject] !== kind) {
      throw new Error(
        `[own-pattern] ${named}:${line} gives ${JSON.stringify(subject)} a second kind; keep one`,
      );
    }
    kinds[subject] = kind;
  }
  const patterns: Record<string, Record<string, string>> = {};
  const path = join(data, "patterns.jsonl");
  for (const { row, line } of await readRows(path, ["relation", "pattern", "kind"], remedy)) {
    const { relation, pattern, kind } = row;
    patterns[relation] ??= {};
    patterns[relation][kind] ??= checkTemplate(pattern, `${path}:${line}`);
  }
  return { patterns, kinds };
}

async function readSaved(folder: string): Promise<OwnPatterns> {
  const path = join(folder, FILE);
  const fail = failAbout("own-pattern", path);
  const text = await readText(path, fail, "name the folder of a saved prompter");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    return fail("is not JSON; save the prompter again", cause);
  }
  const { patterns, kinds } = Object(value);
  return isObject(patterns) && isObject(kinds)
    ? (value as OwnPatterns)
    : fail("has no patterns and kinds; save the prompter again");
}

export const ownPatterns: Method = {
  name: "own-pattern",
  summary: "each fact in a pattern of its subject's kind: the ceiling of a made world",
  scope: "all",
  options: {},
  choices: { pattern: "the first that patterns.jsonl has for the relation and the subject's kind" },
  prompts: "words",
  row: () => "Own pattern",
  async open(benchmark: Benchmark, _options, saved?: string) {
    const own = saved === undefined ? await readOwn(benchmark.data) : await readSaved(saved);
    if (saved !== undefined) return new OwnPatternPrompter(benchmark, own);
    for (const { relation, fact } of SPLITS.flatMap((split) =>
      itemsOf(benchmark.relations, split),
    )) {
      ownPattern(own, relation.id, fact.subject);
    }
    return new OwnPatternPrompter(benchmark, own);
  },
  train: untrained,
};
