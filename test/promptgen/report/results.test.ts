import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  type ResultsParts,
  readResults,
  resultsOf,
  tableResults,
} from "../../../promptgen/report/results.ts";
import type { Scores } from "../../../promptgen/scores.ts";

const home = mkdtempSync(join(tmpdir(), "results-"));
const path = join(home, "results.json");

/** Reads what was written, text as it is and values as JSON. */
function read(value: unknown) {
  writeFileSync(path, typeof value === "string" ? value : JSON.stringify(value));
  return readResults(path);
}

/** Refused in one sentence that begins with the file, names the key and says what to do. */
async function refuses(value: unknown, sentence: RegExp): Promise<void> {
  const error = await read(value).then(
    () => assert.unreachable(`was read, not refused with ${sentence}`),
    (thrown: Error) => thrown,
  );
  assert.instance(error, Error);
  if (!(error instanceof Error)) return;
  assert.ok(error.message.startsWith(`[results] ${path}`), error.message);
  assert.match(error.message, sentence);
  assert.match(error.message, /; (write it again with|read it with) \S/);
  assert.not.match(error.message, /\n/);
}

const scores = (p17: number, p36: number): Scores =>
  new Map([
    ["P17", { correct: p17, total: 10 }],
    ["P36", { correct: p36, total: 7 }],
  ]);

const counts = (p17: number, p36: number) => ({
  P17: { correct: p17, total: 10 },
  P36: { correct: p36, total: 7 },
});

const MEASURED: ResultsParts = {
  method: "optiprompt",
  row: "OptiPrompt (5 [V]s)",
  options: { lr: 3e-3, relations: "P17,P36" },
  best: { step: 120, score: 52.5 },
  distinctPrompts: 2,
  rows: [
    { row: "Majority", own: scores(1, 2) },
    { row: "Manual", own: scores(3, 4), fillers: { None: scores(0, 1) } },
    {
      row: "OptiPrompt (5 [V]s)",
      alpha: 0.3,
      own: scores(5, 6),
      fillers: { None: scores(2, 0), "[MASK]": scores(1, 1) },
    },
  ],
};

const VERSION_2 = {
  version: 2,
  method: "optiprompt",
  row: "OptiPrompt (5 [V]s)",
  options: { lr: 3e-3, relations: "P17,P36" },
  best: { step: 120, score: 52.5 },
  facts: 17,
  distinctPrompts: 2,
  rows: [
    { row: "Majority", own: counts(1, 2), fillers: {} },
    { row: "Manual", own: counts(3, 4), fillers: { None: counts(0, 1) } },
    {
      row: "OptiPrompt (5 [V]s)",
      alpha: 0.3,
      own: counts(5, 6),
      fillers: { None: counts(2, 0), "[MASK]": counts(1, 1) },
    },
  ],
};

/** As tools/train.ts wrote it when a run had ended. */
const FINISHED = {
  options: { generator: "world", mlm: "world", data: "world", alpha: 0.4, m: 10, n: 5, seed: 1 },
  best: { step: 84, score: 61.25 },
  test: {
    majority: counts(1, 2),
    manual: counts(3, 4),
    PromptGen: counts(5, 6),
    None: counts(2, 0),
  },
  distinctPrompts: 9,
};

/** As tools/evaluate.ts wrote it, with templates that the facts came with. */
const EVALUATED = {
  options: { generator: "world", mlm: "world", data: "world", alpha: 0.3, m: 10, n: 5, seed: 1 },
  best: { step: 84, score: 61.25 },
  test: {
    Majority: counts(1, 2),
    Manual: counts(3, 4),
    LPAQA: counts(4, 4),
    "AutoPrompt (5 [T]s)": counts(4, 5),
    PromptGen: counts(5, 6),
    None: counts(2, 0),
  },
  distinctPrompts: 9,
};

const shapes = suite("shapes");

shapes("what is made is version 2, and reads back as it was", async () => {
  const made = resultsOf(MEASURED);
  assert.equal(JSON.parse(JSON.stringify(made)), VERSION_2);
  assert.equal(await read(made), made);
});

shapes("a method that chooses nothing and writes no prompts has neither", async () => {
  const rows = [{ row: "Majority", own: scores(1, 2) }];
  const made = resultsOf({ method: "majority", row: "Majority", options: {}, rows });
  assert.is(made.best, null);
  assert.is(made.distinctPrompts, null);
  assert.equal(await read(made), made);
});

