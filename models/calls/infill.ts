/** An encoder-decoder reads texts and writes them anew, with words for their masks. */
import type { Device } from "../../engine/device.ts";
import { ModelError } from "../errors.ts";
import type { Json } from "../formats/json.ts";
import {
  type Generated,
  type GenerationConfig,
  generationConfig,
  TextGenerator,
} from "../generation/generate.ts";
import type { Seq2Seq } from "../seq2seq.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { encodeText } from "./encode.ts";
import { quoted } from "./fill-mask.ts";

export type WriteOptions = {
  /** Texts that are pursued side by side; 1 takes the most probable token each time. Default: the model's own, else 1. */
  readonly beams?: number | undefined;
  /** Tokens of a result, with those before and behind it. Default: the model's own, else twice the longest text and 16 more. */
  readonly maxLength?: number | undefined;
  /** Fields of generation_config.json; default: those that the model's config.json has. */
  readonly generation?: Json | undefined;
  /** Where they are from, for errors. */
  readonly where?: string | undefined;
};

export type InfillOptions = WriteOptions & {
  readonly device: Device;
  /** Told how much of all work is done, 0 to 1. */
  readonly onProgress?: (share: number) => void;
};

/** A text that was written. */
export type Written = {
  readonly text: string;
  /** Without the special tokens at its ends. */
  readonly filled: string;
  readonly ids: readonly number[];
  /** As `Generated.score`. */
  readonly score: number;
};

/** Ids as the encoder reads them. Throws ModelError for a text that is too long, or that holds another model's mask. */
export function readable(
  { positions }: Pick<Seq2Seq, "positions">,
  tokenizer: Tokenizer,
  texts: readonly string[],
): number[][] {
  return texts.map((text) => {
    const ids = [...encodeText(tokenizer, text).ids];
    if (tokenizer.has("mask") && text.includes("[MASK]") && !ids.includes(tokenizer.mask)) {
      const mask = tokenizer.token(tokenizer.mask);
      throw new ModelError(
        `[infill] ${quoted(text)} has a [MASK], but this model's mask is ${mask}`,
      );
    }
    if (ids.length > positions) {
      throw new ModelError(
        `[infill] ${quoted(text)} has ${ids.length} tokens with those around it, the model reads ${positions}; shorten the text`,
      );
    }
    return ids;
  });
}

/** How texts are written: what was asked for over the model's own. Throws `[config] ...`. */
export function writingOf(
  model: Seq2Seq,
  { beams, maxLength, generation = model.json, where = "config.json" }: WriteOptions,
  longest: number,
): GenerationConfig {
  const { positions: limit, vocabularySize } = model;
  const { max_length, num_return_sequences: _, ...rest } = generation;
  const usual = Math.min(limit, Number(max_length ?? 2 * longest + 16));
  const config = generationConfig({ ...rest, max_length: usual }, where, vocabularySize);
  const max = maxLength ?? config.max_length;
  return {
    ...config,
    num_beams: beams ?? config.num_beams,
    max_length: max,
    min_length: Math.min(config.min_length, max),
  };
}

const generators = new WeakMap<Seq2Seq, WeakMap<Device, TextGenerator>>();

/** The generator of a model on a device, which keeps its plans. */
export function generatorOf(device: Device, model: Seq2Seq): TextGenerator {
  const own = generators.get(model) ?? new WeakMap<Device, TextGenerator>();
  generators.set(model, own);
  const made = own.get(device) ?? new TextGenerator(device, model);
  own.set(device, made);
  return made;
}

/** The text of what was written, without special tokens. */
export const plainText = (tokenizer: Tokenizer, ids: readonly number[]): string => {
  const roles = (["bos", "eos", "pad", "cls", "sep"] as const).filter((role) =>
    tokenizer.has(role),
  );
  const special = new Set(roles.map((role) => tokenizer.special(role)));
  return tokenizer.decode(ids.filter((id) => !special.has(id)));
};

/**
 * Each text written anew, with words for every mask; one mask may become any number of words. Nothing is sampled.
 *
 * @throws ModelError for a text that is too long, or holds another model's mask, and `[generate] ...` for options that do not fit
 */
export async function infill(
  model: Seq2Seq,
  tokenizer: Tokenizer,
  texts: readonly string[],
  { device, onProgress, ...options }: InfillOptions,
): Promise<Written[]> {
  const encoded = readable(model, tokenizer, texts);
  const longest = encoded.reduce((most, ids) => Math.max(most, ids.length), 0);
  const config = writingOf(model, options, longest);
  const written = await generatorOf(device, model).generate(encoded, config, onProgress);
  return written.map(([best]: Generated[], i) => ({
    text: texts[i],
    filled: plainText(tokenizer, best.ids).trim(),
    ids: best.ids,
    score: best.score,
  }));
}
