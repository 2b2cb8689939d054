import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Random } from "../../models/training/random.ts";
import { type FactOptions, loadFacts } from "../../promptgen/facts/facts.ts";
import { loadTemplates } from "../../promptgen/facts/templates.ts";
import { loadPatterns } from "../../promptgen/world/world.ts";
import { FACTS, folder } from "./fixture.ts";

/** Every kind of text file that a folder of facts may have, and its path. */
const LPAQA = "relation_metainfo/LPAQA_relations.jsonl";
const PATTERNS = "patterns.jsonl";
const WORDS = "common_vocabs/common_vocab_cased.txt";
const TEMPLATES = "relation_metainfo/LAMA_relations.jsonl";
const TRAIN = "autoprompt_data/R1/train.jsonl";
const ALL: Readonly<Record<string, string>> = {
  ...FACTS,
  [LPAQA]:
    '{"relation":"R1","template":"[X] likes [Y]"}\n{"relation":"R2","template":"[X] at [Y]"}\n',
  [PATTERNS]:
    '{"relation":"R1","pattern":"[X] and [Y]"}\n{"relation":"R1","pattern":"[Y] of [X]"}\n',
};
const FILES = Object.keys(ALL);

/** All that is read of a folder. */
async function readAll(root: string, options: FactOptions = {}) {
  const { words, ...facts } = await loadFacts(root, options);
  const templates = await loadTemplates(root, "LPAQA");
  return { facts, templates: [...templates], patterns: [...(await loadPatterns(root))] };
}

async function failure(root: string, options: FactOptions = {}): Promise<string> {
  try {
    await readAll(root, options);
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error("expected an error");
}

/** The folder with other contents of one file. */
function withBytes(path: string, contents: Uint8Array | string): string {
  const root = folder(ALL);
  writeFileSync(join(root, path), contents);
  return root;
}

const encodings = suite("encodings");

encodings(
  "a byte order mark, at the start or where two files were joined, changes nothing",
  async () => {
    const plain = await readAll(folder(ALL));
    for (const path of FILES) {
      assert.equal(await readAll(withBytes(path, `\uFEFF${ALL[path]}`)), plain, path);
    }
    const [first, ...others] = ALL[TRAIN].split("\n");
    const joined = [first, `\uFEFF${others[0]}`, ...others.slice(1)].join("\n");
    assert.equal(await readAll(withBytes(TRAIN, joined)), plain);
  },
);

encodings(
  "lines end as on Unix, Windows or an old Mac, with or without an end of the last",
  async () => {
    const plain = await readAll(folder(ALL));
    for (const end of ["\r\n", "\r"]) {
      const other = Object.entries(ALL).map(([path, text]) => [path, text.replaceAll("\n", end)]);
      assert.equal(await readAll(folder(Object.fromEntries(other))), plain);
    }
    const open = Object.entries(ALL).map(([path, text]) => [path, `\n \t\n${text.trimEnd()}`]);
    assert.equal(await readAll(folder(Object.fromEntries(open))), plain);
  },
);

encodings(
  "what is no UTF-8 is refused with its file, line and the encoding that is expected",
  async () => {
    for (const path of FILES) {
      const [first, ...others] = ALL[path].split("\n");
      const word = path === WORDS ? "Mülheim" : '{"sub_label":"Mülheim","obj_label":"grass"}';
      const text = [first, word, ...others].join("\n");
      const latin1 = await failure(withBytes(path, Buffer.from(text, "latin1")));
      assert.ok(
        latin1.includes(`${path} is not UTF-8, the encoding that is expected: line 2`),
        latin1,
      );
      assert.match(latin1, /0xfc .*ü in Latin-1\); save it as UTF-8$/);
      const little = Buffer.from(`\uFEFF${text}`, "utf16le");
      for (const bytes of [little, Buffer.from(little).swap16()]) {
        const said = await failure(withBytes(path, bytes));
        assert.match(said, /is UTF-16 by its first two bytes, where UTF-8 is expected; save it/);
        assert.ok(said.includes(path), said);
      }
      const without = await failure(withBytes(path, Buffer.from(ALL[path], "utf16le")));
      assert.match(without, /has a NUL character in line 1, as UTF-16 read as UTF-8 has; save it/);
      assert.ok(without.includes(path), without);
    }
    const cut = Buffer.from(`${ALL[TRAIN]}{"sub_label":"é`).subarray(0, -1);
    assert.match(
      await failure(withBytes(TRAIN, cut)),
      /train\.jsonl is not UTF-8.*line 4 has the byte 0xc3/,
    );
  },
);

