import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import { read } from "../../engine/compile.ts";
import type { Device } from "../../engine/device.ts";
import { readFloat32 } from "../../models/formats/safetensors.ts";
import { NotFiniteError } from "../../models/training/loop.ts";
import { RunFolder } from "../../models/training/run-folder.ts";
import { METHODS } from "../../promptgen/methods/index.ts";
import { readResults } from "../../promptgen/report/results.ts";
import { examinerOf, trainRun } from "../../promptgen/run.ts";
import { beginRun } from "../../promptgen/run-file.ts";
import { embeddedWorld } from "../../promptgen/world/world.ts";
import { deviceOf } from "../../tools/lib/cli.ts";
import { deviceArguments, onDevices, openDevices } from "../devices.ts";
import { asArguments, preparePromptGen, ROOT, tinyOptions, tinyPair } from "../promptgen/tiny.ts";

const test = suite("train");

const each = await onDevices("train");
const [maker] = await openDevices();
const home = await tinyPair(maker);
const options = tinyOptions(home);
const given = asArguments(options);
/** What a method without a generator is given. */
const fixed = ["--reader", options.reader, "--relations", options.relations];

type Ended = {
  code: number | null;
  out: string;
  /** What the tool said, without the driver's own warnings. */
  error: string;
};

function tool(
  name: string,
  args: readonly string[],
  onLine?: (line: string, kill: (signal: NodeJS.Signals) => void) => void,
): Promise<Ended> {
  return new Promise((done) => {
    const env = { ...process.env, NO_COLOR: "1", DEBUG: "" };
    const child = spawn(process.execPath, [join(ROOT, "tools", name), ...args], { cwd: home, env });
    let out = "";
    let error = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      out += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      error += text;
      onLine?.(text, (signal) => child.kill(signal));
    });
    child.on("close", (code) => {
      const said = error.split("\n").filter((line) => !line.startsWith("Warning: max"));
      done({ code, out, error: said.join("\n").trim() });
    });
  });
}

/** Ends with code 1 and one sentence that matches. */
async function refuses(name: string, args: readonly string[], sentence: RegExp): Promise<void> {
  const { code, error } = await tool(name, args);
  assert.match(error, sentence);
  assert.equal(error.split("\n").length, 1, error);
  assert.equal(code, 1);
}

test("options that are out of range", async () => {
  await refuses("train.ts", ["--m", "0"], /--m is 0; give a whole number of 1 or more/);
  await refuses("train.ts", ["--n", "1.5"], /--n is 1\.5; give a whole number of 0 or more/);
  await refuses("train.ts", ["--alpha=-0.1"], /--alpha is -0\.1; give a number of 0 or more/);
  await refuses("train.ts", ["--lr", "fast"], /--lr is fast; give a number of 0 or more/);
  await refuses("train.ts", ["--warmup", "2"], /--warmup is 2; give a number from 0 to 1/);
  await refuses("train.ts", ["--batch-size", "0"], /--batch-size is 0/);
  const whole = (least: number) => `give a whole number of ${least} or more`;
  for (const [name, value, remedy] of [
    ["max-steps", "-1", whole(0)],
    ["max-steps", "2.5", whole(0)],
    ["accumulate", "0", whole(1)],
    ["accumulate", "5000", "give a whole number from 1 to 4096"],
    ["dev-facts", "all", whole(0)],
    ["reader-dtype", "f64", "choose among f32, f16, bf16"],
  ]) {
    const sentence = new RegExp(`--${name} is ${value}; ${remedy}$`);
    await refuses("train.ts", [`--${name}=${value}`], sentence);
  }
  const other = /Unknown option '--max-steps' for --method majority: it is one of .*promptgen/;
  await refuses("train.ts", ["--method", "majority", "--max-steps", "3"], other);
  await refuses(
    "train.ts",
    [...given, "--device", "abacus"],
    /--device is abacus; choose among auto/,
  );
  await refuses("train.ts", [...given, "--simd", "fast"], /--simd is fast; choose among relaxed/);
  await refuses(
    "train.ts",
    [...given, "--simd", "plain", "--device", "gpu"],
    /--simd is for the CPU, but --device is gpu; leave one out/,
  );
});

