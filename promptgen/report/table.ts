/**
 * A table as a value, and its one printer: aligned text, Markdown, CSV, LaTeX.
 *
 * What stands in a cell, a title or a note is text and nothing else in every format: it cannot end a cell, begin a
 * formula, name a command or become a tag. The printer knows no scores; who makes a table chooses what its cells say.
 */

/** null is a place without a figure: `-` in print, nothing in CSV. */
export type Cell = string | null;

export type Column = {
  readonly head: string;
  readonly align: "left" | "right";
  /** Aligned text cuts what is longer than this many characters. */
  readonly most?: number;
};

/** Columns that stand together; a title spans them. */
export type Group = { readonly title?: string; readonly columns: readonly Column[] };

export type Table = {
  /** `Table 1`; LaTeX numbers tables itself and leaves it out. */
  readonly label?: string;
  readonly title?: string;
  readonly groups: readonly Group[];
  /** Each has as many cells as the groups have columns. */
  readonly rows: readonly (readonly Cell[])[];
  /** Indices of the rows above which a rule stands, in text and LaTeX. */
  readonly rules?: readonly number[];
  /** Sentences below the table; CSV, which is rows and nothing else, has no room for them. */
  readonly notes?: readonly string[];
};

export const FORMATS = ["text", "markdown", "csv", "latex"] as const;
export type Format = (typeof FORMATS)[number];

const PRINTERS: Readonly<Record<Format, (table: Table) => string>> = {
  text: asText,
  markdown: asMarkdown,
  csv: asCsv,
  latex: asLatex,
};

/** The table in a format, without a line end behind the last line. Throws when a row has too few or too many cells. */
export function printTable(table: Table, format: Format = "text"): string {
  const width = columnsOf(table).length;
  table.rows.forEach((row, i) => {
    if (row.length === width) return;
    const title = table.label ?? table.title ?? "the table";
    throw new Error(
      `[report] row ${i + 1} of ${title} has ${row.length} cells for ${width} columns; give each column a cell`,
    );
  });
  return PRINTERS[format](table);
}

/** A table for programs: its columns by their full names, and its cells, null where there is no figure. */
export const tableData = (table: Table) => ({
  ...(titleOf(table) === "" ? {} : { title: titleOf(table) }),
  columns: fullHeads(table),
  rows: table.rows,
  ...(table.notes === undefined ? {} : { notes: table.notes }),
});

/** Several tables, one after the other with an empty line between. */
export function printTables(tables: readonly Table[], format: Format = "text"): string {
  const between = format === "csv" ? "\r\n\r\n" : "\n\n";
  return tables.map((table) => printTable(table, format)).join(between);
}

/**
 * The table in parts that are no wider than `width` characters as text, each with the first group's columns, by which its rows are
 * known; one group alone may be wider. Notes stand below the last.
 */
export function inWidth(table: Table, width: number): Table[] {
  const [key, ...groups] = table.groups;
  const isNarrow = (some: readonly Group[]): boolean => {
    const { title: _, label: __, notes: ___, ...body } = partOf(table, [key, ...some]);
    return asText(body)
      .split("\n")
      .every((line) => lengthOf(line) <= width);
  };
  const parts: Group[][] = [];
  for (const group of groups) {
    const last = parts.at(-1);
    if (last && isNarrow([...last, group])) last.push(group);
    else parts.push([group]);
  }
  if (parts.length < 2) return [table];
  return parts.map((own, i) => {
    const { notes = [], title = "", ...part } = partOf(table, [key, ...own]);
    const some = `${title}, ${i + 1} of ${parts.length}`;
    return { ...part, title: some, ...(i === parts.length - 1 ? { notes } : {}) };
  });
}

/** Some of the groups with their cells. */
function partOf(table: Table, groups: readonly Group[]): Table {
  const own = placed(table).filter((_, g) => groups.includes(table.groups[g]));
  const rows = table.rows.map((row) => own.flatMap(({ from, end }) => row.slice(from, end)));
  return { ...table, groups, rows };
}

