/**
 * One iteration of the gradient-guided search for triggers (Shin et al., EMNLP 2020), on the device.
 *
 *     [CLS] subject [T]1 .. [T]k [MASK] . [SEP]
 *
 * To first order, putting the token v in place of a trigger changes the loss by (E[v] - E[trigger]) . g, where g is the loss's
 * gradient for that trigger's embedding: the tokens with the largest -E[v] . g are the candidates. They are then tried.
 */
import { compile } from "../../../engine/compile.ts";
import type { Device } from "../../../engine/device.ts";
import { grad } from "../../../engine/grad.ts";
import { topK } from "../../../engine/ops/argmax.ts";
import { crossEntropy } from "../../../engine/ops/cross-entropy.ts";
import { add, div, mul, neg, where } from "../../../engine/ops/elementwise.ts";
import { embedding } from "../../../engine/ops/embedding.ts";
import { matmul } from "../../../engine/ops/matmul.ts";
import { sum } from "../../../engine/ops/reduce.ts";
import { expand, reshape } from "../../../engine/ops/shape.ts";
import { hostData, type Tensor, tensor } from "../../../engine/tensor.ts";
import { everywhere, type Reader } from "../../reader.ts";
import { filledUp } from "../../training/padding.ts";

/** Facts in one width; rows that only fill the batch up weigh 0. */
export type FactBatch = {
  /** u32 [B, 1 + W]: [CLS] and the subject, and which places are there. */
  readonly ids: Tensor;
  readonly mask: Tensor;
  /** u32 [B]. */
  readonly objects: Tensor;
  /** f32 [B]. */
  readonly weights: Tensor;
};

/** What an iteration draws. */
export type Draw = {
  /** Which trigger may change, from 0. */
  readonly position: number;
  /** Batches for the gradient. */
  readonly slope: readonly FactBatch[];
  /** Batches that triggers are compared on. */
  readonly trial: readonly FactBatch[];
};

/** What an iteration found. */
export type Found = {
  /** Mean over the batches of their mean -log P(object). */
  readonly loss: number;
  /** Of the mean gradient at the triggers' embeddings. */
  readonly gradientNorm: number;
  /** Ids by falling -(E . gradient), the lowest first where these are equal. */
  readonly candidates: readonly number[];
  /** Sum of log P(object) over the trial batches, of the triggers as they were and with each candidate in place. */
  readonly current: number;
  readonly scores: readonly number[];
  /** The place of the candidate that takes the trigger's place; undefined where the triggers stay. */
  readonly accepted: number | undefined;
  /** Behind the iteration. */
  readonly triggers: readonly number[];
};

/** Less than the score of any token. */
const LOWEST = -3e38;
/** Sequences of triggers that are read at once. */
const GROUP = 16;

/** -log P(object) f32 [S * B]: B facts with each of S sequences of triggers, whose embeddings are f32 [S, k, hidden_size]. */
function lossesOf(reader: Reader, period: number, embeds: Tensor, batch: FactBatch): Tensor {
  const [sequences, count, width] = embeds.shape;
  const [rows] = batch.objects.shape;
  const one = reshape(embeds, [sequences, 1, count, width]);
  const each = reshape(expand(one, [sequences, rows, count, width]), [-1, count, width]);
  const end = [reader.word(period, 1), reader.word(reader.ids.sep, 1)];
  const logits = reader.read([reader.words(batch), everywhere(each)], end);
  const objects = expand(reshape(batch.objects, [1, rows]), [sequences, rows]);
  return crossEntropy(logits, reshape(objects, [-1]));
}

/** The three compiled parts of an iteration. */
const plansOf = (device: Device, reader: Reader, period: number, candidates: number) => ({
  /** The mean loss of a batch, and its gradient f32 [k, hidden_size] at the triggers u32 [1, k], added to `before`. */
  slope: compile(device, (triggers: Tensor, batch: FactBatch, before: Tensor) => {
    const embeds = reader.lm.embed(triggers);
    const losses = lossesOf(reader, period, embeds, batch);
    const loss = div(sum(mul(losses, batch.weights)), sum(batch.weights));
    const [gradient] = grad(loss, [embeds]);
    return { loss, gradient: add(before, reshape(gradient, before.shape)) };
  }),

  /** Ids u32 [1, candidates] by falling -(E . g) of the gradient's row `position` u32 [1]; those that are not allowed stand last. */
  rank: compile(device, (gradient: Tensor, position: Tensor, allowed: Tensor) => {
    const { weight } = reader.lm.wordEmbeddings;
    const falls = neg(matmul(embedding(gradient, position), weight, { transB: true }));
    return { ids: topK(where(allowed, falls, LOWEST), candidates).indices };
  }),

  /** Sum of log P(object) f32 [S] over a batch with each of the sequences u32 [S, k]. */
  score: compile(device, (sequences: Tensor, batch: FactBatch) => {
    const losses = lossesOf(reader, period, reader.lm.embed(sequences), batch);
    const table = reshape(losses, [sequences.shape[0], -1]);
    return { likelihood: neg(sum(mul(table, batch.weights), 1)) };
  }),
});

