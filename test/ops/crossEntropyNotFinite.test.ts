/** Cross-entropy of logits that are not finite: the losses and gradients that PyTorch 2.13 gives, on every device and form. */
import * as assert from "uvu/assert";
import { read } from "../../engine/compile.ts";
import { grad } from "../../engine/grad.ts";
import { openDevice } from "../../engine/open.ts";
import { crossEntropy } from "../../engine/ops/cross-entropy.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { tensor } from "../../engine/tensor.ts";
import { allDevices, onDevices } from "../devices.ts";

const inf = Number.POSITIVE_INFINITY;
const nan = Number.NaN;

/** The first five logits of a row, the others being those of `REST`; the target is the third. */
const ROWS: readonly (readonly number[])[] = [
  [nan, 1, 2, 3, 0],
  [1, 2, nan, 3, 0],
  [1, inf, 2, 3, 0],
  [1, 2, inf, 3, 0],
  [-inf, 1, 2, 3, 0],
  [1, 2, -inf, 3, 0],
  [1, 2, 3, 4, 0],
];
const TARGET = 2;

/** What torch.nn.functional.cross_entropy gives, in float64; NaN for a row with a NaN or +inf, or of -inf alone. */
function expected(row: readonly number[]): { loss: number; slopes: number[] } {
  const lost = row.some((x) => Number.isNaN(x) || x === inf) || row.every((x) => x === -inf);
  if (lost) return { loss: nan, slopes: row.map(() => nan) };
  const total = row.reduce((all, x) => all + Math.exp(x), 0);
  const slopes = row.map((x, j) => Math.exp(x) / total - (j === TARGET ? 1 : 0));
  return { loss: Math.log(total) - row[TARGET], slopes };
}

const near = (got: number, want: number): boolean =>
  Object.is(got, want) || Math.abs(got - want) <= 1e-5 * (1 + Math.abs(want));

async function withForms() {
  const all = await allDevices();
  const software = all.find(({ name }) => name === "gpu:software");
  if (!software) return all;
  const device = await openDevice({ device: "gpu:software", geometry: "hardware" });
  return [...all, { ...software, device }];
}

const test = await onDevices("cross-entropy of what is not finite", withForms());

test("a NaN is not lost, wherever it stands", async (device) => {
  for (const width of [5, 8, 300]) {
    const fill = Array.from({ length: width - 5 }, (_, j) => (j % 7) / 7);
    const rows = [...ROWS.map((row) => [...row, ...fill]), new Array<number>(width).fill(-inf)];
    const swapped = rows.map((row) => row.with(width - 1, row[0]).with(0, row[width - 1])); // at the end
    const all = [...rows, ...swapped];
    const x = tensor(Float32Array.from(all.flat()), [all.length, width]);
    const losses = crossEntropy(x, tensor(new Uint32Array(all.length).fill(TARGET)));
    const [got, slopes] = await read(device, [losses, ...grad(sum(losses), [x])]);
    all.forEach((row, r) => {
      const want = expected(row);
      const what = `row ${r} of ${width}`;
      assert.ok(near(got[r], want.loss), `${what}: the loss is ${got[r]}, not ${want.loss}`);
      want.slopes.forEach((slope, j) => {
        const own = slopes[r * width + j];
        assert.ok(near(own, slope), `${what}: slope ${j} is ${own}, not ${slope}`);
      });
    });
  }
});

test.run();