test("--simd decides which build of the CPU's kernels runs", async () => {
  const builds = await Promise.all(
    [{}, { simd: "relaxed" }, { simd: "plain" }].map(async (simd) => {
      const device = await deviceOf("test", { device: "cpu", threads: "1", ...simd });
      const { build } = device;
      device.destroy();
      return build;
    }),
  );
  assert.deepEqual(builds, ["CPU, relaxed SIMD", "CPU, relaxed SIMD", "CPU, SIMD"]);
});

test("options that are no options, folders that are not there", async () => {
  await refuses("train.ts", ["--beta", "1"], /Unknown option '--beta'.*see --help/);
  await refuses("train.ts", ["world"], /world is no option; see --help/);
  await refuses("train.ts", ["--out", ""], /--out is "", which is no folder; name a new one/);
  await refuses("train.ts", ["--data", "nowhere"], /--data is nowhere, which does not exist/);
  await refuses(
    "train.ts",
    ["--relations", "P36,P9999"],
    /relation P9999 is unknown; choose among P103/,
  );
  await refuses("train.ts", ["--resume", "nowhere"], /nowhere is no run: run\.json cannot be read/);
  await refuses("evaluate.ts", [], /no run was named/);
  await refuses("evaluate.ts", ["nowhere"], /nowhere is no run/);
  await refuses("pretrain.ts", ["--only", "gpt2"], /--only is gpt2; choose bert, bart or t5/);
});

test("methods: an unknown one, options of another, the reader by two names", async () => {
  const names = METHODS.map(({ name }) => name).join(", ");
  const unknown = new RegExp(`\\[method\\] there is no method lama; choose among ${names}$`, "m");
  await refuses("train.ts", ["--method", "lama"], unknown);
  await refuses("train.ts", ["--method"], /'--method <value>' argument missing.*see --help/);
  const other = /Unknown option '--alpha'.*see --help/;
  await refuses("train.ts", ["--method", "template", "--alpha", "0.3"], other);
  await refuses("train.ts", ["--templates", "manual"], /Unknown option '--templates'/);
  await refuses(
    "train.ts",
    ["--method", "template", "--templates", "LAMA"],
    /--templates is LAMA; choose among manual, LPAQA, AutoPrompt/,
  );
  await refuses(
    "train.ts",
    ["--reader", options.reader, "--mlm", options.reader],
    /--mlm and --reader are one option; give one of them/,
  );
  await refuses("train.ts", ["--mlm", "nowhere"], /--reader is nowhere, which does not exist/);
});

test("facts and weights that are broken", async () => {
  const data = join(home, "data");
  cpSync(embeddedWorld().data, data, { recursive: true });
  const dev = join(data, "autoprompt_data", "P36", "dev.jsonl");
  writeFileSync(dev, `${readFileSync(dev, "utf8")}{"sub_label": "France"}\n`);
  await refuses(
    "train.ts",
    [...given, "--data", data],
    /P36\/dev\.jsonl:\d+ has no text in "obj_label"/,
  );
  writeFileSync(dev, "");
  await refuses(
    "train.ts",
    [...given, "--data", data],
    /P36\/dev\.jsonl leaves relation P36 without dev facts/,
  );
  const bart = join(home, "cut");
  mkdirSync(bart);
  cpSync(join(home, "bart"), bart, { recursive: true });
  const weights = readFileSync(join(bart, "model.safetensors"));
  writeFileSync(join(bart, "model.safetensors"), weights.subarray(0, weights.length - 100));
  await refuses(
    "train.ts",
    [...given, "--generator", bart],
    /model\.safetensors: tensor .* truncated/,
  );
});

