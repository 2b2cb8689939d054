/** BERT's answers at a mask, as an app would have them. */
import { compile, softmax, tensor, topK } from "promptgen/engine";
import { createTokenizer, gatherRows, maskedLM, parseSafetensors } from "promptgen/models";

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
