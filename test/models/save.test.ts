/** Tensors that are too large to be on the host whole, saved and restored in pieces. */
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { read } from "../../engine/compile.ts";
import { state } from "../../engine/tensor.ts";
import { parseSafetensors, toFloat32 } from "../../models/formats/safetensors.ts";
import { restoreWeights } from "../../models/restore.ts";
import { saveCheckpoint, streamTensors } from "../../models/save.ts";
import { onDevices } from "../devices.ts";

const test = await onDevices("save");

/** Of more than one piece, and no whole number of pieces: 18 MB. */
const SIZE = 4_500_007;
const value = (i: number): number => ((i * 7919) % 2039) / 64 - 16; // exact in F16

const modelOf = (values: Float32Array, small: Float32Array) => ({
  json: {},
  weights: {
    parameters: new Map([
      ["large", state("large", values, [values.length])],
      ["small", state("small", small, [small.length])],
    ]),
    buffers: new Map([["none", state("none", new Float32Array(5), [5])]]),
    decays: () => false,
    layers: new Map(),
    remarks: [],
  },
});

test("what transformers takes as a float only is written with its point", async (device) => {
  const json = {
    initializer_cutoff_factor: 2,
    initializer_factor: 1,
    norm_eps: 1,
    layer_norm_epsilon: 0.5,
    step: 3,
    hidden_size: 4,
    inside: { initializer_range: 1, texts: ['"norm_eps": 1', "norm_eps"] },
    layer_norm_eps: 1e-12,
  };
  const directory = mkdtempSync(join(tmpdir(), "save-"));
  await saveCheckpoint(directory, device, {
    ...modelOf(Float32Array.of(1), Float32Array.of(2)),
    json,
  });
  const text = readFileSync(join(directory, "config.json"), "utf8");
  assert.equal(JSON.parse(text), json);
  const points = [...text.matchAll(/"(\w+)": \d+\.0(?=,?$)/gm)].map(([, name]) => name);
  assert.equal(points, [
    "initializer_cutoff_factor",
    "initializer_factor",
    "norm_eps",
    "initializer_range",
  ]);
});

test("a large tensor is restored and saved, each value in its place", async (device) => {
  const own = modelOf(new Float32Array(SIZE), new Float32Array(3));
  const tensors = [...own.weights.parameters.values()];
  await device.fill(
    tensors[1],
    (async function* () {
      yield Float32Array.of(7, 7, 7);
    })(),
  );
  const large = Float32Array.from({ length: SIZE }, (_, i) => value(i));
  await restoreWeights(device, own, modelOf(large, Float32Array.of(1, 2, 3)));
  assert.equal([...(await read(device, [tensors[1]]))[0]], [1, 2, 3]);
  for (const dtype of ["F32", "F16"] as const) {
    const pieces: Uint8Array[] = [];
    for await (const piece of streamTensors(device, tensors, {}, dtype)) pieces.push(piece);
    const most = Math.max(...pieces.map(({ length }) => length));
    assert.ok(most <= 2 ** 24, `a piece has ${most} bytes`);
    const saved = parseSafetensors(Buffer.concat(pieces), "saved").tensors.get("large");
    assert.is(saved?.dtype, dtype);
    const values = saved ? toFloat32(saved) : new Float32Array();
    assert.is(values.length, SIZE);
    assert.is(
      values.findIndex((v, i) => v !== value(i)),
      -1,
    );
  }
});

test.run();
