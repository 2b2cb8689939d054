/** Weights that are not finite: told by tensor, place and file as they are read, however they are kept. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { compile, read } from "../../engine/compile.ts";
import { reshape } from "../../engine/ops/shape.ts";
import type { Tensor } from "../../engine/tensor.ts";
import { BertForMaskedLM } from "../../models/bert.ts";
import { readCheckpoint } from "../../models/formats/checkpoint.ts";
import { firstNotFinite } from "../../models/formats/floats.ts";
import { serializeSafetensors, type TensorEntry } from "../../models/formats/safetensors.ts";
import { onDevices } from "../devices.ts";
import { goldenCheckpoint } from "./parity.ts";

const each = await onDevices("finite");
const home = mkdtempSync(join(tmpdir(), "finite-"));
process.on("exit", () => rmSync(home, { recursive: true, force: true }));
const WORDS = "bert.embeddings.word_embeddings.weight";
const BIAS = "bert.encoder.layer.1.output.dense.bias";

test("the first value that is not finite, in any storage", () => {
  const at = (values: number[]) => firstNotFinite(Float32Array.from(values), "f32");
  assert.is(at([]), -1);
  assert.is(at([0, -0, 3.4e38, -3.4e38, 1e-45]), -1);
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    assert.is(at([1, 2, bad, bad]), 2);
    const many = new Float32Array(20_000).fill(1e38);
    for (const place of [0, 4095, 4096, 12_345, 19_999]) {
      const copy = many.slice();
      copy[place] = bad;
      assert.is(firstNotFinite(copy, "f32"), place);
    }
  }
  const halves = (bits: number[], storage: "f16" | "bf16") =>
    firstNotFinite(Uint16Array.from(bits), storage);
  assert.is(halves([0x7bff, 0xfbff, 0x8000, 0x03ff], "f16"), -1); // 65504, -65504, -0, 6e-5
  assert.equal(
    [0x7c00, 0xfc00, 0x7e00, 0xfe01].map((b) => halves([0, b], "f16")),
    [1, 1, 1, 1],
  );
  assert.is(halves([0x7f7f, 0xff7f, 0x7c00, 0xfc00], "bf16"), -1); // 3.39e38, 2.7e36
  assert.equal(
    [0x7f80, 0xff80, 0x7fc0, 0xffff].map((b) => halves([0, b], "bf16")),
    [1, 1, 1, 1],
  );
});

/** The golden BERT with one value changed, in a file of its own. */
function spoiled(name: string, place: number, value: number): string {
  const { config, tensors } = goldenCheckpoint("bert");
  const folder = mkdtempSync(join(home, "bert-"));
  const entries = [...tensors].map(([key, entry]): [string, TensorEntry] => {
    if (key !== name) return [key, entry];
    const data = entry.data.slice();
    new DataView(data.buffer).setFloat32(4 * place, value, true);
    return [key, { ...entry, data }];
  });
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  writeFileSync(join(folder, "model.safetensors"), serializeSafetensors(new Map(entries)));
  return folder;
}

each("a device that reads such a tensor is told which, where and in which file", async (device) => {
  const { config, tensors } = goldenCheckpoint("bert");
  const width = Number(config.hidden_size);
  const cases: [string, number, number, string][] = [
    [WORDS, 3 * width + 5, Number.NaN, "at [3, 5]"],
    [WORDS, 0, Number.NEGATIVE_INFINITY, "at [0, 0]"],
    [BIAS, 7, Number.POSITIVE_INFINITY, "at [7]"],
  ];
  for (const [name, place, value, said] of cases) {
    const folder = spoiled(name, place, value);
    const path = join(folder, "model.safetensors");
    const checkpoint = await readCheckpoint(folder);
    for (const storage of ["f32", "f16", "bf16"] as const) {
      const model = BertForMaskedLM.from(checkpoint, storage);
      const bad = model.weights.parameters.get(name);
      const good = model.weights.parameters.get("bert.embeddings.LayerNorm.weight");
      if (!bad || !good) throw new Error(name);
      const first = async (t: Tensor) => (await compile(device, () => reshape(t, [-1]))()).read();
      assert.is((await first(good)).length, width);
      const message = await first(bad).then(String, (error: Error) => error.message);
      const kept = bad.dtype === "f32" ? said : `as ${storage} ${said}`;
      assert.is(
        message,
        `[weights] ${path}: ${name} holds a value that is not finite ${kept}; fetch the file again, or use another checkpoint`,
      );
    }
  }
  // in memory it is known at once
  const entry = tensors.get(BIAS);
  if (!entry) throw new Error(BIAS);
  const data = entry.data.slice();
  new DataView(data.buffer).setFloat32(8, Number.NaN, true);
  const changed = new Map([...tensors, [BIAS, { ...entry, data }]]);
  assert.throws(
    () => BertForMaskedLM.from({ where: "memory", config, tensors: changed }),
    /^\[weights\] memory: bert\.encoder\.layer\.1\.output\.dense\.bias holds a value that is not finite at \[2\]/,
  );
  await read(device, [...BertForMaskedLM.from({ where: "x", config, tensors }).parameters]);
});

test("a value that half precision does not hold is told too", async () => {
  const folder = spoiled(WORDS, 1, 1e6);
  const checkpoint = await readCheckpoint(folder);
  const { openDevice } = await import("../../engine/open.ts");
  const device = await openDevice({ device: "cpu", threads: 1 });
  const values = (storage: "f32" | "f16" | "bf16") => {
    const t = BertForMaskedLM.from(checkpoint, storage).weights.parameters.get(WORDS);
    if (!t) throw new Error(WORDS);
    return compile(device, () => reshape(t, [-1]))().then((result) => result.read());
  };
  assert.is((await values("f32"))[1], 1e6);
  assert.is((await values("bf16")).length > 1, true);
  const message = await values("f16").then(String, (error: Error) => error.message);
  assert.match(message, "not finite as f16 at [0, 1]");
});

test.run();
each.run();
