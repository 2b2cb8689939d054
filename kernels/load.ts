/**
 * The compiled CPU kernels as the package has them, read the same way in Node and in a page.
 *
 * Each is named by a literal `new URL(..., import.meta.url)`: that is what bundlers follow, and it works from source, from `dist/` and
 * from an installed package alike.
 */

/** The builds: with relaxed SIMD, without, with it for memories of more than 4 GiB. */
export type Build = "relaxed" | "plain" | "wide";

const MODULES: Readonly<Record<Build, () => URL>> = {
  relaxed: () => new URL("./cpu/build/relaxed.wasm", import.meta.url),
  plain: () => new URL("./cpu/build/plain.wasm", import.meta.url),
  wide: () => new URL("./cpu/build/wide.wasm", import.meta.url),
};

/** What can be done about a file that is not there. */
const remedy = import.meta.url.endsWith(".ts")
  ? "run npm run kernels"
  : "install the package again; in a page, put the package's .wasm files where the bundle asks for them (docs/in-a-page.md)";

/**
 * The WebAssembly module of the CPU kernels.
 *
 * @throws one sentence that names the URL when it cannot be read or holds something else
 */
export async function loadModule(
  build: Build,
  url = MODULES[build](),
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = await loadBytes(url);
  if (bytes[0] !== 0 || String.fromCharCode(...bytes.subarray(1, 4)) !== "asm") {
    throw unreadable(url, "what is there is no WebAssembly, perhaps a page that says so");
  }
  return bytes;
}

/**
 * Bytes of a file of the package.
 *
 * @throws one sentence that names the URL when it cannot be read
 */
export async function loadBytes(url: URL): Promise<Uint8Array<ArrayBuffer>> {
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

function unreadable(url: URL, why: string, cause?: unknown): Error {
  return new Error(`[load] ${url.href} cannot be read (${why}); ${remedy}`, { cause });
}
