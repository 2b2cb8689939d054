import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { TestSplit } from "../../../promptgen/facts/splits.ts";
import type { FactRow } from "../../../promptgen/report/fact-rows.ts";
import { METHODS, TABLE_1, TABLE_4 } from "../../../promptgen/report/paper.ts";
import type { RelationRow } from "../../../promptgen/report/relations.ts";
import type { Row } from "../../../promptgen/report/rows.ts";
import { type RowsOptions, rowsReport } from "../../../promptgen/report/rows-tables.ts";
import {
  FORMATS,
  inWidth,
  printTable,
  printTables,
  type Table,
} from "../../../promptgen/report/table.ts";
import { RELATIONS, run } from "./row-world.ts";

const test = suite("tables of rows");

const LOW = { A: "0000", B: "00", C: "0" };
const first: Row = {
  name: "PromptGen",
  alpha: 0.3,
  runs: [
    {
      ...run(1, { A: "1110", B: "10", C: "1" }, { None: LOW, It: { A: "0010", B: "00", C: "0" } }),
      settings: { lr: 0.001, epochs: 10 },
    },
    {
      ...run(2, { A: "1100", B: "11", C: "1" }, { None: LOW, It: LOW }),
      settings: { lr: 0.001, epochs: 12 },
    },
  ],
};
const second: Row = {
  name: "PromptGen",
  alpha: 0,
  runs: [run(1, { A: "0110", B: "10", C: "0" }, { None: { A: "1100", B: "10", C: "0" }, It: LOW })],
};
const third: Row = { name: "Manual", runs: [run(undefined, { A: "1000", B: "10", C: "0" })] };
const SPLITS: TestSplit[] = [
  { name: "evens", what: "evens: every second fact", has: ({ subject }) => /[02]$/.test(subject) },
  { name: "only A", what: "only A: that relation", has: ({ relation }) => relation === "A" },
];

const column = (head: string) => ({ head, align: "right" }) as const;

const titled = (tables: readonly Table[], title: string): Table => {
  const found = tables.find((table) => table.title?.includes(title));
  if (found === undefined) throw new Error(`there is no ${title}`);
  return found;
};
const made = (options: RowsOptions = {}): Table[] =>
  rowsReport(RELATIONS, [third, second, first], { resamples: 200, ...options });

test("accuracy: means with their deviations, what the audit left, and the settings", () => {
  const table = titled(made(), "accuracy on test facts");
  const text = printTable(table).split("\n");
  assert.match(text[1], /^method +n +1-1 +N-1 +All +95 % interval +"None" +earned$/);
  // one run without a seed and without fillers: 25, (50 + 0) / 2
  assert.match(text[3], /^Manual +1 +25\.0 +25\.0 +25\.0 +\[\S+, \S+\] +- +-$/);
  // None: (50 + 50 + 0) / 3; earned: A's third, nothing of B: (25 + 0 + 0) / 3
  assert.match(
    text[4],
    /^PromptGen \(alpha 0\) +1 +50\.0 +25\.0 +33\.3 +\[\S+, \S+\] +33\.3 +8\.3$/,
  );
  // A: 75 and 50; B and C: (50 + 100) / 2 and (100 + 100) / 2; earned, first run: A 50, B 50, C 100
  assert.match(
    text[5],
    /^PromptGen \(alpha 0\.3\) +2 +62\.5 ± 17\.7 +87\.5 ± 17\.7 +79\.2 ± 5\.9 +\[\S+, \S+\] +0\.0 ± 0\.0 +75\.0 ± 11\.8$/,
  );
  const notes = (table.notes ?? []).join("\n");
  assert.match(notes, /200 times by seed 1/);
  assert.match(notes, /^PromptGen \(alpha 0\.3\): lr 0\.001; epochs 10 or 12; seed 1, 2\.$/m);
  assert.match(notes, /^earned \(PromptGen \(alpha 0\); .*\): .* each of "None", "It" in its/m);
});

