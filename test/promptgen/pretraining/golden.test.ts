/** Fifty steps of pre-training have the losses that PyTorch has on the same batches. */
import assert from "node:assert/strict";
import { onDevices } from "../../devices.ts";
import { goldenCheckpoint, goldenText } from "../../models/parity.ts";
import { bartRun, bertRun } from "./golden.ts";

const each = await onDevices("pre-training beside PyTorch");

for (const [name, run] of [
  ["bert", bertRun],
  ["bart", bartRun],
] as const) {
  each(
    `${name}: the batches that PyTorch was given, and its losses within 1e-4`,
    async (device) => {
      const given = JSON.parse(goldenText(`pretraining/${name}/batches.json`));
      const golden = JSON.parse(goldenText(`pretraining/${name}/golden.json`));
      const { steps, losses } = await run(device, goldenCheckpoint(`pretraining/${name}`));
      assert.deepEqual(steps, given.steps);
      assert.ok(steps.some((parts) => parts.length > 1));
      assert.equal(losses.length, 50);
      losses.forEach((loss, i) => {
        const wanted: number = golden.losses[i];
        assert.ok(Math.abs(loss - wanted) < 1e-4 * wanted, `step ${i + 1}: ${loss}, not ${wanted}`);
      });
    },
  );
}

each.run();
