/**
 * One text for several texts: at each step the logits that an encoder-decoder gives after each of them are averaged, and a beam
 * search goes on with the average (Gao et al., 2021, search templates so). Knows no task: what may follow is asked.
 *
 * The encoder runs once. The decoder reads each hypothesis anew at every step, a few of them at a time with all texts, so that no
 * cache of beams times texts is kept: beam 100 with 32 texts is 3,200 rows. Logits are linear in the hidden states, so these are
 * averaged, and the table of words is read once for a hypothesis, not once for a text.
 */
import { compile } from "../../engine/compile.ts";
import type { Device } from "../../engine/device.ts";
import { topK } from "../../engine/ops/argmax.ts";
import { crossEntropy } from "../../engine/ops/cross-entropy.ts";
import { add, mul } from "../../engine/ops/elementwise.ts";
import { embedding } from "../../engine/ops/embedding.ts";
import { mean, sum } from "../../engine/ops/reduce.ts";
import { expand, reshape, slice } from "../../engine/ops/shape.ts";
import { type Tensor, tensor } from "../../engine/tensor.ts";
import { check } from "../errors.ts";
import { gatherRows } from "../nn.ts";
import type { Seq2Seq } from "../seq2seq.ts";
import { Encoded, FILLER, powerOfTwo } from "./encoded.ts";

/** Tokens that the decoder reads in one run, texts times hypotheses times places, where a hypothesis alone has no more. */
const TOKENS = 4096;

/** Stands among the ids of a hypothesis for the choice that is another token after each text, see `AverageSearch.others`. */
export const OTHER = -1;

/** A text that is searched. */
export type Hypothesis = {
  /** What was chosen: tokens, and `OTHER`. */
  readonly ids: readonly number[];
  /** The sum of the log-probabilities, natural, each by the softmax of the averaged logits. */
  readonly logLikelihood: number;
  /** Whether nothing may follow. */
  readonly ended: boolean;
};

/** What is searched, and how far. */
export type AverageSearch = {
  /** Hypotheses that are kept at each step, ended ones among them. */
  readonly beams: number;
  /** The most choices of a hypothesis. */
  readonly steps: number;
  /** Most probable tokens that each open hypothesis is tried to go on with. */
  readonly choices: number;
  /** What the decoder reads about text `i` when `ids` were chosen; at least one token. */
  prefix(i: number, ids: readonly number[]): readonly number[];
  /** A token of each text whose logits, averaged, are those of the choice `OTHER`; undefined where that is none. */
  others?(ids: readonly number[]): readonly number[] | undefined;
  /** A token that is tried whether it is among the most probable or not, where there are no `others`. */
  needed?(ids: readonly number[]): number | undefined;
  /** Whether `id` may follow `ids`, and whether the text has ended with it. */
  follow(ids: readonly number[], id: number): "open" | "ended" | undefined;
  /** Where an earlier search stood after `step` steps. */
  readonly from?: { readonly step: number; readonly hypotheses: readonly Hypothesis[] } | undefined;
  /** Called after each step with what is kept, best first. */
  onStep?(step: number, hypotheses: readonly Hypothesis[]): void | Promise<void>;
  readonly signal?: AbortSignal | undefined;
};

/** P hypotheses after each of F texts; row p F + f of the decoder is hypothesis p after text f. */
type Step = {
  readonly ids: Tensor; // u32 [T, P F]
  readonly last: Tensor; // u32 [P F], the last place of each row, counted over [T, P F]
  readonly others: Tensor; // u32 [P F]
  readonly mask: Tensor; // u32 [F, S]
};

type Choice = { readonly id: number; readonly logProbability: number };
type Chooser = (step: Step) => Promise<{
  readonly ids: ArrayLike<number>; // [P, k]
  readonly values: ArrayLike<number>; // [P, k], logits
  readonly losses: ArrayLike<number>; // [P], minus the log-probability of the first
  readonly others: ArrayLike<number>; // [P], logits
}>;

