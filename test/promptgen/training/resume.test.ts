import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync, watch } from "node:fs";
import { join } from "node:path";
import type { Device } from "../../../engine/device.ts";
import type { Outcome } from "../../../models/training/loop.ts";
import { Random } from "../../../models/training/random.ts";
import { RunFolder } from "../../../models/training/run-folder.ts";
import type { Examiner } from "../../../promptgen/measure.ts";
import { examinerOf, trainRun } from "../../../promptgen/run.ts";
import { beginRun } from "../../../promptgen/run-file.ts";
import { readSteps } from "../../../promptgen/training/steps.ts";
import { allDevices, deviceArguments, onDevices, type TestDevice } from "../../devices.ts";
import { asArguments, preparePromptGen, ROOT, tinyOptions, tinyPair } from "../tiny.ts";

const test = await onDevices("resume");

const [{ name: first, device: maker }] = await allDevices();
const home = await tinyPair(maker);
const options = tinyOptions(home);

type Run = Awaited<ReturnType<typeof preparePromptGen>>;

/** What the tests of one device begin with. */
class Bench {
  /** A run that nothing disturbs. */
  readonly whole: RunFolder;
  /** Steps of a whole run. */
  steps = 0;
  readonly name: TestDevice;
  readonly prepared: Run;
  #identity = "";
  #device: Device;
  #examiner: Examiner;
  /** The checkpoint before the first step. */
  #start: string;

  constructor(device: Device, name: TestDevice, prepared: Run) {
    this.name = name;
    this.prepared = prepared;
    this.#device = device;
    this.#examiner = examinerOf(device, prepared);
    this.#start = join(home, `${name} start`);
    this.whole = new RunFolder(join(home, `${name} whole`));
  }

