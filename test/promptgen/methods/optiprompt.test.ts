/** OptiPrompt behind the seam: what it asks, and how the runner trains, joins and resumes a method with a prompt a relation. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { read } from "../../../engine/compile.ts";
import type { Device } from "../../../engine/device.ts";
import { concat, reshape, slice } from "../../../engine/ops/shape.ts";
import { state, tensor } from "../../../engine/tensor.ts";
import { RobertaForMaskedLM } from "../../../models/roberta.ts";
import { saveCheckpoint } from "../../../models/save.ts";
import { loadTokenizer } from "../../../models/tokenizer/tokenizer.ts";
import type { Outcome } from "../../../models/training/loop.ts";
import { RunFolder } from "../../../models/training/run-folder.ts";
import { type Item, itemsOf } from "../../../promptgen/benchmark.ts";
import { Examiner } from "../../../promptgen/measure.ts";
import type { Prediction, Prompter } from "../../../promptgen/methods/method.ts";
import { OptiPromptPrompter } from "../../../promptgen/methods/optiprompt.ts";
import { TemplatePrompter } from "../../../promptgen/methods/shared/templates.ts";
import { finalPeriod, nearestWords } from "../../../promptgen/methods/shared/vectors.ts";
import {
  bestPrompter,
  examinerOf,
  type Prepared,
  prepare,
  runOptions,
  trainRun,
} from "../../../promptgen/run.ts";
import { beginRun } from "../../../promptgen/run-file.ts";
import { embeddedWorld } from "../../../promptgen/world/world.ts";
import { onDevices } from "../../devices.ts";
import { closeForward } from "../../models/parity.ts";
import { TINY_ROBERTA } from "../tiny.ts";

const test = await onDevices("optiprompt");
const home = mkdtempSync(join(tmpdir(), "promptgen-"));
process.on("exit", () => rmSync(home, { recursive: true, force: true }));

const options = runOptions(
  { method: "optiprompt", relations: "P1303,P36", epochs: 2, vectors: 3, lr: 1e-2, seed: 3 },
  true,
);
const load = (given = options): Promise<Prepared> => prepare(given);

function prompterOf({ prompter }: Prepared): OptiPromptPrompter {
  assert.instance(prompter, OptiPromptPrompter);
  return prompter as OptiPromptPrompter;
}

let runs = 0;
async function trained(
  device: Device,
  run: Prepared,
  more: { folder?: RunFolder; resume?: boolean; after?: number } = {},
): Promise<{ folder: RunFolder; outcome: Outcome }> {
  const folder = more.folder ?? new RunFolder(join(home, `run ${runs++}`));
  const { identity } = more.resume ? { identity: "" } : await beginRun(folder, run);
  const stop = new AbortController();
  let steps = 0;
  const outcome = await trainRun(run, {
    device,
    folder,
    resume: more.resume,
    identity: more.resume ? JSON.parse(readFileSync(folder.file("identity"), "utf8")) : identity,
    saveEvery: 2,
    signal: stop.signal,
    onStep() {
      if (++steps === more.after) stop.abort();
    },
  });
  if (!more.resume) await folder.writeJson("identity", identity);
  return { folder, outcome };
}

const vectorsOf = (folder: RunFolder, relation: string): Buffer =>
  readFileSync(folder.file(`${relation}/best/vectors.safetensors`));

test("a padded batch asks as each question alone, written out", async (device) => {
  const run = await load();
  const prompter = prompterOf(run);
  const { reader, tokenizer } = run.benchmark;
  const [count, width] = prompter.vectors.shape;
  const [relation] = run.benchmark.relations;
  await prompter.start(device, 3, relation);
  const items = itemsOf([relation], "test").slice(0, 3);
  const asked = items.map((item: Item) => ({ ...item, subjects: [item.fact.subject, "None"] }));
  const most = Math.max(...asked.map((one) => prompter.width(one))) + 2;
  const { logits } = prompter.predict(prompter.collate(asked, most, 4));
  const [got] = await read(device, [logits]);
  const size = got.length / 8;
  for (const [b, { subjects }] of asked.entries()) {
    for (const [s, subject] of subjects.entries()) {
      const word = (ids: number[]) =>
        reader.lm.embed(tensor(Uint32Array.from(ids), [1, ids.length]));
      const head = word([tokenizer.cls, ...tokenizer.encode(subject)]);
      const end = word([tokenizer.mask, tokenizer.id("."), tokenizer.sep]);
      const embeds = concat([head, reshape(prompter.vectors, [1, count, width]), end], 1);
      const hidden = reader.lm.encode({ embeds });
      const place = head.shape[1] + count;
      const [want] = await read(device, [reader.lm.logits(slice(hidden, 1, place, place + 1))]);
      const row = got.subarray((s * 4 + b) * size, (s * 4 + b + 1) * size);
      closeForward([{ name: `${subject} ${b}`, got: row, want }]);
    }
  }
});

/** Templates of every order, with and without blanks around the slots. */
const TEMPLATES = [
  "[X] is governed from [Y] .",
  "Officials in [X] use [Y] .",
  "[Y] is the capital of [X] .",
  "In [Y] , also [X]",
  "[X] ([Y])",
  "[Y] [X] .",
];

