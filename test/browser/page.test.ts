/** The page in Chromium: what it answers is what the command line does; what it costs, and what it lets nobody do. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Page } from "playwright-core";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { percent } from "../../tools/page/words.ts";
import { testsRunOn } from "../devices.ts";
import { command, Visitors } from "./site.ts";

const test = suite("page asks");
const webgpu = suite("page asks on gpu:software");
const pages = new Visitors();
const served = (isolated: boolean) => pages.served(isolated);
pages.around(test, webgpu);

const SUBJECT = "Egypt";
const OTHER = "Peru";
const QUESTION = `#ask?relation=P36&subject=${SUBJECT}&other=${OTHER}&device=cpu`;
/** What opening the page may fetch, until other methods have answered too. */
const MOST_BYTES = 8e6;

type Asked = {
  readonly prompt: string;
  readonly answers: readonly (readonly [string, number])[];
  readonly none: readonly (readonly [string, number])[];
};

const asked = (run: string, subject: string): Asked =>
  JSON.parse(
    command("ask", pages.site.run(run), "--relation", "P36", "--subject", subject, "--json"),
  );

/** Texts of the elements that a selector finds, in order. */
const texts = (page: Page, selector: string): Promise<string[]> =>
  page.locator(selector).allInnerTexts();

const answered = (page: Page) => page.locator(".rivals .tick, .rivals .cross").nth(1).waitFor();

/** The prompt as the page's interlinear line has it. */
async function prompt(page: Page): Promise<string> {
  const words = await texts(page, ".line > .slot:not(.dead, .stop) > .word");
  const mask = await page
    .locator(".line > .slot")
    .evaluateAll((slots) =>
      slots
        .filter((slot) => !slot.matches(".dead, .stop"))
        .findIndex((slot) => slot.classList.contains("answer")),
    );
  return words.map((word, i) => (i === 0 ? "[X]" : i === mask ? "[Y]" : word)).join(" ");
}

const shown = (found: Asked["answers"]): string[] =>
  found.flatMap(([word, probability]) => [word, percent(probability)]);

for (const isolated of [true, false]) {
  test(`a question gets the command line's words, ${isolated ? "isolated" : "not isolated"}`, async () => {
    const want = asked("promptgen", SUBJECT);
    const manual = asked("template", SUBJECT);
    const server = await served(isolated);
    const { page, said, asked: whom, context } = await pages.visit(server.url + QUESTION);
    await answered(page);
    assert.is(await page.evaluate("crossOriginIsolated"), isolated);
    assert.is(await prompt(page), want.prompt);
    const columns = page.locator(".answers .column");
    const bars = async (i: number) =>
      (await columns.nth(i).locator(".word, .share").allInnerTexts()).map((text) =>
        text.replace(" ✓", ""),
      );
    assert.equal(await bars(0), shown(want.answers));
    assert.equal(await bars(1), shown(want.none));
    assert.is((await texts(page, ".answers .column h3"))[2], `about ${OTHER}`);
    assert.is((await bars(2)).length, 10);
    const row = page.locator(".rivals tr", { hasText: "Manual" });
    const sentence = manual.prompt.replace("[X]", SUBJECT).replace("[Y]", "____");
    assert.is((await row.locator(".sentence").innerText()).trim(), sentence);
    assert.ok(
      (await row.innerText()).includes(`${manual.answers[0][0]} ${percent(manual.answers[0][1])}`),
    );
    // each word stands over its gloss: three others, and how open the choice was
    const live = await page.locator(".slot:not(.given, .answer, .dead, .stop)").count();
    assert.ok(
      live > 0 && (await page.locator(".slot:not(.stop) > .others > li").count()) === 3 * live,
    );
    assert.ok(server.sent() <= MOST_BYTES, `${server.sent()} bytes`);
    assert.ok(
      whom.every((url) => url.startsWith(server.url)),
      whom.join(),
    );
    assert.equal(said, []);
    const first = Number(
      await page.evaluate("performance.getEntriesByName('first answer')[0].startTime"),
    );
    console.log(
      `${isolated ? "isolated" : "not isolated"}: first answer after ${(first / 1000).toFixed(2)} s, ${(server.sent() / 1e6).toFixed(2)} MB`,
    );
    await context.close();
  });
}

test("the prompt is written word by word, again when it is wished, and as far as it is wished", async () => {
  const server = await served(true);
  const motion = { reducedMotion: "no-preference" } as const;
  const { page, context } = await pages.visit(server.url + QUESTION, motion);
  await page.locator(".slot.empty").first().waitFor();
  assert.is(await page.locator(".slot.answer .word").innerText(), "[MASK]");
  await page.locator(".slot.answer.there").waitFor();
  assert.is(await page.locator(".slot.empty").count(), 0);
  const all = await page.locator(".slot").count();
  await page.getByRole("button", { name: "Write it again" }).click();
  await page.locator(".slot.empty").first().waitFor();
  await page.locator(".slot.answer.there").waitFor();
  await page.getByLabel("Words written").focus();
  await page.keyboard.press("Home");
  assert.is(await page.locator(".slot.empty").count(), all - 2); // but the subject and the mask
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  assert.is(await page.locator(".slot:not(.given, .answer, .empty)").count(), 2);
  await context.close();
});

