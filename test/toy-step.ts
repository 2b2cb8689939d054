/** What a device makes of the workload of the GPU kit, at toy size. */
import * as assert from "uvu/assert";
import { compile } from "../engine/compile.ts";
import type { Device } from "../engine/device.ts";
import { type Part, workload } from "../tools/gpu/workload.ts";

/** Launches that a device makes of a toy's step, or of a part of it. */
export async function made(device: Device, part: Part): Promise<number> {
  const { batch, optimizer, parameters, run } = workload({ size: "toy", part });
  for (const p of parameters) device.write(p, new Float32Array(p.size).fill(0.01));
  const before = device.stats.launches;
  const step = compile(device, run);
  const { report } = await step(batch, Uint32Array.of(1, 0, 1, 0), optimizer.scalars(1, 1e-5));
  assert.ok((await report.read()).every(Number.isFinite), part);
  return device.stats.launches - before;
}
