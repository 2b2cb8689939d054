/**
 * Models that are fetched: `owner/name` on the Hugging Face Hub, or the address of a folder of any web server. Either becomes a
 * commit in a cache, with the files that a model of ours reads and no others; on a disk that is a directory in the cache that
 * Python's huggingface_hub has too.
 */
import { ModelError } from "../errors.ts";
import { shardFiles } from "../formats/shards.ts";
import { AddressRepository, shownAddress } from "./address.ts";
import { ModelCache } from "./cache.ts";
import { HubError } from "./errors.ts";
import { chooseFiles, MODEL_CONFIG, type ModelPart, PARTS } from "./files.ts";
import { HubRepository } from "./http.ts";
import type { RemoteFile, Repository } from "./request.ts";
import { type HubOptions, type Setup, setUp } from "./settings.ts";

/** A model in a cache, the files that were asked for among it. */
export type Cached = { readonly cache: ModelCache; readonly commit: string };

/** Whether a text may be the name of a repository, by the Hub's rules. */
export const isModelName = (text: string): boolean =>
  /^(?:\w[\w.-]*\/)?\w(?:[\w.-]*\w)?$/.test(text) &&
  text.length <= 96 &&
  !/--|\.\.|\.git$/.test(text);

/** Refuses what is no `name` or `owner/name`, and what climbs out of the cache. */
function checkName(name: string, revision: string): void {
  if (!isModelName(name)) {
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

const indexText = (cache: ModelCache, commit: string, index: string): Promise<string> => {
  const fail = (what: string): never => {
    throw new ModelError(`[hub] ${cache.snapshot(commit)}/${index} ${what}`);
  };
  return cache.place(commit).text(index, fail, "download it again", 64 * 2 ** 20);
};

/** What a snapshot lacks of `parts`, in words. */
async function lacking(
  cache: ModelCache,
  commit: string,
  parts: readonly ModelPart[],
): Promise<string[]> {
  const names = await cache.names(commit);
  const { index, missing } = chooseFiles(names, parts);
  if (index === undefined || missing.length > 0) return [...missing];
  const text = await indexText(cache, commit, index);
  const shards = shardsOf(text, `${cache.snapshot(commit)}/${index}`);
  return shards.filter((name) => !names.has(name));
}

/** The name and revision of a model whose page or folder on the Hub this is. */
function hubModel(address: URL, endpoint: string): { name: string; revision?: string } | undefined {
  const url = shownAddress(address);
  if (!url.startsWith(`${endpoint}/`)) return undefined;
  const path = url.slice(endpoint.length + 1);
  const [, name, revision] = /^(.+?)(?:\/(?:tree|resolve|blob|raw)\/(.+))?$/.exec(path) ?? [];
  if (name === undefined || !isModelName(name)) return undefined;
  return { name, ...(revision !== undefined && { revision: decodeURIComponent(revision) }) };
}

/** Refuses an address that is not that of a folder on the web. */
function checkAddress(address: URL): void {
  const shown = shownAddress(address);
  const refuse = (what: string): never => {
    throw new ModelError(`[hub] ${what}`);
  };
  if (!/^https?:$/.test(address.protocol)) {
    refuse(
      `an address that begins with ${address.protocol} is none of the web: give one that begins with https:`,
    );
  }
  if (address.username || address.password) {
    refuse(`${shown} was given with a user or password: give an address without them`);
  }
  if (/\.(?:json|txt|safetensors|bin)$/.test(address.pathname)) {
    refuse(`${shown} is the address of a file: give that of the folder that holds it`);
  }
}

/** Models by address that are in a cache have such folders. */
const ADDRESS_FOLDER = "urls--";

/** A name for an address, which may be of any length and form. */
function folderOf(address: URL, setup: Setup): string {
  const hash = setup.host.hash("sha256");
  hash.update(new TextEncoder().encode(shownAddress(address)));
  const host = address.host.replaceAll(/[^\w.-]/g, "_");
  return `${ADDRESS_FOLDER}${host}--${hash.digest().slice(0, 32)}`;
}

/** What is fetched, and where it is kept. */
type Target = {
  readonly name: string;
  readonly revision: string;
  readonly cache: ModelCache;
  readonly repository: () => Repository;
};

async function targetOf(model: string | URL, revision: string, setup: Setup): Promise<Target> {
  const { host, links } = setup;
  const named = typeof model === "string" ? { name: model } : hubModel(model, setup.endpoint);
  if (named) {
    const { name } = named;
    const asked = named.revision ?? revision;
    checkName(name, asked);
    const store = await host.store(setup.cacheDir, links);
    const cache = new ModelCache(store, `models--${name.replaceAll("/", "--")}`, name);
    return { name, revision: asked, cache, repository: () => new HubRepository(name, setup) };
  }
  const address = model as URL;
  checkAddress(address);
  const store = await host.store(setup.addressDir, links);
  const name = shownAddress(address);
  const cache = new ModelCache(store, folderOf(address, setup), name);
  return { name, revision: "main", cache, repository: () => new AddressRepository(address, setup) };
}

/**
 * A model by its name on the Hub or the address of its folder, downloaded as far as it is not in the cache.
 *
 * A branch or tag costs one request even when all is cached; a full commit costs none; an address one for each file that there
 * may be. When the server cannot be asked, a whole cached snapshot is used, and `onNotice` is told.
 *
 * @throws as `resolveModel`
 */
export async function fetchModel(model: string | URL, options: HubOptions = {}): Promise<Cached> {
  const { revision = "main", parts = PARTS } = options;
  if (typeof model === "string") checkName(model, revision);
  const setup = await setUp(options);
  try {
    const target = await targetOf(model, revision, setup);
    return await (setup.offline ? cached(target, parts, setup) : download(target, parts, setup));
  } catch (error) {
    const root = typeof model === "string" ? setup.cacheDir : setup.addressDir;
    throw (error instanceof ModelError ? undefined : setup.host.storeError(error, root)) ?? error;
  }
}

/** Removes a model, by name or address, from the cache. */
export async function forgetModel(model: string | URL, options: HubOptions = {}): Promise<void> {
  const setup = await setUp(options);
  const address = typeof model === "string" && /^https?:/i.test(model) ? URL.parse(model) : model;
  const { cache } = await targetOf(address ?? model, options.revision ?? "main", setup);
  await cache.remove();
}

async function cached(
  { name, revision, cache }: Target,
  parts: readonly ModelPart[],
  { host: { words } }: Setup,
): Promise<Cached> {
  const commit = await cache.commit(revision);
  const missing = commit === undefined ? undefined : await lacking(cache, commit, parts);
  if (commit !== undefined && missing?.length === 0) return { cache, commit };
  const what = missing ? `lacks ${missing.join("; ")}` : "is not there";
  throw new ModelError(
    `[hub] ${name} at revision '${revision}' ${what} in ${cache.folder}, and ${words.offline} is set: unset it to download`,
  );
}

async function download(
  target: Target,
  parts: readonly ModelPart[],
  setup: Setup,
): Promise<Cached> {
  const { name, revision, cache } = target;
  const repository = target.repository();
  const known = await cache.commit(revision);
  let commit: string;
  try {
    commit = known === revision ? known : await repository.commit(revision);
  } catch (error) {
    const stale = error instanceof HubError && /^(?:unreachable|denied)$/.test(error.kind);
    if (!stale || known === undefined || (await lacking(cache, known, parts)).length > 0)
      throw error;
    setup.notice(`${error.message}; the cached commit ${known} is used instead`);
    return { cache, commit: known };
  }
  if ((await lacking(cache, commit, parts)).length > 0) {
    const listed = await repository.files(commit);
    const { files, index, missing } = chooseFiles(new Set(listed.keys()), parts);
    if (missing.length > 0) throw lacks(target, repository, missing);
    const take = (wanted: readonly string[]) =>
      wanted.map((path): RemoteFile => {
        const file = listed.get(path);
        if (file) return file;
        throw new ModelError(
          `[hub] ${index} of ${name} names ${path}, which the repository does not have: give another ${setup.host.words.revision}`,
        );
      });
    const plan = take(files);
    if (index !== undefined) {
      // the index comes first, so that all sizes are known before the first large file
      const [file] = plan.splice(-1);
      await fetchAll([file], repository, cache, commit, undefined);
      const shards = shardsOf(await indexText(cache, commit, index), `${index} of ${name}`);
      plan.push(file, ...take(shards));
    }
    await cache.checkRoom(plan);
    await fetchAll(plan, repository, cache, commit, setup.onProgress);
  }
  await cache.remember(revision, commit).catch((error) => {
    setup.notice(`[hub] the commit of '${revision}' could not be noted (${error.message})`);
  });
  // an address has no history that anybody could ask for again
  if (repository instanceof AddressRepository) {
    await cache.keepOnly(commit, (await repository.files()).values());
  }
  return { cache, commit };
}

/** What to say of a place that has not all that is needed. */
function lacks(target: Target, repository: Repository, missing: readonly string[]): ModelError {
  const { name, revision } = target;
  const list = missing.join(", and no ");
  if (!(repository instanceof AddressRepository)) {
    return new ModelError(
      `[hub] ${name} at revision '${revision}' has no ${list}: name a repository that has`,
    );
  }
  const answer = repository.refusals.get(MODEL_CONFIG) ?? repository.refusals.values().next().value;
  const why = answer === undefined ? "" : ` (it answers ${answer})`;
  return new ModelError(`[hub] ${name} has no ${list}${why}: give ${repository.kind} that has`);
}

async function fetchAll(
  files: readonly RemoteFile[],
  repository: Repository,
  cache: ModelCache,
  commit: string,
  onProgress: HubOptions["onProgress"],
): Promise<void> {
  const size = files.reduce((sum, file) => sum + file.size, 0);
  let before = 0;
  for (const file of files) {
    await cache.fetch(repository, commit, file, (fileBytes) => {
      const bytes = before + fileBytes;
      onProgress?.({ file: file.path, fileBytes, fileSize: file.size, bytes, size });
    });
    await cache.link(commit, file);
    before += file.size;
  }
}

/**
 * The directory of a model (Node): `model` itself where it is a directory, else where the model of that name on the Hub, or at that
 * address, stands in the cache, downloaded as `fetchModel` does.
 *
 * @throws `[hub] ...` in one sentence: no such repository, revision or file; private or gated; no
 *   network, or offline and not cached; a server that fails, or sends what does not match its own
 *   list of files. Nothing half-written stands under a final name then.
 */
export async function resolveModel(model: string, options: HubOptions = {}): Promise<string> {
  const { host } = await setUp({ ...options, token: false });
  const found = await host.find(model);
  if (found && !(found instanceof URL)) return found.where;
  const { cache, commit } = await fetchModel(found ?? model, options);
  return cache.snapshot(commit);
}
