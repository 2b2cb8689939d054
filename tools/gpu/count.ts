/**
 * Counts the launches, bytes and floating-point operations of the training step from its plan; no device runs.
 *
 *   node tools/gpu/count.ts [--size full|base|small|slim|toy] [--part step|forward|bert] [--batch 32] [--subject 5] [--extra 11]
 *       [--dropout 0.1] [--attn 0.1] [--binding BYTES] [--top 30] [--json FILE]
 */
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { compile } from "../../engine/compile.ts";
import { firstJoined } from "../../engine/devices/onlooker.ts";
import { bytesMoved } from "../../engine/devices/traffic.ts";
import { chunked, joinRules, scratchBytes } from "../../engine/devices/webgpu/chunks.ts";
import { windows } from "../../engine/devices/webgpu/windows.ts";
import type { AnyLaunch, AnyPlan, Region } from "../../engine/plan.ts";
import { geometryOf, type Numbers } from "../../kernels/webgpu/table.ts";
import { printTable } from "../../promptgen/report/table.ts";
import { optionsOf, WORKLOAD_FLAGS } from "./options.ts";
import { type WorkloadOptions, workload } from "./workload.ts";

/** A large GPU. */
const ADAPTER = {
  software: false,
  subgroupSize: 32,
  maxWorkgroupStorage: 49152,
  maxStorageBuffers: 10,
};
const BINDING = 2 ** 31 - 4;
/** Of an H100: bytes and operations (f32) a millisecond at the best. */
const PEAK = { bytes: 3.35e9, flops: 60e9 };

/** The plan of a workload, as a large GPU with bindings of so many bytes gets it, or without joins, as the CPU does. */
export async function planOf(
  options: WorkloadOptions,
  { joined = true, binding = BINDING } = {},
): Promise<AnyPlan> {
  const { batch, optimizer, run } = workload(options);
  const plan = await firstJoined(
    (device) => compile(device, run)(batch, Uint32Array.of(1, 0, 1, 0), optimizer.scalars(1, 1e-5)),
    joined ? joinRules(ADAPTER, binding) : undefined,
  );
  if (plan) return plan;
  throw new Error("nothing was planned");
}

/** What all launches of one name have together. */
export type Sum = {
  launches: number;
  bytes: number;
  flops: number;
  workgroups: number;
};

export type Counts = {
  readonly launches: readonly AnyLaunch[];
  /** Dispatches: a product whose K is split is two, and so is a join. */
  readonly dispatches: number;
  /** Bytes that the first of two write and the second reads. */
  readonly parts: number;
  /** Slots of intermediates, bytes each. */
  readonly slots: readonly number[];
  /** The fewest points where a dispatch waits for all before it, if whole memories are what is watched. */
  readonly barriers: number;
  readonly kernels: ReadonlyMap<string, Sum>;
  readonly ops: ReadonlyMap<string, Sum>;
  /** Matrix products by shape and tile. */
  readonly products: ReadonlyMap<string, Sum>;
};

const present = (regions: readonly (Region | null)[]): Region[] =>
  regions.filter((region) => region !== null);

function keyOf({ memory }: Region): string {
  return `${memory.kind} ${memory.kind === "state" ? memory.state.node.id : memory.index}`;
}

/** What a launch reads: of a join, what its products read too. */
const inputsOf = (l: AnyLaunch): Region[] =>
  present([...("products" in l ? l.products.flatMap(({ inputs }) => inputs) : []), ...l.inputs]);

type Product = {
  readonly params: Numbers & Record<"M" | "N" | "K" | "batch", number>;
  readonly constants: Numbers;
};

/** The matrix products of a launch; a matrix's gradient with sums of it is one, or two that are added. */
function productsOf(l: AnyLaunch): readonly Product[] {
  if ("products" in l && l.kernel === "matmul_gradient") {
    const { K, K1 } = l.params;
    const depths = K1 > 0 ? [K, K1] : [K];
    return depths.map((k) => ({
      params: { ...l.params, K: k, batch: 1 },
      constants: { TRANS_A: 1 },
    }));
  }
  if (l.kernel === "table_attention" || l.kernel === "table_attention_backward") {
    // the second has what the first gives as its left operand
    return l.products.flatMap(({ params, constants }) => [
      { params, constants },
      { params: { ...params, N: params.K, K: params.N }, constants: { ...constants, TRANS_B: 0 } },
    ]);
  }
  return "products" in l ? l.products : l.kernel === "matmul" ? [l] : [];
}

const flopsOf = ({ params: { M, N, K, batch } }: Product): number => 2 * M * N * K * batch;

/** What the first of two dispatches of a join writes besides parts, or both read. */
function againOf(l: AnyLaunch): (Region | null)[] {
  if (l.kernel === "table_attention") return [l.outputs[0]];
  if (l.kernel !== "table_attention_backward") return [];
  return [l.outputs[0], l.outputs[0], l.inputs[2]];
}

function costOf(l: AnyLaunch): Sum {
  const { groups } = "wgsl" in l ? l : geometryOf(l.kernel, l.params, l.constants, ADAPTER);
  return {
    launches: 1,
    bytes: bytesMoved({ ...l, inputs: [...inputsOf(l), ...againOf(l)] }),
    flops: productsOf(l).reduce((sum, product) => sum + flopsOf(product), 0),
    workgroups: typeof groups === "number" ? groups : groups.reduce((a, b) => a * b, 1),
  };
}

function add(sums: Map<string, Sum>, name: string, more: Sum): void {
  const sum = sums.get(name) ?? { launches: 0, bytes: 0, flops: 0, workgroups: 0 };
  for (const key of Object.keys(more) as (keyof Sum)[]) sum[key] += more[key];
  sums.set(name, sum);
}