shapes(
  "how a training ended, was extended and on what it ran stand there where it was so",
  async () => {
    const own = {
      stopped: { by: "patience", trainings: 2, step: 60, steps: 90 } as const,
      extended: [
        { epochs: 3, step: 30 },
        { epochs: 6, step: 60 },
      ],
      versions: [
        {
          project: "1",
          node: "v24",
          v8: "13",
          platform: "linux x64",
          device: "CPU",
          build: "SIMD",
        },
        {
          project: "1",
          node: "v24",
          v8: "13",
          platform: "linux x64",
          device: "GPU",
          build: "a driver",
          webgpu: "0.6",
        },
      ],
    };
    const made = resultsOf({ ...MEASURED, ...own });
    assert.equal(JSON.parse(JSON.stringify(made)), { ...VERSION_2, ...own });
    assert.equal(await read(made), made);
    assert.equal(resultsOf({ ...MEASURED, extended: [], stopped: undefined }), VERSION_2);
    const [first] = own.versions;
    const { node: _, ...nodeless } = first;
    for (const [wrong, sentence] of [
      [{ stopped: { ...own.stopped, by: "hand" } }, /: stopped\.by is "hand" where "patience"/],
      [{ stopped: { by: "patience", trainings: 1, step: 2 } }, /: stopped\.steps is missing;/],
      [{ stopped: 3 }, /: stopped is 3 where an object/],
      [{ extended: 3 }, /: extended is 3 where a list/],
      [{ extended: [{ epochs: -1, step: 0 }] }, /: extended\[0\]\.epochs is -1 where a number/],
      [{ versions: {} }, /: versions is \{\} where a list/],
      [{ versions: [first, nodeless] }, /: versions\[1\]\.node is missing;/],
      [{ versions: [{ ...first, v8: 13 }] }, /: versions\[0\]\.v8 is 13 where text/],
      [{ versions: [{ ...first, os: "x" }] }, /: versions\[0\]\.os is not known here;/],
    ] as const) {
      await refuses({ ...VERSION_2, ...wrong }, sentence);
    }
  },
);

shapes("names are data: relations and fillers may be called anything", async () => {
  const own: Scores = new Map([["__proto__", { correct: 1, total: 1 }]]);
  const rows = [{ row: "x", own, fillers: Object.fromEntries([["__proto__", own]]) }];
  const made = await read(resultsOf({ method: "x", row: "x", options: {}, rows }));
  assert.is(made.facts, 1);
  assert.equal(Object.keys(made.rows[0].own), ["__proto__"]);
  assert.equal(Object.keys(made.rows[0].fillers), ["__proto__"]);
});

shapes("a finished run of before", async () => {
  assert.equal(await read(FINISHED), {
    version: 2,
    method: "promptgen",
    row: "PromptGen",
    options: FINISHED.options,
    best: { step: 84, score: 61.25 },
    facts: 17,
    distinctPrompts: 9,
    rows: [
      { row: "Majority", own: counts(1, 2), fillers: {} },
      { row: "Manual", own: counts(3, 4), fillers: {} },
      { row: "PromptGen", alpha: 0.4, own: counts(5, 6), fillers: { None: counts(2, 0) } },
    ],
  });
});

shapes("an evaluated run of before, with and without templates", async () => {
  const { rows, ...rest } = await read(EVALUATED);
  assert.is(rest.facts, 17);
  assert.equal(rows, [
    { row: "Majority", own: counts(1, 2), fillers: {} },
    { row: "Manual", own: counts(3, 4), fillers: {} },
    { row: "LPAQA", own: counts(4, 4), fillers: {} },
    { row: "AutoPrompt (5 [T]s)", own: counts(4, 5), fillers: {} },
    { row: "PromptGen", alpha: 0.3, own: counts(5, 6), fillers: { None: counts(2, 0) } },
  ]);
  const { LPAQA: _, "AutoPrompt (5 [T]s)": __, ...test } = EVALUATED.test;
  const without = await read({ ...EVALUATED, test });
  assert.equal(without.rows, [...rows.slice(0, 2), rows[4]]);
});

shapes("a run of before that had no best evaluation", async () => {
  const { best: _, ...without } = EVALUATED;
  assert.is((await read(without)).best, null);
});

