/**
 * The leak audit: asks each fact with its own subject, and again with what knows nothing of the fact in the subject's place, the prompt
 * staying the one that was written for the own subject. What is right only with the own subject was earned by it.
 */
import type { Device } from "../engine/device.ts";
import { Random } from "../models/training/random.ts";
import { type Benchmark, type Item, itemsOf, NONE } from "./benchmark.ts";
import type { Fact, Relation } from "./facts/facts.ts";
import { SPLITS } from "./facts/left-out.ts";
import {
  type Answer,
  Examiner,
  type Explained,
  type Filler,
  type Measured,
  type MeasureOptions,
  measuredOf,
  NOBODY,
  OWN,
} from "./measure.ts";
import type { Prompter } from "./methods/method.ts";
import { textFingerprint } from "./training/fingerprint.ts";

/** Of another subject of the relation, which has another object. */
export const OTHER = "other";

const DRAW = 7; // purpose of the seed

/** A question of the audit and what was answered to it. */
export type AuditAnswer = { readonly subject: string; readonly answer: Answer };

/** A fact with the answers to its questions, its own subject's and "None"'s first, and the most probable of those two. */
export type AuditedFact = Explained & {
  /** By filler, without the own subject; a filler that means nothing for the fact is not there. */
  readonly fillers: ReadonlyMap<string, AuditAnswer>;
};

export type Audited = {
  /** Asked with the own subject and with "None". */
  readonly measured: Measured;
  readonly facts: readonly AuditedFact[];
  /** Sentences about fillers that were not asked with. */
  readonly remarks: readonly string[];
};

/** Asks the test facts with every filler. Plans are kept between calls, as an Examiner's. */
export class Auditor {
  readonly #fillers: readonly Filler[];
  readonly #examiner: Examiner;
  readonly #silent: readonly string[];
  readonly #others: Others;
  #seed = 0;

  /** @param run its buckets hold every fact with its own subject */
  constructor(
    device: Device,
    run: {
      readonly benchmark: Benchmark;
      readonly prompter: Prompter;
      readonly buckets: readonly number[];
    },
    batchSize: number,
  ) {
    const { benchmark, prompter } = run;
    this.#others = new Others(benchmark.relations);
    const other: Filler = {
      name: OTHER,
      of: (item) => this.#others.of(item, this.#seed) ?? item.fact.subject,
    };
    const words = neutral(benchmark);
    const isUnknown = ({ of }: Filler, item: Item) =>
      benchmark.encode(of(item)).includes(benchmark.tokenizer.unk);
    const items = itemsOf(benchmark.relations, "test");
    const unknown = words.filter((filler) => items.length > 0 && isUnknown(filler, items[0]));
    this.#silent = unknown.map(({ name }) => name);
    this.#fillers = [OWN, NOBODY, other, ...words.filter((filler) => !unknown.includes(filler))];
    const most = items.map(widestQuestion(run)).reduce((a, b) => Math.max(a, b), 0);
    const largest = run.buckets.at(-1) ?? 0;
    this.#examiner = new Examiner(device, benchmark, prompter, {
      buckets: most > largest ? [...run.buckets, most] : run.buckets,
      batchSize,
      fillers: this.#fillers,
      explained: 2,
    });
  }

  /**
   * @param seed draws the other subjects, each fact's on its own
   * @returns undefined when the signal came
   * @throws as `Examiner.measure`
   */
  async ask(
    items: readonly Item[],
    seed: number,
    options: MeasureOptions = {},
  ): Promise<Audited | undefined> {
    if (items.length === 0) {
      throw new Error("[audit] there are no facts to ask; see what was left out, and give some");
    }
    this.#seed = seed;
    const explained = await this.#examiner.explain(items, options);
    if (!explained) return undefined;
    const lonely: Item[] = [];
    const facts = explained.map((one): AuditedFact => {
      const { item, answers } = one;
      const hasOther = this.#others.of(item, seed) !== undefined;
      if (!hasOther) lonely.push(item);
      const asked = this.#fillers.flatMap((filler, s): [string, AuditAnswer][] => {
        if (s === 0 || (filler.name === OTHER && !hasOther)) return [];
        return [[filler.name, { subject: filler.of(item), answer: answers[s] }]];
      });
      return { ...one, fillers: new Map(asked) };
    });
    return { measured: measuredOf(explained, 2), facts, remarks: this.#remarks(lonely) };
  }

  #remarks(lonely: readonly Item[]): string[] {
    const silent = this.#silent.map(
      (name) =>
        `[audit] "${name}" is unknown to the masked LM's tokenizer; nothing is asked with it`,
    );
    const relations = [...new Set(lonely.map(({ relation }) => relation.id))].sort();
    if (relations.length === 0) return silent;
    return [
      ...silent,
      `[audit] ${lonely.length} ${lonely.length === 1 ? "fact" : "facts"} of ${relations.join(", ")} cannot be asked with another subject: ` +
        "no training subject of the relation has only other objects",
    ];
  }
}

