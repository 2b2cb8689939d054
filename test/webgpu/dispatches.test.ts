/** The counter of the GPU kit beside what a GPU is given. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openDevice } from "../../engine/open.ts";
import { countPlan, planOf } from "../../tools/gpu/count.ts";
import { anyWebGPU } from "../devices.ts";
import { made } from "../toy-step.ts";

const { name } = await anyWebGPU();
const test = suite(`dispatches on ${name}`);

test("counts as many dispatches as a GPU makes", async () => {
  const device = await openDevice({ device: name, geometry: "hardware" });
  const { dispatches, launches } = countPlan(await planOf({ size: "toy" }));
  assert.ok(dispatches > launches.length, "a join is two");
  assert.is(dispatches, await made(device, "step"));
  device.destroy();
});

test.run();
