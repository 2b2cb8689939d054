/**
 * What a program may know of a classifier of texts: words in, logits of labels out, and how one begins over the encoder of any
 * checkpoint. Each architecture extends it with its names and its parts. Knows no architecture.
 */
import { type Activation, cast, div, mul } from "../engine/ops/elementwise.ts";
import { mean, sum } from "../engine/ops/reduce.ts";
import { reshape } from "../engine/ops/shape.ts";
import type { Tensor } from "../engine/tensor.ts";
import { configError, configRemarks, count, readFields, real } from "./config.ts";
import { type EncoderBase, EncoderModel, type EncoderModelClass } from "./encoder-model.ts";
import { ModelError } from "./errors.ts";
import type { Checkpoint } from "./formats/checkpoint.ts";
import { isObject, type Json } from "./formats/json.ts";
import type { Names } from "./names.ts";
import { drop, type ForwardOptions, type LayerNorm, type Linear, type TextInput } from "./nn.ts";
import { type ModelWeights, Weights } from "./weights.ts";

/** How often values are dropped while training, ahead of the first matrix and behind it. */
export type ClassifierDropout = { readonly ahead?: number; readonly behind?: number };

/** What may stand between the two matrices of a head beside the activation and dropout. */
export type HeadOptions = ClassifierDropout & { readonly norm?: LayerNorm };

