/** Event files: byte by byte what TensorBoard's own writer makes (tools/reference_tensorboard.py), and no step twice. */
import assert from "node:assert/strict";
import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import { type LogRow, RunFolder } from "../../../models/training/run-folder.ts";
import { Curves } from "../../../promptgen/training/curves.ts";
import { eventRecord, type LoggedEvent } from "../../../promptgen/training/events.ts";

const test = suite("events");

const home = mkdtempSync(join(tmpdir(), "promptgen-events-"));
process.on("exit", () => rmSync(home, { recursive: true, force: true }));

const golden: readonly (LoggedEvent & { readonly base64: string })[] = JSON.parse(
  readFileSync(new URL("../../golden/tensorboard.json", import.meta.url), "utf8"),
);

test("records are those of TensorBoard's writer, byte by byte", () => {
  assert.ok(golden.length >= 8);
  for (const { base64, ...event } of golden) {
    const name = JSON.stringify(event).slice(0, 90);
    assert.equal(eventRecord(event).toString("base64"), base64, name);
  }
});

/** Of a file made of golden records alone: where each record begins, which is known without reading one. */
test("they stand one behind the other in a file", () => {
  const bytes = Buffer.concat(golden.map(({ base64 }) => Buffer.from(base64, "base64")));
  const ours = Buffer.concat(golden.map(({ base64: _, ...event }) => eventRecord(event)));
  assert.ok(bytes.equals(ours));
});

/** The values in a folder's files, in the order in which they are read: "step tag" for each, "START step" for a session. */
function standing(folder: string): string[] {
  const found: string[] = [];
  for (const name of readdirSync(folder).sort()) {
    if (!name.startsWith("events.out.tfevents.")) continue;
    const bytes = readFileSync(join(folder, name));
    for (let at = 0; at < bytes.length; ) {
      const size = Number(bytes.readBigUInt64LE(at));
      found.push(...wordsOf(bytes.subarray(at + 12, at + 12 + size)));
      at += 16 + size;
      assert.ok(at <= bytes.length, "a record is cut off");
    }
  }
  return found;
}

/** Steps of the tests are below 128, texts shorter: every number and length is one byte. */
function wordsOf(event: Buffer): string[] {
  let at = 9; // the time
  let step = 0;
  if (event[at] === 0x10) {
    step = event[at + 1];
    at += 2;
  }
  if (event[at] === 0x1a) return [];
  if (event[at] === 0x3a) return [`START ${step}`];
  assert.equal(event[at], 0x2a);
  const words: string[] = [];
  const start = event[at + 1] < 128 ? at + 2 : at + 3;
  for (let value = start; value < event.length; value += 2 + event[value + 1]) {
    const length = event[value + 3];
    words.push(`${step} ${event.subarray(value + 4, value + 4 + length)}`);
  }
  return words;
}

type Session = { readonly from: number; readonly to: number; readonly resume: boolean };

/** Steps with evaluations behind those that are multiples of 3, as the loop does them; `evaluated` is what a checkpoint has kept. */
async function session(folder: RunFolder, { from, to, resume }: Session, tensorboard = true) {
  const curves = await Curves.begin(folder, { resume, tensorboard });
  await folder.cutLog(resume ? from - 1 : -1);
  const evaluate = async (step: number): Promise<void> => {
    const row: LogRow = { step, epoch: 0, dev: 10 * step, none: null, best: true };
    await folder.appendLog(row);
    curves.evaluation(row);
  };
  if (from === 1 && !resume) await evaluate(0);
  for (let step = from; step <= to; step++) {
    curves.step({
      step,
      steps: 100,
      epoch: 0,
      items: 4,
      seconds: 1,
      first: false,
      left: undefined,
      terms: { loss: 1 / step },
    });
    if (step % 3 === 0) await evaluate(step);
  }
  curves.close();
}

const fresh = (): RunFolder => new RunFolder(mkdtempSync(join(home, "run-")));

const wanted = (last: number): string[] =>
  Array.from({ length: last + 1 }, (_, step) => [
    ...(step === 0 ? [] : [`${step} step/loss`, `${step} step/factsPerSecond`]),
    ...(step % 3 === 0 ? [`${step} evaluation/dev`] : []),
  ]).flat();

test("every step and every evaluation, once", async () => {
  const folder = fresh();
  await session(folder, { from: 1, to: 7, resume: false });
  assert.deepEqual(standing(folder.path), wanted(7));
});

test("gone on with: a file more, which says from where on, and no step twice", async () => {
  for (const [to, from] of [
    [7, 8], // saved behind its last step
    [7, 5], // killed
    [6, 7],
    [5, 1],
  ]) {
    const folder = fresh();
    await session(folder, { from: 1, to, resume: false });
    await session(folder, { from, to: 10, resume: true });
    const found = standing(folder.path);
    const [start] = found.filter((word) => word.startsWith("START"));
    assert.equal(start, `START ${from}`);
    const values = found.filter((word) => !word.startsWith("START"));
    assert.deepEqual([...values].sort(), wanted(10).sort(), `${to} ${from}`);
    assert.equal(readdirSync(folder.path).filter((name) => /tfevents/.test(name)).length, 2);
  }
});

test("a record that was cut off goes", async () => {
  const folder = fresh();
  await session(folder, { from: 1, to: 4, resume: false });
  const [name] = readdirSync(folder.path).filter((one) => /tfevents/.test(one));
  const path = join(folder.path, name);
  const whole = readFileSync(path);
  for (const damage of [
    () => truncateSync(path, whole.length - 3),
    () => appendFileSync(path, Buffer.alloc(9, 1)),
    () => appendFileSync(path, Buffer.alloc(40)),
  ]) {
    writeFileSync(path, whole);
    damage();
    await session(folder, { from: 5, to: 6, resume: true });
    const values = standing(folder.path).filter((word) => !word.startsWith("START"));
    assert.deepEqual([...values].sort(), wanted(6).sort());
    for (const other of readdirSync(folder.path)) {
      if (/tfevents/.test(other) && other !== name) rmSync(join(folder.path, other));
    }
  }
});

test("asked for when a run goes on, or when it is done: what was before is there too", async () => {
  const folder = fresh();
  await session(folder, { from: 1, to: 4, resume: false }, false);
  assert.deepEqual(standing(folder.path), []);
  await session(folder, { from: 4, to: 7, resume: true });
  assert.deepEqual(standing(folder.path).sort(), wanted(7).sort());
  const done = fresh();
  await session(done, { from: 1, to: 7, resume: false }, false);
  for (let i = 0; i < 2; i++) {
    (await Curves.begin(done, { resume: true, tensorboard: true })).close();
    assert.deepEqual(standing(done.path).sort(), wanted(7).sort());
  }
});

test("a run that begins anew leaves none of another", async () => {
  const folder = fresh();
  await session(folder, { from: 1, to: 9, resume: false });
  await session(folder, { from: 1, to: 2, resume: false });
  assert.deepEqual(standing(folder.path), wanted(2));
});

test.run();
