/** What commands print: with --json and --quiet, in colour or not, with DEBUG, on a machine without a graphics device. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import { findHardware, namesGraphics } from "../../engine/devices/webgpu/adapter.ts";
import { embeddedWorld } from "../../promptgen/world/world.ts";
import { COMMANDS } from "../../tools/commands/promptgen.ts";
import { COMMON_OPTIONS } from "../../tools/lib/command.ts";
import { helpOf } from "../../tools/lib/help.ts";
import { ROOT, run, temporary } from "./command.ts";

const test = suite("output");

/** What a command printed with --json: one document, or one a line. */
async function json(...line: readonly string[]) {
  const { code, out, error } = await run("promptgen.ts", [...line, "--json"]);
  assert.equal(code, 0, error);
  const documents = out.trimEnd().split("\n");
  return { documents: documents.map((text) => JSON.parse(text)), error };
}

test("--json and --quiet: results and nothing else on standard output", async () => {
  const home = temporary();
  const cpu = ["--device", "cpu", "--threads", "1"];
  const out = join(home, "run");
  const template = ["train", "--method", "template", "--relations", "P36,P103"];
  const trained = await json(...template, ...cpu, "--out", out);
  assert.match(trained.error, /^device: CPU /m);
  const results = JSON.parse(readFileSync(join(out, "results.json"), "utf8"));
  assert.equal(trained.documents.length, 1);
  assert.deepEqual({ ...trained.documents[0], folder: "" }, { folder: "", ...results });

  const { documents } = await json("evaluate", out, ...cpu);
  const [{ tables, runs }] = documents;
  assert.equal(documents.length, 1);
  assert.deepEqual([runs.length, runs[0].folder, runs[0].row], [1, out, results.row]);
  const table = tables.find(({ title = "" }) => title.startsWith("Table 1"));
  const columns = table.columns.length;
  assert.ok(table.rows.length > 0 && columns > 1);
  for (const row of table.rows) assert.equal(row.length, columns);

  const quiet = await run("promptgen.ts", ["evaluate", out, ...cpu, "--quiet", "--format", "csv"]);
  assert.deepEqual([quiet.code, quiet.error], [0, ""]);
  assert.match(quiet.out, /^method,n,/);
  assert.doesNotMatch(quiet.out.trimEnd(), /[^\r]\n/); // nothing behind the tables, which alone end lines so

  const exported = await json("export", out, "--out", join(home, "prompts"), "--quiet");
  assert.equal(exported.error, "");
  const [{ prompts, files }] = exported.documents;
  assert.equal(prompts, results.facts);
  for (const name of files) readFileSync(join(home, "prompts", name));

  const file = join(home, "study.json");
  const rows = [{ method: "majority" }, { method: "template" }];
  writeFileSync(file, JSON.stringify({ name: "s", options: { relations: "P36" }, rows }));
  const folder = join(home, "study");
  const planned = await json("study", file, "--out", folder, "--dry-run");
  assert.deepEqual(
    planned.documents.map((one) => one.runs.map(({ stand }: { stand: string }) => stand)),
    [["new", "new"]],
  );
  const studied = await json("study", file, "--out", folder, "--quiet", ...cpu);
  assert.deepEqual([studied.error, studied.documents.length], ["", 1]);
  const reported = await json("report", folder, ...cpu);
  assert.deepEqual(reported.documents[0].tables, studied.documents[0].tables);
  assert.ok(reported.documents[0].tables.length > 2);

  const ranked = await json(
    "rank",
    "--relations",
    "P36",
    "--limit",
    "3",
    "--out",
    join(home, "rank"),
    ...cpu,
  );
  const [{ likelihood, rows: accuracies }] = ranked.documents;
  assert.deepEqual([ranked.documents.length, likelihood !== undefined], [1, true]);
  assert.deepEqual(
    accuracies.map(([name]: string[]) => name),
    ["P36", "mean of relations", "all facts"],
  );

  const world = join(home, "world");
  cpSync(embeddedWorld().data, world, { recursive: true });
  const made = await json("tokenizers", world);
  assert.match(made.error, /^wrote .*bert\/tokenizer\.json$/m);
  assert.equal(made.documents[0].facts, 979);

  const filled = await json("fill-mask", "a [MASK]", "b [MASK]", ...cpu);
  assert.deepEqual(
    filled.documents.map(({ text }) => text),
    ["a [MASK]", "b [MASK]"],
  );
});

test("colours as NO_COLOR and FORCE_COLOR say, none where nobody asked", async () => {
  const said = async (env: Record<string, string | undefined>) =>
    (
      await run("promptgen.ts", ["trian"], {
        env: {
          NO_COLOR: undefined,
          NODE_DISABLE_COLORS: undefined,
          FORCE_COLOR: undefined,
          ...env,
        },
      })
    ).error;
  assert.ok((await said({ FORCE_COLOR: "1" })).startsWith("\x1b[31merror\x1b[39m ["));
  assert.ok((await said({})).startsWith("error ["));
  assert.ok((await said({ NO_COLOR: "1" })).startsWith("error ["));
});

test("DEBUG is a number: with it an error has its stack", async () => {
  for (const [DEBUG, hasStack] of [
    ["1", true],
    ["0", false],
    ["", false],
    ["express:*", false],
  ] as const) {
    const { error, code } = await run("promptgen.ts", ["trian"], { env: { DEBUG } });
    assert.deepEqual([/\n +at /.test(error), code], [hasStack, 1], DEBUG);
  }
});

test("a device is looked for only where the system shows one, so that no driver speaks first", async () => {
  for (const name of ["dri/renderD128", "nvidia0", "dxg", "kgsl-3d0", "mali0", "nvhost-gpu"]) {
    assert.ok(namesGraphics(["null", "tty0", name]), name);
  }
  for (const names of [[], ["null", "tty0", "loop0", "dri/card0", "nvram", "nvme0", "dri"]]) {
    assert.ok(!namesGraphics(names), names.join());
  }
  const hasHardware = await findHardware();
  const { stderr, stdout } = spawnSync(
    process.execPath,
    [join(ROOT, "tools/promptgen.ts"), "fill-mask", "a [MASK]"],
    { encoding: "utf8", env: { ...process.env, DEBUG: "" } },
  );
  assert.match(stdout, /^a \[MASK\]\n/);
  if (!hasHardware) assert.equal(stderr, "");
});

test("in a clone the package's program runs the source", async () => {
  const program = join(ROOT, "tools", "promptgen.cjs");
  const { stdout, status } = spawnSync(process.execPath, [program, "help", "rank"], {
    encoding: "utf8",
  });
  assert.deepEqual(
    [status, stdout],
    [0, helpOf((await COMMANDS.rank.load()).command, COMMON_OPTIONS, false)],
  );
  assert.ok(readFileSync(program, "utf8").startsWith("#!/usr/bin/env node\n"));
});

test.run();