shapes("tables take the rows, None among the fillers", () => {
  const [majority, manual, own] = tableResults(resultsOf(MEASURED));
  assert.equal(majority, { row: "Majority", scores: scores(1, 2) });
  assert.equal(manual, { row: "Manual", scores: scores(3, 4), none: scores(0, 1) });
  assert.equal(own, { row: MEASURED.row, alpha: 0.3, scores: scores(5, 6), none: scores(2, 0) });
});

shapes("what was left out, and what was said of it, stand beside the rows", async () => {
  const leftOut = {
    P17: { blank: { train: 6, dev: 0, test: 1 } },
    P36: { multiPiece: { train: 0, dev: 2, test: 0 }, repeated: { train: 1, dev: 0, test: 0 } },
  };
  const remarks = ["[data] 40 facts read, 10 left out (7 train, 2 dev, 1 test): ..."];
  const made = resultsOf({ ...MEASURED, leftOut, remarks });
  assert.equal(made, { ...VERSION_2, leftOut, remarks });
  assert.equal(await read(made), made);
  assert.equal(await read(resultsOf({ ...MEASURED, leftOut: {}, remarks: [] })), {
    ...VERSION_2,
    leftOut: {},
    remarks: [],
  });
  const wrong: readonly (readonly [Record<string, unknown>, RegExp])[] = [
    [{ leftOut: [] }, /: leftOut is \[\] where an object/],
    [{ leftOut: { P17: 3 } }, /: leftOut\.P17 is 3 where an object/],
    [
      { leftOut: { P17: { blank: { train: 1, dev: 0 } } } },
      /: leftOut\.P17\.blank\.test is missing;/,
    ],
    [
      { leftOut: { P17: { blank: { train: -1, dev: 0, test: 0 } } } },
      /: leftOut\.P17\.blank\.train is -1 where a whole number/,
    ],
    [{ remarks: "x" }, /: remarks is "x" where a list/],
    [{ remarks: [7] }, /: remarks\[0\] is 7 where text/],
  ];
  for (const [part, sentence] of wrong) await refuses({ ...VERSION_2, ...part }, sentence);
});

shapes("what a training took stands beside the rows, where it is known", async () => {
  const seconds = { training: 812.5, evaluating: 0 };
  const memory = { resident: 3.9e9, device: 3.1e9 };
  const made = resultsOf({ ...MEASURED, seconds, memory });
  assert.equal(JSON.parse(JSON.stringify(made)), { ...VERSION_2, seconds, memory });
  assert.equal(await read(made), made);
  assert.equal(await read({ ...VERSION_2, seconds }), { ...VERSION_2, seconds });
  assert.equal(await read({ ...VERSION_2, memory }), { ...VERSION_2, memory });
  assert.equal(resultsOf({ ...MEASURED, seconds: undefined, memory: undefined }), VERSION_2);
  const wrong: readonly (readonly [Record<string, unknown>, RegExp])[] = [
    [{ seconds: 3 }, /: seconds is 3 where an object/],
    [{ seconds: { training: 3 } }, /: seconds\.evaluating is missing;/],
    [
      { seconds: { training: -1, evaluating: 0 } },
      /: seconds\.training is -1 where a number of 0 or more/,
    ],
    [{ memory: { resident: "3G", device: 0 } }, /: memory\.resident is "3G" where a number/],
    [{ memory: { ...memory, host: 1 } }, /: memory\.host is not known here;/],
  ];
  for (const [part, sentence] of wrong) await refuses({ ...VERSION_2, ...part }, sentence);
});

const refused = suite("refused");

refused("a file that is not there, that is not JSON, that is something else", async () => {
  const none = join(home, "nothing.json");
  const missing = await readResults(none).then(String, String);
  assert.is(
    missing,
    `Error: [results] ${none} does not exist; name the results.json of a run that has ended`,
  );
  await refuses("{", /is not JSON; write it again/);
  await refuses([], /: the file is \[\] where an object is expected;/);
  await refuses({}, /: options is missing;/);
});

refused("another version", async () => {
  const sentence =
    /: version is 3 and only 2 is known here; read it with the release that wrote it$/;
  await refuses({ ...VERSION_2, version: 3 }, sentence);
  await refuses({ ...VERSION_2, version: "2" }, /: version is "2" and/);
  await refuses({ ...VERSION_2, version: null }, /: version is null and/);
});

