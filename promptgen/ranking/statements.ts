/** What is ranked: facts with the answers that may be given, and the sentences that state them. It knows no files and no models. */
import type { Relation } from "../facts/facts.ts";

/** A fact and the place of its answer in the relation's answer space. */
export type RankedFact = {
  readonly subject: string;
  readonly object: string;
  readonly answer: number;
};

/** A relation whose facts are asked by ranking. */
export type RankedRelation = {
  readonly id: string;
  /** Sentences with [X] for the subject and [Y] for the answer, each of them once or several times. */
  readonly templates: readonly string[];
  /** The answer space: every answer that a fact of this relation may have, of any length. */
  readonly answers: readonly string[];
  readonly facts: readonly RankedFact[];
  /** Whether a sentence begins with a capital whatever it begins with, as BEAR's do. */
  readonly capitalize: boolean;
};

/** The sentence that states an answer: one pass, for a subject may itself hold "[Y]". */
export function statement(
  { capitalize }: Pick<RankedRelation, "capitalize">,
  template: string,
  subject: string,
  answer: string,
): string {
  const text = template.replace(/\[[XY]\]/g, (slot) => (slot === "[X]" ? subject : answer));
  if (!capitalize) return text;
  const [first = ""] = text; // a whole character, not half of one
  return first.toUpperCase() + text.slice(first.length);
}

/**
 * The test facts of LAMA's relations, each ranked among the objects of its relation in all splits. So an object may have several
 * pieces, which one [MASK] cannot hold. Sentences stand as LAMA has them, without a capital.
 * @param templates by relation; the relation's own where left out
 */
export function rankedRelations(
  relations: readonly Relation[],
  templates?: ReadonlyMap<string, readonly string[]>,
): RankedRelation[] {
  return relations.map(({ id, template, train, dev, test }) => {
    const answers = [...new Set([...train, ...dev, ...test].map(({ object }) => object))];
    const places = new Map(answers.map((answer, i) => [answer, i]));
    const facts = test.map(({ subject, object }) => {
      return { subject, object, answer: places.get(object) ?? -1 };
    });
    return { id, templates: templates?.get(id) ?? [template], answers, facts, capitalize: false };
  });
}
