/**
 * The models of a tokenizer.json, which make ids of a word, each as Python's `tokenizers` does. WordPiece is
 * `@huggingface/tokenizers`' own.
 */
import * as library from "@huggingface/tokenizers";
import { ModelError } from "../errors.ts";
import { isObject, type Json } from "../formats/json.ts";
import {
  boolean,
  count,
  nullable,
  type Option,
  type Part,
  partOf,
  refuse,
  type Types,
  text,
} from "./parts.ts";

/** The ids of a word. */
export type Model = (word: string) => number[];

/** The ids of the tokens of a model. */
export type Vocabulary = ReadonlyMap<string, number>;

const VOCAB: Option = {
  says: "an object or a list",
  holds: (value) => typeof value === "object" && value !== null,
};

const TYPES: Types = {
  BPE: {
    dropout: {
      says: "null or 0: ids are not drawn at random",
      holds: (value) => value === null || value === 0,
      initial: null,
    },
    unk_token: nullable(text()),
    continuing_subword_prefix: nullable(text()),
    end_of_word_suffix: nullable(text()),
    fuse_unk: boolean(false),
    byte_fallback: boolean(false),
    ignore_merges: boolean(false),
    vocab: VOCAB,
    merges: VOCAB,
  },
  Unigram: {
    unk_id: nullable(count()),
    vocab: VOCAB,
    byte_fallback: boolean(false),
  },
  WordLevel: { vocab: VOCAB, unk_token: text("<unk>") },
  WordPiece: {
    unk_token: text("[UNK]"),
    continuing_subword_prefix: text("##"),
    max_input_chars_per_word: count(100),
    vocab: VOCAB,
  },
};

/** The model entry with its type, which files from before the format named it leave out, and every option. */
export function modelPart(entry: unknown, place: string): Part {
  const given: Json = isObject(entry) ? entry : {};
  if (given.type !== undefined) return partOf(given, TYPES, place);
  let type: string | undefined;
  if (given.merges !== undefined) type = "BPE";
  else if (given.continuing_subword_prefix !== undefined) type = "WordPiece";
  else if (Array.isArray(given.vocab)) type = "Unigram";
  else if (given.vocab !== undefined) type = "WordLevel";
  return partOf(type === undefined ? given : { ...given, type }, TYPES, place);
}

/** What is used of the library, whose own types do not resolve in strict ESM. */
type Library = {
  readonly WordPiece: new (config: object) => { encode(words: string[]): string[] };
};

/** The model of a part, over the ids of its vocabulary. Throws for what is not computed here. */
export function model(part: Part, vocabulary: Vocabulary): Model {
  switch (part.type) {
    case "BPE":
      return bytePairs(part, vocabulary);
    case "Unigram":
      return unigram(part, vocabulary);
    case "WordLevel": {
      const unknown = unknownOf(part.options.unk_token, vocabulary);
      return (word) => [vocabulary.get(word) ?? unknown(word)];
    }
    default: {
      const { WordPiece } = library as unknown as Library;
      const pieces = new WordPiece({ ...part.options, vocab: Object.fromEntries(vocabulary) });
      const unknown = unknownOf(part.options.unk_token, vocabulary);
      return (word) => pieces.encode([word]).map((token) => vocabulary.get(token) ?? unknown(word));
    }
  }
}

/** The id for what is in no vocabulary; throws where that is not in it either, as Python does. */
function unknownOf(token: unknown, vocabulary: Vocabulary): (word: string) => number {
  const id = vocabulary.get(String(token));
  return (word) => {
    if (id !== undefined) return id;
    throw new ModelError(
      `[tokenizer] ${JSON.stringify(word.slice(0, 60))} is not in the vocabulary, and neither is the unk_token ` +
        `${JSON.stringify(token)}; add it to the vocabulary`,
    );
  };
}

const ENCODER = new TextEncoder();

