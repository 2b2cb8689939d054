/** Puts the weights of a checkpoint into a model that is on a device: the other way of save.ts. */
import type { Device } from "../engine/device.ts";
import { initialPieces, type Tensor, type TypedArray } from "../engine/tensor.ts";
import { ModelError } from "./errors.ts";
import type { Saveable } from "./save.ts";

/**
 * Overwrites the weights of `model` by those of `other`, an equal model that was loaded and is on no device.
 *
 * @throws ModelError, before anything is written, for a tensor that only one has or that has another shape
 */
export async function restoreWeights(
  device: Device,
  model: Saveable,
  other: Saveable,
): Promise<void> {
  const pairs: [Tensor, Tensor][] = [];
  for (const kind of ["parameters", "buffers"] as const) {
    const [own, given] = [model.weights[kind], other.weights[kind]];
    for (const name of new Set([...own.keys(), ...given.keys()])) {
      const [to, from] = [own.get(name), given.get(name)];
      if (to && from && to.shape.join() === from.shape.join()) pairs.push([to, from]);
      else {
        const shapes = [to, from].map((t) => (t ? `[${t.shape}]` : "nothing"));
        throw new ModelError(
          `[weights] ${name} is ${shapes[0]} in the model and ${shapes[1]} in the checkpoint; use a checkpoint of the same model`,
        );
      }
    }
  }
  for (const [to, from] of pairs) await device.fill(to, valuesOf(from));
}

/** What a state begins with, in pieces, zeros too. */
async function* valuesOf(source: Tensor): AsyncGenerator<TypedArray> {
  let values = 0;
  for await (const piece of initialPieces(source)) {
    values += piece.length;
    yield piece;
  }
  if (values < source.size) yield new Float32Array(source.size);
}
