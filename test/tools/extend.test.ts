/** Going on with a run that has ended, and what a run says of what it ran on: on the command line, a relation after the other. */
import assert from "node:assert/strict";
import { cpSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import { RunFolder } from "../../models/training/run-folder.ts";
import { readResults } from "../../promptgen/report/results.ts";
import { printedBy, refuses, run, temporary } from "./command.ts";

const test = suite("extend");

const home = temporary();
const device = ["--device", "cpu", "--threads", "1"];
const first = join(home, "first");
const IDS = ["P17", "P36"];
const given = ["--method", "optiprompt", "--world", "--relations", IDS.join(","), "--vectors", "2"];

const resultsIn = (folder: string) => readResults(join(folder, "results.json"));
const copied = (what: string): string => {
  const path = join(home, what);
  cpSync(first, path, { recursive: true });
  return path;
};
const bits = (folder: string) =>
  IDS.flatMap((id) => ["last.safetensors", "log.jsonl"].map((name) => join(folder, id, name)))
    .concat(join(folder, "facts.jsonl"))
    .map((path) => readFileSync(path));

test("a run says what it ran on", async () => {
  await printedBy("train.ts", [...given, "--epochs", "2", "--out", first, ...device]);
  const { versions = [], extended, stopped } = await resultsIn(first);
  assert.equal(versions.length, 1);
  const [{ project, node, v8, platform, build, device: where, webgpu }] = versions;
  const manifest = new URL("../../package.json", import.meta.url);
  assert.equal(project, JSON.parse(readFileSync(manifest, "utf8")).version);
  assert.deepEqual([node, v8], [process.version, process.versions.v8]);
  assert.equal(platform, `${process.platform} ${process.arch}`);
  assert.match(build, /^CPU, (relaxed )?SIMD$/);
  assert.match(where, /^CPU with 1 thread /);
  assert.equal(webgpu, undefined);
  assert.deepEqual([extended, stopped], [undefined, undefined]);
  const file = JSON.parse(readFileSync(join(first, "run.json"), "utf8"));
  assert.deepEqual(file.versions, versions);
});

test("what has ended is extended: the log goes on, the results say so, those of before stay", async () => {
  const [whole, cut] = ["whole", "cut"].map(copied);
  const before = await resultsIn(first);
  const [old] = bits(first).slice(-1);
  const out = await printedBy("train.ts", ["--resume", whole, "--epochs", "4", ...device]);
  assert.match(out, /extended from 2 epochs to 4, from step \d+ on: the rate falls anew/);
  const { extended = [], options } = await resultsIn(whole);
  const steps = await Promise.all(
    IDS.map(async (id) => (await new RunFolder(join(first, id)).stand())?.step ?? 0),
  );
  assert.deepEqual(extended, [{ epochs: 2, step: steps[0] + steps[1] }]);
  assert.equal(options.epochs, 4);
  assert.deepEqual(await readResults(join(whole, "results.epochs-2.json")), before);
  assert.deepEqual(readFileSync(join(whole, "facts.epochs-2.jsonl")), old);
  for (const [i, id] of IDS.entries()) {
    const [short, long] = await Promise.all(
      [first, whole].map((folder) => new RunFolder(join(folder, id)).readLog()),
    );
    assert.deepEqual(long.slice(0, short.length), short);
    assert.equal(long.at(-1)?.step, 2 * steps[i]);
  }

  // killed as soon as it has begun with the second relation, and gone on with without a word about epochs
  const { spawn } = await import("node:child_process");
  const tool = new URL("../../tools/train.ts", import.meta.url).pathname;
  const more = [tool, "--resume", cut, "--epochs", "4", "--save-every", "1", ...device];
  const child = spawn(process.execPath, more, { stdio: ["ignore", "ignore", "pipe"] });
  const ended = new Promise((done) => child.on("close", (_, signal) => done(signal)));
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    if (/P36/.test(text)) child.kill("SIGKILL");
  });
  assert.equal(await ended, "SIGKILL", "it was not killed");
  assert.ok(!existsSync(join(cut, "results.json")), "what is there is no result of four epochs");
  await refuses(
    "train.ts",
    ["--resume", cut, "--epochs", "5", ...device],
    /--epochs is 5 but the run in .*cut was started with 4 and has not ended; resume it without --epochs/,
  );
  await printedBy("train.ts", ["--resume", cut, ...device]);
  assert.deepEqual(bits(cut), bits(whole));
  const { seconds: _, memory: __, ...rest } = await resultsIn(cut);
  const { seconds: ___, memory: ____, ...wanted } = await resultsIn(whole);
  assert.deepEqual(rest, wanted);
});

