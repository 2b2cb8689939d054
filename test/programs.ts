/** The README's programs, and how a program is run in Node and in a page. */
import { readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { join } from "node:path";
import type { Page } from "playwright-core";
import type { TestDevice } from "./devices.ts";

const readme = readFileSync(join(import.meta.dirname, "..", "README.md"), "utf8");

/** Its blocks of code, in order. */
export const blocks = [...readme.matchAll(/```(\w+)\n([\s\S]*?)```/g)].map(
  ([, language, code]) => ({ language, code }),
);
export const programs = blocks.filter((b) => b.language === "ts").map(({ code }) => code);

/** A program with its call of openDevice() asking for `device`. */
export function askingFor(device: string, code: string): string {
  const asked = code.replace("openDevice()", `openDevice({ device: "${device}" })`);
  if (asked === code) throw new Error("the program has no openDevice()");
  return asked;
}

let runs = 0;

/** What a program prints, run in Node from the built package. */
export async function runHere(code: string): Promise<string[]> {
  const lines: string[] = [];
  const log = console.log;
  console.log = (...args: unknown[]) => lines.push(args.join(" "));
  try {
    const js = stripTypeScriptTypes(code).replaceAll(
      /from "promptgen\/(\w+)"/g,
      (_, name) => `from "${new URL(`../dist/${name}/index.js`, import.meta.url).href}"`,
    );
    // a module runs once, so each is made another one
    await import(`data:text/javascript,${encodeURIComponent(`${js}\n// ${runs++}`)}`);
  } finally {
    console.log = log;
  }
  return lines;
}

/** What a program prints in a page. Throws what it throws. */
export async function runThere(page: Page, code: string): Promise<string[]> {
  const lines: string[] = [];
  const notes: string[] = []; // the browser's own
  page.on("console", (m) => (m.type() === "log" ? lines : notes).push(m.text()));
  const thrown = new Promise<never>((_, reject) => {
    page.on("pageerror", reject);
    page.on("response", (r) => {
      if (r.status() >= 400 && r.url().includes("/dist/")) {
        reject(new Error(`${r.url()} was answered with ${r.status()}`));
      }
    });
  });
  await page.addScriptTag({
    type: "module",
    content: `${stripTypeScriptTypes(code)}\nglobalThis.finished = true;`,
  });
  const finished = page.waitForFunction("globalThis.finished", undefined, { timeout: 120_000 });
  try {
    await Promise.race([finished, thrown]);
  } catch (cause) {
    throw new Error(
      `${cause instanceof Error ? cause.message : cause}\n${[...lines, ...notes].join("\n")}`,
    );
  }
  return lines;
}

/** The figures behind "loss". */
export const losses = (lines: readonly string[]): number[] =>
  lines.flatMap((l) => {
    const found = /loss (\S+)/.exec(l);
    return found ? [Number(found[1])] : [];
  });

/** What a program prints, run from the source on one device. */
export async function printed(code: string, device: TestDevice): Promise<string> {
  const lines: string[] = [];
  const { log } = console;
  console.log = (...args: unknown[]) => lines.push(args.join(" "));
  try {
    const js = stripTypeScriptTypes(code)
      .replaceAll("openDevice()", "openDevice({ })")
      .replaceAll("openDevice({ ", `openDevice({ device: "${device}", threads: 2, `)
      .replaceAll(/from "promptgen(?:\/(\w+))?"/g, (_, name = "promptgen") => {
        const folder = name === "world" ? "promptgen/world" : name;
        return `from "${new URL(`../${folder}/index.ts`, import.meta.url).href}"`;
      });
    await import(`data:text/javascript,${encodeURIComponent(js)}//${device}`); // anew for each device
  } finally {
    console.log = log;
  }
  return `${lines.join("\n")}\n`;
}
