import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
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
