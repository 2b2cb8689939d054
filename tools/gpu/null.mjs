/**
 * Time that the host needs to encode, without a GPU: Dawn's null backend takes all calls and computes nothing. For any program that
 * opens a hardware GPU, of this or of an older state of the engine:
 *
 *   node --import ./tools/gpu/null.mjs tools/gpu/step.ts --size slim --steps 30
 *
 * At the end it prints, of the runs behind the first five, the processor time of the encoding thread, from the run's first command
 * encoder to its last submit, and of the last run when each submit was made. Results are arbitrary. Linux counts a thread's time in steps
 * of 4 ms, so that of three figures the mean is the finest.
 */
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const path = createRequire(join(process.cwd(), "package.json")).resolve("webgpu");
const { create, globals } = await import(pathToFileURL(path).href);
Object.assign(globalThis, globals);
const gpu = create([
  "backend=null",
  `enable-dawn-features=${["allow_unsafe_apis", ...(process.env.DAWN_TOGGLES?.split(",") ?? [])]}`,
]);
Object.defineProperty(globalThis, "__null", { value: gpu }); // Dawn crashes when it is collected
Object.defineProperty(globalThis.navigator, "gpu", { value: gpu, configurable: true });

const busy = () => {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1e3;
};
/** Milliseconds of each run; `submits` are since the run's beginning. */
const runs = [];
let open;
function begin() {
  if (open) return;
  open = { from: busy(), encode: 0, submits: [] };
  queueMicrotask(() => {
    if (open.submits.length > 0) runs.push(open);
    open = undefined;
  });
}
const { createCommandEncoder } = GPUDevice.prototype;
GPUDevice.prototype.createCommandEncoder = function (...args) {
  begin();
  return createCommandEncoder.apply(this, args);
};
const { submit } = GPUQueue.prototype;
GPUQueue.prototype.submit = function (...args) {
  const result = submit.apply(this, args);
  if (open) {
    open.encode = busy() - open.from;
    open.submits.push(open.encode);
  }
  return result;
};

process.on("exit", () => {
  const times = runs.slice(5).map(({ encode }) => encode);
  if (times.length === 0) return;
  const sorted = times.sort((a, b) => a - b);
  const [least, median] = [sorted[0], sorted[sorted.length >> 1]];
  const mean = times.reduce((sum, time) => sum + time, 0) / times.length;
  const last = runs[runs.length - 1].submits.map((at) => Number(at.toFixed(2)));
  const rounded = Object.fromEntries(
    Object.entries({ least, median, mean }).map(([key, value]) => [key, Number(value.toFixed(2))]),
  );
  console.log("encoding_ms", JSON.stringify({ runs: times.length, ...rounded, submits: last }));
});
