/**
 * A made world: facts, names and sentences from a seed, nothing of which is about anything. Subjects of one relation are of several
 * kinds, and each kind has patterns of its own, so that it can be asked whether a prompt has to depend on the subject. Two dials:
 *
 *     context      0: every fact is stated in all patterns of its relation; 1: in those of its subject's kind alone
 *     distraction  share of the facts of which the other kinds' patterns state another object
 *
 * Relations come in fours, which share their subjects: each subject has a fact in all four, and two relations of the four share
 * their objects, so that neither the subject nor a list of objects tells which of them is asked for. Dials of one seed are nested:
 * what is stated at a higher context is stated at each lower one, what distracts at a lower distraction does so at each higher one.
 */

import { Random } from "../../models/training/random.ts";
import { NONE } from "../benchmark.ts";
import type { Fact, Split } from "../facts/facts.ts";
import { filledIn } from "../facts/templates.ts";

/** What decides a world, each byte of it. */
export type MadeSettings = {
  /** 0 to 1. */
  readonly context: number;
  /** 0 to 1. */
  readonly distraction: number;
  readonly seed: number;
  /** A multiple of four. */
  readonly relations: number;
  /** Kinds of subject that a relation has, two or more. */
  readonly kinds: number;
  /** Patterns that a kind has in a relation. */
  readonly patterns: number;
  /** Subjects of each kind. */
  readonly subjects: number;
  /** Objects that a relation has, three or more; two relations share them. */
  readonly objects: number;
  /** Share of the facts that the reader's corpus also states in the manual template, once. */
  readonly manual: number;
  /** How often both corpora tell the kind of each subject. */
  readonly told: number;
  /** Probability that a fact is said in the template of the relation that shares its objects. */
  readonly vague: number;
  /** Sentences about "None" in the reader's corpus, of whom "None" is said, as a share of its others. */
  readonly none: number;
  /** Share of the statements in the generator's corpus that the manual template's follows, on one line. */
  readonly pairs: number;
};

/** A fact of a made world. */
export type MadeFact = Fact & {
  readonly kind: string;
  readonly split: Split;
  /** How often it is stated in its kind's last pattern, 1 to 8. */
  readonly times: number;
  /** What the other kinds' patterns state beside or in its place; undefined where they state nothing else. */
  readonly other: string | undefined;
};

/** A sentence with [X] and [Y], and the kind of subject that it is about. */
export type MadePattern = {
  readonly pattern: string;
  readonly kind: string;
  /** How many times as often as the kind's last it is used; the first is used most. */
  readonly weight: number;
};

export type MadeRelation = {
  readonly id: string;
  readonly label: string;
  /** The manual template: of words that all kinds share, rarely stated. */
  readonly template: string;
  readonly patterns: readonly MadePattern[];
  readonly facts: readonly MadeFact[];
  /** For each pattern, the subjects that it states the fact of. */
  readonly stated: readonly ReadonlySet<string>[];
};

export type MadeWorld = {
  readonly settings: MadeSettings;
  readonly relations: readonly MadeRelation[];
  /** Kinds by subject. */
  readonly kinds: ReadonlyMap<string, string>;
  /** The sentence that tells a subject's kind, which is its [Y]. */
  readonly telling: string;
};

/** Relations that share their subjects. */
export const FAMILY = 4;
/** Relations that share their objects. */
const SHARING = 2;
/** Shares of the subjects of a kind; the rest is for training. */
const SHARES = { test: 0.3, dev: 0.1 };
const MOST_TIMES = 8;

const [NAMES, FACTS, CONTEXT, OTHERS, LINES] = [31, 32, 33, 34, 35]; // purposes of the seed

/** Words of made syllables, no two alike, all of one length. */
class Words {
  readonly #random: Random;
  readonly #used = new Set<string>();

  constructor(seed: number) {
    this.#random = new Random(seed, NAMES);
  }

