/**
 * Decoders that are asked token by token what follows, for texts side by side, with keys and values kept on the device: one plan for
 * what is read first, one for every step after it.
 */
import { compile, type Input } from "../../engine/compile.ts";
import type { Device } from "../../engine/device.ts";
import { where } from "../../engine/ops/elementwise.ts";
import { concat, expand, reshape, slice } from "../../engine/ops/shape.ts";
import { scalar, type Tensor, tensor, zeroState } from "../../engine/tensor.ts";
import { assign } from "../../engine/trace.ts";
import { check } from "../errors.ts";
import { bucket, Encoded } from "../generation/encoded.ts";
import { decodeStep, type Step } from "../generation/generate.ts";
import type { GPT2LMHeadModel } from "../gpt2.ts";
import type { KeyValue, Seq2Seq } from "../seq2seq.ts";

/** Rows of logits, one for each text. */
export type Rows = readonly Float32Array[];

/** Texts that are written on. */
export type Decoder = {
  /** Reads texts; gives the logits of what follows each of them where its own tokens are read at once, else undefined. */
  begin(texts: readonly (readonly number[])[], most: number): Promise<Rows | undefined>;
  /** Reads one token more of each text, the `step`th, from 0, and gives the logits of what follows. */
  next(tokens: readonly number[], step: number): Promise<Rows>;
};

function rowsOf(values: ArrayLike<number>, count: number): Rows {
  const width = values.length / count;
  const all = Float32Array.from(values);
  check(all.every(Number.isFinite), "generate", () => {
    return "the model gives NaN; check its weights, and use f32 where they are kept in f16";
  });
  return Array.from({ length: count }, (_, i) => all.subarray(i * width, (i + 1) * width));
}

type Prompt = { readonly ids: Tensor; readonly mask: Tensor; readonly positions: Tensor };
type CausalStep = Prompt & { readonly place: Tensor };

/** A causal LM: texts end at the same place of a cache of fixed size, and go on behind it. */
export class CausalDecoder implements Decoder {
  readonly #model: GPT2LMHeadModel;
  readonly #caches = new Map<string, readonly KeyValue[]>();
  readonly #read: (prompt: Input<Prompt>, places: number) => Promise<{ logits: Readable }>;
  readonly #step: (step: Input<CausalStep>) => Promise<{ logits: Readable }>;
  #texts: readonly (readonly number[])[] = [];
  /** Of the cache, and of what was read first. */
  #size = { places: 0, width: 0 };

