/** LoRA held to peft: tools/reference_classifier.py. */
import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { read } from "../../engine/compile.ts";
import type { Device } from "../../engine/device.ts";
import { crossEntropy } from "../../engine/ops/cross-entropy.ts";
import { mean } from "../../engine/ops/reduce.ts";
import { stateName, type Tensor } from "../../engine/tensor.ts";
import { parseSafetensors } from "../../models/formats/safetensors.ts";
import { type Lora, loadLora, lora } from "../../models/lora.ts";
import { loadCausalLM, loadSequenceClassifier } from "../../models/registry.ts";
import { type Saveable, saveCheckpoint } from "../../models/save.ts";
import { fit } from "../../models/training/fit.ts";
import { onDevices } from "../devices.ts";
import { closeForward, goldenFolder, ModelGolden } from "./parity.ts";

const test = await onDevices("lora");

type Case = {
  readonly model: Saveable;
  /** What is trained, and with which loss. */
  logits(batch: Batch): Tensor;
};
type Batch = {
  readonly ids: Tensor;
  readonly mask?: Tensor;
  readonly types?: Tensor;
  readonly labels: Tensor;
};

const CASES: Readonly<Record<string, () => Promise<Case>>> = {
  classifier: async () => {
    const model = await loadSequenceClassifier(goldenFolder("classifier/bert"));
    return { model, logits: ({ ids, mask, types }) => model.logits({ ids, mask, types }) };
  },
  gpt2: async () => {
    const model = await loadCausalLM(goldenFolder("gpt2"));
    return { model, logits: ({ ids }) => model.logits(model.decode({ ids })) };
  },
};

function batchOf(golden: ModelGolden): Batch {
  const names = {
    ids: "input_ids",
    mask: "attention_mask",
    types: "token_type_ids",
    labels: "labels",
  };
  const held = Object.entries(names).filter(([, name]) => golden.has(name));
  return Object.fromEntries(held.map(([key, name]) => [key, golden.tensor(name)])) as Batch;
}

const valuesAt = async (device: Device, t: Tensor): Promise<number[]> => [
  ...(await read(device, [t]))[0],
];

/** The names of the tensors of an adapter's file, with their shapes. */
async function keysOf(directory: string): Promise<string[]> {
  const path = join(directory, "adapter_model.safetensors");
  const { tensors } = parseSafetensors(await readFile(path), path);
  return [...tensors].map(([name, { shape }]) => `${name} ${shape.join("x")}`).sort();
}

