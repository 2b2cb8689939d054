/** A server that shows a folder to a browser. */
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
};

/** With these a page may share memory with its workers. */
export const ISOLATION: Readonly<Record<string, string>> = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
};

export type Served = { readonly url: string; close(): void };

export type ServedFolder = Served & {
  /** Bytes of files that were sent so far. */
  sent(): number;
};

/** Serves a folder on a port of its own, `pages` before its files. `isolated`: the pages are cross-origin isolated. */
export async function serveFolder(
  root: string,
  isolated = false,
  pages: Readonly<Record<string, string>> = {},
): Promise<ServedFolder> {
  let sent = 0;
  const server = createServer(async (request, response) => {
    if (isolated) response.setHeaders(new Map(Object.entries(ISOLATION)));
    const { pathname } = new URL(request.url ?? "/", "http://localhost");
    const path = normalize(decodeURIComponent(pathname)).replace(/\/$/, "/index.html");
    try {
      const body = pages[path] ?? (await readFile(join(root, path)));
      sent += body.length;
      response.setHeader("content-type", TYPES[extname(path)] ?? "application/octet-stream");
      response.end(body);
    } catch {
      response.statusCode = 404;
      response.end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    sent: () => sent,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
