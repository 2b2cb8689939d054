/**
 * Requests to the server that a model comes from: time limits, retries, redirects, where the token goes, and checks of what
 * comes. Knows neither the Hub's protocol, nor the cache, nor which files are wanted.
 */
import { failure, HubError, noHub, quote } from "./errors.ts";
import type { Host } from "./host.ts";

/** What requests depend on. Times are in milliseconds. */
export type RequestSettings = {
  readonly host: Host;
  /** Of the Hub; without a slash at its end. */
  readonly endpoint: string;
  readonly token: string | undefined;
  /** Until the server begins to answer. */
  readonly responseTimeout: number;
  /** The time in which at least 1 KiB of a body must arrive. */
  readonly stallTimeout: number;
  /** Tries after the first one that bring nothing new. */
  readonly retries: number;
  /** Before the first retry; doubles with each one. */
  readonly backoff: number;
  /** The longest time that a server may ask to be left alone. */
  readonly longestWait: number;
  readonly signal: AbortSignal | undefined;
  readonly notice: (sentence: string) => void;
};

/** A file as the repository describes it. */
export type RemoteFile = {
  readonly path: string;
  readonly size: number; // bytes
  /**
   * Its blob's name: its checksum, sha256 (64 hexadecimal digits) or git's sha1 (40); another name where the server promises
   * none.
   */
  readonly etag: string;
};

/** Bytes of a file and their place in it. */
export type Piece = { readonly at: number; readonly chunk: Uint8Array };

/** Where files come from: a repository on a Hub, a folder of a web server. */
export type Repository = {
  /** What to call it in errors. */
  readonly name: string;
  /** What another one of its kind is called, in a remedy. */
  readonly kind: string;
  readonly requests: Requests;
  /** The commit (40 hexadecimal digits) that a revision names: another one where any file is another one. */
  commit(revision: string): Promise<string>;
  /** The files of a commit, by name. */
  files(commit: string): Promise<ReadonlyMap<string, RemoteFile>>;
  /** Bytes of a file from `offset` on, where the server can do that; from 0 where it cannot. */
  bytes(commit: string, file: RemoteFile, offset: number): AsyncIterable<Piece>;
};

/** Whom is asked, as sentences speak of it. */
export type Server = {
  /** The address; a token goes to its origin alone. */
  readonly endpoint: string;
  /** The repository. */
  readonly name: string;
  readonly token: string | undefined;
  /** What to check where it does not answer as it should: HF_ENDPOINT, the address. */
  readonly setting: string;
  /** What it should answer as. */
  readonly role: "a Hub" | "a server of files";
};

/** One question. */
export type Question = {
  readonly url: string | URL;
  readonly what: string; // in words
  readonly revision: string;
  readonly method?: "HEAD";
  /** The first byte that is wanted; with `size` bytes in all. */
  readonly offset?: number;
  readonly size?: number;
};

const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const MOST_REDIRECTS = 10;
const SLOWEST = 1024; // bytes in one stallTimeout
const NEW_PATIENCE = 1 << 20; // bytes that make up for earlier failures

/** Waits; ends at once when the signal says so. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((done, stopped) => {
    const stop = () => {
      clearTimeout(timer);
      stopped(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      done();
    }, ms);
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  });
}

/** Aborts when too little comes; `add` counts bytes, `stop` ends the watch. */
function watch(controller: AbortController, ms: number, error: () => HubError) {
  let bytes = 0;
  const timer = setInterval(() => {
    if (bytes < SLOWEST) controller.abort(error());
    bytes = 0;
  }, ms);
  return {
    add: (count: number) => {
      bytes += count;
    },
    stop: () => clearInterval(timer),
  };
}

/** Requests to one server. */
export class Requests {
  readonly settings: RequestSettings;
  readonly server: Server;
  readonly #origin: string;
  #answered = false; // whether the server has ever answered

  constructor(server: Server, settings: RequestSettings) {
    this.server = server;
    this.settings = settings;
    this.#origin = new URL(server.endpoint).origin;
  }