/** The world with a RoBERTa for its reader, whose pieces tell whether a blank is before them. */
async function robertaWorld(device: Device): Promise<string> {
  const folder = mkdtempSync(join(home, "roberta-"));
  await saveCheckpoint(folder, device, RobertaForMaskedLM.random(TINY_ROBERTA, 5));
  cpSync(join(embeddedWorld().bart, "tokenizer.json"), join(folder, "tokenizer.json"));
  return folder;
}

test("started at any manual template it asks as that template does", async (device) => {
  for (const reader of ["world", await robertaWorld(device)]) {
    const { benchmark } = await load({ ...options, reader, relations: "P36" });
    const [capital] = benchmark.relations;
    for (const template of TEMPLATES) {
      const relation = { ...capital, template };
      const own = { ...benchmark, relations: [relation] };
      const prompter = new OptiPromptPrompter(own, { start: "manual", vectors: 5 });
      await prompter.start(device, 3, relation);
      const asked = itemsOf([relation], "test")
        .slice(0, 3)
        .map((item) => ({ ...item, subjects: [item.fact.subject, "None"] }));
      const words = new TemplatePrompter(own, new Map([[relation.id, template]]));
      const ask = (one: Prompter): Prediction => {
        const width = Math.max(...asked.map((of) => one.width(of)));
        return one.predict(one.collate(asked, width + 1, 4));
      };
      const predictions = [ask(prompter), ask(words)];
      const [got, want, near] = await read(device, [
        predictions[0].logits,
        predictions[1].logits,
        predictions[0].trace.nearest,
      ]);
      closeForward([
        { name: `${reader === "world" ? "BERT" : "RoBERTa"}, ${template}`, got, want },
      ]);
      if (reader !== "world" || template.includes("(")) continue; // which the world has no piece for
      const inWords = prompter.words(asked[0], { values: { nearest: near }, rows: 4 });
      const pieces = template.split(" ");
      const marked = pieces.map((piece) => (/^\[[XY]\]$/.test(piece) ? piece : `<${piece}>`));
      assert.is(inWords, marked.join(" "));
    }
  }
});

