/** A reader with random weights: what it is made of, that none of the checkpoint's values is read, and that all else stays. */

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { read } from "../../engine/compile.ts";
import type { Device } from "../../engine/device.ts";
import { readCheckpoint } from "../../models/formats/checkpoint.ts";
import type { MaskedLM } from "../../models/masked-lm.ts";
import { randomMaskedLM } from "../../models/registry.ts";
import { loadBenchmark, openReader, withReader } from "../../promptgen/benchmark.ts";
import { embeddedWorld } from "../../promptgen/world/world.ts";
import { onDevices } from "../devices.ts";
import { goldenCheckpoint, goldenFolder } from "../models/parity.ts";

const each = await onDevices("a random reader");
const test = suite("a random reader");
const world = embeddedWorld();
const sources = { data: world.data, reader: world.bert, relations: ["P36"] };

async function valuesOf(device: Device, lm: MaskedLM): Promise<Map<string, Float32Array>> {
  const names = [...lm.weights.parameters.keys()];
  const values = await read(device, [...lm.weights.parameters.values()]);
  return new Map(names.map((name, i) => [name, values[i] as Float32Array]));
}

/** Mean and standard deviation. */
function moments(values: ArrayLike<number>): [mean: number, deviation: number] {
  const all = Array.from(values);
  const mean = all.reduce((sum, x) => sum + x, 0) / all.length;
  return [mean, Math.sqrt(all.reduce((sum, x) => sum + (x - mean) ** 2, 0) / all.length)];
}

each("weights begin as the model's class has them begin, by the seed", async (device) => {
  for (const [folder, padding] of [
    ["bert", 0],
    ["roberta", 1],
  ] as const) {
    const checkpoint = await readCheckpoint(goldenFolder(folder));
    const { config } = checkpoint;
    const std = 0.02;
    const lm = randomMaskedLM({ ...checkpoint, config: { ...config, initializer_range: std } }, 5);
    const values = await valuesOf(device, lm);
    const drawn: number[] = [];
    for (const [name, own] of values) {
      if (name.endsWith("bias"))
        assert.ok(
          own.every((x) => x === 0),
          name,
        );
      else if (/layer_?norm/i.test(name))
        assert.ok(
          own.every((x) => x === 1),
          name,
        );
      else if (name.endsWith("word_embeddings.weight")) {
        const [rows, width] = lm.weights.parameters.get(name)?.shape ?? [];
        for (let row = 0; row < rows; row++) {
          const part = own.subarray(row * width, (row + 1) * width);
          assert.is(
            part.every((x) => x === 0),
            row === padding,
            `row ${row}`,
          );
          if (row !== padding) drawn.push(...part);
        }
      } else drawn.push(...own);
    }
    const [mean, deviation] = moments(drawn);
    assert.ok(drawn.length > 10_000);
    assert.ok(Math.abs(mean) < (4 * std) / Math.sqrt(drawn.length), String(mean));
    assert.ok(Math.abs(deviation / std - 1) < 0.03, String(deviation));
    assert.ok(Math.abs(moments(drawn.map((x) => (x / deviation) ** 4))[0] - 3) < 0.3, "normal");
    const [same, other] = [5, 6].map((seed) => randomMaskedLM({ ...checkpoint, config }, seed));
    const [first, second] = [await valuesOf(device, same), await valuesOf(device, other)];
    assert.not.equal(first, second);
    assert.equal(await valuesOf(device, randomMaskedLM(checkpoint, 5)), first);
    assert.equal([...first.keys()], [...values.keys()]);
  }
});

test("no value of the checkpoint is read", () => {
  const { config, tensors } = goldenCheckpoint("bert");
  const unread = new Map(
    [...tensors].map(([name, { dtype, shape }]) => {
      const read = (): never => {
        throw new Error(`${name} was read`);
      };
      return [name, { dtype, shape, byteLength: 0, read }] as const;
    }),
  );
  const lm = randomMaskedLM({ where: "here", config, tensors: unread }, 1);
  assert.is(lm.vocabularySize, config.vocab_size);
});

