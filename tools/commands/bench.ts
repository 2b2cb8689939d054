/**
 * `npm run bench`: times kernels and whole training steps, each library in processes of its own, in turns.
 * Quote ratios from one run; absolute times drift between machines.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { median, type Row, stackFlops } from "./bench/workload.ts";

const help = `npm run bench -- [options]

  --device D     auto, gpu or gpu:software (default auto)
  --peer jax-js  runs jax-js 0.1.25 on the same adapter in the same run (installed into .bench/ on first use)
  --only LIST    of matmul, rows, forward, training, promptgen (default all)
  --rounds N     rounds, libraries in turn (default 3); the median of the rounds' medians of 7 is printed
  --cold         each process starts with an empty shader cache, and the first call counts
  --json FILE    also writes every row there`;

const { values: args } = parseArgs({
  options: {
    device: { type: "string", default: "auto" },
    peer: { type: "string" },
    only: { type: "string", default: "" },
    rounds: { type: "string", default: "3" },
    cold: { type: "boolean", default: false },
    json: { type: "string" },
    help: { type: "boolean", default: false },
  },
});
if (args.help) {
  console.log(help);
  process.exit(0);
}
if (args.peer && args.peer !== "jax-js") {
  console.error(`[bench] --peer ${args.peer} is unknown; the one peer is jax-js`);
  process.exit(1);
}

const bench = join(import.meta.dirname, "../../.bench");
if (args.peer && !existsSync(join(bench, "node_modules/@jax-js/jax"))) {
  mkdirSync(bench, { recursive: true });
  writeFileSync(join(bench, "package.json"), '{ "private": true }\n');
  console.log("installing @jax-js/jax 0.1.25 into .bench/ ...");
  const npm = spawnSync("npm", ["install", "--no-audit", "--no-fund", "@jax-js/jax@0.1.25"], {
    cwd: bench,
  });
  if (npm.status !== 0) throw new Error(`[bench] npm could not install jax-js: ${npm.stderr}`);
}

/** Runs one process and collects its rows. */
function run(script: string, argv: string[]): Promise<Row[]> {
  const cache = args.cold ? mkdtempSync(join(tmpdir(), "shaders-")) : undefined;
  const env = cache
    ? { ...process.env, MESA_SHADER_CACHE_DIR: cache, MESA_SHADER_CACHE_DISABLE: "false" }
    : process.env;
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(import.meta.dirname, script), ...argv], {
      env,
      stdio: ["ignore", "pipe", "inherit"],
    });
    let out = "";
    child.stdout.on("data", (d) => {
      out += d;
    });
    child.on("close", () => {
      if (cache) rmSync(cache, { recursive: true, force: true });
      const rows = out.split("\n").filter((l) => l.startsWith("{"));
      if (rows.length === 0) reject(new Error(`[bench] ${script} printed no figures`));
      else resolve(rows.map((l) => JSON.parse(l) as Row));
    });
  });
}

const sides = [
  { name: "ours", start: () => run("bench/ours.ts", [args.device, args.only]) },
  ...(args.peer
    ? [{ name: "jax-js", start: () => run("bench/jax.ts", [bench, "webgpu", args.only]) }]
    : []),
];
const collected = new Map<string, Map<string, Row[]>>();
for (let round = 0; round < Number(args.rounds); round++) {
  for (const side of sides) {
    process.stderr.write(`round ${round + 1}: ${side.name}\n`);
    for (const row of await side.start()) {
      const byName = collected.get(row.name) ?? new Map<string, Row[]>();
      byName.set(side.name, [...(byName.get(side.name) ?? []), row]);
      collected.set(row.name, byName);
    }
  }
}

const cell = (ms: number | undefined): string =>
  ms === undefined ? "-" : ms.toFixed(ms < 10 ? 2 : 1);
const flops: Record<string, number> = {
  "matmul 256": 2 * 256 ** 3,
  "matmul 512": 2 * 512 ** 3,
  "matmul 1024": 2 * 1024 ** 3,
  "stack forward": stackFlops,
  "stack training": 3 * stackFlops,
};
console.log(
  `${"".padEnd(20)}${"ours ms".padStart(10)}${"GFLOPS".padStart(9)}${"first".padStart(10)}` +
    (args.peer
      ? `${"jax-js ms".padStart(12)}${"first".padStart(10)}${"ratio".padStart(8)}${"first".padStart(8)}`
      : ""),
);
for (const [name, byName] of collected) {
  const of = (side: string, key: "median" | "first"): number | undefined => {
    const rows = byName.get(side);
    return rows && median(rows.map((r) => r[key]));
  };
  const [mine, first] = [of("ours", "median"), of("ours", "first")];
  const [theirs, theirFirst] = [of("jax-js", "median"), of("jax-js", "first")];
  const gflops = mine && flops[name] ? (flops[name] / mine / 1e6).toFixed(1) : "";
  const ratio = (a?: number, b?: number): string => (a && b ? (a / b).toFixed(2) : "-");
  const note = byName.get("ours")?.[0].note;
  console.log(
    `${name.padEnd(20)}${cell(mine).padStart(10)}${gflops.padStart(9)}${cell(first).padStart(10)}` +
      (args.peer
        ? `${cell(theirs).padStart(12)}${cell(theirFirst).padStart(10)}${ratio(mine, theirs).padStart(8)}${ratio(first, theirFirst).padStart(8)}`
        : "") +
      (note ? `   ${note}` : ""),
  );
}
if (args.json) {
  const rows = Object.fromEntries([...collected].map(([n, m]) => [n, Object.fromEntries(m)]));
  writeFileSync(args.json, `${JSON.stringify(rows, null, 1)}\n`);
}
