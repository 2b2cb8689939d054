/** Templates that a T5 writes, as a method: what is chosen, kept, resumed, refused. */
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Device } from "../../../../engine/device.ts";
import { BartForConditionalGeneration } from "../../../../models/bart.ts";
import { saveCheckpoint } from "../../../../models/save.ts";
import { T5ForConditionalGeneration } from "../../../../models/t5.ts";
import { RunFolder } from "../../../../models/training/run-folder.ts";
import { type Benchmark, itemsOf } from "../../../../promptgen/benchmark.ts";
import { Examiner } from "../../../../promptgen/measure.ts";
import { methodOf } from "../../../../promptgen/methods/index.ts";
import { SearchedPrompter } from "../../../../promptgen/methods/lm-bff/prompter.ts";
import type { Options } from "../../../../promptgen/methods/options.ts";
import { TemplatePrompter } from "../../../../promptgen/methods/shared/templates.ts";
import {
  bestPrompter,
  prepare,
  runOptions,
  type TrainOptions,
  trainRun,
} from "../../../../promptgen/run.ts";
import { embeddedWorld } from "../../../../promptgen/world/world.ts";
import { onDevices } from "../../../devices.ts";
import { folder } from "../../fixture.ts";

const test = suite("LM-BFF");
const each = await onDevices("LM-BFF");

const world = embeddedWorld();
const SMALL = { relations: "P1303,P36", facts: 6, beam: 12, steps: 14 };

const RANDOM = { d_model: 16, d_kv: 8, d_ff: 16, num_layers: 1, num_decoder_layers: 1 };

type Candidates = readonly {
  readonly template: string;
  readonly logLikelihood: number;
  readonly dev?: number;
}[];

const read = (path: string) => JSON.parse(readFileSync(path, "utf8"));

/** A run of a method in a folder of its own. */
async function run(device: Device, given: Options, more: Partial<TrainOptions> = {}) {
  const prepared = await prepare(runOptions({ method: "lm-bff", ...SMALL, ...given }));
  const home = more.folder ?? new RunFolder(folder({}));
  const reports: string[] = [];
  const outcome = await trainRun(prepared, {
    device,
    folder: home,
    identity: "test",
    onStep: ({ step, steps }, relation) => reports.push(`${relation?.id} ${step}/${steps}`),
    ...more,
  });
  const filesOf = (id: string) => ({
    candidates: read(join(home.path, id, "candidates.json")) as Candidates,
    prompts: read(join(home.path, id, "best", "prompts.json")) as Record<string, string>,
  });
  return { prepared, home, outcome, reports, filesOf };
}

/** Per cent of the dev facts of a relation that each template answers, asked without the method. */
async function devOf(
  device: Device,
  benchmark: Benchmark,
  id: string,
  templates: readonly string[],
): Promise<number[]> {
  const relations = benchmark.relations.filter((relation) => relation.id === id);
  const prompter = new TemplatePrompter({ ...benchmark, relations }, new Map([[id, "[X] [Y]"]]));
  const examiner = new Examiner(device, benchmark, prompter, { buckets: [40], batchSize: 16 });
  const scores: number[] = [];
  for (const template of templates) {
    prompter.use(id, template);
    scores.push((await examiner.measure(itemsOf(relations, "dev")))?.accuracy[0] ?? Number.NaN);
  }
  return scores;
}

each(
  "the most probable template, or the most accurate on dev; asked with afterwards",
  async (device) => {
    const [likely, dev] = [await run(device, {}), await run(device, { choose: "dev" })];
    assert.ok(likely.outcome.finished && dev.outcome.finished);
    for (const { id } of likely.prepared.benchmark.relations) {
      const [first, second] = [likely.filesOf(id), dev.filesOf(id)];
      const templates = first.candidates.map(({ template }) => template);
      assert.ok(templates.length > 1);
      assert.is(new Set(templates).size, templates.length);
      assert.equal(
        second.candidates.map(({ template }) => template),
        templates,
      );
      const logs = first.candidates.map(({ logLikelihood }) => logLikelihood);
      assert.equal(
        logs,
        logs.toSorted((a, b) => b - a),
      );
      assert.equal(first.prompts, { [id]: templates[0] });
      const scores = await devOf(device, dev.prepared.benchmark, id, templates);
      assert.equal(
        second.candidates.map((one) => one.dev),
        scores,
      );
      assert.equal(second.prompts, { [id]: templates[scores.indexOf(Math.max(...scores))] });
    }
    assert.is(likely.reports.at(-1), "P36 15/15");
    assert.match(dev.reports.at(-1) ?? "", /^P36 \d+\/26$/);
    const joined = await bestPrompter(dev.prepared, device, dev.home);
    const { benchmark, buckets } = dev.prepared;
    const answered = await new Examiner(device, benchmark, joined, { buckets }).ask(
      itemsOf(benchmark.relations, "test"),
    );
    for (const { item, prompt } of answered ?? []) {
      assert.is(prompt, dev.filesOf(item.relation.id).prompts[item.relation.id]);
    }
  },
);