for (const [name, open] of Object.entries(CASES)) {
  const golden = new ModelGolden(`lora/${name}`);
  const folder = goldenFolder(`lora/${name}`);
  const batch = batchOf(golden);

  test(`${name}: peft's adapter is read, trained as peft trains it, merged`, async (device) => {
    const { model, logits } = await open();
    const adapter = await loadLora(folder, device, model);
    closeForward([
      { name: "logits", got: await valuesAt(device, logits(batch)), want: golden.floats("logits") },
    ]);
    const losses: number[] = [];
    await fit({
      device,
      model: adapter,
      data: [batch],
      collate: ([one]) => one,
      loss: (one) => mean(crossEntropy(logits(one), one.labels)),
      batchSize: 1,
      epochs: 10,
      lr: 2e-2,
      weightDecay: 0,
      onStep: ({ terms }) => losses.push(terms.loss),
    });
    const want = golden.doubles("train.loss");
    losses.forEach((loss, i) => {
      assert.ok(Math.abs(loss - want[i]) <= 1e-5 * want[i], `step ${i}: ${loss}, peft ${want[i]}`);
    });
    const before = await valuesAt(device, logits(batch));
    await assertRefused(() => saveCheckpoint(tmpdir(), device, model), /has an adapter/);
    await adapter.merge(device);
    closeForward([{ name: "merged", got: await valuesAt(device, logits(batch)), want: before }]);
    const pairs = [];
    for (const layer of adapter.layers) {
      const weight = model.weights.parameters.get(`${layer}.weight`);
      if (!weight) throw new Error(`there is no ${layer}`);
      const got = await valuesAt(device, weight);
      pairs.push({ name: layer, got, want: golden.floats(`merged.${layer}.weight`) });
    }
    closeForward(pairs);
  });

  test(`${name}: what is saved has peft's names, shapes and fields, and is read again`, async (device) => {
    const { model, logits } = await open();
    const plain = await valuesAt(device, logits(batch));
    const peft = JSON.parse(await readFile(join(folder, "adapter_config.json"), "utf8"));
    const adapter = lora(model, {
      rank: peft.r,
      alpha: peft.lora_alpha,
      targets: peft.target_modules,
      modulesToSave: name === "classifier" ? ["classifier"] : [],
      seed: 3,
    });
    assert.equal(await valuesAt(device, logits(batch)), plain); // B is 0
    const [a] = adapter.parameters;
    const bound = 1 / Math.sqrt(a.shape[1]);
    const values = await valuesAt(device, a);
    assert.ok(Math.max(...values) > 0.7 * bound && Math.max(...values.map(Math.abs)) <= bound);
    for (const parameter of adapter.parameters.filter((p) => stateName(p).includes("lora_B"))) {
      device.write(
        parameter,
        Float32Array.from({ length: parameter.size }, (_, i) => (i % 7) - 3),
      );
    }
    const directory = await mkdtemp(join(tmpdir(), "lora-"));
    await adapter.save(directory, device);
    assert.equal(await keysOf(directory), await keysOf(folder));
    const ours = JSON.parse(await readFile(join(directory, "adapter_config.json"), "utf8"));
    for (const field of [
      "peft_type",
      "r",
      "lora_alpha",
      "fan_in_fan_out",
      "bias",
      "inference_mode",
    ]) {
      assert.equal(ours[field], peft[field], field);
    }
    const with_ = await valuesAt(device, logits(batch));
    assert.not.equal(with_, plain);
    const other = await open();
    await loadLora(directory, device, other.model);
    assert.equal(await valuesAt(device, other.logits(batch)), with_);
    adapter.remove();
    assert.equal(await valuesAt(device, logits(batch)), plain);
  });
}

async function assertRefused(run: () => Promise<unknown>, message: RegExp): Promise<void> {
  try {
    await run();
  } catch (error) {
    assert.match(String(error), message);
    return;
  }
  assert.unreachable(`not refused: ${message}`);
}

test("the base stays as it is, and what does not fit is refused", async (device) => {
  const { model } = await CASES.classifier();
  const refused = (options: object, message: RegExp) =>
    assert.throws(() => lora(model, { rank: 2, targets: ["query"], ...options } as never), message);
  refused({ rank: 0 }, /the rank is 0/);
  refused(
    { targets: ["query", "q_proj"] },
    /no layer of the model is named q_proj; its layers end in query, key/,
  );
  refused({ targets: /quer/ }, /no layer of the model is named \/quer\//);
  refused({ targets: [] }, /by no targets/);
  refused({ modulesToSave: ["score"] }, /no parameter of the model is within "score"/);
  const adapter: Lora = lora(model, { rank: 2, targets: /.*\.layer\.1\..*\.(query|key)/ });
  assert.equal(
    adapter.layers,
    ["query", "key"].map((l) => `bert.encoder.layer.1.attention.self.${l}`),
  );
  refused({ targets: ["key"] }, /layer\.1\.attention\.self\.key has an adapter already/);
  adapter.remove();
  const directory = await mkdtemp(join(tmpdir(), "lora-"));
  await assertRefused(
    () => loadLora(directory, device, model),
    /adapter_config\.json does not exist; name the directory of an adapter/,
  );
  await adapter.save(directory, device);
  const path = join(directory, "adapter_config.json");
  const config = JSON.parse(await readFile(path, "utf8"));
  const write = (more: object) => writeFile(path, JSON.stringify({ ...config, ...more }));
  await write({ use_dora: true });
  await assertRefused(() => loadLora(directory, device, model), /use_dora true: not computed here/);
  await write({ r: 4 });
  await assertRefused(
    () => loadLora(directory, device, model),
    /lora_A\.weight is \[2, 20\], the model asks for \[4, 20\]/,
  );
  await write({});
  const gpt2 = await CASES.gpt2();
  await assertRefused(() => loadLora(directory, device, gpt2.model), /is of no layer of the model/);
  const half = await loadCausalLM(goldenFolder("gpt2"), "f16");
  const frozen = lora(half, { rank: 2, targets: ["c_attn"] });
  await assertRefused(() => frozen.merge(device), /kept as f16/);
});

test.run();
