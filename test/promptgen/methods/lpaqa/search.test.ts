/** LPAQA behind the seam: the choice against a plain count, ties, stopping anywhere and going on, what is saved and restored. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { compile, read } from "../../../../engine/compile.ts";
import type { Device } from "../../../../engine/device.ts";
import { type Tensor, tensor } from "../../../../engine/tensor.ts";
import type { Outcome } from "../../../../models/training/loop.ts";
import { type LogRow, RunFolder } from "../../../../models/training/run-folder.ts";
import { itemsOf, NONE } from "../../../../promptgen/benchmark.ts";
import type { EnsemblePrompter } from "../../../../promptgen/methods/lpaqa/ensemble.ts";
import { CandidatePrompter, lpaqa } from "../../../../promptgen/methods/lpaqa/index.ts";
import { filled } from "../../../../promptgen/methods/shared/templates.ts";
import {
  bestPrompter,
  examinerOf,
  type Prepared,
  prepare,
  runOptions,
  trainRun,
} from "../../../../promptgen/run.ts";
import { beginRun } from "../../../../promptgen/run-file.ts";
import { embeddedWorld } from "../../../../promptgen/world/world.ts";
import { onDevices, openDevices } from "../../../devices.ts";
import { folder } from "../../fixture.ts";

const test = suite("lpaqa");
const each = await onDevices("lpaqa");
/** What is the host's alone is seen on one. */
const [device] = await openDevices();
const home = mkdtempSync(join(tmpdir(), "promptgen-"));
process.on("exit", () => rmSync(home, { recursive: true, force: true }));

const line = (template: string) => `${JSON.stringify({ template })}\n`;
/** Few candidates, of which the first and the last of P36 are equal but for what no answer depends on. */
const few = folder({
  "prompt/manual_paraphrase/P36.txt": "[X] has the capital [Y] .\n[Y] and [X]\n",
  "prompt/mine/P36.jsonl": line("[X]  has the capital [Y] ."),
  "prompt/mine/P1303.jsonl": line("[Y] : [X]"),
  "prompt/paraphrase/P1303.jsonl": line("[X] learned the [Y] ."),
});
const given = (method: string, more: Readonly<Record<string, string | number>> = {}) =>
  runOptions({ method, relations: "P1303,P36", candidates: few, seed: 3, ...more }, true);
const ENSEMBLE = { prompts: 3, epochs: 2, lr: 0.3, "batch-size": 32 };

let runs = 0;
async function trained(
  device: Device,
  run: Prepared,
  more: { folder?: RunFolder; resume?: boolean; after?: number } = {},
): Promise<{ folder: RunFolder; outcome: Outcome; rows: LogRow[]; steps: number }> {
  const place = more.folder ?? new RunFolder(join(home, `run ${runs++}`));
  const { identity } = more.resume ? await place.readJson("identity") : await beginRun(place, run);
  if (!more.resume) await place.writeJson("identity", { identity });
  const stop = new AbortController();
  if (more.after === 0) stop.abort();
  let steps = 0;
  const rows: LogRow[] = [];
  const outcome = await trainRun(run, {
    device,
    folder: place,
    resume: more.resume,
    identity: String(identity),
    saveEvery: 1,
    signal: stop.signal,
    onStep() {
      if (++steps === more.after) stop.abort();
    },
    onEvaluation: (row) => rows.push(row),
  });
  return { folder: place, outcome, rows, steps };
}

const textOf = (place: RunFolder, path: string): string => readFileSync(place.file(path), "utf8");

