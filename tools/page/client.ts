/** The page's side of the worker: requests with their types, and who listens to events. */
import type { FromWorker, Kind, PageEvent, Request, Requests } from "./protocol.ts";

type Waiting = { resolve(give: unknown): void; reject(error: Error): void };

/** A worker that is asked. */
export class Client {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  readonly #listeners = new Set<(event: PageEvent) => void>();
  #next = 0;

  constructor(worker: Worker) {
    this.#worker = worker;
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => this.#take(data);
    worker.onerror = (event) => {
      const error = event.message || "the worker could not be started";
      this.#tell({ event: "lost", error });
      for (const { reject } of this.#waiting.values()) reject(new Error(error));
      this.#waiting.clear();
    };
  }

  /** Asks the worker. @throws Error with the worker's sentence */
  ask<K extends Kind>(kind: K, take: Requests[K]["take"]): Promise<Requests[K]["give"]> {
    const id = this.#next++;
    const answer = new Promise<unknown>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
    });
    this.#worker.postMessage({ id, kind, take } as Request);
    return answer as Promise<Requests[K]["give"]>;
  }

  /** Calls `listener` with each event; gives what ends it. */
  listen(listener: (event: PageEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #tell(event: PageEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  #take(data: FromWorker): void {
    if ("event" in data) {
      this.#tell(data);
      return;
    }
    const waiting = this.#waiting.get(data.id);
    this.#waiting.delete(data.id);
    if ("error" in data) waiting?.reject(new Error(data.error));
    else waiting?.resolve(data.give);
  }
}
