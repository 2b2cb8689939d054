/**
 * An encoder-decoder writes: the encoder once, then a token at a time with the key/value cache, greedily or with beams.
 *
 * Beams are queries. All beams of a text are places of one step, and all their keys lie in one cache of C steps with a slot for
 * each beam; a mask u32 [B, beams, C beams] shows to each beam its own past. So a beam that splits or ends moves nothing in
 * memory, and the encoder's keys exist once for a text.
 *
 * The cache has a fixed size, taken from a short list (`bucket`), and the step's place in it is an argument. One plan then serves
 * every step of every text of that size. A cache that grows would need one plan a step, each with its own bind groups, and would
 * still be made anew for the next length. The price: a step copies the cache twice. For BART-large with 64 places that is 25 MB of
 * reads and writes for each beam of each text, beside 900 MB of weights that the step reads once for all of them.
 */
import { compile } from "../../engine/compile.ts";
import type { Device } from "../../engine/device.ts";
import { topK } from "../../engine/ops/argmax.ts";
import { crossEntropy } from "../../engine/ops/cross-entropy.ts";
import { where } from "../../engine/ops/elementwise.ts";
import { reshape, slice } from "../../engine/ops/shape.ts";
import { type Tensor, tensor } from "../../engine/tensor.ts";
import { assign } from "../../engine/trace.ts";
import { check } from "../errors.ts";
import type { Json } from "../formats/json.ts";
import type { Seq2Seq } from "../seq2seq.ts";
import {
  type Choice,
  type Generated,
  type GenerationConfig,
  generationConfig,
  type Search,
  startSearch,
} from "./beam.ts";
import { bucket, Encoded, FILLER, powerOfTwo } from "./encoded.ts";

export { type Generated, type GenerationConfig, generationConfig };

/** Rows (texts times beams) that are decoded together. */
const ROWS = 16;

/** One step: what each beam reads, [beams, B], what it may see, [B, beams, C beams], and where it goes, [C, 1]. */
export type Step = {
  readonly ids: Tensor;
  readonly positions: Tensor;
  readonly visible: Tensor;
  readonly place: Tensor;
  readonly encoderMask: Tensor;
};

type Top = { readonly ids: Tensor; readonly values: Tensor; readonly loss: Tensor };
type Stepper = (step: Step) => Promise<{ ids: ArrayLike<number>; logs: ArrayLike<number> }>;

/** Told after each step how much of all work is done, at least: 0 to 1. */
export type OnProgress = (share: number) => void;

/** Writes texts about texts. Caches and plans are kept on the device, for other texts of like lengths. */
export class TextGenerator {
  readonly #device: Device;
  readonly #model: Seq2Seq;
  readonly #encoded: Encoded;
  readonly #steppers = new Map<number, Stepper>();

  constructor(device: Device, model: Seq2Seq) {
    this.#device = device;
    this.#model = model;
    this.#encoded = new Encoded(device, model);
  }

  /**
   * For each text the num_return_sequences best of the texts that follow it, best first. Texts of like length are decoded
   * together; what comes out does not depend on that, up to rounding.
   *
   * @param texts ids as the encoder reads them, with `<s>` and `</s>`
   * @param options fields of generation_config.json; those left out have the defaults of transformers
   * @throws `[generate] ...` for a text without ids, longer than the model's positions or with an id that is no row of its
   *   table of words, for options that do not go together, and when the model gives NaN
   */
  async generate(
    texts: readonly (readonly number[])[],
    options: Partial<GenerationConfig> = {},
    onProgress: OnProgress = () => {},
  ): Promise<Generated[][]> {
    const config = generationConfig(options as Json, "options", this.#model.vocabularySize);
    const { positions: limit, vocabularySize: rows } = this.#model;
    this.#checkOptions(config, limit);
    texts.forEach((ids, i) => {
      check(ids.length > 0, "generate", () => `text ${i} has no tokens; wrap it in <s> and </s>`);
      check(ids.length <= limit, "generate", () => {
        return `text ${i} has ${ids.length} tokens, more than the model's ${limit} positions; shorten it`;
      });
      const stray = ids.find((id) => !(id >= 0 && id < rows));
      check(stray === undefined, "generate", () => {
        return `text ${i} has the id ${stray}, but the model's table of words has ${rows} rows; use the tokenizer of the same checkpoint`;
      });
    });
    const order = texts.map((_, i) => i).sort((a, b) => texts[a].length - texts[b].length);
    const together = Math.max(1, powerOfTwo(Math.floor(ROWS / config.num_beams) + 1) / 2);
    const results: Generated[][] = texts.map(() => []);
    for (let start = 0; start < order.length; start += together) {
      const group = order.slice(start, start + together);
      const searches = group.map(() => startSearch(config));
      const done = (share: number) =>
        onProgress((start + group.length * Math.min(1, share)) / order.length);
      await this.#run(
        group.map((i) => texts[i]),
        searches,
        config,
        done,
      );
      group.forEach((i, b) => {
        results[i] = searches[b].results();
      });
      done(1);
    }
    return results;
  }

