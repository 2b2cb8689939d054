/** Everything that a run of PromptGen needs, put together from three folders: facts, generator, masked LM. */
import type { Tensor } from "../../../engine/tensor.ts";
import { BartForConditionalGeneration } from "../../../models/bart.ts";
import { readCheckpoint } from "../../../models/formats/checkpoint.ts";
import type { MaskedLM } from "../../../models/masked-lm.ts";
import { maskedLM } from "../../../models/registry.ts";
import { loadTokenizer } from "../../../models/tokenizer/tokenizer.ts";
import {
  type Fact,
  loadFacts,
  type Relation,
  type Split,
  splitByVocabulary,
} from "../../facts/facts.ts";
import { answerMask } from "../../probe.ts";
import { checkpointFingerprint, textFingerprint } from "../../training/fingerprint.ts";
import {
  type BatchLayout,
  type Example,
  encodeExample,
  layoutOf,
  specialIds,
  subjectWidth,
  type Tokenizers,
} from "./batch.ts";
import { Generator } from "./generator.ts";
import { Reader } from "./objective.ts";
import { type CommonVocabulary, commonWordIds, pairVocabularies } from "./vocabulary.ts";

/** Where things are, and how long prompts are. */
export interface Sources {
  /** Facts in the layout of the OptiPrompt archive. */
  readonly data: string;
  /** Directory of a BART checkpoint. */
  readonly generator: string;
  /** Directory of a checkpoint of BERT or RoBERTa. */
  readonly mlm: string;
  /** Ids of relations; all when left out. */
  readonly relations?: readonly string[] | undefined;
  /** Soft words before and behind the mask. */
  readonly m: number;
  readonly n: number;
}

/** A fact with its relation and its ids. */
export interface Item {
  readonly relation: Relation;
  readonly fact: Fact;
  readonly example: Example;
}

export interface System {
  readonly tokenizers: Tokenizers;
  readonly vocabulary: CommonVocabulary;
  readonly bart: BartForConditionalGeneration;
  readonly bert: MaskedLM;
  readonly generator: Generator;
  readonly reader: Reader;
  readonly relations: readonly Relation[];
  readonly items: Readonly<Record<Split, readonly Item[]>>;
  readonly layout: BatchLayout;
  /** See `answerMask`. */
  readonly allowed: Tensor;
  /** Sentences about what was left out; empty when nothing was. */
  readonly remarks: readonly string[];
  /** Fingerprints of the contents, by the option that names them. */
  readonly contents: Readonly<Record<"data" | "generator" | "mlm", string>>;
}

/** Plans for training: one for each bucket. */
const BUCKETS = 3;

/** Throws one sentence for whatever is missing or does not fit. */
export async function loadSystem(sources: Sources): Promise<System> {
  const { m, n } = sources;
  const facts = await loadFacts(sources.data, { relations: sources.relations });
  const [bartFile, bertFile, bartTokenizer, bertTokenizer] = await Promise.all([
    readCheckpoint(sources.generator),
    readCheckpoint(sources.mlm),
    loadTokenizer(sources.generator),
    loadTokenizer(sources.mlm),
  ]);
  const tokenizers = { bart: bartTokenizer, bert: bertTokenizer };
  const bart = BartForConditionalGeneration.from(bartFile);
  const bert = maskedLM(bertFile);
  checkSpecialTokens(tokenizers, bart, bert);
  const vocabulary = pairVocabularies(bartTokenizer, bertTokenizer);
  const words = commonWordIds(bertTokenizer, facts.commonVocabulary);
  const has = (object: string) => bertTokenizer.wordIdOrUndefined(object) !== undefined;
  const inside = splitByVocabulary(facts.relations, has);
  const encoded = encodeAll(inside.relations, tokenizers);
  const limit = widestSubject(bart, bert, encoded, m, n);
  const { items, relations, message } = withinLength(inside.relations, encoded, limit);
  const all = [...items.train, ...items.dev, ...items.test].map(({ example }) => example);
  return {
    tokenizers,
    vocabulary,
    bart,
    bert,
    generator: new Generator(bart, vocabulary, bartTokenizer.mask, { m, n }),
    reader: new Reader(bert, vocabulary, { mask: bertTokenizer.mask, sep: bertTokenizer.sep }),
    relations,
    items,
    layout: layoutOf(all, specialIds(tokenizers), BUCKETS),
    allowed: answerMask(words.ids, bert.config.vocab_size),
    remarks: [words.message, inside.message, message].filter((text) => text !== ""),
    contents: {
      data: textFingerprint(JSON.stringify(facts)),
      generator: await checkpointFingerprint(bartFile),
      mlm: await checkpointFingerprint(bertFile),
    },
  };
}

