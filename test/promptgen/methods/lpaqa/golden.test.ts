/**
 * LPAQA's choice and its ensemble against PyTorch, see tools/reference_ensemble.py: a tiny random BERT, facts and templates; counts of
 * right answers, losses, scores behind every step, log-probabilities.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as assert from "uvu/assert";
import { read } from "../../../../engine/compile.ts";
import type { Device } from "../../../../engine/device.ts";
import { train } from "../../../../models/training/loop.ts";
import { itemsOf, loadBenchmark } from "../../../../promptgen/benchmark.ts";
import { Examiner, OWN } from "../../../../promptgen/measure.ts";
import { EnsemblePrompter } from "../../../../promptgen/methods/lpaqa/ensemble.ts";
import { bestOf, openPool } from "../../../../promptgen/methods/lpaqa/pool.ts";
import { answerProblem } from "../../../../promptgen/methods/shared/answering.ts";
import { onDevices } from "../../../devices.ts";
import { closeForward } from "../../../models/parity.ts";
import { folder, rows } from "../../fixture.ts";

const test = await onDevices("ensemble golden");

type Golden = {
  readonly answers: readonly string[];
  readonly facts: readonly (readonly [subject: string, object: string])[];
  readonly templates: readonly string[];
  readonly steps: number;
  readonly lr: number;
  readonly warmup: number;
  readonly weightDecay: number;
  readonly correct: readonly number[];
  readonly loss: readonly number[];
  readonly scores: readonly (readonly number[])[];
  readonly weights: readonly number[];
  readonly logP: readonly (readonly number[])[];
};

const HOME = fileURLToPath(new URL("../../../golden/models/ensemble", import.meta.url));
const golden: Golden = JSON.parse(readFileSync(join(HOME, "golden.json"), "utf8"));
const { templates, facts, answers } = golden;
const [manual] = templates;
const all = rows(...facts.map((fact) => fact.join(" > ")));
const data = folder({
  "relation_metainfo/LAMA_relations.jsonl": `${JSON.stringify({ relation: "R1", template: manual, label: "food", type: "N-1" })}\n`,
  "common_vocabs/common_vocab_cased.txt": `${answers.join("\n")}\n`,
  "autoprompt_data/R1/train.jsonl": all,
  "autoprompt_data/R1/dev.jsonl": all,
  "LAMA-TREx/R1.jsonl": all,
  "prompt/manual_paraphrase/R1.txt": `${templates.join("\n")}\n`,
});
const benchmark = await loadBenchmark({ data, reader: HOME });
const items = itemsOf(benchmark.relations, "train");
const objects = facts.map(([, object]) => answers.indexOf(object));
const width = 3; // the longest subject

async function prompterOf(): Promise<EnsemblePrompter> {
  const pool = await openPool(benchmark, data, "candidates");
  assert.equal(pool.templates.get("R1"), templates);
  return new EnsemblePrompter(benchmark, pool, templates.length + 1);
}

const examinerOf = (device: Device, prompter: EnsemblePrompter) =>
  new Examiner(device, benchmark, prompter, { buckets: [width], batchSize: 5, fillers: [OWN] });

test("each template alone answers as many facts, and of equal ones the earlier is chosen", async (device) => {
  const prompter = await prompterOf();
  const examiner = examinerOf(device, prompter);
  const right: number[] = [];
  for (const template of templates) {
    prompter.use("R1", [template]);
    const answered = await examiner.ask(items);
    right.push(answered?.filter(({ answers: [own] }) => own.right).length ?? -1);
  }
  assert.equal(right, golden.correct);
  const counts = [...new Set(golden.correct)].sort((a, b) => b - a);
  assert.ok(counts.length > 1 && counts.length < templates.length, "some are equal, some are not");
  const order = counts.flatMap((count) =>
    golden.correct.flatMap((own, i) => (own === count ? [i] : [])),
  );
  assert.equal(bestOf(right, templates.length), order);
  assert.equal(bestOf(right, 2), order.slice(0, 2));
});

test("losses, scores and weights of the training, and what the ensemble then answers", async (device) => {
  const prompter = await prompterOf();
  prompter.use("R1", templates);
  prompter.start(device);
  const loss: number[] = [];
  const scores: number[][] = [];
  const { steps, lr, warmup, weightDecay } = golden;
  for (let epochs = 1; epochs <= steps; epochs++) {
    // the scores of every step are read by stopping behind it
    const stop = new AbortController();
    prompter.start(device);
    loss.length = 0;
    await train({
      device,
      problem: answerProblem(prompter, items, [width]),
      settings: {
        epochs: steps,
        batchSize: 16, // more than there are facts: rows that only fill up weigh nothing
        lr,
        warmup,
        weightDecay,
        clip: 3e38,
        seed: 1,
        evaluationsPerEpoch: 1,
      },
      signal: stop.signal,
      onStep({ step, terms }) {
        loss.push(terms.object);
        if (step === epochs) stop.abort();
      },
    });
    const [values] = await read(device, [prompter.scores]);
    scores.push([...values.subarray(0, templates.length)]);
    assert.is(values[templates.length], 0, "what no template uses stays");
  }
  closeForward([{ name: "loss", got: loss, want: golden.loss }]);
  closeForward([{ name: "scores", got: scores.flat(), want: golden.scores.flat() }]);
  const answered = await examinerOf(device, prompter).ask(items);
  const logP = answered?.map(({ answers: [own] }) => own.logP) ?? [];
  const want = golden.logP.map((row, i) => row[objects[i]]);
  closeForward([{ name: "log P", got: logP, want }]);
  answered?.forEach(({ answers: [own] }, i) => {
    const better = golden.logP[i].filter((value) => value > want[i]).length;
    assert.is(own.rank, better + 1);
  });
  const [prompt] = answered?.map((one) => one.prompt) ?? [];
  const byWeight = golden.weights
    .map((weight, i) => `${weight.toFixed(3)} ${templates[i]}`)
    .sort()
    .reverse();
  assert.is(prompt, byWeight.join(" | "));
});

test.run();
