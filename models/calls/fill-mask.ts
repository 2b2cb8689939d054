/** Which tokens belong at the masks of texts, by a masked LM. */
import { compile } from "../../engine/compile.ts";
import type { Device } from "../../engine/device.ts";
import { topK as largest } from "../../engine/ops/argmax.ts";
import { softmax } from "../../engine/ops/softmax.ts";
import { type Tensor, tensor } from "../../engine/tensor.ts";
import { ModelError, printableJson } from "../errors.ts";
import { bucket, powerOfTwo } from "../generation/encoded.ts";
import type { MaskedLM } from "../masked-lm.ts";
import { gatherRows } from "../nn.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { batchOf } from "./encode.ts";

/** A token that may stand at a mask. */
export type Candidate = {
  readonly token: string;
  readonly id: number;
  readonly probability: number;
};

/** A text with the most probable tokens of each of its masks, the most probable first; each mask is filled while the others stay. */
export type Filled = {
  readonly text: string;
  readonly masks: readonly (readonly Candidate[])[];
};

export type FillMaskOptions = {
  readonly device: Device;
  /** Tokens for each mask; default 5. */
  readonly topK?: number;
  /** Told how many texts are done. */
  readonly onProgress?: (done: number) => void;
};

/** A text as the model reads it. */
export type Masked = {
  readonly text: string;
  readonly ids: readonly number[];
  /** Where masks stand in `ids`. */
  readonly places: readonly number[];
};

/** A text as a message shows it. */
export const quoted = (text: string): string =>
  printableJson(text.length > 60 ? `${text.slice(0, 57)}...` : text);

/**
 * Texts with the places of their masks.
 * @throws ModelError for a text without a mask, or too long for the model
 */
export function maskedTexts(
  { positions }: Pick<MaskedLM, "positions">,
  tokenizer: Tokenizer,
  texts: readonly string[],
): Masked[] {
  return texts.map((text) => {
    const ids = [tokenizer.cls, ...tokenizer.encode(text), tokenizer.sep];
    const places = ids.flatMap((id, place) => (id === tokenizer.mask ? [place] : []));
    if (places.length === 0) {
      const mask = tokenizer.token(tokenizer.mask);
      throw new ModelError(
        `[fill-mask] ${quoted(text)} has no ${mask}, which is this model's mask; write it where a word is missing`,
      );
    }
    if (ids.length > positions) {
      throw new ModelError(
        `[fill-mask] ${quoted(text)} has ${ids.length} tokens with those around it, the model reads ${positions}; shorten the text`,
      );
    }
    return { text, ids, places };
  });
}

type Batch = {
  readonly ids: Tensor; // u32 [B, T]
  readonly mask: Tensor; // u32 [B, T]
  readonly rows: Tensor; // u32 [R], b T + place of each mask
};

/** Texts that are read together. */
export const TOGETHER = 8;

/** A batch of sizes that recur, so that few plans serve all texts: missing texts and masks repeat the first one. */
function batched(texts: readonly Masked[], pad: number, limit: number): Batch {
  const longest = texts.reduce((most, { ids }) => Math.max(most, ids.length), 0);
  const width = Math.min(bucket(longest), limit);
  const all = Array.from({ length: powerOfTwo(texts.length) }, (_, b) => texts[b] ?? texts[0]);
  const { ids, mask } = batchOf(
    all.map((text) => ({ ids: text.ids, types: [] })),
    width,
    pad,
  );
  const places = texts.flatMap(({ places }, b) => places.map((place) => b * width + place));
  const filled = Array.from(
    { length: powerOfTwo(places.length) },
    (_, i) => places[i] ?? places[0],
  );
  return { ids, mask, rows: tensor(Uint32Array.from(filled)) };
}

/** A batch in, the k most probable tokens of each mask out, [R, k]. */
type Runner = (batch: Batch) => Promise<{ readonly values: Readable; readonly indices: Readable }>;
type Readable = { read(): Promise<ArrayLike<number>> };

/** What was compiled for a model on a device, by k. */
const compiled = new WeakMap<MaskedLM, WeakMap<Device, Map<number, Runner>>>();

function runnerOf(device: Device, model: MaskedLM, k: number): Runner {
  const devices = compiled.get(model) ?? new WeakMap<Device, Map<number, Runner>>();
  compiled.set(model, devices);
  const runners = devices.get(device) ?? new Map<number, Runner>();
  devices.set(device, runners);
  const made =
    runners.get(k) ??
    compile(device, ({ ids, mask, rows }: Batch) => {
      const hidden = model.encode({ ids, mask });
      return largest(softmax(model.logits(gatherRows(hidden, rows))), k);
    });
  runners.set(k, made);
  return made;
}

/**
 * For each text, for each of its masks, the most probable tokens.
 *
 * @param texts with the model's mask, `[MASK]` or `<mask>`, where a word is missing
 * @throws ModelError `[fill-mask] ...` for a text without a mask or too long, and for more tokens than there are
 */
export async function fillMask(
  model: MaskedLM,
  tokenizer: Tokenizer,
  texts: readonly string[],
  { device, topK: k = 5, onProgress }: FillMaskOptions,
): Promise<Filled[]> {
  const rows = model.vocabularySize;
  if (!Number.isSafeInteger(k) || k < 1 || k > rows) {
    throw new ModelError(
      `[fill-mask] topK is ${k}, where the model has ${rows} tokens; use a whole number from 1 to that`,
    );
  }
  const masked = maskedTexts(model, tokenizer, texts);
  const run = runnerOf(device, model, k);
  const order = masked.map((_, i) => i).sort((a, b) => masked[a].ids.length - masked[b].ids.length);
  const results: Candidate[][][] = masked.map(() => []);
  for (let start = 0; start < order.length; start += TOGETHER) {
    const group = order.slice(start, start + TOGETHER);
    const own = group.map((i) => masked[i]);
    const { values, indices } = await run(batched(own, tokenizer.pad, model.positions));
    const [probabilities, ids] = [await values.read(), await indices.read()];
    const asked = own.reduce((n, t) => n + t.places.length, 0) * k;
    if (!Array.from({ length: asked }, (_, i) => probabilities[i]).every(Number.isFinite)) {
      throw new ModelError(
        "[fill-mask] the model's answer is not finite, though its weights are: a value in between is too large for f32; use another checkpoint",
      );
    }
    let row = 0;
    for (const i of group) {
      results[i] = masked[i].places.map(() => {
        const first = row++ * k;
        return Array.from({ length: k }, (_, j) => {
          const id = ids[first + j];
          // tables may have more rows than the vocabulary has tokens
          const token = id < tokenizer.size ? tokenizer.token(id) : `[${id}]`;
          return { token, id, probability: probabilities[first + j] };
        });
      });
    }
    onProgress?.(start + group.length);
  }
  return masked.map(({ text }, i) => ({ text, masks: results[i] }));
}
