/** Asking and counting: PromptGen's answers beside PyTorch's logits, and prompters that are made up. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Device } from "../../engine/device.ts";
import { embedding } from "../../engine/ops/embedding.ts";
import { tensor } from "../../engine/tensor.ts";
import { BertForMaskedLM } from "../../models/bert.ts";
import type { Tokenizer } from "../../models/tokenizer/tokenizer.ts";
import { answerMask } from "../../promptgen/answers.ts";
import type { Benchmark, Item } from "../../promptgen/benchmark.ts";
import type { Fact, Relation } from "../../promptgen/facts/facts.ts";
import {
  bucketsFor,
  Examiner,
  FILLERS,
  type Filler,
  NOBODY,
  OWN,
} from "../../promptgen/measure.ts";
import type { Asked, Batch, Prompter, Trace } from "../../promptgen/methods/method.ts";
import {
  assemble,
  type Example,
  type PromptBatch,
  subjectWidth,
} from "../../promptgen/methods/promptgen/batch.ts";
import { hardened } from "../../promptgen/methods/promptgen/generator.ts";
import { readPrompts } from "../../promptgen/methods/promptgen/objective.ts";
import { Reader } from "../../promptgen/reader.ts";
import { filledUp, rightPadded } from "../../promptgen/training/padding.ts";
import { onDevices } from "../devices.ts";
import { closeForward, goldenCheckpoint, labelled, ModelGolden } from "../models/parity.ts";
import { classes, EXTRA, facts, golden, loadPair, type Pair, settings } from "./golden-step.ts";

const each = await onDevices("measure");

const { m, n } = settings;
const V = golden.shape("mask_logits")[1];
const allowedIds = Array.from({ length: V - 10 }, (_, i) => i + 7);

/** The indices of the k largest of the allowed values. */
const best = (values: ArrayLike<number>, allowed: readonly number[], k: number): number[] =>
  [...allowed].sort((a, b) => values[b] - values[a] || a - b).slice(0, k);

const rowOf = (name: string, b: number) => golden.floats(name).subarray(b * V, (b + 1) * V);

/** log of the softmax of row `id`, in 64 bits. */
function logP(logits: ArrayLike<number>, id: number): number {
  const total = Array.from(logits).reduce((sum, x) => sum + Math.exp(x - logits[id]), 0);
  return -Math.log(total);
}

/** Row b's slots from..to that live, as their most probable classes. */
function wanted(b: number, from: number, to: number): number[] {
  const [live, p] = [golden.integers("live"), golden.floats("distributions")];
  const all = Array.from({ length: classes.size }, (_, c) => c);
  return Array.from({ length: to - from }, (_, i) => b * (m + n) + from + i)
    .filter((slot) => live[slot] === 1)
    .map((slot) => best(p.subarray(slot * classes.size, (slot + 1) * classes.size), all, 1)[0]);
}

const relationOf = (id: string, test: Fact[] = []): Relation => ({
  id,
  label: id,
  type: "N-1",
  template: "[X] [Y]",
  train: [],
  dev: [],
  test,
});

/** Facts whose objects are ids of the reader: "12" is the object of id 12. */
const benchmarkOf = (
  reader: Reader,
  size: number,
  ids: readonly number[],
  relations: readonly Relation[] = [],
): Benchmark => ({
  data: "",
  checkpoint: "",
  reader,
  tokenizer: { wordId: Number } as unknown as Tokenizer,
  encode: () => [],
  relations,
  allowed: answerMask(ids, size),
  answers: "",
  leftOut: [],
  remarks: [],
  contents: {},
});

/** The golden's facts; the subject of fact b is "b". */
const together = relationOf("golden");
const goldenItems: Item[] = facts.map(({ object }, b) => ({
  relation: together,
  fact: { subject: String(b), object: String(object) },
}));

