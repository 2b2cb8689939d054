/** Commands on facts that are odd: what is left out is said in one line and stands in results.json. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import { readResults } from "../../promptgen/report/results.ts";
import { embeddedWorld } from "../../promptgen/world/world.ts";
import { folder, rows, uncasedBert } from "../promptgen/fixture.ts";
import { printedBy, refuses, run, temporary } from "./command.ts";

const test = suite("commands on facts");
const cpu = ["--device", "cpu"];
const world = embeddedWorld();

const LONG = Array.from({ length: 200 }, () => "Paris").join(" ");
const DATA = folder({
  "relation_metainfo/LAMA_relations.jsonl":
    '\uFEFF{"relation":"R2","template":"[X] is in [Y] .","label":"place","type":"N-1"}\n',
  "common_vocabs/common_vocab_cased.txt": "\uFEFFParis\r\nRome\r\n\r\nParis\r\nAtlantis\r\n",
  "autoprompt_data/R2/train.jsonl": rows("Louvre >  Paris", "Orsay > paris", "Forum > Rome"),
  "autoprompt_data/R2/dev.jsonl": rows("Forum > Rome", "Forum > Rome"),
  "LAMA-TREx/R2.jsonl": rows(
    "Tower > Paris",
    "Colosseum > Rome ",
    "Big Hall > New Paris",
    `${LONG} > Rome`,
  ),
  "LAMA-TREx/R2.json": "[]",
});

const LEFT =
  "[data] R2: 9 facts read, 5 left out (2 train, 1 dev, 2 test): 1 repeated (Forum > Rome); " +
  '2 with a blank or an invisible character around the object (" Paris", "Rome "); ' +
  "1 with an object that is a common word in another case (paris); 1 with an object of several pieces (New Paris)";
const UNREAD =
  "[data] 1 file looks like facts, templates or words and is not read (LAMA-TREx/R2.json); ";
const ANSWERS = `answers: 2 words of ${DATA}/common_vocabs/common_vocab_cased.txt (5 lines: 1 empty, 1 repeated, 1 not one token of the masked LM)`;
const ACROSS =
  "[data] facts that stand in an earlier split too, kept as the benchmark keeps them: 1 (R2: Forum > Rome)";

/** Each of these stands once in what was printed, at the beginning of a line. */
function says(out: string, sentences: readonly string[]): void {
  const lines = out.split("\n");
  for (const sentence of sentences) {
    assert.equal(
      lines.filter((line) => line.startsWith(sentence)).length,
      1,
      `${sentence}\n${out}`,
    );
  }
}

test("train and evaluate say what they left out, and results.json has it by relation, reason and split", async () => {
  const home = temporary();
  const outs = ["template", "majority"].map((method) => join(home, method));
  const blank = { train: 1, dev: 0, test: 1 };
  const one = (split: "train" | "dev" | "test") => {
    const none = { train: 0, dev: 0, test: 0 };
    none[split] = 1;
    return none;
  };
  const filtered = {
    blank,
    case: one("train"),
    repeated: one("dev"),
    multiPiece: one("test"),
  };
  const too =
    "[data] 1 of 4 facts are too long for the models' positions, more than 128 pieces (Paris ";
  const template = await printedBy("train.ts", [
    "--method",
    "template",
    "--data",
    DATA,
    "--out",
    outs[0],
    ...cpu,
  ]);
  says(template, [ANSWERS, LEFT, UNREAD, ACROSS, too, "1 relations: 1 train, 1 dev, 1 test facts"]);
  const first = await readResults(join(outs[0], "results.json"));
  assert.deepEqual(first.leftOut, { R2: { ...filtered, tooLong: one("test") } });
  assert.ok(
    first.remarks?.includes(LEFT) && first.remarks.some((remark) => remark.startsWith(too)),
  );
  assert.equal(first.facts, 1);

  const majority = await printedBy("train.ts", [
    "--method",
    "majority",
    "--data",
    DATA,
    "--out",
    outs[1],
    ...cpu,
  ]);
  // its row beside others would be about one fact less
  says(majority, [LEFT, "1 relations: 1 train, 1 dev, 2 test facts", too]);
  assert.match(majority, /left out; without Manual, for all rows are about the same facts$/m);
  const second = await readResults(join(outs[1], "results.json"));
  assert.deepEqual(second.leftOut, { R2: filtered });
  assert.deepEqual([second.facts, second.rows.map(({ row }) => row)], [2, ["Majority"]]);

  const alone = await printedBy("evaluate.ts", [outs[0], ...cpu]);
  says(alone, [ANSWERS, LEFT, UNREAD, too]);
  assert.deepEqual(await readResults(join(outs[0], "results.json")), first);
  const both = await printedBy("evaluate.ts", [...outs, ...cpu]);
  says(both, [
    LEFT,
    "[data] facts that are left out, for one of the runs cannot be asked them: 1 (R2: Paris Paris ",
  ]);
  const common = await readResults(join(outs[1], "results.json"));
  assert.deepEqual(common.leftOut, { R2: { ...filtered, otherRun: one("test") } });
  assert.equal(common.facts, 1);
});

test("an uncased masked LM is asked for objects in lower case on request, from the filter to the answers", async () => {
  const home = temporary();
  const reader = uncasedBert(world.bert);
  const given = ["--method", "template", "--reader", reader, ...cpu];
  await refuses(
    "train.ts",
    [...given, "--relations", "P17"],
    /no relation is left: it is a matter of case: the masked LM has \d+ of the \d+ in lower case; give --objects lowercase/,
  );
  await refuses(
    "train.ts",
    [...given, "--objects", "lower"],
    /--objects is lower; choose among as-written, lowercase/,
  );
  const out = join(home, "lower");
  const lower = [...given, "--objects", "lowercase", "--relations", "P17,P1376"];
  const printed = await printedBy("train.ts", [...lower, "--out", out]);
  assert.match(printed, /answers germany|answers [a-z]+ \d+%.*\(right\)/);
  const results = await readResults(join(out, "results.json"));
  assert.equal(results.options.objects, "lowercase");
  assert.deepEqual(results.leftOut, {});
  const cased = join(home, "cased");
  await printedBy("train.ts", [
    "--method",
    "template",
    "--relations",
    "P17,P1376",
    "--out",
    cased,
    ...cpu,
  ]);
  // the same weights under ids of the same words: objects that the cased run names are named
  const own = (name: string) =>
    readResults(join(home, name, "results.json")).then(
      ({ rows: all }) => all.find(({ row }) => row === "Manual")?.own,
    );
  assert.deepEqual(await own("lower"), await own("cased"));
  const evaluated = await printedBy("evaluate.ts", [out, ...cpu]);
  assert.match(evaluated, /^answers: \d+ words of .*\(1009 lines: \d+ repeated\)$/m);
  assert.deepEqual(await readResults(join(out, "results.json")), results);
  const { options } = JSON.parse(readFileSync(join(out, "run.json"), "utf8"));
  assert.equal(options.objects, "lowercase");
  const both = await run("evaluate.ts", [out, cased, ...cpu]);
  assert.match(
    both.error,
    /differs from .* in the facts or the masked LM; evaluate them one by one/,
  );
});

test("a relation that is spelled otherwise", () =>
  refuses(
    "train.ts",
    ["--relations", "p17", ...cpu],
    /relation p17 is unknown; did you mean P17\? choose among P103, /,
  ));

test.run();
