import assert from "node:assert/strict";
import type { Device } from "../../../engine/device.ts";
import { BartForConditionalGeneration } from "../../../models/bart.ts";
import { startSearch } from "../../../models/generation/beam.ts";
import { bucket } from "../../../models/generation/encoded.ts";
import {
  type GenerationConfig,
  generationConfig,
  TextGenerator,
} from "../../../models/generation/generate.ts";
import { onDevices } from "../../devices.ts";
import { goldenCheckpoint, goldenText } from "../parity.ts";

const test = await onDevices("generate");

type Golden = {
  readonly inputs: readonly (readonly number[])[];
  readonly cases: readonly {
    readonly name: string;
    readonly options: Partial<GenerationConfig>;
    readonly results: readonly { readonly ids: number[]; readonly score: number }[][];
  }[];
};
const golden: Golden = JSON.parse(goldenText("generate/golden.json"));
const load = () => BartForConditionalGeneration.from(goldenCheckpoint("generate"));

const generators = new WeakMap<Device, TextGenerator>();
const generatorOf = (device: Device): TextGenerator => {
  const made = generators.get(device) ?? new TextGenerator(device, load());
  generators.set(device, made);
  return made;
};

for (const { name, options, results } of golden.cases) {
  test(`${name}: the tokens of transformers, and their scores`, async (device) => {
    const got = await generatorOf(device).generate(golden.inputs, options);
    const ids = (all: typeof results | typeof got) => all.map((t) => t.map((one) => one.ids));
    assert.deepEqual(ids(got), ids(results));
    results.forEach((texts, i) => {
      texts.forEach(({ score }, j) => {
        const distance = Math.abs(got[i][j].score - score);
        assert.ok(distance < 1e-4, `text ${i}.${j}: ${got[i][j].score}, expected ${score}`);
      });
    });
  });
}

test("texts of any number and order, alone or together, give the same", async (device) => {
  const generator = generatorOf(device);
  const options = { num_beams: 3, max_length: 12 };
  const shown = (all: Awaited<ReturnType<TextGenerator["generate"]>>) =>
    all.map(([{ ids }]) => ids.join(" "));
  const many = [...golden.inputs, ...golden.inputs.toReversed(), ...golden.inputs];
  const together = shown(await generator.generate(many, options));
  assert.deepEqual(together.slice(0, 7), together.slice(7, 14).toReversed());
  for (const i of [0, 4]) {
    assert.equal(shown(await generator.generate([golden.inputs[i]], options))[0], together[i]);
  }
  assert.deepEqual(await generator.generate([], options), []);
});

test("plans are made for sizes, not for texts", async (device) => {
  const generator = generatorOf(device);
  const options = { num_beams: 4, max_length: 14 };
  await generator.generate(golden.inputs.slice(0, 4), options);
  const { buffersCreated } = device.stats;
  await generator.generate(golden.inputs.slice(1, 5), { ...options, max_length: 17 });
  await generator.generate(golden.inputs.slice(3), options);
  assert.equal(device.stats.buffersCreated, buffersCreated);
});

test("progress rises to 1", async (device) => {
  const shares: number[] = [];
  const many = [...golden.inputs, ...golden.inputs];
  await generatorOf(device).generate(many, { num_beams: 4 }, (share) => shares.push(share));
  assert.ok(shares.length > 4);
  assert.deepEqual(
    shares,
    shares.toSorted((a, b) => a - b),
  );
  assert.equal(shares.at(-1), 1);
});

test("what cannot be written is refused", async (device) => {
  const generator = generatorOf(device);
  const refuses = (
    texts: readonly (readonly number[])[],
    options: Partial<GenerationConfig>,
    sentence: RegExp,
  ) => assert.rejects(generator.generate(texts, options), sentence);
  const [text] = golden.inputs;
  await refuses([text, []], {}, /^ModelError: \[generate\] text 1 has no tokens/);
  const rows = 48;
  await refuses(
    [text, [0, rows, 2]],
    {},
    /text 1 has the id 48, but the model's table of words has 48 rows/,
  );
  for (const name of ["decoder_start_token_id", "forced_bos_token_id", "eos_token_id"]) {
    await refuses(
      [text],
      { [name]: rows },
      new RegExp(`\\[config\\] options: ${name} 48 is no row`),
    );
  }
  await refuses([new Array(33).fill(5)], {}, /text 0 has 33 tokens, more than the model's 32/);
  await refuses([text], { num_return_sequences: 2 }, /num_return_sequences is 2 with num_beams 1/);
  await refuses([text], { max_length: 33 }, /max_length is 33, more than the model's 32 positions/);
  await refuses([text], { max_length: 5, min_length: 6 }, /min_length is 6 with max_length 5/);
  await refuses([text], { num_beams: 25 }, /num_beams is 25 with a vocabulary of 48/);
  await refuses([text], { num_beams: 0 }, /\[config\] options: num_beams is 0 where/);
});

test("weights that give NaN are named", async (device) => {
  const bart = load();
  const bias = bart.finalLogitsBias;
  const generator = new TextGenerator(device, bart);
  await generator.generate(golden.inputs.slice(0, 1));
  device.write(bias, new Float32Array(bias.size).fill(Number.NaN));
  await assert.rejects(
    generator.generate(golden.inputs.slice(0, 1)),
    /\[generate\] the model gives NaN; check its weights/,
  );
});

test("a search whose every token is forbidden ends", () => {
  const config = generationConfig({ no_repeat_ngram_size: 1, max_length: 9 });
  for (const num_beams of [1, 2]) {
    const search = startSearch({ ...config, num_beams });
    search.advance([[{ id: 2, logProbability: -1 }]], [0]);
    assert.deepEqual(search.running, []);
  }
});

test("sizes of caches", () => {
  assert.deepEqual(
    [1, 8, 9, 12, 13, 17, 25, 33, 49, 1000].map(bucket),
    [8, 8, 12, 12, 16, 24, 32, 48, 64, 1024],
  );
  assert.deepEqual(generationConfig({ early_stopping: "never" }).early_stopping, "never");
  assert.throws(
    () => generationConfig({ early_stopping: 1, num_beams: 1.5 }, "here"),
    /\[config\] here: num_beams is 1\.5 where .*; early_stopping is 1 where true, false or "never"/,
  );
});

test("fields that would count and are not computed are refused, their neutral values are not", () => {
  const neutral = { repetition_penalty: 1, num_beam_groups: 1, bad_words_ids: null, top_p: 0.9 };
  assert.deepEqual(generationConfig({ ...neutral, suppress_tokens: [] }), generationConfig({}));
  assert.throws(
    () => generationConfig({ repetition_penalty: 1.2, max_new_tokens: 9 }, "here"),
    /^ModelError: \[config\] here: max_new_tokens 9, repetition_penalty 1\.2: not computed here; take it out/,
  );
});

test.run();