/** From one hidden state of a text to the logits of the labels: two matrices with an activation between them. */
export class ClassificationHead {
  readonly dense: Linear;
  readonly out: Linear;
  readonly #activation: Activation;
  readonly #rates: ClassifierDropout;
  readonly #norm: LayerNorm | undefined;
  constructor(dense: Linear, activation: Activation, out: Linear, options: HeadOptions) {
    this.dense = dense;
    this.out = out;
    this.#activation = activation;
    this.#rates = options;
    this.#norm = options.norm;
  }
  /** first [B, hidden_size] -> [B, labels]. */
  forward(first: Tensor, { training }: ForwardOptions): Tensor {
    const { ahead = 0, behind = 0 } = this.#rates;
    const x = drop(first, ahead, training);
    const y = this.dense.apply(x, { activation: this.#activation });
    return this.out.apply(drop(this.#norm?.apply(y) ?? y, behind, training));
  }
}

/** The labels of config.json in the order of the logits: `id2label`, or as many as `num_labels`, 2, says. Throws `[config] ...`. */
function labelsOf(json: Json, where = "config.json"): readonly string[] {
  const { id2label } = json;
  const { num_labels: number } = readFields(json, { num_labels: count(1, { absent: 2 }) }, where);
  if (id2label === undefined || id2label === null) {
    return Array.from({ length: number }, (_, i) => `LABEL_${i}`);
  }
  const entries = isObject(id2label) ? Object.entries(id2label) : [];
  const labels = entries.map((_, i) => new Map(entries).get(`${i}`));
  const texts = labels.filter((label) => typeof label === "string");
  if (texts.length === 0 || texts.length < labels.length) {
    throw configError(where, ["id2label has no text for each number from 0 on"]);
  }
  return texts;
}

/** A rate of config.json; `absent` where it is left out or null. Throws `[config] ...`. */
export function dropoutOf(
  json: Json,
  field: string,
  absent: number,
  where = "config.json",
): number {
  return readFields(json, { [field]: real(0, 1, { absent }) }, where)[field];
}

/** The head `classifier.dense`, `classifier.out_proj` of RoBERTa and ELECTRA, with one rate ahead of both matrices. */
export function denseHead(
  w: Weights,
  json: Json,
  {
    hidden_size: h,
    hidden_dropout_prob,
  }: { readonly hidden_size: number; readonly hidden_dropout_prob: number },
  options: {
    readonly labels: number;
    readonly activation: Activation;
    readonly where: string | undefined;
  },
): ClassificationHead {
  const rate = dropoutOf(json, "classifier_dropout", hidden_dropout_prob, options.where);
  const head = w.at("classifier");
  const dense = head.linear("dense", h, h);
  const out = head.linear("out_proj", h, options.labels);
  return new ClassificationHead(dense, options.activation, out, { ahead: rate, behind: rate });
}

/** The names of a checkpoint of a classifier over an encoder. */
export const classifierNames = (
  model: string,
  base: Names["base"],
  spellings: Names["spellings"],
  unread: Names["unread"],
): Names => ({
  base,
  parts: ["classifier"],
  tied: {},
  spellings,
  unread,
  head: {
    prefix: "classifier.",
    lacking: `its encoder has not learned to classify; begin a head of its own with ${model}.fresh, or use a checkpoint of ${model}`,
  },
});

/** The mean of x [B, T, d] over the places that the mask u32 [B, T] shows: [B, d]. */
function meanOver(x: Tensor, mask: Tensor | undefined): Tensor {
  if (!mask) return mean(x, 1);
  const [batch, length] = x.shape;
  const seen = reshape(cast(mask, "f32"), [batch, length, 1]);
  return div(sum(mul(x, seen), 1), sum(seen, 1));
}

/** What each class of a classifier says of itself. */
export type SequenceClassifierClass<M> = EncoderModelClass<M> & {
  /** The beginnings of what else files may lack, and then begins anew with the head. */
  readonly beside?: readonly string[];
  /** As upstream calls it. */
  readonly name: string;
};

export type FreshOptions = {
  /** Texts for the labels, or how many there are. */
  readonly labels: readonly string[] | number;
  /** Of the head's first values; default 0. */
  readonly seed?: number;
};

/** config.json with labels. Throws ModelError for labels that are none. */
function withLabels(json: Json, labels: FreshOptions["labels"], model: string): Json {
  const texts =
    typeof labels === "number" ? Array.from({ length: labels }, (_, i) => `LABEL_${i}`) : labels;
  if (texts.length === 0 || new Set(texts).size < texts.length) {
    throw new ModelError(
      `[classifier] the labels are ${JSON.stringify(labels)}; give one or more, each once`,
    );
  }
  const { num_labels: _, ...rest } = json;
  return {
    ...rest,
    architectures: [model],
    id2label: Object.fromEntries(texts.map((text, i) => [`${i}`, text])),
    label2id: Object.fromEntries(texts.map((text, i) => [text, i])),
  };
}

export type Pooling = "cls" | "mean";

/** What an architecture gives its classifier. */
export type ClassifierParts<C> = {
  /** The class with the head, as upstream calls it. */
  readonly model: string;
  readonly config: C;
  readonly json: Json;
  /** Of config.json, for errors. */
  readonly where: string | undefined;
  readonly weights: Weights;
  readonly base: EncoderBase;
  /** The hidden state that the head reads: the first token's, which is the default, or the mean over those that the mask shows. */
  readonly pooling?: Pooling;
  /** @param labels how many there are */
  head(labels: number): ClassificationHead;
};

/** A classifier: it says which label a text has. */
export abstract class SequenceClassifier<
  C extends EncoderModel["config"] = EncoderModel["config"],
> extends EncoderModel {
  readonly config: C;
  readonly json: Json;
  readonly weights: ModelWeights;
  readonly base: EncoderBase;
  readonly head: ClassificationHead;
  /** In the order of the logits. */
  readonly labels: readonly string[];
  readonly #pooling: Pooling;

  /** Throws `[weights] ...` where the weights do not fit the config. */
  constructor(parts: ClassifierParts<C>) {
    super();
    const { model, config, json, where, weights, base, head, pooling = "cls" } = parts;
    this.#pooling = pooling;
    this.config = config;
    this.json = json;
    this.labels = labelsOf(json, where);
    this.base = base;
    this.head = head(this.labels.length);
    for (const remark of configRemarks(json, where)) weights.remark(remark);
    this.weights = weights.finish(model);
  }

  /**
   * A classifier to be trained, over the encoder of any checkpoint of the architecture, whatever its head: a head of its own begins
   * by chance, with the config's initializer_range.
   */
  static fresh<M extends SequenceClassifier>(
    this: SequenceClassifierClass<M>,
    checkpoint: Checkpoint,
    options: FreshOptions,
  ): M {
    return begun(this, checkpoint, options);
  }

  /**
   * Logits of the labels, f32 [B, labels].
   * @param input texts with `[CLS]`, or `<s>`, first, as `encodeBatch` makes them
   */
  logits(input: TextInput, options: ForwardOptions = {}): Tensor {
    if (this.#pooling === "mean") {
      const pooled = meanOver(this.encode(input, options), input.mask);
      return this.head.forward(pooled, options);
    }
    const first = this.encode(input, options, 0); // [B, 1, hidden_size]
    const [texts, , width] = first.shape;
    return this.head.forward(reshape(first, [texts, width]), options);
  }
}

function begun<M>(
  of: SequenceClassifierClass<M>,
  checkpoint: Checkpoint,
  { labels, seed = 0 }: FreshOptions,
): M {
  const { where } = checkpoint;
  const json = withLabels(checkpoint.config, labels, of.name);
  const { initializer_range: std } = of.fields(json, `${where}/config.json`);
  const { head: _, ...names } = of.names({ ...checkpoint, config: json });
  const fresh = { beginnings: ["classifier."], lacking: of.beside ?? [], std, seed };
  const unread = [...names.unread, /^classifier\./];
  const w = Weights.from(checkpoint, { ...names, unread, fresh });
  return new of(w, json, `${where}/config.json`);
}
