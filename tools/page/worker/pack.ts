/**
 * A pack: files in one. A little-endian u32 with the length of its head, the head as JSON, then the files' bytes, one behind the other.
 * Written by the build of the page (tools/commands/page/), read by the worker. It is the page's own, so that what is wrong in it means
 * a transfer that was cut off.
 */
import { disk } from "../node/disk.ts";

/** A run whose prompter the page has. */
export type PackedRun = {
  readonly key: string;
  readonly row: string;
  readonly summary: string;
  /** As they stand in run.json. */
  readonly options: Readonly<Record<string, string | number>>;
  /** Of the pack that holds it. */
  readonly file: string;
  readonly bytes: number;
};

export type PackHead = {
  readonly files: readonly { readonly path: string; readonly bytes: number }[];
  /** In the first pack: the run that answers, then the others. */
  readonly runs?: readonly PackedRun[];
};

/** The bytes of a pack. */
export function packed(
  head: Omit<PackHead, "files">,
  files: readonly { readonly path: string; readonly bytes: Uint8Array }[],
): Uint8Array<ArrayBuffer> {
  const described = {
    ...head,
    files: files.map(({ path, bytes }) => ({ path, bytes: bytes.length })),
  };
  const text = new TextEncoder().encode(JSON.stringify(described));
  const size = files.reduce((sum, { bytes }) => sum + bytes.length, 4 + text.length);
  const whole = new Uint8Array(size);
  new DataView(whole.buffer).setUint32(0, text.length, true);
  whole.set(text, 4);
  let at = 4 + text.length;
  for (const { bytes } of files) {
    whole.set(bytes, at);
    at += bytes.length;
  }
  return whole;
}

/** Puts the files of a pack on the disk. @throws one sentence for a pack that is not whole */
export function unpack(bytes: Uint8Array<ArrayBuffer>, name: string): PackHead {
  const length =
    bytes.length < 4 ? 0 : new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  let head: PackHead;
  try {
    head = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  } catch (cause) {
    throw new Error(`[page] ${name} did not arrive whole; reload the page`, { cause });
  }
  let at = 4 + length;
  for (const file of head.files) {
    if (at + file.bytes > bytes.length) {
      throw new Error(`[page] ${name} did not arrive whole; reload the page`);
    }
    disk.put(file.path, bytes.slice(at, at + file.bytes));
    at += file.bytes;
  }
  return head;
}

/** Fetches a pack beside the page and puts its files on the disk. */
export async function fetchPack(name: string): Promise<PackHead> {
  const url = new URL(name, baseOf(self.location.href));
  const response = await fetch(url).catch((cause) => {
    throw new Error(`[page] ${name} cannot be fetched; check the connection and reload`, { cause });
  });
  if (!response.ok) {
    throw new Error(
      `[page] ${name} cannot be fetched (the server answered ${response.status}); reload`,
    );
  }
  return unpack(new Uint8Array(await response.arrayBuffer()), name);
}

/** The page's folder: workers stand in its assets/. */
const baseOf = (href: string): URL =>
  new URL(href.includes("/assets/") ? "../packs/" : "./packs/", href);