test("the period of a random start is what it is behind the mask", async (device) => {
  const periodOf = async (folder: string): Promise<readonly string[]> => {
    const tokenizer = await loadTokenizer(folder);
    const period = finalPeriod({ tokenizer, encode: (text) => tokenizer.encode(text) });
    return period.map((id) => tokenizer.token(id));
  };
  assert.equal(await periodOf(embeddedWorld().bert), ["."]);
  assert.equal(await periodOf(await robertaWorld(device)), ["."]);
  // one whose texts begin with a mark that does not stand behind a mask
  const special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"];
  const spaces = { type: "Metaspace", replacement: "▁", prepend_scheme: "first", split: true };
  const json = {
    added_tokens: special.map((content, id) => ({ id, content, special: true, normalized: false })),
    normalizer: null,
    pre_tokenizer: spaces,
    decoder: spaces,
    model: {
      type: "Unigram",
      unk_id: 3,
      vocab: [...special, "▁.", ".", "▁"].map((token, i) => [token, -i]),
    },
  };
  const marked = mkdtempSync(join(home, "marked-"));
  writeFileSync(join(marked, "tokenizer.json"), JSON.stringify(json));
  assert.equal((await loadTokenizer(marked)).encode("."), [5]);
  assert.equal(await periodOf(marked), ["."]);
});

test("the nearest words are those of the largest cosine, however long their rows are", async (device) => {
  const table = state("table", Float32Array.of(1, 0, 5, 5, 0, 0, 0, 2), [4, 2]);
  const vectors = tensor(Float32Array.of(1, 0.1, 0.1, 1, 3, 3, -1, -1), [4, 2]);
  const [near] = await read(device, [nearestWords(vectors, table)]);
  assert.equal(Array.from(near), [0, 3, 1, 2]); // nothing is less far from the last than a row of zeros
});

test("each relation has as many vectors as its template has pieces, and another's are refused", async (device) => {
  const own = { ...options.own, start: "manual", epochs: 1 };
  const run = await load({ ...options, relations: "P36,P37,P1303", own });
  assert.is(run.method.row(run.options.own), "OptiPrompt (manual)");
  const { folder, outcome } = await trained(device, run);
  assert.is(outcome.finished, true);
  const prompter = prompterOf(run);
  const counts = { P1303: 2, P36: 4, P37: 4 };
  for (const [id, count] of Object.entries(counts)) {
    await prompter.restore(device, folder.file(`${id}/best`));
    assert.equal(prompter.vectors.shape, [count, 128]);
  }
  const joined = await bestPrompter(run, device, folder);
  const items = itemsOf(run.benchmark.relations, "test");
  const answered = await new Examiner(device, run.benchmark, joined, {
    buckets: run.buckets,
  }).ask(items);
  const prompts = new Map(answered?.map(({ item, prompt }) => [item.relation.id, prompt]));
  assert.match(prompts.get("P37") ?? "", /^<\S+> <\S+> \[X\] <\S+> \[Y\] <\S+>$/);
  assert.match(prompts.get("P36") ?? "", /^\[X\] <\S+> <\S+> <\S+> \[Y\] <\S+>$/);
  await prompter.restore(device, folder.file("P1303/best"));
  const one = examinerOf(device, run);
  for (const [own, said] of [
    [
      items.filter(({ relation }) => relation.id === "P36"),
      /of another relation cannot ask about P36/,
    ],
    [items, /of P1303 cannot ask about P36; ask relation by relation/],
  ] as const) {
    const refused = await one.ask(own).then(
      () => "",
      (error) => error.message,
    );
    assert.match(refused, said);
  }
});

test("stopped in a relation of a manual start and gone on with, the vectors are the same", async (device) => {
  const own = { ...options.own, start: "manual", epochs: 1 };
  const run = await load({ ...options, own });
  const whole = await trained(device, run);
  const fresh = await load({ ...options, own });
  const cut = await trained(device, fresh, { after: whole.outcome.steps - 2 });
  const { folder } = cut;
  const { outcome } = await trained(device, await load({ ...options, own }), {
    folder,
    resume: true,
  });
  assert.equal(outcome, whole.outcome);
  for (const id of ["P1303", "P36"]) {
    assert.equal(vectorsOf(folder, id), vectorsOf(whole.folder, id), id);
  }
});

