/**
 * Facts of the benchmark and its filter.
 *
 * Layout (that of the OptiPrompt archive):
 *
 *     autoprompt_data/<relation>/{train,dev}.jsonl  {"sub_label": ..., "obj_label": ...} a line
 *     LAMA-TREx/<relation>.jsonl                    the test facts
 *     relation_metainfo/LAMA_relations.jsonl        {"relation", "template", "label", "type"} a line
 *     common_vocabs/common_vocab_cased.txt          the words that an object may be, one a line
 *
 * The filter, on each split by itself: a repeated (subject, object) is dropped, then an object
 * outside the common words. As in the original code words are compared letter by letter: an object with
 * a blank around it or in another case is dropped, and counted under that reason.
 */
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { printable } from "../../models/errors.ts";
import { groupBy } from "./group-by.ts";
import { keptFacts, type LeftOut, listed, type Reason, SPLITS } from "./left-out.ts";
import { readLines, readRows, unprintable } from "./rows.ts";
import { checkTemplate } from "./templates.ts";
import { besides, type Places, unreadFiles } from "./unread.ts";

/**
 * How subjects and objects pair up: `1-1`, `N-1`, `N-M` in the benchmark; any name groups relations
 * in a report.
 */
export type RelationType = string;

/** What is said of a subject. */
export type Fact = {
  subject: string;
  object: string;
};

/** The three parts of a relation's facts. */
export type Split = "train" | "dev" | "test";

/** One kind of fact with its manual template. */
export type Relation = {
  id: string;
  label: string;
  type: RelationType;
  template: string;
  train: Fact[];
  dev: Fact[];
  test: Fact[];
};

/** Rows read, rows dropped by each rule, rows kept. */
export type FilterCount = {
  raw: number;
  repeated: number;
  uncommon: number;
  kept: number;
};

/** A list of words: where it came from and what of it was taken. */
export type WordSource = {
  /** A path, or "the words given". */
  readonly from: string;
  readonly lines: number;
  readonly empty: number;
  readonly repeated: number;
  /** Words that had a blank around them, which was taken off. */
  readonly trimmed: number;
};

/**
 * Relations in the order of their ids, the words to choose an answer from, and what the filter did.
 */
export type FactSet = {
  relations: Relation[];
  commonVocabulary: string[];
  counts: Record<Split, FilterCount>;
  /** Every fact that the filter dropped, in the order of the files. */
  leftOut: LeftOut[];
  words: WordSource;
  /** Sentences about what was not read, and about what was kept though it is odd. */
  remarks: string[];
};

/** Choices for {@link loadFacts}. */
export type FactOptions = {
  /** Ids of the relations to read; all that have test facts when left out. */
  relations?: readonly string[] | undefined;
  /**
   * The common words: a file with one a line, or the words; the folder's own file when left out.
   */
  commonVocabulary?: string | readonly string[] | undefined;
  /** How an object and a common word are spelled, both in the same way; as they stand when left out. */
  spell?: ((word: string) => string) | undefined;
  /**
   * Whether a fact whose object is no common word is kept, for a method that can rank candidates of several pieces; none is when
   * left out.
   */
  keep?: ((object: string) => boolean) | undefined;
};

/**
 * Reads and filters the facts under `root`. Throws for a missing file, a broken line (file and line
 * number), an unknown relation, and a relation with nothing left.
 */
export async function loadFacts(root: string, options: FactOptions = {}): Promise<FactSet> {
  const found = statSync(root, { throwIfNoEntry: false });
  if (!found?.isDirectory()) {
    const what = found ? "is no folder" : "does not exist";
    throw new Error(
      `[data] ${root} ${what}; point --data at a folder in the layout of the OptiPrompt archive`,
    );
  }
  const { spell = (word) => word, keep } = options;
  const { words: commonVocabulary, source } = await words(root, options.commonVocabulary, spell);
  const common = new Set(commonVocabulary);
  const known = await metainfo(root);
  const relations: Relation[] = [];
  const counts = { train: zero(), dev: zero(), test: zero() };
  const leftOut: LeftOut[] = [];
  const ids = await choose(root, known, options.relations);
  for (const id of ids) {
    const relation = known.get(id);
    if (relation === undefined) continue;
    for (const split of SPLITS) {
      const path = splitFile(root, id, split);
      const read = (await readFacts(path, id)).map(({ subject, object }) => ({
        subject,
        object: spell(object),
      }));
      const { facts, count, dropped } = filterFacts(read, common, keep);
      for (const one of dropped) leftOut.push({ relation: id, split, ...one });
      if (facts.length === 0) {
        throw new Error(
          `[data] ${path} leaves relation ${id} without ${split} facts (${count.raw} rows, ${count.repeated} repeated, ` +
            `${count.uncommon} with an object outside the common words${spellings(dropped)}); add facts or leave the relation out`,
        );
      }
      relation[split] = facts;
      for (const key of Object.keys(count) as (keyof FilterCount)[])
        counts[split][key] += count[key];
    }
    relations.push(relation);
  }
  const places: Places = { root, known: [...known.keys()], chosen: ids, all: !options.relations };
  const remarks = [
    ...(await unreadFiles(places)),
    ...(options.relations ? [] : withoutFacts(known, ids)),
    ...oddities(relations),
  ];
  return { relations, commonVocabulary, counts, leftOut, words: source, remarks };
}

