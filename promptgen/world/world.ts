/**
 * The embedded world: facts in the layout of the benchmark, a tiny BERT, BART and T5, and the sentences that these are pre-trained on.
 *
 * An epoch of sentences states every fact in every pattern of its relation, and some facts in the manual template, which
 * stays at most a tenth of all.
 */
import { join } from "node:path";
import { Random } from "../../models/training/random.ts";
import { NONE } from "../benchmark.ts";
import type { Fact, Relation } from "../facts/facts.ts";
import { readRows } from "../facts/rows.ts";

export { embeddedWorld, type World } from "./embedded.ts";

/**
 * Patterns by relation, one `{"relation", "pattern"}` a line of patterns.jsonl: sentences with [X] and [Y]; unlike a template, a
 * pattern may name one of them twice.
 */
export async function loadPatterns(data: string): Promise<Map<string, string[]>> {
  const path = join(data, "patterns.jsonl");
  const patterns = new Map<string, string[]>();
  for (const { row, line } of await readRows(path, ["relation", "pattern"])) {
    const { relation, pattern } = row;
    if (!pattern.includes("[X]") || !pattern.includes("[Y]")) {
      throw new Error(
        `[world] ${path}:${line} lacks [X] or [Y]: ${pattern}; name subject and object`,
      );
    }
    patterns.set(relation, [...(patterns.get(relation) ?? []), pattern]);
  }
  return patterns;
}

/** A fact and the sentence that states it. */
export type Sentence = {
  readonly text: string;
  /** The object as the sentence has it: the fact's, or "None". */
  readonly object: string;
  readonly fact: Fact;
  readonly relation: Relation;
  /** Whether the sentence is the manual template's. */
  readonly manual: boolean;
};

/** The largest share of manual sentences that an epoch may have. */
export const MANUAL_SHARE = 0.1;

const MANUAL = 4; // purposes of the seed
const NOBODY = 6;

/** What an epoch is made of beside every fact in every pattern. */
export type SentenceShares = {
  /** Share of the facts that are also stated in the manual template, drawn anew in each epoch. */
  readonly manual: number;
  /**
   * Share of the sentences that are about "None": of nobody nothing is said ("None" is the object too), but where the pattern names
   * the object twice it stays, so that it can be found in the sentence only.
   */
  readonly none: number;
};

/** Every fact of every split, in a fixed order. */
export const allFacts = (relations: readonly Relation[]): { fact: Fact; relation: Relation }[] =>
  relations.flatMap((relation) =>
    [...relation.train, ...relation.dev, ...relation.test].map((fact) => ({ fact, relation })),
  );

/** A fact in every pattern of its relation and in the manual template. */
export const statements = (
  { fact, relation }: Pick<Sentence, "fact" | "relation">,
  patterns: ReadonlyMap<string, readonly string[]>,
): string[] =>
  [...(patterns.get(relation.id) ?? []), relation.template].map((pattern) =>
    stated(pattern, fact.subject, fact.object),
  );

/** One pass: a subject may itself hold "[Y]". */
const stated = (pattern: string, subject: string, object: string): string =>
  pattern.replace(/\[[XY]\]/g, (slot) => (slot === "[X]" ? subject : object));

/**
 * The sentences of one epoch, in a fixed order.
 * @throws when a relation has no patterns, or more than a tenth of the sentences are manual
 */
export function epochSentences(
  relations: readonly Relation[],
  patterns: ReadonlyMap<string, readonly string[]>,
  { manual, none }: SentenceShares,
  seed: number,
  epoch: number,
): Sentence[] {
  const facts = allFacts(relations);
  const nobody = new Random(seed, NOBODY, epoch);
  const sentence = (pattern: string, fact: Fact, relation: Relation): Sentence => {
    const about = none > 0 && nobody.unit() < none ? NONE : fact.subject;
    const twice = pattern.split("[Y]").length > 2;
    const object = about === NONE && !twice ? NONE : fact.object;
    const text = stated(pattern, about, object);
    return { text, object, fact, relation, manual: pattern === relation.template };
  };
  const sentences = facts.flatMap(({ fact, relation }) => {
    const own = patterns.get(relation.id);
    if (!own) {
      throw new Error(`[world] relation ${relation.id} has no pattern; add some to patterns.jsonl`);
    }
    return own.map((pattern) => sentence(pattern, fact, relation));
  });
  const drawn = new Random(seed, MANUAL, epoch).shuffled(facts);
  for (const { fact, relation } of drawn.slice(0, Math.round(manual * facts.length))) {
    sentences.push(sentence(relation.template, fact, relation));
  }
  const count = sentences.filter((made) => made.manual).length;
  if (count > MANUAL_SHARE * sentences.length) {
    throw new Error(
      `[world] ${count} of ${sentences.length} sentences are of the manual template, more than a tenth; draw fewer`,
    );
  }
  return sentences;
}
