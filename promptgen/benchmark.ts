/**
 * What all methods share: the frozen reader with its tokenizer, the facts that it can answer, the words that an answer may be.
 * It knows no method, so that one without a generator loads none.
 */
import type { Tensor } from "../engine/tensor.ts";
import { readCheckpoint } from "../models/formats/checkpoint.ts";
import type { MaskedLM } from "../models/masked-lm.ts";
import { maskedLM, randomMaskedLM } from "../models/registry.ts";
import { checkRows, rowsRemark } from "../models/rows.ts";
import { loadTokenizer, remembering, type Tokenizer } from "../models/tokenizer/tokenizer.ts";
import type { Storage } from "../models/weights.ts";
import { answerMask, answersLine, commonWordIds } from "./answers.ts";
import {
  type Fact,
  loadFacts,
  lowercased,
  type Relation,
  type Split,
  splitByVocabulary,
} from "./facts/facts.ts";
import { type LeftOut, leftOutMessage, SPLITS } from "./facts/left-out.ts";
import { Reader } from "./reader.ts";
import { modelFingerprint, textFingerprint } from "./training/fingerprint.ts";
import { filledUp } from "./training/padding.ts";

/** Where things are. */
export type BenchmarkSources = {
  /** Facts in the layout of the OptiPrompt archive. */
  readonly data: string;
  /** Directory of a checkpoint of a masked LM. */
  readonly reader: string;
  /** Ids of relations; all when left out. */
  readonly relations?: readonly string[] | undefined;
  /** How objects and answer words are spelled; an uncased masked LM has them in lower case only. Default: as written. */
  readonly objects?: ObjectSpelling | undefined;
  /** Gives the reader random weights, drawn by this seed: of its checkpoint only the architecture and the tokenizer are used. */
  readonly readerSeed?: number | undefined;
  /** How the reader's matrices are kept. Default: f32. */
  readonly readerDtype?: ReaderDtype | undefined;
};

export const READER_DTYPES = ["f32", "f16", "bf16"] as const satisfies readonly Storage[];
export type ReaderDtype = (typeof READER_DTYPES)[number];

/** What a reader is beside its checkpoint. */
export type ReaderKind = Pick<BenchmarkSources, "readerSeed" | "readerDtype">;

export const READER_WEIGHTS = ["trained", "random"] as const;
export type ReaderWeights = (typeof READER_WEIGHTS)[number];

export const OBJECT_SPELLINGS = ["as-written", "lowercase"] as const;
export type ObjectSpelling = (typeof OBJECT_SPELLINGS)[number];

/** The reader, the facts and the answers of a run. */
export type Benchmark = {
  /** The folder of the facts. */
  readonly data: string;
  /** The directory of the reader's checkpoint. */
  readonly checkpoint: string;
  readonly reader: Reader;
  /** The seed of its weights where they are random. */
  readonly readerSeed?: number | undefined;
  /** How its matrices are kept. */
  readonly readerDtype?: ReaderDtype | undefined;
  readonly tokenizer: Tokenizer;
  /** The tokenizer's `encode`, which works once for each text and refuses a token without a row in the masked LM. */
  readonly encode: (text: string) => readonly number[];
  /** Relations in the order of their ids, each with facts in every split. */
  readonly relations: readonly Relation[];
  /** u32 [vocab_size], see `answerMask`. */
  readonly allowed: Tensor;
  /** One line: how many words an answer is chosen from, and where they come from. */
  readonly answers: string;
  /** Every fact of the files that is not in `relations`. */
  readonly leftOut: readonly LeftOut[];
  /** Sentences about what was left out; empty when nothing was. */
  readonly remarks: readonly string[];
  /** Fingerprints of the contents, by the option that names them. */
  readonly contents: Readonly<Record<string, string>>;
};

/** A fact with its relation. */
export type Item = { readonly relation: Relation; readonly fact: Fact };

/** The word that stands for no subject at all. */
export const NONE = "None";

export { SPLITS };

/** All facts of a split, relation by relation. */
export const itemsOf = (relations: readonly Relation[], split: Split): Item[] =>
  relations.flatMap((relation) => relation[split].map((fact) => ({ relation, fact })));

/** The reader's ids of the facts' objects, missing rows repeating the first, [rows]. */
export const objectIds = (
  { tokenizer }: Pick<Benchmark, "tokenizer">,
  items: readonly Item[],
  rows: number,
): number[] => filledUp(items, rows).map(({ fact }) => tokenizer.wordId(fact.object));

/** The reader's model anew in f32, on no device, as it was before anything was trained. */
export const openReader = ({
  checkpoint,
  readerSeed,
}: Pick<Benchmark, "checkpoint" | "readerSeed">): Promise<MaskedLM> =>
  readerOf(checkpoint, { readerSeed });

