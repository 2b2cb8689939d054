/** AutoPrompt behind the seam: which tokens may be triggers, what is asked by ids and as text, and how a search is kept, stopped and gone on with. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Device } from "../../../../engine/device.ts";
import { BertForMaskedLM } from "../../../../models/bert.ts";
import { loadTokenizer } from "../../../../models/tokenizer/tokenizer.ts";
import type { Outcome } from "../../../../models/training/loop.ts";
import { RunFolder } from "../../../../models/training/run-folder.ts";
import { type Benchmark, itemsOf, loadBenchmark } from "../../../../promptgen/benchmark.ts";
import type { Relation } from "../../../../promptgen/facts/facts.ts";
import { type Answer, type Answered, bucketsFor, Examiner } from "../../../../promptgen/measure.ts";
import { autoprompt, factBatch } from "../../../../promptgen/methods/autoprompt/index.ts";
import { AutoPromptPrompter } from "../../../../promptgen/methods/autoprompt/prompter.ts";
import { allowedTriggers, templateOf } from "../../../../promptgen/methods/autoprompt/tokens.ts";
import type { Prompter } from "../../../../promptgen/methods/method.ts";
import { TemplatePrompter } from "../../../../promptgen/methods/shared/templates.ts";
import { Reader } from "../../../../promptgen/reader.ts";
import {
  bestPrompter,
  type Prepared,
  prepare,
  prepareOn,
  runOptions,
  trainRun,
  warningsOf,
} from "../../../../promptgen/run.ts";
import { beginRun } from "../../../../promptgen/run-file.ts";
import { embeddedWorld } from "../../../../promptgen/world/world.ts";
import { onDevices } from "../../../devices.ts";
import { closeForward } from "../../../models/parity.ts";
import { folder as filesIn } from "../../fixture.ts";

const test = suite("autoprompt");
const each = await onDevices("autoprompt");
const home = mkdtempSync(join(tmpdir(), "promptgen-"));
process.on("exit", () => rmSync(home, { recursive: true, force: true }));

const world = embeddedWorld();
const benchmark = await loadBenchmark({ data: world.data, reader: world.bert });
const { relations, tokenizer } = benchmark;

const said = (work: Promise<unknown>) => work.then(String, (error: Error) => error.message);
const thrown = (work: () => unknown): string => {
  try {
    return `taken: ${String(work())}`;
  } catch (error) {
    return (error as Error).message;
  }
};

/** Why a token of the world may be no trigger, by its spelling alone. */
function refusal(token: string, { train }: Relation): string | undefined {
  if (/^\[[A-Z]+\]$/.test(token)) return "special";
  const letters = token.startsWith("##") ? token.slice(2) : token;
  if (train.some(({ object }) => object === token || object === letters)) return "object";
  const first = letters.charAt(0);
  const isUpper = first !== first.toLowerCase();
  return isUpper && letters.length > 1 ? "capitalised" : undefined;
}

