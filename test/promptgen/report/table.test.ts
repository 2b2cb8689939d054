import { suite } from "uvu";
import * as assert from "uvu/assert";
import { FORMATS, printTable, printTables, type Table } from "../../../promptgen/report/table.ts";

const SMALL: Table = {
  label: "Table 9",
  title: "what was asked (%)",
  groups: [
    { columns: [{ head: "method", align: "left", most: 9 }] },
    {
      title: "this run",
      columns: [
        { head: "All", align: "right" },
        { head: "facts", align: "right" },
      ],
    },
    { title: "a long difference", columns: [{ head: "All", align: "right" }] },
  ],
  rows: [
    ["Manual", "31.1", "34,017", "-0.3"],
    ["AutoPrompt_5", "42.2", "", null],
    ["mean", "36.7 ± 7.8", "34,017", "+1.0"],
  ],
  rules: [2],
  notes: ["One note & no more."],
};

/** Text that each format could take for its own, and what it is where control characters are spelled. */
const NASTY: readonly (readonly [cell: string, spelled?: string])[] = [
  [`say "hello", 'twice' ''`],
  ["two\nlines", "two\\nlines"],
  ["two\r\nlines\t.", "two\\r\\nlines\\t."],
  ["a | b || c"],
  ["back\\slash \\| \\\\ end\\"],
  ["<img src=x onerror=alert(1)><!-- -->"],
  ["\\input{x}\\end{tabular}"],
  ["50% $x$ #1 a_b a^b ~ {} & && < > ` ---"],
  ["[optional] argument"],
  ["*starred* __bold__ ~~gone~~ `code`"],
  ["[link](javascript:alert(1)) ![i](x) https://a.b www.a.b a@b.cc"],
  ["&lt; &amp; &#124;"],
  ["=1+1"],
  ["+cmd|' /C calc'!A0"],
  ["-2+3"],
  ["@SUM(A1)"],
  ["\tx", "\\tx"],
  ["\rx", "\\rx"],
  ["a\rb", "a\\rb"],
  [" =1"],
  ["＝1+1"],
  ["-"],
  ["\u001b[31mred\u0000", "\\u001b[31mred\\u0000"],
  ["\u202eturned\u2028", "\\u202eturned\\u2028"],
  ["日本 é 😀 ±"],
  ["constructor"],
  [""],
];

const nasty = (format: (typeof FORMATS)[number]): string[] => {
  const columns = ["cell", "again"].map((head) => ({ head, align: "left" }) as const);
  const rows = NASTY.map(([cell]) => [cell, cell]);
  return printTable({ groups: [{ columns }], rows }, format).split("\n");
};

const spelled = (i: number): string => NASTY[i][1] ?? NASTY[i][0];

const shape = suite("shape");

shape(
  "text: aligned, groups under their titles, a rule below the heads and where one was asked",
  () => {
    assert.is(
      printTable(SMALL),
      `Table 9: what was asked (%)
          | this run          | a long difference
method    |        All  facts |               All
-------------------------------------------------
Manual    |       31.1 34,017 |              -0.3
AutoProm. |       42.2        |                 -
-------------------------------------------------
mean      | 36.7 ± 7.8 34,017 |              +1.0
One note & no more.`,
    );
  },
);

shape("text without titles: two spaces between columns", () => {
  const groups = [{ columns: SMALL.groups.flatMap(({ columns }) => columns) }];
  assert.is(
    printTable({ groups, rows: SMALL.rows.slice(0, 1) }),
    `method   All   facts   All
--------------------------
Manual  31.1  34,017  -0.3`,
  );
});

shape("text: a character is one place wide, however it is coded", () => {
  const columns = ["x", "y"].map((head) => ({ head, align: "left" }) as const);
  const rows = [
    ["😀😀😀", "."],
    ["abc", "."],
  ];
  assert.is(printTable({ groups: [{ columns }], rows }), "x    y\n------\n😀😀😀  .\nabc  .");
});

shape("Markdown: one line of heads, alignment, notes as paragraphs", () => {
  assert.is(
    printTable(SMALL, "markdown"),
    `**Table 9: what was asked (%)**

| method | this run: All | this run: facts | a long difference: All |
| :-- | --: | --: | --: |
| Manual | 31.1 | 34,017 | -0.3 |
| AutoPrompt\\_5 | 42.2 |  | - |
| mean | 36.7 ± 7.8 | 34,017 | +1.0 |

One note &amp; no more.`,
  );
});