test("a template without words, one with too many, and too many vectors are refused", async () => {
  const { benchmark } = await load();
  const [first, ...rest] = benchmark.relations;
  const having = (template: string) => ({
    ...benchmark,
    relations: [{ ...first, template }, ...rest],
  });
  const manual = { start: "manual", vectors: 5 };
  assert.throws(
    () => new OptiPromptPrompter(having("[X] [Y]"), manual),
    /the manual template of P1303, "\[X\] \[Y\]", has no word that a vector could start from; give it one, leave the relation out/,
  );
  assert.throws(
    () => new OptiPromptPrompter(having(`[X] ${"is ".repeat(126)}[Y]`), manual),
    /126 vectors leave no room for a subject in the masked LM's 128 positions; shorten the template of P1303/,
  );
  assert.throws(
    () => new OptiPromptPrompter(benchmark, { start: "random", vectors: 124 }),
    /124 vectors leave no room for a subject in the masked LM's 128 positions; use fewer/,
  );
  assert.is(new OptiPromptPrompter(benchmark, { start: "random", vectors: 123 }).limit, 1);
});

test("one relation after the other, each in a folder, as if it were alone", async (device) => {
  const both = await trained(device, await load());
  assert.is(both.outcome.finished, true);
  assert.ok(both.outcome.steps > 4);
  for (const relations of ["P1303", "P36"]) {
    const alone = await trained(device, await load({ ...options, relations }));
    assert.equal(vectorsOf(alone.folder, relations), vectorsOf(both.folder, relations), relations);
  }
  assert.not.equal(vectorsOf(both.folder, "P1303"), vectorsOf(both.folder, "P36"));
});

test("stopped in either relation and gone on with, the vectors are the same", async (device) => {
  const run = await load();
  const whole = await trained(device, run);
  for (const after of [1, whole.outcome.steps - 1]) {
    const cut = await trained(device, run, { after });
    assert.is(cut.outcome.finished, false);
    const { folder } = cut;
    const { outcome } = await trained(device, run, { folder, resume: true });
    assert.equal(outcome, whole.outcome);
    for (const id of ["P1303", "P36"]) {
      assert.equal(vectorsOf(folder, id), vectorsOf(whole.folder, id), `${id} after ${after}`);
      const log = (of: RunFolder) => readFileSync(of.file(`${id}/log.jsonl`), "utf8");
      assert.is(log(folder), log(whole.folder));
    }
  }
});

test("joined prompters answer as each does for its relation", async (device) => {
  const run = await load();
  const { folder } = await trained(device, run);
  const { benchmark, buckets } = run;
  const items = itemsOf(benchmark.relations, "test");
  const joined = await bestPrompter(run, device, folder);
  const together = await new Examiner(device, benchmark, joined, { buckets }).ask(items);
  const one = examinerOf(device, run);
  for (const relation of benchmark.relations) {
    await run.prompter.restore(device, folder.file(`${relation.id}/best`));
    const own = items.filter((item) => item.relation === relation);
    const mine = together?.filter(({ item }) => item.relation === relation);
    assert.equal(
      (await one.ask(own))?.map(({ answers }) => answers.map(({ id }) => id)),
      mine?.map(({ answers }) => answers.map(({ id }) => id)),
    );
  }
});

test("vectors of another number, and a folder without any, are refused", async (device) => {
  const { folder } = await trained(device, await load());
  const five = await load({ ...options, own: { ...options.own, vectors: 5 } });
  const said = (of: Promise<void>): Promise<string> =>
    of.then(
      () => "",
      (e) => e.message,
    );
  const best = folder.file("P36/best");
  assert.match(
    await said(five.prompter.restore(device, best)),
    /does not hold vectors \[5,128\]; use the/,
  );
  const empty = join(home, "empty");
  cpSync(folder.file("P36"), empty, { recursive: true });
  rmSync(join(empty, "best"), { recursive: true });
  assert.match(
    await said(five.prompter.restore(device, join(empty, "best"))),
    /cannot be read; name/,
  );
});

test.run();