/** Iterations of a search, whose plans all relations share. */
export class TriggerSearch {
  readonly #reader: Reader;
  readonly #plans: ReturnType<typeof plansOf>;

  /** @param candidates tokens that are tried in an iteration */
  constructor(device: Device, reader: Reader, period: number, candidates: number) {
    this.#reader = reader;
    this.#plans = plansOf(device, reader, period, Math.min(candidates, reader.lm.vocabularySize));
  }

  /**
   * One iteration from `triggers`, which does not change them on the device: the same call gives the same bits.
   * @param allowed u32 [vocab_size]: which tokens may be candidates
   * @throws where a likelihood is not finite
   */
  async iterate(
    triggers: readonly number[],
    { position, slope, trial }: Draw,
    allowed: Uint32Array<ArrayBuffer>,
  ): Promise<Found> {
    const { loss, gradient, gradientNorm } = await this.#gradient(triggers, slope);
    const ranked = await this.#plans.rank(gradient, Uint32Array.of(position), allowed);
    const candidates = Array.from(await ranked.ids.read()).filter((id) => allowed[id] === 1);
    const sequences = [triggers, ...candidates.map((id) => triggers.with(position, id))];
    const [current, ...scores] = await this.#likelihoods(sequences, trial);
    // a prompt may hold no mask but the object's: what has one still is worse than any other
    const least = triggers.includes(this.#reader.ids.mask) ? -Infinity : current;
    const best = Math.max(...scores);
    const accepted = best > least ? scores.indexOf(best) : undefined;
    return {
      loss,
      gradientNorm,
      candidates,
      current,
      scores,
      accepted,
      triggers: accepted === undefined ? triggers : sequences[1 + accepted],
    };
  }

  /** The mean loss of the batches, and the sum of their gradients f32 [k, hidden_size]. */
  async #gradient(triggers: readonly number[], batches: readonly FactBatch[]) {
    const [, width] = this.#reader.lm.wordEmbeddings.weight.shape;
    const shape = [triggers.length, width];
    const ids = tensor(Uint32Array.from(triggers), [1, triggers.length]);
    let gradient = tensor(new Float32Array(triggers.length * width), shape);
    let sum = 0;
    for (const batch of batches) {
      const run = await this.#plans.slope(ids, batch, gradient);
      sum += await run.loss.item();
      gradient = tensor(await run.gradient.read(), shape);
    }
    const loss = finite(sum / batches.length, "loss");
    const squares = Array.from(hostData(gradient), (value) => value * value);
    const gradientNorm = finite(Math.sqrt(total(squares)) / batches.length, "gradient");
    return { loss, gradient, gradientNorm };
  }

  /** Sums of log P(object) over the batches, one for each sequence. */
  async #likelihoods(
    sequences: readonly (readonly number[])[],
    batches: readonly FactBatch[],
  ): Promise<number[]> {
    const sums = sequences.map(() => 0);
    for (let from = 0; from < sequences.length; from += GROUP) {
      const group = sequences.slice(from, from + GROUP);
      // a last group that is smaller has the plan of the others
      const filled = filledUp(group, Math.min(GROUP, sequences.length));
      const ids = tensor(Uint32Array.from(filled.flat()), [filled.length, sequences[0].length]);
      for (const batch of batches) {
        const { likelihood } = await this.#plans.score(ids, batch);
        const found = await likelihood.read();
        group.forEach((_, i) => {
          sums[from + i] += finite(found[i], "log P");
        });
      }
    }
    return sums;
  }
}

const total = (values: readonly number[]): number => values.reduce((sum, one) => sum + one, 0);

function finite(value: number, what: string): number {
  if (Number.isFinite(value)) return value;
  throw new Error(
    `[autoprompt] the masked LM's ${what} is ${value} while triggers are searched for: a weight is NaN or infinite; use weights that are numbers`,
  );
}
