/** What every host and every bundle runs. */
import { openDevice } from "promptgen/engine";
import { fillMask } from "./fill-mask.js";
import { linearRegression } from "./linear-regression.js";

/** Both programs on one device; `bytesOf` reads a URL of the package. */
export async function runAll(options, worldModels, bytesOf) {
  const device = await openDevice(options);
  const losses = await linearRegression(device);
  const files = {};
  for (const [name, url] of Object.entries(worldModels.bert)) files[name] = await bytesOf(url);
  const filled = await fillMask(device, files, "Paris is the capital of [MASK] .");
  const { description } = device;
  device.destroy();
  return { description, losses, filled };
}
