/**
 * What a download goes by: options over the environment over defaults.
 *
 * Environment, as Python reads it: HF_HOME, HF_HUB_CACHE, HF_TOKEN, HF_TOKEN_PATH, HF_ENDPOINT, HF_HUB_OFFLINE,
 * HF_HUB_DISABLE_SYMLINKS, HF_HUB_DISABLE_IMPLICIT_TOKEN, HF_HUB_ETAG_TIMEOUT, HF_HUB_DOWNLOAD_TIMEOUT and the older
 * spellings of these.
 * Source: https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables.
 */
import { ModelError } from "../errors.ts";
import type { ModelPart } from "./files.ts";
import type { HubSettings } from "./http.ts";

/** How far a download is, in bytes; what was in the cache counts as done. */
export type HubProgress = {
  readonly file: string;
  readonly fileBytes: number;
  readonly fileSize: number;
  readonly bytes: number;
  readonly size: number;
};

/** Every option left out is read from the environment. Times are in milliseconds. */
export type HubOptions = {
  /** A branch, tag or commit; `main` by default. */
  revision?: string | undefined;
  /** All parts by default. */
  parts?: readonly ModelPart[] | undefined;
  cacheDir?: string | undefined;
  endpoint?: string | undefined;
  /** `false` sends none. */
  token?: string | false | undefined;
  /** Whether to use the cache alone. */
  offline?: boolean | undefined;
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: HubProgress) => void) | undefined;
  /** One sentence for each retry, wait or stale copy; nothing is printed otherwise. */
  onNotice?: ((sentence: string) => void) | undefined;
  /** Until a server begins to answer; 10 s by default. */
  responseTimeout?: number | undefined;
  /** The time in which at least 1 KiB must arrive; 10 s by default. */
  stallTimeout?: number | undefined;
  /** Tries after the first; 5 by default. */
  retries?: number | undefined;
  /** Pause before the first retry, doubled with each one; 500 ms by default. */
  backoff?: number | undefined;
  /** The longest time that a server may ask to wait before a retry; 60 s by default. */
  longestWait?: number | undefined;
  /** `process.env` by default. */
  environment?: Readonly<Record<string, string | undefined>> | undefined;
};

type Environment = Readonly<Record<string, string | undefined>>;

function isTrue(value: string | undefined): boolean {
  return ["1", "ON", "YES", "TRUE"].includes((value ?? "").toUpperCase());
}

/** A path of the environment: `~` and `$NAME` mean what they mean in a shell. */
function expand(path: string, environment: Environment, home: string): string {
  return path
    .replace(/^~(?=$|[/\\])/, home)
    .replace(/\$(?:(\w+)|\{(\w+)\})/g, (all, a, b) => environment[a ?? b] ?? all);
}

export type Setup = HubSettings & {
  cacheDir: string;
  offline: boolean;
  links: boolean;
};

/** Options over the environment over defaults. */
export async function setUp(options: HubOptions): Promise<Setup> {
  const { readFile } = await import("node:fs/promises");
  const { homedir } = await import("node:os");
  const { join } = await import("node:path");
  const environment = options.environment ?? process.env;
  const home = environment.HOME || homedir();
  const path = (...names: string[]) => {
    const value = names.map((name) => environment[name]).find(Boolean);
    return value === undefined ? undefined : expand(value, environment, home);
  };
  const seconds = (name: string) => {
    const value = Number(environment[name] || 10);
    if (value > 0) return value * 1000;
    throw new ModelError(`[hub] ${name} is '${environment[name]}': set it to a number of seconds`);
  };
  const hubHome =
    path("HF_HOME") ?? join(path("XDG_CACHE_HOME") ?? join(home, ".cache"), "huggingface");
  const endpoint = (
    options.endpoint ??
    (environment.HF_ENDPOINT || "https://huggingface.co")
  ).replace(/\/+$/, "");
  const address = URL.parse(endpoint);
  if (address && (address.username || address.password || /[?#]/.test(endpoint))) {
    throw new ModelError(
      "[hub] HF_ENDPOINT holds a user, a '?' or a '#': set it to an address as https://huggingface.co, and HF_TOKEN to a token",
    );
  }
  if (!/^https?:$/.test(address?.protocol ?? "")) {
    throw new ModelError(
      `[hub] HF_ENDPOINT is '${endpoint}': set it to an address as https://huggingface.co`,
    );
  }
  let token = options.token || undefined;
  if (options.token === undefined && !isTrue(environment.HF_HUB_DISABLE_IMPLICIT_TOKEN)) {
    const file = path("HF_TOKEN_PATH") ?? join(hubHome, "token");
    token = environment.HF_TOKEN || environment.HUGGING_FACE_HUB_TOKEN;
    token ||= await readFile(file, "utf8").catch(() => undefined);
  }
  token = token?.trim() || undefined;
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) {
    throw new ModelError(
      "[hub] the token holds blanks or characters beyond ASCII: set HF_TOKEN anew",
    );
  }
  return {
    endpoint,
    token,
    cacheDir:
      options.cacheDir ?? path("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE") ?? join(hubHome, "hub"),
    offline:
      options.offline ?? isTrue(environment.HF_HUB_OFFLINE || environment.TRANSFORMERS_OFFLINE),
    links: !isTrue(environment.HF_HUB_DISABLE_SYMLINKS),
    responseTimeout: options.responseTimeout ?? seconds("HF_HUB_ETAG_TIMEOUT"),
    stallTimeout: options.stallTimeout ?? seconds("HF_HUB_DOWNLOAD_TIMEOUT"),
    retries: options.retries ?? 5,
    backoff: options.backoff ?? 500,
    longestWait: options.longestWait ?? 60_000,
    signal: options.signal,
    notice: options.onNotice ?? (() => {}),
  };
}
