/** Study files: which runs they mean, and what their mistakes say. */
import assert from "node:assert/strict";
import { suite } from "uvu";
import { parseStudy } from "../../promptgen/study.ts";
import { messageOf } from "../thrown.ts";

const test = suite("study");

const tasks = (text: string, over = {}) =>
  parseStudy(text, "s.yaml", over).rows.flatMap((row) => row.tasks);

const YAML = `name: small
world: true
seeds: [1, 2]
options:
  epochs: 4            # majority has none
rows:
  - { method: majority, seeds: 1 }
  - { method: promptgen, alpha: [0, 0.3], m: 8 }
  - { method: optiprompt, vectors: 10, name: "Ten vectors" }
  - { method: optiprompt, vectors: 5, epochs: 2 }
`;

test("rows, seeds and lists make runs, each with a folder's name of its own", () => {
  const study = parseStudy(YAML, "s.yaml");
  assert.equal(study.name, "small");
  assert.deepEqual(
    study.rows.map(({ name, tasks: own }) => [name, own.map((task) => task.name)]),
    [
      ["Majority", ["majority-seed1"]],
      ["PromptGen", ["promptgen-alpha-0-seed1", "promptgen-alpha-0-seed2"]],
      ["PromptGen", ["promptgen-alpha-0.3-seed1", "promptgen-alpha-0.3-seed2"]],
      ["Ten vectors", ["ten-vectors-seed1", "ten-vectors-seed2"]],
      [
        "OptiPrompt (5 [V]s)",
        ["optiprompt-vectors-5-epochs-2-seed1", "optiprompt-vectors-5-epochs-2-seed2"],
      ],
    ],
  );
  const [first, , second] = study.rows[1].tasks.concat(study.rows[2].tasks);
  assert.equal(first.options.own.alpha, 0);
  assert.equal(second.options.own.alpha, 0.3);
  assert.equal(first.options.own.epochs, 4, "shared");
  assert.equal(study.rows[4].tasks[1].options.own.epochs, 2, "its own");
  assert.equal(study.rows[4].tasks[1].options.seed, 2);
  assert.equal(study.rows[3].tasks[0].options.own.lr, 1e-2, "what suits the world");
});

test("JSON is read as YAML is, and what is given beside the file counts before it", () => {
  const json = JSON.stringify({ name: "j", seeds: 3, rows: [{ method: "optiprompt", epochs: 7 }] });
  assert.deepEqual(
    tasks(json).map(({ options }) => [options.seed, options.own.epochs, options.own.lr]),
    [1, 2, 3].map((seed) => [seed, 7, 3e-3]),
  );
  const over = tasks(json, { epochs: 1, relations: "P36" });
  assert.equal(over[0].options.own.epochs, 1);
  assert.equal(over[0].options.relations, "P36");
  const none = messageOf(() => tasks(json, { alpha: 0.2 }));
  assert.match(none, /--alpha is an option of none of the methods in s\.yaml/);
});

test("rows of a list are told apart in the tables too, by what differs", () => {
  const text = `name: a
against: "OptiPrompt (5 [V]s), vectors 5, epochs 2"
rows:
  - { method: optiprompt, epochs: [2, 3] }
  - { method: optiprompt, epochs: 2, vectors: 10 }
  - { method: promptgen, alpha: [0, 1], m: [1, 2], name: Mine }
`;
  assert.deepEqual(
    parseStudy(text, "s.yaml").rows.map(({ name, tasks: [{ name: folder }] }) => [name, folder]),
    [
      ["OptiPrompt (5 [V]s), vectors 5, epochs 2", "optiprompt-vectors-5-epochs-2-seed1"],
      ["OptiPrompt (5 [V]s), vectors 5, epochs 3", "optiprompt-vectors-5-epochs-3-seed1"],
      ["OptiPrompt (10 [V]s)", "optiprompt-vectors-10-epochs-2-seed1"],
      ["Mine, m 1", "mine-alpha-0-m-1-seed1"],
      ["Mine, m 2", "mine-alpha-0-m-2-seed1"],
      ["Mine, m 1", "mine-alpha-1-m-1-seed1"],
      ["Mine, m 2", "mine-alpha-1-m-2-seed1"],
    ],
  );
});

