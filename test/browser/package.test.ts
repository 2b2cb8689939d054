/** The package in a page: bundled by Vite, or named by an import map; what each page loads, in bytes. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { BUNDLERS, build, serve } from "../../tools/commands/package/bundlers.ts";
import {
  checkedVisit,
  type Loaded,
  type Visit,
  visit,
} from "../../tools/commands/package/chromium.ts";
import { linked, pack } from "../../tools/commands/package/fresh.ts";
import { openBrowser } from "../../tools/lib/browser.ts";
import { testsRunOn } from "../devices.ts";
import { folder } from "../promptgen/fixture.ts";

/** Pages with one program each, for their sizes; `result` is what it found. */
const page = (code: string): string =>
  `<!doctype html><html lang="en"><link rel="icon" href="data:,"><script type="module">
import { openDevice } from "promptgen/engine";
${code}
</script></html>\n`;
const PAGES = {
  "linear.html": page(`import { linearRegression } from "./linear-regression.js";
globalThis.result = await linearRegression(await openDevice({ device: "cpu" }));`),
  "masks.html": page(`import { fillMask } from "./fill-mask.js";
const files = {};
for (const name of ["config.json", "model.safetensors", "tokenizer.json"]) {
  files[name] = new Uint8Array(await (await fetch("/bert/" + name)).arrayBuffer());
}
globalThis.result = await fillMask(await openDevice({ device: "cpu" }), files, "Paris is the capital of [MASK] .");`),
  "whole.html": page(`import * as promptgen from "promptgen";
globalThis.result = [Object.keys(promptgen.METHODS), typeof openDevice];`),
};
const config = `export default { build: { rollupOptions: { input: ${JSON.stringify(Object.keys(PAGES))} } } };\n`;

const work = folder({});
const packed = pack(work);

/** Folders of apps that are built. */
const built = new Map<string, string>();

function builtFolder(name: string): string {
  const there = built.get(name);
  if (there !== undefined) return there;
  const home = join(work, name.replaceAll(" ", "-"));
  linked(home, packed, BUNDLERS[name].packages, BUNDLERS[name].files);
  build(home, BUNDLERS[name]);
  built.set(name, home);
  return home;
}

/** Builds an app and holds what each visit finds against the reference. */
async function visits(name: string, all: readonly Visit[]): Promise<void> {
  const home = builtFolder(name);
  const browser = await openBrowser();
  try {
    for (const one of all) {
      const served = await serve(home, BUNDLERS[name], one.isolated);
      await checkedVisit(browser, served.url, one).finally(() => served.close());
    }
  } finally {
    await browser.close();
  }
}

/** Bytes of what was loaded whose name has this ending, each file compressed as a server would. */
const compressed = (loaded: Loaded, ending: string): number =>
  [...loaded]
    .filter(([name]) => name.endsWith(ending))
    .reduce((sum, [, bytes]) => sum + gzipSync(bytes, { level: 9 }).length, 0);

const cpu = suite("package in a page on cpu");

cpu("Vite's build: in the page and in a worker, isolated or not", () =>
  visits("vite", [
    { device: "cpu", isolated: false, worker: false },
    { device: "cpu", isolated: true, worker: true },
  ]),
);

cpu("Vite's server", () => visits("vite dev", [{ device: "cpu", isolated: true, worker: false }]));

cpu("an import map", () =>
  visits("import map", [{ device: "cpu", isolated: false, worker: false }]),
);

cpu("a page loads what its program needs, and no weights that it did not ask for", async () => {
  const home = join(work, "sizes");
  linked(home, packed, BUNDLERS.vite.packages, { ...PAGES, "vite.config.js": config });
  build(home, BUNDLERS.vite);
  const assets = readdirSync(join(home, "dist/assets"));
  assert.ok(assets.some((name) => name.endsWith(".wasm")));
  assert.equal(
    assets.filter((name) => !/\.(?:js|wasm)$/.test(name)),
    [],
  );
  const bert = join(home, "node_modules/promptgen/dist/promptgen/world/bert");
  build(home, { packages: [], out: "dist", copies: [[bert.slice(home.length + 1), "bert"]] });
  const browser = await openBrowser();
  const served = await serve(home, BUNDLERS.vite, false);
  const said: string[] = [];
  const sizes = async (name: keyof typeof PAGES): Promise<{ js: number; wasm: number }> => {
    const { loaded } = await visit(browser, served.url + name);
    const [js, wasm] = [compressed(loaded, ".js"), compressed(loaded, ".wasm")];
    said.push(`${name} ${js} + ${wasm} bytes`);
    return { js, wasm };
  };
  const [linear, masks, whole] = await (async () => [
    await sizes("linear.html"),
    await sizes("masks.html"),
    await sizes("whole.html"),
  ])().finally(async () => {
    served.close();
    await browser.close();
  });
  console.log(said.join(", "));
  assert.ok(linear.js < 42_000, said.join());
  assert.ok(masks.js < 115_000, said.join());
  assert.ok(whole.js < 145_000, said.join());
  for (const { wasm } of [linear, masks]) assert.ok(wasm > 0 && wasm < 26_000, said.join());
  assert.is(whole.wasm, 0, "nothing is loaded before it is wanted");
});

const webgpu = suite("package in a page on gpu:software");

webgpu("Vite's build", () =>
  visits("vite", [{ device: "gpu:software", isolated: false, worker: false }]),
);

if (testsRunOn("cpu")) cpu.run();
if (testsRunOn("gpu:software")) webgpu.run();
