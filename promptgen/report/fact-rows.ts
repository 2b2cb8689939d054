/**
 * facts.jsonl: what a run's prompter answered about each test fact, one line a fact. Tables, splits, tests between rows and the audit
 * are computed from it, so that none of them needs a model.
 */

/** The answer to one question about a fact. */
export type FactAnswer = {
  /** What stood for the subject. */
  readonly subject: string;
  readonly answer: string;
  /** Whether it is the object. */
  readonly right: boolean;
  /** Place of the object among the words that may be answers; 1 is the first. */
  readonly rank: number;
  /** log P(object), natural. */
  readonly logP: number;
};

/** One line. */
export type FactRow = {
  readonly relation: string;
  readonly subject: string;
  readonly object: string;
  /** The prompt in words, [X] for the subject and [Y] for the object. */
  readonly prompt: string;
  /** Asked with its own subject. */
  readonly own: FactAnswer;
  /** The most probable answers to that, with their probabilities, the first five. */
  readonly top: readonly (readonly [word: string, probability: number])[];
  /** Asked with something else for the subject, by the filler's name ("None", "other", ...); the prompt stays. */
  readonly fillers: Readonly<Record<string, FactAnswer>>;
  /** Further figures that a method gives about a fact, by name. */
  readonly figures?: Readonly<Record<string, number>>;
};
