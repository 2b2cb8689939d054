/**
 * What a download goes by: options over the environment over defaults.
 *
 * Environment, as Python reads it (a page has none): HF_HOME, HF_HUB_CACHE, HF_TOKEN, HF_TOKEN_PATH, HF_ENDPOINT, HF_HUB_OFFLINE,
 * HF_HUB_DISABLE_SYMLINKS, HF_HUB_DISABLE_IMPLICIT_TOKEN, HF_HUB_ETAG_TIMEOUT, HF_HUB_DOWNLOAD_TIMEOUT and the older
 * spellings of these.
 * Source: https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables.
 */
import { ModelError } from "../errors.ts";
import type { ModelPart } from "./files.ts";
import { type Environment, thisHost } from "./host.ts";
import type { RequestSettings } from "./request.ts";

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
  /** A folder; in a page the name of one in its private file system. */
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
  environment?: Environment | undefined;
};

function isTrue(value: string | undefined): boolean {
  return ["1", "ON", "YES", "TRUE"].includes((value ?? "").toUpperCase());
}

export type Setup = RequestSettings & {
  readonly cacheDir: string;
  readonly addressDir: string;
  readonly offline: boolean;
  readonly links: boolean;
  readonly onProgress: HubOptions["onProgress"];
};

/** Options over the environment over defaults. */
export async function setUp(options: HubOptions): Promise<Setup> {
  const host = await thisHost();
  const { words } = host;
  const environment = options.environment ?? host.environment;
  const defaults = host.defaults(environment);
  const seconds = (name: string) => {
    const value = Number(environment[name] || 10);
    if (value > 0) return value * 1000;
    throw new ModelError(`[hub] ${name} is '${environment[name]}': set it to a number of seconds`);
  };
  const endpoint = (
    options.endpoint ??
    (environment.HF_ENDPOINT || "https://huggingface.co")
  ).replace(/\/+$/, "");
  const address = URL.parse(endpoint);
  if (address && (address.username || address.password || /[?#]/.test(endpoint))) {
    throw new ModelError(
      `[hub] ${words.endpoint} holds a user, a '?' or a '#': set it to an address as https://huggingface.co, and ${words.token} to a token`,
    );
  }
  if (!/^https?:$/.test(address?.protocol ?? "")) {
    throw new ModelError(
      `[hub] ${words.endpoint} is '${endpoint}': set it to an address as https://huggingface.co`,
    );
  }
  const given = options.token === undefined ? await defaults.token() : options.token || undefined;
  const token = given?.trim() || undefined;
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) {
    throw new ModelError(
      `[hub] the token holds blanks or characters beyond ASCII: set ${words.token} anew`,
    );
  }
  return {
    host,
    endpoint,
    token,
    cacheDir: options.cacheDir ?? defaults.cacheDir,
    addressDir: options.cacheDir ?? defaults.addressDir,
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
    onProgress: options.onProgress,
  };
}
