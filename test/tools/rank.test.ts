import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import type { RankRow } from "../../promptgen/ranking/rank.ts";
import { embeddedWorld } from "../../promptgen/world/world.ts";
import { printedBy, ROOT, refuses, run, temporary } from "./command.ts";

const test = suite("rank");
const TOOL = "rank.ts";

const golden = join(ROOT, "test", "golden", "ranking");
const bear = join(golden, "data");
const home = temporary();
const place = (name: string) => join(home, name);
const rows = (folder: string, id: string): RankRow[] =>
  readFileSync(join(folder, `${id}.jsonl`), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

/** Options that all calls share: the model's folder under the golden, where results go. */
const asked = (model: string, out: string, ...more: string[]) => [
  ...["--device", "cpu", "--threads", "1", "--data", bear],
  ...["--model", join(golden, model), "--out", out, ...more],
];

test("GPT-2 on three templates: accuracies of lm-pub-quiz, by sum and, without asking again, by mean", async () => {
  const out = place("gpt2");
  const { accuracy, relations } = JSON.parse(readFileSync(join(golden, "golden.json"), "utf8")).gpt2
    .causal;
  const ids: string[] = ["R1", "R2", "R10"];
  const facts: Record<string, number> = { R1: 5, R2: 4, R10: 2 };
  let written: number | undefined;
  for (const reduction of ["sum", "mean"]) {
    const { out: printed, error } = await run(
      TOOL,
      asked("gpt2", out, "--format", "csv", "--reduction", reduction),
    );
    const [head, ...lines] = printed.trim().split("\r\n");
    assert.equal(head, "relation,facts,answers,chance,template 0,template 1,template 2,mean");
    const want = ids.map((id) => accuracy[id][reduction].map((share: number) => 100 * share));
    lines.slice(0, 3).forEach((line, i) => {
      const cells = line.split(",");
      assert.equal(cells[0], ids[i]);
      assert.equal(cells[1], String(facts[ids[i]]));
      assert.deepEqual(cells.slice(4, 7).map(Number), want[i]);
    });
    const total = ids.reduce((sum, id) => sum + facts[id], 0);
    const pooled = [0, 1, 2].map(
      (t) => want.reduce((sum, own, i) => sum + own[t] * facts[ids[i]], 0) / total,
    );
    const mean = [0, 1, 2].map((t) => want.reduce((sum, own) => sum + own[t], 0) / 3);
    const figures = (line: string) => line.split(",").slice(4, 7);
    const shown = (values: readonly number[]) => values.map((value) => value.toFixed(1));
    assert.deepEqual(figures(lines[3]), shown(mean));
    assert.deepEqual(figures(lines[4]), shown(pooled));
    const at = statSync(join(out, "R1.jsonl")).mtimeMs;
    assert.equal(at, written ?? at);
    written = at;
    if (reduction === "mean") assert.match(error, /has 3 of 3 relations already/);
    else assert.match(error, /^sentences \d+\/114 /);
  }
  for (const id of ids) {
    const own = rows(out, id);
    own.forEach((row, i) => {
      assert.ok(row.scores.every((s, j) => Math.abs(s - relations[id][i].scores.sum[j]) < 1e-4));
      assert.ok(row.sum.rank >= 1 && row.sum.rank <= row.scores.length);
    });
    assert.deepEqual(Object.keys(own[0]), [
      ...["relation", "template", "prompt", "subject", "object", "sum", "mean", "scores", "tokens"],
    ]);
  }
});

test("a relation that is done is not done again; another question is refused", async () => {
  const out = place("bert");
  await printedBy(TOOL, asked("bert", out, "--relations", "R10"));
  const before = readFileSync(join(out, "R10.jsonl"), "utf8");
  const { code, error } = await run(TOOL, asked("bert", out));
  assert.equal(code, 0, error);
  assert.match(error, /has 1 of 3 relations already/);
  assert.equal(readFileSync(join(out, "R10.jsonl"), "utf8"), before);
  const whole = place("bert-whole");
  await printedBy(TOOL, asked("bert", whole));
  for (const id of ["R1", "R2", "R10"]) {
    assert.deepEqual(rows(out, id), rows(whole, id));
  }
  await refuses(
    TOOL,
    asked("bert", out, "--limit", "1"),
    /has R1 with other facts, templates or --limit/,
  );
  await refuses(
    TOOL,
    asked("bert", out, "--pll", "original"),
    /another kind of likelihood \(within_word_l2r, not original\)/,
  );
  await refuses(TOOL, asked("roberta", out), /was ranked by another model; name another --out/);
  writeFileSync(join(out, "R10.jsonl"), before.replace("bread", "breed"));
  await refuses(TOOL, asked("bert", out), /R10\.jsonl is not what was written/);
});

test("stopped by a signal it goes on with the same figures", async () => {
  const out = place("stopped");
  const slow = asked("roberta", out, "--batch-tokens", "1");
  const child = spawn(process.execPath, [join(ROOT, "tools", TOOL), ...slow], { cwd: ROOT });
  const ended = new Promise<number | null>((done) => child.on("close", done));
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said += text;
    if (said.includes("sentences ")) child.kill("SIGTERM");
  });
  assert.equal(await ended, 143, said);
  assert.match(said, /stopped; the same command goes on with the \d relations that are left/);
  const whole = place("not-stopped");
  await printedBy(TOOL, asked("roberta", whole));
  const options = asked("roberta", out);
  await printedBy(TOOL, options);
  for (const id of ["R1", "R2", "R10"]) {
    const want = rows(whole, id);
    const got = rows(out, id);
    assert.deepEqual(
      got.map(({ sum }) => sum),
      want.map(({ sum }) => sum),
    );
  }
});

