/**
 * Models by name: `owner/name` on the Hugging Face Hub becomes a directory in the cache that it
 * shares with Python's huggingface_hub, with the files that a model of ours reads and no others.
 *
 * Environment, as Python reads it: HF_HOME, HF_HUB_CACHE, HF_TOKEN, HF_TOKEN_PATH, HF_ENDPOINT,
 * HF_HUB_OFFLINE, HF_HUB_DISABLE_SYMLINKS, HF_HUB_DISABLE_IMPLICIT_TOKEN, HF_HUB_ETAG_TIMEOUT,
 * HF_HUB_DOWNLOAD_TIMEOUT and the older spellings of these.
 * Source: https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables.
 *
 * A page can import this module; only a call needs Node.
 */
import { INDEX, WEIGHTS } from "../formats/checkpoint.ts";
import type { HubCache } from "./cache.ts";
import type { HubFile, HubRepository, HubSettings } from "./http.ts";

/** What a caller reads of a model. */
export type ModelPart = "config" | "tokenizer" | "weights";

/** How far a download is, in bytes; what was in the cache counts as done. */
export interface HubProgress {
  readonly file: string;
  readonly fileBytes: number;
  readonly fileSize: number;
  readonly bytes: number;
  readonly size: number;
}

/** Every option left out is read from the environment. Times are in milliseconds. */
export interface HubOptions {
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
}

/** Sets of files that each hold a whole tokenizer; the first that a repository has is taken. */
const TOKENIZERS = [["tokenizer.json"], ["vocab.txt"], ["vocab.json", "merges.txt"]];
/** Taken where the repository has them. */
const TOKENIZER_EXTRAS = ["tokenizer_config.json", "special_tokens_map.json"];
/** How texts are written; older repositories have it in config.json. Taken where the repository has it. */
const GENERATION_CONFIG = "generation_config.json";
const PARTS: readonly ModelPart[] = ["config", "tokenizer", "weights"];

/** The files to take, in order, and what is missing, in words. */
export interface ModelFiles {
  readonly files: readonly string[];
  /** The last of `files`, where it lists shards that have to be taken too. */
  readonly index: string | undefined;
  readonly missing: readonly string[];
}

/**
 * The files to take of a repository (or folder) with the given names. Weights stand last: a snapshot
 * that has them was not broken off.
 */
export function chooseFiles(
  names: ReadonlySet<string>,
  parts: readonly ModelPart[] = PARTS,
): ModelFiles {
  const files: string[] = [];
  const missing: string[] = [];
  if (parts.includes("tokenizer")) {
    const found = TOKENIZERS.find((set) => set.every((name) => names.has(name)));
    files.push(...TOKENIZER_EXTRAS.filter((name) => names.has(name)));
    if (found) files.push(...found);
    else missing.push("tokenizer.json, vocab.txt, or vocab.json with merges.txt");
  }
  if (parts.includes("config")) {
    if (names.has(GENERATION_CONFIG)) files.push(GENERATION_CONFIG);
    if (names.has("config.json")) files.push("config.json");
    else missing.push("config.json");
  }
  const weights = WEIGHTS.find((name) => names.has(name));
  if (!parts.includes("weights")) return { files, index: undefined, missing };
  if (weights) files.push(weights);
  else missing.push("model.safetensors or pytorch_model.bin (whole, or an index with shards)");
  return { files, index: weights?.endsWith(INDEX) ? weights : undefined, missing };
}

/**
 * The shards that an index names, sorted.
 *
 * @throws `[hub] ...` for an index without a `weight_map` of file names, or with a name that leaves
 *   the folder
 */
