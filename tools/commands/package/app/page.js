/** The page's program: what it found stands in `result`. Its address says on which device, and whether in a worker. */
import { run } from "./job.js";

const asked = new URLSearchParams(location.search);
const device = asked.get("device") ?? "cpu";

function inWorker() {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL("./job.js", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = ({ message }) => reject(new Error(message || "the worker could not be started"));
    worker.postMessage(device);
  });
}

(asked.has("worker") ? inWorker() : run(device)).then(
  (found) => {
    globalThis.result = { isolated: crossOriginIsolated, ...found };
  },
  (error) => {
    globalThis.result = { error: `${error.stack ?? error}` };
  },
);
