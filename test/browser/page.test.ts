/** The page in Chromium: what it answers and learns is what the command line does; what it costs, keeps and lets nobody do. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { StepTable } from "../../promptgen/training/steps.ts";
import { percent } from "../../tools/page/words.ts";
import { testsRunOn } from "../devices.ts";
import { COMMITS, HubServer, type Model } from "../models/hub/server.ts";
import { openBrowser } from "../page.ts";
import { buildSite, command, type Served, type Site, serve, visit } from "./site.ts";
import { keptSteps, longestTask, stepsHere } from "./trained.ts";

const test = suite("page of promptgen");

const WORLD = join(import.meta.dirname, "../../promptgen/world");
const SUBJECT = "Egypt";
const OTHER = "Peru";
const QUESTION = `#ask?relation=P36&subject=${SUBJECT}&other=${OTHER}&device=cpu`;
/** What opening the page may fetch, until other methods have answered too. */
const MOST_BYTES = 8e6;

let browser: Browser;
let site: Site | undefined;
const servers: Served[] = [];
const served = async (isolated: boolean): Promise<Served> => {
  const server = await serve(builtSite().folder, isolated);
  servers.push(server);
  return server;
};

const builtSite = (): Site => {
  if (site) return site;
  throw new Error("the page is not built");
};

/** Builds the page for a suite, and lets go of what it opened. */
const around = (own: typeof test): void => {
  own.before(async () => {
    site ??= await buildSite();
    browser = await openBrowser();
  });
  own.after(async () => {
    await browser.close();
    for (const server of servers.splice(0)) server.close();
  });
};
around(test);

type Asked = {
  readonly prompt: string;
  readonly answers: readonly (readonly [string, number])[];
  readonly none: readonly (readonly [string, number])[];
};

