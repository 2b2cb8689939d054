/** Published vocabularies cut to what some texts take of them, so that these texts fall into the same tokens. */
import { BYTE_CHARACTERS } from "../../models/tokenizer/bytes.ts";
import {
  createTokenizer,
  type Tokenizer,
  type TokenizerFiles,
} from "../../models/tokenizer/tokenizer.ts";

/** BERT's special tokens, in the order of their new ids; the padding token is 0. */
const BRACKETED = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
/** BART's; the mask has the last id. */
const TAGGED = ["<s>", "<pad>", "</s>", "<unk>"];
const MASK = "<mask>";

function tokensOf(tokenizer: Tokenizer, texts: Iterable<string>): Set<string> {
  const ids = new Set<number>();
  for (const text of texts) for (const id of tokenizer.encode(text)) ids.add(id);
  return new Set([...ids].sort((a, b) => a - b).map((id) => tokenizer.token(id)));
}

/**
 * The files of a cut tokenizer: vocab.txt of a WordPiece one, vocab.json and merges.txt of a byte-level BPE one. Tokens keep their order.
 * @param texts what has to fall into the same tokens as before
 * @throws where a text would not
 */
export function cutTokenizer(tokenizer: Tokenizer, texts: readonly string[]): TokenizerFiles {
  const kept = tokensOf(tokenizer, texts);
  const files = tokenizer.kind === "wordpiece" ? wordPiece(kept) : byteLevel(kept, tokenizer);
  const cut = createTokenizer(files);
  for (const text of texts) {
    const [before, after] = [tokenizer, cut].map((own) =>
      own
        .encode(text)
        .map((id) => own.token(id))
        .join(" "),
    );
    if (before !== after) {
      throw new Error(
        `[vocabulary] ${JSON.stringify(text)} falls into ${after} with the cut vocabulary, and into ${before} with the whole one; use a published vocabulary`,
      );
    }
  }
  return files;
}

// longest match first: a piece that was taken is still the longest one
function wordPiece(kept: ReadonlySet<string>): TokenizerFiles {
  const tokens = [...BRACKETED, ...[...kept].filter((token) => !BRACKETED.includes(token))];
  return { "vocab.txt": tokens.map((token) => `${token}\n`).join("") };
}

function byteLevel(kept: ReadonlySet<string>, { files }: Tokenizer): TokenizerFiles {
  const lines = (files["merges.txt"] ?? "").split(/\r?\n/).filter((line) => line !== "");
  const merges = lines.filter((line) => !line.startsWith("#version"));
  const ranks = new Map(merges.map((line, rank) => [line, rank]));
  const used = new Set<number>();
  // the merges by which a token was made are those of its own characters: none reached across its ends
  for (const token of kept) {
    const pieces = [...token];
    for (;;) {
      let best: number | undefined;
      for (let i = 0; i + 1 < pieces.length; i++) {
        const rank = ranks.get(`${pieces[i]} ${pieces[i + 1]}`);
        if (rank !== undefined && (best === undefined || rank < best)) best = rank;
      }
      if (best === undefined) break;
      used.add(best);
      const [left, right] = merges[best].split(" ");
      for (let i = 0; i + 1 < pieces.length; i++) {
        if (pieces[i] === left && pieces[i + 1] === right) pieces.splice(i, 2, left + right);
      }
    }
  }
  const chosen = [...used].sort((a, b) => a - b).map((rank) => merges[rank]);
  const tokens = new Set([
    ...TAGGED,
    ...BYTE_CHARACTERS,
    ...chosen.map((line) => line.replace(" ", "")),
    MASK,
  ]);
  const vocabulary = Object.fromEntries([...tokens].map((token, id) => [token, id]));
  return {
    "vocab.json": `${JSON.stringify(vocabulary, null, 1)}\n`,
    "merges.txt": `#version: 0.2\n${chosen.map((line) => `${line}\n`).join("")}`,
  };
}
