/** The page of a study in Chromium, opened from a disk: quiet, complete, used by keyboard, and fit for who does not see it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Browser, Page } from "playwright-core";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type StudyPage, studyPage } from "../../promptgen/report/page/page.ts";
import { openBrowser } from "../../tools/lib/browser.ts";
import { testsRunOn } from "../devices.ts";
import { HOSTILE, studyOf } from "../promptgen/report/page-study.ts";

const home = mkdtempSync(join(tmpdir(), "promptgen-page-"));
process.on("exit", () => rmSync(home, { recursive: true, force: true }));

const plain = studyOf({ rows: 5, seeds: 2, relations: 4, facts: 12 });
const hostile = studyOf({ rows: 10, seeds: 1, relations: 10, facts: 10, texts: HOSTILE });

type Open = { readonly page: Page; readonly said: string[]; readonly asked: string[] };

/** Opens a study's page and waits for its facts; what it says and whom it asks is kept. */
async function opened(
  browser: Browser,
  study: StudyPage,
  { dark = false, width = 1280 } = {},
): Promise<Open> {
  const path = join(home, "report.html");
  writeFileSync(path, studyPage(study));
  const page = await browser.newPage({
    viewport: { width, height: 900 },
    colorScheme: dark ? "dark" : "light",
  });
  const [said, asked]: string[][] = [[], []];
  page.on("console", (message) => said.push(message.text()));
  page.on("pageerror", (error) => said.push(error.message));
  page.on("dialog", (dialog) => {
    said.push(`dialog ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("request", (request) => asked.push(request.url()));
  const url = pathToFileURL(path).href;
  await page.goto(url);
  await page.waitForSelector("#facts-list > li");
  assert.equal(
    asked.filter((one) => one !== url && one !== "data:,"),
    [],
  );
  return { page, said, asked };
}

const test = suite("report page");
const status = (page: Page) => page.textContent("#facts-status");
const background = (page: Page): Promise<string> =>
  page.evaluate("getComputedStyle(document.body).backgroundColor");

let browser: Browser;
test.before(async () => {
  browser = await openBrowser();
});
test.after(async () => {
  await browser.close();
});

test("all parts are there, nothing is said, and nobody is asked", async () => {
  const { page, said, asked } = await opened(browser, plain);
  const heads = await page.locator("h2:visible").allTextContents();
  assert.equal(heads, [
    "Results",
    "Relations",
    "Leak audit",
    "Learning curves",
    "Facts",
    "Cost",
    "To repeat it",
  ]);
  assert.is(await page.locator("#relations svg:visible").count(), plain.rows.length);
  assert.is(await page.locator("#results svg:visible").count(), 1);
  assert.is(await page.locator("#results table:visible").count(), plain.tables.length - 1);
  assert.equal(said, []);
  assert.is(asked.length <= 2, true, asked.join());
  // what the policy forbids fails, so that the silence above is not for want of a policy
  const refused = await page.evaluate(
    `new Promise((done) => {
      document.addEventListener("securitypolicyviolation", (event) => done(event.violatedDirective));
      document.body.append(Object.assign(document.createElement("img"), { src: "https://example.com/x.png" }));
    })`,
  );
  assert.is(refused, "img-src");
  await page.close();
});

/** What the filter must find, from what the runs answered. */
function found(row: number | undefined, right: boolean, relation?: string): number {
  const rows = plain.rows.map((own) => {
    const dev = own.runs.map((one) => one.dev ?? 0);
    return own.row.runs[dev.indexOf(Math.max(...dev))].facts;
  });
  const chosen = row === undefined ? rows : [rows[row]];
  return rows[0].filter(
    (fact, i) =>
      (relation === undefined || fact.relation === relation) &&
      chosen.some((facts) => facts[i].own.right === right),
  ).length;
}

test("facts are filtered, opened and turned over by keyboard alone", async () => {
  const { page, said } = await opened(browser, plain);
  const all = 4 * 12;
  assert.is(await status(page), `${all} of ${all} facts, 1 to 20 shown`);
  await page.focus("#facts-relation");
  // the first relation in the tables' order is P1
  await page.keyboard.press("ArrowDown");
  assert.is(await status(page), `12 of ${all} facts, 1 to 12 shown`);
  await page.keyboard.press("Tab");
  for (let i = 0; i < 3; i++) await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Tab");
  await page.keyboard.type("wrong");
  const wrong = found(2, false, "P1");
  assert.ok(wrong > 0 && wrong < 12);
  assert.is(await status(page), `${wrong} of ${all} facts, 1 to ${wrong} shown`);
  await page.keyboard.press("Home");
  await page.keyboard.press("ArrowDown");
  assert.match(String(await status(page)), new RegExp(`^${found(2, true, "P1")} of ${all} facts`));
  await page.keyboard.press("Tab");
  await page.keyboard.type("nothing has this");
  assert.is(await status(page), `0 of ${all} facts`);
  for (const id of ["relation", "row", "outcome"]) {
    await page.focus(`#facts-${id}`);
    await page.keyboard.press("Home");
  }
  await page.focus("#facts-search");
  await page.keyboard.press("Control+a");
  await page.keyboard.press("Delete");
  assert.is(await status(page), `${all} of ${all} facts, 1 to 20 shown`);
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  const rows = page.locator("#facts-list details[open] tbody tr");
  await rows.first().waitFor(); // a fact is filled when it is opened, in a task of its own
  assert.is(await rows.count(), plain.rows.length);
  const shown = await rows.nth(3).textContent();
  const [fact] = plain.rows[3].row.runs[1].facts;
  assert.ok(shown?.includes(fact.prompt), `${shown}`);
  for (const [word] of fact.top) assert.ok(shown?.includes(word), `${word} in ${shown}`);
  await page.focus("#facts-after");
  await page.keyboard.press("Enter");
  assert.is(await status(page), `${all} of ${all} facts, 21 to 40 shown`);
  assert.is(await page.evaluate("document.activeElement.id"), "facts-status");
  assert.equal(said, []);
  await page.close();
});

test("is light or dark as the system is, and as one likes", async () => {
  const seen = new Set<string>();
  for (const dark of [false, true]) {
    const { page, said } = await opened(browser, plain, { dark });
    const before = await background(page);
    await page.focus("#theme");
    await page.keyboard.press("Enter");
    const after = await background(page);
    assert.is.not(before, after);
    seen.add(dark ? before : after).add(dark ? after : before);
    assert.is(await page.textContent("#theme"), dark ? "Dark" : "Light");
    assert.equal(said, []);
    await page.close();
  }
  assert.is(seen.size, 2);
});

test("fits its width on a phone, a tablet and a desk", async () => {
  for (const study of [plain, hostile]) {
    const { page } = await opened(browser, study);
    await page.locator("#facts-list summary").first().click();
    for (const width of [360, 820, 1440]) {
      await page.setViewportSize({ width, height: 900 });
      const more: number = await page.evaluate("document.documentElement.scrollWidth - innerWidth");
      assert.ok(more <= 0, `${study.name} is ${more} px wider than ${width}`);
    }
    await page.close();
  }
});

test("hostile texts are text", async () => {
  const { page, said } = await opened(browser, hostile);
  const summaries = page.locator("#facts-list summary");
  for (let i = 0; i < 10; i++) await summaries.nth(i).click();
  for (const what of [".fact", "code", "td li"]) {
    const texts = (await page.locator(`#facts-list ${what}`).allTextContents()).join("\n");
    for (const own of HOSTILE.slice(0, 6)) assert.ok(texts.includes(own), `${own} in ${what}`);
  }
  assert.is(await page.locator("img, iframe, svg script, #facts script").count(), 0);
  assert.is(await page.locator("script").count(), 2);
  assert.is(await page.title(), `${hostile.name}: a study of prompts`);
  assert.equal(said, []);
  await page.close();
});

test("axe-core finds no serious fault, in light and dark, with all open", async () => {
  const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
  for (const [dark, width] of [
    [false, 1280],
    [true, 360],
  ] as const) {
    const { page } = await opened(browser, plain, { dark, width });
    // what is folded is not looked at: all of the page, and some facts
    const folded = "'main > :not(#facts) details, #facts li:nth-child(-n + 3) details'";
    await page.evaluate(`for (const one of document.querySelectorAll(${folded})) one.open = true`);
    await page.waitForSelector("#facts-list tbody tr");
    await page.evaluate(axe);
    const violations: { id: string; impact: string; nodes: { html: string }[] }[] =
      await page.evaluate("axe.run().then(({ violations }) => violations)");
    const faults = violations.map(({ id, impact, nodes }) => `${impact} ${id} ${nodes[0].html}`);
    assert.equal(faults, []);
    await page.close();
  }
});

if (testsRunOn("cpu")) test.run();