each("the template that a plain count finds best is chosen, and asked with", async (device) => {
  const options = runOptions({ method: "lpaqa", relations: "P1303" }, true);
  const run = await prepare(options);
  const { benchmark, prompter } = run;
  assert.instance(prompter, CandidatePrompter);
  const { reader, tokenizer } = benchmark;
  const [relation] = benchmark.relations;
  const templates = (prompter as CandidatePrompter).pool.templates.get("P1303") ?? [];
  assert.ok(templates.length > 5);
  // unpadded questions of one length at a time, and an argmax on the host
  const logits = compile(device, (ids: Tensor, mask: Tensor, places: Tensor) =>
    reader.readTokens({ ids, mask }, places),
  );
  const words = readFileSync(join(benchmark.data, "common_vocabs/common_vocab_cased.txt"), "utf8");
  const ids = words
    .trim()
    .split("\n")
    .flatMap((word) => tokenizer.wordIdOrUndefined(word) ?? []);
  const counts: number[] = [];
  for (const template of templates) {
    let right = 0;
    const questions = relation.train.map(({ subject, object }) => ({
      ...filled(benchmark, template, subject),
      object: tokenizer.wordId(object),
    }));
    for (const [width, own] of Map.groupBy(questions, (one) => one.ids.length)) {
      const shape = [own.length, width];
      const result = await logits(
        tensor(Uint32Array.from(own.flatMap((one) => one.ids)), shape),
        tensor(new Uint32Array(own.length * width).fill(1), shape),
        tensor(Uint32Array.from(own, ({ place }, row) => row * width + place)),
      );
      const values = await result.read();
      const size = values.length / own.length;
      own.forEach(({ object }, row) => {
        const of = (id: number) => values[row * size + id];
        const answer = ids.reduce((best, id) => (of(id) > of(best) ? id : best));
        if (answer === object) right++;
      });
    }
    counts.push(right);
  }
  const chosen = templates[counts.indexOf(Math.max(...counts))];
  const { folder: place, outcome, rows } = await trained(device, run);
  const saved = JSON.parse(textOf(place, "P1303/search.json")).state;
  assert.equal(
    saved.accuracies.map((share: number) => Math.round((share / 100) * relation.train.length)),
    counts,
  );
  assert.equal(JSON.parse(textOf(place, "P1303/best/prompts.json")), { P1303: chosen });
  assert.is.not(chosen, relation.template);
  const best = await bestPrompter(run, device, place);
  await best.select?.(device, relation);
  const asked = { relation, fact: relation.test[0], subjects: [NONE] };
  assert.is(best.words(asked, { values: {}, rows: 1 }, 0), chosen);
  const dev = await examinerOf(device, run).measure(itemsOf(benchmark.relations, "dev"));
  const [row] = rows;
  assert.equal([row.devAccuracy, row.devNone, row.best], [...(dev?.accuracy ?? []), true]);
  assert.is(outcome.best?.score, dev?.accuracy[0]);
  assert.equal(JSON.parse(textOf(place, "P1303/log.jsonl")), row);
});

test("of equal candidates the earlier is kept, whatever the dev facts say", async () => {
  const run = await prepare(given("lpaqa", { relations: "P36" }));
  const prompter = run.prompter as CandidatePrompter;
  const [relation] = run.benchmark.relations;
  const templates = prompter.pool.templates.get("P36") ?? [];
  assert.is(templates.length, 4);
  const choose = async (accuracies: readonly number[]) => {
    const place = new RunFolder(join(home, `tie ${runs++}`));
    let asked = 0;
    await lpaqa.train(prompter, {
      device,
      relations: [relation],
      options: run.options.own,
      seed: 1,
      buckets: run.buckets,
      folder: place,
      evaluate: async (split) => ({
        score: split === "train" ? accuracies[asked++] : 0,
        figures: {},
      }),
    });
    assert.is(asked, 4, "each is asked once");
    return templates.indexOf(JSON.parse(textOf(place, "best/prompts.json")).P36);
  };
  assert.equal(
    [
      await choose([10, 30, 20, 30]),
      await choose([30, 30, 30, 30]),
      await choose([0, 0, 0, 0.1]),
      await choose([0, 0, 5, 5]),
    ],
    [1, 0, 3, 2],
  );
});

