/** A process with an open CPU device: idle it costs nothing, it ends by itself, and it leaves nothing behind. */
import { spawn } from "node:child_process";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { ROOT } from "../promptgen/tiny.ts";

const test = suite("process on cpu");

type Ended = {
  code: number | null;
  signal: string | null;
  out: string;
  seconds: number;
  orphans: boolean;
};

/** Whether anybody is left of a process group: signal 0 only asks. */
function left(group: number | undefined): boolean {
  try {
    return group === undefined || process.kill(-group, 0);
  } catch {
    return false;
  }
}

/** Runs a program; `onLine` sees what it prints. It leads a process group of its own. */
function program(
  code: string,
  onLine: (text: string, kill: (signal: NodeJS.Signals) => void) => void = () => {},
  env: Record<string, string> = {},
): Promise<Ended> {
  const head = `
    import { openDevice } from "./engine/open.ts";
    import { compile, read } from "./engine/compile.ts";
    import { matmul } from "./engine/ops/matmul.ts";
    import { sum } from "./engine/ops/reduce.ts";
    import { softmax } from "./engine/ops/softmax.ts";
    import { tensor } from "./engine/tensor.ts";
    const device = await openDevice({ device: "cpu", threads: 3 });
    const square = (n) => tensor(new Float32Array(n * n).fill(1 / n), [n, n]);`;
  return new Promise((done) => {
    const child = spawn(process.execPath, ["--input-type=module-typescript", "-e", head + code], {
      cwd: ROOT,
      env: { ...process.env, DEBUG: "", ...env },
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const limit = setTimeout(() => child.kill("SIGKILL"), 60_000);
    const start = performance.now();
    let out = "";
    let last = start;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        out += text;
        last = performance.now();
        onLine(text, (signal) => child.kill(signal));
      });
    }
    child.on("close", (code, signal) => {
      clearTimeout(limit);
      done({
        code,
        signal,
        out,
        seconds: (performance.now() - last) / 1000,
        orphans: left(child.pid),
      });
    });
  });
}

/** Work without end. */
const endless = `
  const f = compile(device, (x) => sum(matmul(matmul(x, x), x)));
  console.log("busy");
  for (;;) await (await f(square(512))).item();`;

test("an idle device uses no CPU, and the process ends by itself", async () => {
  const { code, out, seconds, orphans } = await program(`
    await read(device, [sum(matmul(square(256), square(256)))]);
    await new Promise((done) => setTimeout(done, 200));
    const before = process.cpuUsage();
    await new Promise((done) => setTimeout(done, 2000));
    const { user, system } = process.cpuUsage(before);
    console.log("used", (user + system) / 1000, "ms");`);
  assert.is(code, 0, out);
  const used = Number(/used (\S+) ms/.exec(out)?.[1]);
  assert.ok(used < 50, out);
  assert.ok(seconds < 5, `${seconds} s to end`);
  assert.not.ok(orphans);
});

test("work that nobody waits for does not end with a hang", async () => {
  const { code, out, seconds, orphans } = await program(`
    const f = compile(device, (x) => sum(matmul(x, x)));
    await f(square(512));
    console.log("done");`);
  assert.is(code, 0, out);
  assert.ok(seconds < 10, `${seconds} s to end`);
  assert.not.ok(orphans);
});

test("an exception ends the process, busy or not", async () => {
  for (const work of [
    "",
    "const f = compile(device, (x) => matmul(x, x)); await f(square(1024));",
  ]) {
    const { code, out, seconds, orphans } = await program(`${work}
      console.log("now");
      throw new Error("on purpose");`);
    assert.is(code, 1, out);
    assert.match(out, /on purpose/);
    assert.ok(seconds < 10, `${seconds} s to end`);
    assert.not.ok(orphans);
  }
});

test("SIGINT and SIGTERM end a busy process", async () => {
  for (const wanted of ["SIGINT", "SIGTERM"] as const) {
    const { signal, out, seconds, orphans } = await program(endless, (text, kill) => {
      if (text.includes("busy")) setTimeout(() => kill(wanted), 300);
    });
    assert.is(signal, wanted, out);
    assert.ok(seconds < 10, `${seconds} s to end`);
    assert.not.ok(orphans);
  }
});

test("process.exit ends a busy process", async () => {
  const { code, out, seconds, orphans } = await program(
    `setTimeout(() => process.exit(7), 1000);${endless}`,
  );
  assert.is(code, 7, out);
  assert.ok(seconds < 10, `${seconds} s to end`);
  assert.not.ok(orphans);
});

test("DEBUG prints each launch with its time; 2 its shapes too", async () => {
  const code = `
    await read(device, [softmax(tensor(new Float32Array(128), [2, 64]))]);`;
  const said = async (DEBUG: string) => (await program(code, undefined, { DEBUG })).out;
  const [none, one, two] = [await said("0"), await said("1"), await said("2")];
  assert.is(none, "");
  assert.match(one, /ms {2}softmax \(softmax\)/);
  assert.not.match(one, /f32\[2, 64\]/);
  assert.match(two, /f32\[2, 64\] 512 B -> f32\[2, 64\] 512 B/);
});

test.run();
