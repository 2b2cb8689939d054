/** Texts as a decoder looks back at them: the encoder's keys and values, kept on the device from one run to the next. */
import { compile } from "../../engine/compile.ts";
import type { Device } from "../../engine/device.ts";
import { type Tensor, tensor, zeroState } from "../../engine/tensor.ts";
import { assign } from "../../engine/trace.ts";
import type { KeyValue, Seq2Seq } from "../seq2seq.ts";

/** The least of 8, 12, 16, 24, 32, 48, ... that holds `size`: at most half as much again. */
export function bucket(size: number): number {
  let width = 8;
  while (width < size) width *= 2;
  return width > 8 && size <= (3 * width) / 4 ? (3 * width) / 4 : width;
}

export const powerOfTwo = (size: number): number => 2 ** Math.ceil(Math.log2(size));

/** The token of places that no other one sees. */
export const FILLER = 0;

/** Encoder's input, u32 [B, S]. */
type Source = { readonly ids: Tensor; readonly mask: Tensor };

/** What one model's encoder has read, and other keys and values of as many layers. */
export class Encoded {
  readonly #model: Seq2Seq;
  readonly #layers: number;
  /** Of the decoder's keys and values. */
  readonly width: number;
  readonly #states = new Map<string, readonly KeyValue[]>();
  readonly #encode: (source: Source) => Promise<unknown>;

  constructor(device: Device, model: Seq2Seq) {
    this.#model = model;
    // described, never computed
    const one = tensor(new Uint32Array(1), [1, 1]);
    const { layers } = model.start(model.encode({ ids: one }), undefined);
    this.#layers = layers.length;
    this.width = layers[0].cross.k.shape[2];
    this.#encode = compile(device, ({ ids, mask }: Source) => {
      const [texts, length] = ids.shape;
      const { layers } = model.start(model.encode({ ids, mask }), mask);
      this.cross(texts, length).forEach((kept, i) => {
        assign(kept.k, layers[i].cross.k);
        assign(kept.v, layers[i].cross.v);
      });
      return {};
    });
  }

  /**
   * Runs the encoder; gives the mask u32 [rows, S] of what it read.
   * @param texts ids, one text or more, none longer than the model's positions
   * @param rows of the batch; those without a text read the first one, and nobody looks at them
   */
  async read(texts: readonly (readonly number[])[], rows: number): Promise<Tensor> {
    const longest = texts.reduce((most, ids) => Math.max(most, ids.length), 0);
    const length = Math.min(bucket(longest), this.#model.positions);
    const fill = (value: (id: number | undefined) => number): Tensor =>
      tensor(
        Uint32Array.from({ length: rows * length }, (_, i) =>
          value((texts[Math.floor(i / length)] ?? texts[0])[i % length]),
        ),
        [rows, length],
      );
    const mask = fill((id) => (id === undefined ? 0 : 1));
    await this.#encode({ ids: fill((id) => id ?? FILLER), mask });
    return mask;
  }

  /** The encoder's keys and values [rows, S, width] of each layer, as `read` has left them. */
  cross(rows: number, length: number): readonly KeyValue[] {
    return this.kept("encoder", [rows, length, this.width]);
  }

  /** States of a shape for each layer, the same for the same name. */
  kept(name: string, shape: readonly number[]): readonly KeyValue[] {
    const key = `${name} ${shape.join("x")}`;
    const known = this.#states.get(key);
    if (known) return known;
    const made = Array.from({ length: this.#layers }, (_, i) => ({
      k: zeroState(`cache ${key} layer ${i} k`, shape),
      v: zeroState(`cache ${key} layer ${i} v`, shape),
    }));
    this.#states.set(key, made);
    return made;
  }
}
