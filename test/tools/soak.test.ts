/** The soak in short: a bounded number of its steps, on every device. */
import * as assert from "uvu/assert";
import { openDevice } from "../../engine/open.ts";
import { soak } from "../../tools/commands/soak/soak.ts";
import { onDevices } from "../devices.ts";

const test = await onDevices("soak");

test("some lives of a device", async (_, name) => {
  const steps = 600;
  const { resident, ...counts } = await soak({
    open: (memoryBudget) => openDevice({ device: name, threads: 2, memoryBudget }),
    seed: 7,
    life: 100,
    ended: (c) => c.steps >= steps,
  });
  assert.is(counts.steps, steps);
  assert.ok(counts.devices > 3 && counts.shapes > 500, JSON.stringify(counts));
  assert.ok(counts.late > 50 && counts.refused > 5 && counts.ended > 50, JSON.stringify(counts));
});

test.run();