  /**
   * Repeats `attempt` while it fails in a way that may pass, with growing pauses. `progress` gives
   * the bytes that have arrived so far: whoever brings much is not counted as failing.
   */
  async persist<T>(attempt: () => Promise<T>, progress: () => number = () => 0): Promise<T> {
    const { retries, backoff, longestWait, signal, notice } = this.settings;
    let failures = 0;
    for (;;) {
      const before = progress();
      try {
        return await attempt();
      } catch (error) {
        signal?.throwIfAborted();
        if (!(error instanceof HubError) || !error.retry) throw error;
        if (progress() - before >= NEW_PATIENCE) failures = 0;
        failures++;
        const pause = Math.max(error.wait, backoff * 2 ** Math.min(failures - 1, 5));
        if (failures > retries || error.wait > longestWait) {
          const tries = failures > 1 ? ` (tried ${failures} times)` : "";
          const kept =
            progress() > 0 ? "; what has arrived is kept, and the next run goes on from there" : "";
          throw new HubError(error.kind, `${error.message.slice(6)}${tries}${kept}`, {
            cause: error,
          });
        }
        notice(`${error.message} (retry ${failures} of ${retries} in ${pause / 1000} s)`);
        await sleep(pause, signal);
      }
    }
  }

  /** A question whose answer is small: its body, at most `most` bytes. Not repeated. */
  async body(question: Question, most: number): Promise<{ response: Response; body: Uint8Array }> {
    const controller = new AbortController();
    const response = await this.#send(question, controller);
    const parts: Uint8Array[] = [];
    let length = 0;
    for await (const chunk of this.#chunks(response, controller, question.what)) {
      length += chunk.length;
      if (length > most) throw this.strange(question.what, "a reply without an end");
      parts.push(chunk);
    }
    const body = new Uint8Array(length);
    let at = 0;
    for (const part of parts) {
      body.set(part, at);
      at += part.length;
    }
    return { response, body };
  }

  /** The head of an answer. Not repeated. */
  async head(question: Question): Promise<Response> {
    const controller = new AbortController();
    try {
      return await this.#send(question, controller);
    } finally {
      controller.abort();
    }
  }

  /** Bytes of a file from `offset` on, or from 0 where the server knows no ranges. Not repeated. */
  async *bytes(question: Question, file: RemoteFile, tag?: string): AsyncGenerator<Piece, void> {
    const { offset = 0, what } = question;
    const controller = new AbortController();
    const response = await this.#send(question, controller);
    try {
      let at = this.#start(response, file, offset, what, tag);
      for await (const chunk of this.#chunks(response, controller, what)) {
        yield { at, chunk };
        at += chunk.length;
      }
    } finally {
      controller.abort();
    }
  }