  static async make(device: Device, name: TestDevice): Promise<Bench> {
    const bench = new Bench(device, name, await preparePromptGen(options));
    const { whole, prepared } = bench;
    bench.#identity = (await beginRun(whole, prepared)).identity;
    const stop = new AbortController();
    stop.abort();
    await bench.run(whole, { resume: false, signal: stop.signal });
    cpSync(whole.path, bench.#start, { recursive: true });
    bench.steps = (await bench.run(whole)).steps;
    return bench;
  }

  run(
    folder: RunFolder,
    more: { resume?: boolean; signal?: AbortSignal; onStep?: (s: { step: number }) => void } = {},
  ): Promise<Outcome> {
    return trainRun(this.prepared, {
      device: this.#device,
      examiner: this.#examiner,
      folder,
      resume: true,
      saveEvery: 1,
      identity: this.#identity,
      ...more,
    });
  }

  /** A new folder in which nothing has happened; its checkpoint is the untrained generator. */
  copy(what: string): RunFolder {
    const path = join(home, `${this.name} ${what}`);
    cpSync(this.#start, path, { recursive: true });
    return new RunFolder(path);
  }
}

const benches = new Map<string, Promise<Bench>>();
const benchOf = (device: Device, name: TestDevice): Promise<Bench> => {
  const made = benches.get(name) ?? Bench.make(device, name);
  benches.set(name, made);
  return made;
};

const bytes = (folder: RunFolder): Buffer => readFileSync(folder.last);

/** assert.deepEqual would take gigabytes to say where checkpoints differ. */
const sameBits = (a: RunFolder, b: RunFolder, when?: string): void =>
  assert.ok(bytes(a).equals(bytes(b)), `the checkpoints differ${when ? `, ${when}` : ""}`);

/** The records of all steps, without their times. */
function records(folder: RunFolder): number[][] {
  const { columns, steps, values } = readSteps(folder.path) ?? assert.fail("there is no record");
  const timeless = columns.flatMap((name, i) => (name === "factsPerSecond" ? [] : [i]));
  return Array.from({ length: steps }, (_, s) =>
    timeless.map((i) => values[s * columns.length + i]),
  );
}

test("every step has its record, as the log has the means", async (device, name) => {
  const bench = await benchOf(device, name);
  const own = records(bench.whole);
  assert.equal(own.length, bench.steps);
  assert.ok(own.flat().every(Number.isFinite));
  const rows = await bench.whole.readLog();
  const names = ["object", "none", "topProbability", "entropy"];
  let compared = 0;
  for (const [i, row] of rows.entries()) {
    const part = own.slice(rows[i - 1]?.step ?? 0, row.step);
    names.forEach((key, c) => {
      if (part.length === 0) return;
      assert.equal(row[key], part.reduce((sum, record) => sum + record[c], 0) / part.length);
      compared++;
    });
    if (part.length === 0) continue;
    assert.equal(row.largestGradientNorm, Math.max(...part.map((record) => record[5])));
  }
  assert.ok(compared >= 12);
  // the rate: up in a tenth of the steps, then down to its last share
  const rise = Math.round(bench.steps / 10);
  own.forEach((record, i) => {
    const share = i < rise ? (i + 1) / rise : (bench.steps - i) / (bench.steps - rise);
    assert.ok(Math.abs(record[4] - 3e-3 * share) < 1e-9, `step ${i + 1}`);
  });
});

test("there are two buckets or more, and dropout", async (device, name) => {
  const { buckets, prompter } = (await benchOf(device, name)).prepared;
  assert.ok(buckets.length >= 2);
  assert.equal(prompter.generator.lm.json.dropout, 0.1);
});

test("the same seed gives the same bits twice", async (device, name) => {
  const bench = await benchOf(device, name);
  const again = bench.copy("again");
  await bench.run(again);
  sameBits(again, bench.whole);
  assert.deepEqual(readFileSync(again.log, "utf8"), readFileSync(bench.whole.log, "utf8"));
});

test("stopped after any step and gone on with, the bits are the same", async (device, name) => {
  const bench = await benchOf(device, name);
  const folder = bench.copy("stops");
  for (const after of [1, 5, bench.steps - 1]) {
    const stop = new AbortController();
    await bench.run(folder, {
      signal: stop.signal,
      onStep: ({ step }) => {
        if (step === after) stop.abort();
      },
    });
  }
  const { finished } = await bench.run(folder);
  assert.equal(finished, true);
  sameBits(folder, bench.whole);
  assert.deepEqual(records(folder), records(bench.whole));
});

/**
 * Starts the command line on a copy of `start` and kills it at a moment that the seed decides. A step on the CPU takes
 * milliseconds: where the end came first it is tried again with an earlier moment.
 */
async function killed(
  bench: Bench,
  index: number,
  attempt = 0,
): Promise<{ folder: RunFolder; step: number; writing: boolean }> {
  const folder = bench.copy(`killed ${index} ${attempt}`);
  const random = new Random(2026, 100 + attempt, index);
  const saves = 1 + random.below(Math.max(1, (bench.steps - 1) >> attempt));
  const whileWriting = index % 2 === 0;
  const delay = random.below(30); // ms behind a save
  const child = spawn(
    process.execPath,
    [
      join(ROOT, "tools/train.ts"),
      "--resume",
      folder.path,
      "--save-every",
      "1",
      ...asArguments(options),
      ...deviceArguments(bench.name),
    ],
    { cwd: ROOT, stdio: "ignore" },
  );
  const seen = new Set<string>(); // a save has a file name of its own
  const watcher = watch(folder.path, (_, name) => {
    if (!name?.startsWith(".last")) return;
    seen.add(name);
    if (seen.size <= saves || !existsSync(join(folder.path, name))) return;
    if (whileWriting) child.kill("SIGKILL");
    else setTimeout(() => child.kill("SIGKILL"), delay);
  });
  const { code, signal } = await new Promise<{ code: number | null; signal: string | null }>(
    (done) => child.on("close", (code, signal) => done({ code, signal })),
  );
  watcher.close();
  if (code === 0 && attempt < 4) return killed(bench, index, attempt + 1);
  assert.equal(signal, "SIGKILL", "the child ended before it was killed");
  const writing = readdirSync(folder.path).some((name) => name.endsWith(".part"));
  const { state } = await folder.loadLast();
  return { folder, step: Number(state.step), writing };
}

test("killed at seeded moments and gone on with, it ends in the same bits each time", async (device, name) => {
  const bench = await benchOf(device, name);
  const [kills, different] = name === first ? [20, 5] : [6, 3];
  const stoppedAt = new Set<number>();
  let writing = 0;
  for (let i = 0; i < kills; i += 2) {
    for (const found of await Promise.all([killed(bench, i), killed(bench, i + 1)])) {
      const { folder, step } = found;
      stoppedAt.add(step);
      if (found.writing) writing++;
      const { finished } = await bench.run(folder);
      assert.equal(finished, true);
      sameBits(folder, bench.whole, `killed after step ${step}`);
      assert.deepEqual(readFileSync(folder.log, "utf8"), readFileSync(bench.whole.log, "utf8"));
      assert.deepEqual(records(folder), records(bench.whole));
      assert.ok(statSync(folder.best).isDirectory());
      rmSync(folder.path, { recursive: true });
    }
  }
  assert.ok(stoppedAt.size >= different, `killed after steps ${[...stoppedAt]}`);
  assert.ok(writing >= 1, "no kill came while a checkpoint was being written");
});

test.run();