/** Searches with one model. Plans are kept on the device, for other texts of like lengths. */
export class AverageGenerator {
  readonly #device: Device;
  readonly #model: Seq2Seq;
  readonly #encoded: Encoded;
  readonly #choosers = new Map<number, Chooser>();

  constructor(device: Device, model: Seq2Seq) {
    this.#device = device;
    this.#model = model;
    this.#encoded = new Encoded(device, model);
  }

  /**
   * The `beams` most probable texts that follow all of `texts`, best first; none where nothing may follow; undefined when the signal
   * came.
   *
   * @param texts ids as the encoder reads them
   * @throws `[generate] ...` for no texts, for one without ids or with more than the model has positions, and when the model gives NaN
   */
  async search(
    texts: readonly (readonly number[])[],
    options: AverageSearch,
  ): Promise<readonly Hypothesis[] | undefined> {
    const { beams, steps, from, onStep, signal } = options;
    const mask = await this.#read(texts);
    let kept: readonly Hypothesis[] = from?.hypotheses ?? [
      { ids: [], logLikelihood: 0, ended: false },
    ];
    for (let step = (from?.step ?? 0) + 1; step <= steps; step++) {
      const open = kept.filter(({ ended }) => !ended);
      if (open.length === 0) break;
      const choices = await this.#choices(open, texts.length, mask, options);
      if (choices === undefined) return undefined;
      const grown = open.flatMap((one, i) => grow(one, choices[i], options));
      const ended = kept.filter((one) => one.ended);
      kept = [...ended, ...grown].sort((a, b) => b.logLikelihood - a.logLikelihood).slice(0, beams);
      await onStep?.(step, kept);
      if (signal?.aborted) return undefined;
    }
    return kept;
  }

