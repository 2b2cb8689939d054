import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";

const root = join(import.meta.dirname, "..");
const types: Record<string, string> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".json": "application/json",
  ".wgsl": "text/plain",
};

const executable = [
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
].find(existsSync);

/** Serves the built package and opens a page of headless Chromium with WebGPU on its software adapter. */
export async function openPage(): Promise<{ page: Page; close: () => Promise<void> }> {
  if (!executable) {
    throw new Error(
      "no Chromium: install one, on Debian or Ubuntu `sudo bash tools/setup.sh --browser`",
    );
  }
  const server: Server = createServer(async (request, response) => {
    const path = normalize(new URL(request.url ?? "/", "http://localhost").pathname);
    const imports = {
      "promptgen/engine": "/dist/engine/index.js",
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
  const browser: Browser = await chromium.launch({
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
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  return {
    page,
    close: async () => {
      await browser.close();
      server.close();
    },
  };
}
