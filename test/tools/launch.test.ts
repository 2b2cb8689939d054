import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Script } from "node:vm";
import { test } from "uvu";
import * as assert from "uvu/assert";

const TOOLS = fileURLToPath(new URL("../../tools/", import.meta.url));
const files = readdirSync(TOOLS).filter((name) => name.endsWith(".ts"));
/** npm ci runs this one, so it must not fail. */
const PREPARE = "prepare.ts";
const launchers = files.filter((name) => name !== PREPARE);

/** Runs a launcher on this Node under another version's name. */
const runAs = (version: string, launcher: string) => {
  const code =
    `Object.defineProperty(process.versions, "node", { value: "${version}" });` +
    `process.argv = [process.execPath, ${JSON.stringify(TOOLS + launcher)}, "--help"];` +
    `require(${JSON.stringify(TOOLS + launcher)});`;
  return spawnSync(process.execPath, ["-e", code], { encoding: "utf8", cwd: `${TOOLS}..` });
};

test("every command in tools/ is plain JavaScript without modules, so an old Node can read it", () => {
  assert.ok(launchers.length > 0);
  for (const name of files) new Script(readFileSync(TOOLS + name, "utf8"));
});

test("an old Node gets one sentence that says what to type", () => {
  for (const version of ["18.20.0", "20.20.2", "22.17.9"]) {
    for (const name of launchers) {
      const { status, stdout, stderr } = runAs(version, name);
      assert.is(status, 1);
      assert.is(stdout, "");
      assert.is(
        stderr,
        `[node] this is Node ${version}, 22.18 or newer is needed; after npm ci type: npx node tools/${name} --help\n`,
      );
    }
  }
});

test("the package's program, with an old Node: what to install, for it has no Node of its own", () => {
  const home = mkdtempSync(join(tmpdir(), "promptgen-"));
  const place = join(home, "dist", "tools");
  mkdirSync(place, { recursive: true });
  mkdirSync(join(home, "tools"));
  cpSync(`${TOOLS}promptgen.cjs`, join(home, "tools", "promptgen.cjs"));
  for (const name of ["node-version.cjs", "signals.cjs", "package.json"]) {
    cpSync(TOOLS + name, join(place, name));
  }
  cpSync(`${TOOLS}promptgen.ts`, join(place, "promptgen.js"));
  const code =
    'Object.defineProperty(process.versions, "node", { value: "20.1.0" });' +
    `require(${JSON.stringify(join(home, "tools", "promptgen.cjs"))});`;
  const { status, stdout, stderr } = spawnSync(process.execPath, ["-e", code], {
    encoding: "utf8",
  });
  rmSync(home, { recursive: true });
  assert.equal([status, stdout], [1, ""]);
  assert.is(
    stderr,
    "[node] this is Node 20.1.0, 22.18 or newer is needed; install it, or type npm install node@24, which npx then takes\n",
  );
});

test("npm ci with an old Node goes on without kernels and says what makes them", () => {
  const { status, stderr } = runAs("20.20.2", PREPARE);
  assert.is(status, 0);
  assert.is(
    stderr,
    "[prepare] the CPU kernels are not compiled (this is Node 20.20.2, 22.18 or newer is needed); npm run kernels does it\n",
  );
});

test("a new Node goes on to the command", () => {
  for (const version of ["22.18.0", "24.0.0"]) {
    assert.not.match(runAs(version, launchers[0] ?? "").stderr, /is needed/);
  }
});

test.run();
