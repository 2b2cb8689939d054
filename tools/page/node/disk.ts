/**
 * Files and folders in the memory of a worker. The page's code is that of the command line, which reads and writes by paths: here the
 * paths lead to this disk. `watch` tells what became whole, so that somebody can keep it (see worker/kept.ts).
 */

/** An error with the code by which callers of `node:fs` know it. */
export class DiskError extends Error {
  override name = "DiskError";
  readonly code: string;
  readonly syscall: string;
  readonly path: string;
  constructor(code: string, syscall: string, path: string) {
    super(`${code}: ${syscall} '${path}'`);
    this.code = code;
    this.syscall = syscall;
    this.path = path;
  }
}

/** A file: `length` bytes, those of `room`, which grows, and zeros where it ends before. */
export type File = {
  room: Uint8Array<ArrayBuffer>;
  length: number;
  readonly id: number;
  /** Counts its changes. */
  changes: number;
};

/** What became of a path. */
export type Change = { readonly kind: "written" | "removed"; readonly path: string };

/** Paths as `/a/b`, without a slash at their end. */
export function normalized(path: string): string {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}

const parentOf = (path: string): string => path.slice(0, path.lastIndexOf("/")) || "/";

/** The files of a worker. */
export class Disk {
  readonly #files = new Map<string, File>();
  readonly #folders = new Set<string>(["/"]);
  readonly #watchers: ((change: Change) => void)[] = [];
  #ids = 0;

  /** Calls `watcher` after each file that was written whole, renamed or removed. */
  watch(watcher: (change: Change) => void): void {
    this.#watchers.push(watcher);
  }

  /** What is at a path. */
  kind(path: string): "file" | "folder" | undefined {
    const own = normalized(path);
    if (this.#files.has(own)) return "file";
    return this.#folders.has(own) ? "folder" : undefined;
  }

  /** @throws DiskError where there is no file */
  file(path: string, syscall = "open"): File {
    const own = normalized(path);
    const found = this.#files.get(own);
    if (found) return found;
    throw new DiskError(this.#folders.has(own) ? "EISDIR" : "ENOENT", syscall, path);
  }

  /** A view of a file's bytes. */
  bytes(path: string): Uint8Array<ArrayBuffer> {
    const { room, length } = this.file(path);
    return room.subarray(0, length);
  }

  /** Bytes of all files below a folder. */
  size(path: string): number {
    return this.below(path).reduce((sum, name) => sum + this.file(name).room.length, 0);
  }

  /** An empty file at a path; what was there is gone. @throws DiskError where its folder is missing */
  create(path: string): File {
    const own = normalized(path);
    if (this.#folders.has(own)) throw new DiskError("EISDIR", "open", path);
    if (!this.#folders.has(parentOf(own))) throw new DiskError("ENOENT", "open", path);
    const file = { room: new Uint8Array(0), length: 0, id: ++this.#ids, changes: 0 };
    this.#files.set(own, file);
    return file;
  }

  /**
   * Writes a file whole, with the folders above it.
   * @param bytes are kept, not copied
   * @param length of the file, which is zeros behind the bytes: what is described by its head alone takes no memory
   */
  put(path: string, bytes: Uint8Array<ArrayBuffer>, length = bytes.length): void {
    this.makeFolders(parentOf(normalized(path)));
    const file = this.create(path);
    file.room = bytes;
    file.length = length;
    this.changed(path);
  }

  /** Says that a file is as it should be. */
  changed(path: string): void {
    for (const watcher of this.#watchers) watcher({ kind: "written", path: normalized(path) });
  }

  makeFolder(path: string): void {
    const own = normalized(path);
    if (this.kind(own) !== undefined) throw new DiskError("EEXIST", "mkdir", path);
    const above = this.kind(parentOf(own));
    if (above !== "folder")
      throw new DiskError(above === "file" ? "ENOTDIR" : "ENOENT", "mkdir", path);
    this.#folders.add(own);
  }

  makeFolders(path: string): void {
    const own = normalized(path);
    if (this.#folders.has(own)) return;
    this.makeFolders(parentOf(own));
    this.makeFolder(own);
  }

  /** Names in a folder, in no order. */
  names(path: string): string[] {
    const own = normalized(path);
    if (!this.#folders.has(own)) {
      throw new DiskError(this.#files.has(own) ? "ENOTDIR" : "ENOENT", "scandir", path);
    }
    const start = own === "/" ? own : `${own}/`;
    return [...this.#files.keys(), ...this.#folders]
      .filter((name) => name.startsWith(start) && name.length > start.length)
      .map((name) => name.slice(start.length))
      .filter((name) => !name.includes("/"));
  }

  /** Paths of all files below a folder. */
  below(path: string): string[] {
    const start = `${normalized(path)}/`;
    return [...this.#files.keys()].filter((name) => name.startsWith(start));
  }

  rename(from: string, to: string): void {
    const file = this.file(from, "rename");
    if (!this.#folders.has(parentOf(normalized(to)))) throw new DiskError("ENOENT", "rename", to);
    this.#files.delete(normalized(from));
    this.#files.set(normalized(to), file);
    this.changed(to);
  }

  /** Removes a file, or a folder with all that is in it. */
  remove(path: string): void {
    const own = normalized(path);
    for (const name of [...this.#files.keys()]) {
      if (name !== own && !name.startsWith(`${own}/`)) continue;
      this.#files.delete(name);
      for (const watcher of this.#watchers) watcher({ kind: "removed", path: name });
    }
    for (const name of [...this.#folders]) {
      if (name === own || name.startsWith(`${own}/`)) this.#folders.delete(name);
    }
    this.#folders.add("/");
  }

  /** Writes bytes at a place, the end by default; the file grows as it must. */
  write(file: File, bytes: Uint8Array, at = file.length): void {
    const end = at + bytes.length;
    if (end > file.room.length) {
      const room = new Uint8Array(Math.max(end, 2 * file.room.length));
      room.set(file.room.subarray(0, file.length));
      file.room = room;
    }
    if (at > file.length) file.room.fill(0, file.length, at);
    file.room.set(bytes, at);
    file.length = Math.max(file.length, end);
    file.changes++;
  }

  truncate(file: File, length: number): void {
    if (length > file.length) this.write(file, new Uint8Array(length - file.length));
    file.length = length;
    file.changes++;
  }
}

/** The one disk of this worker. */
export const disk = new Disk();