refused("a key of version 2 that is missing, unknown or wrong, by its path", async () => {
  for (const key of Object.keys(VERSION_2)) {
    if (key === "version") continue;
    const { [key as "row"]: _, ...rest } = VERSION_2;
    await refuses(rest, new RegExp(`: ${key} is missing;`));
  }
  const wrong: readonly (readonly [Record<string, unknown>, RegExp])[] = [
    [{ seeds: 3 }, /: seeds is not known here;/],
    [{ method: "" }, /: method is "" where text is expected;/],
    [{ options: [] }, /: options is \[\] where an object is expected;/],
    [{ best: { step: 1 } }, /: best\.score is missing;/],
    [{ best: { step: -1, score: 1 } }, /: best\.step is -1 where a whole number/],
    [{ best: { step: 1, score: null } }, /: best\.score is null where a number is expected;/],
    [{ facts: 16 }, /: facts is 16 where OptiPrompt \(5 \[V\]s\) was asked 17;/],
    [{ distinctPrompts: 1.5 }, /: distinctPrompts is 1\.5 where/],
    [{ rows: {} }, /: rows is \{\} where a list is expected;/],
    [{ row: "LPAQA" }, /: row is "LPAQA", which is none of the rows;/],
    [{ rows: [...VERSION_2.rows, VERSION_2.rows[1]] }, /: rows\[3\]\.row repeats "Manual";/],
  ];
  for (const [part, sentence] of wrong) await refuses({ ...VERSION_2, ...part }, sentence);
});

refused("a wrong row or count, by its path", async () => {
  const [row] = VERSION_2.rows;
  const wrong: readonly (readonly [Record<string, unknown>, RegExp])[] = [
    [{ none: {} }, /: rows\[0\]\.none is not known here;/],
    [{ row: 3 }, /: rows\[0\]\.row is 3 where text/],
    [{ alpha: "0.3" }, /: rows\[0\]\.alpha is "0\.3" where a number/],
    [{ own: { P17: { correct: 1 } } }, /: rows\[0\]\.own\.P17\.total is missing;/],
    [{ own: { P17: { correct: 2, total: 1 } } }, /\.own\.P17\.correct is 2 where 1, the total,/],
    [{ own: { P17: { correct: 0.5, total: 1 } } }, /\.own\.P17\.correct is 0\.5 where a whole/],
    [{ own: { P17: { correct: -1, total: 1 } } }, /\.own\.P17\.correct is -1 where a whole/],
    [{ fillers: { None: 4 } }, /: rows\[0\]\.fillers\.None is 4 where an object/],
    [{ fillers: { None: { P17: null } } }, /: rows\[0\]\.fillers\.None\.P17 is null where/],
  ];
  for (const [part, sentence] of wrong) {
    await refuses({ ...VERSION_2, rows: [{ ...row, ...part }] }, sentence);
  }
});

refused("a key of the shapes of before", async () => {
  const { None: _, ...noNone } = FINISHED.test;
  await refuses({ ...FINISHED, test: noNone }, /: test\.None is missing;/);
  const mixed = { ...EVALUATED.test, majority: counts(1, 1) };
  await refuses({ ...EVALUATED, test: mixed }, /: test\.manual is missing;/);
  const finished = { ...FINISHED.test, LPAQA: counts(1, 1) };
  await refuses({ ...FINISHED, test: finished }, /: test\.LPAQA is not known here;/);
  const other = { ...EVALUATED.test, OptiPrompt: counts(1, 1) };
  await refuses({ ...EVALUATED, test: other }, /: test\.OptiPrompt is not known here;/);
  await refuses({ ...EVALUATED, options: {} }, /: options\.alpha is missing where a number is/);
  await refuses({ ...EVALUATED, test: [] }, /: test is \[\] where an object/);
  await refuses({ ...EVALUATED, distinctPrompts: null }, /: distinctPrompts is null where/);
});

refused("what cannot be made: no own row, a row twice", () => {
  assert.throws(
    () => resultsOf({ ...MEASURED, row: "PromptGen" }),
    /^\[results\] row is "PromptGen", which is none of the rows/,
  );
  const rows = [...MEASURED.rows, MEASURED.rows[0]];
  assert.throws(() => resultsOf({ ...MEASURED, rows }), /rows\[3\]\.row repeats "Majority"/);
});

refused.after(() => rmSync(home, { recursive: true }));

for (const one of [shapes, refused]) one.run();
