/** A study of facts whose subjects, prompts, relations and rows are markup, formulas and commands: text in all that it writes and says. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseHTML } from "linkedom";
import { suite } from "uvu";
import { embeddedWorld } from "../../promptgen/world/world.ts";
import { folder } from "../promptgen/fixture.ts";
import { run } from "./command.ts";

const test = suite("hostile texts");

/** Control characters are refused where facts are read. */
const TEXTS = [
  "<img src=x onerror=alert(1)>",
  "</script><script>alert(1)</script>",
  "=1+1",
  "+cmd|' /C calc'!A0",
  "-2+3",
  "@SUM(A1)",
  "\\input{x}",
  "a | b `c` *d* [e](f)",
  `"double" 'single' $x$ #1 %2 &amp;`,
  "\u202eturned",
];
const IDS = ["=1+1", "<b>|`x`"];

const world = embeddedWorld();
const facts = (path: string): string[] =>
  readFileSync(join(world.data, path), "utf8").trim().split("\n");
/** The facts of P36, their subjects with the texts around. */
const hostile = (path: string, shift: number): string =>
  `${facts(path)
    .map((line, i) => {
      const { sub_label, obj_label } = JSON.parse(line);
      const text = TEXTS[(i + shift) % TEXTS.length];
      return JSON.stringify({ sub_label: `${text} ${sub_label}`, obj_label });
    })
    .join("\n")}\n`;

const data = folder({
  "relation_metainfo/LAMA_relations.jsonl": `${IDS.map((relation, i) =>
    JSON.stringify({
      relation,
      label: `${TEXTS[i * 9]} ${TEXTS[6 + i]}`,
      type: TEXTS[2 + i],
      template: `${TEXTS[9 * i]} [X] is \\input{y} [Y] =1 |`,
    }),
  ).join("\n")}\n`,
  ...Object.fromEntries(
    IDS.flatMap((id, i) => [
      [`autoprompt_data/${id}/train.jsonl`, hostile("autoprompt_data/P36/train.jsonl", i)],
      [`autoprompt_data/${id}/dev.jsonl`, hostile("autoprompt_data/P36/dev.jsonl", i)],
      [`LAMA-TREx/${id}.jsonl`, hostile("LAMA-TREx/P36.jsonl", i)],
    ]),
  ),
  "common_vocabs/common_vocab_cased.txt": facts("common_vocabs/common_vocab_cased.txt").join("\n"),
});

const NAMES = ["=1+1 <img src=x onerror=alert(1)> \\input{z}", "@b | `c` $d$"];
const file = join(data, "study.json");
writeFileSync(
  file,
  JSON.stringify({
    name: "hostile",
    options: { data },
    rows: [
      { method: "majority", name: NAMES[0] },
      { method: "template", name: NAMES[1] },
    ],
  }),
);
const out = join(data, "out");
const written = (name: string): string => readFileSync(join(out, name), "utf8");
/** What a terminal obeys or turns. */
const OBEYED = /[^\P{Cc}\n]|[\u202a-\u202e\u2066-\u2069]/u;

let said = "";
test.before(async () => {
  const ended = await run("study.ts", [file, "--out", out, "--device", "cpu", "--threads", "1"]);
  said = `${ended.out}${ended.error}`;
  assert.equal(ended.code, 0, ended.error);
});

test("a terminal is told nothing: what is printed, the logs, and tables as text", () => {
  for (const name of readdirSync(join(out, "logs"))) said += written(join("logs", name));
  for (const text of [said, ...["txt", "md", "tex"].map((end) => written(`tables.${end}`))]) {
    const found = OBEYED.exec(text);
    assert.equal(found, null, text.slice(Math.max(0, (found?.index ?? 0) - 40)).slice(0, 80));
  }
  assert.ok(said.includes("\\u202eturned"), "a subject of the template's row");
});

test("Markdown has no tag, no cell more than columns, no code", () => {
  const text = written("tables.md");
  assert.ok(text.includes("&lt;img src=x onerror=alert(1)&gt;"));
  assert.doesNotMatch(text, /<|(?<!\\)`/);
  const cells = (line: string): number => line.split(/(?<!\\)\|/).length;
  const lines = text.split("\n");
  lines.forEach((line, i) => {
    if (line.startsWith("|") && lines[i - 1]?.startsWith("|")) {
      assert.equal(cells(line), cells(lines[i - 1]), line);
    }
  });
});

test("LaTeX has no command but its own", () => {
  const text = written("tables.tex");
  assert.ok(text.includes("\\textbackslash{}input\\{z\\}"));
  const commands = new Set(text.match(/\\[a-zA-Z]+/g));
  const own =
    /^\\(begin|end|centering|caption|toprule|midrule|bottomrule|cmidrule|multicolumn|smallskip|footnotesize|pm|symbol|text[a-z]+)$/;
  for (const command of commands) assert.match(command, own);
});

/** Cells of RFC 4180, line ends within quotes and all. */
const cellsOf = (text: string): string[] =>
  [...text.matchAll(/(?:^|,|\r\n)(?:"((?:[^"]|"")*)"|([^",\r\n]*))/g)].map(
    ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain,
  );

test("no cell of CSV begins a formula; subjects and prompts are all there", () => {
  const runs = readdirSync(out).filter((name) => name.endsWith("-seed1"));
  assert.equal(runs.length, 2);
  for (const name of ["tables.csv", ...runs.map((one) => join(one, "facts.csv"))]) {
    const text = written(name);
    const cells = cellsOf(text);
    for (const cell of cells) {
      const isNumber = cell.trim() !== "" && Number.isFinite(Number(cell));
      assert.ok(isNumber || !/^\s*[=+\-@]|^[\t\r]/.test(cell), `${name}: ${cell}`);
    }
    assert.doesNotMatch(text, /[^\P{Cc}\t\r\n]/u, name);
    if (name === "tables.csv") continue;
    const rows = written(name.replace("csv", "jsonl")).trim().split("\n");
    for (const row of rows) {
      const { subject, prompt } = JSON.parse(row);
      for (const one of [subject, prompt]) {
        assert.ok(cells.includes(one) || cells.includes(`'${one}`), one);
      }
    }
  }
});

test("the page has no element that a text has made", () => {
  const { document } = parseHTML(written("report.html"));
  assert.equal(document.querySelectorAll("img, iframe, svg script, b").length, 0);
  assert.equal(document.querySelectorAll("script").length, 2);
  const shown = document.body.textContent ?? "";
  for (const name of NAMES) assert.ok(shown.includes(name), name);
  assert.ok(shown.includes(IDS[1]));
});

test.run();
