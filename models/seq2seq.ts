/**
 * What a program may know of an encoder-decoder: texts in, hidden states, logits of words out, whatever the architecture.
 * Knows the shared layers, no architecture.
 *
 * The encoder is batch first, [B, S, d]; the decoder step-major, [T, B, d], so that its key/value cache grows at the end.
 */
import type { Tensor } from "../engine/tensor.ts";
import type { Json } from "./formats/json.ts";
import type { Embedding, ForwardOptions, TextInput } from "./nn.ts";
import type { ModelWeights } from "./weights.ts";

/** Keys and values of one attention, [T, B, width] of the decoder's places or [B, S, width] of the encoder's. */
export type KeyValue = {
  readonly k: Tensor;
  readonly v: Tensor;
};

/** What decoding remembers. A value: each pass returns the next one. */
export type DecoderCache = {
  /** Decoder places so far. */
  readonly length: number;
  readonly layers: readonly { readonly self?: KeyValue; readonly cross: KeyValue }[];
  /** u32 [places, B], the position of each place where they are not 0, 1, ...; with `join`, of all places after it. */
  readonly positions?: Tensor | undefined;
  /** u32 [B, S], 1 where the encoder had a token; undefined where every place holds one. */
  readonly encoderMask: Tensor | undefined;
  /** Puts new keys (or values) among the earlier ones; without it they are placed behind them. */
  readonly join?: (past: Tensor, own: Tensor) => Tensor;
};

/** A model that writes a text about a text. */
export type Seq2Seq = {
  /** config.json as it was read. */
  readonly json: Json;
  readonly weights: ModelWeights;
  /** The tensors that training may change. */
  readonly parameters: readonly Tensor[];
  /** Whether weight decay shrinks the parameter of this name. Throws for a name that is no parameter. */
  readonly decays: (name: string) => boolean;

  /** Rows of every table of tokens, and the width of the logits. */
  readonly vocabularySize: number;
  /** Tokens of the longest text; Infinity where positions are relative. */
  readonly positions: number;

  /** The table of the words that the model reads. */
  readonly wordEmbeddings: Embedding;
  /** What rows of `wordEmbeddings` are multiplied by before the model reads them. */
  readonly embedScale: number;
  /** The table of the words that it writes, [vocab_size, d]: that of `wordEmbeddings` where the two are tied. */
  readonly outputTable: Tensor;
  /** What hidden states are multiplied by before `outputTable`: 1, or d^-0.5 in a T5 whose tables are tied. */
  readonly outputScale: number;
  /** f32 [vocab_size], added to the logits; undefined where there is none. */
  readonly outputBias: Tensor | undefined;

  /** Embeddings of ids u32 [...] -> [..., d], times `embedScale`, without positions. */
  embed(ids: Tensor): Tensor;

  /** The encoder's last hidden states, [B, S, d], of ids or embeds batch first. */
  encode(input: TextInput, options?: ForwardOptions): Tensor;

  /** A cache without places: the encoder's keys and values for each decoder layer, computed once. */
  start(encoded: Tensor, encoderMask: Tensor | undefined): DecoderCache;

  /**
   * Decodes T places behind those of the cache, causally: one token of a loop, or a whole text at once.
   *
   * @param input ids u32 [T, B] or embeds f32 [T, B, d]; its mask says which places may be seen, u32 [B, all places so far]
   *   or [B, T, all places so far]
   * @returns hidden [T, B, d] and the cache with these places
   */
  decode(
    input: TextInput,
    cache: DecoderCache,
    options?: ForwardOptions,
  ): { hidden: Tensor; cache: DecoderCache };

  /** hidden [..., d] -> logits [..., vocab_size]: outputScale hidden outputTableᵀ + outputBias. */
  logits(hidden: Tensor): Tensor;
};
