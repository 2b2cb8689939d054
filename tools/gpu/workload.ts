/**
 * The PromptGen training step as something to measure: models of any size without weights of their own, a batch, the function to
 * compile. Everything that the kit takes from promptgen/ and models/ is imported here.
 */
import { grad } from "../../engine/grad.ts";
import { concat, reshape } from "../../engine/ops/shape.ts";
import { AdamW } from "../../engine/optim.ts";
import type { Tensor } from "../../engine/tensor.ts";
import { BartForConditionalGeneration } from "../../models/bart.ts";
import { BertForMaskedLM } from "../../models/bert.ts";
import { Weights } from "../../models/weights.ts";
import { Generator } from "../../promptgen/methods/promptgen/generator.ts";
import type { TrainingBatch } from "../../promptgen/methods/promptgen/index.ts";
import { diagnose, objective, readPrompts } from "../../promptgen/methods/promptgen/objective.ts";
import { Reader } from "../../promptgen/reader.ts";
import { stepBatch } from "../commands/fullsize/process.ts";

type Dimensions = {
  readonly bart: { readonly width: number; readonly inner: number; readonly heads: number };
  readonly bartLayers: number;
  readonly bert: { readonly width: number; readonly inner: number; readonly heads: number };
  readonly bertLayers: number;
  /** Words of BART, of BERT, and those that both have. */
  readonly words: readonly [bart: number, bert: number, common: number];
  readonly places: number;
};

const real = { words: [50265, 28996, 18544], places: 1024 } as const;
const bertBase = { width: 768, inner: 3072, heads: 12 };

/** `full`: BART-large and BERT-base; `slim`: as many layers, narrow, so that it has as many launches, before joins, and shows what they cost. */
export const SIZES = {
  full: {
    ...real,
    bart: { width: 1024, inner: 4096, heads: 16 },
    bartLayers: 12,
    bert: bertBase,
    bertLayers: 12,
  },
  base: {
    ...real,
    bart: { width: 768, inner: 3072, heads: 12 },
    bartLayers: 6,
    bert: bertBase,
    bertLayers: 12,
  },
  small: {
    ...real,
    bart: { width: 512, inner: 2048, heads: 8 },
    bartLayers: 4,
    bert: { width: 512, inner: 2048, heads: 8 },
    bertLayers: 4,
  },
  slim: {
    words: [1000, 900, 400],
    places: 64,
    bart: { width: 64, inner: 128, heads: 4 },
    bartLayers: 12,
    bert: { width: 64, inner: 128, heads: 4 },
    bertLayers: 12,
  },
  toy: {
    words: [120, 110, 60],
    places: 64,
    bart: { width: 32, inner: 64, heads: 2 },
    bartLayers: 2,
    bert: { width: 24, inner: 48, heads: 2 },
    bertLayers: 2,
  },
} satisfies Record<string, Dimensions>;

export type Size = keyof typeof SIZES;

/** `step`: with gradients and the update; `forward`: the losses alone; `bert`: BERT alone, on the batch's short rows. */
export const PARTS = ["step", "forward", "bert"] as const;
export type Part = (typeof PARTS)[number];

export type WorkloadOptions = {
  readonly size: Size;
  readonly part?: Part | undefined;
  readonly batch?: number | undefined;
  /** Pieces of the subject. */
  readonly subject?: number | undefined;
  /** Pieces of BART's input beside the subject's. */
  readonly extra?: number | undefined;
  /** BART's dropouts; that of attention may differ. */
  readonly dropout?: number | undefined;
  readonly attention?: number | undefined;
};

/** What the options become where they are silent. */
export function settled(options: WorkloadOptions) {
  const { size, part = "step", subject = 5, extra = 11, dropout = 0.1 } = options;
  const batch = options.batch ?? (size === "toy" ? 2 : 32);
  const attention = options.attention ?? (size === "small" ? 0 : dropout);
  const [m, n] = size === "toy" ? [3, 2] : [10, 5];
  return { size, part, batch, subject, extra, dropout, attention, m, n };
}

