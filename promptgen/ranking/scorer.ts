/**
 * Log-likelihoods of sentences, token by token, whatever the model: what BEAR compares BERT, RoBERTa and GPT-2 by.
 *
 * A causal LM gives each token its probability behind those before it, the first behind the token that begins a text. A masked LM
 * has no such factors: its pseudo-log-likelihood (Salazar et al. 2020, "Masked Language Model Scoring") masks one token after the
 * other and takes the probability of what stood there, the others being seen. That flatters words of several pieces, for the
 * pieces behind the mask tell the masked one; Kauf & Ivanova 2023 ("A Better Way to Do Masked Language Model Scoring")
 * therefore also mask what follows in the same word. Tokens that no text has (BERT's [CLS] and [SEP]) are seen and not scored.
 */
import { compile } from "../../engine/compile.ts";
import type { Device } from "../../engine/device.ts";
import { crossEntropy } from "../../engine/ops/cross-entropy.ts";
import { embedding } from "../../engine/ops/embedding.ts";
import { reshape, slice } from "../../engine/ops/shape.ts";
import { type Tensor, tensor } from "../../engine/tensor.ts";
import { ModelError, printable } from "../../models/errors.ts";
import type { GPT2LMHeadModel } from "../../models/gpt2.ts";
import { MaskedLM } from "../../models/masked-lm.ts";
import { gatherRows } from "../../models/nn.ts";
import { checkRows } from "../../models/rows.ts";
import type { Tokenizer } from "../../models/tokenizer/tokenizer.ts";
import { groupBy } from "../facts/group-by.ts";
import { filledUp, rightPadded } from "../training/padding.ts";

/**
 * What is masked with a token of a masked LM: `original` (Salazar et al. 2020) nothing else, `within_word_l2r` (Kauf & Ivanova
 * 2023) the tokens behind it in its word.
 */
export const PLL_METRICS = ["within_word_l2r", "original"] as const;
export type PllMetric = (typeof PLL_METRICS)[number];

/** A model with its tokenizer, both of one directory. */
export type Scored = {
  readonly model: MaskedLM | GPT2LMHeadModel;
  readonly tokenizer: Tokenizer;
  readonly directory: string;
};

export type ScorerOptions = {
  /** For masked LMs; `within_word_l2r` where left out. */
  readonly pll?: PllMetric | undefined;
  /** Most tokens of a batch, those of padding too; 2048 where left out. */
  readonly batchTokens?: number | undefined;
};

/** Scores sentences. */
export type Scorer = {
  /** By which likelihood: that of `PLL_METRICS`, or `causal`. */
  readonly kind: PllMetric | "causal";
  /**
   * Natural log-probabilities of the tokens of each sentence, in their order. What they are depends on the sentences of the call
   * (by what is padded together, in the last bits), and on nothing before it.
   * @throws ModelError for a sentence that the model cannot read, or that has no tokens
   */
  tokenScores(sentences: readonly string[]): Promise<readonly (readonly number[])[]>;
};

const BATCH_TOKENS = 2048;

/** Most bytes of a batch's logits. */
const LOGITS = 2 ** 27;

/** The scorer of a model: pseudo-log-likelihoods of a masked LM, log-likelihoods of a causal one. */
export const scorerOf = (device: Device, scored: Scored, options: ScorerOptions = {}): Scorer => {
  const { model } = scored;
  return model instanceof MaskedLM
    ? new MaskedScorer(device, model, scored, options)
    : new CausalScorer(device, model, scored, options);
};

const powerOfTwo = (size: number): number => 2 ** Math.ceil(Math.log2(size));

/** Rows of a width that go into a batch: a power of two. */
function rowsFor(width: number, batchTokens: number, logitsOfRow: number): number {
  const most = Math.min(batchTokens / width, LOGITS / (4 * logitsOfRow));
  return 2 ** Math.max(0, Math.floor(Math.log2(most)));
}

/** Batches of rows of nearly one length, so that few places are padding; widths are multiples of four, so that few plans serve all. */
function* batches<T extends { readonly ids: readonly number[] }>(
  all: readonly T[],
  limit: number,
  rowsOf: (width: number) => number,
): Generator<{ readonly rows: readonly T[]; readonly width: number }> {
  const widthOf = ({ ids }: T) => Math.min(4 * Math.ceil(ids.length / 4), limit);
  for (const [width, own] of [...groupBy(all, widthOf)].sort(([a], [b]) => a - b)) {
    const most = rowsOf(width);
    for (let start = 0; start < own.length; start += most) {
      yield { rows: own.slice(start, start + most), width };
    }
  }
}

