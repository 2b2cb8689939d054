import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { RunFolder } from "../../models/training/run-folder.ts";
import { loadBenchmark } from "../../promptgen/benchmark.ts";
import {
  askedAtOnce,
  bestPrompter,
  commonFacts,
  fewerFacts,
  flatOptions,
  foldersOf,
  type Prepared,
  prepare,
  prepareOn,
  prompterKey,
  readerSeedOf,
  rowOf,
  runOptions,
  savedPrompter,
  sourcesOf,
  trainRun,
} from "../../promptgen/run.ts";
import { beginRun, checkContents, type RunFile, readRun } from "../../promptgen/run-file.ts";
import { embeddedWorld } from "../../promptgen/world/world.ts";
import { onDevices } from "../devices.ts";
import { FACTS, folder, rows } from "./fixture.ts";

const test = suite("runs");
const each = await onDevices("runs");

const world = embeddedWorld();

async function failure(work: () => unknown): Promise<string> {
  try {
    await work();
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error("expected an error");
}

/** A run's folder with this run.json. */
const written = (file: unknown): RunFolder =>
  new RunFolder(folder({ "run.json": typeof file === "string" ? file : JSON.stringify(file) }));

/** run.json as it was before there were methods. */
const OLD = {
  options: {
    generator: "world",
    mlm: "world",
    data: "world",
    relations: "P1303,P36",
    alpha: 0.3,
    m: 2,
    n: 1,
    lr: 3e-3,
    warmup: 0.1,
    "weight-decay": 1e-3,
    "batch-size": 16,
    epochs: 1,
    seed: 7,
  },
  contents: { data: "a", generator: "b", mlm: "c" },
  choices: { floor: -20 },
};

test("options of a run: those of every method and those of its own", () => {
  const made = runOptions({ alpha: 0, seed: 2 });
  assert.equal([made.method, made.seed, made.own.alpha], ["promptgen", 2, 0]);
  assert.equal([made.reader, made.data, made.relations], ["world", "world", ""]);
  assert.equal([made.own.lr, made.own.epochs], [5e-5, 10]);
  assert.equal([runOptions({}, true).own.lr, runOptions({}, true).own.epochs], [1e-4, 12]);
  assert.not("seed" in made.own || "reader" in made.own);
  assert.equal(runOptions(flatOptions(made)), made);
  assert.equal(flatOptions(runOptions({ method: "majority" })), {
    method: "majority",
    reader: "world",
    data: "world",
    objects: "as-written",
    "reader-weights": "trained",
    "reader-dtype": "f32",
    precision: "f32",
    relations: "",
    seed: 1,
  });
});

test("a reader that is random or rounded is in the row's name, and a random one is drawn by the run's seed", () => {
  const of = (given: Record<string, number | string>) => {
    const options = runOptions({ method: "optiprompt", seed: 4, ...given });
    return [rowOf(options), readerSeedOf(options)];
  };
  assert.equal(of({}), ["OptiPrompt (5 [V]s)", undefined]);
  assert.equal(of({ "reader-weights": "random" }), ["OptiPrompt (5 [V]s), random reader", 4]);
  assert.equal(of({ "reader-dtype": "f16" }), ["OptiPrompt (5 [V]s), f16 reader", undefined]);
  const both = of({ "reader-dtype": "bf16", "reader-weights": "random" });
  assert.equal(both, ["OptiPrompt (5 [V]s), random bf16 reader", 4]);
  assert.equal(of({ precision: "f16" }), ["OptiPrompt (5 [V]s), products in f16", undefined]);
  const alone = runOptions({
    method: "majority",
    precision: "f16",
    "reader-weights": "random",
    "reader-dtype": "f16",
  });
  assert.is(rowOf(alone), "Majority");
});

test("an option of another method, a seed that is none, a method that is none", async () => {
  assert.match(
    await failure(() => runOptions({ method: "template", alpha: 0.3 })),
    /^\[options\] there is no option alpha; choose among reader, data, objects, reader-weights, reader-dtype, precision, seed, templates$/,
  );
  assert.match(await failure(() => runOptions({ seed: 1.5 })), /seed is 1\.5; give a whole/);
  assert.match(await failure(() => runOptions({ method: "lama" })), /there is no method lama/);
});

test("run.json is read as it was written", async () => {
  const options = runOptions({ method: "template", relations: "P36" });
  const run = await prepare(options);
  const place = new RunFolder(join(folder({}), "new"));
  const begun = await beginRun(place, run);
  const read = await readRun(place);
  assert.equal(read, begun);
  assert.equal(read.options, options);
  assert.equal(Object.keys(read.contents), ["data", "reader"]);
  const file = await place.readJson("run.json");
  assert.is(read.identity, JSON.stringify([file.options, file.contents]));
  assert.match(JSON.stringify(file.choices), /"selection":"none, nothing is trained"/);
});

test("a run of before has its own identity, and a reader in the place of mlm", async () => {
  const { options, contents, identity, remarks } = await readRun(written(OLD));
  assert.match(remarks.join(), /^\[run\] .*run\.json has mlm, which is taken as --reader$/);
  assert.is(identity, JSON.stringify([OLD.options, OLD.contents]));
  assert.equal(contents, { data: "a", generator: "b", reader: "c" });
  const { mlm, ...rest } = OLD.options;
  assert.equal(flatOptions(options), {
    ...rest,
    method: "promptgen",
    reader: mlm,
    objects: "as-written",
    "reader-weights": "trained",
    "reader-dtype": "f32",
    precision: "f32",
    vocabulary: "common",
    "max-steps": 0,
    accumulate: 1,
    "dev-facts": 0,
    "eval-every": 0,
    patience: 0,
  });
});

test("a run.json that is none", async () => {
  const none = written({});
  assert.is(
    await failure(() => readRun(none)),
    `[run] ${none.path} is no run of tools/train.ts; name the folder of one`,
  );
  for (const file of [
    { options: [], contents: {} },
    { options: {}, contents: null },
  ]) {
    assert.match(await failure(() => readRun(written(file))), /is no run of tools\/train\.ts/);
  }
  assert.match(await failure(() => readRun(written("{"))), /is not JSON; start the run again/);
  const odd = written({ ...OLD, options: { ...OLD.options, alpha: -1 } });
  assert.is(
    await failure(() => readRun(odd)),
    `[run] ${odd.file("run.json")}: [options] alpha is -1; give a number of 0 or more; start another run`,
  );
});

test("contents that changed are refused by the option that names them", async () => {
  const run = await prepare(runOptions({ method: "majority", relations: "P36" }));
  const { options, contents } = run;
  const none = { earlier: [], extended: [], versions: [], remarks: [] };
  const saved: RunFile = { options, contents, identity: "", ...none };
  checkContents(saved, run);
  for (const name of ["data", "reader"]) {
    const other = { ...saved, contents: { ...contents, [name]: "other" } };
    assert.is(
      await failure(() => checkContents(other, run)),
      `[run] --${name}: the contents of world have changed since the run was started; restore them or start another run`,
    );
  }
});

test("facts whose question is too long are left out, and relations that lose a split", async () => {
  const long = Array.from({ length: 200 }, () => "Paris").join(" ");
  const copied = folder({ ...FACTS, "common_vocabs/common_vocab_cased.txt": "Paris\nRome\n" });
  const lines = (path: string, ...facts: string[]) =>
    writeFileSync(join(copied, path), rows(...facts));
  lines("autoprompt_data/R1/train.jsonl", "Cat > Paris", "Dog > Rome", `${long} > Rome`);
  lines("autoprompt_data/R1/dev.jsonl", "Goat > Paris");
  lines("LAMA-TREx/R1.jsonl", "Seal > Paris", `${long} > Paris`);
  lines("autoprompt_data/R2/train.jsonl", "Louvre > Paris");
  lines("autoprompt_data/R2/dev.jsonl", "Orsay > Paris");
  lines("LAMA-TREx/R2.jsonl", "Tower > Paris");
  const prepared = () => prepare(runOptions({ method: "template", data: copied }));
  const whole = await prepared();
  const { limit } = whole.prompter;
  const sentence = (count: number, all: number) =>
    `[data] ${count} of ${all} facts are too long for the models' positions, more than ${limit} pieces (${long.slice(0, 40)}, ...); they are left out`;
  assert.is(whole.remarks.at(-1), sentence(2, 9));
  assert.equal(
    whole.benchmark.relations.map(({ id, train, dev, test: asked }) => [
      id,
      train.length,
      dev.length,
      asked.length,
    ]),
    [
      ["R1", 2, 1, 1],
      ["R2", 1, 1, 1],
    ],
  );
  assert.ok(whole.buckets.every((width) => width <= limit));
  lines("LAMA-TREx/R1.jsonl", `${long} > Paris`);
  const less = await prepared();
  assert.equal(
    less.benchmark.relations.map(({ id }) => id),
    ["R2"],
  );
  assert.is(less.remarks.at(-1), `${sentence(2, 8)}, and relations R1 with them`);
  const gone = less.benchmark.leftOut.map(({ relation, split, reason }) => [
    relation,
    split,
    reason,
  ]);
  assert.equal(gone, [
    ["R1", "train", "tooLong"],
    ["R1", "test", "tooLong"],
    ["R1", "train", "relation"],
    ["R1", "train", "relation"],
    ["R1", "dev", "relation"],
  ]);
  // a row beside others is about the same facts, or is none
  assert.is(fewerFacts(whole, whole.benchmark), undefined);
  assert.match(
    fewerFacts(whole, {
      ...whole.benchmark,
      relations: [],
      remarks: whole.remarks.slice(0, -1),
    }) ?? "",
    /^\[data\] 2 of 9 facts are too long .*; without Manual, for all rows are about the same facts$/,
  );
  const common = commonFacts(whole.benchmark.relations, [whole, less]);
  assert.equal([common.relations.length, common.leftOut.length], [0, 7]);
  lines("LAMA-TREx/R2.jsonl", `${long} > Paris`);
  assert.is(await failure(prepared), `${sentence(3, 8)}, and no relation is left`);
});

test("places: the world, folders, and names that are located once each", async () => {
  assert.equal(await sourcesOf(runOptions({ relations: "P17,P36" })), {
    data: world.data,
    reader: world.bert,
    objects: "as-written",
    relations: ["P17", "P36"],
    readerSeed: undefined,
    readerDtype: "f32",
  });
  const asked: string[] = [];
  const locate = async (name: string) => {
    asked.push(name);
    return name === "tiny/bert" ? world.bert : world.bart;
  };
  const named = runOptions({ reader: "tiny/bert", generator: "tiny/bart", relations: "P36" });
  const run = await prepare(named, { locate });
  assert.equal(asked, ["tiny/bert", "tiny/bart"]);
  assert.equal(run.contents, (await prepare(runOptions({ relations: "P36" }))).contents);
  assert.is(run.options, named, "the name stays in run.json");
  const at = runOptions({ reader: world.bert, relations: "P36", method: "majority" });
  await prepare(at, { locate });
  assert.is(asked.length, 2, "a folder is no name");
});

test("without a generator none is read", async () => {
  const locate = async (name: string): Promise<string> => {
    throw new Error(`${name} was asked for`);
  };
  const run = await prepare(runOptions({ method: "template", relations: "P36" }), { locate });
  assert.equal(Object.keys(run.contents), ["data", "reader"]);
  // a saved prompter needs no generator where its option points
  const benchmark = await loadBenchmark({
    data: world.data,
    reader: world.bert,
    relations: ["P36"],
  });
  const gone = runOptions({ generator: "gone/away", relations: "P36" });
  const saved = await prepareOn(benchmark, gone, { saved: world.bart, locate });
  assert.equal(Object.keys(saved.contents), ["data", "reader", "generator"]);
});

test("runs that differ in training share a prompter, others do not", () => {
  const key = (given: Record<string, number | string>) => prompterKey(runOptions(given));
  const training = { "max-steps": 3, accumulate: 2, "dev-facts": 9 };
  assert.is(key({ alpha: 0, seed: 3, lr: 1, ...training }), key({}));
  const others = [
    { m: 3 },
    { n: 2 },
    { generator: "a/b" },
    { vocabulary: "no-objects" },
    { method: "majority" },
    { "reader-weights": "random" },
    { "reader-dtype": "f16" },
  ];
  for (const other of others) assert.is.not(key(other), key({}));
  const random = (seed: number) => key({ "reader-weights": "random", seed });
  assert.is.not(random(1), random(2), "each seed draws a reader of its own");
  const templates = (set: string) => key({ method: "template", templates: set });
  assert.is.not(templates("LPAQA"), templates("manual"));
});

test("dev facts and test facts are asked 32 at a time or more, but not in rows that no relation fills", async () => {
  const at = async (given: Record<string, number | string>) => {
    const run = await prepare(runOptions(given, true));
    return [askedAtOnce(run, "dev"), askedAtOnce(run, "test")];
  };
  assert.equal(await at({ "batch-size": 8 }), [32, 32]);
  assert.equal(await at({ "batch-size": 100 }), [100, 100]);
  assert.equal(await at({ method: "template" }), [32, 32]);
  const { dev, test } = (await prepare(runOptions({ relations: "P36" }, true))).benchmark
    .relations[0];
  assert.equal([dev.length, test.length], [11, 20]);
  const one = { method: "optiprompt", relations: "P36" };
  assert.equal(await at({ ...one, "batch-size": 2 }), [16, 24]);
  assert.equal(await at({ ...one, "batch-size": 64 }), [16, 24]);
});

test("one folder for all relations, or one for each", async () => {
  const run = await prepare(runOptions({ method: "majority", relations: "P36,P17" }));
  const place = new RunFolder("/run");
  const paths = (one: Prepared) => foldersOf(one, place).map(({ path }) => path);
  assert.equal(paths(run), ["/run"]);
  const method = { ...run.method, scope: "relation" as const };
  assert.equal(paths({ ...run, method }), ["/run/P17", "/run/P36"]);
  assert.is(savedPrompter(run.method, place), "/run/best");
  assert.is(savedPrompter(method, place), undefined);
  const trained = new RunFolder(folder({ "run.json": "{}", "P36/best/prompts.json": "{}" }));
  assert.is(savedPrompter(method, trained), trained.file("P36/best"));
});

each("a method without training is finished after no step, and saved", async (device) => {
  for (const method of ["majority", "template"]) {
    const run = await prepare(runOptions({ method, relations: "P36" }));
    const place = new RunFolder(folder({}));
    const outcome = await trainRun(run, { device, folder: place });
    assert.equal(outcome, { step: 0, steps: 0, finished: true, best: undefined });
    assert.ok(existsSync(place.best));
    assert.is(await bestPrompter(run, device, place), run.prompter);
  }
});

test.run();
each.run();