each("a search that is stopped goes on to the same files", async (device) => {
  const whole = await run(device, { choose: "dev" });
  const home = new RunFolder(folder({}));
  for (const after of ["P1303 5/26", "P1303 16/26", "P36 1/26"]) {
    const stop = new AbortController();
    const { outcome } = await run(
      device,
      { choose: "dev" },
      {
        folder: home,
        resume: true,
        signal: stop.signal,
        onStep({ step, steps }, relation) {
          if (`${relation?.id} ${step}/${steps}` === after) stop.abort("test");
        },
      },
    );
    assert.not(outcome.finished, after);
  }
  const last = await run(device, { choose: "dev" }, { folder: home, resume: true });
  assert.ok(last.outcome.finished);
  assert.equal(last.outcome.best, whole.outcome.best);
  assert.is(last.reports[0], "P36 2/26");
  for (const name of ["candidates.json", "search.json", "log.jsonl", "best/prompts.json"]) {
    for (const id of ["P1303", "P36"]) {
      const bytes = (path: string) => readFileSync(join(path, id, name), "utf8");
      assert.is(bytes(home.path), bytes(whole.home.path), `${id}/${name}`);
    }
  }
});

each("a BART writes too, in a row of its own", async (device) => {
  const { filesOf, prepared } = await run(device, { method: "lm-bff-bart", relations: "P36" });
  const { candidates, prompts } = filesOf("P36");
  assert.match(prompts.P36, /^\[X\].* \[Y\]/);
  assert.is(candidates[0].template, prompts.P36);
  assert.is(prepared.method.row(prepared.options.own), "Gao et al. with BART");
});

test("rows, and what the paper's settings are", () => {
  const method = methodOf("lm-bff");
  assert.is(method.row({ choose: "likelihood" }), "Gao et al. (2021)");
  assert.is(method.row({ choose: "dev" }), "Gao et al. (2021), best on dev");
  const { own } = runOptions({ method: "lm-bff" });
  const { t5, facts, beam, steps, choose } = own;
  assert.equal([t5, facts, beam, steps, choose], ["world", 32, 100, 18, "likelihood"]);
});

/** The world's T5 with another tokenizer or model_type. */
function changed(change: (home: string) => void): string {
  const home = folder({});
  cpSync(world.t5, home, { recursive: true });
  change(home);
  return home;
}

test("what cannot write templates is refused in one sentence", async () => {
  const said = (given: Options) =>
    prepare(runOptions({ method: "lm-bff", relations: "P36", ...given })).then(
      () => "",
      (error: Error) => error.message,
    );
  const none = changed((home) => {
    const path = join(home, "tokenizer.json");
    const text = readFileSync(path, "utf8");
    writeFileSync(path, text.replaceAll("<extra_id_1>", "<gap_1>"));
  });
  assert.is(
    await said({ t5: none }),
    `[lm-bff] the tokenizer in ${none} has no <extra_id_1>, which stand for the words that are searched; use a T5 with its own tokenizer`,
  );
  const wrong = (where: string, type: string, wanted: string, rest: string) =>
    `--${wanted === "T5" ? "t5" : "generator"}: ${where} has the model_type "${type}", and templates are written by a ${wanted} here; name one${rest}`;
  assert.is(
    await said({ t5: world.bart }),
    `[lm-bff] ${wrong(world.bart, "bart", "T5", ", or use --method lm-bff-bart")}`,
  );
  assert.is(await said({ t5: world.bert }), `[lm-bff] ${wrong(world.bert, "bert", "T5", "")}`);
  assert.is(
    await said({ method: "lm-bff-bart", generator: world.t5 }),
    `[lm-bff-bart] ${wrong(world.t5, "t5", "BART", ", or use --method lm-bff")}`,
  );
  const bare = changed((home) => rmSync(join(home, "tokenizer.json")));
  assert.match(await said({ t5: bare }), /tokenizer/);
});

each("a generator that writes no template by itself is held to it", async (device) => {
  // what is written at random lacks a slot nearly always
  const random = changed((home) => {
    const config = read(join(home, "config.json"));
    writeFileSync(join(home, "config.json"), JSON.stringify({ ...config, ...RANDOM }));
    rmSync(join(home, "model.safetensors"));
  });
  const t5 = T5ForConditionalGeneration.random(read(join(random, "config.json")), 3);
  await saveCheckpoint(random, device, t5);
  const bart = folder({});
  cpSync(world.bart, bart, { recursive: true });
  rmSync(join(bart, "model.safetensors"));
  const config = { ...read(join(bart, "config.json")), init_std: 0.3 };
  await saveCheckpoint(bart, device, BartForConditionalGeneration.random(config, 3));
  for (const [method, own] of [
    ["lm-bff", { t5: random }],
    ["lm-bff-bart", { generator: bart }],
  ] as const) {
    const made = await run(device, { method, ...own, relations: "P36", beam: 2, steps: 5 });
    const { candidates, prompts } = made.filesOf("P36");
    assert.match(prompts.P36, /^.*\[X\].* \[Y\]/);
    assert.ok(candidates.length > 0);
    const [row] = await new RunFolder(made.home.file("P36")).readLog();
    assert.is(row.again, true, method);
  }
});

each("a template that makes a question too wide for its bucket is passed over", async () => {
  const prepared = await prepare(runOptions({ method: "lm-bff", relations: "P36", steps: 4 }));
  const { prompter, benchmark } = prepared;
  assert.instance(prompter, SearchedPrompter);
  if (!(prompter instanceof SearchedPrompter)) return;
  const [relation] = benchmark.relations;
  const words = (count: number) => `[X] ${"the ".repeat(count)}[Y]`;
  assert.equal(
    [6, 7].map((count) => prompter.fits(relation, words(count))),
    [true, false],
  );
  // what fits is asked in the widths that were there before
  prompter.use(relation.id, words(6));
  const asked = itemsOf([relation], "train").map((item) => ({
    ...item,
    subjects: [item.fact.subject],
  }));
  for (const one of asked) assert.ok(prompter.width(one) <= (prepared.buckets.at(-1) ?? 0));
});

test.run();
each.run();