/** Refuses what the model cannot read. */
function checkIds(
  sentence: string,
  ids: readonly number[],
  { scored, limit, around }: { scored: Scored; limit: number; around: number },
): void {
  const shown = JSON.stringify(printable(sentence));
  if (ids.length > limit) {
    throw new ModelError(
      `[ranking] ${shown} has ${ids.length} tokens with those around it, the model reads ${limit}; leave its relation out, or use a model of more positions`,
    );
  }
  if (ids.length === around) {
    throw new ModelError(`[ranking] ${shown} has no tokens; leave its relation out`);
  }
  const { model, tokenizer, directory } = scored;
  checkRows(ids, model.config.vocab_size, tokenizer, directory);
}

function checkFinite(values: ArrayLike<number>): void {
  if (Array.from(values).every(Number.isFinite)) return;
  throw new ModelError(
    "[ranking] a log-probability is not finite, though the model's weights are: a value in between is too large for f32; use another checkpoint",
  );
}

/** A text with masks, and the tokens that are looked for at one of them. */
type Question = {
  readonly ids: readonly number[];
  readonly place: number;
  /** Where the probability of a token goes: each of them once, by token. */
  readonly wanted: Map<number, { readonly scores: number[]; readonly at: number }[]>;
};

type MaskedBatch = {
  readonly ids: Tensor; // u32 [B, T]
  readonly mask: Tensor; // u32 [B, T]
  readonly places: Tensor; // u32 [B], b T + the place of the mask
  readonly tokens: Tensor; // u32 [B], one of those that are looked for
  readonly own: Tensor; // u32 [B], b V + that token
  readonly all: Tensor; // u32 [P], b V + each
};

class MaskedScorer implements Scorer {
  readonly kind: PllMetric;
  readonly #scored: Scored;
  readonly #limit: number;
  readonly #vocabulary: number;
  readonly #batchTokens: number;
  readonly #run;

