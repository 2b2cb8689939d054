/**
 * Pictures of a page, to look at and for the README, at three widths, in light and dark. No part of the suite.
 *
 *     node test/browser/screenshot.ts STUDY/report.html FOLDER [--full]     a study's page, as FOLDER/report-WIDTH-SCHEME.png
 *     node test/browser/screenshot.ts .page/site FOLDER [--full]            each view of the page of PromptGen, Train at step 60
 *
 * Those in docs/images/ have 128 colours, so that the package stays small.
 */
import { mkdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import type { Page } from "playwright-core";
import { openBrowser } from "../../tools/lib/browser.ts";
import { serveFolder } from "../../tools/lib/serve.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { full: { type: "boolean", default: false } },
});
const [source, folder] = positionals;
if (source === undefined || folder === undefined) {
  console.error(
    "[screenshot] node test/browser/screenshot.ts STUDY/report.html|SITE FOLDER [--full]",
  );
  process.exit(1);
}

/** Something to take a picture of. */
type View = { readonly name: string; readonly url: string; ready(page: Page): Promise<unknown> };

const report = (): View => ({
  name: "report",
  url: pathToFileURL(resolve(source)).href,
  ready: (page) => page.waitForSelector("#facts-list > li"),
});

const views = (url: string): View[] => [
  {
    name: "ask",
    url: `${url}#ask?device=cpu`,
    ready: (page) => page.locator(".rivals td.reader").nth(3).waitFor(),
  },
  {
    name: "train",
    url: `${url}#train?device=cpu`,
    async ready(page) {
      await page.locator(".controls .main:enabled").click();
      await page.getByText(/step 6\d of/).waitFor({ timeout: 300_000 });
    },
  },
  {
    name: "own",
    url: `${url}#own?device=cpu`,
    async ready(page) {
      const facts = [
        "Peru\tLima",
        "Kenya\tNairobi",
        "Norway\tOslo",
        "Egypt\tCairo",
        "Japan\tTokyo",
      ];
      await page.locator("textarea").fill(facts.join("\n"));
      await page.getByText("5 facts").waitFor();
      await page.getByRole("button", { name: "Work it out" }).click();
      await page.locator(".costs").waitFor();
    },
  },
];

mkdirSync(folder, { recursive: true });
const server = statSync(source).isDirectory() ? await serveFolder(source, true) : undefined;
const browser = await openBrowser();
for (const { name, url, ready } of server ? views(server.url) : [report()]) {
  for (const colorScheme of ["light", "dark"] as const) {
    for (const [width, height] of [
      [390, 844],
      [820, 900],
      [1280, 800],
    ]) {
      const viewport = { width, height };
      const context = await browser.newContext({ viewport, colorScheme, reducedMotion: "reduce" });
      const tab = await context.newPage();
      await tab.goto(url);
      await ready(tab);
      const path = join(folder, `${name}-${width}-${colorScheme}.png`);
      await tab.screenshot({ path, fullPage: values.full });
      console.log(path);
      await context.close();
    }
  }
}
await browser.close();
server?.close();