const SPLITS = ["train", "dev", "test"] as const;

/** Throws where a model has no embedding for one of its tokenizer's own tokens, as bart-large-cnn has none for <mask>. */
function checkSpecialTokens(
  { bart, bert }: Tokenizers,
  generator: BartForConditionalGeneration,
  reader: MaskedLM,
): void {
  const check = (what: string, size: number, ids: readonly number[]) => {
    const id = ids.find((one) => one >= size);
    if (id === undefined) return;
    throw new Error(
      `[prompt] the ${what} has embeddings for ${size} tokens, but its tokenizer gives one of its own tokens the id ${id}; use a checkpoint that has it`,
    );
  };
  check("generator", generator.config.vocab_size, [bart.bos, bart.eos, bart.pad, bart.mask]);
  check("masked LM", reader.config.vocab_size, [bert.cls, bert.sep, bert.pad, bert.mask]);
}

function encodeAll(
  relations: readonly Relation[],
  tokenizers: Tokenizers,
): Record<Split, readonly Item[]> {
  const encode = (split: Split) =>
    relations.flatMap((relation) =>
      relation[split].map((fact) => ({
        relation,
        fact,
        example: encodeExample(fact, relation.template, tokenizers),
      })),
    );
  return { train: encode("train"), dev: encode("dev"), test: encode("test") };
}

/** The most pieces that a subject may have, so that every sequence fits the models' position tables. */
function widestSubject(
  bart: BartForConditionalGeneration,
  bert: MaskedLM,
  items: Readonly<Record<Split, readonly Item[]>>,
  m: number,
  n: number,
): number {
  const extra = [...items.train, ...items.dev, ...items.test].reduce(
    (most, { example }) => Math.max(most, example.encoder.length - subjectWidth(example)),
    0,
  );
  const writes = bart.config.max_position_embeddings;
  const reads = bert.positions;
  const limit = Math.min(writes - extra, writes - (m + n + 3), reads - (m + n + 3));
  if (limit < 1) {
    throw new Error(
      `[prompt] m ${m} and n ${n} leave no room for a subject in ${writes} positions of the generator and ${reads} of the masked LM; use fewer slots`,
    );
  }
  return limit;
}

/** Leaves out the facts whose subject is too long, and the relations that lose a whole split by it. */
function withinLength(
  relations: readonly Relation[],
  items: Readonly<Record<Split, readonly Item[]>>,
  limit: number,
): { relations: readonly Relation[]; items: Record<Split, readonly Item[]>; message: string } {
  const fits = ({ example }: Item) => subjectWidth(example) <= limit;
  const total = SPLITS.reduce((sum, split) => sum + items[split].length, 0);
  const dropped = SPLITS.flatMap((split) => items[split].filter((item) => !fits(item)));
  if (dropped.length === 0) return { relations, items: { ...items }, message: "" };
  const kept = relations.filter((relation) =>
    SPLITS.every((split) => items[split].some((item) => item.relation === relation && fits(item))),
  );
  const own = (split: Split) =>
    items[split].filter((item) => fits(item) && kept.includes(item.relation));
  const left = { train: own("train"), dev: own("dev"), test: own("test") };
  const reduced = kept.map((relation) => {
    const of = (split: Split) =>
      left[split].filter((item) => item.relation === relation).map(({ fact }) => fact);
    return { ...relation, train: of("train"), dev: of("dev"), test: of("test") };
  });
  const renamed = new Map(kept.map((relation, i) => [relation, reduced[i]]));
  const rebind = (list: readonly Item[]) =>
    list.map((item) => ({ ...item, relation: renamed.get(item.relation) ?? item.relation }));
  const message =
    `[data] ${dropped.length} of ${total} facts have a subject of more than ${limit} pieces, too long for the models' ` +
    `positions (${dropped[0].fact.subject.slice(0, 40)}, ...); they are left out`;
  if (reduced.length === 0) throw new Error(`${message}, and no relation is left`);
  return {
    relations: reduced,
    items: { train: rebind(left.train), dev: rebind(left.dev), test: rebind(left.test) },
    message,
  };
}
