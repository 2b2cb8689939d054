/**
 * IDPG, instance-dependent prompt generation (Wu et al., NAACL 2022): the frozen reader encodes a query about the fact, a small
 * network of a narrow middle makes k free vectors of that, and the reader answers with them.
 *
 *     [CLS] manual template with subject and [MASK] [SEP]  ->  e [hidden_size]
 *     V = up(dropout(gelu(down(dropout(e)))))              ->  [k, width of the table of words]
 *     [CLS] subject V1 .. Vk [MASK] . [SEP]                ->  answer
 *
 * One network serves all relations.
 */
import { cast, div, gelu, mul } from "../../engine/ops/elementwise.ts";
import { linear } from "../../engine/ops/matmul.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { reshape } from "../../engine/ops/shape.ts";
import type { Tensor } from "../../engine/tensor.ts";
import { type Training as Dropout, drop, gatherRows } from "../../models/nn.ts";
import type { Benchmark } from "../benchmark.ts";
import type { Method, Training } from "./method.ts";
import { type OptionsOf, type OptionTable, trainingOptions } from "./options.ts";
import { trainAnswers } from "./shared/answering.ts";
import { FactVectorsPrompter, type Network, type Queries } from "./shared/fact-vectors.ts";
import { filled } from "./shared/templates.ts";

const OPTIONS = {
  vectors: {
    kind: "number",
    value: "N",
    help: "free vectors between the subject and the mask",
    initial: 5,
    least: 1,
    most: 64,
    whole: true,
    structural: true,
  },
  bottleneck: {
    kind: "number",
    value: "N",
    help: "width of the network's middle",
    initial: 16,
    least: 1,
    ceiling: 65_536,
    whole: true,
    structural: true,
  },
  encoding: {
    kind: "choice",
    value: "WHICH",
    help: "the reader's last hidden state that the network reads: cls, mask, or the mean over the query",
    initial: "cls",
    choices: ["cls", "mask", "mean"],
    structural: true,
  },
  dropout: {
    kind: "number",
    value: "X",
    help: "dropout in the network while training, before each projection",
    initial: 0.1,
    least: 0,
    most: 0.99,
  },
  ...trainingOptions({
    lr: 5e-4,
    warmup: 0.1,
    weightDecay: 0.1,
    batchSize: 16,
    epochs: 50,
    world: { lr: 3e-3, epochs: 10 },
  }),
} as const satisfies OptionTable;

export type IdpgOptions = OptionsOf<typeof OPTIONS>;

/** Standard deviation of the first matrices, BERT's own; biases start at 0. */
const STD = 0.02;
const CLIP = 10;

/** The query's encoding f32 [B, hidden_size]. */
function encoded(
  { reader: { lm } }: Benchmark,
  { ids, mask, places }: Queries,
  which: string,
  training: Dropout | undefined,
): Tensor {
  const text = { ids, mask };
  const [rows, length] = ids.shape;
  if (which === "cls") return reshape(lm.encode(text, { training }, 0), [rows, -1]);
  const hidden = lm.encode(text, { training });
  if (which === "mask") return gatherRows(hidden, places);
  const live = cast(reshape(mask, [rows, length, 1]), "f32");
  return div(sum(mul(hidden, live), 1), sum(live, 1));
}

function network(benchmark: Benchmark, options: IdpgOptions): Network {
  const { vectors: count, bottleneck, encoding, dropout: p } = options;
  const { lm } = benchmark.reader;
  const [, width] = lm.wordEmbeddings.weight.shape;
  return {
    name: "idpg",
    count,
    parameters: {
      "down.weight": { shape: [bottleneck, lm.config.hidden_size], std: STD, decays: true },
      "down.bias": { shape: [bottleneck], std: 0, decays: false },
      "up.weight": { shape: [count * width, bottleneck], std: STD, decays: true },
      "up.bias": { shape: [count * width], std: 0, decays: false },
    },
    query: ({ relation, fact }) => filled(benchmark, relation.template, fact.subject),
    vectors(queries, w, dropout) {
      const e = drop(encoded(benchmark, queries, encoding, dropout), p, dropout);
      const middle = gelu(linear(e, w["down.weight"], w["down.bias"])); // [B, bottleneck]
      const all = linear(drop(middle, p, dropout), w["up.weight"], w["up.bias"]);
      return reshape(all, [-1, count, width]);
    },
  };
}

export const idpg: Method = {
  name: "idpg",
  summary:
    "a small network makes free vectors of the frozen reader's own encoding of the query (Wu et al., 2022)",
  scope: "all",
  options: OPTIONS,
  choices: {
    reader: "frozen, its head too; the published code trains a classifier of its own on it",
    query: "the relation's manual template with the fact's own subject and [MASK]",
    encoding:
      "the last layer's, once, for vectors of the input layer; the paper also has vectors in each layer",
    network:
      "two dense layers with GELU; the paper's lighter one makes both of hypercomplex products",
    place:
      "between subject and mask, a final period behind, as in OptiPrompt; the published code has them in front",
    none: 'the same vectors with "None" for the subject',
    start: `normal, standard deviation ${STD}, biases 0`,
    dropout: "the network's, and the reader's own in training, in both of its passes",
    optimizer:
      "AdamW 0.9 0.999 1e-8, no decay on biases, linear warm-up and decay, clip 10; the published code has Adam 0.9 0.98 1e-6 at one rate, the best of 5e-3, 1e-3, 5e-4, 1e-4 for each task",
    nearest: "words of largest cosine, for reading only",
  },
  row: () => "IDPG",
  open: (benchmark: Benchmark, options: IdpgOptions, saved?: string) =>
    FactVectorsPrompter.open(benchmark, network(benchmark, options), saved),
  train(prompter: FactVectorsPrompter, training: Training & { readonly options: IdpgOptions }) {
    if (!training.resume) prompter.start(training.device, training.seed, 0);
    return trainAnswers(prompter, training, CLIP);
  },
};
