/**
 * Instance-aware prompts (Jin et al., 2022): vectors P1 .. Pk of the relation, each weighed by how relevant it is to the fact's
 * query x1 .. xT, the reader's embeddings of `[CLS] subject [MASK] . [SEP]`:
 *
 *     P = W2 relu(W1 E + b1) + b2                                   E [k, hidden_size], learnt
 *     a_i = sigmoid(mean over t of (Q P_i) . (K x_t) / sqrt(head))  Q, K: hidden_size -> head, with biases
 *     [CLS] subject a_1 P_1 .. a_k P_k [MASK] . [SEP]               ->  answer
 *
 * The mean over t of K x_t is K of the mean, which is what is computed.
 */
import { cast, div, mul, relu, sigmoid } from "../../engine/ops/elementwise.ts";
import { linear, matmul } from "../../engine/ops/matmul.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { reshape } from "../../engine/ops/shape.ts";
import type { Benchmark } from "../benchmark.ts";
import { textFingerprint } from "../training/fingerprint.ts";
import type { Method, Training } from "./method.ts";
import { type OptionsOf, type OptionTable, trainingOptions } from "./options.ts";
import { trainAnswers } from "./shared/answering.ts";
import { FactVectorsPrompter, type Network } from "./shared/fact-vectors.ts";
import { finalPeriod } from "./shared/vectors.ts";

const OPTIONS = {
  vectors: {
    kind: "number",
    value: "N",
    help: "free vectors between the subject and the mask",
    initial: 16,
    least: 1,
    most: 64,
    whole: true,
    structural: true,
  },
  head: {
    kind: "number",
    value: "N",
    help: "width in which vectors and query are compared",
    initial: 64,
    least: 1,
    ceiling: 65_536,
    whole: true,
    structural: true,
  },
  ...trainingOptions({
    lr: 3e-3,
    warmup: 0.1,
    weightDecay: 0,
    batchSize: 16,
    epochs: 10,
  }),
} as const satisfies OptionTable;

export type InstancePromptOptions = OptionsOf<typeof OPTIONS>;

const CLIP = 1;

function network(benchmark: Benchmark, { vectors: count, head }: InstancePromptOptions): Network {
  const { lm, ids } = benchmark.reader;
  const [, width] = lm.wordEmbeddings.weight.shape;
  const period = finalPeriod(benchmark);
  const std = 1 / Math.sqrt(3 * width); // that of PyTorch's Linear
  const matrix = (rows: number) => ({ shape: [rows, width], std, decays: true });
  const bias = (size: number) => ({ shape: [size], std: 0, decays: false });
  return {
    name: "instance-prompt",
    count,
    parameters: {
      embeddings: { shape: [count, width], std: 1, decays: true },
      "mlp.0.weight": matrix(width),
      "mlp.0.bias": bias(width),
      "mlp.2.weight": matrix(width),
      "mlp.2.bias": bias(width),
      "query.weight": matrix(head),
      "query.bias": bias(head),
      "key.weight": matrix(head),
      "key.bias": bias(head),
    },
    query({ fact }) {
      const subject = benchmark.encode(fact.subject);
      const whole = [ids.cls, ...subject, ids.mask, ...period, ids.sep];
      return { ids: whole, place: 1 + subject.length };
    },
    vectors({ ids: tokens, mask }, w) {
      const [rows, length] = tokens.shape;
      const inner = relu(linear(w.embeddings, w["mlp.0.weight"], w["mlp.0.bias"]));
      const prompt = linear(inner, w["mlp.2.weight"], w["mlp.2.bias"]); // [k, width]
      const live = cast(reshape(mask, [rows, length, 1]), "f32");
      const mean = div(sum(mul(lm.embed(tokens), live), 1), sum(live, 1)); // [B, width]
      const key = linear(mean, w["key.weight"], w["key.bias"]); // [B, head]
      const query = linear(prompt, w["query.weight"], w["query.bias"]); // [k, head]
      const scores = mul(matmul(key, query, { transB: true }), 1 / Math.sqrt(head));
      const weights = reshape(sigmoid(scores), [rows, count, 1]);
      return mul(reshape(prompt, [1, count, width]), weights);
    },
  };
}

export const instancePrompt: Method = {
  name: "instance-prompt",
  summary:
    "free vectors of a relation, each weighed by its relevance to the query (Jin et al., 2022)",
  scope: "relation",
  options: OPTIONS,
  choices: {
    reader: "frozen; the source trains it too unless told otherwise",
    query:
      "the reader's embeddings, without positions, of [CLS] subject [MASK] . [SEP], with the fact's own subject",
    relevance:
      "sigmoid of the mean over the query's tokens of (Q P + b) . (K x + c) / sqrt(head), as in the published code; its mean runs over padding too, ours does not",
    place:
      "between subject and mask, a final period behind, as in OptiPrompt; the published code has them in front",
    none: 'the same vectors, with the same weights, with "None" for the subject',
    start:
      "normal: embeddings of standard deviation 1, matrices of 1 / sqrt(3 hidden_size), which PyTorch's are; biases 0",
    recipe:
      "rate, epochs and batch of OptiPrompt: the published default, 1e-5 for 5 epochs, is for a reader that is trained too",
    dropout: "the reader's own in training",
    optimizer: "AdamW 0.9 0.999 1e-8, no decay on biases, linear warm-up and decay, clip 1",
    nearest: "words of largest cosine, for reading only",
  },
  row: () => "Instance-aware prompt",
  open: (benchmark: Benchmark, options: InstancePromptOptions, saved?: string) =>
    FactVectorsPrompter.open(benchmark, network(benchmark, options), saved),
  train(
    prompter: FactVectorsPrompter,
    training: Training & { readonly options: InstancePromptOptions },
  ) {
    const { device, relations, resume, seed } = training;
    const [{ id }] = relations;
    const stream = Number.parseInt(textFingerprint(id).slice(0, 7), 16);
    if (!resume) prompter.start(device, seed, stream);
    return trainAnswers(prompter, training, CLIP);
  },
};
