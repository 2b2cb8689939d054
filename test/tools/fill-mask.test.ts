import assert from "node:assert/strict";
import { cpSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import { read } from "../../engine/compile.ts";
import { topK } from "../../engine/ops/argmax.ts";
import { softmax } from "../../engine/ops/softmax.ts";
import { tensor } from "../../engine/tensor.ts";
import { RobertaForMaskedLM } from "../../models/roberta.ts";
import { saveCheckpoint } from "../../models/save.ts";
import { loadTokenizer } from "../../models/tokenizer/tokenizer.ts";
import { embeddedWorld } from "../../promptgen/world/world.ts";
import { onDevices, openDevices } from "../devices.ts";
import { goldenText } from "../models/parity.ts";
import { TINY_ROBERTA } from "../promptgen/tiny.ts";
import { printedBy, refuses, run, temporary, withHub } from "./command.ts";

const test = suite("fill-mask");
const each = await onDevices("fill-mask");
const TOOL = "fill-mask.ts";

type Line = {
  readonly text: string;
  readonly masks: { token: string; id: number; probability: number }[][];
};
const golden: { text: string; masks: [string, number, number][][] }[] = JSON.parse(
  goldenText("generate/commands.json"),
).fill_mask;
const lines = (out: string): Line[] =>
  out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
const world = embeddedWorld().bert;

each(
  "the tokens and probabilities of transformers, for several texts and masks",
  async (_, name) => {
    const texts = golden.map(({ text }) => text);
    const got = lines(
      await printedBy(TOOL, ["--device", name, "--json", "--model", world, ...texts]),
    );
    assert.deepEqual(
      got.map(({ text, masks }) => [text, masks.map((mask) => mask.map(({ token }) => token))]),
      golden.map(({ text, masks }) => [text, masks.map((mask) => mask.map(([token]) => token))]),
    );
    golden.forEach(({ masks }, i) => {
      masks.forEach((mask, j) => {
        mask.forEach(([token, id, probability], k) => {
          assert.equal(got[i].masks[j][k].id, id);
          const distance = Math.abs(got[i].masks[j][k].probability - probability);
          assert.ok(distance < 1e-4, `${token}: ${got[i].masks[j][k].probability}, ${probability}`);
        });
      });
    });
  },
);

test("a table for people; lines of stdin, more than fit one batch", async () => {
  const [text] = golden.map(({ text }) => text);
  assert.equal(
    await printedBy(TOOL, ["--device", "cpu", "--top-k", "2", text]),
    `${text}\n  France  0.9569\n  Paris   0.0290\n`,
  );
  const two = await printedBy(TOOL, ["--device", "cpu", "--top-k", "1", "[MASK] is [MASK] ."]);
  assert.match(
    two,
    /^\[MASK\] is \[MASK\] \.\n {2}\[MASK\] 1\n {2}\S+ +0\.\d{4}\n {2}\[MASK\] 2\n/,
  );
  const input = `${golden.map(({ text }) => text).join("\n\n")}\n`.repeat(5);
  const ended = await run(TOOL, ["--device", "cpu", "--json", "-", text], { input });
  assert.equal(ended.code, 0, ended.error);
  const got = lines(ended.out);
  assert.equal(got.length, 21);
  assert.deepEqual(
    got.map(({ masks: [[{ token }]] }) => token),
    [...Array(5).fill(golden).flat(), golden[0]].map(({ masks: [[[token]]] }) => token),
  );
  assert.match(ended.error, /^texts 8\/21\ntexts 16\/21 [\d.]+ texts\/s\ntexts 21\/21 /);
});

test("RoBERTa by its config: <mask>, byte-level tokens, pieces in quotes", async () => {
  const home = temporary();
  const [device] = await openDevices();
  const config = { ...TINY_ROBERTA, max_position_embeddings: 40, initializer_range: 0.5 };
  const model = RobertaForMaskedLM.random(config, 3);
  await saveCheckpoint(home, device, model);
  cpSync(join(embeddedWorld().bart, "tokenizer.json"), join(home, "tokenizer.json"));
  const text = "Paris is the capital of <mask> .";
  const args = ["--device", "cpu", "--model", home];
  const [{ masks }] = lines(await printedBy(TOOL, [...args, "--json", text]));
  const tokenizer = await loadTokenizer(home);
  const ids = [tokenizer.cls, ...tokenizer.encode(text), tokenizer.sep];
  const place = ids.indexOf(tokenizer.mask);
  const hidden = model.encode({ ids: tensor(Uint32Array.from(ids), [1, ids.length]) }, {}, place);
  const top = topK(softmax(model.logits(hidden)), 5);
  const [values, indices] = await read(device, [top.values, top.indices]);
  assert.deepEqual(
    masks[0].map(({ id }) => id),
    [...indices],
  );
  masks[0].forEach(({ probability }, i) => {
    assert.ok(Math.abs(probability - values[i]) < 1e-5);
  });
  const shown = await printedBy(TOOL, [...args, "--top-k", "1943", text]);
  assert.match(shown, /\n {2}France +0\./);
  assert.match(shown, /\n {2}"<\/s>" +0\./);
  await refuses(
    TOOL,
    [...args, "A [MASK] ."],
    /"A \[MASK\] \." has no <mask>, which is this model's/,
  );
  const long = `<mask>${" a".repeat(40)}`;
  await refuses(TOOL, [...args, long], /has 43 tokens with those around it, the model reads 38;/);
});

test("a name on the Hub: downloaded with progress, then from the cache", async () => {
  await withHub({ "tiny/bert": { folder: world } }, async ({ hub, env }) => {
    const args = ["--device", "cpu", "--json", "--model", "tiny/bert", golden[0].text];
    const first = await run(TOOL, args, { env });
    assert.equal(first.code, 0, first.error);
    assert.equal(lines(first.out)[0].masks[0][0].token, "France");
    assert.match(first.error, /^tiny\/bert \d+\/\d+ MB /);
    const asked = hub.seen.length;
    const second = await run(TOOL, args, { env: { ...env, HF_HUB_OFFLINE: "1" } });
    assert.deepEqual([second.code, second.out, second.error], [0, first.out, ""]);
    assert.equal(hub.seen.length, asked);
    const none = ["--model", "tiny/none", golden[0].text];
    await refuses(TOOL, none, /\[hub\] .*tiny\/none/, env);
    await refuses(TOOL, [...args, "--revision", "v9"], /\[hub\] .*v9/, env);
  });
});

test("mistakes are answered in one sentence", async () => {
  const { text } = golden[0];
  await refuses(TOOL, [], /\[fill-mask\] there is no text; write it in quotes, or - for lines of/);
  await refuses(TOOL, ["-"], /\[fill-mask\] there is no text/);
  await refuses(TOOL, ["Paris <mask> ."], /"Paris <mask> \." has no \[MASK\], which is this/);
  await refuses(TOOL, [text, "--top-k", "0"], /--top-k is 0; give a whole number of 1 or more/);
  await refuses(TOOL, [text, "--top-k", "1353"], /--top-k is 1353, the model has 1352 tokens/);
  await refuses(
    TOOL,
    [text, "--model", "no/such/place"],
    /\[hub\] there is no directory "no\/such/,
  );
  await refuses(
    TOOL,
    [text, "--model", embeddedWorld().bart],
    /model_type is "bart", an encoder-decoder; the masked LMs/,
  );
  await refuses(TOOL, [text, "--device", "abacus"], /--device is abacus; choose among auto/);
  await refuses(TOOL, [text, "--beams", "2"], /Unknown option '--beams'.*see --help/);
});

test("--help teaches and ends with code 0", async () => {
  const help = await printedBy(TOOL, ["--help"]);
  assert.match(help, /npx promptgen fill-mask --model google-bert\/bert-base-cased "/);
  assert.match(help, /--top-k N .*default 5/);
});

test.run();
each.run();
