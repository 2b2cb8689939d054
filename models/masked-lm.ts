/**
 * What a program may know of a masked LM: words in, hidden states, logits of words out. Each architecture extends it with its
 * names, its config and its parts; `Seq2Seq` is its like for encoder-decoders. Knows no architecture.
 */
import type { Tensor } from "../engine/tensor.ts";
import { type Checkpoint, readCheckpoint } from "./formats/checkpoint.ts";
import type { Json } from "./formats/json.ts";
import type { ModelSource } from "./hub/open.ts";
import type { HubOptions } from "./hub/settings.ts";
import type { Names } from "./names.ts";
import type { Embedding, ForwardOptions, TextInput } from "./nn.ts";
import { type ModelWeights, type Storage, Weights } from "./weights.ts";

/** What is below the head. */
export type MaskedLMBase = {
  /** The table of the words that the model reads. */
  readonly wordEmbeddings: Embedding;
  /** Tokens of the longest text. */
  readonly positions: number;
  /** As `MaskedLM.encode`. */
  forward(input: TextInput, options: ForwardOptions, only?: number): Tensor;
};

/** What each class of a masked LM says of itself. */
export type MaskedLMClass<M> = {
  /** Throws `[config] ...`, and `[weights] ...` where the weights do not fit the config. */
  new (w: Weights, json: Json, where?: string): M;
  /** The names by which a checkpoint holds the tensors, by its config. Throws `[config] ...`. */
  names(checkpoint: Checkpoint): Names;
  /** The fields of config.json. Throws `[config] ...` with every missing or wrong one. */
  fields(json: unknown, where?: string): { readonly initializer_range: number };
};

/** A masked LM: it says which token belongs at a mask. */
export abstract class MaskedLM {
  abstract readonly config: { readonly vocab_size: number; readonly hidden_size: number };
  /** config.json as it was read. */
  abstract readonly json: Json;
  abstract readonly weights: ModelWeights;
  /** The model without its head. */
  abstract readonly base: MaskedLMBase;
  /** From hidden states [..., hidden_size] to logits. */
  abstract readonly head: { forward(hidden: Tensor): Tensor };

  /** The model of a checkpoint; `storage` f16 or bf16 keeps the matrices of a frozen model in half the memory. */
  static from<M extends MaskedLM>(
    this: MaskedLMClass<M>,
    checkpoint: Checkpoint,
    storage?: Storage,
  ): M {
    return loaded(this, checkpoint, storage);
  }

  /** The model of a directory, name or address, or of given files; as `loadMaskedLM`. */
  static async load<M extends MaskedLM>(
    this: MaskedLMClass<M>,
    source: ModelSource,
    storage?: Storage,
    options?: HubOptions,
  ): Promise<M> {
    return loaded(this, await readCheckpoint(source, options), storage);
  }

  /** An untrained model: matrices normal with the config's initializer_range. */
  static random<M extends MaskedLM>(
    this: MaskedLMClass<M>,
    json: Json,
    seed: number,
    storage?: Storage,
  ): M {
    const { initializer_range: std } = this.fields(json);
    return new this(Weights.random(seed, std, storage), json);
  }

  /** The tensors that training may change. */
  get parameters(): Tensor[] {
    return [...this.weights.parameters.values()];
  }

  /** Whether weight decay shrinks the parameter of this name. Throws for a name that is no parameter. */
  get decays(): ModelWeights["decays"] {
    return this.weights.decays;
  }

  /** Rows of the table of tokens, and the width of the logits. */
  get vocabularySize(): number {
    return this.config.vocab_size;
  }

  /** The table of the words that the model reads; its width may be less than that of hidden states. */
  get wordEmbeddings(): Embedding {
    return this.base.wordEmbeddings;
  }

  /** Tokens of the longest text. */
  get positions(): number {
    return this.base.positions;
  }

  /** Word embeddings of ids u32 [...] -> [..., width of the table], without positions. */
  embed(ids: Tensor): Tensor {
    return this.wordEmbeddings.apply(ids);
  }

  /**
   * Last hidden states [B, T, hidden_size].
   * @param only compute the last layer's output of this place only: [B, 1, hidden_size]
   */
  encode(input: TextInput, options: ForwardOptions = {}, only?: number): Tensor {
    return this.base.forward(input, options, only);
  }

  /** The masked-LM head: hidden [..., hidden_size] -> logits [..., vocab_size]. Give it the rows that are needed. */
  logits(hidden: Tensor): Tensor {
    return this.head.forward(hidden);
  }
}

function loaded<M>(of: MaskedLMClass<M>, checkpoint: Checkpoint, storage?: Storage): M {
  const { config, where } = checkpoint;
  const w = Weights.from(checkpoint, of.names(checkpoint), storage);
  return new of(w, config, `${where}/config.json`);
}
