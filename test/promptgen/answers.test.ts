import { test } from "uvu";
import * as assert from "uvu/assert";
import { createTokenizer } from "../../models/tokenizer/tokenizer.ts";
import { commonWordIds } from "../../promptgen/answers.ts";
import { VOCAB_TXT } from "./fixture.ts";

const bert = createTokenizer({ "vocab.txt": VOCAB_TXT });

test("common words keep their order; missing ones are counted and named", () => {
  const all = commonWordIds(bert, ["Paris", "cat", "the"]);
  assert.equal([...all.ids], [13, 6, 5]);
  assert.is(all.message, "");
  const some = commonWordIds(bert, ["dog", "cat", "bird"]);
  assert.equal([...some.ids], [6]);
  assert.equal(some.missing, ["dog", "bird"]);
  assert.match(some.message, /2 of 3 common words are not one token .*\(dog, bird\)$/);
  assert.throws(() => commonWordIds(bert, ["dog"]), /no answer is left/);
  assert.throws(() => commonWordIds(bert, []), /there are no common words/);
});

test.run();