const asked = (run: string, subject: string): Asked =>
  JSON.parse(
    command("ask", builtSite().run(run), "--relation", "P36", "--subject", subject, "--json"),
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
    const { page, said, asked: whom, context } = await visit(browser, server.url + QUESTION);
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
  const { page, context } = await visit(browser, server.url + QUESTION, motion);
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
  const one = await visit(browser, `${server.url}#ask?device=cpu`);
  await answered(one.page);
  await one.page.getByLabel("Relation").selectOption("P38");
  await one.page.getByLabel("Subject").fill("Kenya");
  await one.page.getByLabel("Another, for comparison").fill("Japan");
  await one.page.getByRole("button", { name: "Ask", exact: true }).click();
  await one.page.locator(".answers h3", { hasText: "Japan" }).waitFor();
  const link = one.page.url();
  const two = await visit(browser, link);
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
  const { page, said, context } = await visit(browser, `${server.url}#ask?${query}`);
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

/** Steps that the page has taken, by its own words. */
async function stepOf(page: Page): Promise<number> {
  const [, step = "0"] = /step (\d+)/.exec(await page.locator(".stand .note").innerText()) ?? [];
  return Number(step);
}

/** Waits for a step. @param least that it never stands below */
async function until(page: Page, step: number, least = 0): Promise<void> {
  const patience = performance.now() + 300_000;
  for (let now = 0; now < step; now = await stepOf(page)) {
    assert.ok(now === 0 || now >= least, `it went back to step ${now}`);
    assert.is(await page.locator(".trouble").count(), 0);
    assert.ok(performance.now() < patience, `it stays at step ${now}, before ${step}`);
    await page.waitForTimeout(100);
  }
}

const STEPS = 40;

test("40 steps have the losses of Node, with a reload in the middle, and the main thread stays free", async () => {
  const server = await served(true);
  const { page, said, context } = await visit(
    browser,
    `${server.url}#train?alpha=0.3&seed=1&device=cpu`,
  );
  const start = page.getByRole("button", { name: "Train", exact: true });
  await start.waitFor();
  await page.locator(".controls .main:enabled").waitFor();
  await start.click();
  await until(page, 6);
  await browser.startTracing(page, { categories: ["toplevel", "__metadata"] });
  await until(page, 16);
  const { longest, tasks } = longestTask(await browser.stopTracing());
  assert.ok(tasks > 50, `${tasks} tasks were seen`);
  assert.ok(longest <= 50, `a task of the main thread took ${longest} ms of its processor`);
  assert.ok((await page.locator(".watched > li").count()) === 5);
  await page.reload(); // without a word
  const more = page.getByRole("button", { name: "Go on" });
  await more.waitFor();
  const stood = await stepOf(page);
  assert.ok((stood >= 10 && stood % 10 === 0) || stood >= 14, `it stands at step ${stood}`);
  assert.is(Number(await page.locator(".chart circle").count()) > 3, true);
  await more.click();
  await until(page, STEPS, stood);
  await page.getByRole("button", { name: "Pause" }).click();
  await more.waitFor();
  const there = await keptSteps(page);
  const device = String(await page.locator(".device").getAttribute("title"));
  await context.close();
  assert.equal(said, []);
  const here = await stepsHere(STEPS);
  assert.ok(there && here.table && there.steps >= STEPS && here.table.steps === STEPS);
  const simd = (text: string) => /\((relaxed SIMD|SIMD)/.exec(text)?.[1];
  assert.is(simd(device), simd(here.build));
  const names = ["object", "none", "entropy", "topProbability", "learningRate", "gradientNorm"];
  for (const name of names) {
    const column = ({ columns, values }: StepTable) =>
      Array.from({ length: STEPS }, (_, i) => values[i * columns.length + columns.indexOf(name)]);
    const [a, b] = [column(there), column(here.table)];
    assert.ok(b.every(Number.isFinite), name);
    assert.equal(a, b, `${name} in the page and in Node`);
  }
});

const webgpu = suite("page of promptgen on gpu:software");
around(webgpu);

webgpu("the prompt on WebGPU is that of the CPU", async () => {
  const want = asked("promptgen", SUBJECT);
  const server = await served(false);
  const link = QUESTION.replace("device=cpu", "device=gpu:software");
  const { page, said, context } = await visit(browser, server.url + link);
  await answered(page);
  assert.match(String(await page.locator(".device").getAttribute("title")), /^WebGPU on /);
  assert.is(await prompt(page), want.prompt);
  const [[word]] = want.answers;
  assert.is(await page.locator(".slot.answer .word").innerText(), word);
  assert.equal(said, []);
  await context.close();
});

test("a step at a time, with another alpha, and what was kept can be forgotten", async () => {
  const server = await served(false);
  const { page, said, context } = await visit(
    browser,
    `${server.url}#train?alpha=0.3&seed=2&device=cpu`,
  );
  await page.locator(".controls .main:enabled").click();
  await until(page, 2);
  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByRole("button", { name: "Go on" }).waitFor();
  const stood = await stepOf(page);
  const slider = page.getByLabel("alpha");
  await slider.focus();
  await page.keyboard.press("ArrowRight");
  await page.getByRole("button", { name: "One step" }).click();
  await until(page, stood + 1);
  await page.getByRole("button", { name: "Go on" }).waitFor();
  assert.is(await stepOf(page), stood + 1);
  assert.ok(page.url().includes("alpha=0.35"), page.url());
  await page.reload();
  await page.getByRole("button", { name: "Go on" }).waitFor();
  assert.is(await stepOf(page), stood + 1);
  assert.is(await page.locator(".alpha output").innerText(), "0.35");
  await page.getByRole("link", { name: "Ask" }).click();
  await page.getByRole("button", { name: "Ask PromptGen, trained here too" }).click();
  await page.locator(".rivals tr", { hasText: "trained here" }).locator(".tick, .cross").waitFor();
  await page.getByRole("link", { name: "Train" }).click();
  // a second page of the browser trains for itself and leaves alone what is kept
  const second = await context.newPage();
  await second.goto(`${server.url}#train?alpha=0.3&seed=2&device=cpu`);
  await second.locator(".controls .main:enabled").click();
  await until(second, 1);
  await second.getByRole("button", { name: "Pause" }).click();
  await second.getByText("not kept").waitFor();
  await second.close();
  await page.getByRole("button", { name: "Start over" }).click();
  await page.getByRole("button", { name: "Train", exact: true }).waitFor();
  await page.reload();
  await page.getByRole("button", { name: "Train", exact: true }).waitFor();
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
    const { page, context } = await visit(browser, server.url + QUESTION, {
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

test("own facts and models from this machine are priced, then trained on", async () => {
  const server = await served(true);
  const { page, said, asked: whom, context } = await visit(browser, `${server.url}#own?device=cpu`);
  const facts = readFileSync(join(WORLD, "autoprompt_data/P36/train.jsonl"), "utf8")
    .trim()
    .split("\n")
    .slice(0, 20);
  await page.locator("textarea").fill(`${facts.join("\n")}\nno fact`);
  await page.getByText("20 facts in 1 relation.").waitFor();
  await page.getByText("Line 21 is no JSON object").waitFor();
  for (const [name, model] of [
    ["Who writes", "bart"],
    ["Who answers", "bert"],
  ]) {
    const group = page.getByRole("group", { name });
    await group.getByLabel("from this machine").check();
    const files = ["config.json", "tokenizer.json", "model.safetensors"];
    await group
      .locator("input[type=file]")
      .setInputFiles(files.map((file) => join(WORLD, model, file)));
  }
  await page.getByRole("button", { name: "Work it out" }).click();
  const cost = page.locator(".costs dd");
  await cost.nth(2).waitFor();
  const [fetched, memory, time] = await cost.allInnerTexts();
  assert.is(fetched, "nothing");
  assert.match(memory, /^[1-9]\d(?:\.\d)? MB\s+of \d(?:\.\d)? GB/);
  assert.match(time, /^about .* steps at \d+ GFLOP\/s/);
  await page.getByRole("button", { name: "Fetch and open" }).click();
  await page.getByRole("button", { name: "Train with these" }).click();
  await until(page, 3);
  assert.ok(
    whom.every((url) => url.startsWith(server.url) || url.startsWith("blob:")),
    whom.join(),
  );
  assert.equal(said, []);
  await context.close();
});

test("what a visit has left and cannot be read is let go, and the page goes on", async () => {
  const server = await served(true);
  const { page, said, context } = await visit(browser, `${server.url}icon.svg`);
  await page.evaluate(`(async () => {
    const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle("world", { create: true });
    for (const name of ["run.json", "last.safetensors"]) {
      const stream = await (await folder.getFileHandle(name, { create: true })).createWritable();
      await stream.write("{ broken");
      await stream.close();
    }
  })()`);
  said.length = 0; // a picture alone asks for a favicon.ico
  await page.goto(`${server.url}#train?device=cpu`);
  await page.getByText("was let go").waitFor();
  await page.getByRole("button", { name: "Train", exact: true }).waitFor();
  await page.reload();
  await page.locator(".controls .main:enabled").waitFor();
  assert.is(await page.getByText("was let go").count(), 0);
  assert.equal(said, []);
  await context.close();
});

/** The embedded world's models as a Hub has them. */
async function hubOfWorld(): Promise<HubServer> {
  const model = (name: string): Model => {
    const files = ["config.json", "tokenizer.json", "model.safetensors"].map(
      (file) => [file, readFileSync(join(WORLD, name, file))] as const,
    );
    return { commits: { [COMMITS[0]]: Object.fromEntries(files) }, refs: { main: COMMITS[0] } };
  };
  return HubServer.start({ "tiny/bart": model("bart"), "tiny/bert": model("bert") });
}

test("models of the Hub are priced, fetched once, and known again when the Hub is away", async () => {
  const hub = await hubOfWorld();
  const server = await served(true);
  const { page, asked: whom, context } = await visit(browser, `${server.url}#own?device=cpu`);
  let isThere = true;
  await context.route("https://huggingface.co/**", async (route) => {
    if (!isThere) return route.abort();
    const { pathname, search } = new URL(route.request().url());
    const { range } = route.request().headers();
    const answer = await fetch(`${hub.url}${pathname}${search}`, {
      headers: range === undefined ? {} : { range },
    });
    const body = Buffer.from(await answer.arrayBuffer());
    return route.fulfill({
      status: answer.status,
      headers: Object.fromEntries(answer.headers),
      body,
    });
  });
  const bring = async (generator: string, reader: string) => {
    const lines = Array.from({ length: 9 }, (_, i) => `S${i}\t${["Lima", "Oslo", "Cairo"][i % 3]}`);
    await page.locator("textarea").fill(lines.join("\n"));
    for (const [group, name] of [
      ["Who writes", generator],
      ["Who answers", reader],
    ]) {
      const own = page.getByRole("group", { name: group });
      await own.getByLabel("from the Hub").check();
      await own.getByLabel("Name on the Hub").fill(name);
    }
    await page.getByRole("button", { name: "Work it out" }).click();
    await page.locator(".costs, .steps .trouble").waitFor();
  };
  await bring("tiny/none", "tiny/bert");
  assert.match(await page.locator(".steps .trouble").innerText(), /tiny\/none/);
  await bring("../x", "tiny/bert");
  assert.match(
    await page.locator(".steps .trouble").innerText(),
    /"\.\.\/x" is no name on the Hub/,
  );
  await bring("tiny/bart", "tiny/bert");
  const first = page.locator(".costs dd").first();
  assert.is(await first.innerText(), "2.9 MB");
  await page.getByRole("button", { name: "Fetch and open" }).click();
  await page.getByRole("button", { name: "Train with these" }).waitFor();
  isThere = false;
  await page.reload();
  await bring("tiny/bart", "tiny/bert");
  assert.is(await first.innerText(), "nothing");
  await page.getByRole("button", { name: "Fetch and open" }).click();
  await page.getByRole("button", { name: "Train with these" }).click();
  await until(page, 1);
  const others = whom.filter((url) => !url.startsWith(server.url) && !url.startsWith("blob:"));
  assert.ok(others.length > 0 && others.every((url) => url.startsWith("https://huggingface.co/")));
  await context.close();
  await hub.close();
});

test("isolation comes with the second visit, where the server sends no headers for it", async () => {
  const server = await served(false);
  const { page, context } = await visit(browser, server.url + QUESTION);
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