test("with the filter no object, special or capitalised token may be a trigger; without it all may", () => {
  const reasons = new Set<string>();
  for (const relation of relations) {
    const allowed = allowedTriggers(benchmark, relation, true);
    const all = allowedTriggers(benchmark, relation, false);
    for (const [token, id] of tokenizer.vocabulary) {
      const why = refusal(token, relation);
      assert.is(allowed[id], why === undefined ? 1 : 0, `${relation.id}: ${token}, ${why}`);
      assert.is(all[id], 1, token);
      if (why !== undefined) reasons.add(why);
    }
  }
  assert.equal([...reasons].sort(), ["capitalised", "object", "special"]);
  const singles = [...tokenizer.vocabulary.keys()].filter((token) => /^(##)?[A-Z]$/.test(token));
  assert.ok(singles.length > 10, "single capitals stay in");
});

/** Tokens as vocab.txt has them, one id after the other, and a reader of as many rows and `more`. */
async function small(words: readonly string[], more: number): Promise<Benchmark> {
  const path = filesIn({ "vocab.txt": `${words.join("\n")}\n` });
  const own = await loadTokenizer(path);
  const config = { ...JSON.parse(readFileSync(join(world.bert, "config.json"), "utf8")) };
  const lm = BertForMaskedLM.random({ ...config, vocab_size: words.length + more }, 1);
  const { cls, sep, mask, pad } = own;
  const reader = new Reader(lm, { cls, sep, mask, pad });
  return { ...benchmark, reader, tokenizer: own, encode: (text) => own.encode(text) };
}
const SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
const relationOf = (...objects: string[]): Relation => ({
  ...relations[0],
  id: "R1",
  train: objects.map((object) => ({ subject: "x", object })),
});

test("letters beyond ASCII, single capitals, pieces, rows without a token", async () => {
  const words = ["É", "Éa", "éa", "##Éa", "##É", "ǅa", "1A", "Ω", "Ωm", "paris", "##paris", "##"];
  const own = await small([...SPECIAL, ...words, "."], 3);
  const allowed = allowedTriggers(own, relationOf("paris"), true);
  const left = [...own.tokenizer.vocabulary].filter(([, id]) => allowed[id] === 1);
  assert.equal(
    left.map(([token]) => token),
    ["É", "éa", "##É", "ǅa", "1A", "Ω", "##", "."],
  );
  assert.is(allowed.length, SPECIAL.length + words.length + 4);
  const all = allowedTriggers(own, relationOf("paris"), false);
  assert.equal([...all.subarray(-3)], [0, 0, 0], "a row without a token has no name");
  assert.is(all.indexOf(0), all.length - 3);
});

test("a filter that leaves nothing is one sentence", async () => {
  const own = await small([...SPECIAL, "Paris", "rome", "##rome"], 2);
  assert.match(
    thrown(() => allowedTriggers(own, relationOf("rome"), true)),
    /^\[autoprompt\] the filter leaves no token .* for R1: .*; use --filter off, or a masked LM with more words$/,
  );
  assert.is(allowedTriggers(own, relationOf("rome"), false).indexOf(0), 8);
});

test("as text: tokens in a row, pieces joined to what stands before them", async () => {
  const own = await small([...SPECIAL, "of", "##vik", "a", "##", "."], 0);
  const text = (...tokens: string[]) =>
    templateOf(
      own.tokenizer,
      tokens.map((token) => own.tokenizer.id(token)),
    );
  assert.is(text("##vik", "of", "a", "##vik", "##vik"), "[X]vik of avikvik [Y] .");
  assert.is(text("[MASK]", "##", "."), "[X] [MASK] ## . [Y] .");
  const bytes = filesIn({
    "vocab.json": JSON.stringify({
      "<s>": 0,
      "<pad>": 1,
      "</s>": 2,
      "<unk>": 3,
      "<mask>": 4,
      Ġ: 5,
      c: 6,
      Ġc: 7,
      C: 8,
      ĠC: 9,
      b: 10,
      Cb: 11,
      ĠCb: 12,
      Ã: 13,
      ĠcC: 14,
    }),
    "merges.txt": "Ġ c\nĠ C\nC b\nĠ Cb\n",
  });
  const roberta = await loadTokenizer(bytes);
  const ids = (...tokens: string[]) => tokens.map((token) => roberta.id(token));
  assert.is(templateOf(roberta, ids("b", "Ġc", "Cb")), "[X]b cCb [Y] .");
  const lm = { ...benchmark, tokenizer: roberta, reader: { lm: { vocabularySize: 15 } } };
  const allowed = allowedTriggers(lm as unknown as Benchmark, relationOf("cC"), true);
  const out = [...allowed.keys()].filter((id) => allowed[id] === 0);
  assert.equal(out, [
    ...ids("<s>", "<pad>", "</s>", "<unk>", "<mask>"),
    ...ids("Cb", "ĠCb", "ĠcC"),
  ]);
});

const options = runOptions(
  {
    method: "autoprompt",
    relations: "P1303,P36",
    iterations: 4,
    "num-candidates": 3,
    "batch-size": 8,
    seed: 3,
  },
  true,
);
const FOLDERS = ["P1303", "P36"];
const alone = (id: string) => ({ ...options, relations: id });

/** Stops the run as it begins to ask for the last of `left` times. */
class Interrupted extends Examiner {
  left = 0;
  stop = new AbortController();
  override measure(...asked: Parameters<Examiner["measure"]>): ReturnType<Examiner["measure"]> {
    if (--this.left === 0) this.stop.abort();
    return super.measure(...asked);
  }
}

let runs = 0;
async function trained(
  device: Device,
  run: Prepared,
  more: { folder?: RunFolder; after?: number; asking?: number; saveEvery?: number } = {},
): Promise<{ folder: RunFolder; outcome: Outcome }> {
  const resume = more.folder !== undefined;
  const folder = more.folder ?? new RunFolder(join(home, `run ${runs++}`));
  if (!resume) await beginRun(folder, run);
  const { benchmark: own, prompter, buckets } = run;
  const examiner = new Interrupted(device, own, prompter, { buckets, batchSize: 8 });
  examiner.left = more.asking ?? 0;
  const { stop } = examiner;
  let steps = 0;
  const outcome = await trainRun(run, {
    device,
    folder,
    resume,
    examiner,
    identity: "the run",
    saveEvery: more.saveEvery ?? 3,
    signal: stop.signal,
    onStep() {
      if (++steps === more.after) stop.abort();
    },
  });
  return { folder, outcome };
}

/** All that a search leaves behind. */
const left = (folder: RunFolder, ids = FOLDERS): string[] =>
  ids.flatMap((id) =>
    ["best/triggers.json", "log.jsonl", "search.json"].map((name) =>
      readFileSync(folder.file(`${id}/${name}`), "utf8"),
    ),
  );

/** triggers.json of a relation. */
function savedIn(folder: RunFolder, id: string) {
  const path = folder.file(`${id}/best/triggers.json`);
  const found: { triggers: number[]; tokens: string[]; template: string } = JSON.parse(
    readFileSync(path, "utf8"),
  );
  return found;
}

/** A folder with triggers as a run would have saved them. */
async function saved(device: Device, tokens: readonly string[]): Promise<string> {
  const prompter = new AutoPromptPrompter(benchmark, tokens.length, false);
  prompter.use(tokens.map((token) => tokenizer.id(token)));
  const path = join(home, `saved ${runs++}`);
  await prompter.save(device, path);
  return path;
}

each("the same seed gives the same bits, and each relation what it has alone", async (device) => {
  const run = await prepare(options);
  const both = await trained(device, run);
  assert.is(both.outcome.finished, true);
  assert.is(both.outcome.steps, 8);
  const again = await trained(device, run, { saveEvery: 100 });
  assert.equal(left(again.folder), left(both.folder));
  const second = await trained(device, await prepare(alone("P36")));
  assert.equal(left(second.folder, ["P36"]), left(both.folder, ["P36"]));
  const other = await trained(device, await prepare({ ...alone("P36"), seed: 4 }));
  assert.not.equal(left(other.folder, ["P36"]), left(both.folder, ["P36"]));
});

each("what is best on the dev facts is kept, joined and asked with", async (device) => {
  const own = { ...options.own, triggers: 2, iterations: 8 };
  const run = await prepare({ ...options, own });
  const { folder, outcome } = await trained(device, run);
  let ties = 0;
  for (const [i, id] of FOLDERS.entries()) {
    const rows = await new RunFolder(folder.file(id)).readLog();
    const searched = rows.flatMap(({ triggers }) => triggers as number[]);
    const tokens = searched.map((trigger) => tokenizer.token(trigger));
    const refused = tokens.map((token) => refusal(token, run.benchmark.relations[i]));
    assert.equal(
      tokens.filter((token, at) => refused[at] !== undefined && token !== "[MASK]"),
      [],
    );
    assert.equal([rows[0].step, rows[0].logLikelihood], [0, null]);
    assert.ok(rows.length > 2);
    let best: (typeof rows)[number] | undefined;
    for (const row of rows) {
      const isMasked = String(best?.prompt).includes("[MASK]");
      const better = !best || isMasked || Number(row.devAccuracy) > Number(best.devAccuracy);
      assert.is(row.best, better, `${id} ${row.step}`);
      if (!better && row.devAccuracy === best?.devAccuracy) ties++;
      if (better) best = row;
    }
    assert.is(savedIn(folder, id).template, best?.prompt);
  }
  const joined = await bestPrompter(run, device, folder);
  const examiner = new Examiner(device, run.benchmark, joined, { buckets: run.buckets });
  const measured = await examiner.measure(itemsOf(run.benchmark.relations, "dev"));
  assert.is(measured?.accuracy[0], outcome.best?.score);
  assert.ok(ties > 0, "what is as good is not better");
  // a fall says nothing about a rate that there is none of
  const fall = `${JSON.stringify({ step: 9, devAccuracy: 0 })}\n`;
  writeFileSync(folder.file("P36/log.jsonl"), `{"step":0,"devAccuracy":50,"best":true}\n${fall}`);
  if (measured) assert.equal(await warningsOf(run, folder, measured), []);
});

each("stopped after any iteration and gone on with, all is the same", async (device) => {
  const run = await prepare(options);
  const whole = await trained(device, run);
  for (let after = 1; after < whole.outcome.steps; after++) {
    const cut = await trained(device, run, { after });
    assert.is(cut.outcome.finished, false);
    assert.is(cut.outcome.step, after);
    const { outcome } = await trained(device, run, cut);
    assert.equal(outcome, whole.outcome);
    assert.equal(left(cut.folder), left(whole.folder), `after ${after}`);
  }
  for (const asking of [1, 2, 3]) {
    const cut = await trained(device, run, { asking });
    assert.is(cut.outcome.finished, false);
    const { outcome } = await trained(device, run, { folder: cut.folder });
    assert.equal(outcome, whole.outcome);
    assert.equal(left(cut.folder), left(whole.folder), `while asking for time ${asking}`);
  }
  // newer rows and a newer best stand beside what a process that was killed had saved last
  const cut = await trained(device, run, { after: 6 });
  const early = readFileSync(cut.folder.file("P36/search.json"));
  await trained(device, run, cut);
  writeFileSync(cut.folder.file("P36/search.json"), early);
  await trained(device, run, cut);
  assert.equal(left(cut.folder), left(whole.folder));
  const { folder } = cut;
  const changed = trainRun(run, { device, folder, resume: true, identity: "another" });
  assert.match(await said(changed), /search.json was written with other options, data or models/);
});

each("the filter keeps out of the candidates what stands among them without it", async (device) => {
  const prompter = new AutoPromptPrompter(benchmark, 2, false);
  const buckets = bucketsFor(prompter, relations);
  const search = prompter.search(device, 40);
  for (const filtered of [true, false]) {
    const reasons = new Set<string>();
    for (const relation of relations.slice(0, 5)) {
      const facts = itemsOf([relation], "train").slice(0, 8);
      const batches = [factBatch(prompter, facts, 8, buckets)];
      const allowed = allowedTriggers(benchmark, relation, filtered);
      const draw = { position: 0, slope: batches, trial: batches };
      const { candidates } = await search.iterate(prompter.triggers, draw, allowed);
      assert.is(candidates.length, 40);
      for (const id of candidates) {
        const why = refusal(tokenizer.token(id), relation);
        if (why !== undefined) reasons.add(why);
      }
    }
    const want = filtered ? [] : ["capitalised", "object", "special"];
    assert.equal([...reasons].sort(), want);
  }
});

each(
  "text that is read as the same ids is asked the same, other text as its template",
  async (device) => {
    const [relation] = relations;
    const items = itemsOf([relation], "test");
    const examine = (prompter: Prompter) => {
      const buckets = bucketsFor(prompter, [relation]);
      return new Examiner(device, benchmark, prompter, { buckets, batchSize: 16 }).ask(items);
    };
    const opened = async (ask: string, folder: string): Promise<Prompter> => {
      const prompter = await autoprompt.open(benchmark, { ...options.own, triggers: 3, ask });
      await prompter.restore(device, folder);
      return prompter;
    };
    const answers = (all: readonly Answered[] | undefined) =>
      all?.map(({ answers: own, prompt }) => [own, prompt]);
    for (const [tokens, template, isSame] of [
      [["the", "capital", "of"], "[X] the capital of [Y] .", true],
      [["##s", "nation", "##al"], "[X]s national [Y] .", false], // read as fewer
      [["i", "##all", "the"], "[X] iall the [Y] .", false], // as more
    ] as const) {
      const folder = await saved(device, tokens);
      const byIds = await examine(await opened("ids", folder));
      const byText = await examine(await opened("text", folder));
      assert.is(byIds?.length, items.length);
      assert.is(byText?.[0].prompt, template);
      if (isSame) assert.equal(answers(byIds), answers(byText));
      else assert.not.equal(answers(byIds), answers(byText));
      const words = new TemplatePrompter(
        benchmark,
        new Map(relations.map(({ id }) => [id, template])),
      );
      const want = (await examine(words))?.flatMap((one) => one.answers);
      const got = byText?.flatMap((one) => one.answers);
      assert.equal(
        got?.map(({ id }) => id),
        want?.map(({ id }) => id),
      );
      const logP = (all: readonly Answer[] | undefined) => all?.map((one) => one.logP) ?? [];
      closeForward([{ name: template, got: logP(got), want: logP(want) }]);
    }
  },
);

each("what does not fit is one sentence", async (device) => {
  const restored = async (triggers: number, folder: string) => {
    const prompter = await autoprompt.open(benchmark, { ...options.own, triggers });
    return said(prompter.restore(device, folder));
  };
  const folder = await saved(device, ["the", "capital", "of"]);
  const misfit = /triggers.json does not hold \d triggers of this masked LM; use the masked LM and/;
  assert.is(await restored(3, folder), "undefined");
  assert.match(await restored(5, folder), misfit);
  assert.match(await restored(3, join(home, "none")), /; name the folder of a finished run$/);
  const path = join(folder, "triggers.json");
  const text = readFileSync(path, "utf8");
  for (const [written, sentence] of [
    [text.replace('"capital"', '"capitals"'), misfit],
    [text.replace('"capital"', "7"), misfit],
    [text.slice(0, -4), /triggers.json is not JSON; search again$/],
    ["null", misfit],
  ] as const) {
    writeFileSync(path, written);
    assert.match(await restored(3, folder), sentence);
  }
  // no room for triggers, and for what text may become
  const config = JSON.parse(readFileSync(join(world.bert, "config.json"), "utf8"));
  const lm = BertForMaskedLM.random({ ...config, max_position_embeddings: 12 }, 1);
  const short = { ...benchmark, reader: new Reader(lm, benchmark.reader.ids) };
  assert.match(
    thrown(() => new AutoPromptPrompter(short, 8, false)),
    /^\[autoprompt\] 8 triggers leave no room for a subject in the masked LM's 12 positions; use fewer$/,
  );
  const asText = new AutoPromptPrompter(short, 5, true);
  assert.is(asText.limit, 3);
  const pieces = ["##x", "##q", "##z", "##j", "##k"];
  await asText.restore(device, await saved(device, pieces));
  const [relation] = relations;
  const asked = { relation, fact: relation.train[0], subjects: ["None None None None"] };
  assert.match(
    thrown(() => asText.collate([asked], 3, 1)),
    /^\[autoprompt\] the prompt "\[X\]xqzjk \[Y\] \." is read as \d+ tokens .* masked LM's 12 positions; use --ask ids$/,
  );
});

each("two batches are the facts of one of twice the size", async (device) => {
  const rows = async (accumulation: number, size: number) => {
    const own = { ...options.own, accumulation, "batch-size": size };
    const { folder } = await trained(device, await prepare({ ...alone("P36"), own }));
    return (await new RunFolder(folder.file("P36")).readLog()).slice(1);
  };
  const [one, two] = [await rows(1, 8), await rows(2, 4)];
  assert.equal(
    two.map(({ prompt }) => prompt),
    one.map(({ prompt }) => prompt),
  );
  const likelihood = (of: typeof one) => of.map((row) => Number(row.logLikelihood));
  closeForward([{ name: "log P", got: likelihood(two), want: likelihood(one) }]);
});

each("one training fact suffices", async (device) => {
  const [relation] = relations;
  const one = { ...relation, train: relation.train.slice(0, 1) };
  const own = { ...options.own, accumulation: 3 };
  const run = await prepareOn({ ...benchmark, relations: [one] }, { ...alone(one.id), own });
  const { folder, outcome } = await trained(device, run);
  assert.is(outcome.finished, true);
  assert.is(savedIn(folder, one.id).triggers.length, 5);
});

test("its rows in the tables", () => {
  assert.is(autoprompt.row({ triggers: 5, ask: "ids" }), "AutoPrompt (5 [T]s)");
  assert.is(autoprompt.row({ triggers: 5, ask: "text" }), "AutoPrompt, as text");
});

test.run();
each.run();
