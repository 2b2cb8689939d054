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
 *     encoder-model        what encoders have in common, under masked-lm and sequence-classifier
 *     lora                 nn, save, weights
 *     rotary               the engine
 *     bert roberta distilbert albert electra xlm-roberta modernbert
 *                          encoder, masked-lm; modernbert rotary, xlm-roberta roberta
 *     bart t5 gpt2         config, nn, weights
 *     registry.ts          every architecture, and nobody else does
 *     generation/          config, seq2seq: no architecture
 *     calls/               generation, training (its random numbers): what a program asks in one call
 *     training/            save, nn: the loop, `fit`, and no architecture
 */
export {
  type AlbertConfig,
  AlbertForMaskedLM,
  AlbertForSequenceClassification,
  albertConfig,
} from "./albert.ts";
export type { BartDecoder, BartEncoder, BartModel } from "./bart.ts";
export { type BartConfig, BartForConditionalGeneration, bartConfig } from "./bart.ts";
export { BertForMaskedLM, BertForSequenceClassification, bertConfig } from "./bert.ts";
export {
  type EncodedBatch,
  type EncodeOptions,
  encodeBatch,
  type TextOrPair,
} from "./calls/encode.ts";
export { type Candidate, type Filled, type FillMaskOptions, fillMask } from "./calls/fill-mask.ts";
export {
  type GenerateOptions,
  type GenerateTextOptions,
  generateText,
  streamText,
  type TextModel,
} from "./calls/generate-text.ts";
export { type InfillOptions, infill, type WriteOptions, type Written } from "./calls/infill.ts";
export type { SamplingOptions } from "./calls/sampling.ts";
export type { Field as ConfigField, Values as ConfigValues } from "./config.ts";
export {
  type DistilBertConfig,
  DistilBertForMaskedLM,
  DistilBertForSequenceClassification,
  distilBertConfig,
} from "./distilbert.ts";
export {
  type ElectraConfig,
  ElectraForMaskedLM,
  ElectraForSequenceClassification,
  electraConfig,
} from "./electra.ts";
export type { Encoder, EncoderConfig, MaskedLMHead } from "./encoder.ts";
export { type EncoderBase, EncoderModel, type EncoderModelClass } from "./encoder-model.ts";
export { type Fail, ModelError } from "./errors.ts";
export { type Checkpoint, readCheckpoint } from "./formats/checkpoint.ts";
export type { Json } from "./formats/json.ts";
export type { Place } from "./formats/place.ts";
export type { Spec as StoredTensor } from "./formats/safetensors.ts";
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
export type { ByteSource } from "./formats/source.ts";
export {
  AverageGenerator,
  type AverageSearch,
  type Hypothesis,
  OTHER,
} from "./generation/average.ts";
export type { OnProgress } from "./generation/generate.ts";
export {
  type Generated,
  type GenerationConfig,
  generationConfig,
  TextGenerator,
} from "./generation/generate.ts";
export type { GPT2Model, GPT2Options } from "./gpt2.ts";
export {
  type GPT2Config,
  GPT2LMHeadModel,
  type GPT2Prompt,
  gpt2Config,
} from "./gpt2.ts";
export type { HubFailure } from "./hub/errors.ts";
export { HubError } from "./hub/errors.ts";
export { FILE_NAMES as TOKENIZER_FILE_NAMES, type ModelPart } from "./hub/files.ts";
export type { Environment } from "./hub/host.ts";
export { type ModelSource, openModel } from "./hub/open.ts";
export { forgetModel, resolveModel } from "./hub/resolve.ts";
export type { HubOptions, HubProgress } from "./hub/settings.ts";
export { type Adaptive, Lora, type LoraOptions, type LoraPart, loadLora, lora } from "./lora.ts";
export { MaskedLM } from "./masked-lm.ts";
export type { Base as ModernBertModel } from "./modernbert.ts";
export {
  type ModernBertConfig,
  ModernBertForMaskedLM,
  ModernBertForSequenceClassification,
  modernBertConfig,
} from "./modernbert.ts";
export type { Names } from "./names.ts";
export type { Adaptable, Adapter, Embedding, LayerNorm, Linear, RMSNorm } from "./nn.ts";
export { type ForwardOptions, gatherRows, type TextInput, type Training } from "./nn.ts";
export {
  causalLM,
  languageModel,
  loadCausalLM,
  loadMaskedLM,
  loadSeq2Seq,
  loadSequenceClassifier,
  maskedLM,
  seq2Seq,
  sequenceClassifier,
} from "./registry.ts";
export {
  type RobertaClassifier,
  RobertaForMaskedLM,
  RobertaForSequenceClassification,
  type RobertaLM,
  robertaConfig,
} from "./roberta.ts";
export { checkRows, rowsRemark } from "./rows.ts";
export { type Saveable, type SaveOptions, saveCheckpoint, streamTensors } from "./save.ts";
export type { DecoderCache, KeyValue, Seq2Seq } from "./seq2seq.ts";
export {
  type ClassificationHead,
  type ClassifierDropout,
  type ClassifierParts,
  type FreshOptions,
  type HeadOptions,
  type Pooling,
  SequenceClassifier,
  type SequenceClassifierClass,
} from "./sequence-classifier.ts";
export type { T5Decoder, T5Encoder } from "./t5.ts";
export { type T5Config, T5ForConditionalGeneration, t5Config } from "./t5.ts";
export type { AddedToken } from "./tokenizer/exact.ts";
export type {
  Description as TokenizerDescription,
  Kind as TokenizerKind,
  Structure as TokenizerStructure,
  TokenizerFiles,
} from "./tokenizer/files.ts";
export type { Part as TokenizerPart } from "./tokenizer/parts.ts";
export { createTokenizer, loadTokenizer, type Role, Tokenizer } from "./tokenizer/tokenizer.ts";
export type { Batches, BatchOptions, Dataset, Indexed, Streamed } from "./training/data.ts";
export {
  type CollateContext,
  type FitOptions,
  fit,
  type ParameterGroup,
  type Trainable,
} from "./training/fit.ts";
export {
  type Evaluation,
  NotFiniteError,
  type Outcome,
  type StepReport,
} from "./training/loop.ts";
export { Random } from "./training/random.ts";
export type { JsonObject, LogRow } from "./training/run-folder.ts";
export type { Shape as ScheduleShape } from "./training/schedule.ts";
export {
  type ModelWeights,
  type Storage,
  Weights,
} from "./weights.ts";
export {
  XLMRobertaForMaskedLM,
  XLMRobertaForSequenceClassification,
  xlmRobertaConfig,
} from "./xlm-roberta.ts";
