/** Programs in a page of Chromium: on the CPU with and without shared memory, and on WebGPU. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { buildIfNeeded } from "../../tools/commands/build.ts";
import { testsRunOn } from "../devices.ts";
import { openPage } from "../page.ts";
import { askingFor, losses, programs, runHere, runThere } from "../programs.ts";

buildIfNeeded();

/** Large enough that its products are shared among the threads. */
const training = `
import { AdamW, compile, dropout, gelu, grad, linear, mean, openDevice, square, state, sub, tensor } from "promptgen/engine";

const device = await openDevice();
console.log(device.description);
const values = (n, seed, scale) => Float32Array.from({ length: n }, (_, i) => Math.sin(12.9898 * i + seed) * scale);
const up = state("up", values(256 * 64, 1, 0.2), [256, 64]);
const down = state("down", values(64 * 256, 2, 0.1), [64, 256]);
const optimizer = new AdamW([up, down], { decays: () => true, maxNorm: 1 });
const batch = { x: tensor(values(128 * 64, 3, 1), [128, 64]), y: tensor(values(128 * 64, 4, 1), [128, 64]) };
const train = compile(device, ({ x, y }, rng, scalars) => {
  const hidden = dropout(gelu(linear(x, up)), 0.1, rng);
  const loss = mean(square(sub(linear(hidden, down), y)));
  optimizer.update(grad(loss, [up, down]), scalars, [loss]);
  return { loss };
});
for (let step = 1; step <= 30; step++) {
  const { loss } = await train(batch, Uint32Array.of(1, 0, step, 0), optimizer.scalars(step, 0.003));
  console.log("loss", await loss.item());
}
console.log("frozen", (await device.readStates([up]))[0].byteLength);
`;

const simdOf = (description: string): string | undefined =>
  /\((relaxed SIMD|SIMD)/.exec(description)?.[1];

/** The same build gives the same bits; another one nearly the same. */
function same(there: readonly string[], here: readonly string[]): void {
  const [a, b] = [losses(there), losses(here)];
  assert.is(a.length, b.length, there.join("\n"));
  const exact = simdOf(there[0]) === simdOf(here[0]);
  a.forEach((loss, i) => {
    const apart = Math.abs(loss - b[i]);
    assert.ok(apart <= (exact ? 0 : 1e-6), `step ${i}: ${loss} in the page, ${b[i]} in Node`);
  });
}

async function inPage(
  code: string,
  isolated: boolean,
): Promise<{ lines: string[]; cores: number }> {
  const { page, close } = await openPage({ isolated });
  try {
    assert.is(await page.evaluate("crossOriginIsolated"), isolated);
    const cores = Number(await page.evaluate("navigator.hardwareConcurrency"));
    return { lines: await runThere(page, code), cores };
  } finally {
    await close();
  }
}

const cpu = suite("page on cpu");

cpu("trains in an isolated page on several threads, to the losses of Node", async () => {
  const here = await runHere(askingFor("cpu", training));
  const { lines, cores } = await inPage(askingFor("cpu", training), true);
  const count = Math.min(16, cores);
  const threads = count === 1 ? "1 thread" : `${count} threads`;
  assert.match(lines[0], new RegExp(`^CPU with ${threads} \\((relaxed )?SIMD; as asked\\)$`));
  const seen = losses(here);
  assert.ok(seen.length === 30 && seen[29] < 0.8 * seen[0], `${seen}`);
  same(lines, here);
});

cpu("trains in any other page on one worker, to the same losses", async () => {
  const here = await runHere(askingFor("cpu", training));
  const { lines } = await inPage(askingFor("cpu", training), false);
  assert.match(
    lines[0],
    /^CPU with 1 thread \((relaxed )?SIMD, for the page is not cross-origin isolated; as asked\)$/,
  );
  same(lines, here);
});

cpu("the README's program takes the CPU where the only adapter is software", async () => {
  const here = await runHere(askingFor("cpu", programs[0]));
  for (const isolated of [true, false]) {
    const { lines } = await inPage(programs[0], isolated);
    assert.match(lines[0], /^CPU with .*; no hardware GPU was found\)$/);
    same(lines, here);
  }
});

const webgpu = suite("page on gpu:software");

webgpu("the README's program runs on WebGPU with the losses of the CPU", async () => {
  const here = losses(await runHere(askingFor("cpu", programs[0])));
  const { lines } = await inPage(askingFor("gpu:software", programs[0]), false);
  assert.match(lines[0], /^WebGPU on .*\(a software adapter, as asked\)$/);
  const there = losses(lines);
  assert.is(there.length, here.length, lines.join("\n"));
  there.forEach((loss, i) => {
    assert.ok(Math.abs(loss - here[i]) <= 1e-4, `step ${i}: ${loss} and ${here[i]}`);
  });
});

if (testsRunOn("cpu")) cpu.run();
if (testsRunOn("gpu:software")) webgpu.run();
