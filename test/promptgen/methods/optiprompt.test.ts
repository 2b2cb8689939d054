/** OptiPrompt behind the seam: what it asks, and how the runner trains, joins and resumes a method with a prompt a relation. */
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { read } from "../../../engine/compile.ts";
import type { Device } from "../../../engine/device.ts";
import { concat, reshape, slice } from "../../../engine/ops/shape.ts";
import { tensor } from "../../../engine/tensor.ts";
import { type Item, itemsOf } from "../../../promptgen/benchmark.ts";
import { Examiner } from "../../../promptgen/measure.ts";
import { OptiPromptPrompter } from "../../../promptgen/methods/optiprompt.ts";
import {
  beginRun,
  bestPrompter,
  examinerOf,
  type Prepared,
  prepare,
  runOptions,
  trainRun,
} from "../../../promptgen/run.ts";
import type { Outcome } from "../../../promptgen/training/loop.ts";
import { RunFolder } from "../../../promptgen/training/run-folder.ts";
import { onDevices } from "../../devices.ts";
import { closeForward } from "../../models/parity.ts";

const test = await onDevices("optiprompt");
const home = mkdtempSync(join(tmpdir(), "promptgen-"));
process.on("exit", () => rmSync(home, { recursive: true, force: true }));

const options = runOptions(
  { method: "optiprompt", relations: "P1303,P36", epochs: 2, vectors: 3, lr: 1e-2, seed: 3 },
  true,
);
const load = (given = options): Promise<Prepared> => prepare(given);

function prompterOf({ prompter }: Prepared): OptiPromptPrompter {
  assert.instance(prompter, OptiPromptPrompter);
  return prompter as OptiPromptPrompter;
}

let runs = 0;
async function trained(
  device: Device,
  run: Prepared,
  more: { folder?: RunFolder; resume?: boolean; after?: number } = {},
): Promise<{ folder: RunFolder; outcome: Outcome }> {
  const folder = more.folder ?? new RunFolder(join(home, `run ${runs++}`));
  const { identity } = more.resume ? { identity: "" } : await beginRun(folder, run);
  const stop = new AbortController();
  let steps = 0;
  const outcome = await trainRun(run, {
    device,
    folder,
    resume: more.resume,
    identity: more.resume ? JSON.parse(readFileSync(folder.file("identity"), "utf8")) : identity,
    saveEvery: 2,
    signal: stop.signal,
    onStep() {
      if (++steps === more.after) stop.abort();
    },
  });
  if (!more.resume) await folder.writeJson("identity", identity);
  return { folder, outcome };
}

const vectorsOf = (folder: RunFolder, relation: string): Buffer =>
  readFileSync(folder.file(`${relation}/best/vectors.safetensors`));

test("a padded batch asks as each question alone, written out", async (device) => {
  const run = await load();
  const prompter = prompterOf(run);
  const { reader, tokenizer } = run.benchmark;
  const [count, width] = prompter.vectors.shape;
  const [relation] = run.benchmark.relations;
  await prompter.start(device, 3, relation);
  const items = itemsOf([relation], "test").slice(0, 3);
  const asked = items.map((item: Item) => ({ ...item, subjects: [item.fact.subject, "None"] }));
  const most = Math.max(...asked.map((one) => prompter.width(one))) + 2;
  const { logits } = prompter.predict(prompter.collate(asked, most, 4));
  const [got] = await read(device, [logits]);
  const size = got.length / 8;
  for (const [b, { subjects }] of asked.entries()) {
    for (const [s, subject] of subjects.entries()) {
      const word = (ids: number[]) =>
        reader.lm.embed(tensor(Uint32Array.from(ids), [1, ids.length]));
      const head = word([tokenizer.cls, ...tokenizer.encode(subject)]);
      const end = word([tokenizer.mask, tokenizer.id("."), tokenizer.sep]);
      const embeds = concat([head, reshape(prompter.vectors, [1, count, width]), end], 1);
      const hidden = reader.lm.encode({ embeds });
      const place = head.shape[1] + count;
      const [want] = await read(device, [reader.lm.logits(slice(hidden, 1, place, place + 1))]);
      const row = got.subarray((s * 4 + b) * size, (s * 4 + b + 1) * size);
      closeForward([{ name: `${subject} ${b}`, got: row, want }]);
    }
  }
});

test("one relation after the other, each in a folder, as if it were alone", async (device) => {
  const both = await trained(device, await load());
  assert.is(both.outcome.finished, true);
  assert.ok(both.outcome.steps > 4);
  for (const relations of ["P1303", "P36"]) {
    const alone = await trained(device, await load({ ...options, relations }));
    assert.equal(vectorsOf(alone.folder, relations), vectorsOf(both.folder, relations), relations);
  }
  assert.not.equal(vectorsOf(both.folder, "P1303"), vectorsOf(both.folder, "P36"));
});

test("stopped in either relation and gone on with, the vectors are the same", async (device) => {
  const run = await load();
  const whole = await trained(device, run);
  for (const after of [1, whole.outcome.steps - 1]) {
    const cut = await trained(device, run, { after });
    assert.is(cut.outcome.finished, false);
    const { folder } = cut;
    const { outcome } = await trained(device, run, { folder, resume: true });
    assert.equal(outcome, whole.outcome);
    for (const id of ["P1303", "P36"]) {
      assert.equal(vectorsOf(folder, id), vectorsOf(whole.folder, id), `${id} after ${after}`);
      const log = (of: RunFolder) => readFileSync(of.file(`${id}/log.jsonl`), "utf8");
      assert.is(log(folder), log(whole.folder));
    }
  }
});

test("joined prompters answer as each does for its relation", async (device) => {
  const run = await load();
  const { folder } = await trained(device, run);
  const { benchmark, buckets } = run;
  const items = itemsOf(benchmark.relations, "test");
  const joined = await bestPrompter(run, device, folder);
  const together = await new Examiner(device, benchmark, joined, { buckets }).ask(items);
  const one = examinerOf(device, run);
  for (const relation of benchmark.relations) {
    await run.prompter.restore(device, folder.file(`${relation.id}/best`));
    const own = items.filter((item) => item.relation === relation);
    const mine = together?.filter(({ item }) => item.relation === relation);
    assert.equal(
      (await one.ask(own))?.map(({ answers }) => answers.map(({ id }) => id)),
      mine?.map(({ answers }) => answers.map(({ id }) => id)),
    );
  }
});

test("vectors of another number, and a folder without any, are refused", async (device) => {
  const { folder } = await trained(device, await load());
  const five = await load({ ...options, own: { ...options.own, vectors: 5 } });
  const said = (of: Promise<void>): Promise<string> =>
    of.then(
      () => "",
      (e) => e.message,
    );
  const best = folder.file("P36/best");
  assert.match(
    await said(five.prompter.restore(device, best)),
    /does not hold vectors \[5,128\]; use the/,
  );
  const empty = join(home, "empty");
  cpSync(folder.file("P36"), empty, { recursive: true });
  rmSync(join(empty, "best"), { recursive: true });
  assert.match(
    await said(five.prompter.restore(device, join(empty, "best"))),
    /cannot be read; name/,
  );
});

test.run();
