/** Writing a file so that it is there whole or not at all (Node only). Knows no format. */
import { ModelError } from "../errors.ts";

/**
 * Makes a folder and those above it; gives how many were made.
 * @throws one sentence where that cannot be, as inside a file or in /proc
 */
export async function makeFolder(path: string): Promise<number> {
  const { mkdir, stat } = await import("node:fs/promises");
  const { dirname } = await import("node:path");
  // not mkdir's own `recursive`, which tries for ever in /proc
  const make = async (folder: string, again: boolean): Promise<number> => {
    try {
      await mkdir(folder);
      return 1;
    } catch (cause) {
      const { code } = Object(cause) as { code?: string };
      const found = await stat(folder).catch(() => undefined);
      if (found?.isDirectory()) return 0;
      if (code === "ENOENT" && again && dirname(folder) !== folder) {
        const above = await make(dirname(folder), true);
        return above + (await make(folder, false));
      }
      throw new ModelError(`[files] ${path} cannot be made a folder (${code}); name another one`, {
        cause,
      });
    }
  };
  return make(path, true);
}

/** Bytes that are put into a file when all others are written. */
export type Patch = { readonly offset: number; readonly bytes: Uint8Array };

/**
 * Writes a file beside its place, flushes and renames it, and flushes the folder, which is made when it is not there.
 * @param last asked when `data` is written
 */
export async function writeWhole(
  path: string,
  data: Uint8Array | string | AsyncIterable<Uint8Array>,
  last?: () => Patch,
): Promise<void> {
  const { randomUUID } = await import("node:crypto");
  const { open, rename, rm } = await import("node:fs/promises");
  const { basename, dirname, join } = await import("node:path");
  const folder = dirname(path);
  const beside = join(folder, `.${basename(path)}.${randomUUID()}.part`);
  try {
    await makeFolder(folder);
    const file = await open(beside, "wx");
    try {
      await file.writeFile(data);
      if (last) {
        const { offset, bytes } = last();
        await file.write(bytes, 0, bytes.length, offset);
      }
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(beside, path);
  } catch (cause) {
    await rm(beside, { force: true }).catch(() => undefined);
    const { code, syscall } = Object(cause) as { code?: string; syscall?: string };
    if (syscall === undefined) throw cause; // what was to be written could not be had
    throw new ModelError(
      `[files] ${path} cannot be written (${code}); check the folder and the space left`,
      { cause },
    );
  }
  if (process.platform === "win32") return; // a directory cannot be opened there
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
