import { test } from "uvu";
import * as assert from "uvu/assert";
import { createTokenizer } from "../../../../models/tokenizer/tokenizer.ts";
import { commonWordIds } from "../../../../promptgen/answers.ts";
import { pairVocabularies } from "../../../../promptgen/methods/promptgen/vocabulary.ts";
import { MERGES_TXT, VOCAB_JSON, VOCAB_TXT } from "../../fixture.ts";

const bert = createTokenizer({ "vocab.txt": VOCAB_TXT });
const bart = createTokenizer({ "vocab.json": VOCAB_JSON, "merges.txt": MERGES_TXT });

test("pairs words after a space with whole words, the end last", () => {
  const common = pairVocabularies(bart, bert);
  assert.equal(common.words, ["the", "cat", "café", "</s>"]);
  assert.equal([...common.generator], [11, 16, 23, 2]);
  assert.equal([...common.reader], [5, 6, 12, 3]);
  assert.is(common.size, 4);
  assert.is(common.end, 3);
});

test("special tokens are no words, and no id occurs twice", () => {
  const { words, generator: from, reader: to } = pairVocabularies(bart, bert);
  assert.not(words.includes("[MASK]"), "[MASK] is in both fixtures, behind a space");
  assert.is(new Set(from).size, from.length);
  assert.is(new Set(to).size, to.length);
});

test("RoBERTa as the masked LM: its words follow a space too, and its end is </s>", () => {
  const structure = {
    normalizer: null,
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false },
    decoder: { type: "ByteLevel" },
    model: {
      type: "BPE",
      vocab: {
        "<s>": 0,
        "<pad>": 1,
        "</s>": 2,
        "<unk>": 3,
        "<mask>": 4,
        cat: 5,
        Ġcat: 6,
        "ĠcafÃ©": 7,
      },
      merges: [],
    },
  };
  const roberta = createTokenizer({ "tokenizer.json": JSON.stringify(structure) });
  const common = pairVocabularies(bart, roberta);
  assert.equal(common.words, ["cat", "café", "</s>"]);
  assert.equal([...common.generator], [16, 23, 2]);
  assert.equal([...common.reader], [6, 7, 2]);
  const self = pairVocabularies(bart, bart);
  assert.equal([...self.generator], [...self.reader]);
  assert.not([...self.generator].includes(bart.mask));
  assert.equal([...commonWordIds(roberta, ["café", "cat"]).ids], [7, 6]);
  assert.equal(commonWordIds(roberta, ["cat", "the"]).missing, ["the"]);
});

test("ids of the masked LM that are taken out are no classes, whatever the generator calls them", () => {
  const common = pairVocabularies(bart, bert, undefined, new Set([bert.wordId("cat"), 15]));
  assert.equal(common.words, ["the", "café", "</s>"]);
  assert.equal(
    [[...common.generator], [...common.reader]],
    [
      [11, 23, 2],
      [5, 12, 3],
    ],
  );
  assert.is(common.end, 2);
  // the end is none of the words
  assert.equal(pairVocabularies(bart, bert, undefined, new Set([bert.sep])).size, 4);
  const all = new Set([5, 6, 12]);
  assert.throws(
    () => pairVocabularies(bart, bert, undefined, all),
    /^\[vocabulary\] all 3 common words are objects, and none is left to write; use --vocabulary common$/,
  );
});

test("vocabularies without a common word are an error", () => {
  const other = createTokenizer({ "vocab.txt": "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nxyz\n" });
  assert.throws(() => pairVocabularies(bart, other), /none of 29 generator tokens is a word/);
});

test.run();
