/** The page built with small runs, a server of its files that counts what it sends, and a visitor. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { extname, join, normalize } from "node:path";
import type { Browser, BrowserContext, BrowserContextOptions, Page } from "playwright-core";
import { writePage } from "../../tools/commands/page.ts";
import { openBrowser } from "../../tools/lib/browser.ts";
import { output } from "../../tools/lib/cli.ts";

const ROOT = join(import.meta.dirname, "../..");
const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
};
const ISOLATION = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
};

/** Runs a program of tools/ on the CPU; gives what it printed. Throws what it says where it fails. */
export function command(tool: string, ...args: readonly string[]): string {
  const line = [join(ROOT, "tools", `${tool}.ts`), ...args, "--device", "cpu"];
  const { status, stdout, stderr } = spawnSync(process.execPath, line, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${tool} ended with ${status}: ${stderr}`);
  return stdout;
}

/** The page and the runs that it asks. */
export type Site = {
  readonly folder: string;
  /** Of the folder of a run. */
  run(name: string): string;
};

/** Trains PromptGen for a short time, and Manual, and builds the page with them. */
async function buildSite(): Promise<Site> {
  const home = mkdtempSync(join(tmpdir(), "promptgen-site-"));
  process.on("exit", () => rmSync(home, { recursive: true, force: true }));
  const run = (name: string) => join(home, "study", name);
  command("train", "--world", "--max-steps", "2", "--seed", "3", "--out", run("promptgen"));
  command("train", "--world", "--method", "template", "--out", run("template"));
  const folder = join(home, "site");
  output.quiet = true;
  await writePage(folder, join(home, "study"));
  return { folder, run };
}

/** A server of a folder's files. */
export type Served = {
  readonly url: string;
  /** Bytes of files that were sent so far. */
  sent(): number;
  close(): void;
};

/** @param isolated sends the headers of cross-origin isolation */
export async function serve(folder: string, isolated: boolean): Promise<Served> {
  let sent = 0;
  const server = createServer(async (request, response) => {
    if (isolated) response.setHeaders(new Map(Object.entries(ISOLATION)));
    const path = normalize(new URL(request.url ?? "/", "http://localhost").pathname);
    const name = path === "/" ? "index.html" : path;
    try {
      const body = await readFile(join(folder, name));
      sent += body.length;
      response.setHeader("content-type", TYPES[extname(name)] ?? "application/octet-stream");
      response.end(body);
    } catch {
      response.statusCode = 404;
      response.end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    sent: () => sent,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** A visitor with a browser profile of its own. */
export type Visit = {
  readonly context: BrowserContext;
  readonly page: Page;
  /** What the page complained of. */
  readonly said: string[];
  /** Every address that was asked for. */
  readonly asked: string[];
};

async function visit(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<Visit> {
  const context = await browser.newContext({ reducedMotion: "reduce", ...options });
  const page = await context.newPage();
  const [said, asked]: string[][] = [[], []];
  page.on("console", (message) => said.push(message.text()));
  page.on("pageerror", (error) => said.push(error.message));
  page.on("dialog", (dialog) => {
    said.push(`dialog ${dialog.message()}`);
    dialog.dismiss().catch(() => undefined);
  });
  context.on("request", (request) => asked.push(request.url()));
  page.setDefaultTimeout(120_000);
  await page.goto(url);
  return { context, page, said, asked };
}

/** What a suite of the page has while it runs. */
export class Visitors {
  #site: Site | undefined;
  #browser: Browser | undefined;
  readonly #servers: Served[] = [];

  /** Builds the page before the suites, and lets go of everything after each. */
  around(...suites: readonly Suite[]): void {
    for (const own of suites) {
      own.before(async () => {
        this.#site ??= await buildSite();
        this.#browser = await openBrowser();
      });
      own.after(async () => {
        await this.#browser?.close();
        for (const server of this.#servers.splice(0)) server.close();
      });
    }
  }

  get site(): Site {
    if (this.#site) return this.#site;
    throw new Error("the page is not built");
  }

  get browser(): Browser {
    if (this.#browser) return this.#browser;
    throw new Error("the browser is not open");
  }

  /** A server of the page; a browser keeps its files apart from those of others. @param isolated as of `serve` */
  async served(isolated: boolean): Promise<Served> {
    const server = await serve(this.site.folder, isolated);
    this.#servers.push(server);
    return server;
  }

  /** Opens an address for a new visitor. */
  visit(url: string, options: BrowserContextOptions = {}): Promise<Visit> {
    return visit(this.browser, url, options);
  }
}

type Hook = () => Promise<void>;
type Suite = { before(hook: Hook): void; after(hook: Hook): void };
