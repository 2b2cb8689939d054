import { existsSync, readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { build } from "../tools/commands/build.ts";
import { openPage } from "./page.ts";

const test = suite("README");
build();
const root = join(import.meta.dirname, "..");
const readme = readFileSync(join(root, "README.md"), "utf8");
const blocks = [...readme.matchAll(/```(\w+)\n([\s\S]*?)```/g)].map(([, language, code]) => ({
  language,
  code,
}));
const programs = blocks.filter((b) => b.language === "ts");

/** What a program prints, run in Node from the built package. */
async function runHere(code: string): Promise<string[]> {
  const lines: string[] = [];
  const log = console.log;
  console.log = (...args: unknown[]) => lines.push(args.join(" "));
  try {
    const js = stripTypeScriptTypes(code).replaceAll(
      /from "promptgen\/(\w+)"/g,
      (_, name) => `from "${new URL(`../dist/${name}/index.js`, import.meta.url).href}"`,
    );
    await import(`data:text/javascript,${encodeURIComponent(js)}`);
  } finally {
    console.log = log;
  }
  return lines;
}

const losses = (lines: readonly string[]): number[] =>
  lines.flatMap((l) => {
    const found = /loss (\S+)/.exec(l);
    return found ? [Number(found[1])] : [];
  });

test("has programs, and the first one is short", () => {
  assert.ok(programs.length >= 1);
  const lines = programs[0].code.split("\n").filter((l) => l.trim() !== "");
  assert.ok(lines.length <= 25, `${lines.length} lines`);
});

test("the first program runs in Node and in a browser with the same loss", async () => {
  const here = losses(await runHere(programs[0].code));
  assert.ok(here.length >= 2 && here.every(Number.isFinite), `${here}`);
  assert.ok(here[here.length - 1] < here[0] / 4, `the loss does not fall: ${here}`);
  const { page, close } = await openPage();
  try {
    const lines: string[] = [];
    page.on("console", (m) => lines.push(m.text()));
    await page.addScriptTag({
      type: "module",
      content: `${stripTypeScriptTypes(programs[0].code)}
      globalThis.finished = true;`,
    });
    await page.waitForFunction("globalThis.finished", undefined, { timeout: 120_000 });
    const there = losses(lines);
    assert.is(there.length, here.length, lines.join("\n"));
    there.forEach((loss, i) => {
      assert.ok(
        Math.abs(loss - here[i]) <= 1e-4,
        `step ${i}: ${loss} in the browser, ${here[i]} in Node`,
      );
    });
  } finally {
    await close();
  }
});

test("every other program runs", async () => {
  for (const { code } of programs.slice(1)) assert.ok((await runHere(code)).length > 0);
});

test("every command names a script or a file that is there", () => {
  const scripts = JSON.parse(readFileSync(join(root, "package.json"), "utf8")).scripts;
  const commands = blocks.filter((b) => b.language === "sh").flatMap((b) => b.code.split(/\n|&&/));
  assert.ok(commands.length > 0);
  for (const command of commands) {
    const script = /npm run ([\w:]+)/.exec(command)?.[1];
    if (script) assert.ok(script in scripts, `${command}: package.json has no script ${script}`);
    const file = /(?:node|bash) ((?:tools|\.ci)\/\S+)/.exec(command)?.[1];
    if (file) assert.ok(existsSync(join(root, file)), `${command}: there is no ${file}`);
  }
});

test.run();
