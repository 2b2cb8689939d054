/** Classifiers over the encoders, held to transformers: tools/reference_classifier.py. */
import { mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { compile, read } from "../../engine/compile.ts";
import { crossEntropy } from "../../engine/ops/cross-entropy.ts";
import { mean } from "../../engine/ops/reduce.ts";
import { type Tensor, tensor } from "../../engine/tensor.ts";
import { BertForSequenceClassification } from "../../models/bert.ts";
import { readCheckpoint } from "../../models/formats/checkpoint.ts";
import type { TextInput } from "../../models/nn.ts";
import { loadSequenceClassifier, MODELS, sequenceClassifier } from "../../models/registry.ts";
import { saveCheckpoint } from "../../models/save.ts";
import type { SequenceClassifier } from "../../models/sequence-classifier.ts";
import { loadTokenizer } from "../../models/tokenizer/tokenizer.ts";
import { fit } from "../../models/training/fit.ts";
import { dropoutState } from "../../models/training/random.ts";
import { embeddedWorld } from "../../promptgen/world/world.ts";
import { onDevices } from "../devices.ts";
import {
  closeForward,
  closeGradients,
  goldenCheckpoint,
  goldenFolder,
  gradientPairs,
  ModelGolden,
  valuesOf,
} from "./parity.ts";

const test = await onDevices("classifier");

const NAMES = ["bert", "roberta", "distilbert", "albert", "electra", "xlm-roberta", "modernbert"];

const inputOf = (golden: ModelGolden): TextInput => ({
  ids: golden.tensor("input_ids"),
  mask: golden.tensor("attention_mask"),
  types: golden.has("token_type_ids") ? golden.tensor("token_type_ids") : undefined,
});

/** Logits of a model that nobody compiled. */
async function logitsOf(
  device: Parameters<typeof read>[0],
  model: SequenceClassifier,
  input: TextInput,
): Promise<number[]> {
  const [values] = await read(device, [model.logits(input)]);
  return [...values];
}

for (const name of NAMES) {
  const folder = `classifier/${name}`;
  const golden = new ModelGolden(folder);

  test(`${name}: logits, losses and gradients`, async (device) => {
    const model = await loadSequenceClassifier(goldenFolder(folder));
    assert.equal(model.labels, ["no", "perhaps", "yes"]);
    assert.equal(model.weights.remarks, []);
    const logits = model.logits(inputOf(golden));
    assert.equal(logits.shape, [3, 3]);
    const losses = crossEntropy(logits, golden.tensor("labels"));
    const got = await valuesOf(device, { logits, losses });
    closeForward(
      ["logits", "losses"].map((key) => ({ name: key, got: got[key], want: golden.floats(key) })),
    );
    closeGradients(await gradientPairs(device, mean(losses), model.weights, golden));
    const other = { ...inputOf(golden), types: undefined };
    const without = await logitsOf(device, model, other);
    const feels = golden.has("token_type_ids");
    assert.is(
      without.every((value, i) => value === got.logits[i]),
      !feels,
    ); // segments count
  });

  test(`${name}: saved, its file has transformers' names and shapes, and is read again`, async (device) => {
    const checkpoint = goldenCheckpoint(folder);
    const model = sequenceClassifier(checkpoint);
    const directory = await mkdtemp(join(tmpdir(), "classifier-"));
    await saveCheckpoint(directory, device, model);
    const saved = await readCheckpoint(directory);
    const shapes = ({ tensors }: typeof saved) =>
      [...tensors].map(([key, { shape }]) => `${key} ${shape.join("x")}`).sort();
    assert.equal(shapes(saved), shapes(checkpoint));
    const json = JSON.parse(await readFile(join(directory, "config.json"), "utf8"));
    assert.equal(json.id2label, { 0: "no", 1: "perhaps", 2: "yes" });
    assert.equal(json.architectures, checkpoint.config.architectures);
    const again = await loadSequenceClassifier(directory);
    const input = inputOf(golden);
    assert.equal(await logitsOf(device, again, input), await logitsOf(device, model, input));
  });

  test(`${name}: a head begins anew over the encoder of a masked LM`, async (device) => {
    const plain = name === "roberta" || name === "bert" ? name : `${name}/untied`;
    const checkpoint = await readCheckpoint(goldenFolder(plain));
    assert.throws(() => sequenceClassifier(checkpoint), /has not learned to classify.*\.fresh/);
    const begin = (seed: number) => sequenceClassifier(checkpoint, { labels: ["a", "b"], seed });
    const [one, same, other] = [begin(4), begin(4), begin(5)];
    assert.match(one.weights.remarks.join("\n"), /classifier\.\S+, .* begin anew/);
    const masked = MODELS[name].from(checkpoint).weights.parameters;
    const shared = [...one.weights.parameters.keys()].filter((key) => masked.has(key));
    assert.ok(shared.length > 10);
    for (const key of shared.slice(0, 3)) {
      const pair = [one.weights.parameters.get(key), masked.get(key)];
      const values = await read(
        device,
        pair.filter((t): t is Tensor => t !== undefined),
      );
      assert.equal(values[0], values[1]);
    }
    const ids = tensor(Uint32Array.of(7, 8, 9, 10), [1, 4]);
    const values = [one, same, other].map((model) => logitsOf(device, model, { ids }));
    const [first, second, third] = await Promise.all(values);
    assert.is(first.length, 2);
    assert.equal(first, second);
    assert.not.equal(first, third);
    assert.equal(one.json.label2id, { a: 0, b: 1 });
  });
}

test("modernbert: the mean over a text's tokens in place of its first, by classifier_pooling", async (device) => {
  const checkpoint = goldenCheckpoint("classifier/modernbert");
  const golden = new ModelGolden("classifier/modernbert");
  const config = { ...checkpoint.config, classifier_pooling: "mean" };
  const model = sequenceClassifier({ ...checkpoint, config });
  const got = await logitsOf(device, model, inputOf(golden));
  closeForward([{ name: "logits", got, want: golden.floats("logits.mean") }]);
  const ids = tensor(Uint32Array.of(7, 8, 9, 10), [1, 4]);
  const mask = tensor(Uint32Array.of(1, 1, 1, 1), [1, 4]);
  const [open, masked] = [
    await logitsOf(device, model, { ids }),
    await logitsOf(device, model, { ids, mask }),
  ];
  closeForward([{ name: "without a mask", got: open, want: masked }]);
});

test("dropout of the head is drawn while training, at classifier_dropout's rate", async (device) => {
  const checkpoint = goldenCheckpoint("classifier/bert");
  const golden = new ModelGolden("classifier/bert");
  const config = { ...checkpoint.config, classifier_dropout: 0.5 };
  const model = BertForSequenceClassification.from({ ...checkpoint, config });
  const run = compile(device, (input: TextInput, rng: Tensor) => ({
    training: model.logits(input, { training: { rng } }),
    plain: model.logits(input),
  }));
  const { ids, mask, types } = inputOf(golden);
  const at = async (step: number) => {
    const result = await run({ ids, mask, types } as never, dropoutState(1, step));
    return [[...(await result.training.read())], [...(await result.plain.read())]];
  };
  const [[first, plain], [second]] = [await at(1), await at(2)];
  assert.not.equal(first, plain);
  assert.not.equal(first, second);
  closeForward([{ name: "plain", got: plain, want: golden.floats("logits") }]);
});

test("fine-tuning over a masked LM learns what a text begins with", async (device) => {
  const checkpoint = await readCheckpoint(goldenFolder("bert"));
  const model = sequenceClassifier(checkpoint, { labels: 2, seed: 1 });
  type Item = { readonly ids: readonly number[]; readonly label: number };
  const items: Item[] = Array.from({ length: 12 }, (_, i) => ({
    ids: [1, 10 + (i % 2), 20 + i, 30 + i, 2],
    label: i % 2,
  }));
  const collate = (own: readonly Item[]) => ({
    ids: tensor(Uint32Array.from(own.flatMap(({ ids }) => ids)), [own.length, 5]),
    labels: tensor(Uint32Array.from(own, ({ label }) => label)),
  });
  const losses: number[] = [];
  await fit({
    device,
    model,
    data: items,
    collate,
    loss: ({ ids, labels }, options) => crossEntropy(model.logits({ ids }, options), labels),
    batchSize: 4,
    epochs: 10,
    lr: 5e-3,
    onStep: ({ terms }) => losses.push(terms.loss),
  });
  assert.ok(losses[losses.length - 1] < 0.2 * losses[0], `${losses[0]} to ${losses.at(-1)}`);
  const batch = collate(items);
  const logits = await logitsOf(device, model, { ids: batch.ids });
  const right = items.filter(({ label }, i) => logits[2 * i + 1] > logits[2 * i] === (label === 1));
  assert.is(right.length, items.length);
});

test("a checkpoint is saved with its tokenizer", async (device) => {
  const world = embeddedWorld().bert;
  const tokenizer = await loadTokenizer(world);
  const model = await loadSequenceClassifier(world, { labels: 2 });
  const directory = await mkdtemp(join(tmpdir(), "classifier-"));
  await saveCheckpoint(directory, device, model, { tokenizer });
  const [ours, theirs] = [directory, world].map((at) =>
    readFile(join(at, "tokenizer.json"), "utf8"),
  );
  assert.is(await ours, await theirs);
  const again = await loadTokenizer(directory);
  assert.equal(again.encode("Paris is here"), tokenizer.encode("Paris is here"));
  assert.is((await loadSequenceClassifier(directory)).labels.length, 2);
});

test("labels and configs that are none are refused", () => {
  const checkpoint = goldenCheckpoint("classifier/bert");
  const wrong = (config: object) =>
    sequenceClassifier({ ...checkpoint, config: { ...checkpoint.config, ...config } });
  assert.throws(() => wrong({ id2label: { 0: "a", 2: "b" } }), /id2label has no text for each/);
  assert.throws(
    () => wrong({ id2label: null, num_labels: 2 }),
    /classifier\.weight is \[3, 20\], config\.json asks for \[2, 20\]/,
  );
  assert.throws(() => wrong({ classifier_dropout: 1.5 }), /classifier_dropout is 1\.5/);
  assert.throws(
    () => sequenceClassifier(checkpoint, { labels: ["a", "a"] }),
    /the labels are \["a","a"\]/,
  );
  assert.throws(
    () =>
      sequenceClassifier({ ...checkpoint, config: { ...checkpoint.config, model_type: "bart" } }),
    /the classifiers that are supported are bert, roberta/,
  );
});

test.run();
