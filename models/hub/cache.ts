/**
 * The cache of one model, on a disk in the layout that Python's huggingface_hub has:
 *
 *     models--OWNER--NAME/blobs/ETAG                     contents, named by their checksum
 *     models--OWNER--NAME/snapshots/COMMIT/FILE          links: ../../blobs/ETAG
 *     models--OWNER--NAME/refs/REVISION                  the commit of a branch or tag
 *
 * A blob under its final name is whole and has been checked: it is written beside it, goes on from there after a break, and gets
 * its name at the end. Links and refs appear in one step too.
 */
import type { Place } from "../formats/place.ts";
import { HubError } from "./errors.ts";
import type { Hash, Host } from "./host.ts";
import type { RemoteFile, Repository } from "./request.ts";
import type { Partial, Store } from "./store.ts";

const COMMIT = /^[0-9a-f]{40}$/;

type Bytes = (arrived: number) => void;

/** The part of a cache that belongs to one model. */
export class ModelCache {
  readonly #store: Store;
  readonly #folder: string;
  /** What to call the model in errors, where its place on a disk does not say it. */
  readonly #where: string;

  /** @param folder its name in the store */
  constructor(store: Store, folder: string, where: string) {
    this.#store = store;
    this.#folder = folder;
    this.#where = where;
  }

  /** What to call it, and on a disk its path. */
  get folder(): string {
    return this.#store.shown(this.#folder);
  }

