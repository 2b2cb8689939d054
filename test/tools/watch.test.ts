/** The page that follows runs, asked for as a browser does and as somebody who means no good would. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { parseHTML } from "linkedom";
import { suite } from "uvu";
import { type Live, livePage } from "../../promptgen/report/page/live.ts";
import { servePage } from "../../tools/lib/watch.ts";
import { ROOT, refuses, temporary } from "./command.ts";

const test = suite("watch");

const parsed = (page: string): Document => parseHTML(page).document as unknown as Document;

type Answer = { readonly status: number; readonly text: string; readonly type: string };

/** One request as it is written: no client puts its path or its host right. */
const ask = (
  url: string,
  path: string,
  { method = "GET", host }: { method?: string; host?: string } = {},
): Promise<Answer> =>
  new Promise((done, fail) => {
    const { port, host: own } = new URL(url);
    const headers = { host: host ?? own };
    const asked = request(
      { host: "127.0.0.1", port, path, method, headers, setHost: false },
      (answer) => {
        let text = "";
        answer.setEncoding("utf8").on("data", (piece: string) => {
          text += piece;
        });
        const { statusCode = 0 } = answer;
        const type = String(answer.headers["content-type"]);
        answer.on("end", () => done({ status: statusCode, text, type }));
      },
    );
    asked.on("error", fail);
    asked.end();
  });

test("one page, on the loopback, for who means it", async () => {
  let made = 0;
  const { url, close } = await servePage(() => `<p>page ${++made}</p>`);
  try {
    assert.match(url, /^http:\/\/127\.0\.0\.1:\d+\/$/);
    const page = await ask(url, "/");
    assert.deepEqual([page.status, page.text], [200, "<p>page 1</p>"]);
    assert.match(page.type, /^text\/html/);
    const { port } = new URL(url);
    assert.equal((await ask(url, "/", { host: `localhost:${port}` })).status, 200);
    assert.deepEqual(await ask(url, "/", { method: "HEAD" }), { ...page, text: "" });
    for (const path of [
      "/run.json",
      "/../package.json",
      "/%2e%2e/package.json",
      "//etc/passwd",
      "/?a",
      "/index.html",
      "/..\\..\\x",
    ]) {
      const { status, text } = await ask(url, path);
      assert.deepEqual([status, text], [404, "there is one page, /\n"], path);
    }
    for (const host of ["evil.example", `evil.example:${port}`, "127.0.0.1", "127.0.0.1:1", ""]) {
      assert.equal((await ask(url, "/", { host })).status, 403, host);
    }
    for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
      assert.equal((await ask(url, "/", { method })).status, 405, method);
    }
    assert.equal(made, 1, "in a second it is made once");
  } finally {
    close();
  }
  const broken = await servePage(() => {
    throw new Error("[log] a line is broken");
  });
  const { status, text, type } = await ask(broken.url, "/");
  assert.deepEqual([status, text], [500, "[log] a line is broken\n"]);
  assert.match(type, /^text\/plain/);
  broken.close();
});

const steps = {
  columns: ["object", "learningRate"],
  steps: 9,
  values: Float32Array.from({ length: 18 }, (_, i) => i),
};
const log = [0, 5].map((step) => ({ step, devAccuracy: 10 * step }));
const live: Live = {
  name: "<img src=x onerror=alert(1)>",
  said: ["2 to run: about 3 min"],
  runs: [
    { name: "a-seed1", row: "A", stand: "done", said: "", trainings: [{ log, steps }] },
    {
      name: "b-seed1",
      row: "</h2><b>",
      stand: "running",
      said: "training 9/20, 8 s left",
      trainings: [{ log, steps }],
    },
    { name: "c-seed1", row: "C", stand: "waiting", said: "", trainings: [] },
    { name: "d-seed1", row: "D", stand: "running", said: "begins", trainings: [] },
  ],
};

