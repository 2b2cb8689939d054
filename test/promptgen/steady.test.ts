/** Long training makes nothing new: after two runs of each plan no buffer is created, the bytes stay flat, a step is a submit. */
import assert from "node:assert/strict";
import { suite } from "uvu";
import type { Executable } from "../../engine/device.ts";
import { loadSystem } from "../../promptgen/system.ts";
import { Examiner, trainPromptGen } from "../../promptgen/trainer.ts";
import { identityOf, settingsOf, sourcesOf } from "../../tools/runs.ts";
import { tinyOptions, tinyPair } from "./tiny.ts";

const test = suite("steady");

test("500 steps with three buckets and two evaluations", async () => {
  const { home, device } = await tinyPair();
  const all = { ...tinyOptions(home), relations: "" };
  const options = { ...all, m: 1, n: 1, "batch-size": 8 };
  const system = await loadSystem(sourcesOf(options));
  assert.ok(system.layout.buckets.length >= 3, `${system.layout.buckets}`);
  const stepsPerEpoch = Math.ceil(system.items.train.length / options["batch-size"]) + 3;
  const epochs = Math.ceil(520 / stepsPerEpoch);

  /** Runs of each plan so far. */
  const runs = new Map<Executable, number>();
  let loading = 0;
  const load = device.load.bind(device);
  device.load = async (plan) => {
    loading++;
    const executable = await load(plan);
    loading--;
    runs.set(executable, 0);
    const run = executable.run.bind(executable);
    executable.run = (inputs) => {
      runs.set(executable, (runs.get(executable) ?? 0) + 1);
      return run(inputs);
    };
    return executable;
  };
  let late = 0;
  let created = 0;
  const proto = GPUDevice.prototype;
  const createBuffer = proto.createBuffer;
  proto.createBuffer = function (descriptor) {
    created++;
    if (loading === 0 && [...runs.values()].every((n) => n > 2)) late++;
    return createBuffer.call(this, descriptor);
  };
  let submits = 0;
  const submit = GPUQueue.prototype.submit;
  GPUQueue.prototype.submit = function (commands) {
    submits++;
    return submit.call(this, commands);
  };
  const reports: { step: number; submits: number; bytes: number }[] = [];
  let evaluations = 0;
  const settings = { ...settingsOf(options), epochs, evaluationsPerEpoch: 1 };
  const { steps } = await trainPromptGen({
    device,
    system,
    examiner: new Examiner(device, system, options["batch-size"]),
    settings,
    identity: identityOf(options, system),
    onStep: ({ step }) => reports.push({ step, submits, bytes: device.stats.bytes }),
    onEvaluation: () => {
      evaluations++;
    },
  });
  assert.ok(steps >= 500, `${steps} steps`);
  assert.ok(evaluations >= 2, `${evaluations} evaluations`);
  assert.ok(created > 0, "the wrapped device counts");
  assert.equal(late, 0, `${late} of ${created} buffers were created after two runs of every plan`);
  const settled = reports.slice(Math.floor(reports.length / 2));
  assert.equal(new Set(settled.map((r) => r.bytes)).size, 1, "the bytes are flat");
  const single = settled.slice(1).filter((r, i) => r.submits - settled[i].submits === 1);
  assert.ok(
    single.length >= settled.length - 1 - evaluations,
    `${settled.length - 1 - single.length} steps took more than one submit`,
  );
  console.log(
    `${steps} steps, ${runs.size} plans, ${created} buffers, ${settled[0].bytes} bytes, ${evaluations} evaluations`,
  );
});

test.run();
