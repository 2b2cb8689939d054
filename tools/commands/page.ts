/** `npm run page`: the page that explains PromptGen by doing it, as a folder of static files: `npm run page -- --help`. */
import { existsSync, readdirSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { preview } from "vite";
import { note, numberOf, type OptionSpec, say, UsageError } from "../lib/cli.ts";
import { commandOf, type Line, runCommand } from "../lib/command.ts";
import { ISOLATION } from "../lib/serve.ts";
import { bundle } from "./page/bundle.ts";
import { runsOf, writePacks } from "./page/packs.ts";
import { trainRuns } from "./page/runs.ts";

const TOOL = "page";
const ROOT = fileURLToPath(new URL("../..", import.meta.url));

const OPTIONS = {
  study: {
    value: "DIR",
    help: "a finished study of the embedded world, as of npx promptgen study world: the page asks its prompters, of every method",
    initial:
      "PromptGen, LPAQA, Manual and Majority are trained first, in a few minutes, and kept in .page/",
  },
  out: {
    value: "DIR",
    help: "where the page goes; what is there is removed",
    initial: ".page/site",
  },
  serve: { help: "serves the page when it is written, until Ctrl-C" },
  port: { value: "N", help: "of --serve", initial: "4173" },
} satisfies Record<string, OptionSpec>;

async function main({ values, positionals }: Line<keyof typeof OPTIONS>): Promise<number> {
  if (positionals.length > 0) {
    throw new UsageError(`[${TOOL}] ${positionals[0]} is no option; see --help`);
  }
  const port = numberOf(TOOL, "port", values.port ?? "4173", {
    least: 1,
    most: 65535,
    whole: true,
  });
  const out = resolve(values.out ?? resolve(ROOT, ".page/site"));
  await writePage(out, values.study === undefined ? undefined : resolve(values.study));
  note(`${out} is the page; any web server can host the folder`);
  if (values.serve === undefined) return 0;
  const server = await preview({
    configFile: false,
    root: out,
    build: { outDir: out },
    preview: { port, headers: ISOLATION },
    logLevel: "warn",
  });
  note(`http://localhost:${port}/ until Ctrl-C`);
  await new Promise<void>((done) => server.httpServer.once("close", done));
  return 0;
}

/**
 * Writes the page.
 * @param study whose prompters it asks; without one some are trained
 * @throws one sentence for a study without a run of PromptGen in the embedded world
 */
export async function writePage(out: string, study?: string): Promise<void> {
  if (existsSync(out) && readdirSync(out).length > 0 && !existsSync(resolve(out, "packs"))) {
    throw new UsageError(`[${TOOL}] ${out} holds something that is no page; name a new folder`);
  }
  const tell = (text: string) => say(`${text}\n`);
  const runs = await runsOf(study ?? (await trainRuns(resolve(ROOT, ".page"), tell)), tell);
  await bundle(out);
  for (const line of await writePacks(runs, resolve(out, "packs"))) note(line);
}

export const command = commandOf({
  name: TOOL,
  call: "npm run page --",
  about:
    "Writes the page that explains PromptGen by doing it: ask, train and bring your own facts, all computed in the visitor's browser.",
  examples: [
    ["--serve", "the page at http://localhost:4173/"],
    [
      "--study runs/world --out /srv/www/promptgen",
      "with the prompters of a study, for a web server",
    ],
  ],
  options: OPTIONS,
  writesFiles: true,
  notes: `The folder needs no server of its own. With the headers Cross-Origin-Opener-Policy: same-origin and
Cross-Origin-Embedder-Policy: require-corp the page uses all cores; where a host cannot send them, a service worker of the page
adds them from the second visit on.`,
  run: main,
});

export const run = (): Promise<never> => runCommand(command);
