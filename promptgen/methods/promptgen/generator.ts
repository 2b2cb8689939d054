/**
 * The generator: a sequence-to-sequence model, as BART, writes m soft words, a mask, and n soft words behind a subject.
 *
 * A soft word is a distribution over the common vocabulary; what is fed back is its expected embedding. Where `</s>` is the most
 * probable class, that slot and the rest of its segment are dead: no later place sees them, and positions count live slots only,
 * so each row of a batch equals that row alone with its dead slots removed.
 */
import { check } from "../../../engine/errors.ts";
import { argmax } from "../../../engine/ops/argmax.ts";
import { add, cast, equal, logicalAnd, mul, notEqual } from "../../../engine/ops/elementwise.ts";
import { embedding } from "../../../engine/ops/embedding.ts";
import { linear, matmul } from "../../../engine/ops/matmul.ts";
import { concat, expand, reshape, slice } from "../../../engine/ops/shape.ts";
import { softmax } from "../../../engine/ops/softmax.ts";
import { type Tensor, tensor } from "../../../engine/tensor.ts";
import type { Training } from "../../../models/nn.ts";
import type { DecoderCache, Seq2Seq } from "../../../models/seq2seq.ts";
import type { PromptBatch } from "./batch.ts";

/** Which ids are classes: class c is the generator's token `generator[c]` and the reader's `reader[c]`; the last class ends a segment. */
export type Classes = {
  readonly size: number;
  readonly end: number;
  readonly generator: Uint32Array;
  readonly reader: Uint32Array;
};

/** Soft prompts, step-major: slots 0 .. m-1 stand before the mask, m .. m+n-1 behind it. */
export type Prompts = {
  readonly distributions: Tensor; // f32 [m+n, B, C]
  readonly logits: Tensor; // f32 [m+n, B, C]
  /** 1 where the slot is part of the prompt. */
  readonly live: Tensor; // u32 [m+n, B]
  /** The most probable class. */
  readonly best: Tensor; // u32 [m+n, B]
};

type Slot = { logits: Tensor; distribution: Tensor; best: Tensor; live: Tensor }; // each [1, B, ...]

/** What the decoder has seen: its cache, which places later ones may see, and the position of the next live place. */
type Walk = { hidden: Tensor; cache: DecoderCache; keys: Tensor; next: Tensor };

/** A sequence-to-sequence model as a writer of prompts. */
export class Generator {
  readonly lm: Seq2Seq;
  readonly classes: Classes;
  readonly m: number;
  readonly n: number;
  readonly #mask: number;

  /**
   * @param mask the generator's id of `<mask>`
   * @param slots m slots before the mask (1 or more), n behind it (0 or more)
   */
  constructor(lm: Seq2Seq, classes: Classes, mask: number, { m, n }: { m: number; n: number }) {
    check(Number.isInteger(m) && m >= 1, "generator", () => `m is ${m}; use 1 slot or more`);
    check(Number.isInteger(n) && n >= 0, "generator", () => `n is ${n}; use 0 slots or more`);
    this.lm = lm;
    this.classes = classes;
    this.m = m;
    this.n = n;
    this.#mask = mask;
  }

  /** Unrolls the decoder; gradients flow through every distribution into the later ones. */
  unroll(batch: PromptBatch, training?: Training): Prompts {
    const { lm, m, n } = this;
    const { read, write, bias } = this.#common();
    const slots: Slot[] = [];
    let walk = this.#begin(batch, training);
    for (let i = 0; i < m + n; i++) {
      const first = i === 0 || i === m;
      const slot = nextSlot(
        lm.outputScale === 1 ? walk.hidden : mul(walk.hidden, lm.outputScale),
        write,
        bias,
        this.classes.end,
        first ? undefined : slots[i - 1],
      );
      slots.push(slot);
      if (i === m + n - 1) break;
      const expected = matmul(slot.distribution, read); // [1, B, d]
      const word = lm.embedScale === 1 ? expected : mul(expected, lm.embedScale);
      walk = this.#feed(walk, word, slot.live, i === m - 1, training);
    }
    const stack = (part: keyof Slot) =>
      concat(
        slots.map((slot) => slot[part]),
        0,
      );
    return {
      distributions: stack("distribution"),
      logits: stack("logits"),
      live: stack("live"),
      best: stack("best"),
    };
  }

