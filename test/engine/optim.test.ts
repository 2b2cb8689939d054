/** AdamW beside PyTorch's and beside its formula in float64; the schedule at its corners. */
import { readFileSync } from "node:fs";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { compile, read } from "../../engine/compile.ts";
import type { Device } from "../../engine/device.ts";
import {
  AdamW,
  type AdamWOptions,
  cosineSchedule,
  GradientAccumulator,
  linearSchedule,
  SGD,
} from "../../engine/optim.ts";
import { state, stateName, type Tensor, tensor } from "../../engine/tensor.ts";
import { parseSafetensors, toFloat32 } from "../../models/formats/safetensors.ts";
import { onDevices } from "../devices.ts";
import { closeForward } from "../models/parity.ts";
import { adamw64, type Moments64, start64 } from "./adamw64.ts";

const test = await onDevices("optimiser");
const schedule = suite("schedule");

const waves = (size: number, scale: number, phase = 0): Float32Array =>
  Float32Array.from({ length: size }, (_, i) => scale * Math.sin(3 * i + phase + 1));

/** Steps of given gradients, one list for each step; gives the optimiser. */
async function stepped(
  device: Device,
  parameters: readonly Tensor[],
  options: AdamWOptions,
  lr: number,
  gradients: readonly (readonly Float32Array[])[],
): Promise<AdamW> {
  const optimizer = new AdamW(parameters, options);
  const step = compile(device, (all: Tensor[], scalars: Tensor) => {
    optimizer.update(all, scalars, []);
  });
  for (const [i, all] of gradients.entries()) {
    const shaped = all.map((g, k) => tensor(g, parameters[k].shape));
    await step(shaped, optimizer.scalars(i + 1, lr));
  }
  return optimizer;
}

test("without a gradient a parameter shrinks by lr times the decay, or stays as it is", async (device) => {
  const [lr, weightDecay] = [0.25, 0.5];
  const start = waves(67, 2);
  const [shrinks, stays] = ["shrinks", "stays"].map((name) => state(name, start, [67]));
  const zeros = [new Float32Array(67), new Float32Array(67)];
  const decays = (name: string) => name === "shrinks";
  await stepped(device, [shrinks, stays], { weightDecay, decays }, lr, [zeros, zeros]);
  const [small, same] = await read(device, [shrinks, stays]);
  const want = Array.from(start, (x) => x * (1 - lr * weightDecay) ** 2);
  closeForward([{ name: "shrinks", got: small, want }], 0, 1e-6);
  assert.equal([...same], [...start]);
});

test("the decay is 0.01 when none is given", async (device) => {
  const w = state("dense.weight", Float32Array.of(4, -8), [2]);
  await stepped(device, [w], { decays: () => true }, 0.5, [[new Float32Array(2)]]);
  const [got] = await read(device, [w]);
  closeForward([{ name: "w", got, want: [4 * 0.995, -8 * 0.995] }], 0, 1e-7);
});

test("one step and ten are those of the formula in float64", async (device) => {
  const shapes = [[5, 7], [67]];
  const options = { weightDecay: 0.1, betas: [0.8, 0.95], eps: 1e-4 } as const;
  const lr = 0.05;
  for (const count of [1, 10]) {
    const parameters = shapes.map((shape, k) =>
      state(`p${k}`, waves(shape[0] * (shape[1] ?? 1), 1, k), shape),
    );
    const gradients = Array.from({ length: count }, (_, s) =>
      parameters.map((p, k) => waves(p.size, 0.3 * (k + 1), 7 * s + k)),
    );
    const decays = (name: string) => name === "p0";
    const optimizer = await stepped(device, parameters, { ...options, decays }, lr, gradients);
    for (const [k, p] of parameters.entries()) {
      let want: Moments64 = start64(waves(p.size, 1, k));
      const weightDecay = k === 0 ? options.weightDecay : 0;
      gradients.forEach((all, s) => {
        want = adamw64(want, all[k], s + 1, { ...options, lr, weightDecay });
      });
      const { m, v } = optimizer.moments[k];
      const got = await read(device, [p, m, v]);
      closeForward(
        [
          { name: `p${k}`, got: got[0], want: want.p },
          { name: `m of p${k}`, got: got[1], want: want.m },
          { name: `v of p${k}`, got: got[2], want: want.v },
        ],
        1e-7,
        2e-6,
      );
    }
  }
});

