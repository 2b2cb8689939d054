/**
 * What `npm pack` gives runs in a fresh folder, with the declared dependencies and nothing else; bundled in pages it is tried in
 * test/browser/package.test.ts, with every bundler and host by `npm run package`.
 */
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { METHODS } from "../promptgen/methods/index.ts";
import { forEveryHost } from "../tools/commands/build/hosts.ts";
import { BUNDLERS } from "../tools/commands/package/bundlers.ts";
import { problems } from "../tools/commands/package/found.ts";
import { linked, pack, ROOT, run } from "../tools/commands/package/fresh.ts";
import { checkedRun, RUNTIMES } from "../tools/commands/package/runtimes.ts";
import { onDevices } from "./devices.ts";
import { folder } from "./promptgen/fixture.ts";
import { unnamedTypes } from "./unnamed-types.ts";

const test = suite("package");
const each = await onDevices("package");
const manifest = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
const exported = Object.entries(manifest.exports).filter(
  (entry): entry is [string, { types: string; default: string }] => typeof entry[1] === "object",
);

// not in a hook: uvu hides what a hook throws
const work = folder({});
const packed = pack(work);
const fresh = join(work, "fresh");
linked(fresh, packed);
const home = join(fresh, "node_modules", "promptgen");

/** Runs a program in the fresh folder; its last line is JSON. Dawn may crash after that line. */
function program(code: string): unknown {
  writeFileSync(join(fresh, "program.js"), code);
  const { stdout, stderr } = spawnSync(process.execPath, ["program.js"], {
    cwd: fresh,
    encoding: "utf8",
  });
  const last = stdout.trim().split("\n").at(-1) ?? "";
  try {
    return JSON.parse(last);
  } catch {
    throw new Error(`the program printed no JSON: ${stdout}${stderr}`);
  }
}

const list = (path: string): string[] =>
  readdirSync(path, { recursive: true, encoding: "utf8" }).filter(
    (name) => !name.includes("node_modules"),
  );

test("holds what its exports name, every data file of the source, and no TypeScript but types", () => {
  for (const name of ["LICENSE", "README.md", "package.json"]) {
    assert.ok(existsSync(join(home, name)), name);
  }
  for (const [name, { types, default: code }] of exported) {
    assert.ok(existsSync(join(home, types)), `types of ${name}`);
    assert.ok(existsSync(join(home, code)), `code of ${name}`);
  }
  assert.equal(
    list(home).filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts")),
    [],
  );
  for (const part of ["kernels", "promptgen"]) {
    const there = new Set(list(join(home, "dist", part)));
    const wanted = list(join(ROOT, part)).filter((name) =>
      /\.(?:wasm|jsonl|txt|safetensors)$/.test(name),
    );
    assert.ok(wanted.length > 0);
    assert.equal(
      wanted.filter((name) => !there.has(name)),
      [],
    );
  }
  const { size } = packed;
  assert.ok(size < 6.6e6, `the tarball has ${size} bytes`);
});