export function shardNames(index: string, where: string): string[] {
  const fail = (what: string): never => {
    throw new Error(`[hub] ${where} ${what}: do not use this checkpoint, take another one`);
  };
  let map: unknown;
  try {
    map = Object(JSON.parse(index)).weight_map;
  } catch {
    return fail("is no JSON");
  }
  if (typeof map !== "object" || map === null || Array.isArray(map)) {
    return fail("has no 'weight_map' of tensors and files");
  }
  const names = new Set<unknown>(Object.values(map));
  for (const name of names) {
    if (typeof name !== "string" || !/^[\w-][\w.+-]*\.(?:safetensors|bin)$/.test(name)) {
      fail(`names the file ${JSON.stringify(name).slice(0, 120)}, which is no plain file name`);
    }
  }
  if (names.size === 0) fail("names no file");
  return [...(names as Set<string>)].sort();
}

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

interface Setup extends HubSettings {
  cacheDir: string;
  offline: boolean;
  links: boolean;
}

/** Options over the environment over defaults. */
async function setUp(options: HubOptions): Promise<Setup> {
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
    throw new Error(`[hub] ${name} is '${environment[name]}': set it to a number of seconds`);
  };
  const hubHome =
    path("HF_HOME") ?? join(path("XDG_CACHE_HOME") ?? join(home, ".cache"), "huggingface");
  const endpoint = (
    options.endpoint ??
    (environment.HF_ENDPOINT || "https://huggingface.co")
  ).replace(/\/+$/, "");
  const address = URL.parse(endpoint);
  if (address && (address.username || address.password || /[?#]/.test(endpoint))) {
    throw new Error(
      "[hub] HF_ENDPOINT holds a user, a '?' or a '#': set it to an address as https://huggingface.co, and HF_TOKEN to a token",
    );
  }
  if (!/^https?:$/.test(address?.protocol ?? "")) {
    throw new Error(
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
    throw new Error("[hub] the token holds blanks or characters beyond ASCII: set HF_TOKEN anew");
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

/** Refuses what is no `name` or `owner/name`, by the Hub's rules, and what climbs out of the cache. */
function checkName(name: string, revision: string): void {
  const plain = /^(?:\w[\w.-]*\/)?\w(?:[\w.-]*\w)?$/.test(name) && name.length <= 96;
  if (!plain || /--|\.\.|\.git$/.test(name)) {
    throw new Error(
      `[hub] there is no directory ${JSON.stringify(name)}, and a model's name has the form owner/name: check the spelling`,
    );
  }
  const parts = revision.split("/");
  if (!/^[^\s\\:~^?*[\p{Cc}]+$/u.test(revision) || parts.some((part) => /^\.{0,2}$/.test(part))) {
    throw new Error(
      `[hub] ${JSON.stringify(revision)} is no revision: name a branch, tag or commit`,
    );
  }
}

/** What a snapshot lacks of `parts`, in words. */
async function lacking(
  cache: HubCache,
  commit: string,
  parts: readonly ModelPart[],
): Promise<string[]> {
  const names = await cache.names(commit);
  const { index, missing } = chooseFiles(names, parts);
  if (index === undefined || missing.length > 0) return [...missing];
  const shards = shardNames(await cache.text(commit, index), `${cache.snapshot(commit)}/${index}`);
  return shards.filter((name) => !names.has(name));
}

/**
 * The directory of a model: `nameOrDirectory` itself where it is a directory, else the snapshot of
 * that repository in the cache, downloaded as far as it is not there.
 *
 * A branch or tag costs one request even when all is cached; a full commit costs none. When the Hub
 * cannot be asked, a whole cached snapshot is used, and `onNotice` is told.
 *
 * @throws `[hub] ...` in one sentence: no such repository, revision or file; private or gated; no
 *   network, or offline and not cached; a server that fails, or sends what does not match its own
 *   list of files. Nothing half-written stands under a final name then.
 */
export async function resolveModel(
  nameOrDirectory: string,
  options: HubOptions = {},
): Promise<string> {
  const { stat } = await import("node:fs/promises");
  const found = await stat(nameOrDirectory).catch(() => undefined);
  if (found?.isDirectory()) return nameOrDirectory;
  if (found)
    throw new Error(`[hub] ${nameOrDirectory} is a file: name the directory that holds it`);
  const { revision = "main", parts = PARTS } = options;
  checkName(nameOrDirectory, revision);
  const setup = await setUp(options);
  const { HubCache } = await import("./cache.ts");
  const cache = new HubCache(setup.cacheDir, nameOrDirectory, setup.links);
  try {
    if (setup.offline) return await cached(nameOrDirectory, revision, parts, cache);
    return await download(nameOrDirectory, revision, parts, cache, setup, options.onProgress);
  } catch (error) {
    const { code, path, syscall } = Object(error) as Record<string, unknown>;
    if (typeof code !== "string" || typeof syscall !== "string") throw error;
    throw new Error(
      `[hub] the cache cannot be used (${code}: ${syscall} ${path ?? setup.cacheDir}): make room and give write permission, or set HF_HUB_CACHE to another folder`,
      { cause: error },
    );
  }
}

async function cached(
  name: string,
  revision: string,
  parts: readonly ModelPart[],
  cache: HubCache,
): Promise<string> {
  const commit = await cache.commit(revision);
  const missing = commit === undefined ? undefined : await lacking(cache, commit, parts);
  if (commit !== undefined && missing?.length === 0) return cache.snapshot(commit);
  const what = missing ? `lacks ${missing.join("; ")}` : "is not there";
  throw new Error(
    `[hub] ${name} at revision '${revision}' ${what} in ${cache.folder}, and HF_HUB_OFFLINE is set: unset it to download`,
  );
}

async function download(
  name: string,
  revision: string,
  parts: readonly ModelPart[],
  cache: HubCache,
  setup: Setup,
  onProgress: HubOptions["onProgress"],
): Promise<string> {
  const { HubError } = await import("./errors.ts");
  const { HubRepository } = await import("./http.ts");
  const repository = new HubRepository(name, setup);
  const known = await cache.commit(revision);
  let commit: string;
  try {
    commit = known === revision ? known : await repository.commit(revision);
  } catch (error) {
    const stale = error instanceof HubError && /^(?:unreachable|denied)$/.test(error.kind);
    if (!stale || known === undefined || (await lacking(cache, known, parts)).length > 0)
      throw error;
    setup.notice(`${error.message}; the cached commit ${known} is used instead`);
    return cache.snapshot(known);
  }
  if ((await lacking(cache, commit, parts)).length > 0) {
    const listed = await repository.files(commit);
    const { files, index, missing } = chooseFiles(new Set(listed.keys()), parts);
    if (missing.length > 0) {
      throw new Error(
        `[hub] ${name} at revision '${revision}' has no ${missing.join(", and no ")}: name a repository that has`,
      );
    }
    const take = (wanted: readonly string[]) =>
      wanted.map((path): HubFile => {
        const file = listed.get(path);
        if (file) return file;
        throw new Error(
          `[hub] ${index} of ${name} names ${path}, which the repository does not have: give another --revision`,
        );
      });
    const plan = take(files);
    if (index !== undefined) {
      // the index comes first, so that all sizes are known before the first large file
      const [file] = plan.splice(-1);
      await fetchAll([file], repository, cache, commit, setup, undefined);
      const shards = shardNames(await cache.text(commit, index), `${index} of ${name}`);
      plan.push(file, ...take(shards));
    }
    await fetchAll(plan, repository, cache, commit, setup, onProgress);
  }
  await cache.remember(revision, commit).catch((error) => {
    setup.notice(`[hub] the commit of '${revision}' could not be noted (${error.message})`);
  });
  return cache.snapshot(commit);
}

async function fetchAll(
  files: readonly HubFile[],
  repository: HubRepository,
  cache: HubCache,
  commit: string,
  setup: Setup,
  onProgress: HubOptions["onProgress"],
): Promise<void> {
  const size = files.reduce((sum, file) => sum + file.size, 0);
  let before = 0;
  for (const file of files) {
    await cache.fetch(repository, setup, commit, file, (fileBytes) => {
      const bytes = before + fileBytes;
      onProgress?.({ file: file.path, fileBytes, fileSize: file.size, bytes, size });
    });
    await cache.link(commit, file);
    before += file.size;
  }
}
