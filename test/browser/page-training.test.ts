/** The page's trainings in Chromium: the bits of Node, what is kept and let go, and what a visitor brings. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { StepTable } from "../../promptgen/training/steps.ts";
import { testsRunOn } from "../devices.ts";
import { COMMITS, HubServer, type Model } from "../models/hub/server.ts";
import { Visitors } from "./site.ts";
import { keptSteps, longestTask, stepsHere } from "./trained.ts";

const test = suite("page trains");
const pages = new Visitors();
const served = (isolated: boolean) => pages.served(isolated);
pages.around(test);

const WORLD = join(import.meta.dirname, "../../promptgen/world");

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
  const { page, said, context } = await pages.visit(
    `${server.url}#train?alpha=0.3&seed=1&device=cpu`,
  );
  const start = page.getByRole("button", { name: "Train", exact: true });
  await start.waitFor();
  await page.locator(".controls .main:enabled").waitFor();
  await start.click();
  await until(page, 6);
  await pages.browser.startTracing(page, { categories: ["toplevel", "__metadata"] });
  await until(page, 16);
  const { longest, tasks } = longestTask(await pages.browser.stopTracing());
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

test("a step at a time, with another alpha, and what was kept can be forgotten", async () => {
  const server = await served(false);
  const { page, said, context } = await pages.visit(
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

test("own facts and models from this machine are priced, then trained on", async () => {
  const server = await served(true);
  const { page, said, asked: whom, context } = await pages.visit(`${server.url}#own?device=cpu`);
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
  const { page, said, context } = await pages.visit(`${server.url}icon.svg`);
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
  const { page, asked: whom, context } = await pages.visit(`${server.url}#own?device=cpu`);
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

if (testsRunOn("cpu")) test.run();
