/** The high-level calls, held to transformers: tools/reference_calls.py. What the commands print holds fillMask and infill as well. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { hostData, type Tensor } from "../../../engine/tensor.ts";
import { CausalDecoder, Seq2SeqDecoder } from "../../../models/calls/decoders.ts";
import { encodeBatch, type TextOrPair } from "../../../models/calls/encode.ts";
import { fillMask } from "../../../models/calls/fill-mask.ts";
import { generateText, streamText } from "../../../models/calls/generate-text.ts";
import { infill } from "../../../models/calls/infill.ts";
import { chosen, probabilities, type SamplingOptions } from "../../../models/calls/sampling.ts";
import { loadCausalLM, loadMaskedLM, loadSeq2Seq } from "../../../models/registry.ts";
import { createTokenizer, loadTokenizer } from "../../../models/tokenizer/tokenizer.ts";
import { embeddedWorld } from "../../../promptgen/world/world.ts";
import { onDevices } from "../../devices.ts";
import { goldenFolder, goldenText } from "../parity.ts";

const test = await onDevices("calls");

type Encoded = {
  readonly texts: TextOrPair[];
  readonly maxLength: number | null;
  readonly ids: number[][];
  readonly mask: number[][];
  readonly types: number[][];
};
type Drawn = {
  readonly temperature: number;
  readonly topK: number | null;
  readonly topP: number | null;
  readonly probabilities: number[];
};
const golden: {
  readonly encode: Record<string, { readonly post_processor: unknown; readonly cases: Encoded[] }>;
  readonly sampling: { readonly logits: number[]; readonly cases: Drawn[] };
  readonly gpt2: { readonly prompts: number[][]; readonly written: number[][] };
} = JSON.parse(goldenText("calls.json"));

const world = embeddedWorld();
const bertText = readFileSync(join(world.bert, "tokenizer.json"), "utf8");
const gridOf = (t: Tensor) => {
  const [rows, width] = t.shape;
  const values = [...hostData(t)];
  return Array.from({ length: rows }, (_, i) => values.slice(i * width, (i + 1) * width));
};

for (const [name, { post_processor, cases }] of Object.entries(golden.encode)) {
  test(`encodeBatch: the ids, masks and segments of transformers, post-processor ${name}`, () => {
    const json = JSON.stringify({ ...JSON.parse(bertText), post_processor });
    const tokenizer = createTokenizer({ "tokenizer.json": json });
    for (const { texts, maxLength, ids, mask, types } of cases) {
      const got = encodeBatch(tokenizer, texts, maxLength === null ? {} : { maxLength });
      const what = `${JSON.stringify(texts[0])} in ${maxLength}`;
      assert.equal(gridOf(got.ids), ids, what);
      assert.equal(gridOf(got.mask), mask, what);
      assert.equal(gridOf(got.types), types, what);
    }
  });
}

test("encodeBatch pads to a width, and refuses what does not fit", async () => {
  const tokenizer = await loadTokenizer(world.bert);
  const { ids } = encodeBatch(tokenizer, ["Rome"], { padTo: 9 });
  assert.equal(ids.shape, [1, 9]);
  const refused = (texts: string[], options: object, message: RegExp) =>
    assert.throws(() => encodeBatch(tokenizer, texts, options), message);
  refused([], {}, /there are no texts/);
  refused(["Rome is in Italy ."], { padTo: 4 }, /text 0 has \d+ tokens, more than the 4 of padTo/);
  refused(
    ["Rome"],
    { maxLength: 1 },
    /maxLength is 1, less than the special tokens alone take; allow 2/,
  );
});

test("probabilities are those of transformers' temperature, top-k and top-p", () => {
  const { logits, cases } = golden.sampling;
  for (const { temperature, topK, topP, probabilities: want } of cases) {
    const got = probabilities(logits, {
      temperature,
      topK: topK ?? undefined,
      topP: topP ?? undefined,
    });
    want.forEach((value, i) => {
      assert.ok(
        Math.abs(got[i] - value) < 1e-12,
        `${temperature} ${topK} ${topP}: ${got[i]}, ${value}`,
      );
    });
  }
});

test("tokens are drawn as often as they are probable, by the seed", () => {
  const { logits } = golden.sampling;
  const options: SamplingOptions = { temperature: 1, topK: 5, seed: 9 };
  const want = probabilities(logits, options);
  const times = new Array<number>(logits.length).fill(0);
  const draws = 4000;
  for (let i = 0; i < draws; i++) times[chosen(logits, options, i % 7, Math.floor(i / 7))]++;
  times.forEach((count, id) => {
    const spread = Math.sqrt((want[id] * (1 - want[id])) / draws);
    assert.ok(Math.abs(count / draws - want[id]) <= 4.5 * spread, `${id}: ${count}`);
  });
  const some = (seed: number) =>
    Array.from({ length: 20 }, (_, t) => chosen(logits, { ...options, seed }, 0, t));
  assert.equal(some(1), some(1));
  assert.not.equal(some(1), some(2));
});

test("GPT-2 goes on with texts of different lengths as transformers does, token by token", async (device) => {
  const model = await loadCausalLM(goldenFolder("gpt2"));
  const { prompts, written } = golden.gpt2;
  const greedy = async (decoder: CausalDecoder, own: readonly number[][]) => {
    let rows = await decoder.begin(own, 12);
    const texts = own.map((): number[] => []);
    for (let t = 0; t < 12; t++) {
      const next = rows.map((logits, i) => chosen(logits, {}, i, t));
      for (const [i, id] of next.entries()) texts[i].push(id);
      if (t < 11) rows = await decoder.next(next, t);
    }
    return texts;
  };
  const decoder = new CausalDecoder(device, model);
  assert.equal(await greedy(decoder, prompts), written);
  for (const [i, prompt] of prompts.entries()) {
    assert.equal(await greedy(decoder, [prompt]), [written[i]]); // alone, in the same decoder
  }
});

/** A GPT-2 whose tokens are words, as many as the golden's vocabulary has. */
async function wordedGPT2() {
  const model = await loadCausalLM(goldenFolder("gpt2"));
  const vocab = Object.fromEntries(
    Array.from({ length: 61 }, (_, i) => [i === 60 ? "<|endoftext|>" : `w${i}`, i]),
  );
  const tokenizer = createTokenizer({
    "tokenizer.json": JSON.stringify({
      added_tokens: [
        {
          id: 60,
          content: "<|endoftext|>",
          special: true,
          normalized: false,
          single_word: false,
          lstrip: false,
          rstrip: false,
        },
      ],
      normalizer: null,
      pre_tokenizer: { type: "WhitespaceSplit" },
      post_processor: null,
      decoder: null,
      model: { type: "WordLevel", vocab, unk_token: "<|endoftext|>" },
    }),
  });
  return { model, tokenizer };
}

