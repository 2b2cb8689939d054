/**
 * The facts that the page's browser holds: a sample that has of each relation its share, with what every row answered. Packed: texts
 * stand once in a list, all of it is compressed.
 */
import { deflateRawSync } from "node:zlib";
import { Random } from "../../../models/training/random.ts";
import { groupBy } from "../../facts/group-by.ts";
import { keyOf } from "../../facts/splits.ts";
import { type FactRow, isEarned } from "../fact-rows.ts";
import type { RelationRow } from "../relations.ts";
import { visible } from "../table.ts";

/** A row's run that is shown: one seed of it. */
export type ShownRun = {
  readonly title: string;
  readonly seed: number | undefined;
  readonly facts: readonly FactRow[];
};

/** What a row answered: places of texts in the list; outcome 0 wrong, 1 right with a filler too, 2 right with the subject alone. */
export type PackedAnswer = readonly [
  prompt: number,
  outcome: 0 | 1 | 2,
  rank: number,
  logP: number,
  top: readonly number[],
];

/** What the browser reads. */
export type PackedFacts = {
  readonly rows: readonly { readonly title: string; readonly seed: number | undefined }[];
  readonly relations: readonly (readonly [id: string, label: string])[];
  readonly texts: readonly string[];
  /** Relation, subject, object, and by row what it answered; null where it was not asked. */
  readonly facts: readonly (readonly [
    relation: number,
    subject: number,
    object: number,
    answers: readonly (PackedAnswer | null)[],
  ])[];
};

/** The most facts of a page. */
export const MOST_FACTS = 2000;
const SHARED_SEED = 1;
const DRAW = 0x50414745;

/**
 * Shares of `most` among groups of these sizes: in proportion, by largest remainders, at least one of each group that is not empty
 * where there is room, never more than there are.
 */
export function sharesOf(sizes: readonly number[], most: number): number[] {
  const total = sizes.reduce((sum, size) => sum + size, 0);
  if (total <= most) return [...sizes];
  const exact = sizes.map((size) => (size * most) / total);
  const shares = exact.map((share, i) => Math.min(sizes[i], Math.max(1, Math.floor(share))));
  const sum = () => shares.reduce((a, b) => a + b, 0);
  const byRemainder = exact
    .map((share, i) => ({ i, over: share - Math.floor(share) }))
    .sort((a, b) => b.over - a.over || a.i - b.i);
  for (const { i } of byRemainder) if (sum() < most && shares[i] < sizes[i]) shares[i]++;
  while (sum() > most) shares[shares.indexOf(Math.max(...shares))]--;
  return shares;
}

/** Keys of the facts that are shown, in the order of the relations and their files. */
export function sampled(
  relations: readonly RelationRow[],
  runs: readonly ShownRun[],
  most = MOST_FACTS,
): FactRow[] {
  const all = new Map(runs.flatMap(({ facts }) => facts.map((fact) => [keyOf(fact), fact])));
  const byRelation = groupBy(all.values(), ({ relation }) => relation);
  const groups = relations.map(({ id }) => byRelation.get(id) ?? []);
  const shares = sharesOf(
    groups.map(({ length }) => length),
    most,
  );
  return groups.flatMap((group, g) => {
    if (shares[g] === group.length) return group;
    const order = new Random(SHARED_SEED, DRAW, g).shuffled(group.map((_, i) => i));
    const chosen = new Set(order.slice(0, shares[g]));
    return group.filter((_, i) => chosen.has(i));
  });
}

/** The facts with what each run answered. */
export function packed(
  relations: readonly RelationRow[],
  runs: readonly ShownRun[],
  most = MOST_FACTS,
): PackedFacts {
  const places = new Map<string, number>();
  const place = (text: string): number => {
    const own = visible(text);
    const known = places.get(own);
    if (known !== undefined) return known;
    places.set(own, places.size);
    return places.size - 1;
  };
  const answers = runs.map(({ facts }) => new Map(facts.map((fact) => [keyOf(fact), fact])));
  const facts = sampled(relations, runs, most).map((fact) => {
    const { relation, subject, object } = fact;
    const own = answers.map((byKey): PackedAnswer | null => {
      const row = byKey.get(keyOf(fact));
      if (row === undefined) return null;
      const outcome = !row.own.right ? 0 : isEarned(row) ? 2 : 1;
      const top = row.top.flatMap(([word, p]) => [place(word), Number(p.toFixed(3))]);
      return [place(row.prompt), outcome, row.own.rank, Number(row.own.logP.toFixed(2)), top];
    });
    const at = relations.findIndex(({ id }) => id === relation);
    return [at, place(subject), place(object), own] as const;
  });
  return {
    rows: runs.map(({ title, seed }) => ({ title: visible(title), seed })),
    relations: relations.map(({ id, label }) => [visible(id), visible(label)] as const),
    texts: [...places.keys()],
    facts,
  };
}

/** JSON, deflated, in base64. */
export const compressed = (value: unknown): string =>
  deflateRawSync(JSON.stringify(value), { level: 9 }).toString("base64");
