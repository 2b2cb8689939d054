/** A LoRA run of `fit` for tests, as a module and as a program that prints each step: `node fit-run.ts DEVICE DIRECTORY`. */
import { read } from "../../../engine/compile.ts";
import type { Device, DeviceName } from "../../../engine/device.ts";
import { openDevice } from "../../../engine/open.ts";
import { crossEntropy } from "../../../engine/ops/cross-entropy.ts";
import { type Tensor, tensor } from "../../../engine/tensor.ts";
import { BertForSequenceClassification } from "../../../models/bert.ts";
import { type Lora, lora } from "../../../models/lora.ts";
import { type FitOptions, fit } from "../../../models/training/fit.ts";
import type { Outcome } from "../../../models/training/loop.ts";
import { goldenCheckpoint } from "../parity.ts";

type Item = { readonly ids: readonly number[]; readonly label: number };
type Batch = { readonly ids: Tensor; readonly labels: Tensor };
type More = Partial<FitOptions<Item, Batch>>;

/** A classifier with adapters, dropout and a head that is trained whole, over shuffled items in batches that are gathered. */
export async function adaptedClassifier(
  device: Device,
): Promise<{ readonly adapter: Lora; run(more: More): Promise<Outcome> }> {
  const checkpoint = goldenCheckpoint("bert");
  const config = { ...checkpoint.config, hidden_dropout_prob: 0.1 };
  const model = BertForSequenceClassification.fresh(
    { ...checkpoint, config },
    { labels: 3, seed: 2 },
  );
  const adapter = lora(model, {
    rank: 2,
    alpha: 4,
    targets: ["query", "value"],
    modulesToSave: ["classifier"],
    seed: 1,
  });
  const items = Array.from(
    { length: 23 },
    (_, i): Item => ({ ids: [1, 5 + (i % 11), 9 + i, 2], label: i % 3 }),
  );
  const run = (more: More): Promise<Outcome> =>
    fit({
      device,
      model: adapter,
      data: items,
      dev: items.slice(0, 5),
      collate: (own) => ({
        ids: tensor(Uint32Array.from(own.flatMap(({ ids }) => ids)), [own.length, 4]),
        labels: tensor(Uint32Array.from(own, ({ label }) => label)),
      }),
      loss: ({ ids, labels }, options) => crossEntropy(model.logits({ ids }, options), labels),
      batchSize: 3,
      accumulate: 2,
      epochs: 3,
      lr: 1e-2,
      warmup: 0.1,
      maxNorm: 1,
      seed: 5,
      saveEvery: 1,
      ...more,
    });
  return { adapter, run };
}

/** The bits of all that was trained. */
export const finalValues = async (device: Device, { parameters }: Lora): Promise<number[][]> =>
  (await read(device, parameters)).map((values) => [...new Uint32Array(values.buffer)]);

if (import.meta.main) {
  const [name, directory] = process.argv.slice(2);
  const device = await openDevice({ device: name as DeviceName });
  const { run } = await adaptedClassifier(device);
  await run({ directory, resume: true, onStep: ({ step }) => process.stdout.write(`${step}\n`) });
  device.destroy();
}
