/** The page as static files, by Vite: index.html, one program, one worker, the CPU kernels and whatever a GPU needs. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
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
    resolveId(id) {
      const [, name] = /^(?:node:|#node\/)(.+)$/.exec(id) ?? [];
      if (name === undefined) return id === "webgpu" ? join(PAGE, "node/empty.ts") : undefined;
      return join(PAGE, "node", `${files[name] ?? "empty"}.ts`);
    },
  };
}

/** The bundler wants the addresses of workers and kernels as literals. */
function literals(): Plugin {
  return {
    name: "literals",
    enforce: "pre",
    transform(code, id) {
      if (id.endsWith("engine/devices/cpu/workers.ts")) {
        return code
          .replace(/const url = new URL\([^;]*;/, "")
          .replace("const worker = new Worker(url, { type", 'const worker = new Worker(new URL("./worker.ts", import.meta.url), { type')
          .replace("new Worker(url, { name", "new Worker('', { name");
      }
      if (id.endsWith("engine/devices/cpu/module.ts")) {
        return code.replace(
          /await loadBytes\([^;]*;/,
          `new Uint8Array(await (await fetch({
            relaxed: new URL("../../../kernels/cpu/build/relaxed.wasm", import.meta.url),
            plain: new URL("../../../kernels/cpu/build/plain.wasm", import.meta.url),
            wide: new URL("../../../kernels/cpu/build/wide.wasm", import.meta.url),
          }[build])).arrayBuffer());`,
        );
      }
      return undefined;
    },
  };
}

/** Builds the page into a folder, which is emptied before. */
export async function bundle(out: string): Promise<void> {
  const plugins = () => [nodeModules(), literals()];
  await build({
    configFile: false,
    root: PAGE,
    base: "./",
    logLevel: "warn",
    plugins: plugins(),
    oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
    worker: { format: "es", plugins },
    build: {
      outDir: out,
      emptyOutDir: true,
      target: "esnext",
      assetsInlineLimit: 0,
      modulePreload: false,
      rolldownOptions: { input: { index: join(PAGE, "index.html") } },
    },
  });
  if (!existsSync(join(out, "index.html"))) throw new Error(`[page] ${out} has no index.html`);
  readFileSync(join(out, "index.html"));
}