encodings("a directory or a pipe in the place of a file is refused at once", async () => {
  for (const path of FILES) {
    for (const [make, name] of [
      [(at: string) => mkdirSync(at), "a directory"],
      [(at: string) => execFileSync("mkfifo", [at]), "a pipe (FIFO)"],
    ] as const) {
      const root = folder(ALL);
      rmSync(join(root, path));
      make(join(root, path));
      const said = await failure(root);
      assert.ok(said.includes(`${path} is ${name}, not a file; `), said);
    }
  }
  const file = join(folder(ALL), WORDS);
  assert.is(
    await failure(file),
    `[data] ${file} is no folder; point --data at a folder in the layout of the OptiPrompt archive`,
  );
});

const lines = suite("lines");

lines("a line that is no fact is told in one sentence", async () => {
  const fact = (sub: string, obj = '"grass"') => `{"sub_label":${sub},"obj_label":${obj}}`;
  for (const [text, sentence] of [
    ["7", /:2 is not a JSON object: 7; write \{"sub_label": "\.\.\.", "obj_label": "\.\.\."\}/],
    ["null", /:2 is not a JSON object: null/],
    [`[${fact('"x"')}]`, /:2 is not a JSON object: \[\{/],
    [`${fact('"x"')},`, /:2 is not JSON: \{/],
    [fact("7"), /:2 has no text in "sub_label" \(it is 7\)/],
    [fact("null"), /:2 has no text in "sub_label" \(it is null\)/],
    [fact('["x"]'), /:2 has no text in "sub_label" \(it is \["x"\]\)/],
    [fact('"x"', '" "'), /:2 has no text in "obj_label" \(it is " "\)/],
    ['{"sub_label":"x"}', /:2 has no text in "obj_label" \(it is missing\)/],
    [
      '{"__proto__":{"sub_label":"x"},"obj_label":"grass"}',
      /no text in "sub_label" \(it is missing/,
    ],
    ['{"sub_label":"x","obj_label":"grass","sub_label":"y"}', /:2 has the key "sub_label" twice/],
    ['{"sub_label":"x","obj_label":"grass","sub\\u005flabel" : "y"}', /the key "sub_label" twice/],
    [fact('"\\ud83d"'), /:2 has half a character \(an unpaired surrogate\) in "sub_label"/],
    [fact('"x"', '"gr\\udc00ass"'), /:2 has half a character .* in "obj_label"/],
    [fact('"a\\u0000b"'), /:2 has the control character \\u\{0\} in "sub_label"/],
    [fact('"\\u001b[31mred"'), /:2 has the control character \\u\{1b\} in "sub_label"/],
    [fact('"a\\nb"'), /:2 has the control character \\u\{a\} in "sub_label"/],
    [fact('"a\u0085b"'), /:2 has the control character \\u\{85\} in "sub_label"/],
    [fact('"a\u2028b"'), /:2 has the control character \\u\{2028\} in "sub_label"/],
    [fact(`"${"x".repeat(20_000)}"`), /:2 has 20000 characters, more than 10000 in "sub_label"/],
  ] as const) {
    const [first, ...others] = ALL[TRAIN].split("\n");
    const said = await failure(withBytes(TRAIN, [first, text, ...others].join("\n")));
    assert.match(said, sentence);
    assert.ok(said.startsWith("[data] ") && said.includes(`${TRAIN}:2 `), said);
    assert.ok(said.length < 400 + said.indexOf(TRAIN), "however long the line is");
  }
  const cut = await failure(withBytes(TRAIN, ALL[TRAIN].slice(0, -10)));
  assert.match(
    cut,
    /train\.jsonl:3 is not JSON: .*; the file ends in this line: copy it whole, or/,
  );
});

lines("other keys, nested and long ones too, are passed over", async () => {
  const plain = await readAll(folder(ALL));
  const other = `,"sub_uri":"Q1","evidences":[{"sub_label":"a","obj_label":"b"}],"t":"\\"sub_label\\":${'\\\\\\"'.repeat(200_000)}"}\n`;
  assert.equal(await readAll(withBytes(TRAIN, ALL[TRAIN].replaceAll("}\n", other))), plain);
});

lines("files of nothing, words and relations that are none", async () => {
  assert.match(
    await failure(withBytes(TRAIN, "")),
    /R1\/train\.jsonl leaves relation R1 without train facts \(0 rows/,
  );
  assert.match(
    await failure(withBytes(TEMPLATES, "\n")),
    /LAMA_relations\.jsonl holds no relations; write/,
  );
  assert.match(
    await failure(withBytes(LPAQA, " ")),
    /LPAQA_relations\.jsonl holds no templates; write/,
  );
  assert.match(
    await failure(withBytes(WORDS, "\n\n")),
    /cased\.txt holds no words; write one common/,
  );
  assert.match(
    await failure(withBytes(WORDS, "Paris\nRo\u001bme\n")),
    /cased\.txt:2 has the control character \\u\{1b\}: Ro/,
  );
  for (const id of ["../R1", "a,b", ".", "R 1", "R/1"]) {
    const said = await failure(
      withBytes(TEMPLATES, ALL[TEMPLATES].replace('"R2"', JSON.stringify(id))),
    );
    assert.ok(said.includes(`:1 names a relation ${JSON.stringify(id)}; use letters`), said);
  }
});

lines("a template without a slot; one that is spelled otherwise is shown", async () => {
  const of = (template: string) =>
    failure(withBytes(LPAQA, ALL[LPAQA].replace("[X] likes [Y]", template)));
  assert.match(
    await of("likes [Y]"),
    /LPAQA_relations\.jsonl:1\] "likes \[Y\]" holds \[X\] nowhere; write it once, where the subject goes/,
  );
  assert.match(await of("[x] likes [Y]"), /holds \[X\] nowhere \(but \[x\]\); write/);
  assert.match(await of("[X] likes <y>"), /holds \[Y\] nowhere \(but <y>\); write/);
});

const ids = suite("ids and names of files");

ids("a relation that is unknown: what was meant, and what it lacks", async () => {
  const of = (...relations: string[]) => failure(folder(ALL), { relations });
  assert.match(
    await of("r1"),
    /relation r1 is unknown; did you mean R1\? choose among R1, R2, R9$/,
  );
  assert.match(await of("2"), /relation 2 is unknown; did you mean R2\?/);
  assert.match(await of(" R9"), /did you mean R9\?/);
  assert.match(await of("P17"), /relation P17 is unknown; choose among/);
  assert.match(await of("R1", "r2", "Q"), /relation r2 is unknown \(so are Q\); did you mean R2\?/);
  const root = withBytes(TEMPLATES, ALL[TEMPLATES].replace('"R1"', '"R7"'));
  assert.match(
    await failure(root, { relations: ["R1"] }),
    /relation R1 is unknown: it has facts, but no line with its template in relation_metainfo\/LAMA/,
  );
});

ids("files beside those that are read, and relations without test facts, are named", async () => {
  const remarks = async (more: Record<string, string>, relations?: string[]) =>
    (await loadFacts(folder({ ...FACTS, ...more }), { relations })).remarks;
  const none = "[data] 1 relation has a template and no test facts, and no part in this (R9)";
  assert.equal(await remarks({}), [none]);
  assert.equal(await remarks({}, ["R1", "R2"]), []);
  assert.equal(await remarks({ "notes.md": "", "LAMA-TREx/.R1.jsonl.swp": "" }), [none]);
  const strange = {
    "LAMA-TREx/R1.json": "",
    "LAMA-TREx/R7.jsonl": "",
    "R2.jsonl": "",
    "autoprompt_data/R1/test.jsonl": "",
    "autoprompt_data/R2.csv": "",
    "autoprompt_data/R8/train.jsonl": "",
    "relation_metainfo/LAMA_relations.json": "",
    "common_vocabs/common_vocab.txt": "",
  };
  for (const path of Object.keys(strange)) {
    const [said] = await remarks({ [path]: "" });
    const shown = path.startsWith("autoprompt_data/R8") ? "autoprompt_data/R8" : path;
    assert.ok(
      said.startsWith(
        `[data] 1 file looks like facts, templates or words and is not read (${shown}); `,
      ),
      said,
    );
  }
  const [all] = await remarks(strange);
  assert.match(
    all,
    /^\[data\] 8 files look like .* are not read \(.*, and 2 more\); test facts are read from/,
  );
  // what was not chosen is not missed
  const [chosen, ...rest] = await remarks(strange, ["R1"]);
  assert.match(
    chosen,
    /^\[data\] 4 files .*\(LAMA-TREx\/R1\.json, relation_meta.*, autoprompt_data\/R1\/test\.jsonl\)/,
  );
  assert.equal(rest, []);
});

ids("a file of another ending in the place of the one that is read", async () => {
  const { "LAMA-TREx/R1.jsonl": facts, ...others } = ALL;
  const root = folder({ ...others, "LAMA-TREx/r1.JSON": facts });
  assert.match(
    await failure(root, { relations: ["R1"] }),
    /R1\.jsonl does not exist; r1\.JSON beside it is not read: rename it, with one \{"sub_label"/,
  );
  const { "LAMA-TREx/R2.jsonl": _, ...neither } = others;
  assert.match(
    await failure(folder({ ...neither, "LAMA-TREx/R2.json": facts })),
    /holds no file of a known relation \(not read: R2\.json\); the test facts of P17 go to/,
  );
});

const fuzz = suite("files that are damaged at random");

fuzz(
  "are read with every fact accounted for, or refused in one visible sentence with the file's name",
  async () => {
    const random = new Random(5, 0, 0);
    const below = (n: number) => Math.floor(random.unit() * n);
    const parts = [
      "\0",
      "\u001b",
      '"',
      "{",
      "}",
      "[",
      "\\",
      "\\ud83d",
      "\\u0007",
      "\r",
      "\n",
      "\uFEFF",
      "null",
      '"sub_label":',
      "\u2028",
      " ",
      "é",
    ];
    const root = folder(ALL);
    let [read, refused] = [0, 0];
    for (let i = 0; i < 250; i++) {
      const path = FILES[below(FILES.length)];
      let bytes = Buffer.from(ALL[path]);
      for (let n = below(3); n >= 0; n--) {
        const at = below(bytes.length);
        const [head, tail] = [bytes.subarray(0, at), bytes.subarray(at)];
        const changes = [
          () => Buffer.concat([head, Buffer.from(parts[below(parts.length)]), tail]),
          () => Buffer.concat([head, tail.subarray(below(12))]),
          () => Buffer.concat([head, Uint8Array.of(below(256)), tail.subarray(1)]),
          () => Buffer.from(head),
          () => Buffer.concat([bytes, tail]),
        ];
        bytes = changes[below(changes.length)]();
      }
      writeFileSync(join(root, path), bytes);
      try {
        const { facts } = await readAll(root);
        const { train, dev, test } = facts.counts;
        const kept = facts.relations.flatMap((one) => [...one.train, ...one.dev, ...one.test]);
        assert.is(train.raw + dev.raw + test.raw, kept.length + facts.leftOut.length);
        assert.not.match(facts.remarks.join(""), /[\p{Cc}\u2028\uFFFD]/u);
        read++;
      } catch (error) {
        if (!(error instanceof Error) || error.name === "Assertion") throw error;
        const { message } = error;
        assert.ok(message.includes(root), message);
        assert.match(message, /^\[[^\]]+\] .*; \S/);
        assert.not.match(message, /[\p{Cc}\u2028]/u);
        assert.ok(message.length < root.length + 500, message);
        refused++;
      }
      writeFileSync(join(root, path), ALL[path]);
    }
    assert.ok(read > 10 && refused > 150, `${read} read, ${refused} refused`);
  },
);

for (const one of [encodings, lines, ids, fuzz]) one.run();
