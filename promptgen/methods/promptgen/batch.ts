/**
 * PromptGen's facts as token ids, and batches of them.
 *
 * Every length in a batch follows from one key, its subject width W (pieces of the longest subject that the batch may hold): the
 * encoder reads W + extra pieces, the decoder's prefix has 2 + W, the reader reads W + m + n + 3. So there are as many plans as
 * buckets.
 */
import type { Tensor } from "../../../engine/tensor.ts";
import type { Tokenizer } from "../../../models/tokenizer/tokenizer.ts";
import { fill } from "../../facts/templates.ts";
import { filledUp, leftPadded, rightPadded } from "../../training/padding.ts";
import type { Asked } from "../method.ts";

/** The generator's tokenizer, and how the reader's encodes a text. */
export type Tokenizers = {
  readonly generator: Tokenizer;
  readonly reader: (text: string) => readonly number[];
};

/** One question as ids. */
export type Example = {
  /** Generator: `<s>`, the template with the fact's subject and `<mask>` for the object, `</s>`. */
  readonly encoder: readonly number[];
  /** The generator's pieces of the fact's subject, as at the start of a text. */
  readonly generator: readonly number[];
  /** The reader's pieces of each subject that is asked with. */
  readonly reader: readonly (readonly number[])[];
};

/** Throws when the template lacks a place. */
export function encodeExample(
  { fact, relation, subjects }: Asked,
  { generator, reader }: Tokenizers,
): Example {
  const sentence = fill(relation.template, fact.subject, generator.token(generator.mask));
  return {
    encoder: [generator.bos, ...generator.encode(sentence), generator.eos],
    generator: generator.encode(fact.subject),
    reader: subjects.map(reader),
  };
}

/** Pieces of the longest subject in whichever model it has more, at least 1: what an example is put into a bucket by. */
export const subjectWidth = ({ generator, reader }: Example): number =>
  reader.reduce((most, pieces) => Math.max(most, pieces.length), Math.max(generator.length, 1));

/** The most pieces that an encoder input has beyond its subject's. */
export const extraOf = (examples: readonly Example[]): number =>
  examples.reduce((most, one) => Math.max(most, one.encoder.length - subjectWidth(one)), 0);

/** Special tokens that batches are made with. */
export type SpecialIds = {
  readonly generator: { readonly bos: number; readonly eos: number; readonly pad: number };
  readonly reader: { readonly cls: number; readonly pad: number };
};

/** What all batches of a run share. */
export type BatchLayout = {
  /** See `extraOf`. */
  readonly extra: number;
  readonly ids: SpecialIds;
};

/** B prompts, asked with S subjects each; W is the subject width, T = W + 2. */
export type PromptBatch = {
  readonly encoderIds: Tensor; // u32 [B, W + extra]
  readonly encoderMask: Tensor; // u32 [B, W + extra]
  /** `</s> <s> subject`, padded on the left: every row's last place is its subject's last piece. */
  readonly prefixIds: Tensor; // u32 [T, B]
  readonly prefixPositions: Tensor; // u32 [T, B]
  readonly prefixMask: Tensor; // u32 [B, T]
  /** `[CLS] subject`, padded on the right: B rows with the first subject, then B with the second, ... */
  readonly readerIds: Tensor; // u32 [S * B, 1 + W]
  readonly readerMask: Tensor; // u32 [S * B, 1 + W]
};

/** Makes a batch of `rows` rows of one subject width. Missing rows repeat the first example. */
export function assemble(
  examples: readonly Example[],
  width: number,
  rows: number,
  { extra, ids }: BatchLayout,
): PromptBatch {
  const filled = filledUp(examples, rows);
  const { bos, eos, pad } = ids.generator;
  const encoder = rightPadded(
    filled.map((row) => row.encoder),
    width + extra,
    pad,
  );
  const prefix = leftPadded(
    filled.map(({ generator }) => [eos, bos, ...generator]),
    width + 2,
    pad,
  );
  const questions = examples[0].reader.flatMap((_, s) =>
    filled.map(({ reader }) => [ids.reader.cls, ...reader[s]]),
  );
  const asked = rightPadded(questions, width + 1, ids.reader.pad);
  return {
    encoderIds: encoder.ids,
    encoderMask: encoder.mask,
    prefixIds: prefix.ids,
    prefixPositions: prefix.positions,
    prefixMask: prefix.mask,
    readerIds: asked.ids,
    readerMask: asked.mask,
  };
}
