/** `node:fs/promises` on the disk of the worker, see fs.ts. */

import { DiskError, disk, normalized } from "./disk.ts";
import {
  closeSync,
  type Dirent,
  fstatSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeFileSync,
  writeSync,
} from "./fs.ts";

export { constants } from "./fs.ts";

type Data = string | Uint8Array | AsyncIterable<Uint8Array>;

/** An open file, as far as it is used. */
export class FileHandle {
  readonly #fd: number;
  readonly #path: string;
  readonly #isFolder: boolean;

  constructor(path: string, flags: string) {
    this.#path = path;
    this.#isFolder = disk.kind(path) === "folder";
    this.#fd = this.#isFolder ? -1 : openSync(path, flags);
  }

  async writeFile(data: Data): Promise<void> {
    if (typeof data === "string") writeSync(this.#fd, new TextEncoder().encode(data));
    else if (data instanceof Uint8Array) writeSync(this.#fd, data);
    else for await (const piece of data) writeSync(this.#fd, piece);
  }

  async write(bytes: Uint8Array, offset = 0, length = bytes.length, at?: number) {
    return { bytesWritten: writeSync(this.#fd, bytes, offset, length, at) };
  }

  async read(into: Uint8Array, offset = 0, length = into.length, at = 0) {
    return { bytesRead: readSync(this.#fd, into, offset, length, at) };
  }

  async stat(): Promise<Stats> {
    return fstatSync(this.#fd);
  }
  async truncate(length = 0): Promise<void> {
    ftruncateSync(this.#fd, length);
  }
  async sync(): Promise<void> {}
  async close(): Promise<void> {
    if (!this.#isFolder) closeSync(this.#fd);
  }

  get path(): string {
    return this.#path;
  }
}

export const open = async (path: string, flags = "r"): Promise<FileHandle> =>
  new FileHandle(path, flags);

export async function stat(path: string): Promise<Stats> {
  const found = statSync(path);
  if (found) return found;
  throw new DiskError("ENOENT", "stat", path);
}

export const readFile = async (
  path: string,
  options?: string | { readonly encoding?: string },
): Promise<string | Uint8Array> => readFileSync(path, options);

export const writeFile = async (
  path: string,
  data: string | Uint8Array,
  options: { readonly flag?: string } = {},
): Promise<void> => writeFileSync(path, data, options);

export async function mkdir(
  path: string,
  options: { readonly recursive?: boolean } = {},
): Promise<void> {
  if (options.recursive) disk.makeFolders(path);
  else disk.makeFolder(path);
}

export const readdir = async (
  path: string,
  options: { readonly withFileTypes?: boolean; readonly recursive?: boolean } = {},
): Promise<string[] | Dirent[]> => readdirSync(path, options);

export const rename = async (from: string, to: string): Promise<void> => renameSync(from, to);

export const rm = async (path: string, options: { readonly force?: boolean } = {}): Promise<void> =>
  rmSync(path, options);

export const unlink = async (path: string): Promise<void> => rmSync(path);

export async function copyFile(from: string, to: string): Promise<void> {
  if (normalized(from) !== normalized(to)) writeFileSync(to, disk.bytes(from).slice());
}

export const link = async (from: string, to: string): Promise<void> => copyFile(from, to);
export const symlink = link;
export const realpath = async (path: string): Promise<string> => normalized(path);
export const utimes = async (): Promise<void> => undefined;