const columnsOf = ({ groups }: Table): Column[] => groups.flatMap(({ columns }) => columns);

const isTitled = ({ groups }: Table): boolean => groups.some(({ title = "" }) => title !== "");

/** Groups with the range of their columns. */
function placed({ groups }: Table): { title: string; from: number; end: number }[] {
  return groups.map(({ title = "", columns }, g) => {
    const from = groups.slice(0, g).reduce((sum, before) => sum + before.columns.length, 0);
    return { title, from, end: from + columns.length };
  });
}

const titleOf = ({ label, title }: Table): string =>
  [label, title].filter((part) => part !== undefined).join(": ");

/** Heads for formats in which nothing spans columns: `paper: All`. */
const fullHeads = ({ groups }: Table): string[] =>
  groups.flatMap(({ title = "", columns }) =>
    columns.map(({ head }) => (title === "" ? head : `${title}: ${head}`)),
  );

/**
 * Text that stays in its line: what ends a line, moves the cursor or turns the direction of writing is spelled as in
 * JSON strings.
 */
export function visible(text: string): string {
  const short: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };
  return text.replace(
    /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu,
    (c) => short[c] ?? `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

const isNumber = (text: string): boolean => /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i.test(text);

// Text

const lengthOf = (text: string): number => [...text].length;

function padded(text: string, width: number, align: Column["align"]): string {
  const spaces = " ".repeat(Math.max(0, width - lengthOf(text)));
  return align === "left" ? text + spaces : spaces + text;
}

function cut(text: string, most = Number.POSITIVE_INFINITY): string {
  return lengthOf(text) > most ? `${[...text].slice(0, most - 1).join("")}.` : text;
}

/** Columns under titles stand one space apart, and their groups a bar; without titles two spaces are enough. */
function asText(table: Table): string {
  const titled = isTitled(table);
  const gap = titled ? " " : "  ";
  const columns = columnsOf(table);
  const heads = columns.map(({ head }) => visible(head));
  const rows = table.rows.map((row) =>
    row.map((cell, i) => cut(visible(cell ?? "-"), columns[i].most)),
  );
  const widths = heads.map((head, i) =>
    Math.max(lengthOf(head), ...rows.map((row) => lengthOf(row[i]))),
  );
  const groups = placed(table).map(({ title, from, end }) => {
    const text = visible(title);
    const span = widths
      .slice(from, end)
      .reduce((sum, width) => sum + width, gap.length * (end - from - 1));
    if (end > from) widths[end - 1] += Math.max(0, lengthOf(text) - span);
    return { title: padded(text, span, "left"), from, end };
  });
  const joined = (parts: readonly string[]) => parts.join(titled ? " | " : gap).trimEnd();
  const line = (cells: readonly string[]) => {
    const aligned = cells.map((cell, i) => padded(cell, widths[i], columns[i].align));
    return joined(groups.map(({ from, end }) => aligned.slice(from, end).join(gap)));
  };
  const titles = joined(groups.map(({ title }) => title));
  const top = titled ? [titles, line(heads)] : [line(heads)];
  const body = rows.map(line);
  const rule = "-".repeat(Math.max(...[...top, ...body].map(lengthOf)));
  const ruled = body.flatMap((row, i) => (table.rules?.includes(i) ? [rule, row] : [row]));
  const title = titleOf(table);
  return [
    ...(title === "" ? [] : [visible(title)]),
    ...top,
    rule,
    ...ruled,
    ...(table.notes ?? []).map(visible),
  ].join("\n");
}

// Markdown (that of GitHub)

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  "|": "&#124;",
};

/** Entities for what a renderer may take for a tag or the end of a cell, a backslash before other marks. */
function inMarkdown(text: string): string {
  return visible(text)
    .replace(/[\\`*_[\]~$@]|:(?=\S)/g, "\\$&")
    .replace(/(?<=\bwww)\./gi, "\\.")
    .replace(/[&<>|]/g, (mark) => ENTITIES[mark] ?? mark);
}

