/** PromptGen as a prompter: the generator writes a prompt for the fact's own subject, the reader is asked with any. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Device } from "../../../engine/device.ts";
import { readCheckpoint } from "../../../models/formats/checkpoint.ts";
import { readText } from "../../../models/formats/disk.ts";
import { writeWhole } from "../../../models/formats/files.ts";
import { loadSeq2Seq, seq2Seq } from "../../../models/registry.ts";
import { restoreWeights } from "../../../models/restore.ts";
import { checkRows, rowsRemark } from "../../../models/rows.ts";
import { copyTokenizer, saveCheckpoint } from "../../../models/save.ts";
import { loadTokenizer } from "../../../models/tokenizer/tokenizer.ts";
import { type Benchmark, itemsOf, NONE, SPLITS } from "../../benchmark.ts";
import type { Fact } from "../../facts/facts.ts";
import { modelFingerprint } from "../../training/fingerprint.ts";
import { filledUp } from "../../training/padding.ts";
import type { Asked, Prediction, Prompter, Trace } from "../method.ts";
import {
  assemble,
  type BatchLayout,
  type Example,
  encodeExample,
  extraOf,
  type PromptBatch,
  subjectWidth,
  type Tokenizers,
} from "./batch.ts";
import { Generator, hardened } from "./generator.ts";
import { ObjectClasses, type ObjectRows } from "./leak.ts";
import { readPrompts } from "./objective.ts";
import { type CommonVocabulary, pairVocabularies } from "./vocabulary.ts";

/** What the generator may write: all words that both models have, or those that are no object of a training fact. */
export const VOCABULARIES = ["common", "no-objects"] as const;

/** In a saved prompter's folder: the words that its vocabulary lacks. */
const LACKING = "lacking.json";

export class PromptGenPrompter implements Prompter {
  readonly benchmark: Benchmark;
  readonly generator: Generator;
  readonly vocabulary: CommonVocabulary;
  readonly limit: number;
  readonly contents: Readonly<Record<string, string>>;
  readonly remarks: readonly string[];
  readonly #tokenizers: Tokenizers;
  readonly #layout: BatchLayout;
  /** Where the generator's tokenizer is. */
  readonly #folder: string;
  readonly #hard: boolean;
  /** Words that the vocabulary lacks. */
  readonly #lacking: readonly string[];
  readonly #objects: ObjectClasses;
  /** Facts are encoded once; the subjects that they are asked with may change. */
  readonly #encoded = new WeakMap<Fact, { subjects: string; example: Example }>();