test("a link holds the state: another visitor sees the same", async () => {
  const server = await served(true);
  const one = await pages.visit(`${server.url}#ask?device=cpu`);
  await answered(one.page);
  await one.page.getByLabel("Relation").selectOption("P38");
  await one.page.getByLabel("Subject").fill("Kenya");
  await one.page.getByLabel("Another, for comparison").fill("Japan");
  await one.page.getByRole("button", { name: "Ask", exact: true }).click();
  await one.page.locator(".answers h3", { hasText: "Japan" }).waitFor();
  const link = one.page.url();
  const two = await pages.visit(link);
  await answered(two.page);
  assert.is(two.page.url(), link);
  assert.is(await prompt(two.page), await prompt(one.page));
  assert.equal(
    await texts(two.page, ".answers .column"),
    await texts(one.page, ".answers .column"),
  );
  // views are places to come back to
  await two.page.getByRole("link", { name: "Train" }).click();
  assert.match(await two.page.title(), /^Train · /);
  await two.page.goBack();
  await two.page.locator(".answers h3", { hasText: "Japan" }).waitFor();
  assert.is(two.page.url(), link);
  await Promise.all([one.context.close(), two.context.close()]);
});

test("what links and facts hold is text", async () => {
  const server = await served(true);
  const evil = '<img src=x onerror="alert(1)">';
  const query = new URLSearchParams({
    relation: "P36",
    subject: evil,
    other: "<b>x</b>",
    device: "cpu",
  });
  const { page, said, context } = await pages.visit(`${server.url}#ask?${query}`);
  await page.locator(".rivals td.reader").nth(3).waitFor();
  assert.is(await page.locator(".slot.given .word").innerText(), evil);
  assert.is(await page.locator("main img, main b:not(.subject, .reader b)").count(), 0);
  await page.getByRole("link", { name: "Bring your own" }).click();
  const lines = Array.from(
    { length: 4 },
    (_, i) => `<script>alert(${i})</script>\t${evil}${i}\tLima`,
  );
  await page.locator("textarea").fill(lines.join("\n"));
  await page.getByText("has 1 facts and needs 3").first().waitFor();
  assert.is(await page.locator("main script, main img").count(), 0);
  const refused = await page.evaluate(
    `new Promise((done) => {
      setTimeout(done, 10_000, "nothing");
      document.addEventListener("securitypolicyviolation", (event) => done(event.violatedDirective));
      document.body.append(Object.assign(document.createElement("img"), { src: "https://example.com/x.png" }));
    })`,
  );
  assert.is(refused, "img-src");
  assert.equal(
    said.filter((text) => !text.includes("example.com")),
    [],
  );
  await context.close();
});

webgpu("the prompt on WebGPU is that of the CPU", async () => {
  const want = asked("promptgen", SUBJECT);
  const server = await served(false);
  const link = QUESTION.replace("device=cpu", "device=gpu:software");
  const { page, said, context } = await pages.visit(server.url + link);
  await answered(page);
  assert.match(String(await page.locator(".device").getAttribute("title")), /^WebGPU on /);
  assert.is(await prompt(page), want.prompt);
  const [[word]] = want.answers;
  assert.is(await page.locator(".slot.answer .word").innerText(), word);
  assert.equal(said, []);
  await context.close();
});

const source = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** What axe-core finds that is serious or worse. */
async function faults(page: Page): Promise<string[]> {
  await page.evaluate(source);
  return (await page.evaluate(`axe.run().then(({ violations }) =>
    violations.filter(({ impact }) => impact === "serious" || impact === "critical")
      .map(({ id, nodes }) => id + ": " + nodes.map((node) => node.target).join(", ")))`)) as string[];
}

for (const colorScheme of ["light", "dark"] as const) {
  test(`who does not see the page can use it, ${colorScheme}, and it fits a phone`, async () => {
    const server = await served(true);
    const { page, context } = await pages.visit(server.url + QUESTION, {
      colorScheme,
      viewport: { width: 360, height: 740 },
    });
    await answered(page);
    const fits = async (view: string) => {
      const wide = Number(await page.evaluate("document.documentElement.scrollWidth"));
      assert.ok(wide <= 360, `${view} is ${wide} wide`);
      assert.equal(await faults(page), [], view);
    };
    await fits("ask");
    assert.match(await page.locator("[role=status]").first().innerText(), /^BART wrote: Egypt /);
    // by keyboard alone
    await page.keyboard.press("Tab");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.locator("h1", { hasText: "learn" }).waitFor();
    assert.is(await page.evaluate("document.activeElement.id"), "main");
    await fits("train");
    await page.getByRole("link", { name: "Bring your own" }).press("Enter");
    await page.getByRole("button", { name: "Put in an example" }).click();
    await page.getByText("60 facts in 2 relations.").waitFor();
    await fits("own");
    await context.close();
  });
}

test("isolation comes with the second visit, where the server sends no headers for it", async () => {
  const server = await served(false);
  const { page, context } = await pages.visit(server.url + QUESTION);
  await answered(page);
  assert.is(await page.evaluate("crossOriginIsolated"), false);
  await page.evaluate("navigator.serviceWorker.ready.then(() => undefined)");
  await page.reload();
  await answered(page);
  assert.is(await page.evaluate("crossOriginIsolated"), true);
  assert.match(String(await page.locator(".device").getAttribute("title")), /threads/);
  await context.close();
});

if (testsRunOn("cpu")) test.run();
if (testsRunOn("gpu:software")) webgpu.run();
