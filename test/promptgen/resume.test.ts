import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync, watch } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import { RunFolder } from "../../promptgen/checkpoint.ts";
import type { Outcome } from "../../promptgen/loop.ts";
import { Random } from "../../promptgen/random.ts";
import { loadSystem } from "../../promptgen/system.ts";
import { Examiner, trainPromptGen } from "../../promptgen/trainer.ts";
import { CHOICES, identityOf, settingsOf, sourcesOf } from "../../tools/commands/runs.ts";
import { asArguments, ROOT, tinyOptions, tinyPair } from "./tiny.ts";

const test = suite("resume");

const { home, device } = await tinyPair();
const options = tinyOptions(home);
const system = await loadSystem(sourcesOf(options));
const examiner = new Examiner(device, system, options["batch-size"]);
const start = join(home, "start");

const run = (folder: RunFolder, resume: boolean, signal?: AbortSignal): Promise<Outcome> =>
  trainPromptGen({
    device,
    system,
    examiner,
    folder,
    resume,
    signal,
    saveEvery: 1,
    settings: settingsOf(options),
    identity: identityOf(options, system),
  });

const bytes = (folder: RunFolder): Buffer => readFileSync(folder.last);

/** A new folder in which nothing has happened; its checkpoint is the untrained generator. */
function copyOf(name: string): RunFolder {
  const path = join(home, name);
  cpSync(start, path, { recursive: true });
  return new RunFolder(path);
}

/** Makes `start` and the run that nothing disturbs. */
async function reference(): Promise<{ whole: RunFolder; steps: number }> {
  const whole = new RunFolder(join(home, "whole"));
  await whole.begin({ options: { ...options }, contents: system.contents, choices: CHOICES });
  const stop = new AbortController();
  stop.abort();
  await run(whole, false, stop.signal);
  cpSync(whole.path, start, { recursive: true });
  const { steps } = await run(whole, true);
  return { whole, steps };
}

const { whole, steps } = await reference();

test("there are two buckets or more, and dropout", () => {
  assert.ok(system.layout.buckets.length >= 2);
  assert.equal(system.bart.config.dropout, 0.1);
});

test("the same seed gives the same bits twice", async () => {
  const again = copyOf("again");
  await run(again, true);
  assert.deepEqual(bytes(again), bytes(whole));
  assert.deepEqual(readFileSync(again.log, "utf8"), readFileSync(whole.log, "utf8"));
});

test("stopped after any step and gone on with, the bits are the same", async () => {
  const folder = copyOf("stops");
  for (const after of [1, 5, steps - 1]) {
    const stop = new AbortController();
    await trainPromptGen({
      device,
      system,
      examiner,
      folder,
      resume: true,
      signal: stop.signal,
      settings: settingsOf(options),
      identity: identityOf(options, system),
      onStep: ({ step }) => {
        if (step === after) stop.abort();
      },
    });
  }
  const { finished } = await run(folder, true);
  assert.equal(finished, true);
  assert.deepEqual(bytes(folder), bytes(whole));
});

/** Starts the command line on a copy of `start` and kills it at a moment that the seed decides. */
async function killed(
  index: number,
): Promise<{ folder: RunFolder; step: number; writing: boolean }> {
  const folder = copyOf(`killed${index}`);
  const random = new Random(2026, 100, index);
  const saves = 1 + random.below(steps - 1);
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
    ],
    { cwd: ROOT, stdio: "ignore" },
  );
  let seen = 0;
  const watcher = watch(folder.path, (_, name) => {
    const begins = name?.startsWith(".last") === true;
    const file = name ? join(folder.path, name) : "";
    if (!begins || !existsSync(file) || ++seen <= 2 * saves) return;
    if (whileWriting) child.kill("SIGKILL");
    else setTimeout(() => child.kill("SIGKILL"), delay);
  });
  const signal = await new Promise<string | null>((done) => {
    child.on("close", (_, by) => done(by));
  });
  watcher.close();
  assert.equal(signal, "SIGKILL", "the child ended before it was killed");
  const writing = readdirSync(folder.path).some((name) => name.endsWith(".part"));
  const { state } = await folder.loadLast();
  return { folder, step: Number(state.step), writing };
}

test("killed at 20 seeded moments and gone on with, it ends in the same bits each time", async () => {
  const stoppedAt = new Set<number>();
  let writing = 0;
  for (let i = 0; i < 20; i += 2) {
    for (const found of await Promise.all([killed(i), killed(i + 1)])) {
      const { folder, step } = found;
      stoppedAt.add(step);
      if (found.writing) writing++;
      const { finished } = await run(folder, true);
      assert.equal(finished, true);
      assert.deepEqual(bytes(folder), bytes(whole), `killed after step ${step}`);
      assert.deepEqual(readFileSync(folder.log, "utf8"), readFileSync(whole.log, "utf8"));
      assert.ok(statSync(folder.best).isDirectory());
      rmSync(folder.path, { recursive: true });
    }
  }
  assert.ok(stoppedAt.size >= 5, `killed after steps ${[...stoppedAt]}`);
  assert.ok(writing >= 1, "no kill came while a checkpoint was being written");
});

test.run();
