import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { bytesMoved } from "../../engine/devices/traffic.ts";
import { openDevice } from "../../engine/open.ts";
import { countPlan, planOf, type Sum, totalsOf } from "../../tools/gpu/count.ts";
import { optionsOf } from "../../tools/gpu/options.ts";
import { type WorkloadOptions, workload } from "../../tools/gpu/workload.ts";
import { made } from "../toy-step.ts";

const total = (sums: ReadonlyMap<string, Sum>, key: keyof Sum): number =>
  [...sums.values()].reduce((sum, each) => sum + each[key], 0);

const count = async (options: WorkloadOptions) => countPlan(await planOf(options));

test("counts as many launches as a device makes", async () => {
  const device = await openDevice({ device: "cpu", threads: 1 });
  for (const part of ["step", "forward", "bert"] as const) {
    const { launches } = countPlan(await planOf({ size: "toy", part }, { joined: false }));
    assert.is(launches.length, await made(device, part), part);
  }
  device.destroy();
});

test("each launch is counted once by its kernel and once by its op", async () => {
  const { launches, kernels, ops, products, barriers } = await count({ size: "toy" });
  assert.is(total(kernels, "launches"), launches.length);
  assert.is(total(ops, "launches"), launches.length);
  const alone = countPlan(await planOf({ size: "toy" }, { joined: false }));
  assert.is(
    total(products, "launches"),
    alone.kernels.get("matmul")?.launches,
    "all, joined or not",
  );
  assert.is(total(products, "flops"), total(kernels, "flops"));
  assert.ok(barriers > 0 && barriers < launches.length);
});

test("operations of BERT's products, by hand", async () => {
  const { products } = await count({ size: "toy", part: "bert", batch: 3, subject: 4 });
  const [sequences, length, width, inner, words] = [2 * 3, 1 + 4, 24, 48, 110];
  const places = sequences * length;
  const first = places * (4 * width * width + 2 * width * inner);
  // of the second and last layer one place of each sequence is wanted, which needs the keys and values of all
  const last = places * 2 * width * width + sequences * (2 * width * width + 2 * width * inner);
  const head = sequences * (width * width + width * words);
  assert.is(total(products, "flops"), 2 * (first + last + head));
});

test("the sums of squares that launches share are written once, each by one of them", async () => {
  const { launches } = countPlan(await planOf({ size: "toy" }));
  const norm = launches.find(({ kernel }) => kernel === "grad_norm");
  const partials = norm?.inputs[0];
  assert.ok(norm && partials);
  const at = ({ memory }: typeof partials) =>
    JSON.stringify([memory.kind, "index" in memory && memory.index]);
  const writers = launches.filter((l) => l.outputs.some((y) => y && at(y) === at(partials)));
  const written = writers
    .filter(
      (l) =>
        launches.indexOf(l) >
        launches.findLastIndex(
          ({ inputs, kernel }) =>
            kernel !== "grad_norm" && inputs.some((x) => x && at(x) === at(partials)),
        ),
    )
    .map((l) => {
      const others = [...l.inputs, ...l.outputs.filter((y) => y && at(y) !== at(partials))];
      return bytesMoved(l) - others.reduce((sum, one) => sum + (one?.byteLength ?? 0), 0);
    });
  assert.ok(written.length > 3);
  assert.is(
    written.reduce((a, b) => a + b, 0),
    partials.byteLength,
  );
});

test("what is added to is read and written, what is begun is written", () => {
  const [dk, dv] = [{ byteLength: 100 }, { byteLength: 1000 }];
  const moved = (ACCUMULATE_K: number, ACCUMULATE_V: number) =>
    bytesMoved({
      kernel: "attention_dkv",
      params: {},
      constants: { ACCUMULATE_K, ACCUMULATE_V },
      inputs: [{ byteLength: 7 }, null],
      inouts: [dk, dv],
      outputs: [],
    });
  assert.equal([moved(0, 0), moved(0, 1), moved(1, 0), moved(1, 1)], [1107, 2107, 1207, 2207]);
});

test("a smaller binding cuts launches", async () => {
  const plan = await planOf({ size: "toy", part: "bert" });
  assert.ok(countPlan(plan, 8192).launches.length > countPlan(plan).launches.length);
});

