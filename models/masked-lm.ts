/**
 * What a program may know of a masked LM: words in, hidden states, logits of words out. Each architecture extends it with its
 * names, its config and its parts; `Seq2Seq` is its like for encoder-decoders. Knows no architecture.
 */
import type { Tensor } from "../engine/tensor.ts";
import { EncoderModel } from "./encoder-model.ts";

/** A masked LM: it says which token belongs at a mask. */
export abstract class MaskedLM extends EncoderModel {
  /** From hidden states [..., hidden_size] to logits. */
  abstract readonly head: { forward(hidden: Tensor): Tensor };

  /** The masked-LM head: hidden [..., hidden_size] -> logits [..., vocab_size]. Give it the rows that are needed. */
  logits(hidden: Tensor): Tensor {
    return this.head.forward(hidden);
  }
}
