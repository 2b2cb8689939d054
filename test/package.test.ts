/** What `npm pack` gives runs in a fresh folder, with the declared dependencies and nothing else. */
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { onDevices } from "./devices.ts";
import { folder } from "./promptgen/fixture.ts";

const test = suite("package");
const each = await onDevices("package");
const ROOT = fileURLToPath(new URL("..", import.meta.url));
const fresh = folder({ "package.json": '{ "type": "module" }' });
const home = join(fresh, "node_modules", "promptgen");
const manifest = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
const exported = Object.entries(manifest.exports) as [string, { types: string; default: string }][];

function run(command: string, args: string[], cwd: string): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: "utf8" });
  if (status !== 0)
    throw new Error(`${command} ${args.join(" ")}: ${error ?? ""}${stdout}${stderr}`);
  return stdout;
}

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

// not in a hook: uvu hides what a hook throws
const packed = JSON.parse(run("npm", ["pack", "--json", "--pack-destination", fresh], ROOT));
mkdirSync(home, { recursive: true });
run("tar", ["-xzf", join(fresh, packed[0].filename), "-C", home, "--strip-components=1"], fresh);
for (const name of Object.keys(manifest.dependencies)) {
  const target = join(fresh, "node_modules", name);
  mkdirSync(dirname(target), { recursive: true });
  symlinkSync(join(ROOT, "node_modules", name), target);
}

test("holds what its exports name, every data file of the source, and no TypeScript but types", () => {
  for (const name of ["LICENSE", "README.md", "package.json"]) {
    assert.ok(existsSync(join(home, name)), name);
  }
  for (const [name, { types, default: code }] of exported) {
    assert.ok(existsSync(join(home, types)), `types of ${name}`);
    assert.ok(existsSync(join(home, code)), `code of ${name}`);
  }
  const list = (path: string) => readdirSync(path, { recursive: true, encoding: "utf8" });
  assert.equal(
    list(home).filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts")),
    [],
  );
  for (const part of ["kernels", "promptgen"]) {
    const packed = new Set(list(join(home, "dist", part)));
    const wanted = list(join(ROOT, part)).filter((name) =>
      /\.(?:wgsl|wasm|jsonl|txt|safetensors)$/.test(name),
    );
    assert.ok(wanted.length > 0);
    assert.equal(
      wanted.filter((name) => !packed.has(name)),
      [],
    );
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

each("a plan finds its kernels and runs", (_, name) => {
  const read = program(`
    import { compile, openDevice } from "promptgen/engine";
    import { add } from "./node_modules/promptgen/dist/engine/ops/elementwise.js";
    const device = await openDevice({ device: "${name}" });
    const twice = compile(device, (x) => add(x, x));
    const result = await twice(Float32Array.of(3, 1, 4));
    console.log(JSON.stringify([...(await result.read())]));
  `);
  assert.equal(read, [6, 2, 8]);
});

test.run();
each.run();
