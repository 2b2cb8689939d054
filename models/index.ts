/**
 * BERT and its kin, BART, T5 and GPT-2, their weights and tokenizers, from directories, the Hugging Face Hub,
 * addresses, or files that a visitor of a page gives.
 *
 * Who imports whom; nothing imports what stands below it:
 *
 *     errors.ts            nothing
 *     formats/             errors
 *     hub/                 formats: where files are, which there are, how they are fetched
 *     tokenizer/           formats, hub
 *     formats/checkpoint   formats, hub
 *     config nn init       formats (JSON), the engine
 *     names                nothing
 *     weights save         formats, nn, init, names
 *     rows                 tokenizer
 *     seq2seq              what a program may know of an encoder-decoder: types alone
 *     encoder masked-lm    config, nn, weights; masked-lm is what a program may know of a masked LM
 *     rotary               the engine
 *     bert roberta distilbert albert electra xlm-roberta modernbert
 *                          encoder, masked-lm; modernbert rotary, xlm-roberta roberta
 *     bart t5 gpt2         config, nn, weights
 *     registry.ts          every architecture, and nobody else does
 *     generation/          config, seq2seq: no architecture
 */
export { type AlbertConfig, AlbertForMaskedLM, albertConfig } from "./albert.ts";
export { type BartConfig, BartForConditionalGeneration, bartConfig } from "./bart.ts";
export { BertForMaskedLM, bertConfig } from "./bert.ts";
export {
  type DistilBertConfig,
  DistilBertForMaskedLM,
  distilBertConfig,
} from "./distilbert.ts";
export { type ElectraConfig, ElectraForMaskedLM, electraConfig } from "./electra.ts";
export type { EncoderConfig } from "./encoder.ts";
export { ModelError } from "./errors.ts";
export { type Checkpoint, readCheckpoint } from "./formats/checkpoint.ts";
export type { Place } from "./formats/place.ts";
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
  AverageGenerator,
  type AverageSearch,
  type Hypothesis,
  OTHER,
} from "./generation/average.ts";
export {
  type Generated,
  type GenerationConfig,
  generationConfig,
  TextGenerator,
} from "./generation/generate.ts";
export {
  type GPT2Config,
  GPT2LMHeadModel,
  type GPT2Prompt,
  gpt2Config,
} from "./gpt2.ts";
export { HubError } from "./hub/errors.ts";
export type { ModelPart } from "./hub/files.ts";
export { type ModelSource, openModel } from "./hub/open.ts";
export { forgetModel, resolveModel } from "./hub/resolve.ts";
export type { HubOptions, HubProgress } from "./hub/settings.ts";
export { MaskedLM, type MaskedLMBase, type MaskedLMClass } from "./masked-lm.ts";
export {
  type ModernBertConfig,
  ModernBertForMaskedLM,
  modernBertConfig,
} from "./modernbert.ts";
export type { Names } from "./names.ts";
export { type ForwardOptions, gatherRows, type TextInput, type Training } from "./nn.ts";
export {
  causalLM,
  languageModel,
  loadCausalLM,
  loadMaskedLM,
  loadSeq2Seq,
  maskedLM,
  seq2Seq,
} from "./registry.ts";
export { RobertaForMaskedLM, robertaConfig } from "./roberta.ts";
export { checkRows, rowsRemark } from "./rows.ts";
export { saveCheckpoint, streamTensors } from "./save.ts";
export type { DecoderCache, KeyValue, Seq2Seq } from "./seq2seq.ts";
export { type T5Config, T5ForConditionalGeneration, t5Config } from "./t5.ts";
export { createTokenizer, loadTokenizer, type Role, Tokenizer } from "./tokenizer/tokenizer.ts";
export {
  type ModelWeights,
  type Storage,
  Weights,
} from "./weights.ts";
export { XLMRobertaForMaskedLM, xlmRobertaConfig } from "./xlm-roberta.ts";
