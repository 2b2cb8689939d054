/** The page as static files, by Vite: index.html, one program, one worker, the CPU kernels and whatever a GPU needs. */
import { readdirSync, readFileSync } from "node:fs";
import { join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Plugin } from "vite";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const PAGE = join(ROOT, "tools/page");

/** In the worker a module of Node is one of tools/page/node/; one that is not there is an error of the build. */
function nodeModules(): Plugin {
  const files: Readonly<Record<string, string>> = {
    fs: "fs",
    "fs/promises": "fs-promises",
    path: "path",
    crypto: "crypto",
    os: "util",
    util: "util",
    url: "util",
    "timers/promises": "util",
  };
  return {
    name: "node-modules-of-the-page",
    enforce: "pre",
    resolveId(id, importer = "") {
      // folders of the worker's disk come before what a page knows of models
      if (importer === join(ROOT, "models/hub/host.ts")) {
        if (id === "./page.ts") return join(PAGE, "node/host.ts");
        if (id === "./node.ts") return join(PAGE, "node/empty.ts");
      }
      const [, name] = /^(?:node:|#node\/)(.+)$/.exec(id) ?? [];
      if (name === undefined) return id === "webgpu" ? join(PAGE, "node/empty.ts") : undefined;
      return join(PAGE, "node", `${files[name] ?? "empty"}.ts`);
    },
  };
}

/** What the build of the package does to its sources: the kernels' worker has its name in dist/, and all WGSL is one module. */
function packageSources(): Plugin {
  return {
    name: "sources-of-the-package",
    enforce: "pre",
    load(id) {
      if (id !== join(ROOT, "kernels/webgpu/sources.ts")) return undefined;
      const folder = join(ROOT, "kernels/webgpu");
      const names = readdirSync(folder, { recursive: true, encoding: "utf8" })
        .filter((name) => name.endsWith(".wgsl"))
        .map((name) => name.split(sep).join("/"));
      const texts = names.map((name) => [
        name.slice(0, -".wgsl".length),
        readFileSync(join(folder, name), "utf8"),
      ]);
      return `const texts = ${JSON.stringify(Object.fromEntries(texts))};
export const wgsl = async (file) => texts[file];`;
    },
    transform(code, id) {
      if (id !== join(ROOT, "engine/devices/cpu/workers.ts")) return undefined;
      return code.replace('"./worker.js"', '"./worker.ts"');
    },
  };
}

/** What needs no word: modules of Node are imported at once by some and late by others, and a slow machine is slow. */
const CHECKS = { ineffectiveDynamicImport: false, bundlerTimings: false } as const;

/** Builds the page into a folder, which is emptied before. */
export async function bundle(out: string): Promise<void> {
  const plugins = () => [nodeModules(), packageSources()];
  await build({
    configFile: false,
    root: PAGE,
    base: "./",
    logLevel: "warn",
    plugins: plugins(),
    oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
    worker: { format: "es", plugins, rolldownOptions: { checks: CHECKS } },
    build: {
      outDir: out,
      emptyOutDir: true,
      target: "esnext",
      assetsInlineLimit: 0,
      modulePreload: false,
      rolldownOptions: { input: { index: join(PAGE, "index.html") }, checks: CHECKS },
    },
  });
}
