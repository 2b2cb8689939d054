/** BERT, RoBERTa, BART and GPT-2, their weights and tokenizers, from directories or the Hugging Face Hub. */
export {
  type BartConfig,
  BartForConditionalGeneration,
  type BartInput,
  bartConfig,
  type DecoderCache,
  type KeyValue,
} from "./bart.ts";
export { BertForMaskedLM, bertConfig } from "./bert.ts";
export { type EncoderConfig, type EncoderInput, MaskedLM } from "./encoder.ts";
export { type Checkpoint, readCheckpoint } from "./formats/checkpoint.ts";
export {
  type FileTensor,
  openSafetensors,
  parseSafetensors,
  readFloat32,
  type Safetensors,
  type SafetensorsDtype,
  serializeSafetensors,
  streamSafetensors,
  type TensorEntry,
  tensorEntry,
  toFloat32,
} from "./formats/safetensors.ts";
export {
  type Generated,
  type GenerationConfig,
  generationConfig,
  TextGenerator,
} from "./generation/generate.ts";
export {
  type GPT2Config,
  type GPT2Input,
  GPT2LMHeadModel,
  type GPT2Prompt,
  gpt2Config,
  gpt2Decays,
} from "./gpt2.ts";
export { type HubOptions, type HubProgress, type ModelPart, resolveModel } from "./hub/hub.ts";
export { loadMaskedLM, maskedLM } from "./masked-lm.ts";
export { type ForwardOptions, gatherRows, type Training } from "./nn.ts";
export { RobertaForMaskedLM, robertaConfig } from "./roberta.ts";
export { saveCheckpoint, streamTensors } from "./save.ts";
export { createTokenizer, loadTokenizer, type Role, Tokenizer } from "./tokenizer/tokenizer.ts";
export {
  type ModelWeights,
  type Names,
  type Storage,
  Weights,
} from "./weights.ts";
