/** Studies of several settings: which parts and steps they mean, what a step's key depends on, and what mistakes say. */
import assert from "node:assert/strict";
import { suite } from "uvu";
import { parseStudyFile } from "../../promptgen/study-parts.ts";
import { messageOf } from "../thrown.ts";

const test = suite("study parts");

const read = (text: string, home = "/runs") =>
  parseStudyFile(text, "s.yaml", {}, (name) => `${home}/${name}`);

const YAML = `name: dials
settings:
  - { context: 0, kind: plain }
  - { context: 0.5, kind: plain }
prepare:
  world: make-world --context {context} --out {here}
  reader: pretrain {world}/reader.jsonl --model {world}/bert --out {here} --resume
options: { data: "{world}", reader: "{reader}/final" }
gates:
  - { row: Manual, least: 15, most: 60 }
  - { row: Majority, most: 30, context: 0.5 }
rows:
  - { method: majority }
  - { method: template, name: Manual }
  - { method: optiprompt, name: "Vectors at {context}", vectors: 10 }
`;

test("each setting is a part with its steps, and its rows read what the steps make", () => {
  const { name, parts, gates } = read(YAML);
  assert.equal(name, "dials");
  assert.deepEqual(
    parts.map(({ folder, setting }) => [folder, setting]),
    [
      ["context-0-kind-plain", { context: 0, kind: "plain" }],
      ["context-0.5-kind-plain", { context: 0.5, kind: "plain" }],
    ],
  );
  const at = "/runs/dials/context-0.5-kind-plain/prepared";
  assert.deepEqual(
    parts[1].steps.map(({ key: _, ...step }) => step),
    [
      {
        name: "world",
        folder: `${at}/world`,
        command: "make-world",
        arguments: ["--context", "0.5", "--out", `${at}/world`],
      },
      {
        name: "reader",
        folder: `${at}/reader`,
        command: "pretrain",
        arguments: [
          ...[`${at}/world/reader.jsonl`, "--model", `${at}/world/bert`],
          ...["--out", `${at}/reader`, "--resume"],
        ],
      },
    ],
  );
  const tasks = parts[1].study.rows.flatMap((row) => row.tasks);
  assert.deepEqual(
    tasks.map((task) => [task.name, task.options.data, task.options.reader]),
    ["majority-seed1", "manual-seed1", "vectors-at-0.5-seed1"].map((task) => [
      task,
      `${at}/world`,
      `${at}/reader/final`,
    ]),
  );
  assert.deepEqual(gates, [
    { row: "Manual", least: 15, most: 60, where: {} },
    { row: "Majority", least: 0, most: 30, where: { context: 0.5 } },
  ]);
});

test("a step's key is that of its words and of what it reads, wherever the study stands", () => {
  const keys = (text: string, home?: string) =>
    read(text, home).parts.map(({ steps }) => steps.map(({ key }) => key));
  const all = keys(YAML);
  assert.equal(new Set(all.flat()).size, 4);
  assert.deepEqual(keys(YAML, "/elsewhere"), all);
  const steeper = keys(YAML.replace("--resume", "--lr 1 --resume"));
  steeper.forEach(([world, reader], i) => {
    assert.equal(world, all[i][0]);
    assert.notEqual(reader, all[i][1]);
  });
  const seeded = keys(YAML.replace("make-world", "make-world --seed 2"));
  seeded.flat().forEach((key, i) => {
    assert.notEqual(key, all.flat()[i], "the reader's too, for it reads the world");
  });
});

test("a study without settings has one part in its own folder, and may prepare too", () => {
  const plain = read("name: a\nrows:\n  - { method: majority }");
  assert.deepEqual(
    plain.parts.map(({ folder, steps, setting }) => [folder, steps, setting]),
    [["", [], {}]],
  );
  const made = read(
    'name: a\nprepare:\n  world: make-world --out {here}\nrows:\n  - { method: majority, data: "{world}" }',
  );
  const [{ steps, study }] = made.parts;
  assert.equal(steps[0].folder, "/runs/a/prepared/world");
  assert.equal(study.rows[0].tasks[0].options.data, "/runs/a/prepared/world");
});

