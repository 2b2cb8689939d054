/** `npm run fullsize`: BERT-base-cased and BART-large at their real size beside PyTorch, on the CPU and on WebGPU. */
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { arch, availableParallelism, cpus, totalmem } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { type Given, numberOf, type OptionSpec, UsageError } from "../lib/cli.ts";
import { commandOf, runCommand } from "../lib/command.ts";
import { median } from "./bench/process.ts";
import type { LossLine } from "./fullsize/losses.ts";
import { apart, PAIRS, type Step, trainPair } from "./fullsize/pairs.ts";
import { DEVICES, type Line, type Loaded } from "./fullsize/process.ts";

const TOOL = "fullsize";
/** Those that run when none is named. */
const USUAL = ["load", "bert", "bart", "step", "training"] as const;
const PARTS = [...USUAL, ...Object.keys(PAIRS).filter(isPair)] as const;
type Part = (typeof PARTS)[number];

function isPair(name: string): name is keyof typeof PAIRS {
  return Object.hasOwn(PAIRS, name);
}

const OPTIONS = {
  only: { value: "LIST", help: "parts to run, with commas", initial: USUAL.join(",") },
  devices: { value: "LIST", help: "of cpu, gpu:software, gpu", initial: "cpu,gpu:software" },
  rounds: { value: "N", help: "how often each way of loading is timed, in turns", initial: "5" },
  folder: {
    value: "DIR",
    help: "where models and PyTorch's results are kept",
    initial: ".fullsize",
  },
} satisfies Record<string, OptionSpec>;

const log = (text: string): void => void process.stderr.write(`${text}\n`);
const reference = join(import.meta.dirname, "../reference_fullsize.py");

function listOf<T extends string>(option: string, text: string, known: readonly T[]): T[] {
  return text.split(",").map((name) => {
    const found = known.find((k) => k === name.trim());
    if (found !== undefined) return found;
    throw new UsageError(`[${TOOL}] --${option}: ${name} is unknown; use ${known.join(", ")}`);
  });
}