test("gradients as small as eps move a parameter by less than the rate", async (device) => {
  const lr = 0.5;
  const tiny = [1e-9, -1e-8, 3e-8, -1e-7];
  const w = state("w", new Float32Array(4), [4]);
  await stepped(device, [w], { weightDecay: 0 }, lr, [[Float32Array.from(tiny)]]);
  const [got] = await read(device, [w]);
  const { p } = adamw64(start64(new Float32Array(4)), tiny, 1, { lr, weightDecay: 0 });
  assert.ok(Math.abs(p[0]) < 0.05 && Math.abs(p[1]) < 0.26, "eps is felt");
  closeForward([{ name: "w", got, want: p }], 0, 1e-4);
});

test("twelve clipped steps of two micro-batches are PyTorch's", async (device) => {
  const tensors = readGolden("adamw.safetensors");
  const entry = goldenOf("adamw.safetensors");
  const floats = (name: string) => toFloat32(entry(name));
  const names = [...tensors.keys()].flatMap((n) => (n.startsWith("start.") ? [n.slice(6)] : []));
  assert.is(names.length, 4);
  const parameters = names.map((n) => state(n, floats(`start.${n}`), entry(`start.${n}`).shape));
  const optimizer = new AdamW(parameters, {
    weightDecay: 1e-2,
    maxNorm: 1,
    decays: (name) => name === "dense.weight" || name === "table",
  });
  const sums = new GradientAccumulator(parameters);
  const collect = compile(device, (all: Tensor[]) => sums.add(all));
  const last = compile(device, (all: Tensor[], scalars: Tensor) => ({
    control: optimizer.update(sums.take(all, 0.5), scalars, []),
  }));
  const rates = floats("lr");
  const norms = floats("norm");
  for (let s = 0; s < 12; s++) {
    const micro = (half: number): Tensor[] =>
      parameters.map((p) => {
        const from = (2 * s + half) * p.size;
        return tensor(floats(`grad.${stateName(p)}`).slice(from, from + p.size), p.shape);
      });
    await collect(micro(0));
    const { control } = await last(micro(1), optimizer.scalars(s + 1, rates[s]));
    const [, , norm] = await control.read();
    closeForward([{ name: `norm of step ${s}`, got: [norm], want: [norms[s]] }], 0, 1e-5);
    const got = await read(device, parameters);
    closeForward(
      parameters.map((p, k) => ({
        name: `${stateName(p)} behind step ${s}`,
        got: got[k],
        want: floats(`after.${stateName(p)}`).subarray(s * p.size, (s + 1) * p.size),
      })),
      1e-6,
    );
  }
});

function readGolden(path: string) {
  const file = new URL(`../golden/models/optim/${path}`, import.meta.url);
  return parseSafetensors(new Uint8Array(readFileSync(file)), path).tensors;
}

/** A tensor of a golden by its name. */
function goldenOf(path: string) {
  const tensors = readGolden(path);
  return (name: string) => {
    const found = tensors.get(name);
    if (!found) throw new Error(`the golden has no ${name}`);
    return found;
  };
}