/** A dispatch waits if it reads what was written since the last wait, or writes what was read or written since. */
function barriersOf(launches: readonly AnyLaunch[]): number {
  let count = 0;
  const written = new Set<string>();
  const read = new Set<string>();
  for (const l of launches) {
    const reads = inputsOf(l).map(keyOf);
    const writes = [...l.inouts, ...present(l.outputs)].map(keyOf);
    const waits =
      reads.some((key) => written.has(key)) ||
      writes.some((key) => written.has(key) || read.has(key));
    if (waits) {
      count++;
      written.clear();
      read.clear();
    }
    for (const key of reads) read.add(key);
    for (const key of writes) written.add(key);
  }
  return count;
}

/** Counts a plan as WebGPU would run it. */
export function countPlan(plan: AnyPlan, maxBinding = BINDING): Counts {
  const launches = plan.launches.flatMap((launch) => windows(launch, maxBinding));
  const [byKernel, ops, products] = [0, 1, 2].map(() => new Map<string, Sum>());
  for (const l of launches) {
    const cost = costOf(l);
    add(byKernel, l.kernel, cost);
    add(ops, `${l.op}/${l.kernel}`, cost);
    for (const product of productsOf(l)) {
      const { params, constants } = product;
      const { M, N, K, batch } = params;
      const form = `${constants.TRANS_A ? "T" : "N"}${constants.TRANS_B ? "T" : "N"}`;
      const { uses, file } = geometryOf("matmul", params, constants, ADAPTER);
      const share = 1 / productsOf(l).length;
      add(products, `${form} ${M} x ${N} x ${K}, ${batch} of them, ${uses[0] ?? file}`, {
        launches: 1,
        bytes: cost.bytes * share,
        flops: flopsOf(product),
        workgroups: cost.workgroups,
      });
    }
  }
  const { slots } = plan;
  const steps = launches.flatMap((launch) => chunked(launch, ADAPTER));
  const parts = steps.reduce((sum, step) => sum + scratchBytes(step), 0);
  const barriers = barriersOf(launches);
  const dispatches = steps.length;
  return { launches, dispatches, parts, slots, barriers, kernels: byKernel, ops, products };
}

function table(title: string, sums: ReadonlyMap<string, Sum>, top: number): string {
  const sorted = [...sums].sort(([, a], [, b]) => b.flops - a.flops || b.bytes - a.bytes);
  const rows = sorted
    .slice(0, top)
    .map(([name, { launches, bytes, flops, workgroups }]) => [
      name,
      String(launches),
      (bytes / 1e9).toFixed(3),
      (flops / 1e9).toFixed(1),
      (bytes / PEAK.bytes + flops / PEAK.flops).toFixed(3),
      (workgroups / launches).toFixed(0),
    ]);
  const figures = ["launches", "GB", "GFLOP", "ms", "groups"];
  const right = figures.map((head) => ({ head, align: "right" }) as const);
  return `\n${printTable({ groups: [{ columns: [{ head: title, align: "left" }, ...right] }], rows })}`;
}

/** The launches as JSON, with the bytes of each operand. */
const asJson = (launches: readonly AnyLaunch[]): string => {
  const place = (r: Region | null) => r && [keyOf(r), r.byteOffset, r.byteLength];
  return JSON.stringify(
    launches.map(({ op, kernel, constants, params, inputs, inouts, outputs }) => ({
      op,
      kernel,
      constants,
      params,
      in: inputs.map(place),
      out: [...inouts, ...outputs].map(place),
    })),
  );
};

/** What is counted of a plan, as one table of numbers. */
export function totalsOf({ launches, dispatches, parts, slots, barriers, kernels }: Counts) {
  const sums = [...kernels.values()];
  const of = (key: "bytes" | "flops"): number => sums.reduce((sum, each) => sum + each[key], 0);
  return {
    launches: launches.length,
    dispatches,
    barriers,
    bytes: of("bytes"),
    partsBytes: parts,
    flops: of("flops"),
    slots: slots.length,
    slotBytes: slots.reduce((sum, bytes) => sum + bytes, 0),
  };
}

/** Counts for people, with the `top` rows of each table. */
export function described(counts: Counts, top: number): string {
  const total = totalsOf(counts);
  const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB`;
  return [
    `${total.launches} launches, ${total.barriers} barriers at least`,
    `${total.dispatches} dispatches: a product whose K is split is two, and so is a join of products; ${gigabytes(total.partsBytes)} of parts between them`,
    `${total.slots} slots, ${gigabytes(total.slotBytes)}, the largest ${gigabytes(Math.max(...counts.slots))}`,
    `${gigabytes(total.bytes)} moved, ${(total.flops / 1e12).toFixed(3)} TFLOP; ms below are at ${PEAK.bytes / 1e9} TB/s and ${PEAK.flops / 1e9} TFLOPS`,
    table("kernel", counts.kernels, 99),
    table("matrix product", counts.products, top),
    table("op/kernel", counts.ops, top),
  ].join("\n");
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      ...WORKLOAD_FLAGS,
      binding: { type: "string", default: String(BINDING) },
      top: { type: "string", default: "30" },
      json: { type: "string" },
    },
  });
  const binding = Number(values.binding);
  const plan = await planOf(optionsOf(values), { binding });
  const counts = countPlan(plan, binding);
  console.log(described(counts, Number(values.top)));
  if (values.json !== undefined) writeFileSync(values.json, asJson(counts.launches));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
