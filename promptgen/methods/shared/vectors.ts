/**
 * Free vectors in a question: what stands around them, which words are nearest to them, and the file that keeps them. Knows no
 * method.
 */
import type { Device } from "../../../engine/device.ts";
import { argmax } from "../../../engine/ops/argmax.ts";
import { mul } from "../../../engine/ops/elementwise.ts";
import { matmul } from "../../../engine/ops/matmul.ts";
import {
  initialPieces,
  state,
  stateName,
  type Tensor,
  type TypedArray,
} from "../../../engine/tensor.ts";
import { pathSource } from "../../../models/formats/disk.ts";
import { decode } from "../../../models/formats/floats.ts";
import { openSafetensors, readFloat32 } from "../../../models/formats/safetensors.ts";
import { withSeal, writeSealed } from "../../../models/formats/seal.ts";
import type { Training as Dropout } from "../../../models/nn.ts";
import { streamTensors } from "../../../models/save.ts";
import type { Benchmark } from "../../benchmark.ts";
import type { Part, Reader } from "../../reader.ts";

/** What a question is made of, all but its first token, its mask and its last. */
export type Frame = {
  /** The subject's pieces, in all R rows. */
  readonly subject: Part;
  /** Whether the mask stands before the subject. */
  readonly objectFirst?: boolean;
  /** Vectors before both, in R rows or fewer. */
  readonly lead?: Part | undefined;
  /** Vectors between the two. */
  readonly between?: Part | undefined;
  /** Vectors behind both. */
  readonly tail?: Part | undefined;
  /** Ids of words behind them. */
  readonly end: readonly number[];
};

/** Logits f32 [R, vocab_size] at the mask of `[CLS] lead subject between [MASK] tail end [SEP]`, or of that with the mask first. */
export function readFrame(
  reader: Reader,
  { subject, objectFirst = false, lead, between, tail, end }: Frame,
  dropout?: Dropout,
): Tensor {
  const only = (part: Part | undefined): Part[] => (part ? [part] : []);
  const first = [reader.word(reader.ids.cls, subject.mask.shape[0]), ...only(lead)];
  const last = [...only(tail), ...[...end, reader.ids.sep].map((id) => reader.word(id, 1))];
  return objectFirst
    ? reader.read(first, [...only(between), subject, ...last], dropout)
    : reader.read([...first, subject, ...only(between)], last, dropout);
}

/** The pieces of a sentence's final period, as they follow the mask. */
export function finalPeriod({
  tokenizer,
  encode,
}: Pick<Benchmark, "tokenizer" | "encode">): readonly number[] {
  const ids = encode(`${tokenizer.token(tokenizer.mask)}.`);
  return ids.slice(ids.indexOf(tokenizer.mask) + 1);
}

/** Frozen tables with the inverse lengths of their rows. */
const inverses = new WeakMap<Tensor, Tensor>();

/** What a frozen table keeps, as numbers. */
const numbersOf = ({ dtype }: Tensor, { buffer, byteOffset, byteLength }: TypedArray) =>
  decode(dtype.toUpperCase(), new Uint8Array(buffer, byteOffset, byteLength));

/** 1 / length of each row of a frozen table, f32 [rows]: made once, when a device first asks for it. */
function inverseLengths(table: Tensor): Tensor {
  const known = inverses.get(table);
  if (known) return known;
  const [rows, width] = table.shape;
  const all = async (): Promise<Float32Array> => {
    const squares = new Float64Array(rows);
    let at = 0;
    for await (const piece of initialPieces(table)) {
      for (const value of numbersOf(table, piece))
        squares[Math.floor(at++ / width)] += value * value;
    }
    return Float32Array.from(squares, (sum) => 1 / Math.sqrt(Math.max(sum, 1e-12))); // a row may be zero
  };
  const source = { read: async (first: number, end: number) => (await all()).subarray(first, end) };
  const made = state("inverse_lengths", source, [rows]);
  inverses.set(table, made);
  return made;
}

/** Ids u32 [n] of the words whose rows in a frozen table have the largest cosine with vectors f32 [n, hidden_size]. */
export const nearestWords = (vectors: Tensor, table: Tensor): Tensor =>
  argmax(mul(matmul(vectors, table, { transB: true }), inverseLengths(table)));

/** Vectors as people read them: the nearest words, marked as being none. */
export const asNearest = (
  { tokenizer }: Pick<Benchmark, "tokenizer">,
  ids: Iterable<number>,
): string[] => Array.from(ids, (id) => `<${tokenizer.token(id)}>`);

/** Writes states as a safetensors file, whole or not at all. */
export const saveStates = (
  device: Device,
  path: string,
  states: readonly Tensor[],
): Promise<void> => writeSealed(path, streamTensors(device, states, withSeal({ format: "pt" })));

/** A tensor of a file that was written by `saveStates`. */
export type Saved = { readonly shape: readonly number[]; readonly values: Float32Array };

/** The tensors of a file of `saveStates` by name. Throws one sentence, for `who`, where it cannot be read or holds no numbers. */
export async function readStates(path: string, who: string): Promise<Map<string, Saved>> {
  const source = await pathSource(path).catch((cause) => {
    throw new Error(`[${who}] ${path} cannot be read; name the folder of a finished run`, {
      cause,
    });
  });
  const found = new Map<string, Saved>();
  for (const [name, tensor] of (await openSafetensors(source, path)).tensors) {
    const values = await readFloat32(tensor);
    if (!values.every(Number.isFinite)) {
      throw new Error(`[${who}] ${path} holds values that are not finite; train it again`);
    }
    found.set(name, { shape: tensor.shape, values });
  }
  return found;
}

/** The values of a tensor in a file. Throws one sentence where the file does not hold it in this shape. */
export function savedValues(
  saved: ReadonlyMap<string, Saved>,
  name: string,
  shape: readonly number[],
  path: string,
  who: string,
): Float32Array {
  const found = saved.get(name);
  if (found?.shape.join() === shape.join()) return found.values;
  throw new Error(
    `[${who}] ${path} does not hold ${name} [${shape}]; use the reader and the options of its run`,
  );
}

/** Puts the values of a file of `saveStates` into states of the same names and shapes, all or none. */
export async function restoreStates(
  device: Device,
  path: string,
  states: readonly Tensor[],
  who: string,
): Promise<void> {
  const saved = await readStates(path, who);
  const values = states.map((t) => savedValues(saved, stateName(t), t.shape, path, who));
  states.forEach((t, i) => {
    device.write(t, values[i]);
  });
}
