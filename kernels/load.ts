/**
 * Files of the package (WGSL sources, embedded facts, weights), read the same way in Node and in a
 * page.
 *
 * Every module names its files relative to itself: `loadText("matmul.wgsl", import.meta.url)`. The
 * build keeps the folder structure, so the same call works from source, from `dist/` and from an
 * installed package.
 */

/** URL of the package file `path`, relative to the module whose `import.meta.url` is `base`. */
export function fileUrl(path: string, base: string): URL {
  return new URL(path, base);
}

/** Bytes of a package file. Throws one sentence that names the URL when it cannot be read. */
export async function loadBytes(path: string, base: string): Promise<Uint8Array<ArrayBuffer>> {
  const url = fileUrl(path, base);
  if (url.protocol === "file:" && typeof process !== "undefined") {
    const { readFile } = await import("node:fs/promises");
    try {
      const bytes = await readFile(url);
      return new Uint8Array(bytes); // not a Buffer: the same type and methods as in a page
    } catch (cause) {
      throw unreadable(url, cause instanceof Error ? cause.message : String(cause), cause);
    }
  }
  let response: Response;
  try {
    response = await fetch(url);
  } catch (cause) {
    throw unreadable(url, cause instanceof Error ? cause.message : String(cause), cause);
  }
  if (!response.ok) throw unreadable(url, `the server answered ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** Text of a package file, decoded as UTF-8. */
export async function loadText(path: string, base: string): Promise<string> {
  return new TextDecoder().decode(await loadBytes(path, base));
}

function unreadable(url: URL, why: string, cause?: unknown): Error {
  return new Error(
    `[load] ${url.href} cannot be read (${why}); install the package again or serve its folder whole`,
    { cause },
  );
}
