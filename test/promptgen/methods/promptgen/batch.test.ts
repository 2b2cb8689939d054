import { test } from "uvu";
import * as assert from "uvu/assert";
import { hostData, type Tensor } from "../../../../engine/tensor.ts";
import { loadTokenizer } from "../../../../models/tokenizer/tokenizer.ts";
import { objectIds } from "../../../../promptgen/benchmark.ts";
import type { Fact, Relation } from "../../../../promptgen/facts/facts.ts";
import {
  assemble,
  encodeExample,
  extraOf,
  subjectWidth,
} from "../../../../promptgen/methods/promptgen/batch.ts";
import { rowWeights } from "../../../../promptgen/training/padding.ts";
import { embeddedWorld } from "../../../../promptgen/world/world.ts";

const world = embeddedWorld();
const tokenizers = {
  generator: await loadTokenizer(world.bart),
  reader: await loadTokenizer(world.bert),
};
const [none] = tokenizers.reader.encode("None");
const ids = { generator: tokenizers.generator, reader: tokenizers.reader };

const example = (generator: number[], own: number[], encoder: number[]) => ({
  generator,
  reader: [own, [none]],
  encoder,
});
const rows = (t: Tensor): number[][] => {
  const [count, width] = t.shape;
  const data = Array.from(hostData(t));
  return Array.from({ length: count }, (_, i) => data.slice(i * width, (i + 1) * width));
};

const relationOf = (template: string): Relation => ({
  id: "P36",
  label: "capital",
  type: "1-1",
  template,
  train: [],
  dev: [],
  test: [],
});

test("a question as ids of both models, with each subject for the reader", () => {
  const { generator, reader } = tokenizers;
  const fact: Fact = { subject: "France", object: "Paris" };
  const relation = relationOf("The capital of [X] is [Y] .");
  const subjects = ["France", "None", "New York"];
  const made = encodeExample(
    { fact, relation, subjects },
    { generator, reader: (text) => reader.encode(text) },
  );
  assert.is(generator.decode(made.encoder), "<s>The capital of France is<mask> .</s>");
  assert.is(generator.decode(made.generator), "France");
  assert.equal(
    made.reader.map((pieces) => reader.decode(pieces)),
    subjects,
  );
  const other = { fact: { ...fact, object: "Rome" }, relation };
  const [paris, rome] = [reader.id("Paris"), reader.id("Rome")];
  assert.equal(objectIds({ tokenizer: reader }, [{ fact, relation }, other], 3), [
    paris,
    rome,
    paris,
  ]);
  const odd = { fact: { ...fact, object: "Zzyzx" }, relation };
  assert.throws(() => objectIds({ tokenizer: reader }, [odd], 1), /Zzyzx/);
  const lacking = { fact, relation: relationOf("[X] alone"), subjects };
  assert.throws(
    () => encodeExample(lacking, { generator, reader: (text) => reader.encode(text) }),
    /holds \[Y\] nowhere/,
  );
});

test("a batch: the prefix padded on the left, the rest on the right, rows without a fact weigh nothing", () => {
  const examples = [
    example([10, 11], [20], [0, 10, 11, 12, 2]),
    example([10], [20, 21, 22], [0, 12, 10, 2]),
  ];
  assert.equal(examples.map(subjectWidth), [2, 3]);
  assert.is(
    subjectWidth({ generator: [], reader: [[]], encoder: [] }),
    1,
    "a subject without pieces still has a place",
  );
  assert.is(subjectWidth({ generator: [1], reader: [[1], [1, 2, 3]], encoder: [] }), 3);
  assert.is(extraOf(examples), 3);
  const layout = { extra: 3, ids };
  const batch = assemble(examples, 3, 3, layout);
  const { bos, eos, pad } = ids.generator;
  const { cls, pad: blank } = ids.reader;
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
  assert.equal(rows(batch.readerIds), [
    [cls, 20, blank, blank],
    [cls, 20, 21, 22],
    [cls, 20, blank, blank],
    [cls, none, blank, blank],
    [cls, none, blank, blank],
    [cls, none, blank, blank],
  ]);
  assert.equal(
    rows(batch.readerMask).map((row) => row.join("")),
    ["1100", "1111", "1100", "1100", "1100", "1100"],
  );
  assert.equal(Array.from(hostData(rowWeights(2, 3))), [1, 1, 0]);
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