/** PromptGen with the golden's models and ids in the place of texts. */
class GoldenPrompter implements Prompter {
  readonly limit = 6;
  readonly contents = {};
  readonly #pair: Pair;
  readonly #hard: boolean;

  constructor(pair: Pair, hard = false) {
    this.#pair = pair;
    this.#hard = hard;
  }

  width(asked: Asked): number {
    return subjectWidth(this.#example(asked));
  }
  collate(asked: readonly Asked[], width: number, rows: number): PromptBatch {
    const ids = { generator: settings.bart, reader: settings.bert };
    const examples = asked.map((one) => this.#example(one));
    return assemble(examples, width, rows, { extra: EXTRA, ids });
  }
  predict(batch: PromptBatch) {
    const { generator, reader } = this.#pair;
    const prompts = generator.unroll(batch);
    const asked = this.#hard ? hardened(prompts) : prompts;
    const logits = readPrompts(reader, batch, asked, classes, generator.m);
    return { logits, trace: { best: prompts.best, live: prompts.live } };
  }
  /** Classes of the live slots, as in "3 1 | 8". */
  words(_: Asked, { values, rows }: Trace, row: number): string {
    const segment = (from: number, to: number) =>
      Array.from({ length: to - from }, (_, i) => (from + i) * rows + row)
        .filter((at) => values.live[at] === 1)
        .map((at) => values.best[at]);
    return `${segment(0, m).join(" ")} | ${segment(m, m + n).join(" ")}`;
  }
  async save(): Promise<void> {}
  async restore(): Promise<void> {}

  #example({ fact, subjects }: Asked): Example {
    const own = facts[Number(fact.subject)];
    const pieces = (subject: string) =>
      subject === "None" ? [settings.bert.none] : facts[Number(subject)].bert;
    return { encoder: own.encoder, generator: own.bart, reader: subjects.map(pieces) };
  }
}

const goldenExaminer = (
  device: Device,
  pair: Pair,
  more: { hard?: boolean; fillers?: readonly Filler[]; batchSize?: number } = {},
) => {
  const { hard, batchSize = 3, fillers = FILLERS } = more;
  const benchmark = benchmarkOf(pair.reader, V, allowedIds);
  const prompter = new GoldenPrompter(pair, hard);
  return new Examiner(device, benchmark, prompter, {
    buckets: [2, 6],
    batchSize,
    fillers,
    candidates: 4,
  });
};

each(
  "answers, ranks, log P and prompts beside PyTorch's, in partial batches of two widths",
  async (device) => {
    const examiner = goldenExaminer(device, loadPair());
    const progress: number[] = [];
    const answered = await examiner.ask(goldenItems, { onProgress: (done) => progress.push(done) });
    assert.is(answered?.length, facts.length);
    assert.is(progress.at(-1), facts.length);
    assert.ok(progress.length > facts.length / 3, "both widths were used");
    answered?.forEach(({ item, answers, prompt }, b) => {
      assert.is(item, goldenItems[b], "in order");
      const { object } = facts[b];
      for (const [s, name] of ["mask_logits", "none_mask_logits"].entries()) {
        const logits = rowOf(name, b);
        const { id, right, rank, logP: got } = answers[s];
        assert.is(id, best(logits, allowedIds, 1)[0]);
        assert.is(right, id === object);
        const above = allowedIds.filter((other) => logits[other] > logits[object]);
        assert.is(rank, 1 + above.length, `rank of row ${b}, ${name}`);
        closeForward([{ name: "log P", got: [got], want: [logP(logits, object)] }]);
      }
      assert.is(prompt, `${wanted(b, 0, m).join(" ")} | ${wanted(b, m, m + n).join(" ")}`);
    });
    const given = ["log_p", "none_log_p"].map((name) => golden.floats(name));
    for (const s of [0, 1]) {
      const got = answered?.map(({ answers }) => answers[s].logP) ?? [];
      closeForward([{ name: "log P of the golden", got, want: given[s] }]);
    }
    const explained = (await examiner.explain(goldenItems)) ?? [];
    explained.forEach(({ top, ...same }, b) => {
      assert.equal(same, answered?.[b]);
      for (const [s, name] of ["mask_logits", "none_mask_logits"].entries()) {
        const logits = rowOf(name, b);
        assert.equal(
          top[s].map(({ id }) => id),
          best(logits, allowedIds, 4),
        );
        const want = top[s].map(({ id }) => Math.exp(logP(logits, id)));
        closeForward([{ name: "p", got: top[s].map((a) => a.probability), want }], 1e-5);
      }
    });
  },
);

each("any subjects, in any order: each answer is the same as beside no other", async (device) => {
  const pair = loadPair();
  const both = await goldenExaminer(device, pair).ask(goldenItems);
  const next: Filler = {
    name: "next",
    of: ({ fact }) => String((Number(fact.subject) + 1) % facts.length),
  };
  const mixed = await goldenExaminer(device, pair, { fillers: [next, NOBODY, OWN] }).ask(
    goldenItems,
  );
  const alone = await goldenExaminer(device, pair, { fillers: [next] }).ask(goldenItems);
  let others = 0;
  mixed?.forEach(({ answers, prompt }, b) => {
    assert.is(answers.length, 3);
    const wanted = [alone?.[b].answers[0], both?.[b].answers[1], both?.[b].answers[0]];
    answers.forEach((got, s) => {
      assert.equal([got.id, got.rank], [wanted[s]?.id, wanted[s]?.rank], `row ${b}, subject ${s}`);
      closeForward([{ name: "log P", got: [got.logP], want: [wanted[s]?.logP ?? 0] }], 1e-5);
    });
    assert.is(prompt, both?.[b].prompt, "the prompt is that of the fact's own subject");
    if (Math.abs(answers[0].logP - answers[2].logP) > 1e-3) others++;
  });
  assert.ok(others > facts.length / 2, "another subject gives another answer");
});

each("no facts have no accuracy", async (device) => {
  const examiner = goldenExaminer(device, loadPair());
  assert.is(
    await examiner.measure([]).then(
      () => "they were measured",
      ({ message }: Error) => message,
    ),
    "[measure] there are no facts to ask; see what was left out, and give some",
  );
});

each("logits that are not finite are no answer, wherever they stand", async (device) => {
  const { object } = facts[0];
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
    // of the object, of another allowed word, of a word that may be no answer
    for (const id of [object, allowedIds.find((one) => one !== object) ?? 0, 1]) {
      const pair = loadPair();
      const bias = pair.reader.lm.weights.parameters.get("cls.predictions.bias");
      if (!bias) throw new Error("the golden's BERT has no bias");
      const values = new Float32Array(bias.size);
      values[id] = value;
      device.write(bias, values);
      const examiner = goldenExaminer(device, pair);
      for (const ask of [
        () => examiner.measure(goldenItems),
        () => examiner.explain(goldenItems),
      ]) {
        const said = await ask().then(
          () => `${value} of ${id} was counted`,
          ({ message }: Error) => message,
        );
        assert.match(
          said,
          /^\[measure\] the masked LM's logits are not finite for golden, \d+ > \d+ asked with its own subject: a weight is NaN or infinite, .*; use weights/,
        );
      }
    }
  }
});