/** The benchmark's filter on one split of one relation; the order of the rows is kept. */
export function filterFacts(
  facts: readonly Fact[],
  common: ReadonlySet<string>,
  keep: (object: string) => boolean = () => false,
): {
  facts: Fact[];
  count: FilterCount;
  /** The others, with the reason. */
  dropped: { readonly fact: Fact; readonly reason: Reason }[];
} {
  const seen = new Set<string>();
  const kept: Fact[] = [];
  const dropped: { fact: Fact; reason: Reason }[] = [];
  const count = { ...zero(), raw: facts.length };
  const lower = lowerCased(common);
  for (const fact of facts) {
    const key = JSON.stringify([fact.subject, fact.object]);
    if (seen.has(key)) {
      count.repeated++;
      dropped.push({ fact, reason: "repeated" });
    } else if (!common.has(fact.object) && !keep(fact.object)) {
      count.uncommon++;
      dropped.push({ fact, reason: whyUncommon(fact.object, common, lower) });
    } else kept.push(fact);
    seen.add(key);
  }
  count.kept = kept.length;
  return { facts: kept, count, dropped };
}

/** Blanks, and what is as invisible: marks of direction, joiners, byte order marks, soft hyphens. */
const bare = (word: string): string => word.replace(/^[\s\p{Cf}]+|[\s\p{Cf}]+$/gu, "");

/** Why an object is none of the common words: the spelling alone, or it is not there. */
function whyUncommon(
  object: string,
  common: ReadonlySet<string>,
  lower: ReadonlySet<string>,
): Reason {
  if (bare(object) !== object) return "blank";
  if (common.has(object.normalize("NFC"))) return "unicode";
  return lower.has(object.toLowerCase()) ? "case" : "uncommon";
}

const lowerSets = new WeakMap<ReadonlySet<string>, ReadonlySet<string>>();

function lowerCased(words: ReadonlySet<string>): ReadonlySet<string> {
  const made = lowerSets.get(words) ?? new Set([...words].map((word) => word.toLowerCase()));
  lowerSets.set(words, made);
  return made;
}

/** Which of the uncommon objects are common but for their spelling, for a sentence about all of them. */
function spellings(dropped: readonly { readonly fact: Fact; readonly reason: Reason }[]): string {
  const said = {
    blank: "a blank around it",
    case: "another case",
    unicode: "another Unicode form",
  };
  const parts = Object.entries(said).flatMap(([reason, text]) => {
    const own = dropped.filter((one) => one.reason === reason);
    return own.length === 0
      ? []
      : [`${own.length} with ${text}, as ${JSON.stringify(printable(own[0].fact.object))}`];
  });
  return parts.length === 0 ? "" : `, of which ${parts.join(" and ")}`;
}

/** What is kept as it is, for the benchmark does, and may surprise. */
function oddities(relations: readonly Relation[]): string[] {
  const across: string[] = [];
  const replaced: string[] = [];
  const around: string[] = [];
  for (const { id, train, dev, test } of relations) {
    const before = new Set<string>();
    for (const split of [train, dev, test]) {
      const own = split.map(({ subject, object }) => {
        const name = `${id}: ${printable(subject)} > ${printable(object)}`;
        if (`${subject}${object}`.includes("\uFFFD")) replaced.push(name);
        if (bare(subject) !== subject) around.push(`${id}: "${printable(subject)}"`);
        const key = JSON.stringify([subject, object]);
        if (before.has(key)) across.push(name);
        return key;
      });
      for (const key of own) before.add(key);
    }
  }
  const remark = (names: readonly string[], what: string): string[] =>
    names.length === 0 ? [] : [`[data] ${what}: ${names.length} (${listed(names)})`];
  return [
    ...remark(across, "facts that stand in an earlier split too, kept as the benchmark keeps them"),
    ...remark(
      replaced,
      "facts that hold U+FFFD, what a text in another encoding became, kept though they should be written anew",
    ),
    ...remark(
      around,
      "facts with a blank or an invisible character around the subject, kept as they are",
    ),
  ];
}

