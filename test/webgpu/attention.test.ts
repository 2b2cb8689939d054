/** Attention of one query as hardware runs it, its gradients too, against the same in primitive ops. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { read } from "../../engine/compile.ts";
import { grad } from "../../engine/grad.ts";
import { openDevice } from "../../engine/open.ts";
import { attentionOp } from "../../engine/ops/attention.ts";
import { mul } from "../../engine/ops/elementwise.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { apply, tensor } from "../../engine/tensor.ts";
import { anyWebGPU } from "../devices.ts";

const { name } = await anyWebGPU();
const test = suite(`attention of one query in the hardware form on ${name}`);
const device = await openDevice({ device: name, geometry: "hardware" });

const values = (n: number, seed: number): Float32Array =>
  Float32Array.from({ length: n }, (_, i) => Math.sin(i * 0.7 + seed * 1.3));

test("more keys than lanes, heads wider than lanes, masked and wholly masked, with dropout", async () => {
  const [batch, heads, size, keys] = [3, 2, 264, 150];
  const width = heads * size;
  const [q, k, v] = [
    tensor(values(batch * width, 1), [batch, 1, width]),
    tensor(values(batch * keys * width, 2), [batch, keys, width]),
    tensor(values(batch * keys * width, 3), [batch, keys, width]),
  ];
  const visible = Uint32Array.from({ length: batch * keys }, (_, i) =>
    Number(i < 2 * keys && i % 3 > 0),
  );
  const mask = tensor(visible, [batch, keys]);
  const rng = tensor(Uint32Array.of(7, 1, 2, 3), [4]);
  for (const [inputs, p] of [
    [[q, k, v], 0],
    [[q, k, v, mask], 0],
    [[q, k, v, rng], 0.3],
    [[q, k, v, mask, rng], 0.3],
  ] as const) {
    const layouts = { queryLayout: "btd", keyLayout: "btd" };
    const attrs = { heads, scale: 0.3, causal: false, ...layouts, p, index: 5 };
    const [fused] = apply(attentionOp, inputs, attrs);
    const [twin] = attentionOp.twin?.(inputs, attrs) ?? [];
    const up = tensor(values(fused.size, 4), fused.shape);
    const [got, want] = [fused, twin].map((y) => [y, ...grad(sum(mul(y, up)), [q, k, v])]);
    const results = await read(device, [...got, ...want]);
    got.forEach((_, j) => {
      const expected = results[got.length + j];
      results[j].forEach((x, i) => {
        const far = Math.abs(x - expected[i]) >= (j > 0 ? 1e-4 : 2e-5);
        assert.not(far, `result ${j}, element ${i} is ${x}, not ${expected[i]}`);
      });
    });
  }
});

test.run();
