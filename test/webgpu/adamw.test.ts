/** Steps of AdamW on two parameters a launch, as a GPU's form of the kernels has them, beside the formula in float64. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { compile, read } from "../../engine/compile.ts";
import { firstJoined } from "../../engine/devices/onlooker.ts";
import { joinRules } from "../../engine/devices/webgpu/chunks.ts";
import { openDevice } from "../../engine/open.ts";
import { AdamW } from "../../engine/optim.ts";
import { state, type Tensor, tensor } from "../../engine/tensor.ts";
import { anyWebGPU } from "../devices.ts";
import { adamw64, start64 } from "../engine/adamw64.ts";
import { closeForward } from "../models/parity.ts";

const { name } = await anyWebGPU();
const test = suite(`AdamW in pairs on ${name}`);
const device = await openDevice({ device: name, geometry: "hardware" });
const hardware = {
  software: false,
  subgroupSize: 32,
  maxWorkgroupStorage: 16384,
  maxStorageBuffers: 10,
};

const waves = (size: number, scale: number, phase: number): Float32Array =>
  Float32Array.from({ length: size }, (_, i) => scale * Math.sin(3 * i + phase + 1));

// more than a workgroup and less, in both places; no multiple of four; one without a neighbour; two with a rate of their own
const SIZES = [4, 280, 67, 1028, 8, 12, 260];
const [LR, DECAY, RATE] = [0.05, 0.1, 0.5];
const OPTIONS = { betas: [0.8, 0.95], eps: 1e-4 } as const;
const decays = (k: number): boolean => k % 2 === 1;
const hasRate = (k: number): boolean => k > 4;
const number = (p: string): number => Number(p.slice(1));

function training() {
  const parameters = SIZES.map((size, k) => state(`p${k}`, waves(size, 1, k), [size]));
  const optimizer = new AdamW(parameters, {
    ...OPTIONS,
    weightDecay: DECAY,
    decays: (p) => decays(number(p)),
    rules: (p) => (hasRate(number(p)) ? { rate: RATE } : undefined),
  });
  const run = (all: Tensor[], scalars: Tensor) => ({ control: optimizer.update(all, scalars, []) });
  return { parameters, optimizer, run };
}

const gradients = (step: number): Float32Array[] =>
  SIZES.map((size, k) => waves(size, 0.3 * (k + 1), 7 * step + k));

test("what has the same rate goes in twos, each with its own decay", async () => {
  const { parameters, optimizer, run } = training();
  const plan = await firstJoined(
    (d) =>
      compile(d, run)(
        gradients(0).map((g) => tensor(g)),
        optimizer.scalars(1, LR),
      ),
    joinRules(hardware, 2 ** 27),
  );
  const updates = plan?.launches.filter(({ kernel }) => kernel.startsWith("adamw")) ?? [];
  assert.equal(
    updates.map(({ kernel }) => kernel),
    ["adamw_pair", "adamw", "adamw_pair", "adamw_pair"],
  );
  const step = compile(device, run);
  for (const s of [1, 2, 3]) {
    await step(
      gradients(s).map((g) => tensor(g)),
      optimizer.scalars(s, LR),
    );
  }
  const broken = gradients(9).map((g) => tensor(g.map((x, i) => (i === 3 ? Number.NaN : x))));
  const { control } = await step(broken, optimizer.scalars(4, LR));
  assert.is((await control.read())[1], 0);
  for (const [k, p] of parameters.entries()) {
    let want = start64(waves(SIZES[k], 1, k));
    const rates = {
      ...OPTIONS,
      lr: hasRate(k) ? LR * RATE : LR,
      weightDecay: decays(k) ? DECAY : 0,
    };
    for (const s of [1, 2, 3]) want = adamw64(want, gradients(s)[k], s, rates);
    const { m, v } = optimizer.moments[k];
    const [values, first, second] = await read(device, [p, m, v]);
    const pairs = [
      { name: `p${k}`, got: values, want: want.p },
      { name: `m of p${k}`, got: first, want: want.m },
      { name: `v of p${k}`, got: second, want: want.v },
    ];
    closeForward(pairs, 1e-7, 2e-6);
  }
});

test.run();
