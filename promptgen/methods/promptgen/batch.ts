/**
 * Facts as token ids, and batches of them.
 *
 * Every length in a batch follows from one key, its subject width W (pieces of the longest subject that the batch may hold): the
 * encoder reads W + extra pieces, the decoder's prefix has 2 + W, BERT reads W + m + n + 3. So there are as many plans as buckets.
 */
import { check } from "../../../engine/errors.ts";
import { type Tensor, tensor } from "../../../engine/tensor.ts";
import type { Tokenizer } from "../../../models/tokenizer/tokenizer.ts";
import type { Fact } from "../../facts/facts.ts";
import { fill } from "../../facts/templates.ts";
import { bucketWidths } from "../../training/buckets.ts";

/** The generator's tokenizer and the masked LM's. */
export interface Tokenizers {
  readonly bart: Tokenizer;
  readonly bert: Tokenizer;
}

/** One fact as ids. */
export interface Example {
  /** BART: `<s>`, the template with the subject and `<mask>` for the object, `</s>`. */
  readonly encoder: readonly number[];
  /** BART's pieces of the subject, as at the start of a text. */
  readonly bart: readonly number[];
  /** BERT's pieces of the subject. */
  readonly bert: readonly number[];
  /** BERT's id of the object, as a word within a sentence. */
  readonly object: number;
}

/** The word that stands for no subject at all. */
export const NONE = "None";

/** Throws when the object is not one token of the masked LM. */
export function encodeExample(fact: Fact, template: string, { bart, bert }: Tokenizers): Example {
  const sentence = fill(template, fact.subject, bart.token(bart.mask));
  return {
    encoder: [bart.bos, ...bart.encode(sentence), bart.eos],
    bart: bart.encode(fact.subject),
    bert: bert.encode(fact.subject),
    object: bert.wordId(fact.object),
  };
}

/** Pieces of the subject in whichever model it has more, at least 1: what an example is put into a bucket by. */
export const subjectWidth = ({ bart, bert }: Example): number =>
  Math.max(bart.length, bert.length, 1);

/** What all batches of a run share. */
export interface BatchLayout {
  /** Subject widths of batches, ascending. */
  readonly buckets: readonly number[];
  /** The most pieces that an encoder input has beyond its subject's. */
  readonly extra: number;
  readonly ids: SpecialIds;
}

/** The layout for `examples`, which are all that will be put into batches; at most `count` buckets. */
export function layoutOf(examples: readonly Example[], ids: SpecialIds, count = 4): BatchLayout {
  const widths = examples.map(subjectWidth);
  const extra = examples.reduce(
    (most, example) => Math.max(most, example.encoder.length - subjectWidth(example)),
    0,
  );
  return { buckets: bucketWidths(widths, count), extra, ids };
}

/** B rows as the compiled functions take them; W is the subject width, S = W + extra, T = W + 2. */
export type Batch = {
  readonly encoderIds: Tensor; // u32 [B, S]
  readonly encoderMask: Tensor; // u32 [B, S]
  /** `</s> <s> subject`, padded on the left: every row's last place is its subject's last piece. */
  readonly prefixIds: Tensor; // u32 [T, B]
  readonly prefixPositions: Tensor; // u32 [T, B]
  readonly prefixMask: Tensor; // u32 [B, T]
  /** `[CLS] subject`, padded on the right: B rows with the subject, then B with "None". */
  readonly bertIds: Tensor; // u32 [2B, 1 + W]
  readonly bertMask: Tensor; // u32 [2B, 1 + W]
  readonly objects: Tensor; // u32 [B]
  /** 1, and 0 for the rows that only fill the batch up. */
  readonly weights: Tensor; // f32 [B]
};

/** Special tokens that batches are made with. */
export interface SpecialIds {
  readonly bart: { readonly bos: number; readonly eos: number; readonly pad: number };
  readonly bert: { readonly cls: number; readonly pad: number; readonly none: number };
}

/** Throws when "None", where a subject stands, is not one piece of the masked LM. */
export function specialIds({ bart, bert }: Tokenizers): SpecialIds {
  const [none, ...more] = bert.encode(NONE);
  check(more.length === 0 && none !== bert.unk, "batch", () => {
    return `"${NONE}" is not one token of the masked LM; use one whose vocabulary has it`;
  });
  return {
    bart: { bos: bart.bos, eos: bart.eos, pad: bart.pad },
    bert: { cls: bert.cls, pad: bert.pad, none },
  };
}

/**
 * Makes a batch of `rows` rows of one subject width, a bucket of the layout. Missing rows repeat the first example with weight 0.
 */
export function assemble(
  examples: readonly Example[],
  width: number,
  rows: number,
  { extra, ids }: BatchLayout,
): Batch {
  check(examples.length > 0 && examples.length <= rows, "batch", () => {
    return `${examples.length} examples do not go into a batch of ${rows} rows; give 1 to ${rows}`;
  });
  const filled = Array.from({ length: rows }, (_, i) => examples[i] ?? examples[0]);
  const { bos, eos, pad } = ids.bart;
  const encoder = rightPadded(
    filled.map((row) => row.encoder),
    width + extra,
    pad,
  );
  const prefix = leftPadded(
    filled.map(({ bart }) => [eos, bos, ...bart]),
    width + 2,
    pad,
  );
  const bert = rightPadded(
    [
      ...filled.map((row) => [ids.bert.cls, ...row.bert]),
      ...filled.map(() => [ids.bert.cls, ids.bert.none]),
    ],
    width + 1,
    ids.bert.pad,
  );
  const weights = Float32Array.from(filled, (_, i) => (i < examples.length ? 1 : 0));
  return {
    encoderIds: encoder.ids,
    encoderMask: encoder.mask,
    prefixIds: prefix.ids,
    prefixPositions: prefix.positions,
    prefixMask: prefix.mask,
    bertIds: bert.ids,
    bertMask: bert.mask,
    objects: tensor(Uint32Array.from(filled, (row) => row.object)),
    weights: tensor(weights),
  };
}

/** Ids and mask u32 [B, width]. */
export function rightPadded(rows: readonly (readonly number[])[], width: number, pad: number) {
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

/** Ids and positions u32 [width, B], step-major, and the mask u32 [B, width]. */
function leftPadded(rows: readonly (readonly number[])[], width: number, pad: number) {
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

function checkWidth(row: readonly number[], width: number): void {
  check(row.length <= width, "batch", () => {
    return `a row of ${row.length} tokens does not fit the width ${width}; make the layout from all examples`;
  });
}
