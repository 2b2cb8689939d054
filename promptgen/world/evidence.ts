/**
 * LAMA's facts with the sentences that state them, split anew.
 *
 * T-REx's sentences state LAMA's test facts alone, so that a model that is pre-trained on them would know nothing of the benchmark's
 * own training facts. Here the facts that have a sentence are split by subject into train, dev and test, and what a share of them is
 * said in stays out of the corpora: the unstated facts, of which a model can know only what others let it guess.
 */
import { Random } from "../../models/training/random.ts";
import type { Fact, Split } from "../facts/facts.ts";
import { groupBy } from "../facts/group-by.ts";
import { filledIn } from "../facts/templates.ts";

/** A sentence that states a fact, its object masked. */
export type Evidence = Fact & {
  readonly relation: string;
  /** As the sentence spells the object. */
  readonly surface: string;
  /** With [MASK] for the object. */
  readonly sentence: string;
};

export type EvidenceSettings = {
  readonly relations: readonly string[];
  /** Of the longest sentence, as blanks cut it. */
  readonly words: number;
  /** Of a fact, at the most: the shortest. */
  readonly sentences: number;
  /** Share of each split's facts whose sentences stay out. */
  readonly unstated: number;
  readonly seed: number;
};

/** A fact and the sentences that state it, with [X] and [Y] where its subject and object stand. */
export type StatedFact = Fact & {
  readonly split: Split;
  /** Whether a text of the corpus says both of it. */
  readonly isStated: boolean;
  readonly patterns: readonly string[];
};

export type StatedRelation = { readonly id: string; readonly facts: readonly StatedFact[] };

/** A text of the reader's corpus. */
export type EvidenceText = {
  readonly text: string;
  /** Where objects stand, in characters. */
  readonly spans: readonly (readonly [begin: number, end: number])[];
};

export type StatedFacts = {
  readonly relations: readonly StatedRelation[];
  readonly corpus: readonly EvidenceText[];
};

/** Shares of a relation's subjects; the rest is for training. */
const SHARES = { test: 0.3, dev: 0.1 };
const [SPLIT, UNSTATED, ORDER] = [41, 42, 43]; // purposes of the seed
const MASK = "[MASK]";

/** Where `name` stands in `text` as a word or words of its own. */
function places(text: string, name: string): number[] {
  const found: number[] = [];
  for (let at = text.indexOf(name); at >= 0; at = text.indexOf(name, at + 1)) {
    const [before] = [...text.slice(0, at)].slice(-1);
    const [behind] = text.slice(at + name.length);
    const isPart = (letter: string | undefined) =>
      letter !== undefined && /[\p{L}\p{N}]/u.test(letter);
    if (!isPart(before) && !isPart(behind)) found.push(at);
  }
  return found;
}

/** Whether a sentence says both of a fact. */
const tells = (text: string, { subject, object }: Fact): boolean =>
  places(text, subject).length > 0 && places(text, object).length > 0;

/**
 * The sentence with [X] and [Y]; undefined where it cannot be one: it names the subject not once, spells the object otherwise, or
 * says it a second time, where a masked LM would copy it.
 */
export function patternOf({ subject, object, surface, sentence }: Evidence): string | undefined {
  if (surface !== object || /\[[XY]\]/.test(sentence)) return undefined;
  const at = places(sentence, subject);
  if (at.length !== 1 || sentence.split(MASK).length !== 2) return undefined;
  const pattern = `${sentence.slice(0, at[0])}[X]${sentence.slice(at[0] + subject.length)}`;
  return places(pattern, object).length === 0 ? pattern.replace(MASK, () => "[Y]") : undefined;
}

/** How many words a prompt has before its mask and behind it. */
export type PromptShape = { readonly before: number; readonly behind: number };

/**
 * A sentence as a prompt of this shape would say it: [X], the last words before [Y], [Y] and the first words behind it, of the words
 * and signs that `isWord` knows; undefined where too few stand before [Y].
 */
export function promptOf(
  pattern: string,
  { before, behind }: PromptShape,
  isWord: (word: string) => boolean,
): string | undefined {
  const [first, last] = pattern
    .replace("[X]", " ")
    .split("[Y]")
    .map((part) => (part.match(/[\p{L}\p{N}]+|\S/gu) ?? []).filter(isWord));
  if (first.length < before) return undefined;
  const own = first.slice(first.length - before);
  return ["[X]", ...own, "[Y]", ...last.slice(0, behind)].join(" ");
}

