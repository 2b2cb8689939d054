/**
 * Parts of the test facts that a row is scored on beside all of them: those that the subject's name does not give away, those that
 * no training file holds, objects that were seen in training and objects that were not.
 *
 * A part is a predicate over relation, subject and object, so that it can be taken of answers that were written down long ago.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { printable } from "../../models/errors.ts";
import type { Fact, Relation } from "./facts.ts";
import { listed } from "./left-out.ts";
import { readRows } from "./rows.ts";

/** A fact by what names it. */
export type Triple = Fact & { readonly relation: string };

/** Some of the test facts. */
export type TestSplit = {
  /** As tables name it. */
  readonly name: string;
  /** A sentence: what is in it. */
  readonly what: string;
  has(fact: Readonly<Triple>): boolean;
};

const NAMES_SHOWN = 6;

/** In the facts' folder, where there is one: facts that no text of the reader's pre-training states, {"relation", "subject", "object"} a line. */
export const UNSTATED = "unstated.jsonl";

/** The keys of those facts; undefined where the folder does not tell. */
export async function loadUnstated(data: string): Promise<ReadonlySet<string> | undefined> {
  const path = join(data, UNSTATED);
  if (!existsSync(path)) return undefined;
  const rows = await readRows(path, ["relation", "subject", "object"]);
  return new Set(rows.map(({ row }) => keyOf(row)));
}

/** The same for two facts that are the same, and for no others. */
export const keyOf = ({ relation, subject, object }: Readonly<Triple>): string =>
  JSON.stringify([relation, subject, object]);

/** Whether the object stands in the subject's name, whatever the case: the first rule of LAMA-UHN. */
export const inSubject = ({ subject, object }: Readonly<Fact>): boolean =>
  subject.toLowerCase().includes(object.toLowerCase());

/** Test facts that stand among the train or dev facts of their relation, in the order of the files. */
export function overlapping(relations: readonly Relation[]): Triple[] {
  return relations.flatMap(({ id, train, dev, test }) => {
    const before = new Set([...train, ...dev].map((fact) => keyOf({ relation: id, ...fact })));
    return test
      .map(({ subject, object }) => ({ relation: id, subject, object }))
      .filter((fact) => before.has(keyOf(fact)));
  });
}

/**
 * The parts, in the order of the tables.
 * @param named keys of the facts that the second rule of LAMA-UHN takes out (`namedAway` asks a reader for them); without them
 *   there is no part of that name
 * @param unstated keys of the facts that the reader was not told; without them there are no such parts
 */
export function testSplits(
  relations: readonly Relation[],
  named?: ReadonlySet<string>,
  unstated?: ReadonlySet<string>,
): TestSplit[] {
  const both = overlapping(relations);
  const keys = new Set(both.map(keyOf));
  const seen = new Map(
    relations.map(({ id, train }) => [id, new Set(train.map(({ object }) => object))]),
  );
  const isSeen = ({ relation, object }: Triple): boolean =>
    seen.get(relation)?.has(object) ?? false;
  const examples = both.map(
    ({ relation, subject, object }) => `${relation}: ${printable(subject)} > ${printable(object)}`,
  );
  const uhn: TestSplit[] =
    named === undefined
      ? []
      : [
          {
            name: "UHN",
            what: "UHN: that, and the reader does not name the object for a word of the subject alone",
            has: (fact) => !inSubject(fact) && !named.has(keyOf(fact)),
          },
        ];
  const told: TestSplit[] =
    unstated === undefined
      ? []
      : [
          {
            name: "stated",
            what: "stated: a text of the reader's pre-training says it",
            has: (fact) => !unstated.has(keyOf(fact)),
          },
          {
            name: "unstated",
            what: "unstated: none does",
            has: (fact) => unstated.has(keyOf(fact)),
          },
        ];
  return [
    ...told,
    {
      name: "not in name",
      what: "not in name: the object does not stand in the subject's name",
      has: (fact) => !inSubject(fact),
    },
    ...uhn,
    {
      name: "no overlap",
      what: `no overlap: without the test facts that stand in train or dev too, ${both.length}${both.length === 0 ? "" : ` (${listed(examples, NAMES_SHOWN)})`}`,
      has: (fact) => !keys.has(keyOf(fact)),
    },
    {
      name: "seen",
      what: "seen: the object is that of a training fact of the relation",
      has: isSeen,
    },
    { name: "unseen", what: "unseen: it is not", has: (fact) => !isSeen(fact) },
  ];
}
