import { test } from "uvu";
import * as assert from "uvu/assert";
import { hostData, type Tensor } from "../../engine/tensor.ts";
import { loadTokenizer } from "../../models/tokenizer/tokenizer.ts";
import {
  assemble,
  encodeExample,
  layoutOf,
  specialIds,
  subjectWidth,
} from "../../promptgen/methods/promptgen/batch.ts";

const world = (name: string) => new URL(`../../promptgen/world/${name}`, import.meta.url).pathname;
const tokenizers = {
  bart: await loadTokenizer(world("bart")),
  bert: await loadTokenizer(world("bert")),
};
const ids = specialIds(tokenizers);

const example = (bart: number[], bert: number[], encoder: number[], object = 40) => ({
  bart,
  bert,
  encoder,
  object,
});
const rows = (t: Tensor): number[][] => {
  const [count, width] = t.shape;
  const data = Array.from(hostData(t));
  return Array.from({ length: count }, (_, i) => data.slice(i * width, (i + 1) * width));
};

test("a fact as ids of both models", () => {
  const { bart, bert } = tokenizers;
  const fact = { subject: "France", object: "Paris" };
  const made = encodeExample(fact, "The capital of [X] is [Y] .", tokenizers);
  assert.is(bart.decode(made.encoder), "<s>The capital of France is<mask> .</s>");
  assert.is(bart.decode(made.bart), "France");
  assert.is(bert.decode(made.bert), "France");
  assert.is(made.object, bert.id("Paris"));
  assert.throws(() => encodeExample({ ...fact, object: "Zzyzx" }, "[X] [Y]", tokenizers), /Zzyzx/);
});

test("a batch: the prefix padded on the left, the rest on the right, rows without a fact weigh nothing", () => {
  const examples = [
    example([10, 11], [20], [0, 10, 11, 12, 2], 41),
    example([10], [20, 21, 22], [0, 12, 10, 2], 42),
  ];
  const layout = layoutOf(examples, ids);
  assert.equal(examples.map(subjectWidth), [2, 3]);
  assert.equal(layout, { buckets: [2, 3], extra: 3, ids });
  const batch = assemble(examples, 3, 3, layout);
  const { bos, eos, pad } = ids.bart;
  const { cls, none, pad: blank } = ids.bert;
  assert.equal(rows(batch.encoderIds), [
    [0, 10, 11, 12, 2, pad],
    [0, 12, 10, 2, pad, pad],
    [0, 10, 11, 12, 2, pad],
  ]);
  assert.equal(rows(batch.encoderMask), [
    [1, 1, 1, 1, 1, 0],
    [1, 1, 1, 1, 0, 0],
    [1, 1, 1, 1, 1, 0],
  ]);
  assert.equal(rows(batch.prefixIds), [
    [pad, pad, pad],
    [eos, pad, eos],
    [bos, eos, bos],
    [10, bos, 10],
    [11, 10, 11],
  ]);
  assert.equal(rows(batch.prefixPositions), [
    [0, 0, 0],
    [0, 0, 0],
    [1, 0, 1],
    [2, 1, 2],
    [3, 2, 3],
  ]);
  assert.equal(rows(batch.prefixMask), [
    [0, 1, 1, 1, 1],
    [0, 0, 1, 1, 1],
    [0, 1, 1, 1, 1],
  ]);
  assert.equal(rows(batch.bertIds), [
    [cls, 20, blank, blank],
    [cls, 20, 21, 22],
    [cls, 20, blank, blank],
    [cls, none, blank, blank],
    [cls, none, blank, blank],
    [cls, none, blank, blank],
  ]);
  assert.equal(
    rows(batch.bertMask).map((row) => row.join("")),
    ["1100", "1111", "1100", "1100", "1100", "1100"],
  );
  assert.equal(Array.from(hostData(batch.objects)), [41, 42, 41]);
  assert.equal(Array.from(hostData(batch.weights)), [1, 1, 0]);
  assert.throws(
    () => assemble(examples, 3, 1, layout),
    "[batch] 2 examples do not go into a batch of 1 rows; give 1 to 1",
  );
  assert.throws(
    () => assemble(examples, 2, 2, layout),
    /a row of 4 tokens does not fit the width 3/,
  );
});

test.run();
