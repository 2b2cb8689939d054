/**
 * Pictures of a study's page, to look at and for the README: `node test/browser/screenshot.ts STUDY/report.html FOLDER [--full]`. The top of
 * the page, or all of it, at three widths, in light and dark, each as FOLDER/report-WIDTH-SCHEME.png. No part of the suite.
 */
import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { openBrowser } from "../../tools/lib/browser.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { full: { type: "boolean", default: false } },
});
const [page, folder] = positionals;
if (page === undefined || folder === undefined) {
  console.error("[screenshot] node test/browser/screenshot.ts STUDY/report.html FOLDER [--full]");
  process.exit(1);
}
mkdirSync(folder, { recursive: true });
const browser = await openBrowser();
for (const colorScheme of ["light", "dark"] as const) {
  for (const [width, height] of [
    [390, 844],
    [820, 900],
    [1280, 800],
  ]) {
    const tab = await browser.newPage({ viewport: { width, height }, colorScheme });
    await tab.goto(pathToFileURL(resolve(page)).href);
    await tab.waitForSelector("#facts-list > li");
    const path = join(folder, `report-${width}-${colorScheme}.png`);
    await tab.screenshot({ path, fullPage: values.full });
    console.log(path);
    await tab.close();
  }
}
await browser.close();
