/** A browser, and a server that shows it a folder: for tests and for trying the package. */
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";
import { type Browser, chromium } from "playwright-core";
import { findBrowser } from "./machine.ts";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".json": "application/json",
  ".wasm": "application/wasm",
};

/** With these a page may share memory with its workers. */
export const ISOLATION: Readonly<Record<string, string>> = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
};

/** Headless Chromium with WebGPU on its software adapter; it asks nobody for anything by itself. */
export function openBrowser(): Promise<Browser> {
  const executable = findBrowser();
  if (!executable) {
    throw new Error(
      "no Chromium: install one, on Debian or Ubuntu `sudo bash tools/setup.sh --browser`",
    );
  }
  return chromium.launch({
    executablePath: executable,
    args: [
      "--headless",
      "--no-sandbox",
      "--enable-unsafe-webgpu",
      "--use-webgpu-adapter=swiftshader",
      "--enable-features=Vulkan",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-quic",
      "--disable-sync",
      "--no-first-run",
    ],
  });
}

export type Served = { readonly url: string; close(): void };

/** Serves a folder on a port of its own, `pages` before its files. `isolated`: the pages are cross-origin isolated. */
export async function serveFolder(
  root: string,
  isolated = false,
  pages: Readonly<Record<string, string>> = {},
): Promise<Served> {
  const server = createServer(async (request, response) => {
    if (isolated) response.setHeaders(new Map(Object.entries(ISOLATION)));
    const { pathname } = new URL(request.url ?? "/", "http://localhost");
    const path = normalize(decodeURIComponent(pathname)).replace(/\/$/, "/index.html");
    try {
      const body = pages[path] ?? (await readFile(join(root, path)));
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
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
