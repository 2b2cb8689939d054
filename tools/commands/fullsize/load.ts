/** Loads BART-large into the CPU device once, in a process of its own; prints one JSON line of `Loaded`. */
import { join } from "node:path";
import { compile } from "../../../engine/compile.ts";
import { openDevice } from "../../../engine/open.ts";
import { sum } from "../../../engine/ops/reduce.ts";
import { concat, reshape, slice } from "../../../engine/ops/shape.ts";
import { BartForConditionalGeneration } from "../../../models/bart.ts";
import { type Loaded, memory } from "./process.ts";

/** `clone`: until every byte is in the device's memory; `sum`: and the sum of each tensor. */
const [folder, how] = process.argv.slice(2);
const device = await openDevice({ device: "cpu" });
const before = memory("VmRSS");
const start = performance.now();
const used = process.cpuUsage();
const model = await BartForConditionalGeneration.load(join(folder, "bart"));
const { parameters, buffers } = model.weights;
const tensors = [...parameters.values(), ...buffers.values()];
const load = compile(device, () =>
  concat(
    tensors.map((t) => {
      const flat = reshape(t, [-1]);
      return how === "sum" ? reshape(sum(flat), [1]) : slice(flat, 0, 0, 1);
    }),
    0,
  ),
);
const values = await (await load()).read();
const seconds = (performance.now() - start) / 1000;
const { user, system } = process.cpuUsage(used);
if (!values.every(Number.isFinite)) throw new Error("the values are not finite");
const bytes = tensors.reduce((n, t) => n + t.bytes, 0);
const busy = (user + system) / 1e6;
const peak = memory("VmHWM");
const loaded: Loaded = { seconds, busy, bytes, before, peak, device: device.stats.bytes };
console.log(JSON.stringify(loaded));
process.exit(0);
