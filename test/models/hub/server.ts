/**
 * A Hub on this machine: the part of the Hugging Face Hub's HTTP interface that clients use to read
 * models. faults.ts has ways to misbehave.
 *
 * Large files (.safetensors, .bin) are LFS files: `resolve` redirects to a second server, as the Hub
 * does to its storage, where a token must not arrive. Small files come from the Hub itself. The second server also has each
 * model's main files as a folder, `folder(NAME)`, as any server of files would: no list of them, no more headers for pages of
 * other origins than it must, and no answer to a page that asks whether it may ask.
 *
 *     node test/models/hub/server.ts        # serves MODELS until it is ended, and prints its address
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";

export type Files = Readonly<Record<string, Uint8Array>>;

/** A model repository: files of each commit, and the commits of branches and tags. */
export type Model = {
  readonly commits: Readonly<Record<string, Files>>;
  readonly refs: Readonly<Record<string, string>>;
  /** The token that is needed for its files, or for knowing that it exists. */
  readonly gated?: string;
  readonly private?: string;
};

export type Seen = {
  readonly method: string;
  readonly path: string;
  readonly range: string | undefined;
  readonly token: string | undefined;
  readonly storage: boolean; // whether the second server was asked
};

/** A misbehaviour: answers itself and gives true, or gives false for the good answer. */
export type Fault = (request: IncomingMessage, response: ServerResponse, body: Body) => boolean;

/** What the good answer would send. */
export type Body = {
  readonly bytes: Uint8Array;
  readonly start: number;
};

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** The name that git gives to a file's contents. */
export function gitSha1(bytes: Uint8Array): string {
  return createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
}

export function isLarge(path: string): boolean {
  return /\.(?:safetensors|bin)$/.test(path);
}

/** The name of a file's blob in a cache. */
export function etag(path: string, bytes: Uint8Array): string {
  return isLarge(path) ? sha256(bytes) : gitSha1(bytes);
}

