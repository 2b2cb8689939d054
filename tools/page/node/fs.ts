/** `node:fs` on the disk of the worker: what the engine, the models and the methods use of it, and no more. */
import { DiskError, disk, type File, normalized } from "./disk.ts";

export const constants = { O_RDONLY: 0, O_NONBLOCK: 0 } as const;

type Handle = { readonly file: File; readonly path: string; wrote: boolean };

const handles = new Map<number, Handle>();
let next = 3;

const handleOf = (fd: number): Handle => {
  const found = handles.get(fd);
  if (found) return found;
  throw new DiskError("EBADF", "read", String(fd));
};

/** Opens a file: to read ("r", a number), to change ("r+"), to write anew ("w", "wx") or at its end ("a"). */
export function openSync(path: string, flags: string | number = "r"): number {
  const there = disk.kind(path) === "file";
  if (flags === "wx" && there) throw new DiskError("EEXIST", "open", path);
  const isNew = flags === "w" || flags === "wx" || (flags === "a" && !there);
  const file = isNew ? disk.create(path) : disk.file(path);
  handles.set(next, { file, path, wrote: isNew });
  return next++;
}

export function closeSync(fd: number): void {
  const { path, wrote } = handleOf(fd);
  handles.delete(fd);
  if (wrote && disk.kind(path) === "file") disk.changed(path);
}

export function writeSync(
  fd: number,
  bytes: Uint8Array,
  offset = 0,
  length = bytes.length - offset,
  at?: number | null,
): number {
  const handle = handleOf(fd);
  disk.write(handle.file, bytes.subarray(offset, offset + length), at ?? undefined);
  handle.wrote = true;
  return length;
}

export function ftruncateSync(fd: number, length = 0): void {
  const handle = handleOf(fd);
  disk.truncate(handle.file, length);
  handle.wrote = true;
}

export function truncateSync(path: string, length = 0): void {
  disk.truncate(disk.file(path), length);
  disk.changed(path);
}

export function fsyncSync(): void {}

/** What `stat` says: enough to know a file again. */
export type Stats = {
  isFile(): boolean;
  isDirectory(): boolean;
  isFIFO(): boolean;
  isSocket(): boolean;
  readonly size: number;
  readonly ino: number;
  readonly dev: number;
  readonly mtimeNs: number;
};

function statsOf(file: File | undefined): Stats {
  return {
    isFile: () => file !== undefined,
    isDirectory: () => file === undefined,
    isFIFO: () => false,
    isSocket: () => false,
    size: file?.length ?? 0,
    ino: file?.id ?? 0,
    dev: 0,
    mtimeNs: file?.changes ?? 0,
  };
}

export const fstatSync = (fd: number): Stats => statsOf(handleOf(fd).file);

export function statSync(path: string, options: { throwIfNoEntry?: boolean } = {}) {
  const kind = disk.kind(path);
  if (kind === undefined) {
    if (options.throwIfNoEntry === false) return undefined;
    throw new DiskError("ENOENT", "stat", path);
  }
  return statsOf(kind === "file" ? disk.file(path) : undefined);
}

export const existsSync = (path: string): boolean => disk.kind(path) !== undefined;

/** A name in a folder, with its kind. */
export type Dirent = {
  readonly name: string;
  readonly parentPath: string;
  isFile(): boolean;
  isDirectory(): boolean;
};

type ReaddirOptions = { readonly withFileTypes?: boolean; readonly recursive?: boolean };

/** All entries below a folder, or those in it. */
export function entriesOf(path: string, recursive = false): Dirent[] {
  const folder = normalized(path);
  return disk.names(folder).flatMap((name) => {
    const own = `${folder === "/" ? "" : folder}/${name}`;
    const isFile = disk.kind(own) === "file";
    const entry = {
      name,
      parentPath: folder,
      isFile: () => isFile,
      isDirectory: () => !isFile,
    };
    return isFile || !recursive ? [entry] : [entry, ...entriesOf(own, true)];
  });
}

export function readdirSync(path: string, options: ReaddirOptions = {}): string[] | Dirent[] {
  const found = entriesOf(path, options.recursive);
  return options.withFileTypes ? found : found.map(({ name }) => name).sort();
}

const copy = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => Buffer.from(bytes);

export function readFileSync(path: string, options?: string | { readonly encoding?: string }) {
  const bytes = disk.bytes(path);
  const encoding = typeof options === "string" ? options : options?.encoding;
  return encoding === undefined ? copy(bytes) : new TextDecoder("utf-8").decode(bytes);
}

export function writeFileSync(
  path: string,
  data: string | Uint8Array,
  options: { readonly flag?: string } = {},
): void {
  const fd = openSync(path, options.flag ?? "w");
  writeSync(fd, typeof data === "string" ? new TextEncoder().encode(data) : data);
  closeSync(fd);
}

export const renameSync = (from: string, to: string): void => disk.rename(from, to);

export function rmSync(path: string, options: { readonly force?: boolean } = {}): void {
  if (disk.kind(path) === undefined && !options.force) throw new DiskError("ENOENT", "rm", path);
  disk.remove(path);
}

export function rmdirSync(path: string): void {
  if (disk.names(path).length > 0) throw new DiskError("ENOTEMPTY", "rmdir", path);
  disk.remove(path);
}

export function linkSync(from: string, to: string): void {
  if (disk.kind(to) !== undefined) throw new DiskError("EEXIST", "link", to);
  disk.put(to, copy(disk.bytes(from)));
}

export function readlinkSync(path: string): never {
  throw new DiskError("EINVAL", "readlink", path);
}

export function readSync(
  fd: number,
  into: Uint8Array,
  offset = 0,
  length = into.length - offset,
  at = 0,
): number {
  const { room, length: size } = handleOf(fd).file;
  const end = Math.max(at, Math.min(size, at + length));
  const bytes = room.subarray(at, end);
  into.set(bytes, offset);
  into.fill(0, offset + bytes.length, offset + end - at); // of a file that is known by its head
  return end - at;
}

/** Fills views one after the other; `util.promisify` makes of it what Node's own gives. */
export function readv(
  fd: number,
  views: readonly Uint8Array[],
  at: number,
  done: (error: unknown, result?: { readonly bytesRead: number }) => void,
): void {
  try {
    let bytesRead = 0;
    for (const view of views) bytesRead += readSync(fd, view, 0, view.length, at + bytesRead);
    done(null, { bytesRead });
  } catch (error) {
    done(error);
  }
}
