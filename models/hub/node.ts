/** Where models come from on Node: directories, the environment as Python's huggingface_hub reads it, a cache on the disk. */
import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ModelError } from "../errors.ts";
import { directoryPlace } from "../formats/disk.ts";
import { diskStore } from "./disk.ts";
import type { Defaults, Environment, Host } from "./host.ts";

const NO_NETWORK = new Set(["ENOTFOUND", "ECONNREFUSED", "EAI_AGAIN", "ENETUNREACH"]);
const NO_TRUST = /CERT|SIGNATURE|_SSL_/; // in OpenSSL's and Node's codes

function isTrue(value: string | undefined): boolean {
  return ["1", "ON", "YES", "TRUE"].includes((value ?? "").toUpperCase());
}

/** A path of the environment: `~` and `$NAME` mean what they mean in a shell. */
function expand(path: string, environment: Environment, home: string): string {
  return path
    .replace(/^~(?=$|[/\\])/, home)
    .replace(/\$(?:(\w+)|\{(\w+)\})/g, (all, a, b) => environment[a ?? b] ?? all);
}

function defaults(environment: Environment): Defaults {
  const home = environment.HOME || homedir();
  const path = (...names: string[]) => {
    const value = names.map((name) => environment[name]).find(Boolean);
    return value === undefined ? undefined : expand(value, environment, home);
  };
  const caches = path("XDG_CACHE_HOME") ?? join(home, ".cache");
  const hubHome = path("HF_HOME") ?? join(caches, "huggingface");
  return {
    cacheDir: path("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE") ?? join(hubHome, "hub"),
    addressDir: join(caches, "promptgen"),
    token: async () => {
      if (isTrue(environment.HF_HUB_DISABLE_IMPLICIT_TOKEN)) return undefined;
      const file = path("HF_TOKEN_PATH") ?? join(hubHome, "token");
      const given = environment.HF_TOKEN || environment.HUGGING_FACE_HUB_TOKEN;
      return given || (await readFile(file, "utf8").catch(() => undefined));
    },
  };
}

export const host: Host = {
  words: {
    endpoint: "HF_ENDPOINT",
    token: "HF_TOKEN",
    timeout: "HF_HUB_DOWNLOAD_TIMEOUT",
    revision: "--revision",
    offline: "HF_HUB_OFFLINE",
    instead: "a directory",
    absent: "neither a directory here nor a repository",
    network: "check the network",
  },
  headers: {
    "user-agent": "promptgen",
    "accept-encoding": "identity", // a compressed answer has no ranges and no length
  },
  redirect: "manual",
  get environment() {
    return process.env;
  },
  defaults,
  network: (code, setting) => {
    const untrusted = NO_TRUST.test(String(code));
    const remedy = untrusted
      ? `check ${setting}, and behind a proxy that signs for others set NODE_EXTRA_CA_CERTS`
      : `check the network, ${setting}, and behind a proxy set NODE_USE_ENV_PROXY=1`;
    return { absent: untrusted || NO_NETWORK.has(String(code)), remedy };
  },
  hash: (kind) => {
    const hash = createHash(kind);
    return { update: (bytes) => hash.update(bytes), digest: () => hash.digest("hex") };
  },
  store: async (root, links) => diskStore(root, links),
  storeError: (cause, root) => {
    const { code, path, syscall } = Object(cause) as Record<string, unknown>;
    if (typeof code !== "string" || typeof syscall !== "string") return undefined;
    return new ModelError(
      `[hub] the cache cannot be used (${code}: ${syscall} ${path ?? root}): make room and give write permission, or set HF_HUB_CACHE to another folder`,
      { cause },
    );
  },
  find: async (text) => {
    const found = await stat(text).catch(() => undefined);
    if (found?.isDirectory()) return directoryPlace(text);
    if (found) {
      throw new ModelError(`[hub] ${text} is a file: name the directory that holds it`);
    }
    const address = /^(?:https?|file):/i.test(text) ? URL.parse(text) : null;
    return address?.protocol === "file:"
      ? directoryPlace(fileURLToPath(address))
      : (address ?? undefined);
  },
  unknown: directoryPlace,
};