/** Runs a program to its end; every line that it prints goes to `take`. */
async function follow(
  program: string,
  args: readonly string[],
  take: (line: string) => void,
): Promise<void> {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  let last = "";
  const said = createInterface({ input: child.stderr });
  said.on("line", (line) => {
    if (/error|^\[/i.test(line)) last = line;
    if (line.startsWith("step ")) log(`  ${line}`);
  });
  const ended = new Promise<number | null>((done, failed) => {
    child.on("error", failed);
    child.on("close", done);
  });
  for await (const line of createInterface({ input: child.stdout })) take(line);
  const code = await ended;
  if (code !== 0) throw new Error(`[${TOOL}] ${args[0]} ended with ${code}: ${last}`);
}

const programOf = (name: string): string => join(import.meta.dirname, "fullsize", `${name}.ts`);

/** Models and PyTorch's results, where they are not there. */
async function prepare(folder: string, parts: readonly Part[]): Promise<void> {
  const found = spawnSync("python3", ["-c", "import torch, transformers, safetensors"]);
  if (found.status !== 0) {
    throw new Error(
      `[${TOOL}] Python 3 with torch, transformers and safetensors is needed; run pip install -r tools/requirements.txt`,
    );
  }
  const made = (name: string) => existsSync(join(folder, name));
  if (!made("bert/model.safetensors") || !made("bart/model.safetensors")) {
    log("making the models");
    await follow("python3", [reference, "make", folder], () => {});
  }
  const compares = parts.some((part) => part === "bert" || part === "bart" || part === "step");
  if (compares && !made("step.json")) {
    log("PyTorch computes, for some minutes");
    await follow("python3", [reference, "golden", folder], () => {});
  }
}

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB`;

function print(rows: readonly (readonly string[])[]): void {
  const lines = rows.map((row) => `| ${row.join(" | ")} |`);
  const rule = `|${rows[0].map(() => " --- ").join("|")}|`;
  console.log([lines[0], rule, ...lines.slice(1)].join("\n"));
  console.log("");
}

const LOADERS = [
  { name: "this engine, into the CPU device", how: "clone", python: false },
  { name: "load_file and a copy of each tensor", how: "clone", python: true },
  { name: "from_pretrained, every value read", how: "model", python: true },
  { name: "load_file, every value read through the file's pages", how: "sum", python: true },
] as const;

async function loading(folder: string, rounds: number): Promise<boolean> {
  const places = ["the page cache", "the disk"] as const;
  const seen = LOADERS.map(() => places.map((): Loaded[] => []));
  for (let round = 0; round <= rounds; round++) {
    for (const [i, { name, how, python }] of LOADERS.entries()) {
      const [program, script] = python
        ? ["python3", reference]
        : [process.execPath, programOf("load")];
      const args = python ? [script, "load", folder, how] : [script, folder, how];
      for (const [p, place] of places.entries()) {
        if (place === "the disk") await follow("python3", [reference, "evict", folder], () => {});
        await follow(program, args, (line) => {
          const loaded = JSON.parse(line) as Loaded;
          log(`  round ${round}, ${name}: ${loaded.seconds.toFixed(2)} s from ${place}`);
          if (round > 0) seen[i][p].push(loaded); // the first fills the page cache
        });
      }
    }
  }
  const middle = (i: number, of: (l: Loaded) => number, p = 0) => median(seen[i][p].map(of));
  const beyond = ({ peak, before, bytes, device }: Loaded) => peak - before - (device ?? bytes);
  const seconds = (i: number, p: number) => middle(i, (l) => l.seconds, p);
  const ratio = (i: number, p: number) =>
    i === 0 ? "" : (seconds(0, p) / seconds(i, p)).toFixed(2);
  print([
    [
      "loading BART-large, f32",
      ...places.flatMap((place) => [`from ${place}`, "ours / this"]),
      "time of all CPUs",
      "peak memory beyond one copy",
    ],
    ...LOADERS.map(({ name }, i) => [
      name,
      ...places.flatMap((_, p) => [`${seconds(i, p).toFixed(2)} s`, ratio(i, p)]),
      `${middle(i, (l) => l.busy).toFixed(2)} s`,
      gigabytes(middle(i, beyond)),
    ]),
  ]);
  const quick = seconds(0, 0) <= 1.5 * seconds(1, 0);
  const small = middle(0, beyond) < 0.5 * middle(0, (l) => l.bytes);
  if (!quick) console.log("too slow: more than 1.5 times the time of load_file and a copy\n");
  if (!small) console.log("too large: more than half a copy of the file beyond the device's own\n");
  return quick && small;
}

type Case = {
  readonly script: string;
  readonly args: readonly string[];
  readonly what: string;
  readonly device: string;
};

function casesOf(parts: readonly Part[], devices: readonly string[]): Case[] {
  const cases: Case[] = [];
  const has = (part: Part) => parts.includes(part);
  for (const device of devices) {
    for (const storage of ["f32", "f16", "bf16"]) {
      if (!has("bert")) continue;
      cases.push({
        script: "models",
        args: ["bert", device, storage],
        what: `BERT ${storage}`,
        device,
      });
    }
    if (has("bart")) {
      cases.push({ script: "models", args: ["bart", device, "f32"], what: "BART f32", device });
    }
    for (const storage of ["f32", "f16", "bf16"]) {
      if (!has("step")) continue;
      cases.push({
        script: "step",
        args: [device, storage],
        what: `step, BERT ${storage}`,
        device,
      });
    }
  }
  if (has("training") && devices.includes("cpu")) {
    cases.push({ script: "training", args: [], what: "training BART", device: "cpu" });
  }
  return cases;
}

async function comparing(folder: string, cases: readonly Case[]): Promise<boolean> {
  const rows = [
    ["", "device", "compared", "largest difference", "allowed", "of", "time", "peak memory"],
  ];
  let good = true;
  for (const { script, args, what, device } of cases) {
    log(`${what} on ${device}`);
    const first = rows.length;
    await follow(process.execPath, [programOf(script), folder, ...args], (text) => {
      const line = JSON.parse(text) as Line;
      if (line.kind === "note") log(`  ${line.text}`);
      if (line.kind === "compared") {
        const same = line.difference <= line.allowed; // NaN is not
        good &&= same;
        const [d, a, l] = [line.difference, line.allowed, line.largest];
        const shown = `${d.toExponential(1)}${same ? "" : " DIFFERS"}`;
        rows.push([what, device, line.what, shown, a.toExponential(1), l.toPrecision(3), "", ""]);
        log(`  ${line.what}: ${shown} of ${l.toPrecision(3)}`);
      }
      if (line.kind === "done") {
        rows[first].splice(6, 2, `${line.seconds.toFixed(1)} s`, gigabytes(line.peak));
      }
    });
  }
  if (cases.length > 0) print(rows);
  return good;
}

/** Losses of ten steps may differ by this share of PyTorch's, norms of the gradients by ten times as much. */
const SHARE = 1e-4;

const pairReference = join(import.meta.dirname, "../reference_pairs.py");

async function training(folder: string, names: readonly (keyof typeof PAIRS)[]): Promise<boolean> {
  const rows = [
    [
      ...["pair", "batch", "device", "asked for", "device's bytes", "peak of train"],
      ...["peak of ten steps", "PyTorch's", "losses differ by", "norms by"],
    ],
  ];
  let good = true;
  for (const name of names) {
    const pair = PAIRS[name];
    const { generator, batch } = pair;
    log(`${generator} in batches of ${batch}`);
    await follow("python3", [pairReference, "make", folder, generator], () => {});
    const trained = pair.trains
      ? await trainPair(folder, pair, (text) => log(`  ${text}`))
      : undefined;
    for (const problem of trained?.problems ?? []) console.log(`${name}: ${problem}\n`);
    const args = [folder, generator, String(batch)];
    const ours: Step[] = [];
    let taken: Extract<LossLine, { kind: "memory" }> | undefined;
    await follow(process.execPath, [programOf("losses"), ...args], (text) => {
      const line = JSON.parse(text) as LossLine;
      if (line.kind === "memory") taken = line;
      else ours.push(line);
    });
    const theirs: Step[] = [];
    let peak = 0;
    await follow("python3", [pairReference, "losses", ...args], (text) => {
      const line = JSON.parse(text) as Step | { readonly peak: number };
      if ("peak" in line) peak = line.peak;
      else theirs.push(line);
    });
    ours.forEach(({ object, none, norm }, i) => {
      const [a, b] = [object, theirs[i]?.object].map((x) => x?.toFixed(5));
      const [n, of] = [norm, theirs[i]?.norm].map((x) => x?.toFixed(5));
      log(`  step ${i + 1}: ${a}, PyTorch ${b}; "None" ${none.toFixed(5)}; norm ${n}, ${of}`);
    });
    const { object, none, norm } = apart(ours, theirs);
    const same = object <= SHARE && none <= SHARE && norm <= 10 * SHARE; // NaN is not
    const most = Math.max(...(trained?.peaks ?? [taken?.peak ?? 0]));
    good &&= same && most <= pair.most && (trained?.problems ?? []).length === 0;
    if (!same) console.log(`${name}: the losses DIFFER\n`);
    if (most > pair.most) console.log(`${name}: more than ${gigabytes(pair.most)}\n`);
    rows.push([
      ...[`${generator} + bert-base-cased`, String(batch), taken?.description ?? ""],
      ...[gigabytes(taken?.asked ?? 0), gigabytes(taken?.device ?? 0)],
      trained?.peaks.map(gigabytes).join(", resumed ") ?? "",
      ...[gigabytes(taken?.peak ?? 0), gigabytes(peak)],
      ...[Math.max(object, none).toExponential(1), norm.toExponential(1)],
    ]);
  }
  if (names.length > 0) print(rows);
  return good;
}

async function main(values: Given<keyof typeof OPTIONS>): Promise<number> {
  const parts = listOf("only", values.only ?? OPTIONS.only.initial, PARTS);
  const known = Object.keys(DEVICES);
  const devices = listOf("devices", values.devices ?? OPTIONS.devices.initial, known);
  const limits = { least: 1, most: 100, whole: true };
  const rounds = numberOf(TOOL, "rounds", values.rounds ?? OPTIONS.rounds.initial, limits);
  const folder = resolve(values.folder ?? OPTIONS.folder.initial);
  if (!parts.every(isPair)) await prepare(folder, parts);
  const [cpu] = cpus();
  const machine = `${availableParallelism()} x ${cpu?.model ?? arch()}, ${gigabytes(totalmem())}`;
  console.log(`${machine}, Node ${process.version}\n`);
  const quick = !parts.includes("load") || (await loading(folder, rounds));
  const same = await comparing(folder, casesOf(parts, devices));
  const trains = await training(join(folder, "pairs"), parts.filter(isPair));
  return quick && same && trains ? 0 : 1;
}

export const command = commandOf({
  name: TOOL,
  call: "npm run fullsize --",
  about:
    "Proves the engine at full size: BERT-base-cased and BART-large with random weights, written by transformers, beside PyTorch.",
  examples: [
    ["", "all but the parts that take many minutes"],
    ["--only bert,bart", "two parts"],
  ],
  options: OPTIONS,
  notes: `  load      1.6 GB of BART-large into the CPU device, beside safetensors and PyTorch
  bert      logits and loss, kept as f32, f16 and bf16
  bart      logits and loss
  step      the PromptGen step with two facts: prompts, losses, gradients of BART
  training  training BART-large in 4 GiB of the CPU is refused

By name only, for each takes many minutes: BART beside BERT-base-cased on the CPU, ten losses without dropout beside PyTorch's

  base      bart-base in batches of 8; twenty steps of train, SIGKILL, --resume, in 4.0 GB
  base-32   bart-base in batches of 32
  large     bart-large in batches of 8, and train as above, in 12 GB

WebGPU is used as if its largest binding were 128 MiB. The first run makes models and results (3.7 GB, some minutes), later
runs use them again. Python 3 with tools/requirements.txt is needed, 12 GB of memory, and for gpu:software a software adapter.
Exit code 0: all is as PyTorch has it and loading takes at most 1.5 times its time; 1: not so, or an error.`,
  writesFiles: true,
  run: ({ values }) => main(values),
});

export const run = (): Promise<never> => runCommand(command);
