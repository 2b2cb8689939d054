import { test } from "uvu";
import * as assert from "uvu/assert";
import { BertForMaskedLM } from "../../models/bert.ts";
import { loadTokenizer } from "../../models/tokenizer/tokenizer.ts";
import {
  answerMask,
  distinctPrompts,
  encodeTemplate,
  type Probed,
  PromptProbe,
  promptText,
  scoresOf,
  TemplateProbe,
} from "../../promptgen/probe.ts";
import { onDevices } from "../devices.ts";
import { closeForward, goldenCheckpoint, labelled, ModelGolden } from "../models/parity.ts";
import { classes, examples, golden, layout, loadPair, settings } from "./golden-step.ts";

const each = await onDevices("probe");

const { m, n } = settings;
const V = golden.shape("mask_logits")[1];
const allowedIds = Array.from({ length: V - 10 }, (_, i) => i + 7);

/** The indices of the k largest of the allowed values. */
const best = (values: ArrayLike<number>, allowed: readonly number[], k: number): number[] =>
  [...allowed].sort((a, b) => values[b] - values[a] || a - b).slice(0, k);

const rowOf = (name: string, b: number) => golden.floats(name).subarray(b * V, (b + 1) * V);

/** Row b's slots from..to that live, as their most probable classes. */
function wanted(b: number, from: number, to: number): number[] {
  const [live, p] = [golden.integers("live"), golden.floats("distributions")];
  const all = Array.from({ length: classes.size }, (_, c) => c);
  return Array.from({ length: to - from }, (_, i) => b * (m + n) + from + i)
    .filter((slot) => live[slot] === 1)
    .map((slot) => best(p.subarray(slot * classes.size, (slot + 1) * classes.size), all, 1)[0]);
}

each(
  "answers and prompts of generated prompts, in partial batches of two widths",
  async (device) => {
    const { generator, reader } = loadPair();
    const allowed = answerMask(allowedIds, V);
    const options = { allowed, layout: { ...layout, buckets: [2, 6] }, batchSize: 3 };
    const probe = new PromptProbe(device, generator, reader, options, 4);
    const probed = await probe.probe(examples);
    examples.forEach((_, b) => {
      assert.is(probed[b].answer, best(rowOf("mask_logits", b), allowedIds, 1)[0]);
      assert.is(probed[b].none, best(rowOf("none_mask_logits", b), allowedIds, 1)[0]);
      const prompt = { before: wanted(b, 0, m), behind: wanted(b, m, m + n) };
      assert.equal(probed[b].prompt, prompt, `row ${b}`);
    });
    const explained = await probe.explain(examples);
    explained.forEach(({ slots, answers, noneAnswers, ...same }, b) => {
      assert.equal(same, probed[b]);
      assert.equal(
        answers.map(({ id }) => id),
        best(rowOf("mask_logits", b), allowedIds, 4),
      );
      assert.is(noneAnswers[0].id, probed[b].none);
      assert.equal(
        [...slots.before, ...slots.behind].map(([first]) => first.id),
        [...same.prompt.before, ...same.prompt.behind],
      );
      const logits = rowOf("mask_logits", b);
      const total = logits.reduce((sum, x) => sum + Math.exp(x), 0);
      const want = answers.map(({ id }) => Math.exp(logits[id]) / total);
      closeForward([{ name: "p", got: answers.map((a) => a.probability), want }], 1e-5);
    });
  },
);

each("answers when BERT reads the most probable words", async (device) => {
  const { generator, reader } = loadPair();
  const options = { allowed: answerMask(allowedIds, V), layout, batchSize: 8, hard: true };
  const probed = await new PromptProbe(device, generator, reader, options).probe(examples);
  const probe = new TemplateProbe(device, reader.bert, options.allowed, settings.bert.pad, 8);
  const { cls, mask, sep } = settings.bert;
  const texts = examples.map(({ bert, object }, b) => {
    const words = (part: readonly number[]) => part.map((c) => classes.bert[c]);
    const { before, behind } = probed[b].prompt;
    const head = [cls, ...bert, ...words(before)];
    return { ids: [...head, mask, ...words(behind), sep], place: head.length, object };
  });
  assert.equal(
    probed.map(({ answer }) => answer),
    await probe.probe(texts),
  );
});

each("answers of hard tokens, texts of different lengths", async (device) => {
  const bertGolden = new ModelGolden("bert");
  const [rows, length] = bertGolden.shape("input_ids");
  const [ids, mask] = ["input_ids", "attention_mask"].map((name) => bertGolden.integers(name));
  const places = Array.from(labelled(bertGolden.integers("labels")).rows);
  const logits = bertGolden.floats("logits");
  const size = logits.length / (rows * length);
  const candidates = Array.from({ length: 50 }, (_, i) => i + 5);
  const texts = places.map((at) => {
    const b = Math.floor(at / length);
    const row = ids.subarray(b * length, (b + 1) * length);
    const live = Array.from(row).filter((_, i) => mask[b * length + i] === 1);
    return { ids: live, place: at % length, object: 0 };
  });
  const model = BertForMaskedLM.from(goldenCheckpoint("bert"));
  const probe = new TemplateProbe(device, model, answerMask(candidates, size), 0, 4);
  assert.equal(
    await probe.probe(texts),
    places.map((at) => best(logits.subarray(at * size, (at + 1) * size), candidates, 1)[0]),
  );
});

test("a template as BERT reads it", async () => {
  const bert = await loadTokenizer(new URL("../../promptgen/world/bert", import.meta.url).pathname);
  const fact = { subject: "France", object: "Paris" };
  const last = encodeTemplate(fact, "The capital of [X] is [Y] .", bert);
  assert.is(bert.decode(last.ids.slice(1, -1)), "The capital of France is [MASK].");
  assert.is(last.ids[last.place], bert.mask);
  assert.is(last.object, bert.id("Paris"));
  const odd = { subject: "[MASK]", object: "Paris" };
  assert.is(encodeTemplate(odd, "[Y] is the capital of [X] .", bert).place, 1);
  const behind = encodeTemplate(odd, "[X] has the capital [Y] .", bert);
  assert.is(behind.place, behind.ids.lastIndexOf(bert.mask));
});

test("scores, distinct prompts, prompts in words", () => {
  const probed: Probed[] = [
    { answer: 8, none: 8, prompt: { before: [0, 2], behind: [1] } },
    { answer: 9, none: 8, prompt: { before: [0, 2], behind: [1] } },
    { answer: 9, none: 9, prompt: { before: [0], behind: [2, 1] } },
  ];
  const facts = [8, 9, 8].map((object) => ({ encoder: [], bart: [], bert: [], object }));
  assert.equal(scoresOf(facts, probed), {
    subject: { correct: 2, total: 3 },
    none: { correct: 1, total: 3 },
  });
  assert.is(distinctPrompts(probed), 2);
  assert.is(promptText(probed[2], ["the", ".", "of"]), "the [MASK] of .");
});

test.run();
each.run();
