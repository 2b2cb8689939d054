/**
 * Texts as a model reads them: with the special tokens that belong around them, cut to a length, padded to one width. What
 * transformers' tokenizers give for `tokenizer(texts, padding=True, truncation=True)`.
 */
import { type Tensor, tensor } from "../../engine/tensor.ts";
import { ModelError } from "../errors.ts";
import { isObject, type Json } from "../formats/json.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

/** A text, or two that are read together. */
export type TextOrPair = string | readonly [string, string];

export type EncodeOptions = {
  /** Tokens of the longest result, special ones included: longer texts are cut, of a pair the longer one first. */
  readonly maxLength?: number;
  /** Tokens of every result; that of the longest when left out. */
  readonly padTo?: number;
};

/** Texts as one batch, each u32 [B, T]; goes to a model as it is. */
export type EncodedBatch = {
  readonly ids: Tensor;
  /** 1 where there is a token. */
  readonly mask: Tensor;
  /** The segment of each token: token_type_ids. */
  readonly types: Tensor;
};

/** A text's tokens with their segments. */
export type EncodedText = { readonly ids: readonly number[]; readonly types: readonly number[] };

/** A place of a result: a special token, or one of the texts. */
type Piece = { readonly type: number } & ({ readonly id: number } | { readonly text: 0 | 1 });
type Layout = { readonly single: readonly Piece[]; readonly pair: readonly Piece[] };

const special = (id: number, type = 0): Piece => ({ id, type });
const FIRST: Piece = { text: 0, type: 0 };
const second = (type: number): Piece => ({ text: 1, type });

/** BERT's: [CLS] a [SEP], and b [SEP] of the second segment. */
function bertLayout(cls: number, sep: number): Layout {
  const single = [special(cls), FIRST, special(sep)];
  return { single, pair: [...single, second(1), special(sep, 1)] };
}

/** RoBERTa's: <s> a </s>, and </s> b </s>, all of one segment. */
function robertaLayout(cls: number, sep: number): Layout {
  const single = [special(cls), FIRST, special(sep)];
  return { single, pair: [...single, special(sep), second(0), special(sep)] };
}

/** What a post-processor of tokenizer.json puts around texts; undefined for those that put nothing. */
function processed(entry: unknown, tokenizer: Tokenizer): Layout | undefined {
  if (!isObject(entry)) return undefined;
  const idOf = (given: unknown): number =>
    tokenizer.id(String(Array.isArray(given) ? given[0] : given));
  if (entry.type === "Sequence" && Array.isArray(entry.processors)) {
    const all = entry.processors.map((one) => processed(one, tokenizer));
    return all.find((one) => one !== undefined);
  }
  if (entry.type === "BertProcessing") return bertLayout(idOf(entry.cls), idOf(entry.sep));
  if (entry.type === "RobertaProcessing") return robertaLayout(idOf(entry.cls), idOf(entry.sep));
  if (entry.type !== "TemplateProcessing") return undefined;
  const pieces = (list: unknown): Piece[] =>
    (Array.isArray(list) ? list : []).filter(isObject).map((one): Piece => {
      const [kind, body] = Object.entries(one)[0] ?? [];
      const { id, type_id } = Object(body) as Json;
      const type = Number(type_id ?? 0);
      if (kind === "Sequence") return { text: id === "B" ? 1 : 0, type };
      return special(idOf(id), type);
    });
  return { single: pieces(entry.single), pair: pieces(entry.pair) };
}

const layouts = new WeakMap<Tokenizer, Layout>();

const NOTHING: Layout = { single: [FIRST], pair: [FIRST, second(1)] };

/** By tokenizer.json, and where it has no post-processor by the special tokens that there are. */
function layoutOf(tokenizer: Tokenizer): Layout {
  const known = layouts.get(tokenizer);
  if (known) return known;
  const whole = tokenizer.files["tokenizer.json"];
  const { post_processor: entry } = Object(whole === undefined ? {} : JSON.parse(whole)) as Json;
  const made = entry ? (processed(entry, tokenizer) ?? NOTHING) : usual(tokenizer);
  layouts.set(tokenizer, made);
  return made;
}