const textOf = (ids: readonly number[]) => ids.map((id) => `w${id}`).join(" ");

test("generateText and streamText give one text, whole and in pieces; drawn ones by the seed", async (device) => {
  const { model, tokenizer } = await wordedGPT2();
  const { prompts, written } = golden.gpt2;
  const texts = prompts.slice(0, 3).map(textOf);
  const got = await generateText(model, tokenizer, texts, { device, maxNewTokens: 12 });
  const words = (text: string) => text.match(/w\d+/g)?.map((word) => Number(word.slice(1)));
  assert.equal(got.map(words), written.slice(0, 3));
  const streamed = async (options: SamplingOptions, text: string) => {
    const pieces: string[] = [];
    for await (const piece of streamText(model, tokenizer, text, {
      device,
      maxNewTokens: 8,
      ...options,
    }))
      pieces.push(piece);
    return pieces;
  };
  const pieces = await streamed({}, texts[1]);
  assert.is(pieces.length, 8);
  const [whole] = await generateText(model, tokenizer, [texts[1]], { device, maxNewTokens: 8 });
  assert.is(pieces.join(""), whole);
  const drawn = (seed: number) => streamed({ temperature: 1.5, topK: 30, seed }, texts[0]);
  const [one, same, other] = [await drawn(1), await drawn(1), await drawn(2)];
  assert.equal(one, same);
  assert.not.equal(one, other);
  const options = { device, maxNewTokens: 8, temperature: 1.5, topK: 30, seed: 1 };
  assert.is((await generateText(model, tokenizer, [texts[0]], options))[0], one.join(""));
  // two at once do not disturb each other, and one that is left takes nothing with it
  const both = await Promise.all([drawn(1), drawn(2)]);
  assert.equal(both, [one, other]);
  for await (const _ of streamText(model, tokenizer, texts[0], { device })) break;
  assert.equal(await drawn(1), one);
});