const wordsIn = (text: string): number => text.split(/\s+/).length;

/** Splits for the subjects of a relation; those that an earlier relation has placed stay where they are. */
function place(subjects: readonly string[], placed: Map<string, Split>, random: Random): void {
  const free = new Map<Split, number>();
  for (const split of ["test", "dev"] as const) {
    const there = subjects.filter((subject) => placed.get(subject) === split).length;
    free.set(split, Math.max(0, Math.round(SHARES[split] * subjects.length) - there));
  }
  for (const subject of random.shuffled(subjects.filter((one) => !placed.has(one)))) {
    const split = (["test", "dev"] as const).find((one) => (free.get(one) ?? 0) > 0) ?? "train";
    free.set(split, (free.get(split) ?? 0) - 1);
    placed.set(subject, split);
  }
}

/**
 * The facts of `settings.relations` that have a sentence, and the corpus of those that are stated.
 * @param isObject whether an answer may be this word
 */
export function statedFacts(
  evidence: readonly Evidence[],
  isObject: (word: string) => boolean,
  settings: EvidenceSettings,
): StatedFacts {
  const { seed } = settings;
  const byRelation = groupBy(evidence, ({ relation }) => relation);
  const placed = new Map<string, Split>();
  const chosen = settings.relations.map((id, r) => {
    const patterns = new Map<string, Fact & { patterns: Set<string> }>();
    for (const one of byRelation.get(id) ?? []) {
      if (!isObject(one.object) || wordsIn(one.sentence) > settings.words) continue;
      const pattern = patternOf(one);
      if (pattern === undefined) continue;
      const { subject, object } = one;
      const key = JSON.stringify([subject, object]);
      const fact = patterns.get(key) ?? { subject, object, patterns: new Set<string>() };
      fact.patterns.add(pattern);
      patterns.set(key, fact);
    }
    const facts = [...patterns.values()].map((fact) => ({
      ...fact,
      patterns: [...fact.patterns]
        .sort((a, b) => wordsIn(a) - wordsIn(b))
        .slice(0, settings.sentences),
    }));
    place([...new Set(facts.map(({ subject }) => subject))], placed, new Random(seed, SPLIT, r));
    return {
      id,
      facts: facts.map((fact) => ({ ...fact, split: placed.get(fact.subject) ?? "train" })),
    };
  });
  const out = chosen.flatMap(({ facts }, r) =>
    (["train", "dev", "test"] as const).flatMap((split, s) => {
      const own = facts.filter((fact) => fact.split === split);
      const subjects = [...new Set(own.map(({ subject }) => subject))];
      const without = new Set(
        new Random(seed, UNSTATED, r, s)
          .shuffled(subjects)
          .slice(0, Math.round(settings.unstated * subjects.length)),
      );
      return own.filter(({ subject }) => without.has(subject));
    }),
  );
  const spans = new Map<string, Map<string, readonly [number, number]>>();
  for (const fact of chosen.flatMap(({ facts }) => facts)) {
    for (const pattern of fact.patterns) {
      const text = filledIn(pattern, fact.subject, fact.object);
      const begin = filledIn(pattern.slice(0, pattern.indexOf("[Y]")), fact.subject, "").length;
      const span = [begin, begin + fact.object.length] as const;
      spans.set(text, (spans.get(text) ?? new Map()).set(String(span), span));
    }
  }
  // a sentence about a stated fact may say an unstated one by the way
  for (const text of spans.keys()) if (out.some((fact) => tells(text, fact))) spans.delete(text);
  const texts = [...spans.keys()];
  const relations = chosen.map(({ id, facts }) => ({
    id,
    facts: facts.map((fact) => ({
      ...fact,
      isStated: texts.some((text) => tells(text, fact)),
    })),
  }));
  const corpus = Array.from(spans, ([text, own]) => ({
    text,
    spans: [...own.values()].sort(([a], [b]) => a - b),
  }));
  return { relations, corpus: new Random(seed, ORDER).shuffled(corpus) };
}
