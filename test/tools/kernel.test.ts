/** `npm run kernel`: what is right is near float64, what is wrong is told, and a save runs it again. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { utimesSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { mul } from "../../engine/ops/elementwise.ts";
import { measure } from "../../tools/commands/kernel/measure.ts";
import { erf, KERNEL_OPS } from "../../tools/commands/kernel/ops.ts";
import { onDevices, testsRunOn } from "../devices.ts";
import { printedBy, ROOT, refuses } from "./command.ts";

const test = await onDevices("kernel");

/** A small shape of two or three numbers. */
const shapeOf = (axes: readonly string[]) => (axes.length === 2 ? [5, 37] : [3, 6, 8]);
const more = { heads: 2, runs: 1 };

for (const [name, op] of Object.entries(KERNEL_OPS)) {
  test(`${name} is what float64 makes of it, and so is its gradient`, async (device) => {
    for (const grad of [false, true]) {
      const { relative, bytes } = await measure(device, {
        op,
        shape: shapeOf(op.axes),
        grad,
        ...more,
      });
      assert.ok(relative < (grad ? 1e-5 : 2e-6), `${relative}`);
      assert.ok(bytes > 0);
    }
  });
}

test("a kernel that is a thousandth off is told", async (device) => {
  const { softmax } = KERNEL_OPS;
  const wrong = {
    ...softmax,
    apply: (...args: Parameters<typeof softmax.apply>) => mul(softmax.apply(...args), 1.001),
  };
  for (const grad of [false, true]) {
    const { relative } = await measure(device, { op: wrong, shape: [5, 37], grad, ...more });
    assert.ok(relative > 5e-4, `${relative}`);
  }
});
test.run();

const host = suite("kernel, the command");

host("the error function is Python's math.erf", () => {
  for (const [x, want] of [
    [0, 0],
    [0.1, 0.1124629160182849],
    [-0.5, -0.5204998778130465],
    [1, 0.8427007929497149],
    [2.4, 0.999311486103355],
    [2.6, 0.9997639655834707],
    [-3.7, -0.9999998328489421],
    [6, 1],
  ]) {
    assert.ok(Math.abs(erf(x) - want) < 1e-14, `${x}: ${erf(x)}`);
  }
});

if (testsRunOn("cpu")) {
  host("it counts bytes and operations, and times each kernel", async () => {
    const line = ["matmul", "--shape", "8x16x32", "--device", "cpu", "--json"];
    const { op, devices } = JSON.parse(await printedBy("kernel.ts", line));
    assert.is(op, "matmul");
    const [{ bytes, flops, kernels, milliseconds }] = devices;
    assert.is(bytes, 4 * (8 * 16 + 16 * 32 + 8 * 32));
    assert.is(flops, 2 * 8 * 16 * 32);
    assert.ok(milliseconds > 0);
    const [{ kernel, launches }, ...others] = kernels;
    assert.equal([kernel, launches, others], ["matmul", 10, []]);
  });

  host("of a gradient's kernels the runs that are timed count, and no others", async () => {
    const line = [
      "rmsNorm",
      "--grad",
      "--shape",
      "8x16",
      "--device",
      "cpu",
      "--runs",
      "7",
      "--json",
    ];
    const [{ kernels }] = JSON.parse(await printedBy("kernel.ts", line)).devices;
    assert.ok(
      new Set(kernels.map(({ kernel }: { kernel: string }) => kernel)).size < kernels.length,
    );
    for (const { kernel, launches } of kernels) assert.is(launches % 7, 0, `${launches} ${kernel}`);
  });

  host("with --watch a save runs it again, until a signal", async () => {
    const line = ["softmax", "--shape", "4x64", "--device", "cpu", "--watch"];
    const child = spawn(process.execPath, [join(ROOT, "tools/kernel.ts"), ...line], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let tables = 0;
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      tables += text.split("softmax 4x64").length - 1;
    });
    const file = join(ROOT, "kernels/webgpu/softmax.wgsl");
    while (tables < 2) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      if (tables === 1) utimesSync(file, new Date(), new Date());
    }
    child.kill("SIGINT");
    assert.equal(await once(child, "close"), [0, null]);
  });
}

host("what cannot be done is said", async () => {
  await refuses("kernel.ts", [], /no op is named/);
  await refuses("kernel.ts", ["sofmax"], /sofmax is no op that is looked at alone.*softmax/);
  await refuses(
    "kernel.ts",
    ["softmax", "--shape", "4"],
    /--shape is 4; write rowsxcolumns of softmax/,
  );
  await refuses(
    "kernel.ts",
    ["attention", "--shape", "1x4x6", "--heads", "4"],
    /the width 6 is not a multiple/,
  );
});
host.run();