const MISTAKES: readonly (readonly [text: string, said: RegExp])[] = [
  ["", /^\[study\] s\.yaml:1 holds no keys; write name and rows/],
  ["- a", /s\.yaml:1 holds no keys/],
  ["name: a\nrows: [\n", /^\[study\] s\.yaml:\d+ /],
  [
    "name: a\nname: b\nrows: []",
    /^\[study\] s\.yaml:2 name stands there already; keep one of them$/,
  ],
  [
    "name: a\n\nrow: []",
    /s\.yaml:3 row is not known here; did you mean rows\? choose among name, about, world/,
  ],
  ["name: a b\nrows: []", /s\.yaml:1 name is no name of a folder/],
  ["name: ../a\nrows: []", /s\.yaml:1 name is no name of a folder/],
  ["rows: []", /s\.yaml:1 name is no name of a folder/],
  ["name: a\nworld: yes\nrows: []", /s\.yaml:2 world is "yes"; write true or false/],
  ["name: a", /s\.yaml:1 rows holds no rows/],
  ["name: a\nrows: []", /s\.yaml:2 rows holds no rows/],
  ["name: a\nrows:\n  - majority", /s\.yaml:3 rows\[0\] is no row; write method: NAME/],
  ["name: a\nrows:\n  - alpha: 1", /s\.yaml:3 rows\[0\] lacks method/],
  [
    "name: a\nrows:\n  - method: majority\n  - method: magic",
    /s\.yaml:4 rows\[1\]\.method - there is no method magic; choose among majority/,
  ],
  [
    "name: a\nrows:\n  - method: majority\n    alpha: 1",
    /s\.yaml:4 rows\[0\]\.alpha is no option of majority; choose among method, name, seeds/,
  ],
  [
    "name: a\nrows:\n  - method: promptgen\n    seed: 1",
    /s\.yaml:4 rows\[0\]\.seed is chosen by seeds; write/,
  ],
  [
    "name: a\nrows:\n  - method: promptgen\n    alpha: [0, -1]",
    /s\.yaml:4 rows\[0\]\.alpha is -1; give a number of 0 or more/,
  ],
  ["name: a\nseeds: x\nrows:\n  - method: majority", /s\.yaml:2 seeds is "x"; write a list/],
  [
    "name: a\nrows:\n  - method: majority\n    seeds: [1.5]",
    /s\.yaml:4 rows\[0\]\.seeds is \[1\.5\]/,
  ],
  [
    "name: a\nrows:\n  - method: majority\n    name: 3",
    /s\.yaml:4 rows\[0\]\.name is 3; write a line of text/,
  ],
  ["name: a\noptions: 3\nrows:\n  - method: majority", /s\.yaml:2 options holds no options/],
  [
    "name: a\noptions:\n  alpha: 1\nrows:\n  - method: majority",
    /s\.yaml:3 options\.alpha is an option of none of the rows' methods/,
  ],
  [
    "name: a\nrows:\n  - method: majority\n  - method: majority",
    /s\.yaml:4 rows\[1\] makes the folder majority-seed1, as rows\[0\] does; keep one, or give one another name/,
  ],
  ["name: a\nRows: []", /s\.yaml:2 Rows is not known here; did you mean rows\?/],
  ["name: a\nabout: [b]\nrows: []", /s\.yaml:2 about is \["b"\]; write a text/],
  [
    "name: a\nrows:\n  - method: promtgen",
    /s\.yaml:3 rows\[0\]\.method - there is no method promtgen; did you mean promptgen\? choose among/,
  ],
  [
    "name: a\nrows:\n  - method: promptgen\n    batch_size: 4",
    /s\.yaml:4 rows\[0\]\.batch_size is no option of promptgen; did you mean batch-size\?/,
  ],
  [
    "name: a\nrows:\n  - method: template\n    templates: LPAKA",
    /s\.yaml:4 rows\[0\]\.templates is LPAKA; did you mean LPAQA\? choose among manual, LPAQA/,
  ],
  [
    "name: a\noptions:\n  epoch: 3\nrows:\n  - method: promptgen",
    /s\.yaml:3 options\.epoch is an option of none of the rows' methods; did you mean epochs\?/,
  ],
  [
    "name: a\noptions:\n  epochs: 0\nrows:\n  - method: promptgen",
    /s\.yaml:3 options\.epochs is 0; give a whole number of 1/,
  ],
  [
    "name: a\noptions: { seed: 3 }\nrows:\n  - method: majority",
    /s\.yaml:2 options\.seed is chosen by seeds/,
  ],
  [
    "name: a\nrows:\n  - method: promptgen\n    alpha: []",
    /s\.yaml:4 rows\[0\]\.alpha is \[\]; write a number or a text/,
  ],
  [
    "name: a\nrows:\n  - method: promptgen\n    alpha: null",
    /s\.yaml:4 rows\[0\]\.alpha is null; write a number or a text/,
  ],
  [
    "name: a\nrows:\n  - method: promptgen\n    alpha: { from: 0 }",
    /s\.yaml:4 rows\[0\]\.alpha is \{"from":0\}; write a number or a text/,
  ],
  [
    "name: a\nrows:\n  - method: majority\n    name: ' '",
    /s\.yaml:4 rows\[0\]\.name is " "; write a line of text with/,
  ],
  ["name: a\nseeds: 1e9\nrows:\n  - method: majority", /s\.yaml:2 seeds is 1000000000; write/],
  [
    "name: a\nagainst: Majorty\nrows:\n  - method: majority\n  - method: promptgen",
    /s\.yaml:2 against is no row's title; did you mean Majority\? choose among Majority, PromptGen/,
  ],
  [
    "name: a\nrows:\n  - { method: majority, name: A }\n  - { method: majority, name: A! }\n",
    /s\.yaml:4 rows\[1\] makes the folder a-seed1, as rows\[0\] does/,
  ],
  [
    "name: a\nrows:\n  - { method: majority, name: A B }\n  - { method: lpaqa, name: A B, seeds: [2] }\n",
    /s\.yaml:4 rows\[1\] is named A B, as rows\[0\] is; give one another name/,
  ],
];