/** The ids of the tokens <0x00> to <0xFF> that spell a text, if all are there. */
function bytesOf(spelling: string, vocabulary: Vocabulary): number[] | undefined {
  const ids: number[] = [];
  for (const byte of ENCODER.encode(spelling)) {
    const id = vocabulary.get(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
    if (id === undefined) return undefined;
    ids.push(id);
  }
  return ids;
}

type Merge = { readonly rank: number; readonly id: number };

/** Byte pair encoding: the pair that was merged first, and of equal ones the leftmost, until none is left. */
function bytePairs({ options, place }: Part, vocabulary: Vocabulary): Model {
  const prefix = String(options.continuing_subword_prefix ?? "");
  const suffix = String(options.end_of_word_suffix ?? "");
  const merges = mergesOf(options.merges, vocabulary, prefix, place);
  const unknown = unknownOf(options.unk_token, vocabulary);

  const symbolsOf = (word: string): number[] => {
    const ids: number[] = [];
    let pending: number | undefined; // an unknown character that is not yet written
    const write = () => {
      if (pending !== undefined) ids.push(pending);
      pending = undefined;
    };
    const characters = [...word];
    characters.forEach((character, i) => {
      const start = i === 0 ? character : prefix + character;
      const symbol = i === characters.length - 1 ? start + suffix : start;
      const id = vocabulary.get(symbol);
      if (id !== undefined) {
        write();
        ids.push(id);
        return;
      }
      const bytes = options.byte_fallback === true ? bytesOf(symbol, vocabulary) : undefined;
      if (bytes) ids.push(...bytes);
      else if (options.unk_token !== null) {
        if (options.fuse_unk !== true) write();
        pending ??= unknown(word);
      }
    });
    write();
    return ids;
  };

  return (word) => {
    if (word === "") return [];
    const whole = options.ignore_merges === true ? vocabulary.get(word) : undefined;
    return whole === undefined ? merged(symbolsOf(word), merges) : [whole];
  };
}

/** A queue of candidate merges as a binary heap; `a` goes before `b` by rank, then by place. */
type Candidate = { readonly rank: number; readonly at: number; readonly id: number };
const before = (a: Candidate, b: Candidate): boolean =>
  a.rank < b.rank || (a.rank === b.rank && a.at < b.at);

function push(heap: Candidate[], candidate: Candidate): void {
  let at = heap.length;
  heap.push(candidate);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!before(candidate, heap[parent])) break;
    heap[at] = heap[parent];
    at = parent;
  }
  heap[at] = candidate;
}

function pop(heap: Candidate[]): Candidate | undefined {
  const [top] = heap;
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return top;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && before(heap[child + 1], heap[child])) child++;
    if (!before(heap[child], last)) break;
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = last;
  return top;
}

const keyOf = (left: number, right: number): number => left * 0x400_0000 + right;

function merged(ids: number[], merges: ReadonlyMap<number, Merge>): number[] {
  const next = ids.map((_, i) => (i + 1 < ids.length ? i + 1 : -1));
  const previous = ids.map((_, i) => i - 1);
  const gone = new Uint8Array(ids.length);
  const heap: Candidate[] = [];
  const consider = (at: number) => {
    if (at < 0 || next[at] < 0) return;
    const merge = merges.get(keyOf(ids[at], ids[next[at]]));
    if (merge) push(heap, { rank: merge.rank, at, id: merge.id });
  };
  ids.forEach((_, i) => {
    consider(i);
  });
  for (let top = pop(heap); top; top = pop(heap)) {
    const { at, id } = top;
    const right = next[at];
    if (gone[at] === 1 || right < 0) continue;
    if (merges.get(keyOf(ids[at], ids[right]))?.id !== id) continue; // not the pair it was
    ids[at] = id;
    gone[right] = 1;
    next[at] = next[right];
    if (next[at] >= 0) previous[next[at]] = at;
    consider(previous[at]);
    consider(at);
  }
  return ids.filter((_, i) => gone[i] === 0);
}

