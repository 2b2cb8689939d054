/**
 * What tables say of relations: a row for each, in the order of the tables.
 *
 * It knows the facts' shape, so that nobody else in the report does.
 */
import type { Relation } from "../facts/facts.ts";
import { typesOf } from "../scores.ts";

/** `facts` is the number of test facts. */
export type RelationRow = {
  readonly id: string;
  readonly label: string;
  readonly type: string;
  readonly facts: number;
};

/** Rows of a fact set, in its order. */
export function relationRows(relations: readonly Relation[]): RelationRow[] {
  return relations.map(({ id, label, type, test }) => ({ id, label, type, facts: test.length }));
}

/** By type, in the paper's order of types, then by id. */
export function inTableOrder(relations: readonly RelationRow[]): RelationRow[] {
  const types = typesOf(relations);
  return [...relations].sort(
    (a, b) => types.indexOf(a.type) - types.indexOf(b.type) || (a.id < b.id ? -1 : 1),
  );
}
