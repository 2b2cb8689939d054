import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import { openDevice } from "../../../engine/open.ts";
import { state } from "../../../engine/tensor.ts";
import { writeWhole } from "../../../models/formats/files.ts";
import { readFloat32 } from "../../../models/formats/safetensors.ts";
import { bucketOf, bucketWidths, epochGroups, groups } from "../../../models/training/buckets.ts";
import { dropoutState, Random } from "../../../models/training/random.ts";
import { RunFolder, sameConfiguration } from "../../../models/training/run-folder.ts";

const test = suite("checkpoint");

const home = mkdtempSync(join(tmpdir(), "promptgen-"));
process.on("exit", () => rmSync(home, { recursive: true, force: true }));

test("a file is written whole, over an old one too, and nothing is left beside it", async () => {
  const path = join(home, "a", "file");
  await writeWhole(path, "one");
  await writeWhole(path, "two");
  assert.equal(readFileSync(path, "utf8"), "two");
  assert.deepEqual(readdirSync(join(home, "a")), ["file"]);
  async function* broken() {
    yield new Uint8Array(1000);
    throw new Error("the device was lost");
  }
  await assert.rejects(writeWhole(path, broken()), /^Error: the device was lost$/);
  assert.equal(readFileSync(path, "utf8"), "two");
  assert.deepEqual(readdirSync(join(home, "a")), ["file"]);
  writeFileSync(join(home, "plain"), "");
  await assert.rejects(writeWhole(join(home, "plain", "x"), "y"), /E(NOTDIR|EXIST)/);
});

test("tensors and state come back as they were; half-written files go", async () => {
  const folder = new RunFolder(join(home, "run"));
  await folder.begin({ options: { m: 1 } });
  const data = Float32Array.of(1, -0, 3e-45, Number.MAX_VALUE);
  const device = await openDevice({ device: "cpu" });
  await folder.saveLast(device, [state("w", data, [2, 2])], { step: 3, best: null });
  writeFileSync(join(folder.path, ".last.safetensors.x.part"), "half");
  await folder.tidy();
  assert.ok(!readdirSync(folder.path).some((name) => name.endsWith(".part")));
  const back = await folder.loadLast();
  assert.deepEqual(back.state, { step: 3, best: null });
  const w = back.tensors.get("w");
  if (!w) throw new Error("no w");
  assert.deepEqual(w.shape, [2, 2]);
  assert.deepEqual(await readFloat32(w), data);
  writeFileSync(folder.last, readFileSync(folder.last).subarray(0, 50));
  await assert.rejects(folder.loadLast(), /last\.safetensors/);
  rmSync(folder.last);
  await assert.rejects(folder.loadLast(), /stopped before its first checkpoint; start it again/);
});

test("the log loses what a resumed run will write again, and half a line", async () => {
  const folder = new RunFolder(join(home, "log"));
  assert.deepEqual(await folder.readLog(), []);
  for (const step of [0, 5, 10]) await folder.appendLog({ step });
  writeFileSync(folder.log, `${readFileSync(folder.log, "utf8")}{"step": 1`);
  await folder.cutLog(5);
  assert.deepEqual(await folder.readLog(), [{ step: 0 }, { step: 5 }]);
  assert.ok(existsSync(folder.log));
});

test("the option that differs is named", () => {
  const saved = { alpha: 0.3, m: 10, relations: "" };
  sameConfiguration(saved, { alpha: 0.3 }, "runs/a");
  assert.throws(
    () => sameConfiguration(saved, { m: 10, alpha: 0 }, "runs/a"),
    /--alpha is 0 but the run in runs\/a was started with 0\.3/,
  );
});

test("buckets: few, exact, longest first", () => {
  const widths = [1, 1, 3, 3, 3, 3, 3, 9];
  assert.deepEqual(bucketWidths(widths, 1), [9]);
  assert.deepEqual(bucketWidths(widths, 2), [3, 9]);
  assert.deepEqual(bucketWidths(widths, 9), [1, 3, 9]);
  assert.equal(bucketOf(4, [3, 9]), 9);
  assert.throws(() => bucketOf(10, [3, 9]), /width 10 is larger than the largest bucket, 9/);
  const made = groups(widths, (w) => w, [3, 9], 3);
  assert.deepEqual(
    made.map(({ width, items }) => [width, items.length]),
    [
      [9, 1],
      [3, 3],
      [3, 3],
      [3, 1],
    ],
  );
});

test("the order of an epoch is decided by seed and epoch; the first begins with the longest plans", () => {
  const items = Array.from({ length: 100 }, (_, i) => i);
  const width = (i: number): number => 1 + (i % 3);
  const order = (seed: number, epoch: number) =>
    epochGroups(items, width, [1, 2, 3], 8, seed, epoch);
  assert.deepEqual(order(1, 4), order(1, 4));
  assert.notDeepEqual(order(1, 4), order(1, 5));
  assert.notDeepEqual(order(1, 4), order(2, 4));
  assert.deepEqual(
    order(1, 0)
      .slice(0, 3)
      .map((group) => group.width),
    [3, 2, 1],
  );
  const all = order(3, 2).flatMap((group) => group.items);
  assert.deepEqual(
    all.sort((a, b) => a - b),
    items,
  );
});

test("random numbers: streams differ, values are uniform enough, seeds are checked", () => {
  const draws = Array.from(
    { length: 1000 },
    (
      (random) => () =>
        random.unit()
    )(new Random(5, 1, 2, 3)),
  );
  const mean = draws.reduce((a, b) => a + b, 0) / draws.length;
  assert.ok(Math.abs(mean - 0.5) < 0.03, `${mean}`);
  assert.equal(new Set(draws).size, 1000);
  assert.notEqual(new Random(5, 1, 2, 4).unit(), draws[0]);
  assert.deepEqual([...dropoutState(2 ** 32 + 7, 9)], [7, 1, 9, 0]);
  assert.throws(() => new Random(-1, 0), /-1 is no seed/);
});

test.run();
