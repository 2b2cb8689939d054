import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import { openDevices } from "../devices.ts";
import { asArguments, tinyOptions, tinyPair } from "../promptgen/tiny.ts";
import { printedBy, refuses, run, temporary, withHub } from "./command.ts";

const test = suite("train by names");

test("models by name: downloaded, trained, named in run.json, evaluated from the cache", async () => {
  const [device] = await openDevices();
  const home = await tinyPair(device);
  const models = {
    "tiny/bart": { folder: join(home, "bart") },
    "tiny/bert": { folder: join(home, "bert") },
  };
  await withHub(models, async ({ hub, env }) => {
    const out = join(temporary(), "run");
    const named = { ...tinyOptions(home), generator: "tiny/bart", reader: "tiny/bert" };
    const cpu = ["--device", "cpu"];
    const trained = await run("train.ts", [...asArguments(named), ...cpu, "--out", out], { env });
    assert.equal(trained.code, 0, trained.error);
    assert.match(trained.error, /^tiny\/bert \d+\/\d+ MB .*\n(.*\n)*tiny\/bart \d+\/\d+ MB /);
    const { options } = JSON.parse(readFileSync(join(out, "run.json"), "utf8"));
    assert.deepEqual([options.generator, options.reader], ["tiny/bart", "tiny/bert"]);
    const asked = hub.seen.length;
    const offline = { ...env, HF_HUB_OFFLINE: "1" };
    assert.match(await printedBy("evaluate.ts", [out, ...cpu], { env: offline }), /Table 1/);
    assert.equal(hub.seen.length, asked);
    const empty = { ...offline, HF_HUB_CACHE: temporary() };
    const missing = /\[hub\] tiny\/bert .* HF_HUB_OFFLINE is set/;
    await refuses("evaluate.ts", [out, ...cpu], missing, empty);
    const other = ["--resume", out, "--generator", join(home, "bart")];
    const differs = /--generator is .* but the run in .* with "tiny\/bart"/;
    await refuses("train.ts", other, differs, offline);
  });
});

test("what is neither a folder nor a name", async () => {
  const sentence = /is a\/b\/c, which does not exist; name a folder, or a model as owner\/name/;
  await refuses("train.ts", ["--reader", "a/b/c"], sentence);
  await refuses("train.ts", ["--mlm", "a/b/c"], sentence);
  await refuses("train.ts", ["--generator", "none"], /--generator is none, which does not exist/);
});

test.run();
