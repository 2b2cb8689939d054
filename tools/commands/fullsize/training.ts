/** Training BART-large on the CPU device is refused before anything is allocated: `training.ts FOLDER`, a process of its own. */
import { join } from "node:path";
import { compile } from "../../../engine/compile.ts";
import { OutOfMemoryError } from "../../../engine/errors.ts";
import { grad } from "../../../engine/grad.ts";
import { openDevice } from "../../../engine/open.ts";
import { crossEntropy } from "../../../engine/ops/cross-entropy.ts";
import { mean } from "../../../engine/ops/reduce.ts";
import { reshape } from "../../../engine/ops/shape.ts";
import { AdamW } from "../../../engine/optim.ts";
import { type Tensor, tensor } from "../../../engine/tensor.ts";
import { BartForConditionalGeneration } from "../../../models/bart.ts";
import { memory, say } from "./process.ts";

const [folder] = process.argv.slice(2);
const device = await openDevice({ device: "cpu" });
say({ kind: "note", text: device.description });
const start = performance.now();
const bart = await BartForConditionalGeneration.load(join(folder, "bart"));
const optimizer = new AdamW(bart.parameters, { decays: bart.decays, maxNorm: 1 });
const step = compile(device, (ids: Tensor, targets: Tensor, scalars: Tensor) => {
  const cache = bart.start(bart.encode({ ids }), undefined);
  const rows = reshape(bart.logits(bart.decode({ ids }, cache).hidden), [4, -1]);
  const loss = mean(crossEntropy(rows, targets));
  optimizer.update(grad(loss, bart.parameters), scalars, [loss]);
  return { loss };
});
const ids = Uint32Array.of(5, 6, 7, 8);
const before = device.stats.bytes;
const error: unknown = await step(tensor(ids, [2, 2]), ids, optimizer.scalars(1, 1e-5)).then(
  () => undefined,
  (reason) => reason,
);
const message = error instanceof Error ? error.message : "it was not refused";
const needed = Number(/needs (\d+) bytes/.exec(message)?.[1] ?? 0);
const parameters = bart.parameters.reduce((n, p) => n + p.bytes, 0);
const verdict = (good: boolean) => ({ difference: good ? 0 : 1, allowed: 0, largest: needed });
// parameters and both moments at least
const refused = error instanceof OutOfMemoryError && needed >= 3 * parameters;
say({ kind: "note", text: message });
say({ kind: "compared", what: "refused with the bytes", ...verdict(refused) });
const untouched = device.stats.bytes === before && memory("VmHWM") < 2 ** 30;
say({ kind: "compared", what: "nothing was allocated", ...verdict(untouched) });
say({ kind: "done", seconds: (performance.now() - start) / 1000, peak: memory("VmHWM") });
process.exit(0);
