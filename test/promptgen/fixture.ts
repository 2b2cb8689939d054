/** Small facts and vocabularies, written to a folder of their own by the tests that read files. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const folders: string[] = [];
process.on("exit", () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/**
 * Writes `files` (contents by path) to a new temporary folder, removed at the end of the process.
 */
export function folder(files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), "promptgen-test-"));
  folders.push(root);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

/** One fact a line, of "subject > object" entries. */
export function rows(...facts: string[]): string {
  const lines = facts.map((fact) => {
    const [sub_label, obj_label] = fact.split(" > ");
    return JSON.stringify({ sub_label, obj_label });
  });
  return `${lines.join("\n")}\n`;
}

/** Two relations of different type with a repeated row, an uncommon object and an empty line. */
export const FACTS: Readonly<Record<string, string>> = {
  "relation_metainfo/LAMA_relations.jsonl": `${[
    { relation: "R2", template: "[X] is in [Y] .", label: "place", type: "N-1" },
    { relation: "R1", template: "[X] eats [Y] .", label: "food", type: "N-M" },
    { relation: "R9", template: "[Y] made [X]", label: "no facts", type: "1-1" },
  ]
    .map((row) => JSON.stringify(row))
    .join("\n")}\n`,
  "common_vocabs/common_vocab_cased.txt": "Paris\nRome\ngrass\nfish\n",
  "autoprompt_data/R1/train.jsonl": rows("Cat > fish", "Cow > grass", "Hare > grass"),
  "autoprompt_data/R1/dev.jsonl": rows("Goat > grass"),
  "LAMA-TREx/R1.jsonl": rows("Seal > fish", "Sheep > grass", "Horse > grass"),
  "autoprompt_data/R2/train.jsonl": rows(
    "Louvre > Paris",
    "Louvre > Paris",
    "Atlantis Hall > Atlantis",
    "Forum > Rome",
  ),
  "autoprompt_data/R2/dev.jsonl": `${rows("Orsay > Paris")}\n`,
  "LAMA-TREx/R2.jsonl": rows("Colosseum > Rome", "Eiffel Tower > Paris"),
};

/** A cased WordPiece vocabulary; ids are the line numbers. */
export const VOCAB_TXT = `${[
  "[PAD]",
  "[UNK]",
  "[CLS]",
  "[SEP]",
  "[MASK]",
  "the",
  "cat",
  "##s",
  "un",
  "##aff",
  "##able",
  ".",
  "café",
  "Paris",
  "None",
  "caf\ufffd",
].join("\n")}\n`;

/** Byte-level tokens with their ids; `Ġ` is a space, `Ã©` the two bytes of é. */
export const VOCAB_JSON = JSON.stringify({
  "<s>": 0,
  "<pad>": 1,
  "</s>": 2,
  "<unk>": 3,
  t: 4,
  h: 5,
  e: 6,
  Ġ: 7,
  he: 8,
  the: 9,
  Ġt: 10,
  Ġthe: 11,
  c: 12,
  a: 13,
  Ġc: 14,
  Ġca: 15,
  Ġcat: 16,
  s: 17,
  Ã: 18,
  "©": 19,
  "Ã©": 20,
  f: 21,
  Ġcaf: 22,
  "ĠcafÃ©": 23,
  ĠcafÃ: 24,
  "Ġ</s>": 25,
  "Ġ[MASK]": 26,
  "<mask>": 27,
  xcat: 28,
});

export const MERGES_TXT = `#version: 0.2
Ġ t
h e
Ġt he
t he
Ġ c
Ġc a
Ġca t
Ã ©
Ġca f
Ġcaf Ã©
`;

/** A copy of a BERT in `directory` that is uncased: its words in lower case, the first of those that then are alike. */
export function uncasedBert(directory: string): string {
  const path = folder({});
  cpSync(directory, path, { recursive: true });
  const file = join(path, "tokenizer.json");
  const json = JSON.parse(readFileSync(file, "utf8"));
  const special = new Set(json.added_tokens.map(({ content }: { content: string }) => content));
  const taken = new Set<string>();
  const vocab = Object.entries<number>(json.model.vocab).map(([word, id]) => {
    const own = special.has(word) ? word : word.toLowerCase();
    const name = taken.has(own) ? `##[unused${id}]` : own;
    taken.add(name);
    return [name, id];
  });
  json.model.vocab = Object.fromEntries(vocab);
  json.normalizer.lowercase = true;
  json.normalizer.strip_accents = null;
  writeFileSync(file, JSON.stringify(json));
  return path;
}