/** A paragraph that no first mark turns into a list, a heading or code. */
function paragraph(text: string): string {
  return inMarkdown(text.trim()).replace(/^(\d*)(?=[-+#=.)])/, "$1\\");
}

function asMarkdown(table: Table): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const title = titleOf(table);
  return [
    ...(title === "" ? [] : [`**${paragraph(title)}**`, ""]),
    line(fullHeads(table).map(inMarkdown)),
    line(columnsOf(table).map(({ align }) => (align === "left" ? ":--" : "--:"))),
    ...table.rows.map((row) => line(row.map((cell) => inMarkdown(cell ?? "-")))),
    ...(table.notes ?? []).flatMap((note) => ["", paragraph(note)]),
  ].join("\n");
}

// CSV (RFC 4180)

/**
 * An apostrophe keeps a spreadsheet from computing what begins like a formula, in narrow or in wide letters. What a terminal would
 * obey is spelled; tabs and line ends stay, in quotes.
 */
function inCsv(cell: Cell): string {
  const text = (cell ?? "").replace(/[^\P{Cc}\t\r\n]/gu, visible);
  const safe = /^(?:\s*[=+\-@＝＋－＠]|[\t\r\n])/.test(text) && !isNumber(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** One line of heads, then the rows: a file that a program reads without knowing the table. */
function asCsv(table: Table): string {
  return [fullHeads(table), ...table.rows].map((row) => row.map(inCsv).join(",")).join("\r\n");
}

// LaTeX (booktabs)

const COMMANDS: Readonly<Record<string, string>> = {
  "\\": "\\textbackslash{}",
  "^": "\\textasciicircum{}",
  "~": "\\textasciitilde{}",
  "<": "\\textless{}",
  ">": "\\textgreater{}",
  "|": "\\textbar{}",
  "`": "\\textasciigrave{}",
  '"': "\\symbol{34}",
  "±": "$\\pm$",
};

/** Every character prints itself: no commands, and no ligatures that would join two of a kind. */
function inLatex(text: string): string {
  return visible(text)
    .replace(/([-',])(?=\1)/g, "$1\0")
    .replace(/[\\{}$&#_%^~<>|`"±\0]/g, (mark) =>
      mark === "\0" ? "{}" : (COMMANDS[mark] ?? `\\${mark}`),
    );
}

const cellInLatex = (cell: Cell): string =>
  cell === null ? "--" : /^[+-]/.test(cell) && isNumber(cell) ? `$${cell}$` : inLatex(cell);

/** A row; `{}` keeps `\\` and `\midrule` of the line before from taking what it begins with for their option. */
function rowInLatex(cells: readonly string[]): string {
  const text = cells.join(" & ");
  return `${/^\s*[[*]/.test(text) ? "{}" : ""}${text} \\\\`;
}

function asLatex(table: Table): string {
  const columns = columnsOf(table);
  const groups = placed(table);
  const spans = groups.map(
    ({ title, from, end }) => `\\multicolumn{${end - from}}{c}{${inLatex(title)}}`,
  );
  const lines = groups
    .filter(({ title }) => title !== "")
    .map(({ from, end }) => `\\cmidrule(lr){${from + 1}-${end}}`);
  const titles = isTitled(table) ? [rowInLatex(spans), lines.join(" ")] : [];
  const body = table.rows.flatMap((row, i) => [
    ...(table.rules?.includes(i) ? ["\\midrule"] : []),
    rowInLatex(row.map(cellInLatex)),
  ]);
  return [
    "\\begin{table}",
    "\\centering",
    ...(table.title === undefined ? [] : [`\\caption{${inLatex(table.title)}}`]),
    `\\begin{tabular}{${columns.map(({ align }) => align[0]).join("")}}`,
    "\\toprule",
    ...titles,
    rowInLatex(columns.map(({ head }) => inLatex(head))),
    "\\midrule",
    ...body,
    "\\bottomrule",
    "\\end{tabular}",
    ...(table.notes ?? []).flatMap((note) => ["", `\\smallskip\\footnotesize ${inLatex(note)}`]),
    "\\end{table}",
  ].join("\n");
}