test("says what is done, what runs, how long it takes, and draws the curves so far", () => {
  const document = parsed(livePage(live));
  const text = document.body?.textContent ?? "";
  assert.ok(text.includes("1 done, 2 running, 1 waiting. 2 to run: about 3 min"));
  assert.ok(text.includes(live.name) && text.includes("training 9/20, 8 s left"));
  assert.equal(document.querySelectorAll("img, b, script").length, 0);
  const sections = [...document.querySelectorAll("section")];
  assert.deepEqual(
    sections.map((one) => one.querySelector("h2")?.textContent),
    ["b-seed1", "d-seed1", "All runs"],
  );
  const panels = [...sections[0].querySelectorAll("svg")].map((one) =>
    one.getAttribute("aria-label"),
  );
  assert.ok(panels.some((label) => label?.includes("learning rate: rate ends at 17")));
  assert.ok(panels.some((label) => label?.includes("own subject ends at 50")));
  const [curves] = sections[2].querySelectorAll("svg");
  assert.match(curves.getAttribute("aria-label") ?? "", /A ends at .*; <\/h2><b> ends at/);
  const rows = [...document.querySelectorAll("tbody tr")].map((row) =>
    [...row.children].map((cell) => cell.textContent),
  );
  assert.deepEqual(rows[1], ["b-seed1", "running", "training 9/20, 8 s left"]);
  assert.equal(rows.length, 4);
  const metas = [...document.querySelectorAll("meta[http-equiv]")].map((meta) => [
    meta.getAttribute("http-equiv"),
    meta.getAttribute("content"),
  ]);
  assert.match(metas[0][1] ?? "", /^default-src 'none'; style-src 'sha256-[^;]*'; img-src data:/);
  assert.deepEqual(metas[1], ["refresh", "5"]);
});

test("a page of runs that have not begun is a page", () => {
  const document = parsed(livePage({ name: "x", said: [], runs: [live.runs[2]] }));
  assert.match(document.body?.textContent ?? "", /1 waiting/);
  assert.equal(document.querySelectorAll("svg").length, 0);
});

test("a study is followed from its first run to its last", async () => {
  const home = temporary();
  const file = join(home, "small.json");
  // a page is made once a second: each run takes longer than that on any machine
  const rows = [{ method: "optiprompt", vectors: [1, 2], epochs: 40, seeds: [1] }];
  writeFileSync(
    file,
    JSON.stringify({ name: "small", world: true, options: { relations: "P36" }, rows }),
  );
  const args = [file, "--out", join(home, "out"), "--watch", "--tensorboard", "--device", "cpu"];
  const child = spawn(process.execPath, [join(ROOT, "tools/study.ts"), ...args], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const ended = new Promise((done) => child.on("close", done));
  const url = await new Promise<string>((done) => {
    let out = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      out += text;
      const [found] = /http:\/\/127\.0\.0\.1:\d+\//.exec(out) ?? [];
      if (found) done(found);
    });
  });
  const seen = new Set<string>();
  let curves = 0;
  while (child.exitCode === null) {
    const { status, text } = await ask(url, "/").catch(() => ({ status: 0, text: "" }));
    if (status !== 200) break; // it has ended
    const document = parsed(text);
    seen.add(document.querySelector("header p")?.textContent ?? "");
    curves = Math.max(curves, document.querySelectorAll("svg").length);
    await new Promise((done) => setTimeout(done, 100));
  }
  assert.equal(await ended, 0);
  const all = [...seen].join("\n");
  assert.match(all, /1 running, 1 waiting/);
  assert.match(all, /1 done, 1 running/);
  assert.ok(curves >= 4, `${curves} drawings`);
});

test("a cluster's study is not followed", async () => {
  const home = temporary();
  const file = join(home, "one.json");
  writeFileSync(file, JSON.stringify({ name: "one", rows: [{ method: "majority" }] }));
  await refuses(
    "study.ts",
    [file, "--on", "slurm", "--watch"],
    /--watch follows runs that this command makes here/,
  );
});

test.run();
