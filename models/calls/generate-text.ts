/**
 * Text from a model: a causal LM goes on with a text, an encoder-decoder writes another one about it. The most probable token each
 * time, beams, or tokens that are drawn; whole texts, or piece by piece as they are written.
 */
import type { Device } from "../../engine/device.ts";
import { ModelError } from "../errors.ts";
import { banned, forced } from "../generation/beam.ts";
import { GPT2LMHeadModel } from "../gpt2.ts";
import type { Seq2Seq } from "../seq2seq.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { CausalDecoder, type Decoder, Seq2SeqDecoder } from "./decoders.ts";
import { encodeText } from "./encode.ts";
import { infill, plainText, readable, type WriteOptions, writingOf } from "./infill.ts";
import { checkSampling, chosen, isSampled, type SamplingOptions } from "./sampling.ts";

export type TextModel = GPT2LMHeadModel | Seq2Seq;

export type GenerateOptions = SamplingOptions & {
  readonly device: Device;
  /** Tokens that are written at most; default 20. */
  readonly maxNewTokens?: number;
  readonly signal?: AbortSignal;
};

export type GenerateTextOptions = GenerateOptions & Pick<WriteOptions, "beams">;

/** Texts that are decoded together. */
const TOGETHER = 8;

/** Decoders that no text is written with at the moment, each with its plans. */
const idle = new WeakMap<TextModel, WeakMap<Device, Decoder[]>>();

function idleOf(device: Device, model: TextModel): Decoder[] {
  const own = idle.get(model) ?? new WeakMap<Device, Decoder[]>();
  idle.set(model, own);
  const free = own.get(device) ?? [];
  own.set(device, free);
  return free;
}

/** How a text begins and ends, and what may not follow in it. */
function rulesOf(model: TextModel, most: number) {
  if (model instanceof GPT2LMHeadModel) {
    const { eos_token_id: eos } = model.config;
    return { eos, start: [], next: () => undefined, not: () => [] };
  }
  const config = writingOf(model, { beams: 1, maxLength: most + 1 }, 0);
  const { eos_token_id: eos, decoder_start_token_id: start } = config;
  return {
    eos,
    start: [start],
    next: (ids: readonly number[]) => forced(ids, config),
    not: (ids: readonly number[]) => banned(ids, config),
  };
}

function tokensOf(model: TextModel, tokenizer: Tokenizer, texts: readonly string[]): number[][] {
  if (!(model instanceof GPT2LMHeadModel)) return readable(model, tokenizer, texts);
  return texts.map((text) => {
    const ids = [...encodeText(tokenizer, text).ids];
    if (ids.length > 0) return ids;
    return [tokenizer.has("bos") ? tokenizer.bos : model.config.eos_token_id];
  });
}

function checkOptions({ maxNewTokens = 20, ...options }: GenerateOptions): number {
  checkSampling(options);
  if (!Number.isSafeInteger(maxNewTokens) || maxNewTokens < 1) {
    throw new ModelError(
      `[generate] maxNewTokens is ${maxNewTokens}; use a whole number of 1 or more`,
    );
  }
  return maxNewTokens;
}

/**
 * The tokens of texts, one of each at a time; undefined for a text that has ended.
 * @param rows numbers of the texts, by which their tokens are drawn
 */
async function* written(
  model: TextModel,
  texts: readonly (readonly number[])[],
  rows: readonly number[],
  options: GenerateOptions,
): AsyncGenerator<readonly (number | undefined)[]> {
  const { device, signal } = options;
  const most = checkOptions(options);
  const { eos, start, next, not } = rulesOf(model, most);
  const free = idleOf(device, model);
  const decoder =
    free.pop() ??
    (model instanceof GPT2LMHeadModel
      ? new CausalDecoder(device, model)
      : new Seq2SeqDecoder(device, model));
  const all = texts.map(() => [...start]);
  const ended = texts.map(() => false);
  let logits = await decoder.begin(texts, most);
  for (let t = 0, read = 0; t < most && !signal?.aborted && !ended.every(Boolean); t++) {
    const ends = all.map((ids) => ids.at(-1) ?? eos);
    const found = logits ?? (await decoder.next(ends, read++));
    logits = undefined;
    all.forEach((ids, i) => {
      if (ended[i]) return;
      for (const id of not(ids)) found[i][id] = -Infinity;
      const id = next(ids) ?? chosen(found[i], options, rows[i], t);
      ended[i] = id === eos;
      ids.push(id);
    });
    yield all.map((ids, i) => (ended[i] ? undefined : ids.at(-1)));
  }
  free.push(decoder); // one that was left amid a text is let go
}

/**
 * For each text what follows it, without the text itself, or what is written about it. With beams nothing is drawn, and a causal LM
 * has none.
 *
 * @throws ModelError `[generate] ...` for options that are none or do not go together, and for a text that is too long
 */
export async function generateText(
  model: TextModel,
  tokenizer: Tokenizer,
  texts: readonly string[],
  options: GenerateTextOptions,
): Promise<string[]> {
  const { device, beams = 1 } = options;
  const most = checkOptions(options);
  if (beams !== 1) {
    if (model instanceof GPT2LMHeadModel || isSampled(options)) {
      throw new ModelError(
        `[generate] beams is ${beams}, which goes with an encoder-decoder alone, and without temperature, topK and topP; leave it out`,
      );
    }
    const found = await infill(model, tokenizer, texts, { device, beams, maxLength: most + 1 });
    return found.map(({ filled }) => filled);
  }
  const encoded = tokensOf(model, tokenizer, texts);
  const results = encoded.map((): number[] => []);
  // texts of a length together, so that few places are padding
  const order = encoded.map((_, i) => i).sort((a, b) => encoded[a].length - encoded[b].length);
  for (let begin = 0; begin < order.length; begin += TOGETHER) {
    const group = order.slice(begin, begin + TOGETHER);
    const own = group.map((i) => encoded[i]);
    for await (const ids of written(model, own, group, options)) {
      ids.forEach((id, b) => {
        if (id !== undefined) results[group[b]].push(id);
      });
    }
  }
  return results.map((ids) => plainText(tokenizer, ids));
}

/** Characters that are not whole yet: a token may end amid one. */
const BROKEN = /\uFFFD+$/;

/**
 * What follows one text, piece by piece as it is written; the pieces together are the text of `generateText`. Whoever stops reading
 * stops the writing.
 */
export async function* streamText(
  model: TextModel,
  tokenizer: Tokenizer,
  text: string,
  options: GenerateOptions,
): AsyncGenerator<string> {
  checkOptions(options);
  const ids: number[] = [];
  let told = "";
  for await (const [id] of written(model, tokensOf(model, tokenizer, [text]), [0], options)) {
    if (id === undefined) break;
    ids.push(id);
    const whole = plainText(tokenizer, ids).replace(BROKEN, "");
    if (whole.length <= told.length || !whole.startsWith(told)) continue;
    yield whole.slice(told.length);
    told = whole;
  }
  const whole = plainText(tokenizer, ids);
  if (whole.length > told.length) yield whole.slice(told.length);
}
