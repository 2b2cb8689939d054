import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { choose, counted, judge, remarks, verdicts } from "../../tools/commands/test.ts";

const RUNNER = fileURLToPath(new URL("../../tools/commands/test.ts", import.meta.url));
const summary = (total: number, passed: number, skipped = 0) =>
  `\n  Total:     ${total}\n  Passed:    ${passed}\n  Skipped:   ${skipped}\n  Duration:  1.00ms\n\n`;
const ended = { code: 0, signal: null, timedOut: false };

test("finds uvu's summary, coloured or not", () => {
  const coloured = `\n  Total:     3\u001b[31m\n  Passed:    2\u001b[39m\n  Skipped:   \u001b[33m1\u001b[39m\n`;
  assert.equal(verdicts(summary(12, 11)), [{ total: 12, passed: 11, skipped: 0 }]);
  assert.equal(verdicts(coloured), [{ total: 3, passed: 2, skipped: 1 }]);
  assert.equal(verdicts("  Total:     3\n  Passed:    3\n"), []);
});

test("passes a complete verdict, and one with a crash behind it", () => {
  assert.equal(judge(summary(3, 3), ended), { passed: 3, failed: 0, problems: [], notes: [] });
  const crashed = judge(summary(3, 3), { code: null, signal: "SIGSEGV", timedOut: false });
  assert.equal([crashed.passed, crashed.failed], [3, 0]);
  assert.match(crashed.notes.join(), /crashed after its verdict \(signal SIGSEGV\)/);
});

test("a crash, an early exit or a time-out before the verdict is a failure", () => {
  for (const how of [
    { code: null, signal: "SIGSEGV", timedOut: false },
    { code: 1, signal: null, timedOut: false },
    { code: 0, signal: null, timedOut: false },
    { code: null, signal: "SIGKILL", timedOut: true },
  ]) {
    const { passed, failed, problems } = judge("• • •   (3 / 3)\n  Total:     3\n", how);
    assert.equal([passed, failed], [0, 1]);
    assert.match(problems.join(), /^no verdict/);
  }
});

test("no tests, a skipped test, a second verdict and a failing exit code are failures", () => {
  assert.is(judge(summary(0, 0), ended).failed, 1);
  assert.is(judge(summary(2, 2, 1), ended).failed, 1);
  assert.is(judge(summary(2, 2) + summary(4, 4), ended).failed, 1);
  assert.is(judge(summary(2, 2), { ...ended, code: 1 }).failed, 1);
  const mixed = judge(summary(5, 3), { ...ended, code: 1 });
  assert.equal([mixed.passed, mixed.failed], [3, 2]);
});

test("counts what passed on each device", () => {
  const output =
    "• • •   (3 / 3)\n probe on cpu  • printed (by a test) • ✘   (2 / 3)\n\n" +
    " opcheck add without relaxed SIMD on cpu  •   (1 / 1)\n\n windows on gpu:software  • •   (2 / 2)\n";
  assert.equal(
    [...counted(output)],
    [
      ["no device", 3],
      ["cpu", 3],
      ["gpu:software", 2],
    ],
  );
  assert.equal([...counted("")], []);
  assert.equal([...counted("a  ".repeat(300_000))], [], "a long message takes no longer");
});

test("shows what tests print, and nothing of uvu's", () => {
  const output =
    " equal to Python  BERT: 3 strings\n• • 12 files;  (2 / 3) of them small\n•   (3 / 3)\n\n facts  • •   (2 / 2)\n" +
    "  Total:     5\n  Passed:    5\n  Skipped:   0\n  Duration:  1417.80ms\n";
  assert.equal(remarks(output), ["BERT: 3 strings", "12 files;  (2 / 3) of them small"]);
});

test("without a choice what is missing is left out and named in one line", () => {
  const all = { adapters: ["gpu:software"], browser: true, slurm: true, why: "" };
  assert.equal(choose(undefined, all), { left: [], devices: "", missing: "" });
  const bare = choose(undefined, { adapters: [], browser: false, slurm: false, why: "" });
  assert.equal([bare.left, bare.devices], [["webgpu", "browser", "slurm"], "cpu"]);
  assert.match(
    bare.missing,
    /^\[test\] left out: the WebGPU half.*\(bash tools\/setup\.sh\); the pages.*--browser\); job arrays.*--slurm\)$/,
  );
  assert.equal(choose("cpu", { ...all, adapters: [] }), {
    left: ["webgpu"],
    devices: "cpu",
    missing: "",
  });
  assert.equal(choose("gpu:software", all).left, ["cpu", "slurm"]);
  const { left, missing } = choose("cpu", { ...all, slurm: false });
  assert.equal(left, ["webgpu", "slurm"]);
  assert.match(missing, /no Slurm/);
  assert.equal(choose("all", all), { left: [], devices: "all", missing: "" });
});

test("what was asked for and is missing is a failure", () => {
  const driverless = {
    VK_DRIVER_FILES: "/nonexistent.json",
    VK_ICD_FILENAMES: "/nonexistent.json",
  };
  for (const [device, sentence] of [
    ["all", /--device all needs everything, but this machine lacks the WebGPU half/],
    ["gpu:software", /--device gpu:software needs gpu:software: .*no WebGPU adapter/],
    ["abacus", /--device is abacus; choose among cpu, gpu, gpu:software, all/],
  ] as const) {
    const env = { ...process.env, ...driverless };
    const args = [RUNNER, "--device", device, "tools/launch"];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8", env });
    assert.is(status, 1);
    assert.match(stderr, sentence);
    assert.match(stdout, /^0 passed, 1 failed$/m);
  }
});

test("--help is a screen, and an option that is none a sentence", () => {
  const run = (...args: string[]) =>
    spawnSync(process.execPath, [RUNNER, ...args], { encoding: "utf8" });
  for (const flag of ["--help", "-h"]) {
    const { status, stdout, stderr } = run(flag);
    assert.equal([status, stderr], [0, ""]);
    const lines = stdout.split("\n");
    assert.ok(lines.length < 24 && lines.every((line) => line.length <= 100));
    for (const option of ["--device", "--jobs", "--timeout"]) assert.ok(stdout.includes(option));
  }
  const { status, stderr } = run("--devise", "cpu");
  assert.is(status, 1);
  assert.is(stderr, "[test] Unknown option '--devise'; npm test -- --help has the options\n");
});

test("a name that matches nothing and a missing data folder say so and fail", () => {
  const run = (...args: string[]) => {
    const env = { ...process.env };
    delete env.PROMPTGEN_DATA;
    return spawnSync(process.execPath, [RUNNER, ...args], { encoding: "utf8", env });
  };
  for (const [args, sentence] of [
    [["no-such-name"], /no test file matches no-such-name/],
    [["--data"], /no data folder; type npm run test:data -- FOLDER/],
    [["--data", "/nowhere"], /\/nowhere does not exist; .*PROMPTGEN_DATA/],
    [["--timeout", "x"], /--timeout is x; give a number above 0/],
  ] as const) {
    const { status, stdout, stderr } = run(...args);
    assert.is(status, 1);
    assert.match(stderr, sentence);
    assert.match(stdout, /^0 passed, 1 failed$/m);
  }
});

test.run();