shape("CSV: heads and rows, lines that end in CR LF, nothing for a missing figure", () => {
  const lines = printTable(SMALL, "csv").split("\r\n");
  assert.equal(lines, [
    "method,this run: All,this run: facts,a long difference: All",
    'Manual,31.1,"34,017",-0.3',
    "AutoPrompt_5,42.2,,",
    'mean,36.7 ± 7.8,"34,017",+1.0',
  ]);
});

shape("LaTeX: booktabs, titles that span their columns, its own number for the table", () => {
  assert.is(
    printTable(SMALL, "latex"),
    String.raw`\begin{table}
\centering
\caption{what was asked (\%)}
\begin{tabular}{lrrr}
\toprule
\multicolumn{1}{c}{} & \multicolumn{2}{c}{this run} & \multicolumn{1}{c}{a long difference} \\
\cmidrule(lr){2-3} \cmidrule(lr){4-4}
method & All & facts & All \\
\midrule
Manual & 31.1 & 34,017 & $-0.3$ \\
AutoPrompt\_5 & 42.2 &  & -- \\
\midrule
mean & 36.7 $\pm$ 7.8 & 34,017 & $+1.0$ \\
\bottomrule
\end{tabular}

\smallskip\footnotesize One note \& no more.
\end{table}`,
  );
});

shape("several tables stand one after the other", () => {
  for (const format of FORMATS) {
    const one = printTable(SMALL, format);
    const gap = format === "csv" ? "\r\n\r\n" : "\n\n";
    assert.is(printTables([SMALL, SMALL], format), `${one}${gap}${one}`);
  }
});

shape("a row with too few or too many cells is an error in every format", () => {
  for (const format of FORMATS) {
    const short = { ...SMALL, rows: [["a", "b", "c", "d"], ["a"]] };
    assert.throws(() => printTable(short, format), /row 2 of Table 9 has 1 cells for 4 columns/);
    assert.throws(() => printTable({ ...SMALL, rows: [["", "", "", "", ""]] }, format), /5 cells/);
  }
});

shape("a table without rows has its heads", () => {
  for (const format of FORMATS) assert.match(printTable({ ...SMALL, rows: [] }, format), /method/);
});

const cells = suite("cells");

cells("text: a row is a line, whatever a cell holds", () => {
  const lines = nasty("text");
  assert.is(lines.length, NASTY.length + 2);
  lines.slice(2).forEach((line, i) => {
    assert.is(line.split(/ {2,}/)[0].trimEnd(), spelled(i).trimEnd(), line);
    assert.not.match(line, /[\p{Cc}\u2028\u202e]/u);
  });
});

/** What a reader of Markdown shows of a cell: entities and backslashes undone, any other mark an error. */
function shownByMarkdown(cell: string): string {
  assert.not.match(
    cell.replace(/\\./g, ""),
    /[<>|*_`~[\]\\$@]|&(?!(lt|gt|amp|#124);)|:\S|www\./,
    cell,
  );
  const entities: Record<string, string> = { lt: "<", gt: ">", amp: "&", "#124": "|" };
  return cell.replace(
    /\\(.)|&(lt|gt|amp|#124);/gu,
    (_, mark, name) => mark ?? entities[String(name)],
  );
}

cells("Markdown: a cell is neither a tag nor a link nor two cells", () => {
  const lines = nasty("markdown");
  assert.is(lines.length, NASTY.length + 2);
  lines.slice(2).forEach((line, i) => {
    const parts = line.split("|");
    assert.is(parts.length, 4, line);
    for (const part of parts.slice(1, 3)) {
      assert.is(shownByMarkdown(part.slice(1, -1)), spelled(i), line);
    }
  });
});

/** Reads RFC 4180 character by character. */
function readCsv(text: string): string[][] {
  const rows: string[][] = [[""]];
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const row = rows[rows.length - 1];
    const end = row.length - 1;
    if (quoted && text[i] === '"' && text[i + 1] === '"') row[end] += text[i++];
    else if (text[i] === '"') quoted = !quoted;
    else if (!quoted && text[i] === ",") row.push("");
    else if (!quoted && text[i] === "\r" && text[i + 1] === "\n") rows.push([""]) && i++;
    else {
      assert.ok(quoted || !/[\r\n]/.test(text[i]), "a line end without quotes");
      row[end] += text[i];
    }
  }
  assert.not(quoted, "a quote is open at the end");
  return rows;
}

cells(
  "CSV: reads back as it was, formulas behind an apostrophe, control characters spelled",
  () => {
    const rows = readCsv(nasty("csv").join("\n"));
    assert.is(rows.length, NASTY.length + 1);
    rows.slice(1).forEach((row, i) => {
      const [cell] = NASTY[i];
      const formula = /^\s*[=+\-@＝]|^[\t\r]/.test(cell);
      const text = cell.replace("\u001b", "\\u001b").replace("\u0000", "\\u0000");
      const expected = formula ? `'${text}` : text;
      assert.equal(row, [expected, expected]);
    });
  },
);