  /** A consonant and a vowel, `syllables` times. */
  word(syllables: number): string {
    const pick = (letters: string): string => letters[this.#random.below(letters.length)];
    for (;;) {
      const parts = Array.from({ length: syllables }, () => pick("bdfgklmnprstvz") + pick("aeiou"));
      const word = parts.join("");
      if (this.#used.has(word)) continue;
      this.#used.add(word);
      return word;
    }
  }

  name(): string {
    const word = this.word(3);
    return word[0].toUpperCase() + word.slice(1);
  }
}

const times = <T>(count: number, make: (i: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => make(i));

/** One of `weights.length`, drawn by weight. */
function weighted(weights: readonly number[], random: Random): number {
  let left = random.unit() * weights.reduce((sum, weight) => sum + weight, 0);
  const found = weights.findIndex((weight) => {
    left -= weight;
    return left < 0;
  });
  return found < 0 ? weights.length - 1 : found;
}

/** How often facts are stated falls as a power law: a half once, an eighth four times or more. */
const OFTEN = times(
  MOST_TIMES,
  (i) => (i + 1) ** -1.5 - (i + 2 > MOST_TIMES ? 0 : (i + 2) ** -1.5),
);

/** Which split each of `count` subjects is in, at least one in each. */
function splits(count: number, random: Random): Split[] {
  const [test, dev] = [SHARES.test, SHARES.dev].map((share) =>
    Math.max(1, Math.round(share * count)),
  );
  const all = times(count, (i): Split => (i < test ? "test" : i < test + dev ? "dev" : "train"));
  return random.shuffled(all);
}

/** The world of these settings. */
export function madeWorld(settings: MadeSettings): MadeWorld {
  const { seed } = settings;
  const words = new Words(seed);
  const telling = `[X] ${words.word(2)} [Y] .`;
  const kinds = new Map<string, string>();
  const relations: MadeRelation[] = [];
  for (let family = 0; family < settings.relations / FAMILY; family++) {
    const own = times(settings.kinds, () => words.word(2));
    const subjects = own.flatMap((kind, k) => {
      const where = splits(settings.subjects, new Random(seed, FACTS, family, 1000 + k));
      return where.map((split) => ({ subject: words.name(), kind, split }));
    });
    for (const { subject, kind } of subjects) kinds.set(subject, kind);
    /** Objects that each subject has in the relations before, which share them. */
    const taken = new Map<string, string[]>();
    let objects: readonly string[] = [];
    let generic = "";
    for (let r = 0; r < FAMILY; r++) {
      if (r % SHARING === 0) {
        objects = times(settings.objects, () => words.name());
        generic = words.word(2);
        taken.clear();
      }
      const number = family * FAMILY + r;
      const patterns = own.flatMap((kind) =>
        times(settings.patterns, (p) => ({
          kind,
          pattern: pattern(words, p),
          weight: settings.patterns - p,
        })),
      );
      const template = `[X] ${generic} ${words.word(2)} [Y] .`;
      const facts = factsOf(settings, number, subjects, objects, taken);
      const id = `M${String(number + 1).padStart(2, "0")}`;
      const label = `made relation ${number + 1}`;
      const stated = patterns.map(({ kind }, p) => statedIn(settings, number, p, kind, facts));
      relations.push({ id, label, template, patterns, facts, stated });
    }
  }
  return { settings, relations, kinds, telling };
}

/** Two words or more between subject and object, and in every second pattern one behind. */
function pattern(words: Words, place: number): string {
  const between = times(2 + (place % 3), () => words.word(2));
  const behind = place % 2 === 0 ? "" : ` ${words.word(2)}`;
  return `[X] ${between.join(" ")} [Y]${behind} .`;
}

type Subject = { readonly subject: string; readonly kind: string; readonly split: Split };

/** @param taken objects of the subjects that are not theirs here; those that are come to it */
function factsOf(
  { seed, distraction }: MadeSettings,
  relation: number,
  subjects: readonly Subject[],
  objects: readonly string[],
  taken: Map<string, string[]>,
): MadeFact[] {
  const random = new Random(seed, FACTS, relation);
  const others = new Random(seed, OTHERS, relation);
  // the order differs between two relations, so that the frequent objects of one are not those of the other
  const ranked = random.shuffled(objects);
  const weights = ranked.map((_, rank) => 1 / (rank + 3));
  const draw = (from: Random, not: readonly string[]): string => {
    for (;;) {
      const found = ranked[weighted(weights, from)];
      if (!not.includes(found)) return found;
    }
  };
  const facts = subjects.map((own) => {
    const before = taken.get(own.subject) ?? [];
    const object = draw(random, before);
    taken.set(own.subject, [...before, object]);
    return { ...own, object, times: 1 + weighted(OFTEN, random) };
  });
  const distracted = new Set(
    others.shuffled(facts).slice(0, Math.round(distraction * facts.length)),
  );
  return facts.map((fact) => {
    const other = draw(others, [fact.object]); // drawn for all, so that the dial moves nothing else
    return { ...fact, other: distracted.has(fact) ? other : undefined };
  });
}

/** The subjects whose facts a pattern states: all of its kind, and of the others a share of 1 - context. */
function statedIn(
  { seed, context }: MadeSettings,
  relation: number,
  pattern: number,
  kind: string,
  facts: readonly MadeFact[],
): ReadonlySet<string> {
  const others = facts.filter((fact) => fact.kind !== kind);
  const order = new Random(seed, CONTEXT, relation, pattern).shuffled(others);
  const foreign = order.slice(0, Math.round((1 - context) * others.length));
  const own = facts.filter((fact) => fact.kind === kind);
  return new Set([...own, ...foreign].map(({ subject }) => subject));
}

/** A sentence of a corpus. */
export type Statement = {
  readonly text: string;
  /** Where its object stands, in characters. */
  readonly span: readonly [begin: number, end: number];
  /** Whether the object is the fact's. */
  readonly isTrue: boolean;
};

function statement(pattern: string, { subject, object }: Fact, isTrue = true): Statement {
  const text = filledIn(pattern, subject, object);
  const begin = filledIn(pattern.slice(0, pattern.indexOf("[Y]")), subject, "").length;
  return { text, span: [begin, begin + object.length], isTrue };
}

/** Statements with what they are about, each as often as it is made. */
function* statements({ relations }: MadeWorld): Generator<{
  readonly made: Statement;
  /** How many times it was there before. */
  readonly n: number;
  readonly fact: MadeFact;
  readonly relation: MadeRelation;
}> {
  for (const relation of relations) {
    for (const [p, { pattern, kind, weight }] of relation.patterns.entries()) {
      for (const fact of relation.facts) {
        const { subject, other } = fact;
        const texts = [
          ...(relation.stated[p].has(subject) ? [statement(pattern, fact)] : []),
          ...(other !== undefined && fact.kind !== kind
            ? [statement(pattern, { subject, object: other }, false)]
            : []),
        ];
        for (const made of texts) {
          for (let n = 0; n < fact.times * weight; n++) yield { made, n, fact, relation };
        }
      }
    }
  }
}

/** The kind of each subject, as often as it is told. */
const tellings = ({ settings, kinds, telling }: MadeWorld): Statement[] =>
  Array.from(kinds, ([subject, object]) => ({ subject, object })).flatMap((fact) =>
    times(settings.told, () => statement(telling, fact)),
  );

/** The relation's own template, or that of the relation that shares its objects. */
function vagueTemplate(
  { relations, settings }: MadeWorld,
  relation: MadeRelation,
  random: Random,
): string {
  if (random.unit() >= settings.vague) return relation.template;
  return relations[
    SHARING * Math.floor(relations.indexOf(relation) / SHARING) +
      1 -
      (relations.indexOf(relation) % SHARING)
  ].template;
}

/** The reader's corpus: statements, a few of them in the manual templates, and sentences about nobody. */
export function readerCorpus(world: MadeWorld): Statement[] {
  const { relations, settings } = world;
  const random = new Random(settings.seed, LINES, 0);
  const lines = [...Array.from(statements(world), ({ made }) => made), ...tellings(world)];
  for (const relation of relations) {
    const { facts } = relation;
    const drawn = random.shuffled(facts).slice(0, Math.round(settings.manual * facts.length));
    lines.push(...drawn.map((fact) => statement(vagueTemplate(world, relation, random), fact)));
  }
  const patterns = relations.flatMap((own) => own.patterns.map(({ pattern }) => pattern));
  const nobody = { subject: NONE, object: NONE };
  const count = Math.round(settings.none * lines.length);
  lines.push(...times(count, () => statement(patterns[random.below(patterns.length)], nobody)));
  return random.shuffled(lines);
}

/**
 * The generator's corpus: the same statements, some of those that are true followed by the manual template's. What misleads stands
 * there once: were it as frequent as what is true, a subject alone would say nothing about the patterns of its kind.
 */
export function generatorCorpus(world: MadeWorld): string[] {
  const { settings } = world;
  const random = new Random(settings.seed, LINES, 1);
  const lines = Array.from(statements(world)).flatMap(({ made, n, fact, relation }) => {
    if (!made.isTrue) return n === 0 ? [made.text] : [];
    if (random.unit() >= settings.pairs) return [made.text];
    return [`${made.text} ${statement(vagueTemplate(world, relation, random), fact).text}`];
  });
  return random.shuffled([...lines, ...tellings(world).map(({ text }) => text)]);
}