  #checkOptions(config: GenerationConfig, limit: number): void {
    const { num_beams, num_return_sequences: wanted, max_length, min_length } = config;
    check(wanted <= num_beams, "generate", () => {
      return `num_return_sequences is ${wanted} with num_beams ${num_beams}; ask for no more texts than beams`;
    });
    check(max_length <= limit, "generate", () => {
      return `max_length is ${max_length}, more than the model's ${limit} positions; use ${limit} or less`;
    });
    check(min_length <= max_length, "generate", () => {
      return `min_length is ${min_length} with max_length ${max_length}; use one that is not above it`;
    });
    const { vocabularySize } = this.#model;
    check(2 * num_beams <= vocabularySize, "generate", () => {
      return `num_beams is ${num_beams} with a vocabulary of ${vocabularySize}; use at most half of it`;
    });
  }

  async #run(
    texts: readonly (readonly number[])[],
    searches: readonly Search[],
    config: GenerationConfig,
    done: OnProgress,
  ): Promise<void> {
    const { num_beams: beams, max_length } = config;
    const rows = powerOfTwo(texts.length);
    const mask = await this.#encoded.read(texts, rows);
    const places = bucket(max_length - 1);
    for (let t = 0; searches.some(({ running }) => running.length > 0); t++) {
      const wanted = Math.max(...searches.map((search) => search.wanted()));
      // the last token may be a forced one, for which nothing is read
      const last = wanted === 0 && t === max_length - 2;
      const step = stepOf(searches, t, { rows, beams, places, encoderMask: mask });
      const k = Math.min(powerOfTwo(Math.max(2 * beams, wanted)), this.#model.vocabularySize);
      const top = last ? undefined : await this.#stepper(k)(step);
      searches.forEach((search, b) => {
        if (search.running.length === 0) return;
        const choices = search.running.map((_, i) => choicesOf(top, i * rows + b, k));
        const slots = search.running.map((_, i) => t * beams + i);
        search.advance(choices, slots);
      });
      done((t + 1) / (max_length - 1));
    }
  }

  /** A step that gives the k most probable tokens, [beams, B, k], and their log-probabilities. */
  #stepper(k: number): Stepper {
    const known = this.#steppers.get(k);
    if (known) return known;
    const run = compile(this.#device, (step: Step) => this.#step(step, k));
    const made: Stepper = async (step) => {
      const result = await run(step);
      const [ids, values, losses] = await Promise.all([
        result.ids.read(),
        result.values.read(),
        result.loss.read(),
      ]);
      const logs = Float64Array.from(values, (value, i) => {
        const row = Math.floor(i / k);
        return value - values[row * k] - losses[row];
      });
      check(logs.every(Number.isFinite), "generate", () => {
        return "the model gives NaN; check its weights, and use f32 where they are kept in f16";
      });
      return { ids, logs };
    };
    this.#steppers.set(k, made);
    return made;
  }

  #step(step: Step, k: number): Top {
    const logits = decodeStep(this.#model, this.#encoded, step); // [beams, B, vocab_size]
    const { values, indices } = topK(logits, k);
    const best = reshape(slice(indices, 2, 0, 1), step.ids.shape);
    return { ids: indices, values, loss: crossEntropy(logits, best) };
  }
}

/** Inside `compile`: what follows on each beam, logits [beams, B, vocab_size]; its keys and values are kept at its place. */
export function decodeStep(
  model: Seq2Seq,
  encoded: Encoded,
  { ids, positions, visible, place, encoderMask }: Step,
): Tensor {
  const [beams, texts] = ids.shape;
  const [places] = place.shape;
  const d = encoded.width;
  const kept = encoded.kept("decoder", [places, beams * texts * d]);
  const cross = encoded.cross(texts, encoderMask.shape[1]);
  const keys = [places * beams, texts, d];
  const layers = kept.map((own, i) => ({
    self: { k: reshape(own.k, keys), v: reshape(own.v, keys) },
    cross: cross[i],
  }));
  const join = (past: Tensor, own: Tensor): Tensor => {
    const row = reshape(own, [1, beams * texts * d]);
    return reshape(where(place, row, reshape(past, [places, beams * texts * d])), keys);
  };
  const written = Uint32Array.from({ length: places * beams * texts }, (_, i) =>
    Math.floor(i / (beams * texts)),
  );
  const start = { length: 0, layers, encoderMask, join };
  const { hidden, cache } = model.decode(
    { ids, positions, mask: visible },
    { ...start, positions: tensor(written, [places * beams, texts]) },
  );
  cache.layers.forEach(({ self }, i) => {
    if (!self) return;
    assign(kept[i].k, reshape(self.k, kept[i].k.shape));
    assign(kept[i].v, reshape(self.v, kept[i].v.shape));
  });
  return model.logits(hidden);
}

type Sizes = {
  readonly rows: number;
  readonly beams: number;
  readonly places: number;
  readonly encoderMask: Tensor;
};

/** Step t of all searches. A row without a hypothesis sees itself alone. */
function stepOf(
  searches: readonly Search[],
  t: number,
  { rows, beams, places, encoderMask }: Sizes,
): Step {
  const ids = new Uint32Array(beams * rows).fill(FILLER);
  const visible = new Uint32Array(rows * beams * places * beams);
  for (let b = 0; b < rows; b++) {
    for (let i = 0; i < beams; i++) {
      const hypothesis = searches[b]?.running[i];
      const start = (b * beams + i) * places * beams;
      visible[start + t * beams + i] = 1;
      if (!hypothesis) continue;
      ids[i * rows + b] = hypothesis.ids[t];
      for (const slot of hypothesis.slots) visible[start + slot] = 1;
    }
  }
  return {
    ids: tensor(ids, [beams, rows]),
    positions: tensor(new Uint32Array(beams * rows).fill(t), [beams, rows]),
    visible: tensor(visible, [rows, beams, places * beams]),
    place: tensor(
      Uint32Array.from({ length: places }, (_, p) => (p === t ? 1 : 0)),
      [places, 1],
    ),
    encoderMask,
  };
}

function choicesOf(top: Awaited<ReturnType<Stepper>> | undefined, row: number, k: number) {
  if (!top) return [];
  return Array.from(
    { length: k },
    (_, j): Choice => ({ id: top.ids[row * k + j], logProbability: top.logs[row * k + j] }),
  );
}
