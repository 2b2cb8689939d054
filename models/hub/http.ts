/**
 * Requests to a Hub, through `@huggingface/hub` with a `fetch` of our own: time limits, retries, redirects, where the token
 * goes, and checks of what comes. Knows the Hub's protocol, neither the cache nor which files are wanted.
 *
 * Loaded by `resolve.ts` when something is to be downloaded.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { downloadFile, listFiles, modelInfo } from "@huggingface/hub";
import { failure, HubError, noHub, quote } from "./errors.ts";

/** What requests depend on. Times are in milliseconds. */
export type HubSettings = {
  /** Without a slash at its end. */
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

/** A file as the listing of a commit describes it. */
export type HubFile = {
  readonly path: string;
  readonly size: number; // bytes
  /** Its blob's name and checksum: sha256 (LFS, 64 hexadecimal digits) or git's sha1 (40). */
  readonly etag: string;
};

const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const MOST_REDIRECTS = 10;
const MOST_PAGES = 100; // of one listing
const LONGEST_REPLY = 32 << 20; // characters of JSON for one question
const SLOWEST = 1024; // bytes in one stallTimeout
const NEW_PATIENCE = 1 << 20; // bytes that make up for earlier failures
const NO_NETWORK = new Set(["ENOTFOUND", "ECONNREFUSED", "EAI_AGAIN", "ENETUNREACH"]);
const NO_TRUST = /CERT|SIGNATURE|_SSL_/; // in OpenSSL's and Node's codes
const COMMIT = /^[0-9a-f]{40}$/;
const ETAG = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

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

/** The model repository `name` on one Hub. */
export class HubRepository {
  readonly name: string;
  readonly #settings: HubSettings;
  readonly #origin: string;
  readonly #repo: { type: "model"; name: string };
  #answered = false; // whether the server has ever answered

  constructor(name: string, settings: HubSettings) {
    this.name = name;
    this.#repo = { type: "model", name }; // a bare name as "datasets/x" would be another type
    this.#settings = settings;
    this.#origin = new URL(settings.endpoint).origin;
  }

  /** The commit (40 hexadecimal digits) that a branch, tag or short commit names. */
  async commit(revision: string): Promise<string> {
    const { sha } = await this.#ask(`revision '${revision}'`, revision, (fetch) =>
      modelInfo({
        name: this.name,
        revision,
        additionalFields: ["sha"],
        hubUrl: this.#settings.endpoint,
        fetch,
      }),
    );
    if (typeof sha !== "string" || !COMMIT.test(sha)) {
      throw this.#refused(`the commit ${quote(sha)}`, "40 hexadecimal digits");
    }
    return sha;
  }

  /** The files at the top of a commit. */
  async files(commit: string): Promise<Map<string, HubFile>> {
    const entries = await this.#ask("the list of files", commit, async (fetch) => {
      const list: unknown[] = [];
      const { endpoint: hubUrl } = this.#settings;
      for await (const entry of listFiles({ repo: this.#repo, revision: commit, hubUrl, fetch })) {
        list.push(entry);
      }
      return list;
    });
    const files = new Map<string, HubFile>();
    for (const entry of entries) {
      const file = this.#file(entry);
      if (file) files.set(file.path, file);
    }
    return files;
  }

  #file(entry: unknown): HubFile | undefined {
    const { type, path, oid, size, lfs } = (entry ?? {}) as Record<string, unknown>;
    if (typeof path !== "string" || path.startsWith("/") || path.split(/[/\\]/).includes("..")) {
      throw this.#refused(`the file name ${quote(path)}`, "a path inside the repository");
    }
    if (type !== "file") return undefined;
    const large = (lfs ?? undefined) as Record<string, unknown> | undefined;
    const etag = large ? large.oid : oid;
    const bytes = large ? large.size : size;
    if (typeof etag !== "string" || !ETAG.test(etag) || etag.length !== (large ? 64 : 40)) {
      throw this.#refused(
        `the checksum ${quote(etag)} of ${path}`,
        `${large ? 64 : 40} hexadecimal digits`,
      );
    }
    if (typeof bytes !== "number" || !Number.isSafeInteger(bytes) || bytes < 0) {
      throw this.#refused(`the size ${quote(bytes)} of ${path}`, "a number of bytes");
    }
    return { path, size: bytes, etag };
  }

  #refused(what: string, wanted: string): HubError {
    return new HubError(
      "refused",
      `${this.#settings.endpoint} gives ${what} for ${this.name}, which is not ${wanted}: do not use this server, check HF_ENDPOINT`,
    );
  }

  /**
   * Bytes of a file from `offset` on, where the server can do that; `at` is the place of each chunk
   * in the file and begins at 0 where it cannot.
   */
  async *bytes(
    commit: string,
    file: HubFile,
    offset: number,
  ): AsyncGenerator<{ at: number; chunk: Uint8Array }, void> {
    const { endpoint, stallTimeout } = this.#settings;
    const what = `${file.path} of ${this.name}`;
    const controller = new AbortController();
    let at = 0;
    let failure: unknown;
    let watched: ReturnType<typeof watch> | undefined;
    const fetch = async (input: RequestInfo | URL, init?: RequestInit) => {
      try {
        const response = await this.#send(input, init, controller, what, commit);
        at = this.#start(response, file, offset);
        watched = watch(controller, stallTimeout, () => this.#stalled(what));
        return response;
      } catch (error) {
        failure = error; // the library would keep its message only
        throw error;
      }
    };
    const path = file.path.split("/").map(encodeURIComponent).join("/");
    const url = `${endpoint}/${this.name}/resolve/${commit}/${path}`;
    const downloadInfo = { size: file.size, etag: file.etag, url };
    const repo = this.#repo;
    const blob = await downloadFile({
      repo,
      path: file.path,
      revision: commit,
      downloadInfo,
      fetch,
    });
    if (!blob) throw this.#noHub(what, "nothing");
    const reader = (offset > 0 ? blob.slice(offset) : blob).stream().getReader();
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        watched?.add(value.length);
        yield { at, chunk: value };
        at += value.length;
      }
    } catch (error) {
      throw this.#explain(failure ?? error, what);
    } finally {
      watched?.stop();
      controller.abort(); // a consumer that leaves early closes the connection
    }
  }

  /** Where the body of a file's response begins; throws when it cannot be the file. */
  #start(response: Response, file: HubFile, offset: number): number {
    const wrong = (claim: string) =>
      new HubError(
        "refused",
        `${file.path} of ${this.name} has ${file.size} bytes in the list of files, but the server ${claim}: try again later, or give another --revision`,
      );
    if (response.status === 206) {
      const range = response.headers.get("content-range") ?? "";
      const [, first, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(range) ?? [];
      if (Number(first) !== offset || (total !== "*" && Number(total) !== file.size)) {
        throw wrong(`answers ${quote(range)} for the bytes from ${offset} on`);
      }
      return offset;
    }
    const length = response.headers.get("content-length");
    const encoded = response.headers.has("content-encoding");
    if (length !== null && !encoded && Number(length) !== file.size) {
      throw wrong(`announces ${Number(length)}`);
    }
    return 0;
  }

  /**
   * Repeats `attempt` while it fails in a way that may pass, with growing pauses. `progress` gives
   * the bytes that have arrived so far: whoever brings much is not counted as failing.
   */
  async persist<T>(attempt: () => Promise<T>, progress: () => number = () => 0): Promise<T> {
    const { retries, backoff, longestWait, signal, notice } = this.#settings;
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
        await sleep(pause, undefined, signal && { signal }).catch(() => signal?.throwIfAborted());
      }
    }
  }

  /** A JSON request by the library, repeated where that may help. */
  #ask<T>(
    what: string,
    revision: string,
    request: (fetch: typeof globalThis.fetch) => Promise<T>,
  ): Promise<T> {
    return this.persist(async () => {
      let pages = 0;
      let left = LONGEST_REPLY;
      const fetch = async (input: RequestInfo | URL, init?: RequestInit) => {
        if (++pages > MOST_PAGES) {
          throw new HubError(
            "refused",
            `${this.#settings.endpoint} gives ${what} of ${this.name} in more than ${MOST_PAGES} pages: check HF_ENDPOINT`,
          );
        }
        const controller = new AbortController();
        const response = await this.#send(
          input,
          init,
          controller,
          `${what} of ${this.name}`,
          revision,
        );
        const text = await this.#text(response, controller, `${what} of ${this.name}`, left);
        left -= text.length;
        return new Response(text, { headers: response.headers });
      };
      try {
        return await request(fetch);
      } catch (error) {
        if (error instanceof HubError || this.#settings.signal?.aborted) throw error;
        throw this.#noHub(`${what} of ${this.name}`, error);
      }
    });
  }

  async #text(
    response: Response,
    controller: AbortController,
    what: string,
    most: number,
  ): Promise<string> {
    const watched = watch(controller, this.#settings.stallTimeout, () => this.#stalled(what));
    const decoder = new TextDecoder();
    let text = "";
    try {
      for await (const chunk of response.body ?? []) {
        watched.add(chunk.length);
        text += decoder.decode(chunk, { stream: true });
        if (text.length > most) throw this.#noHub(what, "a reply without an end");
      }
      JSON.parse(text);
    } catch (error) {
      if (error instanceof SyntaxError) throw this.#noHub(what, error);
      throw this.#explain(error, what);
    } finally {
      watched.stop();
      controller.abort();
    }
    return text;
  }

  /** Sends one request, follows its redirects, and throws a HubError for any answer but a good one. */
  async #send(
    input: RequestInfo | URL,
    init: RequestInit | undefined,
    controller: AbortController,
    what: string,
    revision: string,
  ): Promise<Response> {
    const { token, endpoint, responseTimeout, signal } = this.#settings;
    const seen = new Set<string>();
    const abort = signal ? AbortSignal.any([signal, controller.signal]) : controller.signal;
    let url = new URL(input instanceof Request ? input.url : input);
    for (;;) {
      if (seen.has(url.href) || seen.size > MOST_REDIRECTS) {
        throw new HubError(
          "unreachable",
          `${endpoint} redirects the request for ${what} in a circle: check HF_ENDPOINT and whether a proxy wants a log-in`,
        );
      }
      seen.add(url.href);
      const headers = new Headers(init?.headers);
      headers.set("user-agent", "promptgen");
      headers.set("accept-encoding", "identity"); // a compressed answer has no ranges and no length
      if (token !== undefined && url.origin === this.#origin) {
        headers.set("authorization", `Bearer ${token}`);
      }
      const timer = setTimeout(() => controller.abort(this.#stalled(what)), responseTimeout);
      let response: Response;
      try {
        response = await fetch(url, { ...init, headers, redirect: "manual", signal: abort });
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
        throw failure(response, { ...this.#settings, url, name: this.name, what, revision });
      }
      const location = response.headers.get("location");
      const next = location === null ? null : URL.parse(location, url);
      if (next === null || !/^https?:$/.test(next.protocol)) {
        throw this.#noHub(what, `a redirect to ${quote(location)}`);
      }
      url = next;
    }
  }

  #noHub(what: string, cause: unknown): HubError {
    return noHub(this.#settings.endpoint, what, cause);
  }

  #stalled(what: string): HubError {
    const sentence = `${this.#settings.endpoint} sends nothing (more) of ${what}: check the network, or allow more time with HF_HUB_DOWNLOAD_TIMEOUT`;
    return new HubError("unreachable", sentence, { retry: true });
  }

  /** An error of fetch or of a body's stream. */
  #explain(error: unknown, what: string): unknown {
    const { signal, endpoint } = this.#settings;
    if (error instanceof HubError) return error;
    if (signal?.aborted) return signal.reason;
    const inner = error instanceof Error ? (error.cause ?? error) : error;
    const { code, message } = Object(inner) as { code?: unknown; message?: unknown };
    const why = typeof code === "string" ? code : quote(message ?? inner);
    const untrusted = NO_TRUST.test(String(code));
    const absent = (untrusted || NO_NETWORK.has(String(code))) && !this.#answered;
    const remedy = untrusted
      ? "check HF_ENDPOINT, and behind a proxy that signs for others set NODE_EXTRA_CA_CERTS"
      : "check the network, HF_ENDPOINT, and behind a proxy set NODE_USE_ENV_PROXY=1";
    const sentence = absent
      ? `${endpoint} cannot be reached (${why}): ${remedy}; or give a directory`
      : `the connection to ${endpoint} broke while ${what} was coming (${why}): check the network`;
    return new HubError("unreachable", sentence, { retry: !absent, cause: error });
  }
}
