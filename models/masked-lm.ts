/**
 * What a program may know of a masked LM: words in, hidden states, logits of words out. BERT and RoBERTa extend it with their
 * names and heads; `Seq2Seq` is its like for encoder-decoders. Knows the encoder and the shared layers, no architecture.
 */
import type { Tensor } from "../engine/tensor.ts";
import type { Encoder, EncoderConfig, MaskedLMHead } from "./encoder.ts";
import type { Json } from "./formats/json.ts";
import type { Embedding, ForwardOptions, TextInput } from "./nn.ts";
import type { ModelWeights } from "./weights.ts";

/** A masked LM: it says which token belongs at a mask. */
export abstract class MaskedLM {
  abstract readonly config: EncoderConfig;
  /** config.json as it was read. */
  abstract readonly json: Json;
  abstract readonly weights: ModelWeights;
  /** The model without its head. */
  abstract readonly base: Encoder;
  abstract readonly head: MaskedLMHead;

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

  /** The table of the words that the model reads. */
  get wordEmbeddings(): Embedding {
    return this.base.embeddings.wordEmbeddings;
  }

  /** Tokens of the longest text. */
  get positions(): number {
    return this.config.max_position_embeddings - this.base.embeddings.offset;
  }

  /** Word embeddings of ids u32 [...] -> [..., hidden_size], without positions. */
  embed(ids: Tensor): Tensor {
    return this.wordEmbeddings.apply(ids);
  }

  /**
   * Last hidden states [B, T, hidden_size].
   * @param only compute the last layer's output of this place only: [B, 1, hidden_size]
   */
  encode(input: TextInput, options: ForwardOptions = {}, only?: number): Tensor {
    const x = this.base.embeddings.forward(input, this.positionRows(input), options);
    return this.base.encoder.forward(x, input.mask, options, only);
  }

  /** The masked-LM head: hidden [..., hidden_size] -> logits [..., vocab_size]. Give it the rows that are needed. */
  logits(hidden: Tensor): Tensor {
    return this.head.forward(hidden);
  }

  /**
   * Rows u32 [B, T] of the position table for an input, where the model has a rule of its own for them; undefined: the
   * input's positions, or 0, 1, ..., T-1, behind the offset.
   */
  protected positionRows(_input: TextInput): Tensor | undefined {
    return undefined;
  }
}
