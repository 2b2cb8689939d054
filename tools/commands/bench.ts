/**
 * `npm run bench`: times kernels and whole training steps, each library in processes of its own, in turns.
 * Quote ratios from one run; absolute times drift between machines.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { findHardware } from "../../engine/devices/webgpu/adapter.ts";
import { PAIR_SIZES, type PairName, pairTable, timePair } from "./bench/pair.ts";
import { install, peers } from "./bench/peers.ts";
import { median, type Row } from "./bench/process.ts";
import { table } from "./bench/table.ts";

const help = `npm run bench -- [options]

  --device D     auto, gpu, gpu:software or cpu (default auto: a hardware GPU if there is one, else cpu)
  --threads N    threads on the device cpu, ours and each peer's (default: as many as processors)
  --peer LIST    runs other libraries in the same run, of:
                   jax-js           0.1.25; its webgpu backend on the same adapter, its wasm backend on cpu
                   onnxruntime-web  1.30.0, wasm; only on cpu; cannot train
                   tfjs-wasm        4.22.0; only on cpu
                   numpy            of python3, with its BLAS; only on cpu; does not train
                 (packages are installed into .bench/ on first use)
  --only LIST    of matmul, rows, forward, training, promptgen (default all)
  --rounds N     rounds, libraries in turn (default 3); the median of the rounds' medians of 7 is printed
  --cold         each process starts with an empty shader cache, and the first call counts
  --json FILE    also writes every row there

  --pair P       instead: the PromptGen training step of large (BART-large and BERT-base), base (bart-base and BERT-base),
                 small (4 + 4 layers of 512 with 4 of 512) or toy, all dropouts 0.1, 18,544 common words, random weights
  --batch N      facts a step (default 32)
  --memory SIZE  the device's memory, as 12G; above 4G the CPU computes with 64-bit addresses
  --steps N      steps that count in each process (default 5, behind 2 that do not)
  --peer pytorch PyTorch of python3 takes turns (tools/gpu/torch_step.py, f32, eager)

Results are compared: where a peer's differs from ours, the command says so and fails.`;

const { values: args } = parseArgs({
  options: {
    device: { type: "string", default: "auto" },
    threads: { type: "string", default: `${availableParallelism()}` },
    peer: { type: "string", default: "" },
    only: { type: "string", default: "" },
    rounds: { type: "string", default: "3" },
    cold: { type: "boolean", default: false },
    json: { type: "string" },
    pair: { type: "string" },
    batch: { type: "string", default: "32" },
    memory: { type: "string" },
    steps: { type: "string", default: "5" },
    help: { type: "boolean", default: false },
  },
});
if (args.help) {
  console.log(help);
  process.exit(0);
}

function refuse(why: string): never {
  console.error(`[bench] ${why}`);
  process.exit(1);
}
// what auto means is settled here, so that the peers run where ours does
const automatic = async () => ((await findHardware()) ? "gpu" : "cpu");
const device = args.device === "auto" ? await automatic() : args.device;
const names = args.peer.split(",").filter((name) => name !== "");
for (const option of ["threads", "rounds", "batch", "steps"] as const) {
  if (!/^[1-9]\d*$/.test(args[option])) refuse(`--${option} is ${args[option]}, not a count`);
}

const isPair = (name: string): name is PairName => Object.hasOwn(PAIR_SIZES, name);

if (args.pair !== undefined) {
  const { pair, threads, memory } = args;
  if (!isPair(pair)) {
    refuse(`--pair ${pair} is unknown; choose among ${Object.keys(PAIR_SIZES).join(", ")}`);
  }
  if (names.some((name) => name !== "pytorch")) refuse("--pair takes no --peer but pytorch");
  const [batch, steps, rounds] = [args.batch, args.steps, args.rounds].map(Number);
  const peer = names.length > 0;
  const asked = { pair, batch, device, threads, memory, steps, rounds, peer };
  const rows = await timePair(asked, (text) => console.error(text));
  console.log(pairTable(asked, rows));
  if (args.json) writeFileSync(args.json, `${JSON.stringify(Object.fromEntries(rows), null, 1)}\n`);
  process.exit(0);
}
for (const name of names) {
  if (!Object.hasOwn(peers, name))
    refuse(`--peer ${name} is unknown; choose among ${Object.keys(peers).join(", ")}`);
  if (device !== "cpu" && !peers[name].gpu) refuse(`${name} runs only with --device cpu`);
}
const folder = join(import.meta.dirname, "../../.bench");
install(folder, names);

type Report = { about: string; rows: Row[] };

/** Runs one process and collects what it prints. */
function run(script: string): Promise<Report> {
  const cache = args.cold ? mkdtempSync(join(tmpdir(), "shaders-")) : undefined;
  const env = {
    ...process.env,
    ...(cache && { MESA_SHADER_CACHE_DIR: cache, MESA_SHADER_CACHE_DISABLE: "false" }),
    OPENBLAS_NUM_THREADS: args.threads,
    OMP_NUM_THREADS: args.threads,
    MKL_NUM_THREADS: args.threads,
  };
  const program = script.endsWith(".py") ? "python3" : process.execPath;
  const argv = [join(import.meta.dirname, "bench", script), device, args.threads, folder];
  return new Promise((resolve, reject) => {
    const child = spawn(program, args.only ? [...argv, args.only] : argv, {
      env,
      stdio: ["ignore", "pipe", "inherit"],
    });
    let out = "";
    child.stdout.on("data", (d) => {
      out += d;
    });
    child.on("error", reject);
    child.on("close", (code) => {
      if (cache) rmSync(cache, { recursive: true, force: true });
      if (code !== 0) return reject(new Error(`[bench] ${script} ended with ${code}`));
      const lines = out.split("\n").filter((l) => l.startsWith("{"));
      const parsed = lines.map((l) => JSON.parse(l) as Row | { about: string });
      const said = parsed.find((line) => "about" in line);
      resolve({ about: said?.about ?? script, rows: parsed.filter((line) => "name" in line) });
    });
  });
}