function withoutFacts(known: ReadonlyMap<string, Relation>, ids: readonly string[]): string[] {
  const none = [...known.keys()].filter((id) => !ids.includes(id)).sort();
  if (none.length === 0) return [];
  const what = none.length === 1 ? "1 relation has" : `${none.length} relations have`;
  return [`[data] ${what} a template and no test facts, and no part in this (${listed(none, 8)})`];
}

/** A word in lower case, and without accents where the masked LM has it only so, as uncased BERTs have. */
export function lowercased(word: string, has: (word: string) => boolean): string {
  const lower = word.toLowerCase();
  const plain = lower.normalize("NFD").replace(/\p{Mn}/gu, "");
  return !has(lower) && has(plain) ? plain : lower;
}

/**
 * What {@link splitByVocabulary} leaves, and one line that says what it took out (empty when it
 * took nothing).
 */
export type VocabularySplit = {
  relations: Relation[];
  /** Facts whose object is not one token, in all. */
  dropped: number;
  /** Those objects, the most frequent first. */
  objects: string[];
  /**
   * Relations that are left without train, dev or test facts and are therefore not in `relations`.
   */
  emptied: string[];
  /** The facts whose object is not one token, and those of the relations that go. */
  leftOut: LeftOut[];
  message: string;
};

/**
 * Keeps the facts that a masked LM can answer with one token: `has(object)` says whether the object
 * is one. Throws when no relation is left.
 * @param pieces how many pieces the masked LM makes of a text
 */
export function splitByVocabulary(
  relations: readonly Relation[],
  has: (object: string) => boolean,
  pieces: (object: string) => number = () => 1,
): VocabularySplit {
  const why = (object: string): Reason | undefined => {
    if (has(object)) return undefined;
    // a cased masked LM may have "lion", which is not the object Lion; an uncased one reads that in one piece
    if (pieces(object) > 1) return "multiPiece";
    return has(lowercased(object, has)) ? "tokenCase" : "noToken";
  };
  const { relations: kept, leftOut, emptied } = keptFacts(relations, ({ object }) => why(object));
  const without = leftOut.filter(({ reason }) => reason !== "relation");
  const missing = [...groupBy(without, ({ fact }) => fact.object)];
  const objects = missing.sort((a, b) => b[1].length - a[1].length).map(([object]) => object);
  const dropped = without.length;
  const total = relations.reduce(
    (sum, relation) => sum + SPLITS.reduce((n, split) => n + relation[split].length, 0),
    0,
  );
  const message = splitMessage(objects, dropped, total, emptied);
  if (kept.length === 0) {
    const lower = without.filter(({ fact }) => has(lowercased(fact.object, has))).length;
    const remedy =
      2 * lower < dropped
        ? "use a masked LM whose vocabulary holds the objects"
        : `it is a matter of case: the masked LM has ${lower} of the ${dropped} in lower case; give --objects lowercase, or use a cased masked LM`;
    throw new Error(`${message}; no relation is left: ${remedy}`);
  }
  return { relations: kept, dropped, objects, emptied, leftOut, message };
}

function splitMessage(
  objects: readonly string[],
  dropped: number,
  total: number,
  emptied: readonly string[],
): string {
  if (dropped === 0 && emptied.length === 0) return "";
  const without = emptied.length > 0 ? `; relations left out: ${emptied.join(", ")}` : "";
  return (
    `[data] ${dropped} of ${total} facts have an object that is not one token of the masked LM's vocabulary ` +
    `(${objects.length} objects: ${listed(objects, 8)})${without}`
  );
}

function zero(): FilterCount {
  return { raw: 0, repeated: 0, uncommon: 0, kept: 0 };
}

async function words(
  root: string,
  given: FactOptions["commonVocabulary"],
  spell: (word: string) => string,
): Promise<{ words: string[]; source: WordSource }> {
  const path = given ?? join(root, "common_vocabs", "common_vocab_cased.txt");
  const isFile = typeof path === "string";
  const lines = isFile ? await readLines(path, "write one common word a line") : [...path];
  if (isFile && lines.at(-1) === "") lines.pop(); // what stands behind the last line's end
  const from = isFile ? path : "the words given";
  const list = isFile ? lines.map((word) => word.trim()) : lines;
  const there = list.filter((word) => word !== "");
  list.forEach((word, i) => {
    const what = unprintable(word);
    if (what !== undefined) {
      throw new Error(`[data] ${from}:${i + 1} has ${what}: ${printable(word)}; remove it`);
    }
  });
  const found = [...new Set(there.map(spell))];
  if (found.length === 0) {
    throw new Error(`[data] ${from} holds no words; write one common word a line`);
  }
  const source = {
    from,
    lines: lines.length,
    empty: list.length - there.length,
    repeated: there.length - found.length,
    trimmed: lines.filter((word, i) => word !== list[i] && list[i] !== "").length,
  };
  return { words: found, source };
}

