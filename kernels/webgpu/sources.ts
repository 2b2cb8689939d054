/**
 * The WGSL files as texts. From source each is read when it is first wanted; the build writes this module anew with all of them in
 * it, so that a page asks for one file instead of one a kernel.
 */
import { readFile } from "node:fs/promises";

/** The text of `file`, a path in this folder without `.wgsl`. */
export async function wgsl(file: string): Promise<string> {
  return readFile(new URL(`${file}.wgsl`, import.meta.url), "utf8");
}