cells("CSV: numbers with a sign stay numbers", () => {
  const groups = [{ columns: [{ head: "=x", align: "left" } as const] }];
  const numbers = ["-1", "+1.0", "-.5", "+2.", "-1e-3", "+1E+9"];
  const formulas = ["-1a", "+", "-1-1", "+1.0.0", "-e3", "=1"];
  const rows = [...numbers, ...formulas].map((cell) => [cell]);
  assert.equal(printTable({ groups, rows }, "csv").split("\r\n"), [
    "'=x",
    ...numbers,
    ...formulas.map((cell) => `'${cell}`),
  ]);
});

const LATEX: Readonly<Record<string, string>> = {
  "\\textbackslash{}": "\\",
  "\\textasciicircum{}": "^",
  "\\textasciitilde{}": "~",
  "\\textless{}": "<",
  "\\textgreater{}": ">",
  "\\textbar{}": "|",
  "\\textasciigrave{}": "`",
  "\\symbol{34}": '"',
  "$\\pm$": "±",
  "{}": "",
};

/** What LaTeX prints of a cell: known commands undone, any other command or mark an error. */
function shownByLatex(cell: string): string {
  const known = /\\(?:text[a-z]+\{\}|symbol\{34\})|\$\\pm\$|\\[{}$&#_%]|\{\}/g;
  assert.not.match(cell.replace(known, ""), /[\\{}$&#_%^~<>|`"]/, cell);
  return cell.replace(known, (found) => LATEX[found] ?? found.slice(1));
}

cells("LaTeX: a cell is no command, no option and no end of a cell", () => {
  const lines = nasty("latex");
  const body = lines.slice(lines.indexOf("\\midrule") + 1, lines.indexOf("\\bottomrule"));
  assert.is(body.length, NASTY.length);
  body.forEach((line, i) => {
    assert.ok(line.endsWith(" \\\\"), line);
    assert.not.match(line, /^\s*[[*]/);
    const parts = line.slice(0, -3).split(/(?<!\\) ?& /);
    assert.is(parts.length, 2, line);
    for (const part of parts) assert.is(shownByLatex(part), spelled(i), line);
    assert.not.match(line, /--|''|,,/, "a ligature");
  });
});

cells("titles, heads and notes are text as cells are", () => {
  const evil = "x\n<b> | \\input{y} $z$";
  const table: Table = {
    title: evil,
    groups: [{ title: evil, columns: [{ head: evil, align: "left" }] }],
    rows: [],
    notes: [evil],
  };
  for (const format of FORMATS) {
    const text = printTable(table, format);
    if (format === "csv") assert.is(text, `"${evil}: ${evil}"`);
    else assert.not.match(text, /x\n/);
    if (format === "markdown") assert.not.match(text, /<b>/);
    if (format === "latex") assert.not.match(text, /\\input|(?<!\\)\$/);
  }
  const note = (text: string): string =>
    printTable({ groups: [], rows: [], notes: [text] }, "markdown")
      .split("\n")
      .at(-1) ?? "";
  for (const mark of ["- a", "+ a", "# a", "1. a", "12) a", "==="]) {
    assert.is(note(mark), mark.replace(/^\d*/, "$&\\"));
  }
});

for (const one of [shape, cells]) one.run();
