/**
 * Times the PromptGen training step on a device, with random weights: no checkpoint and no tokenizer is needed.
 *
 *   node tools/gpu/step.ts [--device gpu|gpu:software|cpu] [--size full|base|small|slim|toy] [--part step|forward|bert] [--batch 32]
 *       [--steps 20] [--dropout 0.1] [--attn 0.1] [--threads N] [--memory 12G] [--binding BYTES] [--json FILE]
 *       [--precision f32|f16 [--no-units]] [--profile [--bandwidth GB/S] [--rate GFLOPS] [--top 30]]
 *
 * Prints one figure a line: host and wall times of steps whose report is awaited, and the time of a step when none is.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { compile } from "../../engine/compile.ts";
import { precisions } from "../../engine/device.ts";
import { openDevice } from "../../engine/open.ts";
import { stateName } from "../../engine/tensor.ts";
import { checkDevice } from "../lib/cli.ts";
import { optionsOf, WORKLOAD_FLAGS } from "./options.ts";
import { measuredPeak, type Peak, printedProfile, profileOf } from "./profile-tables.ts";
import { settled, workload } from "./workload.ts";

const { values } = parseArgs({
  options: {
    ...WORKLOAD_FLAGS,
    device: { type: "string", default: "gpu" },
    threads: { type: "string" },
    memory: { type: "string" },
    steps: { type: "string", default: "20" },
    binding: { type: "string" },
    profile: { type: "boolean", default: false },
    bandwidth: { type: "string" },
    rate: { type: "string" },
    top: { type: "string", default: "30" },
    json: { type: "string" },
    precision: { type: "string", default: "f32" },
    "no-units": { type: "boolean", default: false },
  },
});
const options = optionsOf(values);
const steps = Number(values.steps);
const precision = precisions.find((known) => known === values.precision);
if (precision === undefined) {
  throw new Error(`[gpu] --precision ${values.precision}: choose among ${precisions.join(", ")}`);
}

const report: Record<string, unknown> = {};
function say(key: string, value: unknown): void {
  report[key] = value;
  console.log(key.padEnd(18), JSON.stringify(value));
}
const rounded = (x: number, digits = 3): number => Number(x.toFixed(digits));
const since = (start: number): number => rounded((performance.now() - start) / 1e3, 2);

const open = () =>
  openDevice({
    ...checkDevice("gpu", {
      device: values.device,
      threads: values.threads,
      memory: values.memory,
    }),
    profile: values.profile,
    precision,
    units: !values["no-units"],
    ...(values.binding === undefined ? {} : { maxBinding: Number(values.binding) }),
  });

/** What the device does at the best: what the options say, else as it is measured on it. */
async function peakOf(): Promise<Peak> {
  const { bandwidth, rate } = values;
  let measured: Peak = { bytes: 1, flops: 1 };
  if (bandwidth === undefined || rate === undefined) {
    const apart = await open();
    measured = await measuredPeak(apart);
    apart.destroy();
  }
  return {
    bytes: bandwidth === undefined ? measured.bytes : Number(bandwidth) * 1e6,
    flops: rate === undefined ? measured.flops : Number(rate) * 1e6,
  };
}

const peak = values.profile ? await peakOf() : undefined;
const device = await open();
say("device", device.description);
say("shapes", settled(options));
const { batch, optimizer, parameters, run } = workload(options);

/** Random numbers from which all weights are taken, from changing places: times of zeros would mislead. */
const BLOCK = 2 ** 22;
let seed = 7;
const block = Float32Array.from({ length: BLOCK + 4096 }, () => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return ((seed >>> 8) / 2 ** 23 - 1) * 0.035;
});
let place = 0;

function weightsOf(name: string, size: number): Float32Array<ArrayBuffer> {
  const data = new Float32Array(size);
  if (/layer_?norm.*weight/i.test(name)) return data.fill(1);
  if (/bias/.test(name)) return data;
  for (let at = 0; at < size; at += BLOCK) {
    place = (place + 97) % 4096;
    data.set(block.subarray(place, place + Math.min(BLOCK, size - at)), at);
  }
  return data;
}

const uploading = performance.now();
for (const parameter of parameters) {
  device.write(parameter, weightsOf(stateName(parameter), parameter.size));
}
await device.synchronize();
say("upload_s", since(uploading));

const step = compile(device, run);
const launch = (i: number) => step(batch, Uint32Array.of(1, 0, i, 0), optimizer.scalars(i, 1e-5));

async function once(i: number): Promise<{ host: number; wall: number; values: number[] }> {
  const start = performance.now();
  const result = await launch(i);
  const host = performance.now() - start;
  const read = await result.report.read();
  return { host, wall: performance.now() - start, values: Array.from(read.slice(0, 8)) };
}

const beginning = performance.now();
const first = await once(1);
say("first_step_s", since(beginning));
say("stats", { ...device.stats });
const before = { ...device.stats };
const times: Awaited<ReturnType<typeof once>>[] = [];
for (let i = 2; i < 2 + steps; i++) times.push(await once(i));
const settledTimes = times.slice(Math.min(3, steps - 1));
const median = (key: "host" | "wall"): number =>
  rounded(settledTimes.map((row) => row[key]).sort((a, b) => a - b)[settledTimes.length >> 1]);
say("launches", (device.stats.launches - before.launches) / steps);
say("buffers_created", device.stats.buffersCreated - before.buffersCreated);
const all = times.map(({ wall }) => rounded(wall, 1));
say("one_at_a_time_ms", { wall: median("wall"), host: median("host"), all });
say("first_report", first.values);
say("last_report", times.at(-1)?.values);

if (values.device !== "cpu") {
  // no result is waited for: the host encodes the next step while the device works
  const pipelined = performance.now();
  for (let i = 0; i < steps; i++) await launch(100 + i);
  await device.synchronize();
  say("pipelined_ms", rounded((performance.now() - pipelined) / steps));
}
say("peak_bytes", process.resourceUsage().maxRSS * 1024);
if (peak) {
  const rows = device.profile();
  const stepsSeen = 1 + steps * (values.device === "cpu" ? 1 : 2);
  const seen = rows.reduce((sum, { launches }) => sum + launches, 0);
  say("profiled_launches_of", [seen, device.stats.launches]);
  say("peak", { GBps: rounded(peak.bytes / 1e6, 1), GFLOPS: rounded(peak.flops / 1e6, 1) });
  const profile = profileOf(rows, stepsSeen, peak);
  const entries = Object.entries(profile).map(([of, sums]) => [of, Object.fromEntries(sums)]);
  report.profile = Object.fromEntries(entries);
  console.log(printedProfile(profile, Number(values.top)));
  if (values.device === "cpu" && values.threads === "1") {
    // launches one after the other, their tasks of equal length shared among threads; memory as quick for all of them
    const at = (threads: number): number =>
      rows.reduce((sum, { tasks = 1, milliseconds: ms }) => {
        return sum + (ms * Math.ceil(tasks / threads)) / Math.max(1, tasks);
      }, 0);
    for (const threads of [1, 2, 8, 16]) {
      say(`computed_ms_${threads}_threads`, rounded(at(threads) / stepsSeen, 1));
    }
  }
}
if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(report, null, 1));
process.exit(0);
