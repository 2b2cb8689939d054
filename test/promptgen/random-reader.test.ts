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

test.run();
each.run();
