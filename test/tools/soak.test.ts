/** The soak in short: a bounded number of its steps, on every device. */
import * as assert from "uvu/assert";
import { openDevice } from "../../engine/open.ts";
import { soak } from "../../tools/commands/soak/soak.ts";
import { onDevices } from "../devices.ts";

const test = await onDevices("soak");

test("some lives of a device", async (_, name) => {
  const steps = 1500;
  const { resident, ...counts } = await soak({
    open: (memoryBudget) => openDevice({ device: name, threads: 2, memoryBudget }),
    seed: 20,
    life: 150,
    ended: (c) => c.steps >= steps,
  });
  assert.is(counts.steps, steps);
  assert.ok(counts.devices > 5 && counts.shapes > 1000, JSON.stringify(counts));
  assert.ok(counts.late > 100 && counts.refused > 20 && counts.ended > 50, JSON.stringify(counts));
});

test.run();