/** By row, then by library, in order of appearance. */
const collected = new Map<string, Map<string, Row[]>>();
const abouts = new Map<string, string>();
const sides = [["ours", "ours.ts"], ...names.map((name) => [name, peers[name].script])];
for (let round = 0; round < Number(args.rounds); round++) {
  for (const [side, script] of sides) {
    process.stderr.write(`round ${round + 1}: ${side}\n`);
    const { about, rows } = await run(script);
    abouts.set(side, about);
    for (const row of rows) {
      const byName = collected.get(row.name) ?? new Map<string, Row[]>();
      byName.set(side, [...(byName.get(side) ?? []), row]);
      collected.set(row.name, byName);
    }
  }
}

for (const [side, about] of abouts) console.log(`${`${side}:`.padEnd(17)}${about}`);
console.log(`\nmilliseconds: median of ${args.rounds} x 7 calls; in brackets ours / theirs`);
console.log(table(collected, names, "median"));
console.log("\nmilliseconds: a process's first call; in brackets ours / theirs");
console.log(table(collected, names, "first"));

/** Relative difference between two libraries' results that rounding explains. */
const tolerance = 3e-5;
let differing = 0;
for (const [name, byName] of collected) {
  const value = (side: string): number | undefined => {
    const values = byName.get(side)?.flatMap((row) => row.value ?? []) ?? [];
    return values.length === 0 ? undefined : median(values);
  };
  const mine = value("ours");
  for (const peer of names) {
    const theirs = value(peer);
    if (mine === undefined || theirs === undefined) continue;
    if (Math.abs(mine - theirs) <= tolerance * Math.abs(mine)) continue;
    console.error(`[bench] ${name}: ${peer} computed ${theirs}, ours is ${mine}`);
    differing++;
  }
}
if (args.json) {
  const rows = Object.fromEntries([...collected].map(([n, m]) => [n, Object.fromEntries(m)]));
  writeFileSync(args.json, `${JSON.stringify(rows, null, 1)}\n`);
}
if (differing > 0) process.exitCode = 1;
else if (names.length > 0) console.log("\nAll results agree.");