test("--help teaches and ends with code 0", async () => {
  for (const name of ["train.ts", "evaluate.ts", "pretrain.ts"]) {
    const { code, out } = await tool(name, ["--help"]);
    assert.equal(code, 0);
    assert.match(out, new RegExp(`^  npx promptgen ${name.slice(0, -3)}`, "m"));
    assert.match(out, /default/);
  }
  const { out: plain } = await tool("train.ts", ["--help", "all"]);
  for (const { name, summary } of METHODS)
    assert.ok(plain.replace(/\s+/g, " ").includes(` ${name} ${summary}`));
  assert.match(plain, /--alpha X .*0\.3/s);
  for (const name of ["max-steps N", "accumulate N", "dev-facts N", "reader-dtype DTYPE"]) {
    assert.match(plain, new RegExp(`^ *--${name} `, "m"));
  }
  const { out: own } = await tool("train.ts", ["--method", "template", "--help"]);
  assert.match(own, /--method template: /);
  assert.match(own, /--templates SET /);
  assert.doesNotMatch(own, /--alpha X/);
});

each(
  "a run from the command line: stopped by SIGTERM and SIGINT, resumed, finished, evaluated",
  async (_, name) => {
    const folder = `run on ${name}`;
    const out = join(home, folder);
    const on = ["--device", name];
    let seen = 0;
    const stop =
      (signal: NodeJS.Signals) =>
      (line: string, kill: (signal: NodeJS.Signals) => void): void => {
        if (line.includes("training") && seen++ === 0) kill(signal);
      };
    const first = await tool("train.ts", [...given, ...on, "--out", out], stop("SIGTERM"));
    assert.equal(first.code, 143, first.error);
    assert.match(first.out, /stopped by SIGTERM after step \d+ of \d+, saved/);
    await refuses("train.ts", [...given, "--out", out], /holds a run already; go on with --resume/);
    await refuses(
      "train.ts",
      ["--resume", out, "--alpha", "0.4"],
      /--alpha is 0\.4 but the run in .* was started with 0\.3/,
    );
    await refuses(
      "train.ts",
      ["--resume", out, "--mlm", home],
      /--reader is .* but the run in .* was started with/,
    );
    await refuses(
      "train.ts",
      ["--resume", out, "--method", "majority"],
      /--method is "majority" but the run in .* was started with "promptgen"/,
    );
    seen = 0;
    const second = await tool("train.ts", ["--resume", out, ...given, ...on], stop("SIGINT"));
    assert.equal(second.code, 130, second.error);
    const last = await tool("train.ts", ["--resume", out, ...on]);
    assert.equal(last.code, 0, last.error);
    assert.match(
      last.out,
      name === "cpu" ? /^device: CPU with \d+ threads? /m : /^device: WebGPU on /m,
    );
    assert.match(last.out, /relation +type +label +facts +majority +manual +PromptGen +"None"/);
    assert.match(last.out, /\[MASK\]/);
    assert.match(last.out, /saved in run on /);
    for (const name of ["results.json", "best/config.json", "best/tokenizer.json", "log.jsonl"]) {
      assert.ok(existsSync(join(out, name)), name);
    }
    const finished = await readResults(join(out, "results.json"));
    assert.equal(JSON.parse(readFileSync(join(out, "results.json"), "utf8")).version, 2);
    assert.deepEqual(
      finished.rows.map(({ row, alpha, fillers }) => [row, alpha, Object.keys(fillers)]),
      [
        ["Majority", undefined, ["None"]],
        ["Manual", undefined, ["None"]],
        ["PromptGen", 0.3, ["None", "other", "It", "He", "[MASK]", "empty"]],
      ],
    );
    assert.deepEqual([finished.method, finished.row], ["promptgen", "PromptGen"]);
    assert.deepEqual(finished.options, options);
    assert.equal(finished.facts, finished.rows[0].own.P1303.total + finished.rows[0].own.P36.total);
    const tables = await tool("evaluate.ts", [out, ...on]);
    assert.equal(tables.code, 0, tables.error);
    for (const name of ["Table 1", "Table 4", "leak audit", "tests between rows"])
      assert.ok(tables.out.includes(name), name);
    assert.match(tables.out, /^PromptGen \(alpha 0\.3\) +1 /m);
    assert.deepEqual(await readResults(join(out, "results.json")), finished, "asked twice");
  },
);

