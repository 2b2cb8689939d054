/** Serves built files to a Chromium page, and runs programs in it. */
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { findBrowser } from "../tools/lib/machine.ts";

const root = join(import.meta.dirname, "..");
const types: Record<string, string> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".json": "application/json",
  ".wasm": "application/wasm",
  ".wgsl": "text/plain",
};

/** With these a page may share memory with its workers. */
const isolation = {
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

/**
 * Serves the built package and opens a page of a browser; its context opens others that share its files. `isolated`: the page is
 * cross-origin isolated.
 */
export async function openPage({ isolated = false } = {}): Promise<{
  page: Page;
  close: () => Promise<void>;
}> {
  const browser = await openBrowser();
  const server: Server = createServer(async (request, response) => {
    if (isolated) response.setHeaders(new Map(Object.entries(isolation)));
    const path = normalize(new URL(request.url ?? "/", "http://localhost").pathname);
    const imports = {
      "@huggingface/tokenizers": "/node_modules/@huggingface/tokenizers/dist/tokenizers.mjs",
      "promptgen/engine": "/dist/engine/index.js",
      "promptgen/models": "/dist/models/index.js",
      promptgen: "/dist/promptgen/index.js",
    };
    try {
      const body =
        path === "/"
          ? `<!doctype html><script type="importmap">${JSON.stringify({ imports })}</script>`
          : await readFile(join(root, path));
      response.setHeader(
        "content-type",
        path === "/" ? "text/html" : (types[extname(path)] ?? "application/octet-stream"),
      );
      response.end(body);
    } catch {
      response.statusCode = 404;
      response.end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const page = await (await browser.newContext()).newPage();
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  return {
    page,
    close: async () => {
      await browser.close();
      server.close();
    },
  };
}
