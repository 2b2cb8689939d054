/** The page built with small runs, servers of its files, and a visitor. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, BrowserContext, BrowserContextOptions, Page } from "playwright-core";
import { writePage } from "../../tools/commands/page.ts";
import { openBrowser } from "../../tools/lib/browser.ts";
import { output } from "../../tools/lib/cli.ts";
import { type ServedFolder, serveFolder } from "../../tools/lib/serve.ts";

const ROOT = join(import.meta.dirname, "../..");
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
  readonly #servers: ServedFolder[] = [];

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
  async served(isolated: boolean): Promise<ServedFolder> {
    const server = await serveFolder(this.site.folder, isolated);
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