test("SGD is PyTorch's: plain, with momentum, with Nesterov's and decay, clipped", async (device) => {
  const [given, want] = [goldenOf("adamw.safetensors"), goldenOf("sgd.safetensors")];
  const kinds = {
    plain: {},
    momentum: { momentum: 0.9 },
    nesterov: { momentum: 0.8, nesterov: true, weightDecay: 0.05 },
  };
  for (const [kind, options] of Object.entries(kinds)) {
    const names = ["dense.weight", "dense.bias", "LayerNorm.weight", "table"];
    const parameters = names.map((n) => {
      const { shape } = given(`start.${n}`);
      return state(n, toFloat32(given(`start.${n}`)), shape);
    });
    const optimizer = new SGD(parameters, { ...options, maxNorm: 1 });
    assert.is(optimizer.buffers.length, kind === "plain" ? 0 : 4);
    const step = compile(device, (all: Tensor[], scalars: Tensor) => {
      optimizer.update(all, scalars, []);
    });
    for (let s = 0; s < 6; s++) {
      const all = parameters.map((p, k) => {
        const halves = toFloat32(given(`grad.${names[k]}`));
        const [a, b] = [0, 1].map((half) => (2 * s + half) * p.size);
        const values = Float32Array.from({ length: p.size }, (_, i) => {
          return (halves[a + i] + halves[b + i]) / 2;
        });
        return tensor(values, p.shape);
      });
      await step(all, optimizer.scalars(0.3 / (s + 1)));
    }
    const got = await read(device, parameters);
    closeForward(
      names.map((name, k) => ({
        name: `${kind}: ${name}`,
        got: got[k],
        want: toFloat32(want(`${kind}.${name}`)),
      })),
      1e-6,
    );
  }
});

test("SGD takes no step on a gradient that is not finite, and refuses what means nothing", async (device) => {
  const w = state("w", Float32Array.of(1, 2), [2]);
  const optimizer = new SGD([w], { momentum: 0.5 });
  const step = compile(device, (g: Tensor, scalars: Tensor) => ({
    control: optimizer.update([g], scalars, []),
  }));
  await step(Float32Array.of(1, 1), optimizer.scalars(1));
  const { control } = await step(Float32Array.of(Number.NaN, 1), optimizer.scalars(1));
  assert.is((await control.read())[1], 0);
  const [got, buffer] = await read(device, [w, optimizer.buffers[0]]);
  assert.equal([...got, ...buffer], [0, 1, 1, 1]);
  assert.throws(() => new SGD([w], { momentum: 1 }), /momentum 1 is not in \[0, 1\)/);
  assert.throws(() => new SGD([w], { nesterov: true }), /nesterov takes a momentum/);
  assert.throws(() => optimizer.scalars(Number.NaN), /the rate is NaN/);
});

const rate = (step: number, total: number, warmup: number): number =>
  linearSchedule(step, total, warmup, 12);

schedule("rises in equal parts to the peak, which two steps have, and falls in equal parts", () => {
  // 10 steps, of which 4 rise: quarters of 12 up, sixths of 12 down
  const steps = Array.from({ length: 10 }, (_, i) => rate(i + 1, 10, 0.4));
  assert.equal(steps, [3, 6, 9, 12, 12, 10, 8, 6, 4, 2]);
});

schedule("without a warm-up it begins at the peak; with nothing else it ends there", () => {
  const falling = Array.from({ length: 6 }, (_, i) => rate(i + 1, 6, 0));
  assert.equal(falling, [12, 10, 8, 6, 4, 2]);
  const rising = Array.from({ length: 6 }, (_, i) => rate(i + 1, 6, 1));
  assert.equal(rising, [2, 4, 6, 8, 10, 12]);
});

schedule("a share that is no whole number of steps is rounded; one step has the peak", () => {
  assert.is(rate(2, 10, 0.24), 12); // 2.4 steps: 2
  assert.is(rate(2, 10, 0.26), 8); // 2.6 steps: 3
  assert.is(rate(1, 1, 0), 12);
  assert.is(rate(1, 1, 1), 12);
});

schedule("the cosine rises as the line does, and falls by half a cosine to its last step", () => {
  const steps = Array.from({ length: 8 }, (_, i) => cosineSchedule(i + 1, 8, 0.5, 12));
  const half = (k: number) => 6 * (1 + Math.cos((k * Math.PI) / 4));
  assert.equal(steps, [3, 6, 9, 12, half(0), half(1), half(2), half(3)]);
  assert.ok(Math.abs(steps[6] - 6) < 1e-12, "in the middle it is at half the peak");
  assert.is(cosineSchedule(9, 8, 0.5, 12), 0);
  assert.is(cosineSchedule(100, 8, 0.5, 12), 0);
});

test.run();
schedule.run();
