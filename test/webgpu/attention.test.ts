/** Attention of one query as hardware runs it, against the same in primitive ops. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { read } from "../../engine/compile.ts";
import { openDevice } from "../../engine/open.ts";
import { attentionOp } from "../../engine/ops/attention.ts";
import { apply, tensor } from "../../engine/tensor.ts";
import { anyWebGPU } from "../devices.ts";

const { name } = await anyWebGPU();
const test = suite(`attention of one query in the hardware form on ${name}`);
const device = await openDevice({ device: name, geometry: "hardware" });

const values = (n: number, seed: number): Float32Array =>
  Float32Array.from({ length: n }, (_, i) => Math.sin(i * 0.7 + seed * 1.3));

test("more keys than lanes, heads wider than lanes, masked and wholly masked, with dropout", async () => {
  const [batch, heads, size, keys] = [3, 2, 68, 150];
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
    const [got, want] = await read(device, [fused, twin]);
    got.forEach((x, i) => {
      assert.ok(Math.abs(x - want[i]) < 2e-5, `element ${i} is ${x}, not ${want[i]}`);
    });
  }
});

test.run();
