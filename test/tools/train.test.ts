import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import { readFloat32 } from "../../models/formats/safetensors.ts";
import { loadSystem } from "../../promptgen/methods/promptgen/system.ts";
import { Examiner, trainPromptGen } from "../../promptgen/methods/promptgen/trainer.ts";
import { NotFiniteError } from "../../promptgen/training/loop.ts";
import { RunFolder } from "../../promptgen/training/run-folder.ts";
import { embeddedWorld } from "../../promptgen/world/world.ts";
import { CHOICES, identityOf, settingsOf, sourcesOf } from "../../tools/commands/runs.ts";
import { onDevices, openDevices } from "../devices.ts";
import { asArguments, ROOT, tinyOptions, tinyPair } from "../promptgen/tiny.ts";

const test = suite("train");

const each = await onDevices("train");
const [maker] = await openDevices();
const home = await tinyPair(maker);
const options = tinyOptions(home);
const given = asArguments(options);

interface Ended {
  code: number | null;
  out: string;
  /** What the tool said, without the driver's own warnings. */
  error: string;
}

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
  await refuses(
    "train.ts",
    [...given, "--device", "abacus"],
    /--device is abacus; choose among auto/,
  );
});

test("options that are no options, folders that are not there", async () => {
  await refuses("train.ts", ["--beta", "1"], /Unknown option '--beta'.*see --help/);
  await refuses("train.ts", ["world"], /world is no option; see --help/);
  await refuses("train.ts", ["--data", "nowhere"], /--data is nowhere, which does not exist/);
  await refuses(
    "train.ts",
    ["--relations", "P36,P9999"],
    /relation P9999 is unknown; choose among P103/,
  );
  await refuses("train.ts", ["--resume", "nowhere"], /nowhere is no run: run\.json cannot be read/);
  await refuses("evaluate.ts", [], /no run was named/);
  await refuses("evaluate.ts", ["nowhere"], /nowhere is no run/);
  await refuses("pretrain.ts", ["--only", "t5"], /--only is t5; choose bert or bart/);
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
    assert.match(out, /npx node tools\//);
    assert.match(out, /default/);
  }
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
      /--mlm is .* but the run in .* was started with/,
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
    const tables = await tool("evaluate.ts", [out, ...on]);
    assert.equal(tables.code, 0, tables.error);
    for (const name of ["Table 1", "Table 2", "Table 4"])
      assert.ok(tables.out.includes(name), name);
    assert.match(tables.out, /Gao et al\. \(2021\) +\| not run/);
  },
);

each(
  "NaN in the loss: the step and the term are named, weights and checkpoint stay",
  async (device, name) => {
    const system = await loadSystem(sourcesOf(options));
    const folder = new RunFolder(join(home, `nan on ${name}`));
    await folder.begin({ options: { ...options }, contents: system.contents, choices: CHOICES });
    const bias = system.bert.weights.parameters.get("cls.predictions.bias");
    assert.ok(bias);
    let kept: Buffer | undefined;
    const error = await trainPromptGen({
      device,
      system,
      examiner: new Examiner(device, system, options["batch-size"]),
      folder,
      settings: settingsOf(options),
      identity: identityOf(options, system),
      saveEvery: 1,
      onStep({ step }) {
        if (step !== 3) return;
        device.write(bias, new Float32Array(bias.size).fill(Number.NaN));
      },
    }).catch((thrown: unknown) => {
      kept = readFileSync(folder.last);
      return thrown;
    });
    assert.ok(error instanceof NotFiniteError);
    assert.equal(error.step, 4);
    assert.equal(error.term, "object");
    assert.match(
      error.message,
      /step 4: the loss term object is NaN; the weights were left as they were/,
    );
    const { state, tensors } = await folder.loadLast();
    assert.equal(state.step, 3);
    const { read } = await import("../../engine/compile.ts");
    const now = await read(device, system.bart.parameters);
    for (const [i, name] of [...system.bart.weights.parameters.keys()].entries()) {
      const held = tensors.get(name);
      assert.deepEqual(now[i], held && (await readFloat32(held)), name);
    }
    assert.deepEqual(readFileSync(folder.last), kept);
  },
);

test.run();
each.run();