function text(value: unknown): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(value)}\n`);
}

/** `length` bytes that do not repeat soon, the same every time. */
export function noise(length: number, seed: number): Uint8Array {
  let state = seed >>> 0;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}

export const COMMITS = ["1".repeat(40), "2".repeat(40), "abcdef0123".repeat(4)] as const;

const small: Files = {
  "config.json": text({ model_type: "bert", hidden_size: 32 }),
  "tokenizer.json": text({ model: { type: "WordPiece", vocab: { "[UNK]": 0 } } }),
  "tokenizer_config.json": text({ do_lower_case: false }),
};

/** The index of shards and the shards, four tensors in two files. */
function sharded(kind: "safetensors" | "bin"): Files {
  const stem = kind === "bin" ? "pytorch_model" : "model";
  const names = [1, 2].map((i) => `${stem}-0000${i}-of-00002.${kind}`);
  return {
    [`${stem}.${kind}.index.json`]: text({
      metadata: { total_size: 7000 },
      weight_map: { a: names[1], b: names[0], c: names[0], d: names[1] },
    }),
    [names[0]]: noise(4000, 5),
    [names[1]]: noise(3000, 6),
  };
}

/** Every layout of repository, with files that nobody needs. */
export const MODELS: Readonly<Record<string, Model>> = {
  "tiny/whole": {
    commits: {
      [COMMITS[0]]: {
        ...small,
        "README.md": text("an older one"),
        "model.safetensors": noise(20_000, 1),
      },
      [COMMITS[1]]: {
        ...small,
        ".gitattributes": text("*.bin"),
        "README.md": text("read me"),
        "vocab.txt": text("not needed beside tokenizer.json"),
        "model.safetensors": noise(200_000, 2),
        "pytorch_model.bin": noise(1000, 3),
        "tf_model.h5": noise(1000, 4),
      },
    },
    refs: { main: COMMITS[1], "v1.0": COMMITS[0], "pr/1": COMMITS[0] },
  },
  "tiny/sharded": {
    commits: { [COMMITS[0]]: { ...small, ...sharded("safetensors"), ...sharded("bin") } },
    refs: { main: COMMITS[0] },
  },
  "tiny/pickled": {
    commits: {
      [COMMITS[2]]: {
        "config.json": small["config.json"],
        "vocab.json": text({ a: 0 }),
        "merges.txt": text("#version"),
        "flax_model.msgpack": noise(10, 9),
        "pytorch_model.bin": noise(5000, 7),
      },
    },
    refs: { main: COMMITS[2] },
  },
  "tiny/pickled-shards": {
    commits: {
      [COMMITS[2]]: {
        "config.json": small["config.json"],
        "vocab.txt": text("[UNK]"),
        ...sharded("bin"),
      },
    },
    refs: { main: COMMITS[2] },
  },
  legacy: {
    commits: { [COMMITS[0]]: { ...small, "model.safetensors": noise(300, 8) } },
    refs: { main: COMMITS[0] },
  },
  "tiny/gated": {
    commits: { [COMMITS[0]]: { ...small, "model.safetensors": noise(300, 8) } },
    refs: { main: COMMITS[0] },
    gated: "hf_gatekeeper",
  },
  "tiny/private": {
    commits: { [COMMITS[0]]: { ...small, "model.safetensors": noise(300, 8) } },
    refs: { main: COMMITS[0] },
    private: "hf_owner",
  },
};

/** Headers that the Hub lets pages of other origins see. */
const EXPOSED =
  "X-Repo-Commit,X-Request-Id,X-Error-Code,X-Error-Message,ETag,Link,Accept-Ranges,Content-Range,X-Linked-Size,X-Linked-ETag";

class Problem extends Error {
  readonly status: number;
  readonly code: string;
  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** The Hub, listening on two ports of this machine. */
export class HubServer {
  readonly models: Record<string, Model>;
  readonly seen: Seen[] = [];
  /** Asked for each request whose path (of the Hub, not of the storage) matches. */
  readonly faults: { path: RegExp; times: number; fault: Fault; used: number }[] = [];
  /** Old names of repositories, with the new ones. */
  readonly moved: Record<string, string> = { "old-name": "tiny/whole" };
  /** Entries in one page of a listing. */
  pageSize = 1000;
  /** Whether pages of other origins may read answers. */
  open = true;
  /** What the server of folders says of a file's version. */
  version: "etag" | "last-modified" | "none" = "etag";
  readonly #servers: Server[];

  private constructor(models: Readonly<Record<string, Model>>) {
    this.models = { ...models };
    this.#servers = [false, true].map((storage) =>
      createServer((request, response) => this.#answer(request, response, storage)),
    );
  }

  static async start(models: Readonly<Record<string, Model>> = MODELS): Promise<HubServer> {
    const hub = new HubServer(models);
    for (const server of hub.#servers) {
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    }
    return hub;
  }

  get url(): string {
    return this.#address(0);
  }

  /** The address of a folder with the files of a model's main branch. */
  folder(name: string): string {
    return `${this.#address(1)}/folders/${name}`;
  }

  #address(i: number): string {
    return `http://127.0.0.1:${(this.#servers[i].address() as AddressInfo).port}`;
  }

  /** Makes the next `times` requests with such a path go wrong. */
  break(path: RegExp, fault: Fault, times = Number.POSITIVE_INFINITY): void {
    this.faults.push({ path, fault, times, used: 0 });
  }

  /** Forgets requests and faults. */
  reset(): void {
    this.seen.length = 0;
    this.faults.length = 0;
    this.pageSize = 1000;
    this.open = true;
    this.version = "etag";
  }

  async close(): Promise<void> {
    for (const server of this.#servers) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  #answer(request: IncomingMessage, response: ServerResponse, storage: boolean): void {
    const url = new URL(request.url ?? "/", this.url);
    const { range, authorization } = request.headers;
    const token = authorization?.replace(/^Bearer /, "");
    const method = request.method ?? "GET";
    this.seen.push({ method, path: url.pathname, range, token, storage });
    if (this.open) {
      response.setHeader("access-control-allow-origin", "*");
      if (!storage) response.setHeader("access-control-expose-headers", EXPOSED);
    }
    try {
      if (method === "OPTIONS") this.#options(response, storage);
      else if (storage) this.#stored(request, response, decodeURIComponent(url.pathname.slice(1)));
      else this.#hub(request, response, url, token);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      response.writeHead(error.status, {
        "content-type": "application/json",
        "x-error-code": error.code,
        "x-error-message": error.message,
      });
      response.end(JSON.stringify({ error: error.message }));
    }
  }

  /** A page asks whether it may send a token. */
  #options(response: ServerResponse, storage: boolean): void {
    if (!storage) response.setHeader("access-control-allow-headers", "authorization");
    response.writeHead(storage ? 405 : 204).end();
  }

  #stored(request: IncomingMessage, response: ServerResponse, path: string): void {
    const [, name, file] = /^folders\/((?:[\w.-]+\/)?[\w.-]+)\/([^/]+)$/.exec(path) ?? [];
    const model = this.models[name ?? ""];
    if (model === undefined) this.#file(request, response, path, true);
    else this.#file(request, response, `${name}/${model.refs.main}/${file}`, true);
  }

  #hub(
    request: IncomingMessage,
    response: ServerResponse,
    url: URL,
    token: string | undefined,
  ): void {
    const api =
      /^\/api\/models\/((?:[\w.-]+\/)?[\w.-]+)\/(revision|tree)\/([^/]+)$/.exec(url.pathname) ?? [];
    const resolve = /^\/((?:[\w.-]+\/)?[\w.-]+)\/resolve\/([^/]+)\/(.+)$/.exec(url.pathname) ?? [];
    const name = api[1] ?? resolve[1];
    const moved = this.moved[name ?? ""];
    if (moved !== undefined) {
      response.writeHead(307, { location: url.href.slice(this.url.length).replace(name, moved) });
      response.end();
      return;
    }
    const model = this.models[name ?? ""];
    if (model === undefined || (model.private !== undefined && model.private !== token)) {
      const status = token === undefined ? 401 : 404; // the Hub does not tell strangers what exists
      throw new Problem(status, "RepoNotFound", "Repository not found");
    }
    const revision = decodeURIComponent(api[3] ?? resolve[2] ?? "");
    const commit = model.refs[revision] ?? revision;
    const files = model.commits[commit];
    if (!files) throw new Problem(404, "RevisionNotFound", `Invalid rev id: ${revision}`);
    if (api[2] === "revision") {
      const body = { _id: "0", id: name, sha: commit, private: false, gated: false };
      const siblings = Object.keys(files).map((rfilename) => ({ rfilename }));
      this.#json(request, response, { ...body, siblings });
      return;
    }
    if (api[2] === "tree") {
      this.#tree(request, response, url, files);
      return;
    }
    if (model.gated !== undefined && model.gated !== token) {
      const status = token === undefined ? 401 : 403;
      throw new Problem(status, "GatedRepo", `Access to model ${name} is restricted.`);
    }
    const path = decodeURIComponent(resolve[3] ?? "");
    const bytes = files[path];
    response.setHeader("x-repo-commit", commit);
    if (!bytes) throw new Problem(404, "EntryNotFound", "Entry not found");
    if (!isLarge(path)) {
      this.#file(request, response, `${name}/${commit}/${path}`, false);
      return;
    }
    response.writeHead(302, {
      location: `${this.#address(1)}/${name}/${commit}/${path}`,
      "x-linked-etag": `"${sha256(bytes)}"`,
      "x-linked-size": bytes.length,
    });
    response.end();
  }

  #tree(request: IncomingMessage, response: ServerResponse, url: URL, files: Files): void {
    const entries = Object.entries(files).map(([path, bytes]) => {
      const entry = { type: "file", oid: gitSha1(bytes), size: bytes.length, path };
      const { length: size } = bytes;
      return isLarge(path)
        ? { ...entry, lfs: { oid: sha256(bytes), size, pointerSize: 130 } }
        : entry;
    });
    const from = Number(url.searchParams.get("cursor") ?? 0);
    const to = from + this.pageSize;
    if (to < entries.length) {
      url.searchParams.set("cursor", String(to));
      response.setHeader("link", `<${url.href}>; rel="next"`);
    }
    const folder = { type: "directory", oid: "0".repeat(40), size: 0, path: "onnx" };
    this.#json(request, response, [...(from === 0 ? [folder] : []), ...entries.slice(from, to)]);
  }

  #json(request: IncomingMessage, response: ServerResponse, value: unknown): void {
    const bytes = new TextEncoder().encode(JSON.stringify(value));
    if (this.#fault(request, response, { bytes, start: 0 })) return;
    response.writeHead(200, { "content-type": "application/json" });
    response.end(bytes);
  }

  #file(request: IncomingMessage, response: ServerResponse, path: string, storage: boolean): void {
    const [, name, commit, file] = /^(.+)\/([0-9a-f]{40})\/(.+)$/.exec(path) ?? [];
    const bytes = this.models[name ?? ""]?.commits[commit ?? ""]?.[file ?? ""];
    if (!bytes) throw new Problem(404, "", "Not found");
    const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
    const start = Number(first ?? 0);
    const end = last ? Math.min(Number(last) + 1, bytes.length) : bytes.length;
    if (this.#fault(request, response, { bytes, start })) return;
    const versions = {
      etag: { etag: `"${storage ? `v-${gitSha1(bytes).slice(0, 9)}` : gitSha1(bytes)}"` },
      "last-modified": { "last-modified": new Date(bytes.length * 1e6).toUTCString() },
      none: {},
    };
    const headers = {
      "content-type": storage ? "application/octet-stream" : "text/plain; charset=utf-8",
      ...versions[this.version],
      "accept-ranges": "bytes",
      "content-length": end - start,
    };
    if (first === undefined) response.writeHead(200, headers);
    else {
      const range = `bytes ${start}-${end - 1}/${bytes.length}`;
      response.writeHead(206, { ...headers, "content-range": range });
    }
    response.end(request.method === "HEAD" ? undefined : bytes.subarray(start, end));
  }

  #fault(request: IncomingMessage, response: ServerResponse, body: Body): boolean {
    const path = new URL(request.url ?? "/", this.url).pathname;
    const found = this.faults.find((each) => each.path.test(path) && each.used < each.times);
    if (!found) return false;
    const struck = found.fault(request, response, body);
    if (struck) found.used++;
    return struck;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  console.log((await HubServer.start()).url);
}