  /** The chunks of a body, watched; a consumer that leaves early closes the connection. */
  async *#chunks(
    response: Response,
    controller: AbortController,
    what: string,
  ): AsyncGenerator<Uint8Array, void> {
    const reader = response.body?.getReader();
    const watched = watch(controller, this.settings.stallTimeout, () => this.#stalled(what));
    try {
      while (reader) {
        const { done, value } = await reader.read();
        if (done) return;
        watched.add(value.length);
        yield value;
      }
    } catch (error) {
      throw this.#explain(error, what);
    } finally {
      watched.stop();
      controller.abort();
    }
  }

  /** Where the body of a file's response begins; throws when it cannot be the file. */
  #start(
    response: Response,
    file: RemoteFile,
    offset: number,
    what: string,
    tag: string | undefined,
  ): number {
    const { headers, status } = response;
    const hub = this.server.role === "a Hub";
    const source = hub ? "in the list of files" : "in the head of an answer";
    const more = hub ? `, or give another ${this.settings.host.words.revision}` : "";
    const wrong = (claim: string) =>
      new HubError(
        "refused",
        `${what} has ${file.size} bytes ${source}, but the server ${claim}: try again later${more}`,
      );
    const given = headers.get("etag");
    if (tag !== undefined && given !== null && given !== tag) throw wrong("gives another file");
    const length = headers.get("content-length");
    if (status === 206) {
      const range = headers.get("content-range"); // which a server may hide from a page
      const [, first, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(range ?? "") ?? [];
      const right = Number(first) === offset && (total === "*" || Number(total) === file.size);
      const hidden = range === null && Number(length) === file.size - offset;
      if (right || hidden) return offset;
      throw wrong(`answers ${quote(range)} for the bytes from ${offset} on`);
    }
    const encoded = headers.has("content-encoding");
    if (length !== null && !encoded && Number(length) !== file.size) {
      throw wrong(`announces ${Number(length)}`);
    }
    return 0;
  }

  /** Sends one request, follows its redirects, and throws a HubError for any answer but a good one. */
  async #send(question: Question, controller: AbortController): Promise<Response> {
    const { what, revision, method = "GET", offset = 0, size } = question;
    const { endpoint, token, setting } = this.server;
    const { host, responseTimeout, signal } = this.settings;
    const seen = new Set<string>();
    const abort = signal ? AbortSignal.any([signal, controller.signal]) : controller.signal;
    let url = new URL(question.url);
    for (;;) {
      if (seen.has(url.href) || seen.size > MOST_REDIRECTS) {
        throw new HubError(
          "unreachable",
          `${endpoint} redirects the request for ${what} in a circle: check ${setting} and whether a proxy wants a log-in`,
        );
      }
      seen.add(url.href);
      const headers = new Headers(host.headers);
      if (offset > 0) headers.set("range", `bytes=${offset}-${size === undefined ? "" : size - 1}`);
      if (token !== undefined && url.origin === this.#origin) {
        headers.set("authorization", `Bearer ${token}`);
      }
      const timer = setTimeout(() => controller.abort(this.#stalled(what)), responseTimeout);
      let response: Response;
      try {
        response = await fetch(url, { method, headers, redirect: host.redirect, signal: abort });
      } catch (error) {
        throw this.#explain(error, what);
      } finally {
        clearTimeout(timer);
      }
      this.#answered = true;
      const type = response.headers.get("content-type") ?? "";
      const good = response.ok && !type.startsWith("text/html");
      if (good) return response;
      await response.body?.cancel().catch(() => {});
      if (!REDIRECTS.has(response.status)) {
        const { words } = host;
        const from = new URL(response.url || url);
        throw failure(response, { ...this.server, words, url: from, what, revision });
      }
      const location = response.headers.get("location");
      const next = location === null ? null : URL.parse(location, url);
      if (next === null || !/^https?:$/.test(next.protocol)) {
        throw this.strange(what, `a redirect to ${quote(location)}`);
      }
      url = next;
    }
  }

  /** What to say of an answer that is not as it should be. */
  strange(what: string, cause: unknown): HubError {
    return noHub(this.server, what, cause);
  }

  #stalled(what: string): HubError {
    const { words } = this.settings.host;
    const sentence = `${this.server.endpoint} sends nothing (more) of ${what}: check the network, or allow more time with ${words.timeout}`;
    return new HubError("unreachable", sentence, { retry: true });
  }

  /** An error of fetch or of a body's stream. */
  #explain(error: unknown, what: string): unknown {
    const { signal, host } = this.settings;
    const { endpoint, setting } = this.server;
    if (error instanceof HubError) return error;
    if (signal?.aborted) return signal.reason;
    const inner = error instanceof Error ? (error.cause ?? error) : error;
    const { code, message } = Object(inner) as { code?: unknown; message?: unknown };
    const why = typeof code === "string" ? code : quote(message ?? inner);
    const { absent, remedy } = host.network(code, setting);
    if (absent && !this.#answered) {
      const sentence = `${endpoint} cannot be reached (${why}): ${remedy}; or give ${host.words.instead}`;
      return new HubError("unreachable", sentence, { cause: error });
    }
    const sentence = `the connection to ${endpoint} broke while ${what} was coming (${why}): ${host.words.network}`;
    return new HubError("unreachable", sentence, { retry: true, cause: error });
  }
}
