/**
 * OptiPrompt (Zhong et al., NAACL 2021): a few free vectors between subject and mask, one set a relation, trained through the
 * frozen reader.
 *
 *     [CLS] subject [V]1 .. [V]k [MASK] . [SEP]
 *
 * The vectors are embeddings of the reader's input only: they are no words, and its softmax stays as it is.
 */

import { join } from "node:path";
import type { Device } from "../../engine/device.ts";
import { argmax } from "../../engine/ops/argmax.ts";
import { crossEntropy } from "../../engine/ops/cross-entropy.ts";
import { cast, div, maximum, mul, rsqrt, square } from "../../engine/ops/elementwise.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { reshape } from "../../engine/ops/shape.ts";
import { state, type Tensor, tensor } from "../../engine/tensor.ts";
import { openSafetensors, readFloat32 } from "../../models/formats/safetensors.ts";
import { withSeal, writeSealed } from "../../models/formats/seal.ts";
import { pathSource } from "../../models/formats/source.ts";
import { normal } from "../../models/init.ts";
import type { Training as Dropout } from "../../models/nn.ts";
import { streamTensors } from "../../models/save.ts";
import { type Benchmark, type Item, itemsOf, objectIds } from "../benchmark.ts";
import { everywhere } from "../reader.ts";
import { textFingerprint } from "../training/fingerprint.ts";
import { Learner, type LoopSettings, train } from "../training/loop.ts";
import { filledUp, rightPadded, rowWeights } from "../training/padding.ts";
import type { Asked, Method, Prediction, Prompter, Trace, Training } from "./method.ts";
import { loopSettings, type OptionsOf, type OptionTable, trainingOptions } from "./options.ts";

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
  ...trainingOptions({
    lr: 3e-3,
    warmup: 0.1,
    weightDecay: 0,
    batchSize: 16,
    epochs: 10,
    world: { lr: 1e-2, epochs: 30 },
  }),
} as const satisfies OptionTable;

type OptiPromptOptions = OptionsOf<typeof OPTIONS>;

const FILE = "vectors.safetensors";
const VECTORS = "vectors";
/** Standard deviation of the first vectors: that of BERT's own initial embeddings. */
const STD = 0.02;
/** The published code clips no gradient. */
const NO_CLIP = 3e38;

type Questions = { readonly ids: Tensor; readonly mask: Tensor }; // u32 [S * B, 1 + W]
type TrainingBatch = Questions & { readonly objects: Tensor; readonly weights: Tensor };

/** Free vectors for the relation that was last trained or restored. */
export class OptiPromptPrompter implements Prompter {
  readonly limit: number;
  readonly contents = {};
  readonly benchmark: Benchmark;
  /** f32 [k, hidden_size]. */
  readonly vectors: Tensor;
  readonly #period: number;
  #learner: { readonly device: Device; readonly learner: Learner<TrainingBatch> } | undefined;

