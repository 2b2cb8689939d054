/** Every method that asks the masked LM alone, with one whose table of words is narrower than its layers: an ELECTRA. */
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { ElectraForMaskedLM } from "../../../models/electra.ts";
import { saveCheckpoint } from "../../../models/save.ts";
import { RunFolder } from "../../../models/training/run-folder.ts";
import { itemsOf } from "../../../promptgen/benchmark.ts";
import type { Options } from "../../../promptgen/methods/options.ts";
import { examinerOf, prepare, runOptions, trainRun } from "../../../promptgen/run.ts";
import { beginRun } from "../../../promptgen/run-file.ts";
import { onDevices, openDevices } from "../../devices.ts";
import { goldenFolder } from "../../models/parity.ts";

const test = await onDevices("methods and a narrow table of words");
const home = mkdtempSync(join(tmpdir(), "promptgen-"));
process.on("exit", () => rmSync(home, { recursive: true, force: true }));

const METHODS: Readonly<Record<string, Options>> = {
  template: {},
  idpg: { vectors: 2, bottleneck: 4, epochs: 1 },
  "instance-prompt": { vectors: 2, head: 4, epochs: 1 },
  optiprompt: { vectors: 2, epochs: 1 },
  autoprompt: { triggers: 2, "num-candidates": 3, iterations: 2 },
  "fine-tune": { epochs: 1 },
};

const [first] = await openDevices();
const bert = goldenFolder("vectors/bert");
const reader = join(home, "electra");
const { vocab_size } = JSON.parse(readFileSync(join(bert, "config.json"), "utf8"));
const config = {
  model_type: "electra",
  vocab_size,
  embedding_size: 12,
  hidden_size: 16,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  intermediate_size: 24,
  max_position_embeddings: 40,
  initializer_range: 0.3,
};
await saveCheckpoint(reader, first, ElectraForMaskedLM.random(config, 5));
for (const name of ["tokenizer_config.json", "vocab.txt"]) {
  cpSync(join(bert, name), join(reader, name));
}

for (const [method, options] of Object.entries(METHODS)) {
  test(`${method} trains and answers`, async (device) => {
    const data = goldenFolder("vectors/data");
    const run = await prepare(runOptions({ method, reader, data, seed: 3, ...options }));
    const folder = new RunFolder(
      join(home, `${method} ${device.description}`.replace(/\W+/g, "-")),
    );
    const { identity } = await beginRun(folder, run);
    const signal = new AbortController().signal;
    await trainRun(run, { device, folder, resume: false, identity, saveEvery: 0, signal });
    const dev = itemsOf(run.benchmark.relations, "dev");
    const measured = await examinerOf(device, run).measure(dev);
    assert.is(measured?.answered.length, dev.length);
  });
}

test.run();
