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
  ["", /^\[study\] s\.yaml holds no keys; write name and rows/],
  ["- a", /s\.yaml:1 holds no keys/],
  ["name: a\nrows: [\n", /^\[study\] s\.yaml:\d+ /],
  ["name: a\nname: b\nrows: []", /s\.yaml:2 Map keys must be unique/],
  [
    "name: a\n\nrow: []",
    /s\.yaml:3 row is not known here; did you mean rows\? choose among name, about, world/,
  ],
  ["name: a b\nrows: []", /s\.yaml:1 name is no name of a folder/],
  ["name: ../a\nrows: []", /s\.yaml:1 name is no name of a folder/],
  ["rows: []", /s\.yaml:1 name is no name of a folder/],
  ["name: a\nworld: yes\nrows: []", /s\.yaml:2 world is yes; write true or false/],
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
    /s\.yaml:4 rows\[0\]\.name is 3; write a text/,
  ],
  ["name: a\noptions: 3\nrows:\n  - method: majority", /s\.yaml:2 options holds no options/],
  [
    "name: a\noptions:\n  alpha: 1\nrows:\n  - method: majority",
    /s\.yaml:3 options\.alpha is an option of none of the rows' methods/,
  ],
  [
    "name: a\nrows:\n  - method: majority\n  - method: majority",
    /s\.yaml:3 rows has majority-seed1 twice; keep one, or give one another name/,
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
    /s\.yaml:4 rows\[0\]\.name is " "; write a text with/,
  ],
  ["name: a\nseeds: 1e9\nrows:\n  - method: majority", /s\.yaml:2 seeds is 1000000000; write/],
  [
    "name: a\nagainst: Majorty\nrows:\n  - method: majority\n  - method: promptgen",
    /s\.yaml:2 against is no row's title; did you mean Majority\? choose among Majority, PromptGen/,
  ],
  [
    "name: a\nrows:\n  - { method: majority, name: A }\n  - { method: majority, name: A! }\n",
    /s\.yaml:3 rows has a-seed1 twice/,
  ],
  [
    "name: a\nrows:\n  - { method: majority, name: A B }\n  - { method: lpaqa, name: A B, seeds: [2] }\n",
    /s\.yaml:3 rows has two rows named A B; give one another name/,
  ],
];

for (const [text, said] of MISTAKES) {
  test(`${JSON.stringify(text)} is refused with its line`, () => {
    assert.match(
      messageOf(() => parseStudy(text, "s.yaml")),
      said,
    );
  });
}

test.run();