test("the embedded world without options for data and model; prompts of a run", async () => {
  const shared = ["--device", "cpu", "--relations", "P30,P31", "--limit", "4"];
  const printed = await printedBy(TOOL, [...shared, "--out", place("world")]);
  assert.match(printed, /^relation +facts +answers +chance +accuracy\n/);
  assert.match(printed, /\nP30 +4 +5 +20\.0 +\d+\.\d\nP31 +4 +8 /);
  const run_ = place("run");
  mkdirSync(join(run_, "best"), { recursive: true });
  writeFileSync(join(run_, "best", "prompts.json"), JSON.stringify({ P30: "[Y] holds [X] ." }));
  const out = place("prompts");
  const { error } = await run(TOOL, [...shared, "--prompts", run_, "--out", out]);
  assert.match(error, /has no prompt for P31, left out/);
  assert.equal(rows(out, "P30")[0].prompt, "[Y] holds [X] .");
  const lines = place("lines");
  mkdirSync(lines);
  const line = (prompt: string) => `${JSON.stringify({ relation: "P31", prompt })}\n`;
  writeFileSync(join(lines, "facts.jsonl"), line("[X]: [Y]").repeat(2));
  const outLines = place("out-lines");
  await printedBy(TOOL, [...shared, "--prompts", lines, "--out", outLines]);
  assert.equal(rows(outLines, "P31")[0].prompt, "[X]: [Y]");
  const own = place("each");
  for (const [id, template] of Object.entries({ P30: "[X] / [Y]", P31: "[X] - [Y]" })) {
    mkdirSync(join(own, id, "best"), { recursive: true });
    const both = { P30: "not trained [X] [Y]", P31: "not trained [X] [Y]", [id]: template };
    writeFileSync(join(own, id, "best", "prompts.json"), JSON.stringify(both));
  }
  const outOwn = place("out-own");
  await printedBy(TOOL, [...shared, "--prompts", own, "--out", outOwn]);
  assert.deepEqual(
    ["P30", "P31"].map((id) => rows(outOwn, id)[0].prompt),
    ["[X] / [Y]", "[X] - [Y]"],
  );
  writeFileSync(join(lines, "facts.jsonl"), line("[X]: [Y]") + line("[X]; [Y]"));
  const refused = (prompts: string, sentence: RegExp) =>
    refuses(TOOL, [...shared, "--prompts", prompts, "--out", place("none")], sentence);
  await refused(lines, /facts\.jsonl:2 has another prompt for P31 than a line before it/);
  writeFileSync(join(lines, "facts.jsonl"), line("words of [X]"));
  await refused(lines, /facts\.jsonl:1 has a prompt without \[X\] or \[Y\]: words of \[X\]/);
  await refused(bear, /has neither prompts\.json nor facts\.jsonl/);
  writeFileSync(join(run_, "best", "prompts.json"), JSON.stringify({ P17: "[X] [Y]" }));
  await refused(run_, /has prompts for P17, and the facts are of P30, P31/);
});

test("mistakes are answered in one sentence", async () => {
  const with_ = (...more: string[]) => asked("gpt2", place("mistakes"), ...more);
  await refuses(
    TOOL,
    with_("--pll", "original"),
    /--pll is for masked LMs, and .* is a causal one/,
  );
  await refuses(
    TOOL,
    with_("--pll", "other"),
    /--pll is other; choose among within_word_l2r, original/,
  );
  await refuses(TOOL, with_("--template", "3"), /--template is 3, but R1 has 3, the first being 0/);
  await refuses(TOOL, with_("--relations", "P1"), /has no relation P1; it has R1, R2, R10/);
  const data = (path: string) => ["--device", "cpu", "--data", path];
  await refuses(TOOL, data(home), /has neither metadata_relations\.json nor relation_metainfo\//);
  await refuses(TOOL, data(place("nowhere")), /nowhere does not exist/);
  await refuses(
    TOOL,
    ["--model", embeddedWorld().bart],
    /an encoder-decoder; the masked and causal LMs that are/,
  );
  const taken = place("taken");
  cpSync(bear, taken, { recursive: true });
  writeFileSync(join(taken, "rank.json"), '{"model": "m", "relations": null}');
  await refuses(
    TOOL,
    asked("gpt2", taken),
    /rank\.json is not what was written; name another --out/,
  );
});

test.run();
