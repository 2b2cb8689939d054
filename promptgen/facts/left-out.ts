/** What becomes of facts that are not asked: each has a reason, is counted by it, and is told with the others of its kind in one line. */
import { printable } from "../../models/errors.ts";
import type { Fact, Relation, Split } from "./facts.ts";
import { groupBy } from "./group-by.ts";

/** Why a fact is not asked; the names stand in results.json. */
export type Reason =
  | "repeated"
  | "blank"
  | "case"
  | "unicode"
  | "multiPiece"
  | "uncommon"
  | "tokenCase"
  | "noToken"
  | "tooLong"
  | "otherRun"
  | "relation";

/** How a line says it. */
const REASONS: Readonly<Record<Reason, string>> = {
  repeated: "repeated",
  blank: "with a blank or an invisible character around the object",
  case: "with an object that is a common word in another case",
  unicode: "with an object that is a common word in another Unicode form (NFC is expected)",
  multiPiece: "with an object of several pieces",
  uncommon: "with an object outside the common words",
  tokenCase:
    "with an object that the masked LM has in lower case only, as --objects lowercase takes it",
  noToken: "with an object that is no token of the masked LM",
  tooLong: "too long for the models' positions",
  otherRun: "that another of the runs cannot be asked",
  relation: "of relations that are left without train, dev or test facts",
};

/** A fact that is not asked. */
export type LeftOut = {
  readonly relation: string;
  readonly split: Split;
  readonly fact: Fact;
  readonly reason: Reason;
};

/** Facts by split. */
export type SplitCounts = Readonly<Record<Split, number>>;

/** Facts that are not asked, by relation and reason. */
export type LeftOutCounts = Readonly<Record<string, Readonly<Record<string, SplitCounts>>>>;

export const SPLITS = ["train", "dev", "test"] as const satisfies readonly Split[];

const SHOWN = 4;
const RELATIONS_SHOWN = 8;

/** As they stand in results.json. */
export function countLeftOut(leftOut: readonly LeftOut[]): LeftOutCounts {
  const by = <K extends "relation" | "reason">(list: readonly LeftOut[], key: K) => [
    ...groupBy(list, (one) => one[key]),
  ];
  return Object.fromEntries(
    by(leftOut, "relation").map(([relation, own]) => [
      relation,
      Object.fromEntries(by(own, "reason").map(([reason, list]) => [reason, bySplit(list)])),
    ]),
  );
}

/**
 * The facts for which `reasonOf` gives no reason. A relation that loses a whole split by it goes, and what it had left is left
 * out too.
 */
export function keptFacts(
  relations: readonly Relation[],
  reasonOf: (fact: Fact, relation: Relation) => Reason | undefined,
): { readonly relations: Relation[]; readonly leftOut: LeftOut[]; readonly emptied: string[] } {
  const kept: Relation[] = [];
  const leftOut: LeftOut[] = [];
  const emptied: string[] = [];
  for (const relation of relations) {
    const { id } = relation;
    const of = (split: Split): Fact[] =>
      relation[split].filter((fact) => {
        const reason = reasonOf(fact, relation);
        if (reason !== undefined) leftOut.push({ relation: id, split, fact, reason });
        return reason === undefined;
      });
    const own = { ...relation, train: of("train"), dev: of("dev"), test: of("test") };
    if (SPLITS.every((split) => own[split].length > 0)) {
      kept.push(own);
      continue;
    }
    emptied.push(id);
    for (const split of SPLITS) {
      for (const fact of own[split])
        leftOut.push({ relation: id, split, fact, reason: "relation" });
    }
  }
  return { relations: kept, leftOut, emptied };
}

/**
 * One line about all facts that are not asked, by reason with examples; empty when there are none.
 * @param read facts in the files of the relations `ids`
 * @param emptied the relations that go with them
 */
export function leftOutMessage(
  leftOut: readonly LeftOut[],
  read: number,
  ids: readonly string[],
  emptied: readonly string[] = [],
): string {
  if (leftOut.length === 0) return "";
  const alone = ids.length === 1 ? `${ids[0]}: ` : "";
  const reasons = (Object.keys(REASONS) as Reason[]).flatMap((reason) => {
    const own = leftOut.filter((one) => one.reason === reason);
    return own.length === 0 ? [] : [told(reason, own, alone === "")];
  });
  const gone = emptied.length === 0 ? "" : `; relations left out: ${listed(emptied, 60)}`;
  return (
    `[data] ${alone}${read} facts read, ${leftOut.length} left out (${splitsText(leftOut)}): ` +
    `${reasons.join("; ")}${gone}`
  );
}

/** `6 with a blank around the object (P17 4, P19 2: " Nigeria ", ...)`. */
function told(reason: Reason, own: readonly LeftOut[], several: boolean): string {
  const relations = [...groupBy(own, ({ relation }) => relation)];
  const by = relations
    .toSorted(([, a], [, b]) => b.length - a.length)
    .map(([id, list]) => `${id} ${list.length}`);
  const where = several ? `${listed(by, RELATIONS_SHOWN)}: ` : "";
  const examples = listed([...new Set(own.map(example))], SHOWN);
  return `${own.length} ${REASONS[reason]} (${where}${examples})`;
}

function example({ reason, fact: { subject, object } }: LeftOut): string {
  const ofBoth = reason === "repeated" || reason === "relation" || reason === "otherRun";
  if (ofBoth) return `${cut(subject)} > ${cut(object)}`;
  if (reason === "tooLong") return cut(subject);
  return reason === "blank" || reason === "unicode" ? `"${cut(object)}"` : cut(object);
}

const cut = (text: string): string =>
  printable(text.length > 40 ? `${text.slice(0, 40).toWellFormed()}...` : text);

/** The first few, and how many more there are. */
export function listed(names: readonly string[], most = SHOWN): string {
  const more = names.length > most ? `, and ${names.length - most} more` : "";
  return `${names.slice(0, most).join(", ")}${more}`;
}

function bySplit(list: readonly LeftOut[]): SplitCounts {
  const of = (split: Split) => list.filter((one) => one.split === split).length;
  return { train: of("train"), dev: of("dev"), test: of("test") };
}

function splitsText(list: readonly LeftOut[]): string {
  const counts = bySplit(list);
  const there = SPLITS.filter((split) => counts[split] > 0);
  return there.map((split) => `${counts[split]} ${split}`).join(", ");
}