test("stopped anywhere and gone on with, a search ends in the same files", async () => {
  const run = await prepare(given("lpaqa"));
  const whole = await trained(device, run);
  assert.equal(whole.outcome.finished, true);
  assert.is(whole.outcome.steps, 7);
  for (const after of [0, 2, 7]) {
    const cut = await trained(device, run, { after });
    assert.is(cut.outcome.finished, false, `after ${after}`);
    const { folder: place } = cut;
    const { outcome, steps } = await trained(device, run, { folder: place, resume: true });
    assert.equal(outcome, whole.outcome);
    assert.is(steps, 7 - after, "what was scored is not scored again");
    for (const id of ["P1303", "P36"]) {
      for (const file of ["best/prompts.json", "log.jsonl", "search.json"]) {
        assert.is(textOf(place, `${id}/${file}`), textOf(whole.folder, `${id}/${file}`), file);
      }
    }
  }
});

test("a process that died behind the log's row writes it once", async () => {
  const run = await prepare(given("lpaqa", { relations: "P36" }));
  const whole = await trained(device, run);
  const { folder: place } = await trained(device, run);
  const own = new RunFolder(place.file("P36"));
  const { identity } = await place.readJson("identity");
  const state = await own.loadSearch(String(identity));
  await own.saveSearch({ ...state, best: null }, String(identity));
  await trained(device, run, { folder: place, resume: true });
  for (const file of ["log.jsonl", "search.json"]) {
    assert.is(textOf(place, `P36/${file}`), textOf(whole.folder, `P36/${file}`));
  }
});

test("a state that is none of this search is refused", async () => {
  const run = await prepare(given("lpaqa", { relations: "P36" }));
  const { folder: place } = await trained(device, run);
  const own = new RunFolder(place.file("P36"));
  const { identity } = await place.readJson("identity");
  const state = await own.loadSearch(String(identity));
  for (const wrong of [
    { accuracies: "many" },
    { accuracies: [1, null, 2, 3] },
    { accuracies: [1, 2, 3, 4, 5] },
    { accuracies: [1], best: { step: 4, score: 3 } },
    { best: { step: 9, score: 3 } },
  ]) {
    await own.saveSearch({ ...state, ...wrong }, String(identity));
    const message = await trained(device, run, { folder: place, resume: true }).then(
      () => "",
      (error: Error) => error.message,
    );
    assert.match(
      message,
      /search\.json does not give the training accuracies of 4 candidates; start/,
    );
  }
});

test("an ensemble stopped anywhere ends in the same bits, and answers as it did", async () => {
  const run = await prepare(given("ensemble", ENSEMBLE));
  const whole = await trained(device, run);
  const { steps } = whole.outcome;
  assert.ok(steps > 11);
  const file = "best/ensemble.json";
  // in the search, between search and training, in the training, in the other relation
  for (const after of [1, 3, 4, steps - 1]) {
    const cut = await trained(device, run, { after });
    assert.is(cut.outcome.finished, false, `after ${after}`);
    const { folder: place } = cut;
    const went = await trained(device, run, { folder: place, resume: true });
    assert.equal(went.outcome, whole.outcome, `after ${after}`);
    assert.is(went.steps, steps - after);
    for (const id of ["P1303", "P36"]) {
      for (const own of [file, "log.jsonl"]) {
        assert.is(textOf(place, `${id}/${own}`), textOf(whole.folder, `${id}/${own}`), own);
      }
    }
  }
  for (const id of ["P1303", "P36"]) {
    const alone = await trained(
      device,
      await prepare(given("ensemble", { ...ENSEMBLE, relations: id })),
    );
    assert.is(textOf(alone.folder, `${id}/${file}`), textOf(whole.folder, `${id}/${file}`), id);
  }
  const saved = JSON.parse(textOf(whole.folder, `P36/${file}`)).P36;
  assert.is(saved.length, 3);
  assert.ok(
    saved.slice(0, 2).every(({ template }: { template: string }) => template.includes("capital")),
  );
  // the joined prompters answer the dev facts as each did when it was kept
  const joined = await bestPrompter(run, device, whole.folder);
  for (const relation of run.benchmark.relations) {
    await joined.select?.(device, relation);
    const [scores] = await read(device, [(run.prompter as EnsemblePrompter).scores]);
    const own = JSON.parse(textOf(whole.folder, `${relation.id}/${file}`))[relation.id];
    assert.equal(
      [...scores],
      own.map(({ score }: { score: number }) => score),
    );
    const items = itemsOf([relation], "dev");
    const measured = await examinerOf(device, run).measure(items);
    const rows = await new RunFolder(whole.folder.file(relation.id)).readLog();
    const kept = rows.findLast(({ best }) => best === true);
    assert.equal(measured?.accuracy, [kept?.devAccuracy, kept?.devNone]);
    assert.is(measured?.answered[0].prompt.split(" | ").length, 3);
  }
});