function usual(tokenizer: Tokenizer): Layout {
  if (tokenizer.has("cls") && tokenizer.has("sep")) {
    const { cls, sep } = tokenizer;
    return tokenizer.token(sep) === "</s>" ? robertaLayout(cls, sep) : bertLayout(cls, sep);
  }
  if (tokenizer.kind === "unigram" && tokenizer.has("eos")) {
    const end = special(tokenizer.eos);
    return { single: [FIRST, end], pair: [FIRST, end, second(0), end] };
  }
  return NOTHING;
}

/** How many tokens of two texts are kept where `room` is there for both. */
function shares(a: number, b: number, room: number): [number, number] {
  if (a + b <= room) return [a, b];
  const [short, long] = a <= b ? [a, b] : [b, a];
  const half = Math.floor(room / 2);
  const [least, most] = short > half ? [half, room - half] : [short, Math.min(long, room - short)];
  return a <= b ? [least, most] : [most, least];
}

/**
 * One text, or two, with what belongs around them.
 * @throws ModelError for a length that the special tokens alone exceed
 */
export function encodeText(
  tokenizer: Tokenizer,
  text: TextOrPair,
  maxLength = Number.POSITIVE_INFINITY,
): EncodedText {
  const layout = layoutOf(tokenizer);
  const texts = typeof text === "string" ? [text] : text;
  const pieces = texts.length > 1 ? layout.pair : layout.single;
  const room = maxLength - pieces.filter((piece) => "id" in piece).length;
  if (!(room >= 0)) {
    throw new ModelError(
      `[encode] maxLength is ${maxLength}, less than the special tokens alone take; allow ${maxLength - room} or more`,
    );
  }
  const all = texts.map((one) => tokenizer.encode(one));
  const kept = shares(all[0].length, all[1]?.length ?? 0, room);
  const parts = pieces.map((piece) =>
    "id" in piece ? [piece.id] : all[piece.text].slice(0, kept[piece.text]),
  );
  const types = pieces.flatMap(({ type }, i) => parts[i].map(() => type));
  return { ids: parts.flat(), types };
}

/** Encoded texts as one batch of width `width`. Throws ModelError for one that is longer. */
export function batchOf(
  texts: readonly EncodedText[],
  width: number,
  padding: number,
): EncodedBatch {
  const rows = texts.length;
  const ids = new Uint32Array(rows * width).fill(padding);
  const [mask, types] = [new Uint32Array(rows * width), new Uint32Array(rows * width)];
  texts.forEach((text, b) => {
    if (text.ids.length > width) {
      throw new ModelError(
        `[encode] text ${b} has ${text.ids.length} tokens, more than the ${width} of padTo; shorten it, or set maxLength to cut it`,
      );
    }
    ids.set(text.ids, b * width);
    types.set(text.types, b * width);
    mask.fill(1, b * width, b * width + text.ids.length);
  });
  const shape = [rows, width];
  return { ids: tensor(ids, shape), mask: tensor(mask, shape), types: tensor(types, shape) };
}

/**
 * Texts, or pairs of texts, as one batch, the padding behind them.
 *
 * @returns ids, mask and types, u32 [B, T]: `model.encode(batch)`, `model.logits(batch)`
 * @throws ModelError for no texts, and for one that is longer than `padTo`
 */
export function encodeBatch(
  tokenizer: Tokenizer,
  texts: readonly TextOrPair[],
  { maxLength, padTo }: EncodeOptions = {},
): EncodedBatch {
  if (texts.length === 0) throw new ModelError("[encode] there are no texts; give one or more");
  const encoded = texts.map((text) => encodeText(tokenizer, text, maxLength));
  const longest = encoded.reduce((most, { ids }) => Math.max(most, ids.length), 1);
  const padding = tokenizer.has("pad") ? tokenizer.pad : 0;
  return batchOf(encoded, padTo ?? longest, padding);
}
