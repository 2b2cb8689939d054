/** Starts the worker threads, in Node or in a page, and passes messages. What the messages say is in protocol.ts. */
import { DeviceLostError, type EngineError } from "../../errors.ts";
import { inNode } from "../host.ts";
import { destroyed } from "../results.ts";
import type { Kernels } from "./module.ts";
import type { Answer, Message, Request } from "./protocol.ts";

/** The same few things of a Node worker and of a page's. */
type Port = {
  post(message: Message, transfer: ArrayBuffer[]): void;
  /** Whether a waiting answer keeps the process alive. */
  hold(alive: boolean): void;
  terminate(): void;
};

type Listener = { answer(a: Answer): void; failed(why: string): void };

async function startWorker({ answer, failed }: Listener): Promise<Port> {
  if (inNode()) {
    const { Worker } = await import("node:worker_threads");
    const name = `worker.${import.meta.url.slice(-2)}`; // .ts from source, .js in the package
    const url = new URL(name, import.meta.url);
    // the flags of this process are for its own program: --input-type would keep a worker from starting
    const worker = new Worker(url, { name: "cpu kernels", execArgv: [] });
    worker.on("message", answer);
    worker.on("error", (e) => failed(e instanceof Error ? e.message : String(e)));
    worker.on("exit", () => failed("a worker ended"));
    return {
      post: (message, transfer) => worker.postMessage(message, transfer),
      hold: (alive) => (alive ? worker.ref() : worker.unref()),
      terminate: () => {
        worker.removeAllListeners("exit");
        worker.terminate();
      },
    };
  }
  // bundlers follow just this form, with the name and the options as literals
  const worker = new Worker(new URL("./worker.js", import.meta.url), {
    type: "module",
    name: "cpu kernels",
  });
  worker.onmessage = (e: MessageEvent<Answer>) => answer(e.data);
  worker.onerror = (e) => failed(e.message || "a worker could not be started");
  return {
    post: (message, transfer) => worker.postMessage(message, transfer),
    hold: () => undefined,
    terminate: () => worker.terminate(),
  };
}

type Waiting = { resolve: (a: Answer) => void; reject: (e: Error) => void };

/** The leader and its helpers. Requests are served in the order in which they are posted. */
export class Workers {
  #ports: Port[] = [];
  #waiting = new Map<number, Waiting>();
  #next = 0;
  #failure: EngineError | undefined;
  /** What the workers share; undefined where memory cannot be shared. */
  memory: WebAssembly.Memory | undefined;

  private constructor(memory: WebAssembly.Memory | undefined) {
    this.memory = memory;
  }

  /** Starts `threads` workers; more than one need `memory`, which they share. */
  static async start(
    kernels: Kernels,
    memory: WebAssembly.Memory | undefined,
    threads: number,
  ): Promise<Workers> {
    const workers = new Workers(memory);
    const listener: Listener = {
      answer: (a) => workers.#answer(a),
      failed: (why) => workers.#fail(`the CPU workers failed: ${why}`),
    };
    workers.#ports = await Promise.all(
      Array.from({ length: threads }, () => startWorker(listener)),
    );
    try {
      await Promise.all(
        workers.#ports.map((port, thread) => {
          const { module, build, names } = kernels;
          const open = {
            kind: "open",
            module,
            build,
            kernels: names,
            memory,
            thread,
            threads,
          } as const;
          return workers.#call(port, open, []);
        }),
      );
    } catch (error) {
      workers.terminate();
      throw error;
    }
    for (const port of workers.#ports) port.hold(false);
    return workers;
  }

  #fail(why: string): void {
    this.#failure ??= new DeviceLostError(`[cpu] ${why}`);
    for (const { reject } of this.#waiting.values()) reject(this.#failure);
    this.#waiting.clear();
    this.#ports[0]?.hold(false);
  }

  #answer(answer: Answer): void {
    if (answer.id === undefined) {
      this.#fail(answer.error ?? "an unknown error");
      return;
    }
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if (this.#waiting.size === 0) this.#ports[0].hold(false);
    if (answer.error === undefined) waiting?.resolve(answer);
    else {
      this.#fail(answer.error);
      waiting?.reject(new DeviceLostError(`[cpu] ${answer.error}`));
    }
  }

  #call(port: Port, request: Request, transfer: ArrayBuffer[]): Promise<Answer> {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      port.hold(true);
      port.post({ id, request }, transfer);
    });
  }

  /** Throws what went wrong in a worker, if anything did. */
  assertHealthy(): void {
    if (this.#failure) throw this.#failure;
  }

  /** Asks the leader; while the answer is out the process stays alive. */
  async call(request: Request, transfer: ArrayBuffer[] = []): Promise<Answer> {
    this.assertHealthy();
    return this.#call(this.#ports[0], request, transfer);
  }

  /** Tells the leader something that needs no answer; should it fail, the next request throws. */
  post(request: Request, transfer: ArrayBuffer[] = []): void {
    this.assertHealthy();
    this.#ports[0].post({ request }, transfer);
  }

  terminate(): void {
    this.#failure = destroyed("cpu");
    for (const port of this.#ports) port.terminate();
    for (const { reject } of this.#waiting.values()) reject(this.#failure);
    this.#waiting.clear();
    this.memory = undefined; // results that somebody still holds do not hold it
  }
}