  /** Runs the encoder; gives the mask of what it read. */
  async #read(texts: readonly (readonly number[])[]): Promise<Tensor> {
    check(texts.length > 0 && texts.every((ids) => ids.length > 0), "generate", () => {
      return "an average needs texts, and each of them tokens; pass at least one that is not empty";
    });
    for (const ids of texts) this.#checkLength(ids.length);
    return this.#encoded.read(texts, texts.length);
  }

  #checkLength(length: number): void {
    const { positions } = this.#model;
    check(length <= positions, "generate", () => {
      return `a text has ${length} tokens, more than the model's ${positions} positions; shorten it`;
    });
  }

  /** For each hypothesis what may follow with its log-probability; undefined when the signal came. */
  async #choices(
    open: readonly Hypothesis[],
    texts: number,
    mask: Tensor,
    { choices, prefix, others, needed, signal }: AverageSearch,
  ): Promise<(readonly Choice[])[] | undefined> {
    const k = Math.min(choices, this.#model.vocabularySize);
    const prefixes = open.map(({ ids }) => Array.from({ length: texts }, (_, f) => prefix(f, ids)));
    const length = prefixes.flat().reduce((most, ids) => Math.max(most, ids.length), 0);
    this.#checkLength(length);
    const most = Math.floor(TOKENS / (texts * length));
    const together = Math.max(1, Math.min(most, powerOfTwo(open.length)));
    const rows = together * texts;
    const found: (readonly Choice[])[] = [];
    for (let start = 0; start < open.length; start += together) {
      if (signal?.aborted) return undefined;
      const ids = new Uint32Array(length * rows).fill(FILLER);
      const last = new Uint32Array(rows);
      const other = new Uint32Array(rows);
      const own = open.slice(start, start + together).map(({ ids: chosen }) => {
        const other = others?.(chosen);
        return { other, token: other === undefined ? needed?.(chosen) : undefined };
      });
      for (let p = 0; p < together; p++) {
        // rows without a hypothesis read the first one, and nobody looks at them
        const read = prefixes[start + p] ?? prefixes[start];
        read.forEach((text, f) => {
          const row = p * texts + f;
          text.forEach((id, t) => {
            ids[t * rows + row] = id;
          });
          last[row] = (text.length - 1) * rows + row;
          other[row] = own[p]?.other?.[f] ?? own[p]?.token ?? FILLER;
        });
      }
      const result = await this.#chooser(k)({
        ids: tensor(ids, [length, rows]),
        last: tensor(last),
        others: tensor(other),
        mask,
      });
      own.forEach(({ other: isOther, token }, p) => {
        const at = (values: ArrayLike<number>) =>
          Array.from({ length: k }, (_, j) => values[p * k + j]);
        const [best, values] = [at(result.ids), at(result.values)];
        const total = values[0] + result.losses[p];
        const logit = result.others[p];
        const made = choicesOf(best, values, total, isOther && logit);
        const lacks = token !== undefined && !best.includes(token);
        found.push(lacks ? [...made, { id: token, logProbability: logit - total }] : made);
      });
    }
    return found;
  }

  /** A step that gives the k most probable tokens of each hypothesis. */
  #chooser(k: number): Chooser {
    const known = this.#choosers.get(k);
    if (known) return known;
    const run = compile(this.#device, (step: Step) => this.#step(step, k));
    const made: Chooser = async (step) => {
      const result = await run(step);
      const [ids, values, losses, others] = await Promise.all([
        result.ids.read(),
        result.values.read(),
        result.losses.read(),
        result.others.read(),
      ]);
      return { ids, values, losses, others };
    };
    this.#choosers.set(k, made);
    return made;
  }

  #step({ ids, last, others, mask }: Step, k: number) {
    const model = this.#model;
    const [texts, length] = mask.shape;
    const rows = ids.shape[1];
    const hypotheses = rows / texts;
    const repeated = (x: Tensor): Tensor =>
      reshape(expand(reshape(x, [1, ...x.shape]), [hypotheses, ...x.shape]), [
        rows,
        ...x.shape.slice(1),
      ]);
    const layers = this.#encoded.cross(texts, length).map((own) => ({
      cross: { k: repeated(own.k), v: repeated(own.v) },
    }));
    const start = { length: 0, layers, encoderMask: repeated(mask) };
    const { hidden } = model.decode({ ids }, start);
    const read = gatherRows(hidden, last); // [P F, d]
    const averaged = (x: Tensor) => mean(reshape(x, [hypotheses, texts, -1]), 1);
    const logits = model.logits(averaged(read)); // [P, vocab_size]
    const { values, indices } = topK(logits, k);
    const best = reshape(slice(indices, 1, 0, 1), [hypotheses]);
    const products = sum(mul(read, embedding(model.outputTable, others)), 1, { keepdims: true });
    const own = mul(products, model.outputScale);
    const bias = model.outputBias && embedding(reshape(model.outputBias, [-1, 1]), others);
    const other = averaged(bias ? add(own, bias) : own); // [P, 1]
    return { ids: indices, values, losses: crossEntropy(logits, best), others: other };
  }
}

/**
 * The choices of one hypothesis, `OTHER` last where it is one.
 * @param total the logarithm of the sum of the exponentials of all logits
 * @param other the logit of `OTHER`, which is in the softmax where it is a choice
 */
function choicesOf(
  ids: readonly number[],
  values: readonly number[],
  total: number,
  other: number | undefined,
): Choice[] {
  const high = Math.max(total, other ?? Number.NEGATIVE_INFINITY);
  const all =
    other === undefined ? total : high + Math.log(Math.exp(total - high) + Math.exp(other - high));
  const made = [
    ...ids.map((id, j) => ({ id, logProbability: values[j] - all })),
    ...(other === undefined ? [] : [{ id: OTHER, logProbability: other - all }]),
  ];
  check(
    made.every(({ logProbability }) => Number.isFinite(logProbability)),
    "generate",
    () => "the model gives NaN; check its weights, and use f32 where they are kept in f16",
  );
  return made;
}

const grow = (
  { ids, logLikelihood }: Hypothesis,
  choices: readonly Choice[],
  { follow }: AverageSearch,
): Hypothesis[] =>
  choices.flatMap(({ id, logProbability }) => {
    const state = follow(ids, id);
    if (state === undefined) return [];
    const ended = state === "ended";
    return [{ ids: [...ids, id], logLikelihood: logLikelihood + logProbability, ended }];
  });
