/**
 * What all methods share: the frozen reader with its tokenizer, the facts that it can answer, the words that an answer may be.
 * It knows no method, so that one without a generator loads none.
 */
import type { Tensor } from "../engine/tensor.ts";
import { readCheckpoint } from "../models/formats/checkpoint.ts";
import { maskedLM } from "../models/registry.ts";
import { loadTokenizer, remembering, type Tokenizer } from "../models/tokenizer/tokenizer.ts";
import { answerMask, commonWordIds } from "./answers.ts";
import {
  type Fact,
  loadFacts,
  type Relation,
  type Split,
  splitByVocabulary,
} from "./facts/facts.ts";
import { Reader } from "./reader.ts";
import { modelFingerprint, textFingerprint } from "./training/fingerprint.ts";
import { filledUp } from "./training/padding.ts";

/** Where things are. */
export type BenchmarkSources = {
  /** Facts in the layout of the OptiPrompt archive. */
  readonly data: string;
  /** Directory of a checkpoint of BERT or RoBERTa. */
  readonly reader: string;
  /** Ids of relations; all when left out. */
  readonly relations?: readonly string[] | undefined;
};

/** The reader, the facts and the answers of a run. */
export type Benchmark = {
  /** The folder of the facts. */
  readonly data: string;
  readonly reader: Reader;
  readonly tokenizer: Tokenizer;
  /** The tokenizer's `encode`, which works once for each text. */
  readonly encode: (text: string) => readonly number[];
  /** Relations in the order of their ids, each with facts in every split. */
  readonly relations: readonly Relation[];
  /** u32 [vocab_size], see `answerMask`. */
  readonly allowed: Tensor;
  /** Sentences about what was left out; empty when nothing was. */
  readonly remarks: readonly string[];
  /** Fingerprints of the contents, by the option that names them. */
  readonly contents: Readonly<Record<string, string>>;
};

/** A fact with its relation. */
export type Item = { readonly relation: Relation; readonly fact: Fact };

/** The word that stands for no subject at all. */
export const NONE = "None";

export const SPLITS = ["train", "dev", "test"] as const satisfies readonly Split[];

/** All facts of a split, relation by relation. */
export const itemsOf = (relations: readonly Relation[], split: Split): Item[] =>
  relations.flatMap((relation) => relation[split].map((fact) => ({ relation, fact })));

/** The reader's ids of the facts' objects, missing rows repeating the first, [rows]. */
export const objectIds = (
  { tokenizer }: Pick<Benchmark, "tokenizer">,
  items: readonly Item[],
  rows: number,
): number[] => filledUp(items, rows).map(({ fact }) => tokenizer.wordId(fact.object));

/** Throws one sentence for whatever is missing or does not fit. */
export async function loadBenchmark(sources: BenchmarkSources): Promise<Benchmark> {
  const facts = await loadFacts(sources.data, { relations: sources.relations });
  const [checkpoint, tokenizer] = await Promise.all([
    readCheckpoint(sources.reader),
    loadTokenizer(sources.reader),
  ]);
  const lm = maskedLM(checkpoint);
  const { cls, sep, mask, pad } = tokenizer;
  checkSpecialTokens("masked LM", lm.config.vocab_size, [cls, sep, pad, mask]);
  const [none, ...more] = tokenizer.encode(NONE);
  if (more.length > 0 || none === tokenizer.unk) {
    throw new Error(
      `[benchmark] "${NONE}" is not one token of the masked LM; use one whose vocabulary has it`,
    );
  }
  const words = commonWordIds(tokenizer, facts.commonVocabulary);
  const has = (object: string) => tokenizer.wordIdOrUndefined(object) !== undefined;
  const inside = splitByVocabulary(facts.relations, has);
  return {
    data: sources.data,
    reader: new Reader(lm, { cls, sep, mask, pad }),
    tokenizer,
    encode: remembering(tokenizer),
    relations: inside.relations,
    allowed: answerMask(words.ids, lm.config.vocab_size),
    remarks: [words.message, inside.message].filter((text) => text !== ""),
    contents: {
      data: textFingerprint(JSON.stringify(facts)),
      reader: await modelFingerprint(checkpoint, sources.reader),
    },
  };
}

/** Throws where a model has no embedding for one of its tokenizer's own tokens, as bart-large-cnn has none for <mask>. */
export function checkSpecialTokens(what: string, size: number, ids: readonly number[]): void {
  const id = ids.find((one) => one >= size);
  if (id === undefined) return;
  throw new Error(
    `[prompt] the ${what} has embeddings for ${size} tokens, but its tokenizer gives one of its own tokens the id ${id}; use a checkpoint that has it`,
  );
}