each(
  "facts, answers and tokenizer are the trained reader's, the weights others",
  async (device) => {
    const trained = await loadBenchmark(sources);
    const random = await loadBenchmark({ ...sources, readerSeed: 3 });
    assert.equal(random.contents, trained.contents);
    assert.equal(random.relations, trained.relations);
    assert.equal([trained.readerSeed, random.readerSeed], [undefined, 3]);
    assert.equal(random.reader.ids, trained.reader.ids);
    const [said] = random.remarks.slice(trained.remarks.length);
    assert.match(said, /^\[reader\] the masked LM's weights are random, drawn by the seed 3; of /);
    // beside a trained one the facts are the same objects, by which rows are compared
    const beside = await withReader(trained, { readerSeed: 3 });
    assert.is(beside.relations, trained.relations);
    const own = await valuesOf(device, random.reader.lm);
    assert.equal(await valuesOf(device, beside.reader.lm), own);
    const known = await valuesOf(device, trained.reader.lm);
    assert.equal([...known.keys()], [...own.keys()]);
    assert.not.equal(known, own);
    // a copy begins as its original
    assert.equal(await valuesOf(device, await openReader(random)), own);
    assert.equal(await valuesOf(device, await openReader(trained)), known);
  },
);

for (const [dtype, least] of [
  ["f16", 2 ** -11],
  ["bf16", 2 ** -8],
] as const) {
  each(
    `matrices in ${dtype} are those of f32 to its last bit, all else is the same`,
    async (device) => {
      for (const readerSeed of [undefined, 3]) {
        const whole = await loadBenchmark({ ...sources, readerSeed });
        const half = await loadBenchmark({ ...sources, readerSeed, readerDtype: dtype });
        assert.is(half.readerDtype, dtype);
        assert.equal(half.contents, whole.contents);
        assert.is(half.remarks.filter((said) => said.includes(`kept in ${dtype}`)).length, 1);
        const beside = await withReader(whole, { readerSeed, readerDtype: dtype });
        const other = [...beside.reader.lm.weights.parameters.values()];
        const own = [...half.reader.lm.weights.parameters];
        const bits = await read(
          device,
          own.map(([, t]) => t),
        );
        assert.equal(await read(device, other), bits);
        const values = await read(device, [...whole.reader.lm.weights.parameters.values()]);
        const rounded = own.filter(([, t]) => t.dtype === dtype).map(([name]) => name);
        const isMatrix = (name: string) =>
          name.endsWith("weight") && !/LayerNorm|(position|token_type)_embeddings/.test(name);
        assert.equal(rounded, own.map(([name]) => name).filter(isMatrix));
        let differing = 0;
        own.forEach(([name, t], i) => {
          if (t.dtype === "f32") {
            assert.equal(bits[i], values[i], name);
            return;
          }
          const got = numbersOf(bits[i], dtype);
          for (let k = 0; k < got.length; k++) {
            const distance = Math.abs(got[k] - values[i][k]);
            // 2^-25 is half of the least that f16 holds
            if (distance > least * Math.abs(values[i][k]) + 2 ** -25) {
              throw new Error(`${name}[${k}] is ${got[k]} for ${values[i][k]}`);
            }
            if (distance > 0) differing++;
          }
        });
        // the embedded reader's file is f16 itself
        const isExact = readerSeed === undefined && dtype === "f16";
        assert.ok(isExact ? differing === 0 : differing > 1000, `${differing}`);
      }
    },
  );
}

/** Values of 16 bits, by the formats' definition. */
function numbersOf(bits: ArrayLike<number>, dtype: "f16" | "bf16"): Float64Array {
  const [fraction, bias] = dtype === "f16" ? [10, 15] : [7, 127];
  return Float64Array.from(bits, (b) => {
    const exponent = (b & 0x7fff) >> fraction;
    const part = (b & ((1 << fraction) - 1)) / 2 ** fraction;
    const size = exponent === 0 ? part * 2 ** (1 - bias) : (1 + part) * 2 ** (exponent - bias);
    return b & 0x8000 ? -size : size;
  });
}

test.run();
each.run();
