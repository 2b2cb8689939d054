/** Web workers for libraries that expect a browser, made of worker threads of Node. */
import { resolveObjectURL } from "node:buffer";
import { Worker } from "node:worker_threads";

/** What a classic web worker's script finds in its global scope. */
const scope = `
const { parentPort } = require("node:worker_threads");
globalThis.self = globalThis;
globalThis.postMessage = (data) => parentPort.postMessage(data);
parentPort.on("message", (data) => self.onmessage({ data }));
`;

/** As much of a browser's Worker as a library needs that starts its threads from a blob: messages both ways. */
class BlobWorker {
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onerror: ((error: Error) => void) | null = null;
  #worker: Promise<Worker>;
  constructor(url: string) {
    this.#worker = this.#start(url);
  }
  async #start(url: string): Promise<Worker> {
    const script = await resolveObjectURL(url)?.text();
    const worker = new Worker(`${scope}${script}`, { eval: true });
    worker.on("message", (data) => this.onmessage?.({ data }));
    worker.on("error", (error) => this.onerror?.(error as Error));
    return worker;
  }
  async postMessage(data: unknown): Promise<void> {
    (await this.#worker).postMessage(data);
  }
}

/** Gives Node the Worker of a browser with `cores` processors, so that libraries made for browsers use threads here too. */
export function provideWorkers(cores: number): void {
  Object.assign(globalThis, { Worker: BlobWorker });
  Object.defineProperty(navigator, "hardwareConcurrency", { value: cores, configurable: true });
}