test("the step at full size has as many launches as we know of", async () => {
  // BART-large, BERT-base, 32 facts, dropouts of 0.1 and of 0
  const full = totalsOf(await count({ size: "full" }));
  assert.equal([full.launches, full.dispatches, full.barriers], [4444, 6780, 3951]);
  assert.ok(full.slotBytes < 3e9);
  const bare = totalsOf(await count({ size: "full", dropout: 0 }));
  assert.equal([bare.launches, bare.dispatches, bare.barriers], [4396, 6732, 3901]);
  const alone = countPlan(await planOf({ size: "full" }, { joined: false }));
  assert.is(alone.launches.length, 9404);
  const slim = countPlan(await planOf({ size: "slim" }, { joined: false }));
  assert.ok(Math.abs(slim.launches.length - alone.launches.length) < 10, "slim has as many");
});

test("npm run profile counts the same", async () => {
  const json = join(mkdtempSync(join(tmpdir(), "profile-")), "counts.json");
  const profile = (...args: string[]) =>
    spawnSync(process.execPath, ["tools/profile.ts", ...args], { encoding: "utf8" });
  const want = totalsOf(await count({ size: "toy", batch: 32, dropout: 0.2 }));
  const numbers = ["--dropout", "0.2", "--top", "1", "--out", json];
  const { stdout, status } = profile("--count", "--pair", "toy", ...numbers);
  assert.is(status, 0);
  assert.ok(stdout.startsWith(`${want.launches} launches, ${want.barriers} barriers at least\n`));
  const { workload: counted, kernels, ...got } = JSON.parse(readFileSync(json, "utf8"));
  for (const [key, value] of Object.entries(want)) assert.is(got[key], value, key);
  assert.equal([counted.batch, counted.dropout, counted.attention], [32, 0.2, 0.2]);
  const optimizer = workload({ size: "toy" }).optimizer;
  const [one, two] = [kernels.adamw?.launches ?? 0, kernels.adamw_pair.launches];
  assert.is(one + 2 * two, optimizer.parameters.length);
  rmSync(dirname(json), { recursive: true });
  assert.match(profile("--count", "--pair", "huge").stderr, /--pair is huge; choose among large/);
  assert.match(profile("--pair", "toy").stderr, /say what to do: --count/);
  assert.match(profile("--count", "--device", "cpu").stderr, /say what to do: --count/);
});

test("npm run profile tells time by kernel, op and line, with the floor that is asked for", () => {
  const json = join(mkdtempSync(join(tmpdir(), "profile-")), "times.json");
  const args = ["--device", "cpu", "--pair", "toy", "--batch", "2", "--steps", "1", "--top", "4"];
  const peak = ["--bandwidth", "2", "--rate", "1000000", "--out", json];
  const { stdout, status } = spawnSync(process.execPath, ["tools/profile.ts", ...args, ...peak], {
    encoding: "utf8",
  });
  assert.is(status, 0);
  assert.match(stdout, /^line +launches +ms +GB +GFLOP +floor, ms +floor \/ ms$/m);
  const { profile, launches } = JSON.parse(readFileSync(json, "utf8"));
  type Row = { launches: number; ms: number; bytes: number; flops: number; floorMs: number };
  for (const by of ["kernels", "ops", "lines"]) {
    const rows = Object.values<Row>(profile[by]);
    const all = rows.reduce((sum, row) => sum + row.launches, 0);
    assert.ok(Math.abs(all - launches) < 1e-6, `${by}: ${all} of ${launches} launches`);
    for (const { ms, bytes, floorMs } of rows) {
      assert.ok(ms > 0);
      assert.ok(Math.abs(floorMs - bytes / 2e6) <= 1e-9 * bytes, `${by}: 2 GB/s decide`);
    }
  }
  // a product of the model stands at a line of the model that asks for one
  const [file, line] = (
    Object.keys(profile.lines).find((at) => at.startsWith("models/")) ?? ""
  ).split(":");
  assert.match(readFileSync(file, "utf8").split("\n")[Number(line) - 1], /\w+\(/);
  const update = Object.entries<Row>(profile.kernels).find(([kernel]) => kernel === "adamw");
  const { parameters } = workload({ size: "toy" }).optimizer;
  const elements = parameters.reduce((sum, p) => sum + p.size, 0);
  assert.is(update?.[1].flops, 17 * elements);
  assert.ok((update?.[1].bytes ?? 0) >= 28 * elements);
  rmSync(dirname(json), { recursive: true });
});

test("flags that mean nothing are refused", () => {
  assert.throws(() => optionsOf({ size: "huge" }), /--size huge: choose among full, base/);
  assert.throws(() => optionsOf({ part: "all" }), /--part all: choose among step/);
  assert.throws(() => optionsOf({ batch: "many" }), /--batch many is not a number/);
  assert.equal(optionsOf({ size: "toy", attn: "0" }).attention, 0);
});

test.run();
