/** Rows of token ids as tensors of one width. Knows no model and no method. */
import { check } from "../../engine/errors.ts";
import { type Tensor, tensor } from "../../engine/tensor.ts";

/** Ids padded to one width, and which of them are there. */
export type Padded = { readonly ids: Tensor; readonly mask: Tensor };

/** Ids and mask u32 [B, width], the padding behind. */
export function rightPadded(
  rows: readonly (readonly number[])[],
  width: number,
  pad: number,
): Padded {
  const ids = new Uint32Array(rows.length * width).fill(pad);
  const mask = new Uint32Array(rows.length * width);
  rows.forEach((row, b) => {
    checkWidth(row, width);
    ids.set(row, b * width);
    mask.fill(1, b * width, b * width + row.length);
  });
  const shape = [rows.length, width];
  return { ids: tensor(ids, shape), mask: tensor(mask, shape) };
}

/** Ids and positions u32 [width, B], step-major, the padding ahead, and the mask u32 [B, width]. */
export function leftPadded(
  rows: readonly (readonly number[])[],
  width: number,
  pad: number,
): Padded & { readonly positions: Tensor } {
  const count = rows.length;
  const ids = new Uint32Array(width * count).fill(pad);
  const positions = new Uint32Array(width * count);
  const mask = new Uint32Array(count * width);
  rows.forEach((row, b) => {
    checkWidth(row, width);
    const start = width - row.length;
    row.forEach((id, i) => {
      ids[(start + i) * count + b] = id;
      positions[(start + i) * count + b] = i;
    });
    mask.fill(1, b * width + start, (b + 1) * width);
  });
  return {
    ids: tensor(ids, [width, count]),
    positions: tensor(positions, [width, count]),
    mask: tensor(mask, [count, width]),
  };
}

/**
 * `rows` items, the missing ones repeating the first.
 * @throws for no items, and for more than `rows`
 */
export function filledUp<T>(items: readonly T[], rows: number): readonly T[] {
  check(items.length > 0 && items.length <= rows, "batch", () => {
    return `${items.length} examples do not go into a batch of ${rows} rows; give 1 to ${rows}`;
  });
  return Array.from({ length: rows }, (_, i) => items[i] ?? items[0]);
}

/** f32 [rows]: 1 for each of `count` items, 0 for the rows that only fill the batch up. */
export const rowWeights = (count: number, rows: number): Tensor =>
  tensor(Float32Array.from({ length: rows }, (_, i) => (i < count ? 1 : 0)));

function checkWidth(row: readonly number[], width: number): void {
  check(row.length <= width, "batch", () => {
    return `a row of ${row.length} tokens does not fit the width ${width}; make the buckets from all facts`;
  });
}
