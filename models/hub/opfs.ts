/**
 * A cache's store in the private file system of a page (OPFS). It is chosen over the Cache API because a file there is written
 * where it broke off, and read in parts without being in memory.
 *
 * It has no links and renames no folders, and a file is written in one step, when its stream is closed. So a blob is
 *
 *     BLOB            {"size": bytes, "parts": count}, written last
 *     BLOB.parts/N    its bytes: part N ends where a stream was closed, on purpose or not
 *
 * and a link is a text, the path of its blob. Locks are the browser's own (Web Locks), which end with the tab that has them.
 */
import { ModelError } from "../errors.ts";
import { placeOf } from "../formats/place.ts";
import { blobSource } from "../formats/source.ts";
import { HubError } from "./errors.ts";
import type { Partial, Store, Waiting } from "./store.ts";

const PART = 16 * 2 ** 20; // bytes, what a page that ends loses at most
const WRITTEN = 2 ** 20; // bytes that are written at once
const PIECE = 2 ** 20; // bytes that are read at once for a checksum
const PARTS = ".parts";

type Directory = FileSystemDirectoryHandle;

/** Undefined for what is not there. */
async function orNone<T>(found: Promise<T>): Promise<T | undefined> {
  try {
    return await found;
  } catch (error) {
    const { name } = Object(error) as { name?: string };
    if (name === "NotFoundError" || name === "TypeMismatchError") return undefined;
    throw error;
  }
}

/** What stands under the name of a blob. */
type Marker = { readonly size: number; readonly parts: number };

function markerOf(text: string): Marker | undefined {
  try {
    const { size, parts } = Object(JSON.parse(text)) as Record<string, unknown>;
    const whole = Number.isSafeInteger(size) && Number.isSafeInteger(parts);
    return whole ? { size: Number(size), parts: Number(parts) } : undefined;
  } catch {
    return undefined;
  }
}

/** Files by path below one folder. */
class Files {
  readonly #root: Directory;

  constructor(root: Directory) {
    this.#root = root;
  }

  async directory(path: string, create: boolean): Promise<Directory | undefined> {
    let at: Directory | undefined = this.#root;
    for (const name of path.split("/").filter(Boolean)) {
      at = at && (await orNone(at.getDirectoryHandle(name, { create })));
    }
    return at;
  }

  async file(path: string): Promise<File | undefined> {
    const end = path.lastIndexOf("/");
    const folder = await this.directory(path.slice(0, Math.max(0, end)), false);
    const handle = folder && (await orNone(folder.getFileHandle(path.slice(end + 1))));
    return handle && orNone(handle.getFile());
  }

  async text(path: string): Promise<string | undefined> {
    return (await this.file(path))?.text();
  }

  /** Writes a file in one step. */
  async write(path: string, content: string | readonly Uint8Array<ArrayBuffer>[]): Promise<void> {
    const end = path.lastIndexOf("/");
    const folder = await this.directory(path.slice(0, Math.max(0, end)), true);
    const handle = await folder?.getFileHandle(path.slice(end + 1), { create: true });
    const stream = await handle?.createWritable();
    try {
      for (const piece of typeof content === "string" ? [content] : content) {
        await stream?.write(piece);
      }
      await stream?.close();
    } catch (error) {
      await stream?.abort().catch(() => undefined);
      throw error;
    }
  }

  async names(path: string): Promise<string[]> {
    const folder = await this.directory(path, false);
    const names: string[] = [];
    if (folder) for await (const name of folder.keys()) names.push(name);
    return names;
  }

  async remove(path: string): Promise<void> {
    const end = path.lastIndexOf("/");
    const folder = await this.directory(path.slice(0, Math.max(0, end)), false);
    if (folder) await orNone(folder.removeEntry(path.slice(end + 1), { recursive: true }));
  }
}

/** The parts of a blob that are there, in order, up to the first that is not. */
async function partsOf(
  files: Files,
  blob: string,
  most = Number.POSITIVE_INFINITY,
): Promise<File[]> {
  const parts: File[] = [];
  while (parts.length < most) {
    const part = await files.file(`${blob}${PARTS}/${parts.length}`);
    if (!part) break;
    parts.push(part);
  }
  return parts;
}

/** The parts of a blob that is whole. */
async function wholeParts(files: Files, blob: string): Promise<File[] | undefined> {
  const marker = markerOf((await files.text(blob)) ?? "");
  if (!marker) return undefined;
  const parts = await partsOf(files, blob, marker.parts);
  const bytes = parts.reduce((sum, { size }) => sum + size, 0);
  return parts.length === marker.parts && bytes === marker.size ? parts : undefined;
}

/** A blob that is being written. */
class OpfsPartial implements Partial {
  readonly size: number;
  readonly #files: Files;
  readonly #blob: string;
  readonly #left: readonly File[];
  #bytes: number; // in closed parts
  #parts: number;
  #stream: FileSystemWritableFileStream | undefined;
  #streamed = 0; // bytes in the open part
  #waiting = new Uint8Array(WRITTEN);
  #held = 0; // bytes that wait to be written
  #finished = false;

  constructor(files: Files, blob: string, left: readonly File[]) {
    this.#files = files;
    this.#blob = blob;
    this.#left = left;
    this.size = left.reduce((sum, { size }) => sum + size, 0);
    this.#bytes = this.size;
    this.#parts = left.length;
  }

