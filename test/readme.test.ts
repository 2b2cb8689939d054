import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { buildIfNeeded } from "../tools/commands/build.ts";
import { onDevices } from "./devices.ts";
import { askingFor, blocks, losses, programs, runHere } from "./programs.ts";

const test = suite("README");
const each = await onDevices("README");
buildIfNeeded();
const root = join(import.meta.dirname, "..");
test("has programs, and the first one is short", () => {
  assert.ok(programs.length >= 1);
  const lines = programs[0].split("\n").filter((l) => l.trim() !== "");
  assert.ok(lines.length <= 25, `${lines.length} lines`);
});

each("the first program learns", async (_, name) => {
  const lines = await runHere(askingFor(name, programs[0]));
  assert.match(lines[0], name === "cpu" ? /^CPU with / : /^WebGPU on /);
  const seen = losses(lines);
  assert.ok(seen.length >= 2 && seen.every(Number.isFinite), `${seen}`);
  assert.ok(seen[seen.length - 1] < seen[0] / 4, `the loss does not fall: ${seen}`);
});

test("as it stands it takes a hardware GPU or the CPU, and comes to the same", async () => {
  const lines = await runHere(programs[0]);
  assert.match(
    lines[0],
    /^(CPU with \d+ threads? \(.*; no hardware GPU was found\)|WebGPU on .* \(a hardware GPU\))$/,
  );
  const [here, cpu] = [losses(lines), losses(await runHere(askingFor("cpu", programs[0])))];
  assert.is(here.length, cpu.length);
  here.forEach((loss, i) => {
    assert.ok(Math.abs(loss - cpu[i]) <= 1e-4, `${loss} and ${cpu[i]}`);
  });
});

test("every other program runs", async () => {
  for (const code of programs.slice(1)) assert.ok((await runHere(code)).length > 0);
});

test("every command names a script or a file that is there", () => {
  const scripts = JSON.parse(readFileSync(join(root, "package.json"), "utf8")).scripts;
  const commands = blocks.filter((b) => b.language === "sh").flatMap((b) => b.code.split(/\n|&&/));
  assert.ok(commands.length > 0);
  for (const command of commands) {
    const script = /npm run ([\w:]+)/.exec(command)?.[1];
    if (script) assert.ok(script in scripts, `${command}: package.json has no script ${script}`);
    const file = /(?:node|bash) ((?:tools|\.ci)\/\S+)/.exec(command)?.[1];
    if (file) assert.ok(existsSync(join(root, file)), `${command}: there is no ${file}`);
  }
});

test.run();
each.run();
