/** Random tokenizer.json files of every part that is read, against digests of what Python's tokenizers made of 100 texts each. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { createTokenizer } from "../../../models/tokenizer/tokenizer.ts";
import { goldenPath } from "./golden.ts";

type Golden = {
  readonly json: Readonly<Record<string, unknown>> & { readonly model: { readonly type: string } };
  readonly first: number;
  readonly step: number;
  /** Of each text four hex digits for its ids, four for what they decode to. */
  readonly digests: string;
};

const [charsmap, ...rest] = gunzipSync(readFileSync(goldenPath("parts.json.gz")))
  .toString("utf8")
  .split("\n");
const { strings, tokenizers } = JSON.parse(
  rest.join("\n").replaceAll("@CHARSMAP@", JSON.parse(charsmap)),
) as { readonly strings: readonly string[]; readonly tokenizers: readonly Golden[] };

const digest = (text: string): string =>
  createHash("sha256").update(text).digest("hex").slice(0, 4);

const equality = suite("equal to Python");

equality(`${tokenizers.length} random tokenizers, 100 texts each`, () => {
  assert.ok(tokenizers.length >= 300);
  const wrong: string[] = [];
  for (const [i, { json, first, step, digests }] of tokenizers.entries()) {
    const { normalizer, pre_tokenizer, decoder, added_tokens } = json;
    const { vocab: _, merges: __, ...model } = json.model as Record<string, unknown>;
    const parts = JSON.stringify({ normalizer, pre_tokenizer, model, decoder, added_tokens });
    const tokenizer = createTokenizer({ "tokenizer.json": JSON.stringify(json) }, `random ${i}`);
    for (let n = 0; n < 100; n++) {
      const text = strings[(first + step * n) % strings.length];
      const ids = tokenizer.encode(text);
      const [wantedIds, wantedText] = [digests.slice(8 * n, 8 * n + 4), digests.slice(8 * n + 4, 8 * n + 8)];
      const shown = `${JSON.stringify(text).slice(0, 150)}: tokenizer ${i} ${parts.slice(0, 1500)}`;
      if (digest(ids.join(" ")) !== wantedIds) wrong.push(`ids of ${shown}`);
      else if (digest(tokenizer.decode(ids)) !== wantedText) wrong.push(`text of ${shown}`);
    }
  }
  assert.is(wrong.length, 0, `${wrong.length} differ:\n${wrong.slice(0, Number(process.env.SHOWN ?? 3)).join("\n")}`);
});

equality.run();
