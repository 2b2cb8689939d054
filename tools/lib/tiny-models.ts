/**
 * The tokenizers, the configurations and the common vocabulary of a world, from its facts and the sentences that state them.
 *
 * BERT gets a cased WordPiece vocabulary, BART a byte-level BPE one, T5 a Unigram one with sentinels; every
 * word of the world is one token in each. Words outside the world fall into a few learned pieces and then
 * into characters (WordPiece, Unigram) or bytes (BPE).
 */
import { BYTE_CHARACTERS } from "../../models/tokenizer/bytes.ts";
import { groupBy } from "../../promptgen/facts/group-by.ts";

/** Pieces learned for words outside the world. */
const PIECES = 100;
const POSITIONS = 128;

/** What the models are like: hidden size, layers of an encoder or a decoder, attention heads. */
export type WorldSizes = {
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
};

const SIZES: WorldSizes = { width: 128, layers: 2, heads: 2 };

export type WorldFact = {
  readonly relation: string;
  readonly subject: string;
  readonly object: string;
};

/** Words as both tokenizers cut the world's text: runs of letters or digits, else one character. */
const wordsOf = (text: string): string[] => text.match(/[\p{L}\p{N}]+|[^\s\p{L}\p{N}]/gu) ?? [];

/**
 * Byte-pair merges over the distinct words, by frequency, ties in alphabetical order (Sennrich et
 * al. 2016). A merge never reaches a whole word's length of one; only inner pieces are wanted.
 */
function learnMerges(words: readonly string[], count: number): [string, string][] {
  const split = words.map((word) => [...word]);
  const merges: [string, string][] = [];
  while (merges.length < count) {
    const seen = new Map<string, number>();
    for (const pieces of split) {
      for (let i = 0; i + 1 < pieces.length; i++) {
        const key = `${pieces[i]} ${pieces[i + 1]}`;
        seen.set(key, (seen.get(key) ?? 0) + 1);
      }
    }
    let best = "";
    let most = 1;
    for (const [key, times] of seen) {
      if (times > most || (times === most && best !== "" && key < best)) {
        best = key;
        most = times;
      }
    }
    if (best === "") break;
    const [left, right] = best.split(" ");
    merges.push([left, right]);
    for (const pieces of split) {
      for (let i = 0; i + 1 < pieces.length; i++) {
        if (pieces[i] === left && pieces[i + 1] === right) pieces.splice(i, 2, left + right);
      }
    }
  }
  return merges;
}

function ids(tokens: readonly string[]): Record<string, number> {
  return Object.fromEntries([...new Set(tokens)].map((token, id) => [token, id]));
}

const special = (id: number, content: string, lstrip = false): object => ({
  id,
  content,
  single_word: false,
  lstrip,
  rstrip: false,
  normalized: false,
  special: true,
});

function wordPiece(words: readonly string[], pieces: readonly string[]): object {
  const specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
  const characters = Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i));
  const inner = [...characters.filter((c) => /[A-Za-z0-9]/.test(c)), ...pieces];
  const vocab = ids([
    ...specials,
    ...characters,
    ...pieces,
    ...inner.map((piece) => `##${piece}`),
    ...words,
  ]);
  const token = (id: string): object => ({ id, ids: [vocab[id]], tokens: [id] });
  const sequence = (id: "A" | "B", type_id: number): object => ({ Sequence: { id, type_id } });
  const mark = (id: string, type_id: number): object => ({ SpecialToken: { id, type_id } });
  const single = [mark("[CLS]", 0), sequence("A", 0), mark("[SEP]", 0)];
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: specials.map((content, id) => special(id, content)),
    normalizer: {
      type: "BertNormalizer",
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase: false,
    },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: {
      type: "TemplateProcessing",
      single,
      pair: [...single, sequence("B", 1), mark("[SEP]", 1)],
      special_tokens: { "[CLS]": token("[CLS]"), "[SEP]": token("[SEP]") },
    },
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    model: {
      type: "WordPiece",
      unk_token: "[UNK]",
      continuing_subword_prefix: "##",
      max_input_chars_per_word: 100,
      vocab,
    },
  };
}