  private constructor(
    benchmark: Benchmark,
    generator: Generator,
    vocabulary: CommonVocabulary,
    tokenizers: Tokenizers,
    folder: string,
    contents: Readonly<Record<string, string>>,
    hard: boolean,
    lacking: readonly string[],
  ) {
    this.benchmark = benchmark;
    this.generator = generator;
    this.vocabulary = vocabulary;
    this.contents = contents;
    this.#tokenizers = tokenizers;
    this.#folder = folder;
    this.#hard = hard;
    this.#lacking = lacking;
    this.#objects = new ObjectClasses(benchmark, vocabulary);
    const { lm } = generator;
    const without = rowsRemark(tokenizers.generator, lm.vocabularySize, folder);
    this.remarks = [...lm.weights.remarks, ...(without === undefined ? [] : [without])];
    const examples = SPLITS.flatMap((split) =>
      itemsOf(benchmark.relations, split).map((item) =>
        this.#example({ ...item, subjects: [item.fact.subject, NONE] }),
      ),
    );
    const { bos, eos, pad } = tokenizers.generator;
    const { cls, pad: blank } = benchmark.reader.ids;
    const ids = { generator: { bos, eos, pad }, reader: { cls, pad: blank } };
    this.#layout = { extra: extraOf(examples), ids };
    this.limit = widestSubject(generator, benchmark, this.#layout.extra);
  }

  /**
   * The prompter with the generator of a directory.
   * @param structure m soft words before the mask and n behind it; of which vocabulary
   * @param hard the reader reads the most probable words in place of the mixtures
   */
  static async load(
    benchmark: Benchmark,
    directory: string,
    structure: { readonly m: number; readonly n: number; readonly vocabulary?: string },
    hard = false,
  ): Promise<PromptGenPrompter> {
    const checkpoint = await readCheckpoint(directory);
    const tokenizer = await loadTokenizer(directory);
    const lm = seq2Seq(checkpoint);
    const { bos, eos, pad, mask } = tokenizer;
    const rows = { generator: lm.vocabularySize, reader: benchmark.reader.lm.vocabularySize };
    checkRows([bos, eos, pad, mask], rows.generator, tokenizer, directory);
    const { tokenizer: reader } = benchmark;
    const lacking =
      structure.vocabulary === "no-objects"
        ? ((await readLacking(directory)) ?? trainingObjects(benchmark))
        : [];
    const without = new Set(lacking.map((word) => reader.wordId(word)));
    const vocabulary = pairVocabularies(tokenizer, reader, rows, without);
    const generator = new Generator(lm, vocabulary, mask, structure);
    const tokenizers = { generator: tokenizer, reader: benchmark.encode };
    const contents = { generator: await modelFingerprint(checkpoint, directory) };
    return new PromptGenPrompter(
      benchmark,
      generator,
      vocabulary,
      tokenizers,
      directory,
      contents,
      hard,
      lacking,
    );
  }

  width(asked: Asked): number {
    const example = this.#example(asked);
    // a subject that is none of the facts' may have more pieces within the template than alone
    return Math.max(subjectWidth(example), example.encoder.length - this.#layout.extra);
  }

  /** What is asked of both models; enough for training. */
  questions(asked: readonly Asked[], width: number, rows: number): PromptBatch {
    const examples = asked.map((one) => this.#example(one));
    return assemble(examples, width, rows, this.#layout);
  }

  collate(asked: readonly Asked[], width: number, rows: number): PromptBatch & ObjectRows {
    return {
      ...this.questions(asked, width, rows),
      ...this.#objects.rows(filledUp(asked, rows)),
    };
  }

  predict(batch: PromptBatch & ObjectRows): Prediction {
    const prompts = this.generator.unroll(batch);
    const read = this.#hard ? hardened(prompts) : prompts;
    const { reader } = this.benchmark;
    return {
      logits: readPrompts(reader, batch, read, this.vocabulary, this.generator.m),
      trace: { best: prompts.best, live: prompts.live },
      slots: prompts,
      figures: this.#objects.masses(prompts, batch),
    };
  }

  words(_asked: Asked, { values, rows }: Trace, row: number): string {
    const { m, n } = this.generator;
    const segment = (start: number, end: number): string[] =>
      Array.from({ length: end - start }, (_, i) => (start + i) * rows + row)
        .filter((at) => values.live[at] === 1)
        .map((at) => this.vocabulary.words[values.best[at]]);
    return ["[X]", ...segment(0, m), "[Y]", ...segment(m, m + n)].join(" ");
  }

  /** A checkpoint directory of the generator, with its tokenizer and what its vocabulary lacks. */
  async save(device: Device, folder: string): Promise<void> {
    await saveCheckpoint(folder, device, this.generator.lm);
    await copyTokenizer(this.#folder, folder);
    if (this.#lacking.length === 0) return;
    await writeWhole(join(folder, LACKING), `${JSON.stringify(this.#lacking, null, 2)}\n`);
  }

  async restore(device: Device, folder: string): Promise<void> {
    const lacking = (await readLacking(folder)) ?? [];
    if (lacking.join("\n") !== this.#lacking.join("\n")) {
      throw new Error(
        `[prompt] ${folder} was trained without ${lacking.length} words and is asked without ${this.#lacking.length}, or others; ask it about the relations and facts of its run`,
      );
    }
    await restoreWeights(device, this.generator.lm, await loadSeq2Seq(folder));
  }

  #example(asked: Asked): Example {
    const subjects = JSON.stringify(asked.subjects);
    const known = this.#encoded.get(asked.fact);
    if (known?.subjects === subjects) return known.example;
    const example = encodeExample(asked, this.#tokenizers);
    const { generator } = this.#tokenizers;
    const ids = [...example.encoder, ...example.generator];
    checkRows(ids, this.generator.lm.vocabularySize, generator, this.#folder);
    this.#encoded.set(asked.fact, { subjects, example });
    return example;
  }
}

/** The objects of all training facts, each once, in the order of their letters. */
const trainingObjects = ({ relations }: Pick<Benchmark, "relations">): string[] =>
  [...new Set(itemsOf(relations, "train").map(({ fact }) => fact.object))].sort();

/** The words that a saved prompter's vocabulary lacks; undefined where the folder does not tell. */
async function readLacking(folder: string): Promise<string[] | undefined> {
  const path = join(folder, LACKING);
  if (!existsSync(path)) return undefined;
  const fail = (what: string, cause?: unknown): never => {
    throw new Error(`[prompt] ${path} ${what}`, { cause });
  };
  const text = await readText(path, fail, "start another run");
  let words: unknown;
  try {
    words = JSON.parse(text);
  } catch (cause) {
    return fail("is not JSON; start another run", cause);
  }
  const isWord = (word: unknown) => typeof word === "string";
  if (Array.isArray(words) && words.every(isWord)) return words;
  return fail("is no list of words; start another run");
}

/** The most pieces that a subject may have, so that every sequence fits the models' position tables. */
function widestSubject({ lm, m, n }: Generator, { reader }: Benchmark, extra: number): number {
  const writes = lm.positions;
  const reads = reader.lm.positions;
  const limit = Math.min(writes - extra, writes - (m + n + 3), reads - (m + n + 3));
  if (limit < 1) {
    throw new Error(
      `[prompt] m ${m} and n ${n} leave no room for a subject in ${writes} positions of the generator and ${reads} of the masked LM; use fewer slots`,
    );
  }
  return limit;
}
