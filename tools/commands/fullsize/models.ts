/** BERT or BART alone beside PyTorch, in a process of its own: `models.ts FOLDER bert|bart DEVICE STORAGE`. */
import { join } from "node:path";
import { compile } from "../../../engine/compile.ts";
import { openDevice } from "../../../engine/open.ts";
import { crossEntropy } from "../../../engine/ops/cross-entropy.ts";
import { embedding } from "../../../engine/ops/embedding.ts";
import { mean } from "../../../engine/ops/reduce.ts";
import { permute, reshape } from "../../../engine/ops/shape.ts";
import { type Tensor, tensor } from "../../../engine/tensor.ts";
import { BartForConditionalGeneration } from "../../../models/bart.ts";
import { BertForMaskedLM } from "../../../models/bert.ts";
import type { Storage } from "../../../models/weights.ts";
import { compareForward, DEVICES, memory, Results, say } from "./process.ts";

const [folder, name, deviceName, storage] = process.argv.slice(2);
const device = await openDevice(DEVICES[deviceName]);
say({ kind: "note", text: device.description });
const start = performance.now();

/** With half-precision storage, how far results may be from those of the weights as they were, times the largest. */
const ROUNDED: Readonly<Record<string, number>> = { f16: 0.005, bf16: 0.03 };

/** Mean loss of the rows that have a label. */
const lossOf = (rows: Tensor, labels: Int32Array): Tensor => {
  const places = Array.from(labels, (_, i) => i).filter((i) => labels[i] >= 0);
  const ids = tensor(Uint32Array.from(places));
  const targets = tensor(Uint32Array.from(places, (i) => labels[i]));
  return mean(crossEntropy(embedding(rows, ids), targets));
};

const want = await Results.open(join(folder, `${name}.${storage}.safetensors`));
const labels = await want.integers("labels");
const mask = await want.integers("mask");
const [ids, maskIds] = [await want.ids("ids"), await want.ids("mask")];
const model =
  name === "bert"
    ? await BertForMaskedLM.load(join(folder, "bert"), storage as Storage)
    : await BartForConditionalGeneration.load(join(folder, "bart"), storage as Storage);

const decoderIds = name === "bart" ? await want.ids("decoder_ids") : undefined;
const forward = compile(device, () => {
  const logits = ((): Tensor => {
    if (model instanceof BertForMaskedLM) {
      return model.logits(model.encode({ ids, mask: maskIds }));
    }
    if (!decoderIds) throw new Error("BART needs decoder ids");
    const cache = model.start(model.encode({ ids, mask: maskIds }), maskIds);
    const { hidden } = model.decode({ ids: permute(decoderIds, [1, 0]) }, cache);
    return permute(model.logits(hidden), [1, 0, 2]); // [B, T, vocabulary]
  })();
  const rows = reshape(logits, [-1, logits.shape[2]]);
  return { rows, loss: lossOf(rows, labels) };
});
const { rows, loss } = await forward();

/** Values of the rows that are compared: of padding nothing is asked. */
const shown = (values: Float32Array): Float32Array => {
  const keep = name === "bert" ? mask : labels.map((label) => (label >= 0 ? 1 : 0));
  const width = values.length / keep.length;
  return values.filter((_, i) => keep[Math.floor(i / width)] === 1);
};

const values = shown((await rows.read()) as Float32Array);
compareForward("logits", values, shown(await want.floats("logits")));
const lossValue = await loss.read();
compareForward("loss", lossValue, await want.floats("loss"));
if (storage !== "f32") {
  const exact = await Results.open(join(folder, `${name}.f32.safetensors`));
  const allowed = ROUNDED[storage];
  compareForward(
    "logits, weights not rounded",
    values,
    shown(await exact.floats("logits")),
    allowed,
  );
  compareForward("loss, weights not rounded", lossValue, await exact.floats("loss"), allowed);
}
say({ kind: "done", seconds: (performance.now() - start) / 1000, peak: memory("VmHWM") });
process.exit(0);