/** Texts of ids, each with its [MASK] at a place. */
type Text = { readonly ids: readonly number[]; readonly place: number };

/** Asks with texts that stand there; the subject of fact i is "i". */
class TextPrompter implements Prompter {
  readonly limit = 64;
  readonly contents = {};
  readonly #reader: Reader;
  readonly #texts: readonly Text[];

  constructor(reader: Reader, texts: readonly Text[]) {
    this.#reader = reader;
    this.#texts = texts;
  }
  width({ fact }: Asked): number {
    return this.#texts[Number(fact.subject)].ids.length;
  }
  collate(asked: readonly Asked[], width: number, rows: number) {
    const texts = filledUp(asked, rows).map(({ fact }) => this.#texts[Number(fact.subject)]);
    const padded = rightPadded(
      texts.map(({ ids }) => ids),
      width,
      0,
    );
    const places = Uint32Array.from(texts, ({ place }, row) => row * width + place);
    return { ids: padded.ids, mask: padded.mask, places: tensor(places) };
  }
  predict({ ids, mask, places }: Batch) {
    return { logits: this.#reader.readTokens({ ids, mask }, places), trace: {} };
  }
  words(): string {
    return "[X] [Y]";
  }
  async save(): Promise<void> {}
  async restore(): Promise<void> {}
}

const textItems = (texts: readonly Text[], objects: readonly number[]): Item[] =>
  texts.map((_, i) => ({
    relation: together,
    fact: { subject: String(i), object: String(objects[i]) },
  }));

each("when the reader reads the most probable words, it reads them as words", async (device) => {
  const pair = loadPair();
  const objects = facts.map(({ object }) => object);
  const { cls, mask, sep } = settings.bert;
  const asked = await goldenExaminer(device, pair, { hard: true, batchSize: 8 }).ask(goldenItems);
  const soft = await goldenExaminer(device, pair).ask(goldenItems);
  assert.equal(
    asked?.map(({ prompt }) => prompt),
    soft?.map(({ prompt }) => prompt),
  );
  const moved = asked?.filter(
    ({ answers }, b) => Math.abs(answers[0].logP - (soft?.[b].answers[0].logP ?? 0)) > 1e-3,
  );
  assert.ok(moved && moved.length > 0, "mixtures are no words");
  for (const [s, subject] of [
    (b: number): readonly number[] => facts[b].bert,
    () => [settings.bert.none],
  ].entries()) {
    const texts = facts.map((_, b): Text => {
      const words = (part: readonly number[]) => part.map((c) => classes.reader[c]);
      const head = [cls, ...subject(b), ...words(wanted(b, 0, m))];
      return { ids: [...head, mask, ...words(wanted(b, m, m + n)), sep], place: head.length };
    });
    const benchmark = benchmarkOf(pair.reader, V, allowedIds);
    const prompter = new TextPrompter(pair.reader, texts);
    const buckets = bucketsFor(
      prompter,
      [
        relationOf(
          "all",
          textItems(texts, objects).map(({ fact }) => fact),
        ),
      ],
      [OWN],
    );
    const examiner = new Examiner(device, benchmark, prompter, {
      buckets,
      batchSize: 8,
      fillers: [OWN],
    });
    const answered = await examiner.ask(textItems(texts, objects));
    answered?.forEach(({ answers: [want] }, b) => {
      const got = asked?.[b].answers[s];
      assert.equal([got?.id, got?.rank], [want.id, want.rank], `row ${b}`);
      closeForward([{ name: "log P", got: [got?.logP ?? 0], want: [want.logP] }]);
    });
  }
});

each("answers of hard tokens, texts of different lengths", async (device) => {
  const bertGolden = new ModelGolden("bert");
  const [rows, length] = bertGolden.shape("input_ids");
  const [ids, mask] = ["input_ids", "attention_mask"].map((name) => bertGolden.integers(name));
  const places = Array.from(labelled(bertGolden.integers("labels")).rows);
  const logits = bertGolden.floats("logits");
  const size = logits.length / (rows * length);
  const candidates = Array.from({ length: 50 }, (_, i) => i + 5);
  const texts = places.map((at): Text => {
    const b = Math.floor(at / length);
    const row = ids.subarray(b * length, (b + 1) * length);
    const live = Array.from(row).filter((_, i) => mask[b * length + i] === 1);
    return { ids: live, place: at % length };
  });
  const widths = [...new Set(texts.map((text) => text.ids.length))].sort((a, b) => a - b);
  assert.ok(widths.length >= 2);
  const reader = new Reader(BertForMaskedLM.from(goldenCheckpoint("bert")), settings.bert);
  const examiner = new Examiner(
    device,
    benchmarkOf(reader, size, candidates),
    new TextPrompter(reader, texts),
    { buckets: widths.slice(-2), batchSize: 4, fillers: [OWN] },
  );
  const answered = await examiner.ask(
    textItems(
      texts,
      places.map(() => 9),
    ),
  );
  const rowAt = (at: number) => logits.subarray(at * size, (at + 1) * size);
  assert.equal(
    answered?.map(({ answers }) => answers[0].id),
    places.map((at) => best(rowAt(at), candidates, 1)[0]),
  );
  closeForward([
    {
      name: "log P",
      got: answered?.map(({ answers }) => answers[0].logP) ?? [],
      want: places.map((at) => logP(rowAt(at), 9)),
    },
  ]);
});

/** Made answers of five words for a fact and a subject. */
type Answers = (fact: string, subject: string) => readonly number[];

/** Answers what it is told to; with `each`, one relation after the other. */
class MadePrompter implements Prompter {
  readonly limit = 3;
  readonly contents = {};
  readonly selected: string[] = [];
  readonly batches: string[][] = [];
  readonly #answers: Answers;
  readonly #words: (fact: Fact) => string;
  readonly select?: (device: Device, relation: Relation) => Promise<void>;

  constructor(answers: Answers, words: (fact: Fact) => string = () => "[X] [Y]", each = false) {
    this.#answers = answers;
    this.#words = words;
    if (each) {
      this.select = async (_, { id }) => {
        this.selected.push(id);
      };
    }
  }
  width({ fact, subjects }: Asked): number {
    return Math.max(fact.subject.length, ...subjects.map((subject) => subject.length)) > 4 ? 2 : 1;
  }
  collate(asked: readonly Asked[], _: number, rows: number): Batch {
    this.batches.push(asked.map(({ fact }) => fact.subject));
    const filled = filledUp(asked, rows);
    const all = asked[0].subjects.flatMap((_, s) =>
      filled.flatMap(({ fact, subjects }) => [...this.#answers(fact.subject, subjects[s])]),
    );
    return { logits: tensor(Float32Array.from(all), [all.length / 5, 5]) };
  }
  predict({ logits }: Batch) {
    const rows = logits.shape[0];
    const every = tensor(Uint32Array.from({ length: rows }, (_, i) => i));
    return { logits: embedding(logits, every), trace: {} };
  }
  words({ fact }: Asked): string {
    return this.#words(fact);
  }
  async save(): Promise<void> {}
  async restore(): Promise<void> {}
}

const fact = (subject: string, object: number): Fact => ({ subject, object: String(object) });
const FIRST = relationOf("A", [fact("a", 1), fact("bb", 2), fact("long one", 3)]);
const SECOND = relationOf("B", [fact("c", 1), fact("other long", 2)]);
const madeItems: Item[] = [
  { relation: FIRST, fact: FIRST.test[0] },
  { relation: SECOND, fact: SECOND.test[0] },
  { relation: FIRST, fact: FIRST.test[1] },
  { relation: SECOND, fact: SECOND.test[1] },
  { relation: FIRST, fact: FIRST.test[2] },
];
const reader = loadPair().reader;
const madeBenchmark = benchmarkOf(reader, 5, [1, 2, 3], [FIRST, SECOND]);
const IT: Filler = { name: "It", of: () => "It" };

/** Word 4 is the most probable, but may not be an answer; of the others, the one that the fact and the subject choose. */
const chooses =
  (word: (fact: string, subject: string) => number): Answers =>
  (own, subject) =>
    [0, 1, 2, 3, 4].map((id) => (id === 4 ? 9 : id === word(own, subject) ? 5 : 0));

each("scores by relation and filler, means over relations, distinct prompts", async (device) => {
  const answers = chooses((_, subject) => (subject === "None" ? 1 : subject === "It" ? 2 : 3));
  const prompter = new MadePrompter(answers, ({ subject }) => `${subject.length > 4} [X] [Y]`);
  const fillers = [OWN, NOBODY, IT];
  const examiner = new Examiner(device, madeBenchmark, prompter, {
    buckets: bucketsFor(prompter, [FIRST, SECOND], fillers),
    batchSize: 2,
    fillers,
  });
  const measured = await examiner.measure(madeItems);
  assert.equal(
    measured?.scores.map((one) => Object.fromEntries(one)),
    [
      { A: { correct: 1, total: 3 }, B: { correct: 0, total: 2 } },
      { A: { correct: 1, total: 3 }, B: { correct: 1, total: 2 } },
      { A: { correct: 1, total: 3 }, B: { correct: 1, total: 2 } },
    ],
  );
  const [own, none, it] = measured?.accuracy ?? [];
  closeForward([{ name: "means", got: [own, none, it], want: [100 / 6, 250 / 6, 250 / 6] }]);
  assert.is(measured?.distinct, 2);
  assert.equal(
    measured?.answered.map(({ item }) => item),
    madeItems,
  );
  const ranks = measured?.answered.map(({ answers: found }) => found.map(({ rank }) => rank));
  // two of three words share the second place
  assert.equal(ranks, [
    [2, 1, 2],
    [2, 1, 2],
    [2, 2, 1],
    [2, 2, 1],
    [1, 2, 2],
  ]);
});

each(
  "a prompter of relations is told once of each, and asked about no other then",
  async (device) => {
    const prompter = new MadePrompter(
      chooses(() => 1),
      undefined,
      true,
    );
    const examiner = new Examiner(device, madeBenchmark, prompter, {
      buckets: [1, 2],
      batchSize: 2,
    });
    const answered = await examiner.ask(madeItems);
    assert.equal(prompter.selected, ["A", "B"]);
    assert.equal(prompter.batches, [["long one"], ["a", "bb"], ["other long"], ["c"]]);
    assert.equal(
      answered?.map(({ item }) => item),
      madeItems,
      "in the order that was asked",
    );
    const whole = new MadePrompter(chooses(() => 1));
    await new Examiner(device, madeBenchmark, whole, { buckets: [1, 2], batchSize: 3 }).ask(
      madeItems,
    );
    assert.equal(whole.batches, [
      ["other long", "long one"],
      ["a", "c", "bb"],
    ]);
  },
);

each("the signal stops between batches; nothing to ask is nothing", async (device) => {
  const stop = new AbortController();
  const prompter = new MadePrompter(chooses(() => 1));
  const examiner = new Examiner(device, madeBenchmark, prompter, { buckets: [1, 2], batchSize: 2 });
  const measured = await examiner.measure(madeItems, {
    signal: stop.signal,
    onProgress: () => stop.abort(),
  });
  assert.is(measured, undefined);
  assert.is(prompter.batches.length, 1);
  assert.is(await examiner.ask(madeItems, { signal: stop.signal }), undefined);
  assert.is(prompter.batches.length, 1);
  assert.equal(await examiner.ask([]), []);
});

test("buckets hold every fact of every split with every filler", () => {
  const prompter = new MadePrompter(chooses(() => 1));
  assert.equal(bucketsFor(prompter, [FIRST]), [1, 2]);
  const short = { ...relationOf("C"), train: [fact("x", 1)], dev: [fact("y", 1)] };
  assert.equal(bucketsFor(prompter, [short]), [1]);
  assert.equal(bucketsFor(prompter, [{ ...short, dev: [fact("a long one", 1)] }]), [1, 2]);
  const everybody: Filler = { name: "everybody", of: () => "everybody" };
  assert.equal(bucketsFor(prompter, [short], [OWN, everybody]), [2]);
});

test.run();
each.run();