test("a value alone keeps its kind", () => {
  const text = (alpha: string) =>
    `name: a\nsettings:\n  - { x: 0.25 }\nrows:\n  - { method: promptgen, alpha: ${alpha} }`;
  const [{ study }] = read(text('"{x}"')).parts;
  assert.equal(study.rows[0].tasks[0].options.own.alpha, 0.25);
  assert.match(
    messageOf(() => read(text('"1{x}"'))),
    /rows\[0\]\.alpha is "?10\.25"?; give a number of 0 or more/,
  );
});

const rows = "rows:\n  - { method: majority }";
const MISTAKES: readonly (readonly [text: string, said: RegExp])[] = [
  [`name: a\nsettings: 3\n${rows}`, /s\.yaml:2 settings is no list of settings; write 1 to 200/],
  [`name: a\nsettings: []\n${rows}`, /s\.yaml:2 settings is no list of settings/],
  [
    `name: a\nsettings:\n  - 1\n${rows}`,
    /s\.yaml:3 settings\[0\] is no setting; write NAME: value/,
  ],
  [`name: a\nsettings:\n  - { here: 1 }\n${rows}`, /settings\[0\]\.here is no name of a value/],
  [`name: a\nsettings:\n  - { a: "../b" }\n${rows}`, /settings\[0\]\.a is no number and no word/],
  [
    `name: a\nsettings:\n  - { a: 1 }\n  - { b: 1 }\n${rows}`,
    /s\.yaml:4 settings\[1\] has not the names of the first; write a$/,
  ],
  [
    `name: a\nsettings:\n  - { a: 1 }\n  - { a: 1 }\n${rows}`,
    /s\.yaml:4 settings\[1\] is settings\[0\] again; keep one/,
  ],
  [`name: a\nprepare: [x]\n${rows}`, /s\.yaml:2 prepare holds no steps; write NAME: COMMAND/],
  [`name: a\nprepare:\n  here: x {here}\n${rows}`, /prepare\.here is no name of a step/],
  [`name: a\nprepare:\n  w: 3\n${rows}`, /s\.yaml:3 prepare\.w is no command; write one of/],
  [`name: a\nprepare:\n  w: make --out x\n${rows}`, /prepare\.w does not say where it writes/],
  [
    `name: a\nprepare:\n  w: make --out "{here}"\n${rows}`,
    /prepare\.w has a quote or a backslash, which mean nothing here/,
  ],
  [
    `name: a\nprepare:\n  w: make {wrld} {here}\n${rows}`,
    /prepare\.w has \{wrld\}, which stands for nothing here; choose among here/,
  ],
  [
    `name: a\nprepare:\n  w: make {r} --out {here}\n  r: make --out {here}\n${rows}`,
    /prepare\.w has \{r\}, which stands for nothing here/,
  ],
  [
    `name: a\nsettings:\n  - { context: 1 }\noptions: { data: "{contxt}" }\n${rows}`,
    /s\.yaml:4 options\.data has \{contxt\}, which is neither a setting nor a step; did you mean context\?/,
  ],
  [
    "name: a\nrows:\n  - { method: majority, data: '{world}' }",
    /rows\[0\]\.data is "\{world\}"; which is not there; name a folder that is/,
  ],
  [
    `name: a\ngates:\n  - { row: Manual, least: 3 }\n${rows}`,
    /s\.yaml:3 gates\[0\]\.row is no row's title; choose among Majority/,
  ],
  [`name: a\ngates:\n  - { row: Majority, most: 101 }\n${rows}`, /gates\[0\]\.most is no share/],
  [
    `name: a\nsettings:\n  - { a: 1 }\ngates:\n  - { row: Majority, most: 9, a: 2 }\n${rows}`,
    /s\.yaml:5 gates\[0\] is for a setting that is not there; write values of settings/,
  ],
];

for (const [text, said] of MISTAKES) {
  test(`a mistake is said in one sentence: ${said.source}`, () => {
    const message = messageOf(() => read(text));
    assert.match(message, said);
    assert.equal(message.split("\n").length, 1);
  });
}

test.run();
