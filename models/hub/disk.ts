/** A cache's store on the disk of this machine (Node): what is renamed into place appears in one step. */
import { randomUUID } from "node:crypto";
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
import { dirname, join, relative } from "node:path";
import { directoryPlace } from "../formats/disk.ts";
import type { Place } from "../formats/place.ts";
import { sleep } from "./request.ts";
import type { Partial, Store, Waiting } from "./store.ts";

const POLL = 200; // ms between looks at another process's lock
const FOREIGN_LOCK = 3_600_000; // ms after which another machine's lock counts as left over
const PIECE = 1 << 20; // bytes that are read at once

function codeOf(error: unknown): unknown {
  return Object(error).code;
}

/** Puts a file or link in place in one step: nobody ever sees half of it. */
async function place(path: string, make: (path: string) => Promise<unknown>): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${randomUUID().slice(0, 8)}.tmp`;
  try {
    await make(temporary);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** A blob as BLOB.incomplete. */
class DiskPartial implements Partial {
  readonly size: number;
  readonly #blob: string;
  readonly #handle: FileHandle;
  #at: number;
  #finished = false;

  private constructor(blob: string, handle: FileHandle, size: number) {
    this.#blob = blob;
    this.#handle = handle;
    this.size = size;
    this.#at = size;
  }

  static async open(blob: string): Promise<DiskPartial> {
    const path = `${blob}.incomplete`;
    await mkdir(dirname(blob), { recursive: true });
    const handle = await open(path, "r+").catch((error) => {
      if (codeOf(error) !== "ENOENT") throw error;
      return open(path, "wx+");
    });
    return new DiskPartial(blob, handle, (await handle.stat()).size);
  }

  async *left(): AsyncGenerator<Uint8Array, void> {
    const buffer = new Uint8Array(PIECE);
    for (let at = 0; at < this.size; ) {
      const { bytesRead } = await this.#handle.read(buffer, 0, buffer.length, at);
      if (bytesRead === 0) break;
      yield buffer.subarray(0, bytesRead);
      at += bytesRead;
    }
  }

  async append(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const left = bytes.length - done;
      done += (await this.#handle.write(bytes, done, left, this.#at + done)).bytesWritten;
    }
    this.#at += bytes.length;
  }

  async restart(): Promise<void> {
    await this.#handle.truncate(0);
    this.#at = 0;
  }

  async finish(): Promise<void> {
    await this.#handle.sync();
    await rename(`${this.#blob}.incomplete`, this.#blob);
    this.#finished = true;
  }

  async close(): Promise<void> {
    if (!this.#finished && this.#at === 0) await rm(`${this.#blob}.incomplete`, { force: true });
    await this.#handle.close();
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

/**
 * A cache in the folder `root`.
 *
 * @param links false to copy blobs into snapshots (HF_HUB_DISABLE_SYMLINKS)
 */
export function diskStore(root: string, links: boolean): Store {
  const shown = (path: string) => join(root, path);
  return {
    shown,
    names: (folder) => readdir(shown(folder)).catch(() => []),
    note: (path) => readFile(shown(path), "utf8").catch(() => undefined),
    writeNote: (path, text) => place(shown(path), (temporary) => writeFile(temporary, text)),
    size: async (path) => {
      const found = await stat(shown(path)).catch(() => undefined);
      return found?.isFile() ? found.size : undefined;
    },
    link: async (path, blob) => {
      const copy = (temporary: string) => copyFile(shown(blob), temporary);
      if (!links) return place(shown(path), copy);
      const target = relative(dirname(shown(path)), shown(blob));
      await place(shown(path), (temporary) => symlink(target, temporary)).catch((error) => {
        if (codeOf(error) !== "EPERM" && codeOf(error) !== "ENOSYS") throw error;
        return place(shown(path), copy); // Windows without the right to make links
      });
    },
    place: (folder): Place => directoryPlace(shown(folder)),
    partial: (blob) => DiskPartial.open(shown(blob)),
    room: async () => undefined, // what the disk says when it is full is told then
    lock: (blob, waiting) => lock(lockOf(root, blob), waiting),
    remove: (path) => rm(shown(path), { recursive: true, force: true }),
  };
}

/** Where Python has the lock of a blob. */
function lockOf(root: string, blob: string): string {
  const [folder, , etag] = blob.split("/");
  return join(root, ".locks", folder, `${etag}.incomplete.lock`);
}

/**
 * Waits until no other process writes the blob. The checksum is what keeps the cache right; the lock only saves two processes
 * from spoiling each other's part.
 */
async function lock(path: string, { signal, notice, what }: Waiting): Promise<() => Promise<void>> {
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
        `[hub] ${what} is being downloaded by another process: waiting for it (if there is none, delete ${path})`,
      );
    told = true;
    await sleep(POLL, signal);
  }
}
