/** Writing a file so that it is there whole or not at all (Node only). Knows no format. */
import { ModelError } from "../errors.ts";

/** Writes a file beside its place, flushes and renames it, and flushes the folder, which is made when it is not there. */
export async function writeWhole(
  path: string,
  data: Uint8Array | string | AsyncIterable<Uint8Array>,
): Promise<void> {
  const { randomUUID } = await import("node:crypto");
  const { mkdir, open, rename, rm } = await import("node:fs/promises");
  const { basename, dirname, join } = await import("node:path");
  const folder = dirname(path);
  const beside = join(folder, `.${basename(path)}.${randomUUID()}.part`);
  try {
    await mkdir(folder, { recursive: true });
    const file = await open(beside, "wx");
    try {
      await file.writeFile(data);
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