  constructor(device: Device, model: GPT2LMHeadModel) {
    this.#model = model;
    const last = (hidden: Tensor): Tensor => {
      const [, length] = hidden.shape;
      return model.logits(slice(hidden, 1, length - 1, length)); // [B, 1, vocab_size]
    };
    const readers = new Map<number, (prompt: Input<Prompt>) => Promise<{ logits: Readable }>>();
    this.#read = (prompt, places) => {
      const made =
        readers.get(places) ??
        compile(device, ({ ids, mask, positions }: Prompt) => {
          const [texts, length] = ids.shape;
          const kept = this.#cache(texts, places);
          const hold = (state: Tensor, own: Tensor): void => {
            const rest = expand(scalar(0), [texts, places - length, own.shape[2]]);
            assign(state, concat([own, rest], 1));
          };
          const remember = (own: KeyValue, layer: number): KeyValue => {
            hold(kept[layer].k, own.k);
            hold(kept[layer].v, own.v);
            return own;
          };
          return { logits: last(model.decode({ ids, mask, positions }, { remember })) };
        });
      readers.set(places, made);
      return made(prompt);
    };
    this.#step = compile(device, ({ ids, mask, positions, place }: CausalStep) => {
      const kept = this.#cache(ids.shape[0], place.shape[1]);
      const remember = (own: KeyValue, layer: number): KeyValue => {
        const { k, v } = kept[layer];
        const joined = { k: where(place, own.k, k), v: where(place, own.v, v) };
        assign(k, joined.k);
        assign(v, joined.v);
        return joined;
      };
      return { logits: last(model.decode({ ids, mask, positions }, { remember })) };
    });
  }

  #cache(texts: number, places: number): readonly KeyValue[] {
    const key = `${texts} x ${places}`;
    const { n_embd: d } = this.#model.config;
    const made =
      this.#caches.get(key) ??
      this.#model.transformer.h.map((_, i) => ({
        k: zeroState(`cache ${key} layer ${i} k`, [texts, places, d]),
        v: zeroState(`cache ${key} layer ${i} v`, [texts, places, d]),
      }));
    this.#caches.set(key, made);
    return made;
  }

  async begin(texts: readonly (readonly number[])[], most: number): Promise<Rows> {
    const limit = this.#model.config.n_positions;
    const longest = texts.reduce((n, ids) => Math.max(n, ids.length), 0);
    check(longest + most <= limit, "generate", () => {
      return `the text has ${longest} tokens and ${most} are to follow, more than the model's ${limit} positions; use fewer`;
    });
    const width = Math.min(bucket(longest), limit - most);
    const places = Math.max(width + 1, Math.min(bucket(width + most), limit));
    this.#texts = texts;
    this.#size = { places, width };
    const grid = (value: (ids: readonly number[], i: number) => number): Tensor =>
      tensor(
        Uint32Array.from(
          texts.flatMap((ids) => Array.from({ length: width }, (_, i) => value(ids, i))),
        ),
        [texts.length, width],
      );
    const at = (ids: readonly number[], i: number) => i - (width - ids.length);
    const prompt = {
      ids: grid((ids, i) => ids[at(ids, i)] ?? 0),
      mask: grid((ids, i) => (at(ids, i) < 0 ? 0 : 1)),
      positions: grid((ids, i) => Math.max(0, at(ids, i))),
    };
    const { logits } = await this.#read(prompt, places);
    return rowsOf(await logits.read(), texts.length);
  }

  async next(tokens: readonly number[], step: number): Promise<Rows> {
    const { places, width } = this.#size;
    const texts = this.#texts;
    const seen = (ids: readonly number[], p: number) =>
      p >= width - ids.length && p <= width + step ? 1 : 0;
    const mask = texts.flatMap((ids) => Array.from({ length: places }, (_, p) => seen(ids, p)));
    const place = Uint32Array.from({ length: places }, (_, p) => (p === width + step ? 1 : 0));
    const { logits } = await this.#step({
      ids: tensor(Uint32Array.from(tokens), [tokens.length, 1]),
      positions: tensor(
        Uint32Array.from(texts, (ids) => ids.length + step),
        [texts.length, 1],
      ),
      mask: tensor(Uint32Array.from(mask), [texts.length, places]),
      place: tensor(place, [1, places, 1]),
    });
    return rowsOf(await logits.read(), texts.length);
  }
}

type Readable = { read(): Promise<ArrayLike<number>> };

/** An encoder-decoder: texts are read by the encoder, and others are written from the start token on. */
export class Seq2SeqDecoder implements Decoder {
  readonly #model: Seq2Seq;
  readonly #encoded: Encoded;
  readonly #step: (step: Input<Step>) => Promise<{ logits: Readable }>;
  #mask: Tensor | undefined;
  #places = 0;

  constructor(device: Device, model: Seq2Seq) {
    const encoded = new Encoded(device, model);
    this.#model = model;
    this.#encoded = encoded;
    this.#step = compile(device, (step: Step) => {
      const logits = decodeStep(model, encoded, step); // [1, B, vocab_size]
      return { logits: reshape(logits, logits.shape.slice(1)) };
    });
  }

  async begin(texts: readonly (readonly number[])[], most: number): Promise<undefined> {
    const limit = this.#model.positions;
    check(most < limit, "generate", () => {
      return `${most} tokens are to be written, where the model has ${limit} positions; use fewer`;
    });
    this.#mask = await this.#encoded.read(texts, texts.length);
    this.#places = bucket(most + 1);
    return undefined;
  }

  async next(tokens: readonly number[], step: number): Promise<Rows> {
    const texts = tokens.length;
    const places = this.#places;
    const upTo = Array.from({ length: places }, (_, p) => (p <= step ? 1 : 0));
    const encoderMask = this.#mask;
    check(encoderMask !== undefined, "generate", () => "nothing was read before the first step");
    const { logits } = await this.#step({
      ids: tensor(Uint32Array.from(tokens), [1, texts]),
      positions: tensor(new Uint32Array(texts).fill(step), [1, texts]),
      visible: tensor(Uint32Array.from(tokens.flatMap(() => upTo)), [texts, 1, places]),
      place: tensor(
        Uint32Array.from({ length: places }, (_, p) => (p === step ? 1 : 0)),
        [places, 1],
      ),
      encoderMask,
    });
    return rowsOf(await logits.read(), texts);
  }
}
