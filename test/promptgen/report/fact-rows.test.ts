/** facts.jsonl: figures counted by hand, the file read as it was written, and files that are none. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  type FactAnswer,
  type FactRow,
  factFigures,
  factScores,
  fillersOf,
  isEarned,
  readFactRows,
  writeFactRows,
} from "../../../promptgen/report/fact-rows.ts";
import { folder } from "../fixture.ts";

const answer = (right: boolean, more: Partial<FactAnswer> = {}): FactAnswer => ({
  subject: "None",
  answer: right ? "Lima" : "Oslo",
  right,
  rank: right ? 1 : 4,
  logP: -0.25,
  ...more,
});

let count = 0;
const row = (
  relation: string,
  own: FactAnswer,
  fillers: Readonly<Record<string, FactAnswer>>,
): FactRow => ({
  relation,
  subject: `Peru ${count++}`,
  object: "Lima",
  prompt: "[X] has [Y] .",
  own,
  top: [
    ["Lima", 0.5],
    ["Oslo", 0.25],
  ],
  fillers,
});

const [yes, no] = [answer(true), answer(false)];

/** R1: one earned, one right with a filler too, two wrong; R2: one earned, which lacks a filler. */
const rows: readonly FactRow[] = [
  row("R1", yes, { None: no, other: no }),
  row("R1", yes, { None: no, other: yes }),
  row("R1", no, { None: no, other: no }),
  row("R1", answer(false, { rank: 20 }), { None: yes, other: no }),
  { ...row("R2", yes, { None: no }), figures: { mass: 0.125 } },
];

test("subject-earned, MRR and P@10 are means over relations", () => {
  assert.equal(rows.map(isEarned), [true, false, false, false, true]);
  assert.equal(factFigures(rows), {
    subjectEarned: (25 + 100) / 2,
    mrr: (100 * ((1 + 1 + 1 / 4 + 1 / 20) / 4 + 1)) / 2,
    precisionAt10: (75 + 100) / 2,
  });
  assert.throws(() => factFigures([]), /^\[facts\] there are no facts to count/);
});

test("scores of the own subject and of fillers, which need not be there", () => {
  const own = [...factScores(rows)];
  assert.equal(own, [
    ["R1", { correct: 2, total: 4 }],
    ["R2", { correct: 1, total: 1 }],
  ]);
  assert.equal([...factScores(rows, "other")], [["R1", { correct: 1, total: 4 }]]);
  assert.equal(fillersOf(rows), ["None", "other"]);
});

test("read as it was written, with keys in one order", async () => {
  const place = folder({});
  await writeFactRows(place, rows);
  const text = readFileSync(join(place, "facts.jsonl"), "utf8");
  assert.equal(await readFactRows(join(place, "facts.jsonl")), rows);
  const turned = rows.map((one) => Object.fromEntries(Object.entries(one).reverse()) as FactRow);
  await writeFactRows(place, turned);
  assert.is(readFileSync(join(place, "facts.jsonl"), "utf8"), text);
});

test("the CSV has a line for each fact, and no formula", async () => {
  const place = folder({});
  const odd = { ...rows[4], subject: '=HYPERLINK("x")', prompt: "+[X], [Y]" };
  await writeFactRows(place, [rows[0], odd]);
  const lines = readFileSync(join(place, "facts.csv"), "utf8").split("\r\n");
  assert.is(
    lines[0],
    "relation,subject,object,answer,right,earned,rank,logP,top 1,p 1,top 2,p 2,None: answer,None: right,other: answer,other: right,mass,prompt",
  );
  assert.is(
    lines[2],
    `R2,"'=HYPERLINK(""x"")",Lima,Lima,1,1,1,-0.25,Lima,0.5,Oslo,0.25,Oslo,0,,,0.125,"'+[X], [Y]"`,
  );
  assert.is(lines.length, 4);
});

/** The first two rows as a file, with the second line changed. */
async function broken(change: (line: string) => string): Promise<string> {
  const place = folder({});
  await writeFactRows(place, rows.slice(0, 2));
  const path = join(place, "facts.jsonl");
  const [first, second] = readFileSync(path, "utf8").split("\n");
  writeFileSync(path, `${first}\n${change(second)}\n`);
  try {
    await readFactRows(path);
  } catch (error) {
    return (error as Error).message.replace(path, "FILE");
  }
  return "no error";
}

/** The second line with a value in another place. */
const changed = (change: (row: Record<string, unknown>) => unknown) => (line: string) => {
  const value = JSON.parse(line);
  change(value);
  return JSON.stringify(value);
};

test("what is no row is told with its file and line", async () => {
  const REMEDY = "; write it again with tools/evaluate.ts";
  const cases: [change: (line: string) => string, sentence: string][] = [
    [(line) => line, "no error"],
    [() => "{", "FILE:2 is not JSON: {"],
    [() => "[]", "FILE:2: the line is [] where an object is expected"],
    [changed((r) => delete r.object), "FILE:2: object is missing where text is expected"],
    [
      changed((r) => Object.assign(r, { prompt: "" })),
      'FILE:2: prompt is "" where text is expected',
    ],
    [changed((r) => Object.assign(r, { more: 1 })), "FILE:2: more is not known in the line"],
    [
      changed((r) => Object.assign(r, { own: answer(true, { rank: 0 }) })),
      "FILE:2: own.rank is 0 where a whole number of 1 or more is expected",
    ],
    [
      changed((r) => Object.assign(r, { own: { ...yes, right: 1 } })),
      "FILE:2: own.right is 1 where true or false is expected",
    ],
    [
      changed((r) => Object.assign(r, { fillers: { It: { ...yes, logP: 0.5 } } })),
      "FILE:2: fillers.It.logP is 0.5 where a number of 0 or less is expected",
    ],
    [
      changed((r) => Object.assign(r, { fillers: { It: { ...yes, more: 1 } } })),
      "FILE:2: more is not known in fillers.It",
    ],
    [
      changed((r) => Object.assign(r, { top: [["Lima", 2]] })),
      'FILE:2: top[0] is ["Lima",2] where a word with its probability is expected',
    ],
    [
      changed((r) => Object.assign(r, { figures: { mass: "much" } })),
      'FILE:2: figures.mass is "much" where a number is expected',
    ],
    [
      changed((r) => Object.assign(r, { subject: rows[0].subject })),
      `FILE:2 repeats the fact of line 1 (R1: ${rows[0].subject})`,
    ],
  ];
  for (const [change, sentence] of cases) {
    const wanted = sentence === "no error" ? sentence : `[facts] ${sentence}${REMEDY}`;
    assert.is(await broken(change), wanted);
  }
});

test("a file that is cut off, empty or not there", async () => {
  const place = folder({ "cut.jsonl": '{"relation": "R1"', "empty.jsonl": "" });
  const failure = async (name: string) => {
    try {
      await readFactRows(join(place, name));
    } catch (error) {
      return (error as Error).message;
    }
    return "no error";
  };
  assert.match(await failure("cut.jsonl"), /cut\.jsonl ends within line 1; write it again/);
  assert.match(await failure("empty.jsonl"), /empty\.jsonl holds no facts; write it again/);
  assert.match(await failure("none.jsonl"), /none\.jsonl .*name the facts\.jsonl of a run/);
});

test.run();
