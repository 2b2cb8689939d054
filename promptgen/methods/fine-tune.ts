/**
 * Fine-tuning, a control (after Zhong et al., NAACL 2021): a copy of the reader is trained, all its weights, on one relation's facts
 * asked with the manual template. What it scores is what the training facts and all of the reader give together; the benchmark's reader
 * stays as it is.
 */
import { rm } from "node:fs/promises";
import type { Device } from "../../engine/device.ts";
import type { Tensor } from "../../engine/tensor.ts";
import type { Training as Dropout } from "../../models/nn.ts";
import { loadMaskedLM } from "../../models/registry.ts";
import { restoreWeights } from "../../models/restore.ts";
import { copyTokenizer, saveCheckpoint } from "../../models/save.ts";
import type { Outcome } from "../../models/training/loop.ts";
import { type Benchmark, openReader } from "../benchmark.ts";
import { Reader } from "../reader.ts";
import type { Asked, Method, Prediction, Training } from "./method.ts";
import { NO_CLIP, type OptionsOf, type OptionTable, trainingOptions } from "./options.ts";
import { type Answering, trainAnswers } from "./shared/answering.ts";
import { type TemplateBatch, TemplatePrompter } from "./shared/templates.ts";

const OPTIONS = {
  "save-as": {
    kind: "choice",
    value: "DTYPE",
    help: "the weights of best/: f32, or f16 in half the bytes, rounded",
    initial: "f32",
    choices: ["f32", "f16"],
    structural: true,
  },
  ...trainingOptions({
    lr: 2e-6,
    warmup: 0.1,
    weightDecay: 0.01,
    batchSize: 2,
    epochs: 10,
    world: { lr: 3e-4, batchSize: 8, epochs: 5 },
  }),
} as const satisfies OptionTable;

type FineTuneOptions = OptionsOf<typeof OPTIONS>;

/** The manual templates, read by a copy of the reader as it was last trained or restored. */
export class FineTunePrompter implements Answering {
  readonly limit: number;
  readonly contents = {};
  readonly remarks: readonly string[];
  /** Its reader is the copy. */
  readonly benchmark: Benchmark;
  readonly #templates: TemplatePrompter;
  readonly #dtype: "F32" | "F16";

  private constructor(benchmark: Benchmark, dtype: "F32" | "F16") {
    const manual = benchmark.relations.map(({ id, template }) => [id, template] as const);
    this.benchmark = benchmark;
    const { readerDtype = "f32" } = benchmark;
    this.remarks =
      readerDtype === "f32"
        ? []
        : [
            `[fine-tune] a copy of the masked LM is trained, in f32 and from values that are not rounded, whatever --reader-dtype is`,
          ];
    this.#templates = new TemplatePrompter(benchmark, new Map(manual));
    this.limit = this.#templates.limit;
    this.#dtype = dtype;
  }

  /** @param dtype of what is saved */
  static async open(benchmark: Benchmark, dtype: "F32" | "F16" = "F32"): Promise<FineTunePrompter> {
    const copy = new Reader(await openReader(benchmark), benchmark.reader.ids);
    return new FineTunePrompter({ ...benchmark, reader: copy }, dtype);
  }

  width(asked: Asked): number {
    return this.#templates.width(asked);
  }
  collate(asked: readonly Asked[], width: number, rows: number): TemplateBatch {
    return this.#templates.collate(asked, width, rows);
  }
  get parameters(): readonly Tensor[] {
    return this.benchmark.reader.lm.parameters;
  }
  get decays(): (name: string) => boolean {
    return this.benchmark.reader.lm.decays;
  }
  logits({ ids, mask, places }: TemplateBatch, dropout?: Dropout): Tensor {
    return this.benchmark.reader.readTokens({ ids, mask }, places, dropout);
  }
  predict(batch: TemplateBatch): Prediction {
    return this.#templates.predict(batch);
  }
  words(asked: Asked): string {
    return this.#templates.words(asked);
  }

  /** A checkpoint directory of the reader, with its tokenizer. */
  async save(device: Device, folder: string): Promise<void> {
    await saveCheckpoint(folder, device, this.benchmark.reader.lm, {
      dtype: this.#dtype,
    });
    await copyTokenizer(this.benchmark.checkpoint, folder);
  }

  async restore(device: Device, folder: string): Promise<void> {
    await restoreWeights(device, this.benchmark.reader.lm, await loadMaskedLM(folder));
  }

  /** Puts the weights in place that the benchmark's reader has. */
  async start(device: Device): Promise<void> {
    await restoreWeights(device, this.benchmark.reader.lm, await openReader(this.benchmark));
  }
}

export const fineTune: Method = {
  name: "fine-tune",
  summary: "a control: a copy of the reader, all its weights trained, one relation at a time",
  scope: "relation",
  options: OPTIONS,
  choices: {
    template: "the manual one",
    trained: "all weights, the tables too",
    softmax: "over the reader's whole vocabulary",
    dropout: "the reader's own in training",
    optimizer:
      "AdamW 0.9 0.999 1e-8 with bias correction, no decay on biases and LayerNorm, linear warm-up and decay, no clipping",
    order: "shuffled anew in each epoch",
  },
  row: () => "Fine-tuned reader",
  open: (benchmark: Benchmark, options: FineTuneOptions) =>
    FineTunePrompter.open(benchmark, options["save-as"] === "f16" ? "F16" : "F32"),
  async train(
    prompter: FineTunePrompter,
    training: Training & { readonly options: FineTuneOptions },
  ) {
    const { device, folder, resume, identity } = training;
    const ended = resume ? await folder?.loadSearch(identity) : undefined;
    if (ended) return ended as unknown as Outcome;
    if (!resume) await prompter.start(device);
    const outcome = await trainAnswers(prompter, training, NO_CLIP);
    if (folder && outcome.finished) {
      // weights and moments of a relation that is done would be three models more on the disk
      await folder.saveSearch({ ...outcome }, identity);
      await rm(folder.last, { force: true });
    }
    return outcome;
  },
};
