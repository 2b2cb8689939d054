/** How each bundler is told of a page with this package: as docs/in-a-page.md says it, and no more. */
import { spawn } from "node:child_process";
import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { ISOLATION, type Served, serveFolder } from "../../lib/serve.ts";
import { ENVIRONMENT, ROOT, run } from "./fresh.ts";

export type Bundler = {
  /** With their versions. */
  readonly packages: readonly string[];
  /** Its configuration, and what is other than in `app/`. */
  readonly files?: Readonly<Record<string, string>>;
  /** A program of node_modules/.bin and what it is told. */
  readonly command?: readonly string[];
  /** What it does not follow and is copied to where the bundle is. */
  readonly copies?: readonly (readonly [from: string, to: string])[];
  /** The folder that is served. */
  readonly out: string;
  /** Serves by itself, on a port that it prints. */
  readonly serves?: true;
  /** The names of packages mean nothing in a worker: browsers read import maps for pages alone. */
  readonly onlyPages?: true;
};

const dist = "node_modules/promptgen/dist";
const worker = `${dist}/engine/devices/cpu/worker.js`;
/** What stands beside a bundle whose bundler follows no `new URL`: the kernels, and this page's models. */
const beside = [
  ["index.html", "index.html"],
  [`${dist}/kernels/cpu`, "cpu"],
  [`${dist}/promptgen/world/bert`, "bert"],
] as const;

const { devDependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
const vite = [`vite@${devDependencies.vite}`];

/** How a page names modules without a bundler. */
const importMap = JSON.stringify({
  imports: {
    promptgen: `/${dist}/promptgen/index.js`,
    "promptgen/engine": `/${dist}/engine/index.js`,
    "promptgen/models": `/${dist}/models/index.js`,
    "promptgen/world": `/${dist}/promptgen/world/index.js`,
    "@huggingface/tokenizers": "/node_modules/@huggingface/tokenizers/dist/tokenizers.min.mjs",
    "fastest-levenshtein": "/node_modules/fastest-levenshtein/esm/mod.js",
  },
});

export const BUNDLERS: Readonly<Record<string, Bundler>> = {
  vite: { packages: vite, command: ["vite", "build"], out: "dist" },
  "vite dev": {
    packages: vite,
    files: {
      "vite.config.js":
        "export default { server: { headers: JSON.parse(process.env.HEADERS) } };\n",
    },
    command: ["vite", "--port", "0"],
    out: ".",
    serves: true,
  },
  webpack: {
    packages: ["webpack@5.113.0", "webpack-cli@7.3.1"],
    command: [
      ...["webpack", "./page.js", "--mode", "production", "--output-path", "out"],
      ...["--output-filename", "page.js"],
    ],
    copies: [["index.html", "index.html"]],
    out: "out",
  },
  rollup: {
    packages: ["rollup@4.68.8", "@rollup/plugin-node-resolve@16.0.3"],
    command: [
      ...["rollup", "page.js", "job.js", worker, "--dir", "out", "--entryFileNames", "[name].js"],
      ...["--plugin", "node-resolve={browser:true}"],
    ],
    copies: beside,
    out: "out",
  },
  esbuild: {
    packages: ["esbuild@0.28.2"],
    command: [
      ...["esbuild", "page.js", "job.js", worker, "--bundle", "--splitting", "--format=esm"],
      ...["--outdir=out", "--entry-names=[name]"],
    ],
    copies: beside,
    out: "out",
  },
  "import map": {
    packages: [],
    files: {
      "index.html": `<!doctype html><html lang="en"><link rel="icon" href="data:,"><script type="importmap">${importMap}</script><script type="module" src="./page.js"></script></html>\n`,
    },
    out: ".",
    onlyPages: true,
  },
};

/** Builds a page where there is something to build. */
export function build(folder: string, { command, copies = [], out, serves }: Bundler): void {
  if (command && !serves) {
    run(join(folder, "node_modules/.bin", command[0]), command.slice(1), folder);
  }
  for (const [from, to] of copies) {
    cpSync(join(folder, from), join(folder, out, to), { recursive: true });
  }
}

/** Serves what was built, or has the bundler serve it. */
export async function serve(
  folder: string,
  { command, out, serves }: Bundler,
  isolated: boolean,
): Promise<Served> {
  if (!command || !serves) return serveFolder(join(folder, out), isolated);
  const child = spawn(join(folder, "node_modules/.bin", command[0]), command.slice(1), {
    cwd: folder,
    env: { ...ENVIRONMENT, HEADERS: JSON.stringify(isolated ? ISOLATION : {}) },
  });
  const url = await new Promise<string>((resolve, reject) => {
    let said = "";
    const read = (text: Buffer): void => {
      said += stripVTControlCharacters(text.toString());
      const found = /http:\/\/localhost:\d+\//.exec(said);
      if (found) resolve(found[0]);
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    child.on("error", reject);
    child.on("exit", () => reject(new Error(`${command.join(" ")}: ${said}`)));
  });
  return { url, close: () => child.kill() };
}