test("a short run in small batches says how long it will take, and what it took", async () => {
  const out = join(home, "paced");
  const own = ["--max-steps", "11", "--accumulate", "3", "--batch-size", "4", "--dev-facts", "5"];
  const args = [
    "--method",
    "optiprompt",
    "--relations",
    "P36,P103",
    "--reader-dtype",
    "bf16",
    ...own,
  ];
  const ended = await tool("train.ts", [...args, "--device", "cpu", "--out", out]);
  assert.equal(ended.code, 0, ended.error);
  // 11 steps of one relation and as many of the other; evaluations behind steps 0, 2, 3, 4, 6, ... of 4 an epoch
  const said = ended.error.match(/^about \d.* left: \d+ steps of .*, \d+ evaluations of .*$/gm);
  assert.equal(said?.length, 1, ended.error);
  assert.match(said?.[0] ?? "", / left: 12 steps of /);
  assert.match(ended.error, /^P103 \(1 of 2\) 11\/11 object .* facts\/s$/m);
  const results = await readResults(join(out, "results.json"));
  assert.ok(results.seconds && results.seconds.training > 0 && results.seconds.evaluating > 0);
  assert.ok(results.memory && results.memory.resident > results.memory.device);
  assert.ok(results.memory.device > 1e6);
  for (const id of ["P36", "P103"]) {
    const log = readFileSync(join(out, id, "log.jsonl"), "utf8")
      .trim()
      .split("\n");
    assert.ok(log.every((line) => [2, 3].includes(JSON.parse(line).devFacts)));
    assert.equal(JSON.parse(log.at(-1) ?? "").step, 11);
  }
  const tables = await tool("evaluate.ts", [out, "--device", "cpu"]);
  assert.equal(tables.code, 0, tables.error);
  const { seconds, memory } = await readResults(join(out, "results.json"));
  assert.deepEqual([seconds, memory], [results.seconds, results.memory], "asked anew");
  const { choices } = JSON.parse(readFileSync(join(out, "run.json"), "utf8"));
  assert.match(choices.selection, /^the relation's of the 5 dev facts, before the first step/);
});

test("runs that differ in more than their seed are rows of their own", async () => {
  const cpu = ["--device", "cpu"];
  const outs: string[] = [];
  for (const [vectors, seed] of [
    [2, 1],
    [2, 2],
    [3, 1],
  ]) {
    const out = join(home, `vectors ${vectors} ${seed}`);
    outs.push(out);
    const own = ["--vectors", String(vectors), "--seed", String(seed), "--epochs", "1"];
    const lr = vectors === 3 ? ["--lr", "0.1"] : [];
    const world = ["--method", "optiprompt", "--relations", "P36", ...own, ...lr];
    const { code, error } = await tool("train.ts", [...world, ...cpu, "--out", out]);
    assert.equal(code, 0, error);
  }
  const other = join(home, "other rate");
  cpSync(outs[0], other, { recursive: true });
  const file = join(other, "run.json");
  const run = JSON.parse(readFileSync(file, "utf8"));
  run.options.lr = 0.5;
  writeFileSync(file, JSON.stringify(run));
  const tables = await tool("evaluate.ts", [...outs, other, ...cpu]);
  assert.equal(tables.code, 0, tables.error);
  assert.equal(tables.out.match(/^mean of 2 +OptiPrompt \(2 \[V\]s\)/gm)?.length, 1);
  assert.equal(tables.out.match(/^mean of/gm)?.length, 1);
  assert.match(tables.out, /^OptiPrompt \(2 \[V\]s\) \(lr 0\.5\) +1 /m);
  run.contents.data = "0123456789abcdef";
  writeFileSync(file, JSON.stringify(run));
  await refuses("evaluate.ts", [other, ...cpu], /--data: the contents of world have changed/);
});

test("a run that was killed before its first checkpoint begins anew", async () => {
  const out = join(home, "killed at once");
  const cpu = ["--device", "cpu"];
  const whole = join(home, "not killed");
  for (const folder of [out, whole]) {
    const { code, error } = await tool("train.ts", [...given, ...cpu, "--out", folder]);
    assert.equal(code, 0, error);
  }
  const configuration = readFileSync(join(out, "run.json"));
  rmSync(out, { recursive: true });
  mkdirSync(out);
  writeFileSync(join(out, "run.json"), configuration);
  const { code, error } = await tool("train.ts", ["--resume", out, ...cpu]);
  assert.equal(code, 0, error);
  const last = (folder: string) => readFileSync(join(folder, "last.safetensors"));
  assert.deepEqual(last(out), last(whole));
});

test("methods that are not trained run, and stand in one table with others", async () => {
  const outs = ["majority", "template"].map((method) => join(home, `${method} run`));
  const cpu = ["--device", "cpu"];
  const first = ["--method", "majority", "--mlm", options.reader, "--relations", options.relations];
  const majority = await tool("train.ts", [...first, ...cpu, "--out", outs[0]]);
  assert.equal(majority.code, 0, majority.error);
  assert.match(majority.out, /^--mlm is taken as --reader$/m);
  const template = await tool("train.ts", [
    ...["--method", "template", ...fixed, ...cpu],
    ...["--out", outs[1]],
  ]);
  assert.equal(template.code, 0, template.error);
  assert.match(template.out, /relation +type +label +facts +majority +Manual +"None"/);
  assert.match(template.out, /2 different prompts for \d+ facts/);
  const results = await Promise.all(outs.map((out) => readResults(join(out, "results.json"))));
  assert.deepEqual(
    results.map(({ version, method, row, best }) => [version, method, row, best]),
    [
      [2, "majority", "Majority", null],
      [2, "template", "Manual", null],
    ],
  );
  const { reader, relations } = options;
  const places = { reader, data: "world", objects: "as-written" };
  const shared = {
    ...places,
    "reader-weights": "trained",
    "reader-dtype": "f32",
    precision: "f32",
    relations,
    seed: 1,
  };
  assert.deepEqual(results[0].options, { method: "majority", ...shared });
  assert.deepEqual(results[1].options, { method: "template", ...shared, templates: "manual" });
  const rowOf = (i: number, name: string) => {
    const found = results[i].rows.find(({ row }) => row === name);
    return found && [found.own, found.fillers.None];
  };
  assert.deepEqual(rowOf(0, "Manual"), rowOf(1, "Manual"), "either is the other's baseline");
  assert.deepEqual(rowOf(0, "Majority"), rowOf(1, "Majority"));
  const tables = await tool("evaluate.ts", [...outs, ...cpu]);
  assert.equal(tables.code, 0, tables.error);
  assert.doesNotMatch(tables.out, /^mean of/m); // of one run
  for (const [i, name] of ["Majority", "Manual"].entries()) {
    assert.match(tables.out, new RegExp(`${outs[i]} +${name} `));
  }
  const again = await Promise.all(outs.map((out) => readResults(join(out, "results.json"))));
  assert.deepEqual(
    again.map(({ rows, ...rest }) => [rest, rows.length]),
    results.map(({ rows, ...rest }) => [rest, rows.length]),
  );
});

each(
  "a run of before there were methods goes on to the same bits, and is evaluated",
  async (device, name) => {
    const run = await preparePromptGen(options);
    const examiner = examinerOf(device, run);
    const {
      method: _,
      objects: _as,
      "reader-weights": _weights,
      "reader-dtype": _dtype,
      "max-steps": _steps,
      accumulate: _batches,
      "dev-facts": _dev,
      "eval-every": _every,
      patience: _patience,
      vocabulary: _all,
      reader: mlm,
      seed,
      generator,
      data,
      relations,
      ...rest
    } = options;
    const old = { generator, mlm, data, relations, ...rest, seed };
    const { data: facts, generator: writes, reader: reads } = run.contents;
    const contents = { data: facts, generator: writes, mlm: reads };
    const begun = async (what: string): Promise<RunFolder> => {
      const folder = new RunFolder(join(home, `${what} on ${name}`));
      await folder.begin({ options: old, contents, choices: { floor: -20 } });
      return folder;
    };
    const start = await readWeights(device, run);
    const train = async (folder: RunFolder, after: number): Promise<void> => {
      const stop = new AbortController();
      run.prompter.generator.lm.parameters.forEach((parameter, i) => {
        device.write(parameter, start[i]);
      });
      await trainRun(run, {
        device,
        folder,
        examiner,
        identity: JSON.stringify([old, contents]),
        signal: stop.signal,
        onStep({ step }) {
          if (step === after) stop.abort();
        },
      });
    };
    const whole = await begun("old and whole");
    await train(whole, Number.POSITIVE_INFINITY);
    const stopped = await begun("old and stopped");
    await train(stopped, 3);
    assert.equal((await stopped.loadLast()).state.step, 3);
    const on = deviceArguments(name);
    await refuses(
      "train.ts",
      ["--resume", stopped.path, "--alpha", "0.4"],
      /--alpha is 0\.4 but the run in .* was started with 0\.3/,
    );
    const named = ["--method", "promptgen", "--mlm", mlm, ...on];
    const resumed = await tool("train.ts", ["--resume", stopped.path, ...named]);
    assert.equal(resumed.code, 0, resumed.error);
    assert.ok(readFileSync(stopped.last).equals(readFileSync(whole.last)), "the bits differ");
    assert.deepEqual(readFileSync(stopped.log, "utf8"), readFileSync(whole.log, "utf8"));
    const file = JSON.parse(readFileSync(stopped.file("run.json"), "utf8"));
    assert.deepEqual(file.options, old, "run.json stays as it was");
    const tables = await tool("evaluate.ts", [stopped.path, whole.path, ...on]);
    assert.equal(tables.code, 0, tables.error);
    assert.match(tables.out, /^mean of 2 .*PromptGen/m);
    const both = [stopped, whole].map((folder) => readResults(folder.file("results.json")));
    // the whole one was trained and measured by nobody who notes what it took and ran on
    const [one, two] = (await Promise.all(both)).map(
      ({ seconds: _, memory: __, versions: ___, ...rest }) => rest,
    );
    assert.deepEqual(one, two);
    assert.equal(one.options.reader, mlm);
  },
);

const readWeights = (device: Device, { prompter }: Awaited<ReturnType<typeof preparePromptGen>>) =>
  read(device, [...prompter.generator.lm.parameters]);

each(
  "NaN in the loss: the step and the term are named, weights and checkpoint stay",
  async (device, name) => {
    const run = await preparePromptGen(options);
    const folder = new RunFolder(join(home, `nan on ${name}`));
    const { identity } = await beginRun(folder, run);
    const bias = run.benchmark.reader.lm.weights.parameters.get("cls.predictions.bias");
    assert.ok(bias);
    let kept: Buffer | undefined;
    const error = await trainRun(run, {
      device,
      examiner: examinerOf(device, run),
      folder,
      identity,
      saveEvery: 1,
      onStep({ step }) {
        if (step !== 4) return; // after it no evaluation is due, which would tell it first
        device.write(bias, new Float32Array(bias.size).fill(Number.NaN));
      },
    }).catch((thrown: unknown) => {
      kept = readFileSync(folder.last);
      return thrown;
    });
    assert.ok(error instanceof NotFiniteError);
    assert.equal(error.step, 5);
    assert.equal(error.term, "object");
    assert.match(
      error.message,
      /step 5: the loss term object is NaN; the weights were left as they were/,
    );
    const { state, tensors } = await folder.loadLast();
    assert.equal(state.step, 4);
    const now = await readWeights(device, run);
    const { parameters } = run.prompter.generator.lm.weights;
    for (const [i, name] of [...parameters.keys()].entries()) {
      const held = tensors.get(name);
      assert.deepEqual(now[i], held && (await readFloat32(held)), name);
    }
    assert.deepEqual(readFileSync(folder.last), kept);
  },
);

test.run();
each.run();
