/** steps.bin by its documented bytes: what a step was, whatever was cut off, and however often the training was stopped. */
import {
  appendFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { StepReport } from "../../../models/training/loop.ts";
import { readSteps, STEPS_FILE, StepFile } from "../../../promptgen/training/steps.ts";

const home = mkdtempSync(join(tmpdir(), "promptgen-steps-"));
process.on("exit", () => rmSync(home, { recursive: true, force: true }));
const fresh = (): string => mkdtempSync(join(home, "run-"));

const report = (step: number, more: Partial<StepReport> = {}): StepReport => ({
  step,
  steps: 100_000,
  epoch: 0,
  items: 3 * step,
  seconds: 0.5,
  first: false,
  left: undefined,
  terms: { object: 1 / step, none: -step / 3 },
  watched: { entropy: Math.sqrt(step) },
  learningRate: 1e-4 * step,
  gradientNorm: 7 * step,
  ...more,
});

/** What the format says of `report(step)`. */
const wanted = (step: number): number[] =>
  [1 / step, -step / 3, Math.sqrt(step), 1e-4 * step, 7 * step, 6 * step].map(Math.fround);

const COLUMNS = ["object", "none", "entropy", "learningRate", "gradientNorm", "factsPerSecond"];

/** The file by hand: a line of JSON, then little-endian f32. */
function byHand(folder: string): { columns: string[]; records: number[][] } {
  const bytes = readFileSync(join(folder, STEPS_FILE));
  const end = bytes.indexOf("\n") + 1;
  assert.is(end % 64, 0);
  const { version, columns } = JSON.parse(bytes.subarray(0, end).toString());
  assert.is(version, 1);
  const width = 4 * columns.length;
  assert.is((bytes.length - end) % width, 0);
  const records = Array.from({ length: (bytes.length - end) / width }, (_, i) =>
    (columns as string[]).map((_, c) => bytes.readFloatLE(end + i * width + 4 * c)),
  );
  return { columns, records };
}

function write(folder: string, from: number, to: number, resume: boolean): void {
  const file = new StepFile(folder, resume);
  for (let step = from; step <= to; step++) file.note(report(step));
  file.close();
}

const upTo = (last: number): number[][] => Array.from({ length: last }, (_, i) => wanted(i + 1));

test("a record a step, of all its figures", () => {
  const folder = fresh();
  write(folder, 1, 5, false);
  assert.equal(byHand(folder), { columns: COLUMNS, records: upTo(5) });
  const table = readSteps(folder);
  assert.equal([table?.steps, table?.columns], [5, COLUMNS]);
  assert.equal([...(table?.values ?? [])], upTo(5).flat());
});

test("it is there as soon as it is noted, and a new training begins anew", () => {
  const folder = fresh();
  const file = new StepFile(folder, false);
  for (let step = 1; step <= 3; step++) {
    file.note(report(step));
    assert.is(readSteps(folder)?.steps, step);
  }
  file.close();
  write(folder, 1, 2, false);
  assert.equal(byHand(folder).records, upTo(2));
});

test("gone on with from any step: what is behind it is replaced, what was cut off too", () => {
  for (const from of [1, 2, 5, 8]) {
    for (const cut of [0, 1, 11, 23]) {
      const folder = fresh();
      write(folder, 1, 7, false);
      const path = join(folder, STEPS_FILE);
      truncateSync(path, statSync(path).size - (from === 8 ? 0 : cut));
      if (from === 8) appendFileSync(path, Buffer.alloc(cut, 1)); // a record that is not whole
      write(folder, from, 9, true);
      assert.equal(byHand(folder), { columns: COLUMNS, records: upTo(9) }, `${from} ${cut}`);
    }
  }
});

test("what is behind the step that is taken is gone before the next one comes", () => {
  const folder = fresh();
  write(folder, 1, 7, false);
  write(folder, 2, 3, true);
  assert.equal(byHand(folder).records, upTo(3));
});

test("of a torn file all whole records are read", () => {
  const folder = fresh();
  write(folder, 1, 4, false);
  truncateSync(join(folder, STEPS_FILE), statSync(join(folder, STEPS_FILE)).size - 1);
  assert.equal([...(readSteps(folder)?.values ?? [])], upTo(3).flat());
});

test("steps that nothing tells are NaN, and the others keep their places", () => {
  const folder = fresh();
  write(folder, 4, 5, true);
  const { records } = byHand(folder);
  assert.ok(records.slice(0, 3).flat().every(Number.isNaN));
  assert.equal(records.slice(3), [wanted(4), wanted(5)]);
});

test("a figure that comes later is a column of its own, in the same order however it was stopped", () => {
  const search = (step: number) =>
    report(step, { terms: { accuracy: step }, watched: {}, learningRate: undefined });
  const later = (stops: readonly number[]): string => {
    const folder = fresh();
    let file = new StepFile(folder, false);
    for (let step = 1; step <= 6; step++) {
      if (stops.includes(step)) {
        file.close();
        file = new StepFile(folder, true);
      }
      file.note(step <= 3 ? search(step) : report(step));
    }
    file.close();
    return folder;
  };
  const whole = byHand(later([]));
  assert.equal(whole.columns, [
    "accuracy",
    "gradientNorm",
    "factsPerSecond",
    "object",
    "none",
    "entropy",
    "learningRate",
  ]);
  assert.equal(whole.records[1].slice(0, 3), [2, 14, 12]);
  assert.ok(whole.records[1].slice(3).every(Number.isNaN));
  assert.ok(Number.isNaN(whole.records[4][0]));
  assert.equal(whole.records[4].slice(3), [1 / 5, -5 / 3, Math.sqrt(5), 5e-4].map(Math.fround));
  for (const stops of [[2], [4], [5], [1, 3, 4, 6]]) {
    assert.equal(
      readFileSync(join(later(stops), STEPS_FILE)),
      readFileSync(join(later([]), STEPS_FILE)),
    );
  }
});

test("100,000 steps take less than 3 MB", () => {
  const folder = fresh();
  write(folder, 100_000, 100_000, true);
  const { size } = statSync(join(folder, STEPS_FILE));
  assert.ok(size < 3e6 && size > 2e6, `${size}`);
  assert.is(readSteps(folder)?.steps, 100_000);
});

test("what is no such file is said in one sentence with its name", () => {
  for (const text of [
    "",
    "no JSON\n",
    `${JSON.stringify({ version: 2, columns: ["a"] })}\n`,
    `${JSON.stringify({ version: 1, columns: [] })}\n`.padStart(64),
    `${JSON.stringify({ version: 1, columns: [3] })}\n`.padStart(64),
    '{"version":1,"columns":["a"]}\n',
  ]) {
    const folder = fresh();
    writeFileSync(join(folder, STEPS_FILE), text);
    assert.throws(() => new StepFile(folder, true), /steps\.bin is no record.*; remove it/);
  }
});

test.run();
