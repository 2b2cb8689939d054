/** `tools/pretrain.ts` on a corpus, from the command line: what it writes, kill and resume, and what it refuses. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { suite } from "uvu";
import { openDevice } from "../../engine/open.ts";
import { loadMaskedLM, loadSeq2Seq } from "../../models/registry.ts";
import { loadTokenizer } from "../../models/tokenizer/tokenizer.ts";
import { testsRunOn } from "../devices.ts";
import {
  fileOf,
  madeTexts,
  TINY_BART,
  TINY_BERT,
  world,
} from "../promptgen/pretraining/corpora.ts";
import { printedBy, ROOT, refuses, run, temporary } from "./command.ts";

const test = suite("pretrain");

const corpus = fileOf(madeTexts(400));
const configs = temporary();
const configFile = (name: string, value: unknown): string => {
  const path = join(configs, `${name}.json`);
  writeFileSync(path, typeof value === "string" ? value : JSON.stringify(value));
  return path;
};
// dropout, so that a resume must draw the same
const bert = configFile("bert", {
  ...TINY_BERT,
  num_hidden_layers: 1,
  hidden_dropout_prob: 0.1,
  max_position_embeddings: 64,
});
const bart = configFile("bart", {
  ...TINY_BART,
  encoder_layers: 1,
  decoder_layers: 1,
  dropout: 0.1,
});
const onCPU = ["--device", "cpu", "--threads", "1"];
const ofBert = [corpus, "--model", bert, "--tokenizer", world.bert, "--held-out", "0.1"];

if (testsRunOn("cpu")) {
  const given = [
    ...ofBert,
    ...["--epochs", "3", "--batch-size", "8", "--accumulate", "2", "--lr", "0.01", ...onCPU],
  ];
  const cache = join(temporary(), "cache");
  const whole = join(temporary(), "whole");

  test("a masked LM: the loss falls on what is held out, and its folders are checkpoints", async () => {
    const said = await printedBy("pretrain.ts", [...given, "--cache", cache, "--out", whole]);
    assert.match(said, /corpus: \d+ texts to train on and \d+ held out, \d+ tokens of 400 lines/);
    const log = readFileSync(join(whole, "log.jsonl"), "utf8").trim().split("\n");
    const rows = log.map((line) => JSON.parse(line));
    assert.ok(rows[rows.length - 1].validationLoss < 0.8 * rows[0].validationLoss, log.join("\n"));
    const curve = readFileSync(join(whole, "curve.csv"), "utf8").trim().split("\n");
    assert.equal(curve.length, 1 + rows.length);
    assert.match(readFileSync(join(whole, "curve.svg"), "utf8"), /held out/);
    const device = await openDevice({ device: "cpu", threads: 1 });
    for (const name of ["best", "final"]) {
      const model = await loadMaskedLM(join(whole, name));
      const tokenizer = await loadTokenizer(join(whole, name));
      assert.equal(tokenizer.size, model.vocabularySize);
    }
    device.destroy();
  });

  test("killed at any moment and resumed, it ends in the same bits", async () => {
    const out = join(temporary(), "killed");
    const args = [...given, "--cache", cache, "--out", out];
    const last = join(out, "last.safetensors");
    for (let times = 0; times < 2; times++) {
      const more = times === 0 ? [] : ["--resume"];
      const before = existsSync(last) ? readFileSync(last) : Buffer.alloc(0);
      const child = spawn(
        process.execPath,
        [join(ROOT, "tools", "pretrain.ts"), ...args, ...more],
        { cwd: ROOT, stdio: "ignore" },
      );
      const ended = new Promise((done) => child.on("exit", done));
      // gone on to another checkpoint, it is killed amid its work
      while (child.exitCode === null) {
        if (existsSync(last) && !readFileSync(last).equals(before)) break;
        await sleep(5);
      }
      child.kill("SIGKILL");
      await ended;
    }
    assert.ok(!existsSync(join(out, "final")), "it was killed too late");
    await printedBy("pretrain.ts", [...args, "--resume"]);
    for (const name of ["last.safetensors", "log.jsonl", "final/model.safetensors", "curve.csv"]) {
      assert.deepEqual(readFileSync(join(out, name)), readFileSync(join(whole, name)), name);
    }
    // the corpus is told before what is wrong
    const other = await run("pretrain.ts", [...args, "--lr", "0.02", "--resume"]);
    assert.match(other.error, /--lr is 0\.02 but the run in \S+ was started with 0\.01; resume/);
    const model = await run("pretrain.ts", [
      ...args,
      "--model",
      world.bert,
      "--length",
      "64",
      "--resume",
    ]);
    assert.match(model.error, /was started with another config\.json; resume it with the same/);
    await refuses("pretrain.ts", args, /holds a run; go on with it by --resume, or name another/);
  });

  test("a BART on objects' sentences in .jsonl", async () => {
    const rows = madeTexts(60).map((text) =>
      JSON.stringify({ masked: text.replace(/^\S+/, "[MASK]"), obj: text.split(" ")[0] }),
    );
    const file = fileOf(rows, "rows.jsonl");
    const out = join(temporary(), "bart");
    await printedBy("pretrain.ts", [
      ...[file, "--model", bart, "--tokenizer", world.bart, "--field", "masked", "--object", "obj"],
      ...["--held-out", "0", "--max-steps", "2", "--out", out, ...onCPU],
    ]);
    const model = await loadSeq2Seq(join(out, "final"));
    assert.equal(model.vocabularySize, (await loadTokenizer(join(out, "final"))).size);
    assert.ok(!existsSync(join(out, "best"))); // nothing is held out to say what is best
  });
}

test("what does not fit is refused in a sentence before anything is written", async () => {
  const out = join(temporary(), "none");
  const refused = (args: readonly string[], sentence: RegExp) =>
    refuses("pretrain.ts", [...args, "--out", out, ...onCPU], sentence);
  const small = configFile("small", { ...TINY_BERT, vocab_size: 77 });
  const gpt2 = configFile("gpt2", { ...TINY_BERT, model_type: "gpt2" });
  const tokenizer = ["--tokenizer", world.bert];
  await refused([corpus], /--model is missing; name the config.json/);
  await refused(
    [corpus, "--model", small, ...tokenizer],
    /small\.json has vocab_size 77, but the tokenizer in \S+ has \d+ ids; write \d+ into it/,
  );
  await refused([corpus, "--model", gpt2, ...tokenizer], /model_type "gpt2"; corpora train bert/);
  await refused(
    [corpus, "--model", configFile("broken", "{"), ...tokenizer],
    /broken\.json is not JSON/,
  );
  await refused([...ofBert, "--length", "100"], /--length is 100, .* reads 64 tokens/);
  await refused([...ofBert, "--object-rate", "0.5"], /add --spans or --object/);
  await refused([...ofBert, "--spans", "a", "--object", "b"], /choose one/);
  await refused([...ofBert, "--only", "bert"], /--only is for a world, and files are named/);
  await refused(["--mask-rate", "0.2"], /--mask-rate is for a corpus, and no file is named/);
  await refused([...ofBert, "--mask-rate", "2"], /--mask-rate is 2;/);
  await refused(
    [corpus, "--model", bart, "--tokenizer", world.bart, "--spans", "s", "--object-rate", "1"],
    /--object-rate is for masked LMs/,
  );
  await refused([join(configs, "no.txt"), ...ofBert.slice(1)], /no\.txt does not exist/);
  assert.ok(!existsSync(out), existsSync(out) ? readdirSync(out).join() : "");
});

test.run();