test("no fewer epochs, nothing else, and nothing that has no more to do", async () => {
  const same = copied("same");
  const untouched = bits(same);
  for (const epochs of ["2", "1"]) {
    await refuses(
      "train.ts",
      ["--resume", same, "--epochs", epochs, ...device],
      new RegExp(
        `--epochs is ${epochs}, but the run in .*same has ended with 2; give more to extend it`,
      ),
    );
  }
  await refuses(
    "train.ts",
    ["--resume", same, "--epochs", "3", "--lr", "0.5", ...device],
    /--lr is 0\.5 but the run in .* was started with/,
  );
  const laid = copied("laid");
  const path = join(laid, "run.json");
  const file = JSON.parse(readFileSync(path, "utf8"));
  file.options["max-steps"] = 3;
  writeFileSync(path, JSON.stringify(file));
  await refuses(
    "train.ts",
    ["--resume", laid, "--epochs", "3", ...device],
    /has --max-steps 3, over which its schedule is laid/,
  );
  const bare = copied("bare");
  const { rmSync } = await import("node:fs");
  rmSync(join(bare, "P36", "last.safetensors"));
  const { code, error } = await run("train.ts", ["--resume", bare, "--epochs", "3", ...device]);
  assert.equal(code, 1);
  assert.match(error, /P36.last\.safetensors is not there.* cannot be extended/);
  assert.ok(existsSync(join(bare, "results.json")));
  assert.equal(JSON.parse(readFileSync(join(bare, "run.json"), "utf8")).options.epochs, 2);
  assert.deepEqual(bits(same), untouched);
});

test("patience and evaluations every N steps: said in the results, the log and run.json", async () => {
  const out = join(home, "patient");
  const own = ["--epochs", "30", "--eval-every", "2", "--patience", "2"];
  const said = await printedBy("train.ts", [...given, ...own, "--out", out, ...device]);
  const { stopped } = await resultsIn(out);
  const logs = await Promise.all(IDS.map((id) => new RunFolder(join(out, id)).readLog()));
  const ends = logs.map((log) => log.at(-1));
  const early = ends.filter((row) => row?.stopped === "patience");
  assert.ok(early.length > 0);
  const step = ends.reduce((all, row) => all + (row?.step ?? 0), 0);
  assert.deepEqual(
    [stopped?.by, stopped?.trainings, stopped?.step],
    ["patience", early.length, step],
  );
  assert.match(said, new RegExp(`ended by --patience 2 after step ${step} of ${stopped?.steps}`));
  assert.ok(logs.flat().every((row) => row.step % 2 === 0 || row === ends[0] || row === ends[1]));
  const { choices } = JSON.parse(readFileSync(join(out, "run.json"), "utf8"));
  assert.match(choices.selection, /before the first step and every 2 steps, until 2 in turn/);
});

test("what a run goes on with that is something else is said in a line, and noted", async () => {
  const moved = copied("moved");
  const path = join(moved, "run.json");
  const file = JSON.parse(readFileSync(path, "utf8"));
  const [own] = file.versions;
  file.versions = [{ ...own, node: "v1.2.3", build: "WebGPU, another" }];
  writeFileSync(path, JSON.stringify(file));
  const out = await printedBy("train.ts", ["--resume", moved, ...device]);
  const lines = out.split("\n").filter((line) => line.startsWith("[resume]"));
  assert.deepEqual(lines, [
    `[resume] Node was v1.2.3 and is ${process.version}, the device was WebGPU, another and is ${own.build}: that it ends in the bits of a run that was not stopped is no longer promised`,
  ]);
  assert.deepEqual((await resultsIn(moved)).versions, [...file.versions, own]);
  // one from before it was noted, with other threads: nothing to say
  const { versions: _, ...old } = file;
  writeFileSync(path, JSON.stringify(old));
  const more = ["--device", "cpu", "--threads", "2"];
  assert.ok(!(await printedBy("train.ts", ["--resume", moved, ...more])).includes("[resume]"));
  const [{ device: where, ...now }] = (await resultsIn(moved)).versions ?? [];
  assert.deepEqual({ ...now, device: own.device }, own);
  assert.match(where, /2 threads/);
});

test("an adapter is WebGPU's, and one that is not there is said with those that are", async () => {
  const both = ["--adapter", "llvm", "--device", "cpu"];
  const out = join(home, "nothing");
  await refuses(
    "train.ts",
    [...given, "--out", out, ...both],
    /--adapter is for WebGPU, but --device is cpu; leave one out/,
  );
  assert.ok(!existsSync(out));
});

test.run();