async function readerOf(
  directory: string,
  { readerSeed, readerDtype }: ReaderKind,
): Promise<MaskedLM> {
  const found = await readCheckpoint(directory);
  return readerSeed === undefined
    ? maskedLM(found, readerDtype)
    : randomMaskedLM(found, readerSeed, readerDtype);
}

/**
 * The same facts, answers and tokenizer with a reader of another kind.
 * @param kind with a seed: weights that are random, a control
 */
export async function withReader(benchmark: Benchmark, kind: ReaderKind): Promise<Benchmark> {
  const { checkpoint, reader, remarks } = benchmark;
  const { readerSeed, readerDtype } = kind;
  const lm = await readerOf(checkpoint, kind);
  return {
    ...benchmark,
    reader: new Reader(lm, reader.ids),
    readerSeed,
    readerDtype,
    remarks: [...new Set([...remarks, ...remarksOf(checkpoint, kind)])],
  };
}

/** Sentences about what is not the checkpoint's own. */
function remarksOf(checkpoint: string, { readerSeed, readerDtype = "f32" }: ReaderKind): string[] {
  const random = `[reader] the masked LM's weights are random, drawn by the seed ${readerSeed}; of ${checkpoint} only the architecture and the tokenizer are used`;
  const rounded = `[reader] the masked LM's matrices are kept in ${readerDtype}, rounded to it`;
  return [
    ...(readerSeed === undefined ? [] : [random]),
    ...(readerDtype === "f32" ? [] : [rounded]),
  ];
}

/** Throws one sentence for whatever is missing or does not fit. */
export async function loadBenchmark(sources: BenchmarkSources): Promise<Benchmark> {
  const [checkpoint, tokenizer] = await Promise.all([
    readCheckpoint(sources.reader),
    loadTokenizer(sources.reader),
  ]);
  const has = (object: string) => tokenizer.wordIdOrUndefined(object) !== undefined;
  const facts = await loadFacts(sources.data, {
    relations: sources.relations,
    spell: sources.objects === "lowercase" ? (word) => lowercased(word, has) : undefined,
  });
  const { readerSeed, readerDtype } = sources;
  // a random one's checkpoint is read as well: what it lacks is said whatever the weights
  const lm = maskedLM(checkpoint, readerSeed === undefined ? readerDtype : undefined);
  const { cls, sep, mask, pad } = tokenizer;
  const rows = lm.config.vocab_size;
  const read = (ids: Iterable<number>) => checkRows(ids, rows, tokenizer, sources.reader);
  read([cls, sep, pad, mask]);
  const [none, ...more] = tokenizer.encode(NONE);
  if (more.length > 0 || none === tokenizer.unk) {
    throw new Error(
      `[benchmark] "${NONE}" is not one token of the masked LM; use one whose vocabulary has it`,
    );
  }
  const words = commonWordIds(tokenizer, facts.commonVocabulary);
  read(words.ids);
  const encode = (text: string): number[] => {
    const ids = tokenizer.encode(text);
    read(ids);
    return ids;
  };
  const pieces = (object: string): number => {
    const ids = tokenizer.encode(object);
    return ids.includes(tokenizer.unk) ? 1 : ids.length;
  };
  const inside = splitByVocabulary(facts.relations, has, pieces);
  const uncommon = facts.leftOut.map((one): LeftOut => {
    const several = one.reason === "uncommon" && pieces(one.fact.object) > 1;
    return several ? { ...one, reason: "multiPiece" } : one;
  });
  const leftOut = [...uncommon, ...inside.leftOut];
  const lines = Object.values(facts.counts).reduce((sum, { raw }) => sum + raw, 0);
  const ids = facts.relations.map(({ id }) => id);
  const left = leftOutMessage(leftOut, lines, ids, inside.emptied);
  const benchmark: Benchmark = {
    readerDtype,
    data: sources.data,
    checkpoint: sources.reader,
    reader: new Reader(lm, { cls, sep, mask, pad }),
    tokenizer,
    encode: remembering({ encode }),
    relations: inside.relations,
    allowed: answerMask(words.ids, lm.config.vocab_size),
    answers: answersLine(words, facts.words),
    leftOut,
    remarks: [
      ...lm.weights.remarks,
      rowsRemark(tokenizer, rows, sources.reader) ?? "",
      ...facts.remarks,
      words.message,
      left,
      ...(readerSeed === undefined ? remarksOf(sources.reader, { readerDtype }) : []),
    ].filter((text) => text !== ""),
    contents: {
      data: textFingerprint(
        JSON.stringify({
          relations: facts.relations,
          commonVocabulary: facts.commonVocabulary,
          counts: facts.counts,
        }),
      ),
      reader: await modelFingerprint(checkpoint, sources.reader),
    },
  };
  return readerSeed === undefined ? benchmark : withReader(benchmark, { readerSeed, readerDtype });
}
