/** What every host and every bundle runs: a linear regression and BERT's answers at a mask. Plain JavaScript, as an app would have it. */
import {
  compile,
  grad,
  linear,
  mean,
  openDevice,
  SGD,
  softmax,
  square,
  state,
  sub,
  tensor,
  topK,
} from "promptgen/engine";
import { createTokenizer, gatherRows, maskedLM, parseSafetensors } from "promptgen/models";

/** Losses of 20 steps of y = 2 x - 1. */
export async function linearRegression(device) {
  const weight = state("weight", Float32Array.of(0), [1, 1]);
  const bias = state("bias", Float32Array.of(0), [1]);
  const optimizer = new SGD([weight, bias]);
  const values = Float32Array.from({ length: 32 }, (_, i) => i / 16 - 1);
  const x = tensor(values, [32, 1]);
  const y = tensor(
    values.map((value) => 2 * value - 1),
    [32, 1],
  );
  const train = compile(device, ({ x, y }, scalars) => {
    const loss = mean(square(sub(linear(x, weight, bias), y)));
    optimizer.update(grad(loss, [weight, bias]), scalars, [loss]);
    return { loss };
  });
  const losses = [];
  for (let step = 0; step < 20; step++) {
    const { loss } = await train({ x, y }, optimizer.scalars(0.2));
    losses.push(await loss.item());
  }
  return losses;
}

/** The five most probable tokens at the mask of a text, with their probabilities. `files`: of the model, name to bytes. */
export async function fillMask(device, files, text) {
  const read = (name) => new TextDecoder().decode(files[name]);
  const tokenizer = createTokenizer({ "tokenizer.json": read("tokenizer.json") });
  const model = maskedLM({
    where: "the embedded BERT",
    config: JSON.parse(read("config.json")),
    tensors: parseSafetensors(files["model.safetensors"]).tensors,
  });
  const ids = Uint32Array.from([tokenizer.cls, ...tokenizer.encode(text), tokenizer.sep]);
  const rows = tensor(Uint32Array.of(ids.indexOf(tokenizer.mask)));
  const answer = compile(device, ({ ids, mask, rows }) => {
    const hidden = model.encode({ ids, mask });
    return topK(softmax(model.logits(gatherRows(hidden, rows))), 5);
  });
  const shape = [1, ids.length];
  const found = await answer({
    ids: tensor(ids, shape),
    mask: tensor(ids.slice().fill(1), shape),
    rows,
  });
  const [indices, values] = [await found.indices.read(), await found.values.read()];
  return Array.from(indices, (id, i) => [tokenizer.token(id), values[i]]);
}

/** Both programs on one device; `bytesOf` reads a URL of the package. */
export async function runAll(options, worldModels, bytesOf) {
  const device = await openDevice(options);
  const losses = await linearRegression(device);
  const files = {};
  for (const [name, url] of Object.entries(worldModels.bert)) files[name] = await bytesOf(url);
  const filled = await fillMask(device, files, "Paris is the capital of [MASK] .");
  const { description } = device;
  device.destroy();
  return { description, losses, filled };
}
