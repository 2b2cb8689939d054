/** The debug mode that names the first op whose values are not finite. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { compile, read } from "../../engine/compile.ts";
import { NonFiniteError } from "../../engine/finite.ts";
import { grad } from "../../engine/grad.ts";
import { openDevice } from "../../engine/open.ts";
import { crossEntropy } from "../../engine/ops/cross-entropy.ts";
import { div, exp, mul, sqrt, sub } from "../../engine/ops/elementwise.ts";
import { mean, sum } from "../../engine/ops/reduce.ts";
import { AdamW } from "../../engine/optim.ts";
import { state, type Tensor, tensor } from "../../engine/tensor.ts";
import { BertForMaskedLM } from "../../models/bert.ts";
import { dropoutState } from "../../models/training/random.ts";
import { onDevices, openDevices, openEach } from "../devices.ts";
import { goldenFolder } from "../models/parity.ts";

const checking = openEach({ checkFinite: true });
const test = await onDevices("finite", checking);

/** The number of the line that calls this. */
const here = (): number =>
  Number(/finite\.test\.ts:(\d+)/.exec((new Error().stack ?? "").split("\n")[2])?.[1]);

async function failure(run: Promise<unknown>): Promise<string> {
  const error = await run.then(
    () => assert.unreachable("nothing was found"),
    (cause) => cause,
  );
  assert.instance(error, NonFiniteError);
  return error.message;
}

test("forward: the op, its shape and the line that made it", async (device) => {
  let line = 0;
  const run = compile(device, (x: Tensor) => {
    const y = sub(x, 2);
    line = here() + 1;
    const z = sqrt(y);
    return { out: sum(mul(z, 3)) };
  });
  const good = await run(Float32Array.of(3, 4));
  assert.ok((await good.out.item()) > 0);
  const message = await failure(run(Float32Array.of(3, 1)));
  assert.match(
    message,
    new RegExp(`is NaN in sqrt f32\\[2\\], made at .*finite\\.test\\.ts:${line}:`),
  );
  assert.ok((await (await run(Float32Array.of(6, 3))).out.item()) > 0); // the next run is none the worse
});

test("backward: the gradient of which op, and the line of that op", async (device) => {
  let line = 0;
  const run = compile(device, (x: Tensor) => {
    line = here() + 1;
    const y = sqrt(x);
    return { grad: grad(sum(y), [x])[0] };
  });
  const message = await failure(run(Float32Array.of(1, 0))); // 1 / (2 sqrt 0)
  assert.match(
    message,
    new RegExp(
      `is infinity in unaryBackward f32\\[2\\], in the gradient of sqrt, made at .*finite\\.test\\.ts:${line}:`,
    ),
  );
});

test("what comes from outside is named: a state, an argument, a constant", async (device) => {
  const weight = state("layer.weight", Float32Array.of(1, Number.NaN), [2]);
  const run = compile(device, (x: Tensor) => ({ y: mul(x, weight) }));
  assert.match(
    await failure(run(Float32Array.of(1, 2))),
    /is NaN in the state layer\.weight, f32\[2\]/,
  );
  const plain = compile(device, (_: Tensor, x: Tensor) => ({ y: exp(x) }));
  const bad = plain(Float32Array.of(1), Float32Array.of(-Infinity, 0));
  assert.match(await failure(bad), /is infinity in argument 1 of the compiled function/);
  const x = tensor([1, 0]);
  assert.match(
    await failure(read(device, [div(1, x)])),
    /is infinity in div f32\[2\], made at .*finite\.test\.ts/,
  );
});

test("a step of BERT with padding and dropout is found sound, and a poisoned one is found", async (device) => {
  const model = await BertForMaskedLM.load(goldenFolder("bert"));
  const optimizer = new AdamW(model.parameters);
  type Batch = { readonly ids: Tensor; readonly mask: Tensor; readonly labels: Tensor };
  const step = (scale: number) =>
    compile(device, ({ ids, mask, labels }: Batch, rng: Tensor, scalars: Tensor) => {
      const hidden = model.encode({ ids, mask }, { training: { rng } });
      const loss = mean(crossEntropy(mul(model.logits(hidden), scale), labels));
      optimizer.update(grad(loss, model.parameters), scalars, [loss]);
      return { loss };
    });
  const ids = tensor(Uint32Array.of(4, 5, 6, 7, 8, 0), [2, 3]);
  const mask = tensor(Uint32Array.of(1, 1, 1, 1, 1, 0), [2, 3]);
  const batch = { ids, mask, labels: ids };
  const rest = [dropoutState(1, 1), optimizer.scalars(1, 1e-3)] as const;
  const { loss } = await step(1)(batch, ...rest);
  assert.ok(Number.isFinite(await loss.item()));
  const message = await failure(step(3e38)(batch, ...rest));
  assert.match(message, /is infinity in mul f32\[2,3,67\]|is infinity in mul f32\[2, 3, 67\]/);
  const weight = model.weights.parameters.get("bert.encoder.layer.1.output.dense.weight");
  if (!weight) throw new Error("there is no such weight");
  const [values] = await read(device, [weight]);
  values[3] = 3e38;
  device.write(weight, values);
  const deep = await failure(step(1)(batch, ...rest));
  assert.match(
    deep,
    /is (infinity|NaN) in \w+ .*, made at .*models\/\w+\.ts:\d+.*called from .*finite\.test\.ts/,
  );
});
test.run();

const plain = suite("finite");
plain("off by default: plans are as they are without it", async () => {
  for (const device of await openDevices()) {
    assert.is(device.checkFinite, undefined);
    const run = compile(device, (x: Tensor) => ({ y: sqrt(x) }));
    const before = device.stats.launches;
    assert.ok(Number.isNaN((await (await run(Float32Array.of(-1))).y.read())[0]));
    assert.is(device.stats.launches - before, 1);
  }
});
plain("DEBUG=nan turns it on, and the option comes first", async () => {
  const before = process.env.DEBUG;
  process.env.DEBUG = "nan";
  try {
    assert.is((await openDevice({ device: "cpu" })).checkFinite, true);
    assert.is((await openDevice({ device: "cpu", checkFinite: false })).checkFinite, undefined);
  } finally {
    if (before === undefined) delete process.env.DEBUG;
    else process.env.DEBUG = before;
  }
});
plain.run();