test("what is no ensemble, and one of more templates, is refused", async () => {
  const run = await prepare(given("ensemble", ENSEMBLE));
  const prompter = run.prompter as EnsemblePrompter;
  const said = (at: string): Promise<string> =>
    prompter.restore(device, at).then(
      () => "",
      (error: Error) => error.message,
    );
  const at = (text: string): string => folder({ "ensemble.json": text });
  assert.match(await said(folder({})), /ensemble\.json cannot be read; name the folder of a/);
  for (const text of ["{}", "[]", '{"P36":[]}', '{"P36":[{"template":"[X] [Y]"}]}', "3"]) {
    assert.match(await said(at(text)), /does not give a relation its templates with scores; train/);
  }
  const one = { template: "[X] [Y]", score: 0 };
  assert.match(
    await said(at(JSON.stringify({ P36: [one, one, one, one] }))),
    /holds 4 templates; open it with --prompts 4 or more/,
  );
  assert.match(
    await said(at(JSON.stringify({ P36: [{ ...one, template: "[X]" }] }))),
    /"\[X\]" holds \[Y\] nowhere/,
  );
});

test("candidates that the masked LM cannot be asked with are left out", async () => {
  const long = `${"very ".repeat(70)}[X] [Y]`;
  const candidates = folder({
    "prompt/manual_paraphrase/P36.txt": `[X] [MASK] [Y]\n${long}\n[X] has the [Y]\n`,
  });
  for (const method of ["lpaqa", "ensemble"]) {
    const run = await prepare(runOptions({ method, relations: "P36", candidates }, true));
    const { prompter, remarks, benchmark } = run;
    const { pool } = prompter as CandidatePrompter | EnsemblePrompter;
    assert.equal(pool.templates.get("P36"), ["[X] is governed from [Y] .", "[X] has the [Y]"]);
    assert.match(
      remarks.join("\n"),
      /2 of 4 templates cannot be asked and are left out, as \[.*P36\.txt:1\] "\[X\] \[MASK\] \[Y\]" holds \[MASK\], which the masked LM fills/,
    );
    const most = Math.max(
      ...benchmark.relations[0].train.map(({ subject }) => benchmark.encode(subject).length),
    );
    assert.ok(prompter.limit > most && prompter.limit < 128);
  }
});

test("the best sentence of pre-training is a row of its own", async () => {
  const run = await prepare(
    runOptions({ method: "lpaqa", pool: "patterns", relations: "P36" }, true),
  );
  assert.is(run.method.row(run.options.own), "Best pre-training pattern");
  assert.is(run.method.row({ pool: "candidates" }), "LPAQA");
  assert.equal(Object.keys(run.prompter.contents), ["pool"]);
  const { outcome, folder: place } = await trained(device, run);
  const { P36 } = JSON.parse(textOf(place, "P36/best/prompts.json"));
  assert.ok(textOf(new RunFolder(embeddedWorld().data), "patterns.jsonl").includes(`"${P36}"`));
  assert.is(outcome.best?.score, 100);
});

test.run();
each.run();
