/** A linear regression, y = 2 x - 1, as an app would have it. */
import { compile, grad, linear, mean, SGD, square, state, sub, tensor } from "promptgen/engine";

/** Losses of 20 steps. */
export async function linearRegression(device) {
  const weight = state("weight", Float32Array.of(0), [1, 1]);
  const bias = state("bias", Float32Array.of(0), [1]);
  const optimizer = new SGD([weight, bias]);
  const values = Float32Array.from({ length: 32 }, (_, i) => i / 16 - 1);
  const x = tensor(values, [32, 1]);
  const y = tensor(
    values.map((value) => 2 * value - 1),
    [32, 1],
  );
  const train = compile(device, ({ x, y }, scalars) => {
    const loss = mean(square(sub(linear(x, weight, bias), y)));
    optimizer.update(grad(loss, [weight, bias]), scalars, [loss]);
    return { loss };
  });
  const losses = [];
  for (let step = 0; step < 20; step++) {
    const { loss } = await train({ x, y }, optimizer.scalars(0.2));
    losses.push(await loss.item());
  }
  return losses;
}
