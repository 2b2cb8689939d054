/**
 * A tiny random model of each family of masked LMs, in a folder of its own with a tokenizer of that family: the words of the
 * embedded world, marked, cased and surrounded as the family's published vocabularies are.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Device } from "../../engine/device.ts";
import { AlbertForMaskedLM } from "../../models/albert.ts";
import { DistilBertForMaskedLM } from "../../models/distilbert.ts";
import { ElectraForMaskedLM } from "../../models/electra.ts";
import type { MaskedLM } from "../../models/masked-lm.ts";
import { ModernBertForMaskedLM } from "../../models/modernbert.ts";
import type { ModelClass } from "../../models/registry.ts";
import { saveCheckpoint } from "../../models/save.ts";
import { loadTokenizer } from "../../models/tokenizer/tokenizer.ts";
import { XLMRobertaForMaskedLM } from "../../models/xlm-roberta.ts";
import { embeddedWorld } from "../../promptgen/world/world.ts";
import { folder, uncasedBert } from "./fixture.ts";

const HEADS = { num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 32 };
const SIZES = { ...HEADS, hidden_size: 16, max_position_embeddings: 66, initializer_range: 0.3 };

/** A tokenizer.json of the embedded world with other special tokens, and other words. */
function retold(
  directory: string,
  names: Readonly<Record<string, string>>,
  change: (json: ReturnType<typeof JSON.parse>) => void = () => {},
): string {
  const json = JSON.parse(readFileSync(join(directory, "tokenizer.json"), "utf8"));
  const named = (token: string) => names[token] ?? token;
  const { vocab } = json.model;
  json.model.vocab = Array.isArray(vocab)
    ? vocab.map(([token, score]) => [named(token), score])
    : Object.fromEntries(Object.entries(vocab).map(([token, id]) => [named(token), id]));
  for (const token of json.added_tokens) {
    token.content = named(token.content);
    token.lstrip = ["<mask>", "[MASK]"].includes(token.content);
  }
  json.post_processor = null;
  change(json);
  return folder({ "tokenizer.json": JSON.stringify(json) });
}

/** The first of pieces that are alike in lower case; the others become pieces that no text has. */
function lowered(json: ReturnType<typeof JSON.parse>): void {
  json.normalizer = {
    type: "Sequence",
    normalizers: [{ type: "NFKD" }, { type: "StripAccents" }, { type: "Lowercase" }],
  };
  const special = new Set(json.added_tokens.map(({ content }: { content: string }) => content));
  const taken = new Set<string>();
  json.model.vocab = json.model.vocab.map(([token, score]: [string, number], id: number) => {
    const lower = special.has(token) ? token : token.toLowerCase();
    const name = taken.has(lower) ? `unused${id}` : lower;
    taken.add(name);
    return [name, score];
  });
}

export type Family = "distilbert" | "electra" | "albert" | "xlm-roberta" | "modernbert";

type Reader = {
  readonly model: ModelClass<MaskedLM>;
  readonly config: Readonly<Record<string, number>>;
  readonly tokenizer: () => string;
  readonly uncased: boolean;
  readonly mark: string;
};

/** Each family's tokenizer and class; whether its vocabulary is in lower case; how it writes `paris` within a sentence. */
export const READERS: Readonly<Record<Family, Reader>> = {
  distilbert: {
    model: DistilBertForMaskedLM,
    config: { ...SIZES, dim: 16, n_layers: 2, n_heads: 2, hidden_dim: 32 },
    tokenizer: () => uncasedBert(embeddedWorld().bert),
    uncased: true,
    mark: "",
  },
  electra: {
    model: ElectraForMaskedLM,
    config: { ...SIZES, embedding_size: 12 },
    tokenizer: () => uncasedBert(embeddedWorld().bert),
    uncased: true,
    mark: "",
  },
  albert: {
    model: AlbertForMaskedLM,
    config: { ...SIZES, embedding_size: 8 },
    tokenizer: () => {
      const names = { "</s>": "[SEP]", "<extra_id_0>": "[MASK]", "<extra_id_1>": "[CLS]" };
      return retold(embeddedWorld().t5, names, lowered);
    },
    uncased: true,
    mark: "▁",
  },
  "xlm-roberta": {
    model: XLMRobertaForMaskedLM,
    config: { ...SIZES, type_vocab_size: 1, pad_token_id: 0 },
    tokenizer: () =>
      retold(embeddedWorld().t5, { "<extra_id_0>": "<mask>", "<extra_id_1>": "<s>" }),
    uncased: false,
    mark: "▁",
  },
  modernbert: {
    model: ModernBertForMaskedLM,
    config: { ...SIZES, local_attention: 6, pad_token_id: 1 },
    tokenizer: () =>
      retold(embeddedWorld().bart, {
        "<s>": "[CLS]",
        "</s>": "[SEP]",
        "<mask>": "[MASK]",
        "<pad>": "[PAD]",
        "<unk>": "[UNK]",
      }),
    uncased: false,
    mark: "Ġ",
  },
};

export const FAMILIES = Object.keys(READERS) as Family[];

/** The folder of a random model of a family. `device` is used to read what is saved. */
export async function tinyReader(family: Family, device: Device): Promise<string> {
  const { model, config, tokenizer } = READERS[family];
  const home = folder({
    "tokenizer.json": readFileSync(join(tokenizer(), "tokenizer.json"), "utf8"),
  });
  const { size } = await loadTokenizer(home);
  const json = { model_type: family, vocab_size: size, ...config };
  await saveCheckpoint(home, device, model.random(json, 3));
  writeFileSync(join(home, "config.json"), JSON.stringify(json));
  return home;
}