test("beside accuracy, and the audit by what stood for the subject", () => {
  const beside = printTable(titled(made(), "beside accuracy")).split("\n");
  // ranks of alpha 0: A 2 1 1 5, B 1 3, C 2; pooled 3 of 7
  const mrr = (100 * ((1 / 2 + 1 + 1 + 1 / 5) / 4 + (1 + 1 / 3) / 2 + 1 / 2)) / 3;
  assert.match(
    beside[4],
    new RegExp(`^PromptGen \\(alpha 0\\) +${mrr.toFixed(1)} +100\\.0 +42\\.9$`),
  );
  const audit = printTable(titled(made(), "leak audit")).split("\n");
  assert.match(audit[1], /^method +"None" +"It" +earned$/);
  assert.match(audit[3], /^Manual +- +- +-$/);
  assert.match(audit[4], /^PromptGen \(alpha 0\) +33\.3 +0\.0 +8\.3$/);
  assert.match(audit[5], /^PromptGen \(alpha 0\.3\) +0\.0 ± 0\.0 +4\.2 ± 5\.9 +75\.0 ± 11\.8$/);
  const without = rowsReport(RELATIONS, [third], { resamples: 20 });
  assert.not(without.some(({ title }) => title?.includes("leak audit")));
});

test("by alpha in its order, where there are several", () => {
  const table = rowsReport(RELATIONS, [first, third, second], { resamples: 20 }).find(
    ({ label }) => label === "Table 2",
  );
  const names = table?.rows.map(([name]) => name);
  assert.equal(names, ["PromptGen (alpha 0)", "PromptGen (alpha 0.3)"]);
  const one = rowsReport(RELATIONS, [first, third], { resamples: 20 });
  assert.not(one.some(({ label }) => label === "Table 2"));
});

test("by relation, a column for each row", () => {
  const text = printTable(titled(made(), "accuracy by relation")).split("\n");
  assert.match(text[3], /^A +1-1 +label of A +4 +25\.0 +50\.0 +62\.5 ± 17\.7$/);
  assert.match(text[5], /^C +N-1 +label of C +1 +0\.0 +0\.0 +100\.0 ± 0\.0$/);
  assert.match(text[6], /^All +mean over relations +25\.0 +33\.3 +79\.2 ± 5\.9$/);
});

test("tests of every pair, or against one row", () => {
  const all = titled(made(), "tests between rows");
  assert.equal(
    all.rows.map(([one, other]) => `${one} - ${other}`),
    [
      "Manual - PromptGen (alpha 0)",
      "Manual - PromptGen (alpha 0.3)",
      "PromptGen (alpha 0) - PromptGen (alpha 0.3)",
    ],
  );
  // alone right: Manual A0; alpha 0: A1, A2
  const [, , points, , , mcnemar, pairs, leftOut] = all.rows[0];
  assert.equal([points, mcnemar, pairs, leftOut], ["-8.3", "1.000", "1", "0"]);
  const against = titled(made({ against: "Manual" }), "against Manual");
  assert.equal(
    against.rows.map(([one]) => one),
    ["PromptGen (alpha 0)", "PromptGen (alpha 0.3)"],
  );
  assert.is(against.rows[0][1], "+8.3");
  assert.throws(
    () => made({ against: "PromptGen" }),
    /no row PromptGen to test against; .*Manual, /,
  );
});

test("a small p is not told as 0", () => {
  const many = (mark: string): Row["runs"] => [
    run(1, { A: mark.repeat(20), B: mark.repeat(20), C: mark }),
  ];
  const rows = [
    { name: "all", runs: many("1") },
    { name: "none", runs: many("0") },
  ];
  const [line] = titled(rowsReport(RELATIONS, rows), "tests between rows").rows;
  assert.equal(line.slice(2, 6), ["+100.0", "[100.0, 100.0]", "<0.001", "<0.001"]);
});

test("parts of the facts: how many they are, and means over the relations that have them", () => {
  const table = titled(made({ splits: SPLITS }), "parts of the test facts");
  const [facts, manual, , ours] = table.rows;
  assert.equal(facts, ["facts", "7", "4", "4"]);
  // A0 A2, B0, C0: 50, 100, 0
  assert.equal(manual, ["Manual", "25.0", "50.0", "25.0"]);
  // A0 A2: 100 and 50; B0: 100 and 100; C0: 100 and 100
  assert.equal(ours, [
    "PromptGen (alpha 0.3)",
    "79.2 ± 5.9",
    `${(550 / 6).toFixed(1)} ± ${(50 / 3 / Math.SQRT2).toFixed(1)}`,
    "62.5 ± 17.7",
  ]);
  assert.equal(table.notes, ["evens: every second fact.", "only A: that relation."]);
});

test("no rows are refused, and so are rows that do not fit", () => {
  assert.throws(() => rowsReport(RELATIONS, []), /^.*no rows; run a method first/);
  assert.throws(() => rowsReport(RELATIONS, [third, third]), /two rows are named Manual/);
});

// The paper's benchmark in size, answers by count alone

