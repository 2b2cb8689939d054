/**
 * Models by name: `owner/name` on the Hugging Face Hub becomes a directory in the cache that it shares with Python's
 * huggingface_hub, with the files that a model of ours reads and no others.
 *
 * A page can import this module; only a call needs Node.
 */
import { ModelError } from "../errors.ts";
import { shardFiles } from "../formats/shards.ts";
import type { HubCache } from "./cache.ts";
import { chooseFiles, type ModelPart, PARTS } from "./files.ts";
import type { HubFile, HubRepository } from "./http.ts";
import { type HubOptions, type Setup, setUp } from "./settings.ts";

/** Refuses what is no `name` or `owner/name`, by the Hub's rules, and what climbs out of the cache. */
function checkName(name: string, revision: string): void {
  const plain = /^(?:\w[\w.-]*\/)?\w(?:[\w.-]*\w)?$/.test(name) && name.length <= 96;
  if (!plain || /--|\.\.|\.git$/.test(name)) {
    throw new ModelError(
      `[hub] there is no directory ${JSON.stringify(name)}, and a model's name has the form owner/name: check the spelling`,
    );
  }
  const parts = revision.split("/");
  if (!/^[^\s\\:~^?*[\p{Cc}]+$/u.test(revision) || parts.some((part) => /^\.{0,2}$/.test(part))) {
    throw new ModelError(
      `[hub] ${JSON.stringify(revision)} is no revision: name a branch, tag or commit`,
    );
  }
}

/** The files that an index lists; `where` names it in errors. */
const shardsOf = (index: string, where: string): string[] =>
  shardFiles(index, (what) => {
    throw new ModelError(`[hub] ${where} ${what}`);
  });

/** What a snapshot lacks of `parts`, in words. */
async function lacking(
  cache: HubCache,
  commit: string,
  parts: readonly ModelPart[],
): Promise<string[]> {
  const names = await cache.names(commit);
  const { index, missing } = chooseFiles(names, parts);
  if (index === undefined || missing.length > 0) return [...missing];
  const shards = shardsOf(await cache.text(commit, index), `${cache.snapshot(commit)}/${index}`);
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
    throw new ModelError(`[hub] ${nameOrDirectory} is a file: name the directory that holds it`);
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
    throw new ModelError(
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
  throw new ModelError(
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
      throw new ModelError(
        `[hub] ${name} at revision '${revision}' has no ${missing.join(", and no ")}: name a repository that has`,
      );
    }
    const take = (wanted: readonly string[]) =>
      wanted.map((path): HubFile => {
        const file = listed.get(path);
        if (file) return file;
        throw new ModelError(
          `[hub] ${index} of ${name} names ${path}, which the repository does not have: give another --revision`,
        );
      });
    const plan = take(files);
    if (index !== undefined) {
      // the index comes first, so that all sizes are known before the first large file
      const [file] = plan.splice(-1);
      await fetchAll([file], repository, cache, commit, setup, undefined);
      const shards = shardsOf(await cache.text(commit, index), `${index} of ${name}`);
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