test("an encoder-decoder writes the same token by token as TextGenerator does, and streams it", async (device) => {
  const model = await loadSeq2Seq(world.bart);
  const tokenizer = await loadTokenizer(world.bart);
  const texts = ["Paris is the <mask> of France .", "Rome is in <mask> ."];
  const whole = await infill(model, tokenizer, texts, { device, maxLength: 13, beams: 1 });
  const got = await generateText(model, tokenizer, texts, { device, maxNewTokens: 12 });
  assert.equal(
    got.map((text) => text.trim()),
    whole.map(({ filled }) => filled),
  );
  const pieces: string[] = [];
  for await (const piece of streamText(model, tokenizer, texts[0], { device, maxNewTokens: 12 }))
    pieces.push(piece);
  assert.ok(pieces.length > 2);
  assert.is(pieces.join(""), got[0]);
  const beams = await generateText(model, tokenizer, texts, { device, maxNewTokens: 12, beams: 3 });
  const wanted = await infill(model, tokenizer, texts, { device, maxLength: 13, beams: 3 });
  assert.equal(
    beams,
    wanted.map(({ filled }) => filled),
  );
  assert.ok(new Seq2SeqDecoder(device, model));
});

test("what cannot be written is refused in a sentence", async (device) => {
  const { model, tokenizer } = await wordedGPT2();
  const refused = async (options: object, message: RegExp, text = "w4 w9") => {
    const error = await generateText(model, tokenizer, [text], { device, ...options }).then(
      () => assert.unreachable(`not refused: ${message}`),
      (cause) => cause,
    );
    assert.match(String(error), message);
  };
  await refused({ temperature: 0 }, /temperature is 0/);
  await refused({ topK: 0 }, /topK is 0/);
  await refused({ topP: 1.5 }, /topP is 1\.5/);
  await refused({ maxNewTokens: 0 }, /maxNewTokens is 0/);
  await refused(
    { maxNewTokens: 40 },
    /2 tokens and 40 are to follow, more than the model's 32 positions/,
  );
  await refused({ beams: 2 }, /beams is 2, which goes with an encoder-decoder alone/);
  const bert = await loadMaskedLM(world.bert);
  const own = await loadTokenizer(world.bert);
  const fill = (text: string, topK: number) =>
    fillMask(bert, own, [text], { device, topK }).then(String, String);
  assert.match(await fill("Rome", 5), /"Rome" has no \[MASK\]/);
  assert.match(await fill("[MASK]", 0), /topK is 0, where the model has \d+ tokens/);
  assert.match(await fill("Rome ".repeat(200), 5), /has no \[MASK\]|the model reads/);
  const [{ masks }] = await fillMask(bert, own, ["Paris is the capital of [MASK] ."], { device });
  assert.is(masks[0].length, 5);
  assert.is(masks[0][0].token, "France");
});

test.run();
