/**
 * The page of a study: everything in one file, which opens from a disk and asks nobody for anything. What it shows are tables,
 * drawings of what the runs wrote, and a browser of facts, the one part that needs a program.
 */
import type { JsonObject } from "../../../models/training/run-folder.ts";
import { inTableOrder, type RelationRow } from "../relations.ts";
import type { RunExtended, RunStopped, Versions } from "../results.ts";
import { type Row, titleOf } from "../rows.ts";
import { AUDIT_TITLE } from "../rows-tables.ts";
import type { Cell, Table } from "../table.ts";
import { devCurves, glance, relationDots, rowCurves } from "./charts.ts";
import { client } from "./client.ts";
import { curveOf, panelsOf, placesFor, type Written } from "./curves.ts";
import { htmlDocument } from "./document.ts";
import { compressed, MOST_FACTS, packed, type ShownRun } from "./facts.ts";
import { type Child, captionOf, element, type Html, htmlTable, slug } from "./html.ts";

/** What a run wrote beside its facts. */
export type PageRun = {
  /** Name of its folder. */
  readonly folder: string;
  readonly seed: number;
  readonly options: JsonObject;
  /** Fingerprints of what was read, by the option that names it. */
  readonly contents: Readonly<Record<string, string>>;
  /** What it does where its source is silent. */
  readonly choices: JsonObject;
  /** What its trainings wrote: one, or one for each relation. */
  readonly trainings: readonly Written[];
  /** Accuracy on the dev facts of what was kept; undefined where nothing was chosen. */
  readonly dev: number | undefined;
  readonly cost: RunCost;
  /** What it ran on; undefined where that is not known. */
  readonly device: string | undefined;
  /** The same of all its processes, where they say. */
  readonly versions: readonly Versions[];
  readonly extended: readonly RunExtended[];
  readonly stopped: RunStopped | undefined;
  readonly distinctPrompts: number | null;
  /** Sentences about it. */
  readonly warnings: readonly string[];
};

/** What a run took; undefined where it does not say. */
export type RunCost = {
  readonly training: number | undefined;
  readonly evaluating: number | undefined;
  /** Bytes of the process at most. */
  readonly resident: number | undefined;
  /** Bytes on the device at most. */
  readonly device: number | undefined;
  /** How many numbers gradients changed. */
  readonly trained: number | undefined;
};

/** A row with what its runs wrote, in the order of the row's runs. */
export type PageRow = { readonly row: Row; readonly runs: readonly PageRun[] };

export type StudyPage = {
  readonly name: string;
  readonly relations: readonly RelationRow[];
  readonly tables: readonly Table[];
  readonly rows: readonly PageRow[];
  /** What made the page and makes the study again, by name. */
  readonly made: readonly (readonly [name: string, value: string])[];
};

/** The whole page. The same study gives the same page. */
export function studyPage(study: StudyPage): string {
  const { name, rows, relations } = study;
  const runs = rows.reduce((sum, own) => sum + own.runs.length, 0);
  const facts = relations.reduce((sum, relation) => sum + relation.facts, 0);
  const script = `(${client})();`;
  const parts = sections({ ...study, relations: inTableOrder(relations) });
  const links = parts.map(({ id, title }) =>
    element("li", {}, element("a", { href: `#${id}` }, title)),
  );
  const body = [
    element("a", { class: "skip", href: "#main" }, "To the results"),
    element(
      "header",
      { class: "top" },
      element("h1", {}, name),
      element(
        "p",
        { class: "lead" },
        `${count(rows.length, "way")} of asking a frozen language model for facts: ${count(runs, "run")}, ` +
          `${count(relations.length, "relation")}, ${facts.toLocaleString("en")} test facts.`,
      ),
    ),
    element(
      "nav",
      { "aria-label": "Parts of the page" },
      element(
        "div",
        {},
        element("ul", {}, links),
        element("button", { id: "theme", type: "button", hidden: true }, "Dark"),
      ),
    ),
    element(
      "main",
      { id: "main", tabindex: -1 },
      parts.map(({ id, title, content }) =>
        element(
          "section",
          { id, "aria-labelledby": `${id}-title` },
          element("h2", { id: `${id}-title` }, title),
          content,
        ),
      ),
    ),
    element(
      "footer",
      {},
      `${study.made.map(([key, value]) => `${key} ${value}`).join(" \u00b7 ")}`,
    ),
    // JSON in base64 holds no mark that could end an element
    { html: `<script type="text/plain" id="facts-data">${factsOf(study)}</script>` },
  ];
  return htmlDocument({ title: `${name}: a study of prompts`, body, script });
}