const PAPER: RelationRow[] = TABLE_4.map(({ id, type, facts }) => ({ id, type, facts, label: id }));
const MANUAL: Row = {
  name: "Manual",
  runs: [
    {
      facts: TABLE_4.flatMap(({ id, facts, accuracy: [share] }): FactRow[] => {
        const correct = Math.round((share * facts) / 100);
        return run(1, { [id]: "1".repeat(correct) + "0".repeat(facts - correct) }).facts.slice();
      }),
    },
  ],
};

test("on the paper's benchmark its figures stand beside, in tables of 110 characters", () => {
  const tables = rowsReport(PAPER, [MANUAL, { ...MANUAL, name: "PromptGen", alpha: 0 }], {
    resamples: 5,
  });
  const relations = titled(tables, "accuracy by relation");
  assert.equal(relations.groups.at(-2), {
    title: "Manual",
    columns: ["run", "paper", "diff"].map(column),
  });
  // the paper's Table 4 has another alpha
  assert.equal(relations.groups.at(-1), { columns: [column("PromptGen (alpha 0)")] });
  assert.equal(relations.rows[0].slice(4), ["73.8", "73.8", "0.0", "73.8"]);
  const beside = titled(tables, "beside the paper's");
  const line = beside.rows.find(([name]) => name === "Manual") ?? [];
  const { "1-1": one, All } = TABLE_1.Manual;
  assert.equal([line[1], line[4]], [one.toFixed(1), All.toFixed(1)]);
  assert.equal([line[9], line[13]], [All.toFixed(1), "0.0"]);
  assert.is(rowsReport(PAPER.slice(1), [MANUAL], { resamples: 5 }).at(-1)?.label, "Table 4");
});

test("no table is wider than 110 characters with every row of the paper's, three types, 41 relations", () => {
  const types = ["1-1", "N-1", "N-M"];
  const relations = PAPER.map((row, i) => ({ ...row, type: types[i % 3], facts: 3 }));
  const marks = (i: number) =>
    Object.fromEntries(PAPER.map(({ id }, r) => [id, ["100", "110", "011"][(r + i) % 3]]));
  const audit = Object.fromEntries(
    ["None", "other", "It", "He", "[MASK]", "nothing"].map((name, i) => [name, marks(i)]),
  );
  const rows = [...METHODS, "PromptGen"].map((name, i): Row => {
    const seeds = [1, 2, 3].map((seed) =>
      run(seed, { ...marks(i), [PAPER[seed].id]: "111" }, audit),
    );
    return { name, runs: seeds, ...(name === "PromptGen" ? { alpha: i / 10 } : {}) };
  });
  const splits = ["not in name", "UHN", "no overlap", "seen", "unseen"].map((name) => ({
    ...SPLITS[0],
    name,
  }));
  const tables = rowsReport(relations, rows, { resamples: 5, splits });
  for (const table of tables) {
    const { notes: _, ...body } = table;
    const longest = Math.max(
      ...printTable(body)
        .split("\n")
        .map((line) => [...line].length),
    );
    assert.ok(longest <= 110, `${table.title}: ${longest}`);
  }
  for (const format of FORMATS) assert.ok(printTables(tables, format).includes("OptiPrompt"));
});

const parts = suite("a table in parts");
const WIDE: Table = {
  title: "wide",
  groups: [
    { columns: [column("key")] },
    { title: "one", columns: [column("aaaaaaaa"), column("b")] },
    { columns: [column("cccccccccc")] },
    { columns: [column("d")] },
  ],
  rows: [
    ["k1", "1", "2", "3", "4"],
    ["k2", "5", "6", "7", "8"],
  ],
  rules: [1],
  notes: ["a note"],
};

parts("each with the key, every column once, the notes below the last", () => {
  const made = inWidth(WIDE, 20);
  assert.equal(
    made.map(({ rows }) => rows),
    [
      [
        ["k1", "1", "2"],
        ["k2", "5", "6"],
      ],
      [
        ["k1", "3", "4"],
        ["k2", "7", "8"],
      ],
    ],
  );
  assert.equal(
    made.map(({ title, notes, rules }) => [title, notes, rules]),
    [
      ["wide, 1 of 2", undefined, [1]],
      ["wide, 2 of 2", ["a note"], [1]],
    ],
  );
});

parts("one that fits stays as it is, and what is too wide alone stands alone", () => {
  assert.equal(inWidth(WIDE, 80), [WIDE]);
  const made = inWidth(WIDE, 5);
  assert.equal(
    made.map(({ groups }) => groups.length),
    [2, 2, 2],
  );
});

for (const one of [test, parts]) one.run();
