/**
 * The package as its users have it: `npm run package [-- NAME...]` packs it, installs the tarball into fresh folders, builds a page
 * with each bundler, and runs a linear regression and BERT's fill-mask there in Chromium (isolated or not, on the CPU and on WebGPU's
 * software adapter, in a worker), and in Node, Deno and Bun. What they find is held against numpy and transformers. One line a case;
 * the exit code is 1 when any is wrong. Needs the npm registry and Chromium.
 *
 * NAME is part of a case's name: `vite`, `node`, `types`.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { openBrowser } from "../lib/browser.ts";
import { findAdapters } from "../lib/machine.ts";
import { BUNDLERS, build, serve } from "./package/bundlers.ts";
import { checkedVisit, type Visit } from "./package/chromium.ts";
import { figures } from "./package/found.ts";
import { installed, type Packed, pack } from "./package/fresh.ts";
import { LINTERS, lint } from "./package/lint.ts";
import { checkedRun, RUNTIMES } from "./package/runtimes.ts";

const VISITS: readonly Visit[] = [
  { device: "cpu", isolated: false, worker: false },
  { device: "cpu", isolated: false, worker: true },
  { device: "gpu:software", isolated: false, worker: false },
  { device: "cpu", isolated: true, worker: false },
  { device: "cpu", isolated: true, worker: true },
  { device: "gpu:software", isolated: true, worker: false },
];

const work = mkdtempSync(join(tmpdir(), "promptgen-package-"));
const wanted = process.argv.slice(2).map((name) => name.toLowerCase());
const isWanted = (name: string): boolean =>
  wanted.length === 0 || wanted.some((part) => name.toLowerCase().includes(part));
let faults = 0;

/** Prints a case's line: what it says, or what it throws. */
async function report(name: string, work: () => Promise<string> | string): Promise<void> {
  try {
    console.log(`ok    ${name.padEnd(34)} ${await work()}`);
  } catch (error) {
    faults++;
    const said = error instanceof Error ? error.message : String(error);
    console.log(`FAULT ${name.padEnd(34)} ${said.replaceAll("\n", "\n      ")}`);
  }
}

async function bundled(name: string, packed: Packed, browser: Browser): Promise<void> {
  const bundler = BUNDLERS[name];
  const folder = join(work, name.replaceAll(" ", "-"));
  let built = false;
  await report(`${name}: install, build`, () => {
    installed(folder, packed, bundler.packages, bundler.files);
    build(folder, bundler);
    built = true;
    return bundler.packages.join(", ");
  });
  if (!built) return;
  for (const isolated of [false, true]) {
    const served = await serve(folder, bundler, isolated);
    const visits = VISITS.filter((visit) => visit.isolated === isolated);
    for (const one of visits.filter(({ worker }) => !(worker && bundler.onlyPages))) {
      const where = `${one.device}${one.worker ? ", worker" : ""}${isolated ? ", isolated" : ""}`;
      await report(`${name}: ${where}`, async () =>
        figures((await checkedVisit(browser, served.url, one)).found),
      );
    }
    served.close();
  }
}

async function hosted(name: string, packed: Packed, devices: readonly string[]): Promise<void> {
  const runtime = RUNTIMES[name];
  const folder = join(work, name.replaceAll(" ", "-"));
  let there = false;
  await report(`${name}: install`, () => {
    installed(folder, packed, runtime.packages);
    there = true;
    return runtime.packages.join(", ") || process.version;
  });
  if (!there) return;
  for (const file of name.startsWith("Node")
    ? (["node.mjs", "node.cjs"] as const)
    : (["node.mjs"] as const)) {
    for (const device of devices) {
      const how = file === "node.cjs" ? ", require" : "";
      await report(`${name}: ${device}${how}`, () =>
        figures(checkedRun(folder, runtime, file, device)),
      );
    }
  }
}

async function main(): Promise<void> {
  const all = [LINTERS, BUNDLERS, RUNTIMES].flatMap((table) => Object.keys(table));
  if (!all.some(isWanted)) {
    throw new Error(
      `[package] no case is called ${wanted.join(", ")}; there are ${all.join(", ")}`,
    );
  }
  const packed = pack(work);
  for (const name of Object.keys(LINTERS).filter(isWanted)) {
    await report(name, () => lint(name, join(work, name.replaceAll(/\W+/g, "-")), packed));
  }
  const pages = Object.keys(BUNDLERS).filter(isWanted);
  if (pages.length > 0) {
    const browser = await openBrowser();
    for (const name of pages) await bundled(name, packed, browser);
    await browser.close();
  }
  const runtimes = Object.keys(RUNTIMES).filter(isWanted);
  const software = runtimes.length > 0 && findAdapters().names.includes("gpu:software");
  if (runtimes.length > 0 && !software) {
    console.log("left out: WebGPU outside of pages, as there is no software adapter");
  }
  for (const name of runtimes) {
    await hosted(name, packed, software ? ["cpu", "gpu:software"] : ["cpu"]);
  }
  console.log(faults === 0 ? "no faults" : `${faults} faults`);
}

try {
  await main();
} catch (error) {
  faults++;
  console.error(error instanceof Error ? error.message : error);
} finally {
  rmSync(work, { recursive: true, force: true });
}
process.exitCode = faults === 0 ? 0 : 1;
