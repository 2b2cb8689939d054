/** BERT and BART, their weights and tokenizers. */
export {
  type BartConfig,
  BartForConditionalGeneration,
  type BartInput,
  bartConfig,
  type DecoderCache,
  type KeyValue,
} from "./bart.ts";
export { type BertConfig, BertForMaskedLM, type BertInput, bertConfig } from "./bert.ts";
export { type ForwardOptions, gatherRows, type Training } from "./nn.ts";
export {
  parseSafetensors,
  type Safetensors,
  type SafetensorsDtype,
  serializeSafetensors,
  type TensorEntry,
  tensorEntry,
  toFloat32,
} from "./safetensors.ts";
export { createTokenizer, loadTokenizer, type Role, Tokenizer } from "./tokenizer.ts";
export {
  type Checkpoint,
  type ModelWeights,
  type Names,
  readCheckpoint,
  type Storage,
  saveCheckpoint,
  serializeWeights,
  Weights,
} from "./weights.ts";