  constructor(
    device: Device,
    model: MaskedLM,
    scored: Scored,
    { pll = "within_word_l2r", batchTokens = BATCH_TOKENS }: ScorerOptions,
  ) {
    this.kind = pll;
    this.#scored = scored;
    this.#limit = model.positions;
    this.#vocabulary = model.vocabularySize;
    this.#batchTokens = batchTokens;
    this.#run = compile(device, ({ ids, mask, places, tokens, own, all }: MaskedBatch) => {
      const logits = model.logits(gatherRows(model.encode({ ids, mask }), places)); // [B, V]
      const column = reshape(logits, [-1, 1]);
      // log P of a token is its logit less log sum exp, which is the loss of one token and its logit
      return {
        losses: crossEntropy(logits, tokens), // [B]
        own: embedding(column, own), // [B, 1]
        all: embedding(column, all), // [P, 1]
      };
    });
  }

  async tokenScores(sentences: readonly string[]): Promise<number[][]> {
    const scores: number[][] = [];
    // sentences that differ only in what is masked ask one question
    const questions = new Map<string, Question>();
    for (const sentence of sentences) scores.push(this.#ask(sentence, questions));
    const rowsOf = (width: number) => rowsFor(width, this.#batchTokens, this.#vocabulary);
    for (const { rows, width } of batches([...questions.values()], this.#limit, rowsOf)) {
      await this.#answer(rows, width);
    }
    return scores;
  }

  /** Adds the questions of a sentence; the list that their answers will fill. */
  #ask(sentence: string, questions: Map<string, Question>): number[] {
    const { tokenizer } = this.#scored;
    const words = tokenizer.encodeWords(sentence);
    const ids = [tokenizer.cls, ...words.flat(), tokenizer.sep];
    checkIds(sentence, ids, { scored: this.#scored, limit: this.#limit, around: 2 });
    const scores = new Array<number>(ids.length - 2).fill(0);
    let place = 1;
    for (const { length } of words) {
      const end = place + length;
      for (; place < end; place++) {
        const last = this.kind === "original" ? place + 1 : end;
        const masked = ids.map((id, i) => (i >= place && i < last ? tokenizer.mask : id));
        const key = `${place}:${masked.join()}`;
        const question = questions.get(key) ?? { ids: masked, place, wanted: new Map() };
        questions.set(key, question);
        const wanted = question.wanted.get(ids[place]) ?? [];
        wanted.push({ scores, at: place - 1 });
        question.wanted.set(ids[place], wanted);
      }
    }
    return scores;
  }

  async #answer(questions: readonly Question[], width: number): Promise<void> {
    const filled = filledUp(questions, powerOfTwo(questions.length));
    const texts = filled.map(({ ids }) => ids);
    const firsts = filled.map(({ wanted }) => [...wanted.keys()][0]);
    const pairs = questions.flatMap(({ wanted }, b) =>
      [...wanted].map(([token, targets]) => ({ b, token, targets })),
    );
    const size = this.#vocabulary;
    const flat = pairs.map(({ b, token }) => b * size + token);
    const { losses, own, all } = await this.#run({
      ...rightPadded(texts, width, this.#scored.tokenizer.pad),
      places: tensor(Uint32Array.from(filled, ({ place }, b) => b * width + place)),
      tokens: tensor(Uint32Array.from(firsts)),
      own: tensor(Uint32Array.from(firsts, (token, b) => b * size + token)),
      all: tensor(Uint32Array.from(filledUp(flat, powerOfTwo(flat.length)))),
    });
    const [loss, first, logits] = [await losses.read(), await own.read(), await all.read()];
    const found = pairs.map(({ b }, i) => logits[i] - first[b] - loss[b]);
    checkFinite(found);
    pairs.forEach(({ targets }, i) => {
      for (const { scores, at } of targets) scores[at] = found[i];
    });
  }
}

class CausalScorer implements Scorer {
  readonly kind = "causal";
  readonly #scored: Scored;
  readonly #limit: number;
  readonly #vocabulary: number;
  readonly #batchTokens: number;
  readonly #run;

  constructor(
    device: Device,
    model: GPT2LMHeadModel,
    scored: Scored,
    { batchTokens = BATCH_TOKENS }: ScorerOptions,
  ) {
    this.#scored = scored;
    this.#limit = model.config.n_positions;
    this.#vocabulary = model.config.vocab_size;
    this.#batchTokens = batchTokens;
    this.#run = compile(device, (ids: Tensor, mask: Tensor, next: Tensor) => {
      const hidden = model.decode({ ids, mask });
      const before = slice(hidden, 1, 0, hidden.shape[1] - 1); // [B, T - 1, n_embd]
      return crossEntropy(model.logits(before), next);
    });
  }

  async tokenScores(sentences: readonly string[]): Promise<readonly (readonly number[])[]> {
    const { tokenizer } = this.#scored;
    const known = new Map<string, { readonly ids: readonly number[]; scores: number[] }>();
    for (const sentence of sentences) {
      if (known.has(sentence)) continue;
      const ids = [tokenizer.bos, ...tokenizer.encode(sentence)];
      checkIds(sentence, ids, { scored: this.#scored, limit: this.#limit, around: 1 });
      known.set(sentence, { ids, scores: [] });
    }
    const rowsOf = (width: number) => rowsFor(width, this.#batchTokens, width * this.#vocabulary);
    for (const { rows, width } of batches([...known.values()], this.#limit, rowsOf)) {
      const filled = filledUp(rows, powerOfTwo(rows.length));
      const texts = filled.map(({ ids }) => ids);
      // what stands for padding is seen by nobody before it
      const { ids, mask } = rightPadded(texts, width, tokenizer.bos);
      const { ids: next } = rightPadded(
        texts.map((text) => text.slice(1)),
        width - 1,
        tokenizer.bos,
      );
      const losses = await (await this.#run(ids, mask, next)).read();
      rows.forEach((row, b) => {
        const start = b * (width - 1);
        row.scores = Array.from(
          losses.subarray(start, start + row.ids.length - 1),
          (loss) => -loss,
        );
        checkFinite(row.scores);
      });
    }
    return sentences.map((sentence) => known.get(sentence)?.scores ?? []);
  }
}