/** Words in the subject's place that name nothing, the mask token, and no word at all. */
const neutral = ({ tokenizer }: Pick<Benchmark, "tokenizer">): Filler[] => [
  { name: "It", of: () => "It" },
  { name: "He", of: () => "He" },
  { name: "[MASK]", of: () => tokenizer.token(tokenizer.mask) },
  { name: "empty", of: () => "" },
];

/** The width of a fact's question with whichever filler makes it longest, whatever the seed draws. */
export function widestQuestion({
  benchmark: { relations, encode, tokenizer },
  prompter,
}: {
  readonly benchmark: Pick<Benchmark, "relations" | "encode" | "tokenizer">;
  readonly prompter: Pick<Prompter, "width">;
}): (item: Item) => number {
  const pieces = (subject: string) => encode(subject).length;
  const longest = new Map(
    relations.map(({ id, train }) => [
      id,
      train.reduce((most, { subject }) => (pieces(subject) > pieces(most) ? subject : most), ""),
    ]),
  );
  return (item) => {
    const { relation, fact } = item;
    const words = neutral({ tokenizer }).map((filler) => filler.of(item));
    const subjects = [fact.subject, NONE, longest.get(relation.id) ?? "", ...words];
    return prompter.width({ ...item, subjects });
  };
}

/** Draws, for a fact, a training subject of its relation of which no fact says that it has the fact's object. */
class Others {
  /** By relation and object. */
  readonly #subjects: ReadonlyMap<string, Map<string, readonly string[]>>;
  readonly #relations: ReadonlyMap<string, Relation>;

  constructor(relations: readonly Relation[]) {
    this.#relations = new Map(relations.map((relation) => [relation.id, relation]));
    this.#subjects = new Map(relations.map(({ id }) => [id, new Map()]));
  }

  /** Undefined where there is none. */
  of({ relation, fact }: Item, seed: number): string | undefined {
    const subjects = this.#candidates(relation.id, fact);
    if (subjects.length === 0) return undefined;
    const text = JSON.stringify([relation.id, fact.subject, fact.object]);
    const digits = textFingerprint(text);
    const word = (from: number) => Number.parseInt(digits.slice(from, from + 8), 16);
    return subjects[new Random(seed, DRAW, word(0), word(8)).below(subjects.length)];
  }

  #candidates(id: string, { subject: own, object }: Fact): readonly string[] {
    const byObject = this.#subjects.get(id);
    const relation = this.#relations.get(id);
    if (!byObject || !relation) return [];
    const others = (subjects: readonly string[]) => subjects.filter((subject) => subject !== own);
    const known = byObject.get(object);
    if (known) return others(known);
    const having = new Set(
      SPLITS.flatMap((split) => relation[split])
        .filter((fact) => fact.object === object)
        .map(({ subject }) => subject),
    );
    const subjects = [...new Set(relation.train.map(({ subject }) => subject))];
    const found = subjects.filter((subject) => !having.has(subject));
    byObject.set(object, found);
    return others(found);
  }
}
