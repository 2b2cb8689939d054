/** The check of kernels' sources finds each way in which one may leave the manifest. */
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Source } from "../../tools/commands/check/imports.ts";
import { kernelProblems } from "../../tools/commands/check/kernels.ts";
import { readSources } from "../../tools/commands/check.ts";

const sources = readSources(fileURLToPath(new URL("../..", import.meta.url)));

/** The problems after one change to one source. */
function changed(path: string, from: string | RegExp, to: string): string {
  const all = sources.map((s): Source => {
    if (s.path !== path) return s;
    const text = s.text.replace(from, to);
    assert.is.not(text, s.text, `${path} has no ${from}`);
    return { path, text };
  });
  return kernelProblems(all).join("\n");
}

const without = (path: string): string =>
  kernelProblems(sources.filter((s) => s.path !== path)).join("\n");

const withFile = (path: string): string => kernelProblems([...sources, { path, text: "" }]).join();

test("the sources are what the manifest says", () => {
  assert.equal(kernelProblems(sources), []);
});

test("files and kernels: none too many, none missing", () => {
  assert.match(withFile("kernels/webgpu/sofmax.wgsl"), /sofmax\.wgsl is of no kernel/);
  assert.match(withFile("kernels/cpu/softmax2.ts"), /softmax2\.ts is of no kernel/);
  assert.match(without("kernels/webgpu/softmax.wgsl"), /webgpu has no file of the kernel softmax/);
  assert.match(without("kernels/cpu/softmax.ts"), /cpu has no file softmax\.ts/);
  assert.match(without("kernels/cpu/peek.ts"), /cpu has no file peek\.ts/);
});

test("parameters: names, order, types", () => {
  const wgsl = "kernels/webgpu/softmax.wgsl";
  const cpu = "kernels/cpu/softmax.ts";
  const want = /the parameters are .*; kernels\/manifest\.ts has rows: u32, cols: u32/;
  assert.match(changed(wgsl, "rows: u32, cols: u32", "cols: u32, rows: u32"), want);
  assert.match(changed(wgsl, "cols: u32", "cols: f32"), want);
  assert.match(changed(cpu, "rows: u32; cols: u32;", "cols: u32; rows: u32;"), want);
  assert.match(changed(cpu, "cols: u32;", ""), want);
  assert.match(changed(cpu, "export function softmax(", "export function softmx("), /exports no/);
});

test("operands: names, order, access, random state", () => {
  const wgsl = "kernels/webgpu/softmax_backward.wgsl";
  assert.match(changed(wgsl, "var<storage, read> dy", "var<storage, read_write> dy"), /bindings/);
  assert.match(changed(wgsl, "@binding(3)", "@binding(4)"), /bindings/);
  assert.match(changed("kernels/webgpu/dropout.wgsl", /^.*rng: vec4u.*$/m, ""), /bindings/);
  assert.match(
    changed("kernels/cpu/softmax_backward.ts", "y: usize; dy: usize", "dy: usize; y: usize"),
    /operands/,
  );
  assert.match(changed("kernels/cpu/matmul.ts", "panels: usize;", ""), /the operands/);
});

test("selectors: none missing, none unknown", () => {
  assert.match(changed("kernels/webgpu/unary.wgsl", "override OP", "override OPP"), /selectors/);
  assert.match(changed("kernels/cpu/topk.ts", "HAS_VALUES: u32;", ""), /the selectors are none/);
});

test("codes: numbers, names, none left out", () => {
  const codes = "kernels/webgpu/lib/codes.wgsl";
  assert.match(changed(codes, "UNARY_EXP: u32 = 1u", "UNARY_EXP: u32 = 2u"), /UNARY_EXP is 2/);
  assert.match(changed(codes, /const BINARY_DIV.*/, ""), /webgpu has no const BINARY_DIV/);
  assert.match(
    changed("kernels/cpu/lib/codes.ts", "REDUCE_MAX: u32 = 1", "REDUCE_MAX: u32 = 3"),
    /REDUCE_MAX is 3; kernels\/codes\.ts has 1/,
  );
  assert.match(
    changed("kernels/webgpu/lib/decode.wgsl", /DTYPE_BF16: u32 = 2u/, "DTYPE_BF16: u32 = 3u"),
    /DTYPE_BF16 is 3/,
  );
  const unary = "kernels/webgpu/unary.wgsl";
  assert.match(changed(unary, "OP == UNARY_EXP", "OP == 1u"), /`OP == 1`; name the code/);
  assert.match(changed(unary, /^.*UNARY_EXP.*$/m, ""), /OP is never UNARY_EXP nor UNARY_GELU/);
  assert.match(changed("kernels/cpu/unary.ts", "case UNARY_EXP", "case 1"), /`case 1`; name/);
});

test("shared numbers: the sources repeat the manifest's", () => {
  const wrong = /const CHUNK is 1024; kernels\/manifest\.ts has 2048/;
  assert.match(changed("kernels/webgpu/square_sums.wgsl", "= 2048u", "= 1024u"), wrong);
  assert.match(changed("kernels/cpu/square_sums.ts", "= 2048", "= 1024"), wrong);
  assert.match(changed("kernels/cpu/lib/gemm.ts", "PANEL: u32 = 8", "PANEL: u32 = 16"), /PANEL is/);
});

test.run();