  #snapshot(commit: string): string {
    return `${this.#folder}/snapshots/${commit}`;
  }

  /** Where the files of a commit stand: a directory on a disk. */
  snapshot(commit: string): string {
    return this.#store.shown(this.#snapshot(commit));
  }

  /** The files of a commit. */
  place(commit: string): Place {
    return this.#store.place(this.#snapshot(commit), this.#where);
  }

  /** The names of a commit's files, those whose blob is there. */
  async names(commit: string): Promise<Set<string>> {
    const folder = this.#snapshot(commit);
    const names = await this.#store.names(folder);
    const sizes = await Promise.all(names.map((name) => this.#store.size(`${folder}/${name}`)));
    return new Set(names.filter((_, i) => sizes[i] !== undefined));
  }

  /** The commit that a revision named when it was last asked for. */
  async commit(revision: string): Promise<string | undefined> {
    if (COMMIT.test(revision)) return revision;
    const text = (await this.#store.note(`${this.#folder}/refs/${revision}`)) ?? "";
    return COMMIT.test(text.trim()) ? text.trim() : undefined;
  }

  /** Notes the commit of a revision. */
  async remember(revision: string, commit: string): Promise<void> {
    if (revision === commit || (await this.commit(revision)) === commit) return;
    await this.#store.writeNote(`${this.#folder}/refs/${revision}`, commit);
  }

  /** Makes a blob that is there appear as a file of a commit. */
  async link(commit: string, file: RemoteFile): Promise<void> {
    const path = `${this.#snapshot(commit)}/${file.path}`;
    if ((await this.#store.size(path)) === file.size) return;
    await this.#store.link(path, this.#blob(file));
  }

  #blob({ etag }: RemoteFile): string {
    return `${this.#folder}/blobs/${etag}`;
  }

  /** Removes all commits but one, and the blobs that only they have. */
  async keepOnly(commit: string, files: Iterable<RemoteFile>): Promise<void> {
    const blobs = new Set(Array.from(files, ({ etag }) => etag));
    for (const name of await this.#store.names(`${this.#folder}/snapshots`)) {
      if (name !== commit) await this.#store.remove(this.#snapshot(name));
    }
    for (const name of await this.#store.names(`${this.#folder}/blobs`)) {
      const [etag] = name.split("."); // of what is not whole, or in parts, too
      if (!blobs.has(etag)) await this.#store.remove(`${this.#folder}/blobs/${name}`);
    }
  }

  /** Removes all that is kept of the model. */
  remove(): Promise<void> {
    return this.#store.remove(this.#folder);
  }

  /** Refuses in one sentence what will not fit, before anything is fetched. */
  async checkRoom(files: readonly RemoteFile[]): Promise<void> {
    let bytes = 0;
    for (const file of files) {
      if ((await this.#store.size(this.#blob(file))) !== file.size) bytes += file.size;
    }
    const lacking = bytes === 0 ? undefined : await this.#store.room(bytes);
    if (lacking !== undefined) throw new HubError("refused", `${this.#where} ${lacking}`);
  }

  /**
   * Downloads a file's blob unless it is there.
   *
   * @param arrived is told how many of the file's bytes are there
   * @throws HubError for what does not match the size or checksum of the listing; nothing is kept
   */
  async fetch(
    repository: Repository,
    commit: string,
    file: RemoteFile,
    arrived: Bytes,
  ): Promise<void> {
    const store = this.#store;
    const blob = this.#blob(file);
    if ((await store.size(blob)) === file.size) return arrived(file.size);
    const { signal, notice } = repository.requests.settings;
    const release = await store.lock(blob, { signal, notice, what: file.path });
    try {
      if ((await store.size(blob)) === file.size) return arrived(file.size);
      const partial = await store.partial(blob);
      try {
        await new Download(repository, commit, file, partial, arrived).run();
        await partial.finish();
      } finally {
        await partial.close();
      }
    } finally {
      await release();
    }
  }
}

/** What checks a blob by its name: git hashes a header before the contents. Undefined for a name that is no checksum. */
function checksum({ etag, size }: RemoteFile, host: Host): Hash | undefined {
  if (etag.length === 64) return host.hash("sha256");
  if (etag.length !== 40) return undefined;
  const hash = host.hash("sha1");
  hash.update(new TextEncoder().encode(`blob ${size}\0`));
  return hash;
}

/** Fills a partial blob until it is the whole file; forgets what came where that is wrong. */
class Download {
  readonly #repository: Repository;
  readonly #commit: string;
  readonly #file: RemoteFile;
  readonly #partial: Partial;
  readonly #arrived: Bytes;
  readonly #what: string;
  #at = 0;
  #hash: Hash | undefined;

  constructor(
    repository: Repository,
    commit: string,
    file: RemoteFile,
    partial: Partial,
    arrived: Bytes,
  ) {
    this.#repository = repository;
    this.#commit = commit;
    this.#file = file;
    this.#partial = partial;
    this.#arrived = arrived;
    this.#what = `${file.path} of ${repository.name}`;
    this.#hash = this.#newHash();
  }

  #newHash(): Hash | undefined {
    return checksum(this.#file, this.#repository.requests.settings.host);
  }

  /** @throws HubError; what came is kept where it may go on, and forgotten where it is wrong */
  async run(): Promise<void> {
    const { requests } = this.#repository;
    await this.#resume();
    for (let old = this.#at > 0; ; old = false) {
      await requests.persist(
        () => this.#attempt(),
        () => this.#at,
      );
      const wrong = this.#wrong();
      if (wrong === undefined) return;
      await this.#restart();
      if (!old) {
        throw new HubError("refused", `${wrong}: it was deleted, try again later`);
      }
      requests.settings.notice(
        `[hub] ${wrong}: the part of an earlier run was bad, starting again`,
      );
    }
  }

  /** Goes on after what an earlier run has left. */
  async #resume(): Promise<void> {
    if (this.#partial.size > this.#file.size) return this.#restart();
    for await (const bytes of this.#partial.left()) {
      this.#hash?.update(bytes);
      this.#at += bytes.length;
    }
  }

  async #restart(): Promise<void> {
    await this.#partial.restart();
    this.#hash = this.#newHash();
    this.#at = 0;
  }

  async #attempt(): Promise<void> {
    const { size } = this.#file;
    this.#arrived(this.#at);
    if (this.#at === size) return;
    for await (const { at, chunk } of this.#repository.bytes(this.#commit, this.#file, this.#at)) {
      if (at === 0 && this.#at > 0) await this.#restart(); // the server knows no ranges
      if (this.#at + chunk.length > size) {
        await this.#restart();
        throw new HubError(
          "refused",
          `the server sends more than the ${size} bytes of ${this.#what}: what has come was deleted, try again later`,
        );
      }
      await this.#partial.append(chunk);
      this.#hash?.update(chunk);
      this.#at += chunk.length;
      this.#arrived(this.#at);
    }
    if (this.#at < size) {
      throw new HubError(
        "unreachable",
        `the server ended ${this.#what} after ${this.#at} of ${size} bytes: try again later`,
        { retry: true },
      );
    }
  }

  /** What is wrong with a whole file. */
  #wrong(): string | undefined {
    const { etag } = this.#file;
    const found = this.#hash?.digest() ?? etag;
    if (found === etag) return undefined;
    const kind = etag.length === 64 ? "sha256" : "git sha1";
    return `${this.#what} has the ${kind} ${found} where the Hub lists ${etag}`;
  }
}