/** Models without values, a batch, and the function to compile; writing the weights is left to who wants them. */
export function workload(options: WorkloadOptions) {
  const { size, part, batch: rows, subject, extra, dropout, attention, m, n } = settled(options);
  const { bart: of, bert: reads, bartLayers, bertLayers, words, places }: Dimensions = SIZES[size];
  const [bartWords, bertWords, common] = words;
  const bart = new BartForConditionalGeneration(Weights.described(), {
    model_type: "bart",
    vocab_size: bartWords,
    d_model: of.width,
    encoder_layers: bartLayers,
    decoder_layers: bartLayers,
    encoder_attention_heads: of.heads,
    decoder_attention_heads: of.heads,
    encoder_ffn_dim: of.inner,
    decoder_ffn_dim: of.inner,
    max_position_embeddings: places,
    activation_function: "gelu",
    dropout,
    attention_dropout: attention,
    activation_dropout: size === "small" ? 0 : dropout,
  });
  const bert = new BertForMaskedLM(Weights.described(), {
    model_type: "bert",
    vocab_size: bertWords,
    hidden_size: reads.width,
    num_hidden_layers: bertLayers,
    num_attention_heads: reads.heads,
    intermediate_size: reads.inner,
    max_position_embeddings: Math.min(512, places),
    hidden_act: "gelu",
    layer_norm_eps: 1e-12,
  });
  const first = Uint32Array.from({ length: common }, (_, i) => i + 5);
  const classes = { size: common, end: common - 1, generator: first, reader: first };
  const generator = new Generator(bart, classes, bartWords - 1, { m, n });
  const reader = new Reader(bert, { cls: 1, sep: 2, mask: 3, pad: 0 });
  const optimizer = new AdamW(bart.parameters, {
    weightDecay: 1e-3,
    decays: bart.decays,
    maxNorm: 1,
  });
  const pieces = (count: number, id: (i: number) => number): number[] =>
    Array.from({ length: count }, (_, i) => id(i) % 80);
  const facts = Array.from({ length: rows }, (_, i) => ({
    encoder: [0, ...pieces(subject + extra - 2, (j) => i * 7 + j * 3).map((id) => id + 5), 2],
    bart: pieces(subject, (j) => i * 5 + j).map((id) => id + 6),
    bert: pieces(subject, (j) => i * 3 + j).map((id) => id + 7),
    object: 10 + ((i * 11) % 80),
  }));
  const ids = {
    bart: { bos: 0, eos: 2, pad: 1, mask: bartWords - 1 },
    bert: { ...reader.ids, none: 9 },
  };
  const batch = stepBatch(facts, subject, rows, extra, ids);

  const run = (b: TrainingBatch, rng: Tensor, scalars: Tensor): { report: Tensor } => {
    if (part === "bert") {
      const hidden = bert.encode({ ids: b.readerIds, mask: b.readerMask }, {}, 1);
      return { report: reshape(bert.logits(hidden), [-1]) };
    }
    const train = part === "step";
    const prompts = generator.unroll(b, train && dropout > 0 ? { rng } : undefined);
    const logits = readPrompts(reader, b, prompts, classes, m);
    const { loss, object, none } = objective(logits, b, 0.3);
    const terms = concat([reshape(object, [1]), reshape(none, [1])], 0);
    if (!train) return { report: terms };
    const { top, entropy } = diagnose(prompts, b.weights);
    const control = optimizer.update(grad(loss, [...bart.parameters]), scalars, [terms]);
    return { report: concat([control, terms, reshape(top, [1]), reshape(entropy, [1])], 0) };
  };
  const parameters = [bart, bert].flatMap(({ weights }) => [...weights.parameters.values()]);
  return { batch, optimizer, parameters, run };
}
