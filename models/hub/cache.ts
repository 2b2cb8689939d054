/**
 * The cache that Python's huggingface_hub uses too:
 *
 *     models--OWNER--NAME/blobs/ETAG                     contents, named by their checksum
 *     models--OWNER--NAME/snapshots/COMMIT/FILE          links: ../../blobs/ETAG
 *     models--OWNER--NAME/refs/REVISION                  the commit of a branch or tag
 *
 * A blob under its final name is whole and has been checked: it is written as ETAG.incomplete, goes
 * on from there after a break, and is renamed at the end. Links and refs are renamed into place too.
 */
import { createHash, type Hash, randomUUID } from "node:crypto";
import {
  copyFile,
  type FileHandle,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { HubError } from "./errors.ts";
import type { HubFile, HubRepository, HubSettings } from "./http.ts";

const COMMIT = /^[0-9a-f]{40}$/;
const POLL = 200; // ms between looks at another process's lock
const FOREIGN_LOCK = 3_600_000; // ms after which another machine's lock counts as left over

type Bytes = (arrived: number) => void;

function codeOf(error: unknown): unknown {
  return Object(error).code;
}

/** The size of a file in bytes, undefined where there is none. Follows links. */
async function fileSize(path: string): Promise<number | undefined> {
  const found = await stat(path).catch(() => undefined);
  return found?.isFile() ? found.size : undefined;
}

/** Puts a file or link in place in one step: nobody ever sees half of it. */
async function place(path: string, make: (path: string) => Promise<unknown>): Promise<void> {
  const temporary = `${path}.${randomUUID().slice(0, 8)}.tmp`;
  try {
    await make(temporary);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** The part of a cache that belongs to one model repository. */
export class HubCache {
  readonly folder: string;
  readonly #locks: string;
  readonly #links: boolean;

  /**
   * @param root what HF_HUB_CACHE names
   * @param name `owner/name`, checked
   * @param links false to copy blobs into snapshots (HF_HUB_DISABLE_SYMLINKS)
   */
  constructor(root: string, name: string, links: boolean) {
    const part = `models--${name.replaceAll("/", "--")}`;
    this.folder = join(root, part);
    this.#locks = join(root, ".locks", part);
    this.#links = links;
  }

  /** Where the files of a commit stand. */
  snapshot(commit: string): string {
    return join(this.folder, "snapshots", commit);
  }

  /** The names of a commit's files, those whose blob is there. */
  async names(commit: string): Promise<Set<string>> {
    const folder = this.snapshot(commit);
    const names = await readdir(folder).catch(() => []);
    const sizes = await Promise.all(names.map((name) => fileSize(join(folder, name))));
    return new Set(names.filter((_, i) => sizes[i] !== undefined));
  }

  /** Text of a commit's file. */
  text(commit: string, name: string): Promise<string> {
    return readFile(join(this.snapshot(commit), name), "utf8");
  }

  /** The commit that a revision named when it was last asked for. */
  async commit(revision: string): Promise<string | undefined> {
    if (COMMIT.test(revision)) return revision;
    const text = await readFile(join(this.folder, "refs", revision), "utf8").catch(() => "");
    return COMMIT.test(text.trim()) ? text.trim() : undefined;
  }

  /** Notes the commit of a revision. */
  async remember(revision: string, commit: string): Promise<void> {
    if (revision === commit || (await this.commit(revision)) === commit) return;
    const path = join(this.folder, "refs", revision);
    await mkdir(dirname(path), { recursive: true });
    await place(path, (temporary) => writeFile(temporary, commit));
  }

  /** Makes a blob that is there appear as a file of a commit. */
  async link(commit: string, file: HubFile): Promise<void> {
    const path = join(this.snapshot(commit), file.path);
    if ((await fileSize(path)) === file.size) return;
    await mkdir(dirname(path), { recursive: true });
    const copy = (temporary: string) => copyFile(join(this.folder, "blobs", file.etag), temporary);
    if (!this.#links) return place(path, copy);
    await place(path, (temporary) =>
      symlink(join("..", "..", "blobs", file.etag), temporary),
    ).catch((error) => {
      if (codeOf(error) !== "EPERM" && codeOf(error) !== "ENOSYS") throw error;
      return place(path, copy); // Windows without the right to make links
    });
  }

  /**
   * Downloads a file's blob unless it is there.
   *
   * @param arrived is told how many of the file's bytes are there
   * @throws HubError for what does not match the size or checksum of the listing; nothing is kept
   */
  async fetch(
    repository: HubRepository,
    settings: HubSettings,
    commit: string,
    file: HubFile,
    arrived: Bytes,
  ): Promise<void> {
    const blob = join(this.folder, "blobs", file.etag);
    if ((await fileSize(blob)) === file.size) return arrived(file.size);
    await mkdir(dirname(blob), { recursive: true });
    const release = await this.#lock(file, settings);
    try {
      if ((await fileSize(blob)) === file.size) return arrived(file.size);
      const partial = `${blob}.incomplete`;
      await download(repository, settings, commit, file, partial, arrived);
      await rename(partial, blob);
    } finally {
      await release();
    }
  }

  /**
   * Waits until no other process writes the file's blob. The checksum is what keeps the cache right;
   * the lock only saves two processes from spoiling each other's part.
   */
  async #lock(file: HubFile, { signal, notice }: HubSettings): Promise<() => Promise<void>> {
    const path = join(this.#locks, `${file.etag}.incomplete.lock`);
    await mkdir(dirname(path), { recursive: true });
    const mine = JSON.stringify({ pid: process.pid, host: hostname(), id: randomUUID() });
    for (let told = false; ; ) {
      try {
        await writeFile(path, mine, { flag: "wx" });
        return async () => {
          if ((await readFile(path, "utf8").catch(() => "")) === mine) await rm(path);
        };
      } catch (error) {
        if (codeOf(error) !== "EEXIST") throw error;
      }
      const theirs = await readFile(path, "utf8").catch(() => "");
      if (await leftOver(path, theirs)) {
        if ((await readFile(path, "utf8").catch(() => "")) === theirs)
          await rm(path, { force: true });
        continue;
      }
      if (!told)
        notice(
          `[hub] ${file.path} is being downloaded by another process: waiting for it (if there is none, delete ${path})`,
        );
      told = true;
      await sleep(POLL, undefined, signal && { signal }).catch(() => signal?.throwIfAborted());
    }
  }
}

/** Whether the process that wrote a lock has ended without removing it. */
async function leftOver(path: string, lock: string): Promise<boolean> {
  let owner: { pid?: unknown; host?: unknown } = {};
  try {
    owner = Object(JSON.parse(lock));
  } catch {
    // being written, or damaged: judged by its age
  }
  if (owner.host === hostname() && typeof owner.pid === "number") {
    try {
      process.kill(owner.pid, 0);
      return false;
    } catch (error) {
      return codeOf(error) === "ESRCH";
    }
  }
  const age = Date.now() - (await stat(path).catch(() => ({ mtimeMs: 0 }))).mtimeMs;
  return age > (owner.host === undefined ? 10 * POLL : FOREIGN_LOCK);
}

/** What checks a blob by its name: git hashes a header before the contents. */
function checksum({ etag, size }: HubFile): Hash {
  return etag.length === 64 ? createHash("sha256") : createHash("sha1").update(`blob ${size}\0`);
}

/** A blob that is being written, and the checksum of what is there. */
class PartialBlob {
  at = 0;
  #hash: Hash;
  readonly #file: HubFile;
  readonly #handle: FileHandle;

  constructor(file: HubFile, handle: FileHandle) {
    this.#file = file;
    this.#handle = handle;
    this.#hash = checksum(file);
  }

  /** Goes on after what an earlier run has left. */
  async resume(): Promise<void> {
    const { size } = await this.#handle.stat();
    if (size > this.#file.size) return this.restart();
    const buffer = new Uint8Array(1 << 20);
    while (this.at < size) {
      const { bytesRead } = await this.#handle.read(buffer, 0, buffer.length, this.at);
      if (bytesRead === 0) break;
      this.#hash.update(buffer.subarray(0, bytesRead));
      this.at += bytesRead;
    }
  }

  async restart(): Promise<void> {
    await this.#handle.truncate(0);
    this.#hash = checksum(this.#file);
    this.at = 0;
  }

  async append(chunk: Uint8Array): Promise<void> {
    for (let done = 0; done < chunk.length; ) {
      const left = chunk.length - done;
      done += (await this.#handle.write(chunk, done, left, this.at + done)).bytesWritten;
    }
    this.#hash.update(chunk);
    this.at += chunk.length;
  }

  /** The checksum of a whole file; ends the writing. */
  async finish(): Promise<string> {
    await this.#handle.sync();
    return this.#hash.digest("hex");
  }
}

/** Fills `path` until it is the whole file; deletes it where what came is wrong. */
async function download(
  repository: HubRepository,
  settings: HubSettings,
  commit: string,
  file: HubFile,
  path: string,
  arrived: Bytes,
): Promise<void> {
  const what = `${file.path} of ${repository.name}`;
  const handle = await open(path, "r+").catch((error) => {
    if (codeOf(error) !== "ENOENT") throw error;
    return open(path, "wx+");
  });
  const partial = new PartialBlob(file, handle);
  try {
    await partial.resume();
    const attempt = async () => {
      arrived(partial.at);
      if (partial.at === file.size) return;
      for await (const { at, chunk } of repository.bytes(commit, file, partial.at)) {
        if (at === 0 && partial.at > 0) await partial.restart(); // the server knows no ranges
        if (partial.at + chunk.length > file.size) {
          await partial.restart();
          throw new HubError(
            "refused",
            `the server sends more than the ${file.size} bytes of ${what}: what has come was deleted, try again later`,
          );
        }
        await partial.append(chunk);
        arrived(partial.at);
      }
      if (partial.at < file.size) {
        throw new HubError(
          "unreachable",
          `the server ended ${what} after ${partial.at} of ${file.size} bytes: try again later`,
          { retry: true },
        );
      }
    };
    for (let old = partial.at > 0; ; old = false) {
      await repository.persist(attempt, () => partial.at);
      const found = await partial.finish();
      if (found === file.etag) return;
      const kind = file.etag.length === 64 ? "sha256" : "git sha1";
      const wrong = `${what} has the ${kind} ${found} where the Hub lists ${file.etag}`;
      await partial.restart();
      if (!old) {
        throw new HubError("refused", `${wrong}: it was deleted, try again later`);
      }
      settings.notice(`[hub] ${wrong}: the part of an earlier run was bad, starting again`);
    }
  } catch (error) {
    if (partial.at === 0) await rm(path, { force: true });
    throw error;
  } finally {
    await handle.close();
  }
}
