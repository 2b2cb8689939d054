/** search.json: where a search stands, held by a checksum and by what the run was started with. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import { RunFolder } from "../../../models/training/run-folder.ts";

const test = suite("search");

const home = mkdtempSync(join(tmpdir(), "promptgen-"));
process.on("exit", () => rmSync(home, { recursive: true, force: true }));

test("a search goes on from what it saved, and from nothing else", async () => {
  const folder = new RunFolder(home);
  assert.equal(folder.hasStarted(), false);
  assert.equal(await folder.loadSearch("a"), undefined);
  assert.equal(await folder.stand(), undefined);
  const state = { step: 2, steps: 5, ids: [1, 2.5, -1], best: null, words: "é\u2028" };
  await folder.saveSearch(state, "a");
  assert.equal(folder.hasStarted(), true);
  assert.deepEqual(await folder.loadSearch("a"), state);
  assert.deepEqual(await folder.stand(), { step: 2, steps: 5 });
  await assert.rejects(folder.loadSearch("b"), /search.json was written with other options/);
  const whole = readFileSync(folder.search, "utf8");
  writeFileSync(folder.search, whole.replace("2.5", "2.6"));
  await assert.rejects(folder.loadSearch("a"), /search.json is not what was written/);
  writeFileSync(folder.search, whole.slice(0, -9));
  await assert.rejects(folder.loadSearch("a"), /search.json is not JSON/);
  writeFileSync(folder.search, "[]");
  await assert.rejects(folder.loadSearch("a"), /search.json is not what was written/);
});

test.run();