  /** What the classes are in the generator: rows that it reads and rows that it writes, [C, d], and their bias, [C]. */
  #common(): { readonly read: Tensor; readonly write: Tensor; readonly bias: Tensor | undefined } {
    const { wordEmbeddings, outputTable, outputBias } = this.lm;
    const ids = tensor(this.classes.generator);
    checkClasses(this.classes.generator, outputTable.shape[0]);
    const bias = outputBias && embedding(reshape(outputBias, [-1, 1]), ids); // [C, 1]
    const write = embedding(outputTable, ids, { unique: true });
    const tied = outputTable === wordEmbeddings.weight;
    const read = tied ? write : embedding(wordEmbeddings.weight, ids, { unique: true });
    return { read, write, bias: bias && reshape(bias, [-1]) };
  }

  /** Encodes the template and runs the prefix; `hidden` is that of its last place, [1, B, d]. */
  #begin(batch: PromptBatch, training: Training | undefined): Walk {
    const { lm, m, n } = this;
    const { prefixIds: ids, prefixMask: mask, prefixPositions: positions } = batch;
    const places = ids.shape[0] + m + n; // the last slot is not fed back
    const limit = lm.positions;
    check(places <= limit, "generator", () => {
      return `a prefix of ${ids.shape[0]} with ${m + n} slots is more than the ${limit} positions of the model; use fewer slots`;
    });
    const encoded = lm.encode({ ids: batch.encoderIds, mask: batch.encoderMask }, { training });
    const start = lm.start(encoded, batch.encoderMask);
    const { hidden, cache } = lm.decode({ ids, mask, positions }, start, { training });
    const last = slice(positions, 0, ids.shape[0] - 1, ids.shape[0]); // [1, B]
    return { hidden: lastPlace(hidden), cache, keys: mask, next: add(last, 1) };
  }

  /** Feeds one soft word [1, B, d], with `<mask>` behind it where the first segment ends. */
  #feed(
    walk: Walk,
    word: Tensor,
    live: Tensor,
    mask: boolean,
    training: Training | undefined,
  ): Walk {
    const [, rows, d] = word.shape;
    const after = add(walk.next, live); // [1, B]
    const seen = [walk.keys, reshape(live, [rows, 1])];
    if (!mask) {
      const keys = concat(seen, 1);
      return this.#decode(walk, word, walk.next, keys, after, training);
    }
    const one = this.lm.embed(tensor(Uint32Array.of(this.#mask), [1, 1])); // [1, 1, d]
    const keys = concat([...seen, tensor(new Uint32Array(rows).fill(1), [rows, 1])], 1);
    const both = concat([word, expand(one, [1, rows, d])], 0); // [2, B, d]
    const positions = concat([walk.next, after], 0);
    return this.#decode(walk, both, positions, keys, add(after, 1), training);
  }

  #decode(
    walk: Walk,
    embeds: Tensor,
    positions: Tensor,
    keys: Tensor,
    next: Tensor,
    training: Training | undefined,
  ): Walk {
    const input = { embeds, positions, mask: keys };
    const { hidden, cache } = this.lm.decode(input, walk.cache, { training });
    return { hidden: lastPlace(hidden), cache, keys, next };
  }
}

/** hidden [1, B, d] -> the distribution of a slot; `before` is the slot before it in its segment. */
function nextSlot(
  hidden: Tensor,
  table: Tensor,
  bias: Tensor | undefined,
  end: number,
  before?: Slot,
): Slot {
  const logits = linear(hidden, table, bias); // [1, B, C]
  const best = argmax(logits); // [1, B]
  const goesOn = notEqual(best, end);
  const live = before ? logicalAnd(before.live, goesOn) : goesOn;
  return { logits, distribution: softmax(logits), best, live };
}

/** The prompts with each soft word replaced by its most probable class: what somebody who copies the printed prompt would ask with. */
export function hardened(prompts: Prompts): Prompts {
  const [slots, rows, size] = prompts.distributions.shape;
  const classes = tensor(Uint32Array.from({ length: size }, (_, c) => c));
  const chosen = equal(reshape(prompts.best, [slots, rows, 1]), classes);
  return { ...prompts, distributions: cast(chosen, "f32") };
}

/** [T, B, d] -> [1, B, d]. */
const lastPlace = (hidden: Tensor): Tensor =>
  hidden.shape[0] === 1 ? hidden : slice(hidden, 0, hidden.shape[0] - 1, hidden.shape[0]);

/** Throws unless each class has a row of its own among `rows`. */
export function checkClasses(ids: Uint32Array, rows: number): void {
  const seen = new Set<number>();
  ids.forEach((id, place) => {
    check(id < rows && !seen.has(id), "generator", () => {
      return `class ${place} has id ${id}, which is outside the ${rows} embeddings or another class has it; pair the vocabularies of these models`;
    });
    seen.add(id);
  });
}