const ROWS = "rows:\n  - method: majority\n";
const OWN = "name: a\nrows:\n  - method: promptgen\n";

/** What is wrong as YAML or JSON, or of a kind that no value there has. */
const TEXTS: readonly (readonly [text: string, said: RegExp])[] = [
  ["hello", /s\.yaml:1 holds no keys; write name and rows$/],
  ["# nothing\n", /s\.yaml:1 holds no keys; write name and rows$/],
  ['[{ "name": "a" }]', /s\.yaml:1 holds no keys/],
  ["{}", /s\.yaml:1 name is no name of a folder/],
  [`${OWN}    alpha: 1\n    alpha: 0\n`, /s\.yaml:5 alpha stands there already; keep one of them$/],
  [
    '{\n"name": "a",\n"rows": [{"method": "majority",\n"method": "lpaqa"}]}',
    /s\.yaml:4 method stands there already/,
  ],
  ["name: a\nrows:\n\t- method: majority\n", /s\.yaml:3 begins with a tab; write blanks/],
  ["name: a\nseeds: *s\nrows: []\n", /s\.yaml:2 \*s names an anchor that is not there before it/],
  [`name: a\n${ROWS}---\nname: b\n`, /s\.yaml:4 begins a second document; write a file for each$/],
  [`name: !!js/function a\n${ROWS}`, /s\.yaml:1 has a tag; leave out/],
  [`name: a\n? [b, c]\n: d\n${ROWS}`, /s\.yaml:2 has a list for a key; write a word$/],
  [`name: a\n3: b\n${ROWS}`, /s\.yaml:2 3 is not known here/],
  [`name: a\n__proto__: b\n${ROWS}`, /s\.yaml:2 __proto__ is not known here/],
  ['{\n"name": "a",\n"rows": [{"method": "majority"}', /s\.yaml:3 .*a bracket that is not closed/],
  ['{"name": "a",\n"rows": [\n{"method": "majority}]}', /s\.yaml:\d lacks a quote, a bracket/],
  ["name: a: b\n", /s\.yaml:1 has two keys, or a colon in a value; .*in quotes$/],
  [`name: a\nrows: ${"[".repeat(2000)}`, /s\.yaml:2 /],
  [`name: a\nabout: &a [b]\n${ROWS}`, /s\.yaml:2 about is \["b"\]; write a text$/],
  ["name: a\nrows:\n  method: majority\n", /s\.yaml:2 rows holds no rows/],
  ["name: a\nrows:\n  -\n", /s\.yaml:3 rows\[0\] is no row/],
  ["name: a\nrows:\n  - method: [majority]\n", /s\.yaml:3 rows\[0\] lacks method/],
  [
    "name: a\r\nrows:\r\n  - method: majority\r\n    alfa: 1\r\n",
    /s\.yaml:4 rows\[0\]\.alfa is no/,
  ],
  ["name: a\rrows:\r  - method: majority\r    alfa: 1\r", /s\.yaml:4 rows\[0\]\.alfa is no/],
  ["\ufeffname: a\nrow: []", /s\.yaml:2 row is not known here; did you mean rows\?/],
  [`${OWN}    alpha: high\n`, /s\.yaml:4 rows\[0\]\.alpha is "high"; give a number of 0 or more$/],
  [`${OWN}    alpha: "0.3"\n`, /alpha is "0\.3"; give a number of 0 or more, without quotes$/],
  [`${OWN}    alpha: 0,3\n`, /alpha is "0,3"; give a number of 0 or more$/],
  [`${OWN}    alpha: .nan\n`, /alpha is NaN; give a number/],
  [`${OWN}    alpha: true\n`, /alpha is true; write a number or a text/],
  [`${OWN}    alpha: [[0, 1]]\n`, /alpha is \[\[0,1\]\]; write a number or a text/],
  [
    `${OWN}    alpha: [0, 0]\n`,
    /s\.yaml:3 rows\[0\] makes the folder promptgen-alpha-0-seed1 twice/,
  ],
  [`${OWN}    vectors: 5\n`, /s\.yaml:4 rows\[0\]\.vectors is no option of promptgen/],
  [`${OWN}    reader: ""\n`, /s\.yaml:4 rows\[0\]\.reader is ""; name a folder$/],
  [`${OWN}    reader: ./no\n`, /reader is "\.\/no"; which is not there; name a folder/],
  [`${OWN}    data: nowhere\n`, /data is "nowhere"; which is not there; name a folder/],
  [`${OWN}    relations: 36\n`, /relations is 36; write ids, as in P36,P17$/],
  [`${OWN}    relations: "P36,,P17"\n`, /relations is "P36,,P17"; write ids/],
  [`name: a\nseeds: -3\n${ROWS}`, /s\.yaml:2 seeds is -3; write a list of whole numbers/],
  [`name: a\nseeds: [1, -1]\n${ROWS}`, /s\.yaml:2 seeds is \[1,-1\]; write a list/],
  [`name: a\nseeds: ["1"]\n${ROWS}`, /s\.yaml:2 seeds is \["1"\]; write a list/],
  [`name: a\nseeds: []\n${ROWS}`, /s\.yaml:2 seeds is \[\]; write a list/],
  [`name: a/b\n${ROWS}`, /s\.yaml:1 name is no name of a folder/],
  [`name: ${"a".repeat(101)}\n${ROWS}`, /s\.yaml:1 name has 101 characters; write 100 or fewer$/],
  [`${OWN}    name: "A\\e[31m\\nB"\n`, /name is "A\\u001b\[31m\\nB"; write a line of text/],
  [
    `${OWN}    name: "\u6f22\u5b57"\n`,
    /s\.yaml:4 rows\[0\]\.name is "\u6f22\u5b57"; write a line of text/,
  ],
  [
    `${OWN}    name: ${"b".repeat(101)}\n`,
    /name is "b{96}\.\.\.; write .* 100 characters at most$/,
  ],
  [
    `${OWN}    reader-weights: [trained, random]\n    generator: [${"a".repeat(99)}, ${"b".repeat(99)}]\n    name: ${"c".repeat(99)}\n`,
    /s\.yaml:3 rows\[0\] makes a folder whose name has \d+ characters; give it a shorter name$/,
  ],
  [
    "name: a\nrows:\n  - { method: promptgen, name: X-y }\n  - { method: lpaqa, name: x Y }\n",
    /s\.yaml:4 rows\[1\] makes the folder x-y-seed1, as rows\[0\] does/,
  ],
  [
    `name: a\nseeds: 101\n${OWN.slice(8)}    alpha: [${Array.from({ length: 100 }, (_, i) => i)}]\n`,
    /s\.yaml:4 rows\[0\] makes 10100 runs with those before it/,
  ],
  [
    `name: a\nrows:\n${"  - { method: majority }\n".repeat(50_000)}`,
    /^\[study\] s\.yaml has 1250014 characters, more than such a file has/,
  ],
  [
    'name: a\nrows:\n  - method: "pro\\e[31m"\n',
    /there is no method pro\\u001b\[31m; choose among/,
  ],
];

for (const [i, [text, said]] of TEXTS.entries()) {
  test(`text ${i} is refused with its line, in one line`, () => {
    const what = messageOf(() => parseStudy(text, "s.yaml"));
    assert.match(what, said);
    assert.ok(!/\p{Cc}/u.test(what), what);
  });
}

/** Mistakes of values as a JSON file has them, a key a line. */
const JSON_MISTAKES: readonly (readonly [change: object, said: RegExp])[] = [
  [{ world: "yes" }, /s\.json:5 world is "yes"; write true or false$/],
  [{ world: null }, /s\.json:5 world is null/],
  [{ against: ["x"] }, /s\.json:5 against is \["x"\]; write the title of a row$/],
  [{ options: [1] }, /s\.json:5 options holds no options/],
  [{ options: { epochs: "3" } }, /s\.json:6 options\.epochs is "3"; give a whole number of 1/],
  [{ options: { alpa: 3 } }, /s\.json:6 options\.alpa .* did you mean alpha\?/],
  [{ seed: 1 }, /s\.json:5 seed is not known here; did you mean seeds\?/],
];
for (const [change, said] of JSON_MISTAKES) {
  test(`${JSON.stringify(change)} in JSON is refused with its line`, () => {
    const file = { name: "a", rows: [{ method: "promptgen" }], ...change };
    const text = JSON.stringify(file, null, 2).replace(
      /\[\s+\{\s+("method": "promptgen")\s+\}\s+\]/,
      "[\n{ $1 }]",
    );
    assert.match(
      messageOf(() => parseStudy(text, "s.json")),
      said,
    );
  });
}

test("anchors, merge keys, any line end and a byte order mark are read", () => {
  const text = `name: a
options: &shared { epochs: 3 }
seeds: &seeds [4, 5]
rows:
  - { <<: *shared, method: promptgen, seeds: *seeds, relations: "P36, P17" }
`;
  const seen = tasks(text);
  assert.deepEqual(
    seen.map(({ options }) => [options.seed, options.own.epochs, options.relations]),
    [4, 5].map((seed) => [seed, 3, "P17,P36"]),
  );
  for (const end of ["\r\n", "\r"]) assert.deepEqual(tasks(text.replaceAll("\n", end)), seen);
  const json = `\ufeff${JSON.stringify({ name: "a", rows: [{ method: "majority", name: "../a" }] })}`;
  assert.deepEqual(
    tasks(json).map(({ name }) => name),
    ["a-seed1"],
  );
});

for (const [text, said] of MISTAKES) {
  test(`${JSON.stringify(text)} is refused with its line`, () => {
    assert.match(
      messageOf(() => parseStudy(text, "s.yaml")),
      said,
    );
  });
}

test.run();