const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? "" : "s"}`;

const factsOf = ({ relations, rows }: StudyPage): string =>
  compressed(packed(inTableOrder(relations), rows.map(shownRun)));

/** Of a row the run that was best on the dev facts, the first where several were or none says. */
export function shownRun({ row, runs }: PageRow): ShownRun {
  const scores = runs.map(({ dev }) => dev ?? Number.NEGATIVE_INFINITY);
  const best = scores.indexOf(Math.max(...scores));
  return { title: titleOf(row), seed: runs[best].seed, facts: row.runs[best].facts };
}

type Section = { readonly id: string; readonly title: string; readonly content: Child };

function sections(study: StudyPage): Section[] {
  const { relations, rows, tables } = study;
  const own = rows.map(({ row }) => row);
  const [audit, others] = [true, false].map((is) =>
    tables.filter(({ title }) => (title ?? "").startsWith(AUDIT_TITLE) === is),
  );
  return [
    {
      id: "results",
      title: "Results",
      content: [glance(relations, own), ...others.map((table) => htmlTable(table, idOf(table)))],
    },
    {
      id: "relations",
      title: "Relations",
      content: [
        element(
          "p",
          {},
          "Accuracy on the test facts of each relation (%). The figures stand in Table 4.",
        ),
        relationDots(relations, own),
      ],
    },
    ...(audit.length === 0
      ? []
      : [
          {
            id: "audit",
            title: "Leak audit",
            content: [
              element(
                "p",
                {},
                "A prompt that holds the answer is right whatever stands for the subject. Each prompt was asked again with something " +
                  "else in the subject\u2019s place; only what is right with the own subject and with nothing else is earned by it.",
              ),
              ...audit.map((table) => htmlTable(table, idOf(table))),
            ],
          },
        ]),
    { id: "curves", title: "Learning curves", content: curves(rows) },
    { id: "facts", title: "Facts", content: factsBrowser(study) },
    { id: "cost", title: "Cost", content: htmlTable(costTable(rows), "cost-table") },
    { id: "repeat", title: "To repeat it", content: repeat(study) },
  ];
}

const idOf = (table: Table): string => `table-${slug(captionOf(table))}`;

function curves(rows: readonly PageRow[]): Child {
  const written = rows.flatMap(({ runs }) => runs.map(({ trainings }) => trainings));
  const places = placesFor(written);
  const all = rows.map(({ row, runs }) => ({
    title: titleOf(row),
    curves: runs.map(({ trainings }) => curveOf(trainings, places)),
    isJoined: runs.some(({ trainings }) => trainings.length > 1),
  }));
  const isThinned = written.flat().some(({ steps }) => (steps?.steps ?? 0) > places);
  const [drawn, silent] = [true, false].map((is) =>
    all.filter((one) => panelsOf(one.curves).length > 0 === is),
  );
  const lacking =
    silent.length === 0
      ? ""
      : element(
          "p",
          {},
          `No curve, for nothing is logged while they run: ${silent.map(({ title }) => title).join(", ")}.`,
        );
  if (drawn.length === 0) return lacking;
  return [
    devCurves(drawn),
    lacking,
    isThinned
      ? element(
          "p",
          { class: "fine" },
          `What each step was has ${places} places a curve here, each the mean over an equal stretch of the training; all steps stand in steps.bin of each run.`,
        )
      : "",
    ...drawn.map((one) =>
      element(
        "details",
        { class: "more", open: drawn.length === 1 ? true : undefined },
        element("summary", {}, one.title),
        one.isJoined
          ? element(
              "p",
              { class: "fine" },
              "Relations are trained one after the other: means over them, by step.",
            )
          : element("p", { class: "fine" }, "By step; a line a run."),
        rowCurves(one),
      ),
    ),
  ];
}

function factsBrowser({ relations, rows }: StudyPage): Child {
  const all = relations.reduce((sum, { facts }) => sum + facts, 0);
  const select = (
    id: string,
    label: string,
    options: readonly (readonly [string, string])[],
  ): Html =>
    element(
      "label",
      {},
      label,
      element(
        "select",
        { id: `facts-${id}` },
        options.map(([value, text]) => element("option", { value }, text)),
      ),
    );
  const sample =
    all > MOST_FACTS
      ? ` ${MOST_FACTS.toLocaleString("en")} of ${all.toLocaleString("en")} facts are here, of each relation its share, drawn by seed 1; all stand in facts.jsonl of each run.`
      : "";
  return [
    element(
      "p",
      {},
      `Every row\u2019s prompt and answers, fact by fact. Of a row the seed is shown that was best on the dev facts.${sample}`,
    ),
    element(
      "ul",
      { class: "legend" },
      [
        ["right", "\u2713", "right"],
        ["leak", "\u25d0", "right, but with something else for the subject too"],
        ["wrong", "\u2715", "wrong"],
      ].map(([kind, mark, text]) =>
        element(
          "li",
          {},
          element("span", { class: `mark ${kind}`, "aria-hidden": "true" }, mark),
          text,
        ),
      ),
    ),
    element(
      "form",
      { id: "facts-form", hidden: true, "aria-label": "Which facts are shown" },
      select("relation", "Relation", [
        ["", "all"],
        ...relations.map(({ id, label }, i) => [String(i), `${id} ${label}`] as const),
      ]),
      select("row", "Row", [
        ["", "all"],
        ...rows.map(({ row }, i) => [String(i), titleOf(row)] as const),
      ]),
      select("outcome", "Answer", [
        ["", "right or wrong"],
        ["right", "right"],
        ["leak", "right with a filler too"],
        ["wrong", "wrong"],
      ]),
      element(
        "label",
        {},
        "Subject or object",
        element("input", { id: "facts-search", type: "search", autocomplete: "off" }),
      ),
    ),
    element(
      "p",
      { id: "facts-status", role: "status", tabindex: -1 },
      "The facts are unpacked by a program; it does not run here. They stand in facts.csv of each run.",
    ),
    element("ul", { id: "facts-list" }),
    element(
      "div",
      { id: "facts-pages", hidden: true },
      element("button", { id: "facts-before", type: "button" }, "Previous"),
      element("button", { id: "facts-after", type: "button" }, "Next"),
    ),
  ];
}

// Cost

const seconds = (value: number): string =>
  value < 99.5
    ? `${value.toFixed(1)} s`
    : value < 5940
      ? `${(value / 60).toFixed(1)} min`
      : `${(value / 3600).toFixed(1)} h`;

const mebibytes = (value: number): string =>
  `${Math.round(value / 2 ** 20).toLocaleString("en")} MiB`;

function costTable(rows: readonly PageRow[]): Table {
  const right = (head: string) => ({ head, align: "right" }) as const;
  const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  const most = (values: readonly number[]) => Math.max(...values);
  return {
    title: "what a run of each row took",
    groups: [
      { columns: [{ head: "row", align: "left" }] },
      {
        columns: [
          ...["runs", "training", "asking dev facts", "memory of the process", "of the device"],
          ...["parameters trained", "distinct prompts"],
        ].map(right),
      },
    ],
    rows: rows.map(({ row, runs }): Cell[] => {
      const cell = (
        of: (run: PageRun) => number | null | undefined,
        over: (values: readonly number[]) => number,
        print: (value: number) => string,
      ): Cell => {
        const values = runs.flatMap((run) => of(run) ?? []);
        return values.length === 0 ? null : print(over(values));
      };
      const whole = (value: number) => Math.round(value).toLocaleString("en");
      return [
        titleOf(row),
        String(runs.length),
        cell(({ cost }) => cost.training, mean, seconds),
        cell(({ cost }) => cost.evaluating, mean, seconds),
        cell(({ cost }) => cost.resident, most, mebibytes),
        cell(({ cost }) => cost.device, most, mebibytes),
        cell(({ cost }) => cost.trained, most, whole),
        cell(({ distinctPrompts }) => distinctPrompts, mean, whole),
      ];
    }),
    notes: [
      "Times and prompts: means over the runs; memory and parameters: the most of a run. A dash: the run does not say.",
      "Memory of the device is part of that of the process where the device is the CPU. Parameters: numbers that gradients changed, over all relations.",
    ],
  };
}

// To repeat it

const shown = (value: unknown): string =>
  typeof value === "string" ? value || "all" : JSON.stringify(value);

function repeat({ rows, made }: StudyPage): Child {
  const runs = rows.flatMap((own) => own.runs);
  const devices = [...new Set(runs.flatMap(({ device }) => device ?? []))];
  const ranOn = [
    ...new Set(
      runs.flatMap(({ versions }) =>
        versions.map(
          ({ project, node, v8, platform, build, webgpu }) =>
            `promptgen ${project}, Node ${node} (V8 ${v8}), ${platform}, ${build}` +
            (webgpu === undefined ? "" : `, webgpu ${webgpu}`),
        ),
      ),
    ),
  ];
  const seeds = [...new Set(runs.map(({ seed }) => seed))].sort((a, b) => a - b);
  const list = (pairs: readonly (readonly [string, string])[]): Html =>
    element(
      "dl",
      {},
      pairs.map(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]),
    );
  const read = new Map(
    runs.flatMap(({ options, contents }) =>
      Object.entries(contents).map(([name, fingerprint]) => {
        const cells = [name, shown(options[name] ?? ""), fingerprint];
        return [JSON.stringify(cells), cells] as const;
      }),
    ),
  );
  const left = (head: string) => ({ head, align: "left" }) as const;
  const contents: Table = {
    title: "what was read, with fingerprints of its contents",
    groups: [{ columns: ["what", "given as", "fingerprint"].map(left) }],
    rows: [...read.values()],
  };
  return [
    list([
      ...made,
      ["Devices", devices.join("; ") || "not known"],
      ...(ranOn.length === 0 ? [] : [["Runs made by", ranOn.join("; ")] as const]),
      ["Seeds", seeds.join(", ")],
    ]),
    htmlTable(contents, "table-contents"),
    element("h3", {}, "Options, and choices where the source is silent"),
    ...rows.map((own) => rowDetails(own, list)),
  ];
}

/** A run's folder, and what its training was beside its options. */
function storyOf({ folder, extended, stopped, versions }: PageRun): string {
  const parts = [
    folder,
    ...extended.map(({ epochs, step }) => `extended from ${epochs} epochs at step ${step}`),
    ...(stopped ? [`ended by patience at step ${stopped.step} of ${stopped.steps}`] : []),
    ...(versions.length > 1 ? ["went on with another device or version"] : []),
  ];
  return parts.join("; ");
}

function rowDetails(
  { row, runs }: PageRow,
  list: (pairs: readonly (readonly [string, string])[]) => Html,
): Html {
  const [{ options, choices }] = runs;
  const given = Object.entries(options).filter(([name]) => name !== "seed");
  const warnings = runs.flatMap((run) => run.warnings.map((what) => `${run.folder}: ${what}`));
  return element(
    "details",
    { class: "more" },
    element("summary", {}, titleOf(row)),
    element("h4", {}, "Runs"),
    list(runs.map((run) => [`seed ${run.seed}`, storyOf(run)] as const)),
    element("h4", {}, "Options"),
    list(given.map(([name, value]) => [name, shown(value)] as const)),
    element("h4", {}, "Choices"),
    list(Object.entries(choices).map(([name, value]) => [name, shown(value)] as const)),
    warnings.length === 0
      ? ""
      : [element("h4", {}, "Warnings"), warnings.map((what) => element("p", {}, what))],
  );
}