function mergesOf(
  given: unknown,
  vocabulary: Vocabulary,
  prefix: string,
  place: string,
): ReadonlyMap<number, Merge> {
  if (!Array.isArray(given))
    refuse(place, "(BPE) has merges that are no list", "a list of pairs of tokens");
  const merges = new Map<number, Merge>();
  given.forEach((entry: unknown, rank) => {
    const pair = typeof entry === "string" ? entry.split(" ") : entry;
    const [left, right] = Array.isArray(pair) && pair.length === 2 ? (pair as unknown[]) : [];
    const joined = `${left}${String(right).slice(prefix.length)}`;
    const ids = [left, right, joined].map((token) => vocabulary.get(String(token)));
    const [first, second, id] = ids;
    if (first === undefined || second === undefined || id === undefined) {
      refuse(
        place,
        `(BPE) has the merge ${JSON.stringify(entry)}`,
        "pairs of tokens that the vocabulary holds, joined too",
      );
    }
    merges.set(keyOf(first, second), { rank, id });
  });
  return merges;
}

const UNKNOWN_PENALTY = 10;

/** The likeliest pieces of a word (Viterbi); what is unknown and stands together is one piece. */
function unigram({ options, place }: Part, vocabulary: Vocabulary): Model {
  const entries = options.vocab as readonly (readonly [string, number])[];
  const scores = entries.map(([, score]) => score);
  const unknownId = options.unk_id as number | null;
  if (unknownId !== null && unknownId >= scores.length) {
    refuse(
      place,
      `(Unigram) has unk_id ${unknownId}`,
      `an id below ${scores.length}, the size of its vocabulary`,
    );
  }
  const unknownScore =
    scores.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY) - UNKNOWN_PENALTY;
  const longest = new Map<string, number>(); // in characters, by the first one
  for (const token of vocabulary.keys()) {
    const characters = [...token];
    if (characters.length === 0) continue;
    longest.set(characters[0], Math.max(longest.get(characters[0]) ?? 0, characters.length));
  }
  const unknown = (word: string): number => {
    if (unknownId !== null) return unknownId;
    throw new ModelError(
      `[tokenizer] ${JSON.stringify(word.slice(0, 60))} has a character that is not in the vocabulary, and ${place} (Unigram) has no unk_id; name one`,
    );
  };

  return (word) => {
    const characters = [...word];
    const n = characters.length;
    const best = new Float64Array(n + 1);
    const from = new Int32Array(n + 1).fill(-1);
    const ids = new Int32Array(n + 1);
    const offer = (start: number, end: number, id: number, score: number) => {
      const total = score + best[start];
      if (from[end] >= 0 && total <= best[end]) return;
      best[end] = total;
      from[end] = start;
      ids[end] = id;
    };
    for (let start = 0; start < n; start++) {
      const limit = Math.min(n, start + (longest.get(characters[start]) ?? 0));
      let token = "";
      let single = false;
      for (let end = start + 1; end <= limit; end++) {
        token += characters[end - 1];
        const id = vocabulary.get(token);
        if (id === undefined) continue;
        offer(start, end, id, scores[id]);
        if (end === start + 1) single = true;
      }
      if (!single) offer(start, start + 1, unknown(word), unknownScore);
    }
    const pieces: string[] = [];
    let inUnknown = false;
    for (let end = n; end > 0; end = from[end]) {
      const piece = characters.slice(from[end], end).join("");
      const isUnknown = ids[end] === unknownId;
      if (isUnknown && inUnknown) pieces[pieces.length - 1] = piece + pieces[pieces.length - 1];
      else pieces.push(piece);
      inUnknown = isUnknown;
    }
    return pieces.reverse().flatMap((piece) => {
      const id = vocabulary.get(piece);
      if (id !== undefined) return [id];
      const bytes = options.byte_fallback === true ? bytesOf(piece, vocabulary) : undefined;
      return bytes ?? [unknown(word)];
    });
  };
}