/** `ignore_merges`: a word of the vocabulary is taken whole, so it needs no chain of merges. */
function byteLevel(
  words: readonly string[],
  openers: readonly string[],
  merges: readonly [string, string][],
): object {
  const specials = ["<s>", "<pad>", "</s>", "<unk>"];
  const vocab = ids([
    ...specials,
    ...BYTE_CHARACTERS,
    ...merges.map((pair) => pair.join("")),
    ...openers,
    ...words.map((word) => `Ġ${word}`),
    "<mask>",
  ]);
  const mask = vocab["<mask>"];
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [
      ...specials.map((content, id) => special(id, content)),
      special(mask, "<mask>", true),
    ],
    normalizer: null,
    pre_tokenizer: {
      type: "ByteLevel",
      add_prefix_space: false,
      trim_offsets: true,
      use_regex: true,
    },
    post_processor: {
      type: "RobertaProcessing",
      sep: ["</s>", 2],
      cls: ["<s>", 0],
      trim_offsets: true,
      add_prefix_space: false,
    },
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: "",
      end_of_word_suffix: "",
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: true,
      vocab,
      merges,
    },
  };
}

/** Sentinels of T5, which stand for what is missing in a text. */
const SENTINELS = 10;

/**
 * Words follow a space, `▁word`, or stand behind another one without it. All words are equally good, and any of them is better than
 * its pieces. Sentinels have the last ids, <extra_id_0> the very last.
 */
function unigram(
  words: readonly string[],
  inner: readonly string[],
  pieces: readonly string[],
): object {
  const specials = ["<pad>", "</s>", "<unk>"];
  const characters = Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i));
  const sentinels = Array.from({ length: SENTINELS }, (_, i) => `<extra_id_${SENTINELS - 1 - i}>`);
  const scores = new Map<string, number>(specials.map((token) => [token, 0]));
  const whole = [...words.map((word) => `▁${word}`), ...inner];
  for (const [tokens, score] of [
    [whole, -5],
    [pieces, -8],
    [["▁", ...characters], -10],
    [sentinels, 0],
  ] as const) {
    for (const token of tokens) if (!scores.has(token)) scores.set(token, score);
  }
  const vocab = [...scores];
  const sized = vocab.length - SENTINELS;
  const metaspace = { type: "Metaspace", replacement: "▁", prepend_scheme: "always", split: true };
  const mark = (id: string): object => ({ SpecialToken: { id, type_id: 0 } });
  const sequence = (id: "A" | "B"): object => ({ Sequence: { id, type_id: 0 } });
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [
      ...specials.map((content, id) => special(id, content)),
      ...sentinels.map((content, i) => special(sized + i, content)),
    ],
    normalizer: null,
    pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "WhitespaceSplit" }, metaspace] },
    post_processor: {
      type: "TemplateProcessing",
      single: [sequence("A"), mark("</s>")],
      pair: [sequence("A"), mark("</s>"), sequence("B"), mark("</s>")],
      special_tokens: { "</s>": { id: "</s>", ids: [1], tokens: ["</s>"] } },
    },
    decoder: metaspace,
    model: { type: "Unigram", unk_id: 2, vocab, byte_fallback: false },
  };
}

/** A BERT without dropout, its feed-forward layers of twice the width. */
export function bertConfig(vocabulary: number, { width, layers, heads }: WorldSizes): object {
  return {
    architectures: ["BertForMaskedLM"],
    model_type: "bert",
    vocab_size: vocabulary,
    hidden_size: width,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    intermediate_size: 2 * width,
    hidden_act: "gelu",
    hidden_dropout_prob: 0,
    attention_probs_dropout_prob: 0,
    max_position_embeddings: POSITIONS,
    type_vocab_size: 2,
    initializer_range: 0.05,
    layer_norm_eps: 1e-12,
    pad_token_id: 0,
    tie_word_embeddings: true,
  };
}