  async *left(): AsyncGenerator<Uint8Array, void> {
    for (const part of this.#left) {
      for (let at = 0; at < part.size; at += PIECE) {
        yield new Uint8Array(await part.slice(at, at + PIECE).arrayBuffer());
      }
    }
  }

  async append(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const taken = bytes.subarray(at, at + WRITTEN - this.#held);
      this.#waiting.set(taken, this.#held);
      this.#held += taken.length;
      at += taken.length;
      if (this.#held === WRITTEN) await this.#write();
    }
    if (this.#streamed >= PART) await this.#endPart();
  }

  async #write(): Promise<void> {
    if (this.#held === 0) return;
    this.#stream ??= await this.#open();
    await this.#stream.write(this.#waiting.slice(0, this.#held));
    this.#streamed += this.#held;
    this.#held = 0;
  }

  async #open(): Promise<FileSystemWritableFileStream> {
    const folder = await this.#files.directory(`${this.#blob}${PARTS}`, true);
    const handle = await folder?.getFileHandle(String(this.#parts), { create: true });
    if (!handle) throw new HubError("refused", "the browser's cache was cleared: load again");
    return handle.createWritable();
  }

  async #endPart(): Promise<void> {
    await this.#write();
    if (!this.#stream) return;
    const stream = this.#stream;
    this.#stream = undefined;
    await stream.close();
    this.#bytes += this.#streamed;
    this.#streamed = 0;
    this.#parts++;
  }

  async restart(): Promise<void> {
    const stream = this.#stream;
    this.#stream = undefined;
    await stream?.abort();
    this.#held = 0;
    this.#streamed = 0;
    this.#bytes = 0;
    this.#parts = 0;
    await this.#files.remove(`${this.#blob}${PARTS}`);
  }

  async finish(): Promise<void> {
    await this.#endPart();
    if (this.#parts === 0) await this.#files.directory(`${this.#blob}${PARTS}`, true);
    const marker: Marker = { size: this.#bytes, parts: this.#parts };
    await this.#files.write(this.#blob, JSON.stringify(marker));
    this.#finished = true;
  }

  async close(): Promise<void> {
    if (this.#finished) return;
    // a full disk refuses the open part: what was closed before it stays
    await this.#endPart().catch(() => this.#stream?.abort().catch(() => undefined));
    if (this.#bytes === 0) await this.#files.remove(`${this.#blob}${PARTS}`);
  }
}

/** Waits for the tab that has the lock; a tab that ends gives it back. */
async function lock(name: string, { signal, notice, what }: Waiting): Promise<() => Promise<void>> {
  let letGo = (): void => undefined;
  const held = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const release = async () => letGo();
  const taken = await new Promise<boolean>((resolve, reject) => {
    const hold = (got: Lock | null) => {
      resolve(got !== null);
      return got === null ? undefined : held;
    };
    navigator.locks.request(name, { ifAvailable: true }, hold).catch(reject);
  });
  if (taken) return release;
  notice(`[hub] ${what} is being downloaded by another tab: waiting for it`);
  await new Promise<void>((resolve, reject) => {
    const hold = () => {
      resolve();
      return held;
    };
    navigator.locks.request(name, signal ? { signal } : {}, hold).catch(reject);
  });
  return release;
}

/** A cache in the folder `root` of the page's private file system. */
export async function opfsStore(root: string): Promise<Store> {
  const storage = globalThis.navigator?.storage;
  if (storage?.getDirectory === undefined || globalThis.navigator.locks === undefined) {
    throw new ModelError(
      "[hub] this page may keep no files (it has no private file system): serve it by https or from localhost, or give files of this machine",
    );
  }
  if (!("createWritable" in FileSystemFileHandle.prototype)) {
    throw new ModelError(
      "[hub] this browser writes no files in a page (it has no createWritable): use a newer one, or give files of this machine",
    );
  }
  const files = new Files(
    await (await storage.getDirectory()).getDirectoryHandle(root, { create: true }),
  );
  const isBlob = (path: string) => path.split("/")[1] === "blobs";
  // while another tab writes a link, its file is there and empty
  const blobOf = async (path: string) =>
    isBlob(path) ? path : (await files.text(path)) || undefined;
  const parts = async (path: string) => {
    const blob = await blobOf(path);
    return blob === undefined ? undefined : wholeParts(files, blob);
  };
  return {
    shown: (path) => `${root}/${path}`,
    names: (folder) => files.names(folder),
    note: (path) => files.text(path),
    writeNote: (path, text) => files.write(path, text),
    size: async (path) => (await parts(path))?.reduce((sum, { size }) => sum + size, 0),
    link: (path, blob) => files.write(path, blob),
    place: (folder, where) =>
      placeOf(where, async (name) => {
        const found = await parts(`${folder}/${name}`);
        return found && blobSource(found, `${where}/${name}`);
      }),
    partial: async (blob) => {
      await files.remove(blob); // it has not all its parts, or another size
      return new OpfsPartial(files, blob, await partsOf(files, blob));
    },
    room: async (bytes) => {
      const { quota, usage = 0 } = await storage.estimate();
      if (quota === undefined || quota - usage >= bytes) return undefined;
      const megabytes = (n: number) => Math.ceil(n / 1e6);
      return `needs ${megabytes(bytes)} MB more, of which the browser grants this site ${megabytes(Math.max(0, quota - usage))}: free space on the disk, or forget a model with forgetModel`;
    },
    lock: (blob, waiting) => lock(`${root}/${blob}`, waiting),
    remove: (path) => files.remove(path),
  };
}