async function metainfo(root: string): Promise<Map<string, Relation>> {
  const path = join(root, "relation_metainfo", "LAMA_relations.jsonl");
  const known = new Map<string, Relation>();
  const rows = await readRows(path, ["relation", "template", "label", "type"]);
  if (rows.length === 0) {
    throw new Error(`[data] ${path} holds no relations; write one with its template a line`);
  }
  for (const { row, line } of rows) {
    const where = `${path}:${line}`;
    // an id names files and folders, and stands in lists with commas
    if (!/^[^\s,./\\][^\s,/\\]*$/.test(row.relation)) {
      throw new Error(
        `[data] ${where} names a relation ${JSON.stringify(printable(row.relation))}; use letters and digits, as in P17`,
      );
    }
    if (known.has(row.relation)) {
      throw new Error(`[data] ${where} repeats relation ${row.relation}; keep one of them`);
    }
    known.set(row.relation, {
      id: row.relation,
      label: row.label,
      type: row.type,
      template: checkTemplate(row.template, where),
      train: [],
      dev: [],
      test: [],
    });
  }
  return known;
}

async function choose(
  root: string,
  known: ReadonlyMap<string, Relation>,
  wanted: readonly string[] | undefined,
): Promise<string[]> {
  const ids = wanted ?? [...known.keys()].filter((id) => existsSync(splitFile(root, id, "test")));
  if (ids.length === 0) {
    const tests = join(root, "LAMA-TREx");
    const others: string[] = [];
    for (const id of known.keys()) others.push(...(await besides(join(tests, id), id)));
    const there = others.length === 0 ? "" : ` (not read: ${listed(others)})`;
    throw new Error(
      wanted === undefined
        ? `[data] ${tests} holds no file of a known relation${there}; the test facts of P17 go to P17.jsonl`
        : "[data] no relation was chosen; name one or more, or leave --relations out",
    );
  }
  const strangers = ids.filter((id) => !known.has(id));
  if (strangers.length > 0) throw unknown(root, strangers, [...known.keys()].sort());
  return [...new Set(ids)].sort(); // by id, so that a run does not depend on the order of an option
}

function unknown(root: string, [id, ...more]: readonly string[], known: readonly string[]): Error {
  const also = more.length === 0 ? "" : ` (so are ${listed(more.map(printable), 8)})`;
  if (existsSync(splitFile(root, id, "test"))) {
    return new Error(
      `[data] relation ${printable(id)} is unknown: it has facts, but no line with its template in relation_metainfo/LAMA_relations.jsonl${also}; add one`,
    );
  }
  const near = known.filter((name) => isNear(id, name));
  const meant = near.length === 0 ? "" : `did you mean ${listed(near)}? `;
  return new Error(
    `[data] relation ${printable(id)} is unknown${also}; ${meant}choose among ${listed(known, 60)}`,
  );
}

/** Whether two ids are one but for case, blanks, or letters in front of the same number. */
function isNear(given: string, name: string): boolean {
  const plain = (id: string) => id.trim().toUpperCase();
  const digits = (id: string) => plain(id).replace(/\D/g, "").replace(/^0+/, "");
  return plain(given) === plain(name) || (digits(given) !== "" && digits(given) === digits(name));
}

function splitFile(root: string, id: string, split: Split): string {
  return split === "test"
    ? join(root, "LAMA-TREx", `${id}.jsonl`)
    : join(root, "autoprompt_data", id, `${split}.jsonl`);
}

async function readFacts(path: string, id: string): Promise<Fact[]> {
  const others = existsSync(path) ? [] : await besides(path, id);
  const remedy =
    others.length === 0
      ? undefined
      : `${listed(others)} beside it is not read: rename it, with one {"sub_label": "...", "obj_label": "..."} a line`;
  const rows = await readRows(path, ["sub_label", "obj_label"], remedy);
  return rows.map(({ row, line }) => {
    if (row.predicate_id !== undefined && row.predicate_id !== id) {
      throw new Error(
        `[data] ${path}:${line} is a fact of ${printable(String(row.predicate_id))}, not of ${id}; move it to its own file`,
      );
    }
    return { subject: row.sub_label, object: row.obj_label };
  });
}