/** A BART of as many layers in encoder and decoder. */
export function bartConfig(vocabulary: number, { width, layers, heads }: WorldSizes): object {
  return {
    architectures: ["BartForConditionalGeneration"],
    model_type: "bart",
    vocab_size: vocabulary,
    d_model: width,
    encoder_layers: layers,
    decoder_layers: layers,
    encoder_attention_heads: heads,
    decoder_attention_heads: heads,
    encoder_ffn_dim: 2 * width,
    decoder_ffn_dim: 2 * width,
    activation_function: "gelu",
    dropout: 0.1,
    attention_dropout: 0,
    activation_dropout: 0,
    max_position_embeddings: POSITIONS,
    init_std: 0.05,
    scale_embedding: false,
    bos_token_id: 0,
    pad_token_id: 1,
    eos_token_id: 2,
    decoder_start_token_id: 2,
    forced_eos_token_id: 2,
    is_encoder_decoder: true,
    tie_word_embeddings: true,
  };
}

function t5Config(vocabulary: number, { width, layers, heads }: WorldSizes): object {
  return {
    architectures: ["T5ForConditionalGeneration"],
    model_type: "t5",
    vocab_size: vocabulary,
    d_model: width,
    d_kv: width / heads,
    d_ff: 2 * width,
    num_layers: layers,
    num_decoder_layers: layers,
    num_heads: heads,
    relative_attention_num_buckets: 32,
    relative_attention_max_distance: 128,
    dropout_rate: 0,
    layer_norm_epsilon: 1e-6,
    initializer_factor: 1,
    feed_forward_proj: "gated-gelu",
    tie_word_embeddings: true,
    is_encoder_decoder: true,
    pad_token_id: 0,
    eos_token_id: 1,
    decoder_start_token_id: 0,
  };
}
/** Files by name, and how many words and tokens there are. */
export type TinyModelFiles = {
  readonly files: ReadonlyMap<string, string>;
  readonly words: number;
  readonly sizes: { readonly bert: number; readonly bart: number; readonly t5: number };
};

/** @param templates sentences with [X] and [Y], each with its relation: all that a fact is stated or asked with */
export function tinyModelFiles(
  facts: readonly WorldFact[],
  templates: readonly (readonly [relation: string, template: string])[],
  like: WorldSizes = SIZES,
): TinyModelFiles {
  const words = new Set(["None"]);
  const openers = new Set(["None"]); // words that open a text have no space before them
  const inner = new Set<string>(); // words that stand behind another one without a space
  const byRelation = groupBy(facts, ({ relation }) => relation);
  for (const [relation, template] of templates) {
    for (const fact of byRelation.get(relation) ?? []) {
      const text = template.replaceAll("[X]", fact.subject).replaceAll("[Y]", fact.object);
      const found = wordsOf(text);
      openers.add(found[0]);
      openers.add(wordsOf(fact.subject)[0]);
      for (const word of found) words.add(word);
      for (const run of text.split(" ")) for (const word of wordsOf(run).slice(1)) inner.add(word);
    }
  }
  const sorted = [...words].sort();
  const merges = learnMerges(
    sorted.filter((word) => /^[A-Za-z]+$/.test(word)),
    PIECES,
  );
  const pieces = merges.map((pair) => pair.join(""));
  const bert = wordPiece(sorted, pieces);
  const bart = byteLevel(sorted, [...openers].sort(), merges);
  const t5 = unigram(sorted, [...inner].sort(), pieces);
  const size = (tokenizer: object): number =>
    Object.keys((tokenizer as { model: { vocab: object } }).model.vocab).length;
  const sizes = { bert: size(bert), bart: size(bart), t5: size(t5) };
  const json = (value: object, indent: number): string =>
    `${JSON.stringify(value, null, indent)}\n`;
  const files = new Map([
    ["bert/tokenizer.json", json(bert, 1)],
    ["bert/config.json", json(bertConfig(sizes.bert, like), 2)],
    ["bart/tokenizer.json", json(bart, 1)],
    ["bart/config.json", json(bartConfig(sizes.bart, like), 2)],
    ["t5/tokenizer.json", json(t5, 1)],
    ["t5/config.json", json(t5Config(sizes.t5, like), 2)],
    ["common_vocabs/common_vocab_cased.txt", `${sorted.join("\n")}\n`],
  ]);
  return { files, words: words.size, sizes };
}