test("its README speaks of nothing that is not in it", () => {
  const text = readFileSync(join(home, "README.md"), "utf8");
  const names = exported.map(([name]) => name.replace(/^\./, "promptgen"));
  const links = [...text.matchAll(/(?:\]\(|src(?:set)?=")([^)"#]+)/g)].map(([, link]) => link);
  const paths = [
    ...text.matchAll(/(?<![\w./<-])(?:test|kernels|engine|models|tools|docs|promptgen)\/[\w./-]*/g),
  ];
  const spoken = [...links, ...paths.map(([path]) => path)].filter(
    (path) => !path.startsWith("http"),
  );
  assert.ok(spoken.length > 20);
  assert.equal(
    spoken.filter((path) => !names.includes(path) && !existsSync(join(home, path))),
    [],
  );
});

test("docs/in-a-page.md has the import map that is tried", () => {
  const text = readFileSync(join(home, "docs/in-a-page.md"), "utf8");
  const map = /<script type="importmap">([\s\S]*?)<\/script>/.exec(text)?.[1] ?? "";
  const tried = BUNDLERS["import map"].files?.["index.html"] ?? "";
  assert.ok(tried.includes(JSON.stringify(JSON.parse(map))));
});

test("has every kernel's WGSL in one module, without comments", async () => {
  const { wgsl } = (await import(join(home, "dist/kernels/webgpu/sources.js"))) as {
    wgsl(file: string): Promise<string>;
  };
  const files = list(join(ROOT, "kernels/webgpu")).filter((name) => name.endsWith(".wgsl"));
  assert.ok(files.length > 40);
  for (const name of files) {
    const lines = readFileSync(join(ROOT, "kernels/webgpu", name), "utf8").split("\n");
    const code = lines.map((line) => line.split("//")[0].trimEnd()).filter((line) => line !== "");
    const there = (await wgsl(name.replace(/\.wgsl$/, ""))).split("\n");
    assert.equal(
      there.filter((line) => line !== ""),
      code,
      name,
    );
    assert.ok(there.length <= code.length + 2, `${name} has empty lines`);
  }
});

test("no module of the library imports what a page has not", () => {
  const dist = join(home, "dist");
  const library = list(dist).filter((name) => name.endsWith(".js") && !name.startsWith("tools"));
  assert.ok(library.length > 150);
  const packages = new Set<string>();
  for (const name of library) {
    const code = readFileSync(join(dist, name), "utf8").replace(/\/\*[\s\S]*?\*\//g, "");
    for (const [, from] of code.matchAll(/\b(?:from|import)[\s(]+["'`]([^"'`]+)["'`]/g)) {
      if (!from.startsWith(".")) packages.add(from);
    }
  }
  for (const name of packages) {
    assert.ok(!name.startsWith("node:") && Object.hasOwn(manifest.dependencies, name), name);
  }
});

test("an import of Node's is written so that no bundler sees it, and no line moves", () => {
  const code = `/** Two
 * lines. */
import { readFile as read, stat } from "node:fs/promises";
import * as os from "node:os";
import path from "node:path";
import { a } from "./a.js";
const { createHash } = await import("node:crypto");
const gpu = await import("webgpu");
`;
  assert.is(
    forEveryHost("models/hub/x.js", code),
    `import { builtin } from "../../kernels/builtin.js"; /** Two
 * lines. */
const { readFile: read, stat } = builtin("node:fs/promises");
const os = builtin("node:os");
const path = builtin("node:path");
import { a } from "./a.js";
const { createHash } = await Promise.resolve(builtin("node:crypto"));
const gpu = await import(/* webpackIgnore: true */ /* @vite-ignore */ String("webgpu"));
`,
  );
  assert.is(
    forEveryHost("engine/a.js", 'import { b } from "./b.js";\n'),
    'import { b } from "./b.js";\n',
  );
  assert.throws(
    () => forEveryHost("engine/a.js", 'import "node:fs";\n'),
    /^\[build\] dist\/engine\/a\.js imports of node: in a form that the build does not know/,
  );
});

test("each source map has its source, and a line for each line", () => {
  const dist = join(home, "dist");
  const maps = list(dist).filter((name) => name.endsWith(".js.map"));
  assert.ok(maps.length > 150);
  for (const name of maps) {
    const { sources, sourcesContent, mappings } = JSON.parse(
      readFileSync(join(dist, name), "utf8"),
    );
    const source = join(ROOT, dirname(name), sources[0].split("/").at(-1));
    assert.ok(sourcesContent?.[0] === readFileSync(source, "utf8"), `the source of ${name}`);
    const code = readFileSync(join(dist, name.replace(/\.map$/, "")), "utf8").split("\n");
    const [last] = code.slice(-1);
    assert.match(last, /^\/\/# sourceMappingURL=/, name);
    assert.is(mappings.split(";").length, code.length - 1, name);
  }
});

test("every export can be imported", () => {
  const names = exported.map(([name]) => name.replace(/^\./, "promptgen"));
  const counts = program(`
    const counts = [];
    for (const name of ${JSON.stringify(names)}) counts.push(Object.keys(await import(name)).length);
    console.log(JSON.stringify(counts));
  `) as number[];
  assert.is(counts.length, names.length);
  for (const [i, count] of counts.entries()) assert.ok(count > 0, names[i]);
});

test("every type that a signature uses has a name that can be imported", () => {
  const entries = exported.map(([, { types }]) => join(ROOT, types));
  assert.equal(unnamedTypes(entries), []);
});

test("without the package webgpu the CPU is taken, and whoever asks for a GPU is told what to install", () => {
  const lacking = join(work, "lacking");
  linked(lacking, packed);
  rmSync(join(lacking, "node_modules/webgpu"));
  writeFileSync(
    join(lacking, "program.js"),
    `import { openDevice } from "promptgen/engine";
    const device = await openDevice({ threads: 1 });
    console.log(device.description);
    device.destroy();
    await openDevice({ device: "gpu" }).catch((e) => console.log(e.name, e.message));`,
  );
  const lines = run(process.execPath, ["program.js"], lacking).trim().split("\n");
  assert.match(lines[0], /^CPU with 1 thread \(.*no hardware GPU was found\)$/);
  assert.match(
    lines[1],
    /^NoDeviceError \[openDevice\] WebGPU in Node needs the package webgpu, which does not load \(Cannot find package 'webgpu'.*\); type npm install webgpu, or ask for cpu, which needs nothing$/,
  );
});

test("npm links the command, which runs what was built: version, help, a model, a run in a process of its own", () => {
  const [name] = Object.keys(manifest.bin);
  const link = join(fresh, "node_modules", ".bin", name);
  mkdirSync(dirname(link), { recursive: true });
  symlinkSync(join("..", "promptgen", manifest.bin[name]), link);
  const said = (...args: string[]) => run(process.execPath, [link, ...args], fresh);
  assert.is(said("--version"), `${manifest.version}\n`);
  assert.match(said("rank", "--help"), /^Asks a model facts by ranking/);
  const cpu = ["--device", "cpu", "--threads", "1"];
  const filled = JSON.parse(
    said("fill-mask", "Paris is the capital of [MASK] .", "--json", ...cpu),
  );
  assert.is(filled.masks[0][0].token, "France");
  const study = { name: "s", rows: [{ method: "majority", relations: "P36" }] };
  writeFileSync(join(fresh, "study.json"), JSON.stringify(study));
  assert.match(
    said("study", "study.json", ...cpu),
    /Table 1[\s\S]*the page: runs\/s\/report\.html/,
  );
  assert.match(
    readFileSync(join(fresh, "runs/s/report.html"), "utf8"),
    new RegExp(manifest.version),
  );
});

test("a wrong figure is a fault", () => {
  const found = checkedRun(fresh, RUNTIMES["Node 24"], "node.mjs", "cpu");
  const { losses, filled } = found;
  const wrong = (change: Partial<typeof found>) => problems({ ...found, ...change }).length;
  assert.is(wrong({}), 0);
  assert.is(wrong({ losses: losses.map((loss, i) => (i === 19 ? loss + 1e-5 : loss)) }), 1);
  assert.is(wrong({ losses: losses.slice(1) }), 21);
  assert.is(wrong({ filled: filled.map(([token, p], i) => [token, i === 4 ? p + 1e-5 : p]) }), 1);
  assert.is(wrong({ filled: filled.map(([, p]) => ["Spain", p]) }), 5);
  assert.is(wrong({ methods: 9 }), 1);
});

each(
  "linear regression and fill-mask in Node give numpy's and transformers' figures, by import and by require",
  (_, name) => {
    for (const file of ["node.mjs", "node.cjs"] as const) {
      const { methods } = checkedRun(fresh, RUNTIMES["Node 24"], file, name);
      assert.is(methods, Object.keys(METHODS).length);
    }
  },
);

test.run();
each.run();
