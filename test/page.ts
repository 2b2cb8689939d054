/** Serves the built package to a Chromium page. */
import { join } from "node:path";
import type { Page } from "playwright-core";
import { openBrowser } from "../tools/lib/browser.ts";
import { serveFolder } from "../tools/lib/serve.ts";

const imports = {
  "@huggingface/tokenizers": "/node_modules/@huggingface/tokenizers/dist/tokenizers.mjs",
  "promptgen/engine": "/dist/engine/index.js",
  "promptgen/models": "/dist/models/index.js",
  promptgen: "/dist/promptgen/index.js",
};
const blank = `<!doctype html><script type="importmap">${JSON.stringify({ imports })}</script>`;

/**
 * Serves the built package and opens a page of a browser; its context opens others that share its files. `isolated`: the page is
 * cross-origin isolated.
 */
export async function openPage({ isolated = false } = {}): Promise<{
  page: Page;
  close: () => Promise<void>;
}> {
  const browser = await openBrowser();
  const served = await serveFolder(join(import.meta.dirname, ".."), isolated, {
    "/index.html": blank,
  });
  const page = await (await browser.newContext()).newPage();
  await page.goto(served.url);
  return {
    page,
    close: async () => {
      await browser.close();
      served.close();
    },
  };
}