  constructor(benchmark: Benchmark, count: number) {
    const { reader, encode } = benchmark;
    const [, width] = reader.lm.wordEmbeddings.weight.shape;
    this.benchmark = benchmark;
    this.vectors = state(VECTORS, new Float32Array(count * width), [count, width]);
    [this.#period] = encode(".");
    this.limit = reader.lm.positions - (count + 4); // [CLS], the mask, the period, [SEP]
    if (this.limit < 1) {
      throw new Error(
        `[optiprompt] ${count} vectors leave no room for a subject in the masked LM's ${reader.lm.positions} positions; use fewer`,
      );
    }
  }

  width({ subjects }: Asked): number {
    const { encode } = this.benchmark;
    return subjects.reduce((most, text) => Math.max(most, encode(text).length), 1);
  }

  collate(asked: readonly Asked[], width: number, rows: number): Questions {
    const { reader, encode } = this.benchmark;
    const filled = filledUp(asked, rows);
    const texts = asked[0].subjects.flatMap((_, s) =>
      filled.map(({ subjects }) => [reader.ids.cls, ...encode(subjects[s])]),
    );
    return rightPadded(texts, 1 + width, reader.ids.pad);
  }

  /** Logits f32 [S * B, vocab_size]. */
  logits(questions: Questions, dropout?: Dropout): Tensor {
    const { reader } = this.benchmark;
    const [count, width] = this.vectors.shape;
    const vectors = everywhere(reshape(this.vectors, [1, count, width]));
    const end = [reader.word(this.#period, 1), reader.word(reader.ids.sep, 1)];
    return reader.read([reader.words(questions), vectors], end, dropout);
  }

  predict(batch: Questions): Prediction {
    // the nearest words by the cosine, for people to read
    const { weight } = this.benchmark.reader.lm.wordEmbeddings;
    const length = rsqrt(maximum(sum(square(cast(weight, "f32")), 1), 1e-12)); // [vocab_size]; a row may be zero
    const cosine = mul(matmul(this.vectors, weight, { transB: true }), length);
    return { logits: this.logits(batch), trace: { nearest: argmax(cosine) } };
  }

  words(_asked: Asked, { values }: Trace): string {
    const { tokenizer } = this.benchmark;
    const near = Array.from(values.nearest, (id) => `<${tokenizer.token(id)}>`);
    return ["[X]", ...near, "[Y]", "."].join(" ");
  }

  async save(device: Device, folder: string): Promise<void> {
    const pieces = streamTensors(device, [this.vectors], withSeal({ format: "pt" }));
    await writeSealed(join(folder, FILE), pieces);
  }

  async restore(device: Device, folder: string): Promise<void> {
    const path = join(folder, FILE);
    const source = await pathSource(path).catch((cause) => {
      throw new Error(`[optiprompt] ${path} cannot be read; name the folder of a finished run`, {
        cause,
      });
    });
    const found = (await openSafetensors(source, path)).tensors.get(VECTORS);
    if (found?.shape.join() !== this.vectors.shape.join()) {
      throw new Error(
        `[optiprompt] ${path} does not hold ${VECTORS} [${this.vectors.shape}]; use the reader and the number of vectors of its run`,
      );
    }
    const values = await readFloat32(found);
    if (!values.every(Number.isFinite)) {
      throw new Error(`[optiprompt] ${path} holds values that are not finite; train it again`);
    }
    device.write(this.vectors, values);
  }

  /** Puts the random vectors of a relation in place. */
  start(device: Device, seed: number, relation: string): void {
    const stream = Number.parseInt(textFingerprint(relation).slice(0, 7), 16);
    device.write(this.vectors, normal(this.vectors.size, STD, seed, stream));
  }

  /** The training loop's side; made once, so that all relations share its plans. */
  problem(items: readonly Item[], buckets: readonly number[]) {
    const own = (item: Item): Asked => ({ ...item, subjects: [item.fact.subject] });
    return {
      parameters: [this.vectors],
      decays: () => true,
      items: () => items,
      width: (item: Item) => this.width(own(item)),
      buckets,
      terms: ["object"],
      collate: (part: readonly Item[], width: number, rows: number): TrainingBatch => ({
        ...this.collate(part.map(own), width, rows),
        objects: tensor(Uint32Array.from(objectIds(this.benchmark, part, rows))),
        weights: rowWeights(part.length, rows),
      }),
      loss: (batch: TrainingBatch, rng: Tensor) => {
        const losses = crossEntropy(this.logits(batch, { rng }), batch.objects);
        const loss = div(sum(mul(losses, batch.weights)), sum(batch.weights));
        return { loss, terms: reshape(loss, [1]) };
      },
    };
  }

  learner(
    device: Device,
    settings: Pick<LoopSettings, "weightDecay" | "clip" | "accumulate">,
  ): Learner<TrainingBatch> {
    if (this.#learner?.device !== device) {
      this.#learner = { device, learner: new Learner(device, this.problem([], []), settings) };
    }
    return this.#learner.learner;
  }
}

export const optiprompt: Method = {
  name: "optiprompt",
  summary:
    "free vectors, one set a relation, trained through the frozen reader (Zhong et al., 2021)",
  scope: "relation",
  options: OPTIONS,
  choices: {
    start: `normal, standard deviation ${STD}`,
    softmax: "the reader's own; the published code widens it by the vectors",
    dropout: "the reader's own in training",
    optimizer: "AdamW 0.9 0.999 1e-8 with bias correction, linear warm-up and decay, no clipping",
    order: "shuffled anew in each epoch",
    nearest: "words of largest cosine, for reading only",
  },
  prompts: "vectors",
  row: ({ vectors }) => `OptiPrompt (${vectors} [V]s)`,
  open: async (benchmark: Benchmark, { vectors }: OptiPromptOptions) =>
    new OptiPromptPrompter(benchmark, vectors),
  train(
    prompter: OptiPromptPrompter,
    training: Training & { readonly options: OptiPromptOptions },
  ) {
    const { device, folder, options, relations, resume, seed, buckets } = training;
    if (!resume) prompter.start(device, seed, relations.map(({ id }) => id).join());
    const settings = loopSettings(options, { seed, clip: NO_CLIP });
    return train({
      ...training,
      problem: prompter.problem(itemsOf(relations, "train"), buckets),
      learner: prompter.learner(device, settings),
      settings,
      async saveBest() {
        if (folder) await prompter.save(device, folder.best);
      },
    });
  },
};
