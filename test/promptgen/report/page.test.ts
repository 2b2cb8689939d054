/** The page of a study, as a parser of HTML reads it. */
import { createHash } from "node:crypto";
import { inflateRawSync } from "node:zlib";
import { parseHTML } from "linkedom";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { factTable } from "../../../promptgen/report/fact-rows.ts";
import { curveOf, panelsOf, placesFor } from "../../../promptgen/report/page/curves.ts";
import {
  type PackedFacts,
  packed,
  sampled,
  sharesOf,
} from "../../../promptgen/report/page/facts.ts";
import { element, htmlTable } from "../../../promptgen/report/page/html.ts";
import { shownRun, studyPage } from "../../../promptgen/report/page/page.ts";
import { rowsPicture } from "../../../promptgen/report/page/picture.ts";
import { titleOf } from "../../../promptgen/report/rows.ts";
import { FORMATS, printTables, type Table } from "../../../promptgen/report/table.ts";
import { HOSTILE, studyOf } from "./page-study.ts";

const test = suite("page");

const plain = studyOf({ rows: 4, seeds: 2, relations: 3, facts: 8 });
const hostile = studyOf({ rows: 10, seeds: 1, relations: 10, facts: 10, texts: HOSTILE });
const pages = { plain: studyPage(plain), hostile: studyPage(hostile) };

const parsed = (page: string): Document => parseHTML(page).document as unknown as Document;
const all = (document: Document, what: string): Element[] => [...document.querySelectorAll(what)];
const textOf = (node: Element | null): string => node?.textContent ?? "";

/** As the tables spell what cannot be seen. */
const spelled = (text: string): string =>
  text
    .replaceAll("\n", "\\n")
    .replaceAll("\r", "\\r")
    .replaceAll("\t", "\\t")
    .replace(
      /[\0\u2028\u202c\u202e]/g,
      (c) => `\\u${`000${c.charCodeAt(0).toString(16)}`.slice(-4)}`,
    );

/** Names of a text's elements, one after the other; throws where it is no well-formed XML without comments. */
function elementsOf(xml: string): string[] {
  const open: string[] = [];
  const names: string[] = [];
  const attributes = String.raw`(?: [\w:-]+="[^"<&]*(?:&(?:amp|lt|gt|quot|#39|#160);[^"<&]*)*")*`;
  const tag = new RegExp(`<(?:/([\\w-]+)|([\\w-]+)${attributes} ?(/?))>`, "y");
  const text = /(?:[^<&]|&(?:amp|lt|gt|quot|#39|#160);)*/y;
  for (let at = 0; at < xml.length; ) {
    text.lastIndex = at;
    at += text.exec(xml)?.[0].length ?? 0;
    if (at === xml.length) break;
    tag.lastIndex = at;
    const found = tag.exec(xml);
    if (!found) throw new Error(`no XML: ${xml.slice(at, at + 120)}`);
    at += found[0].length;
    const [, end, begin, isEmpty] = found;
    if (begin !== undefined) names.push(begin);
    if (begin !== undefined && !isEmpty) open.push(begin);
    if (end !== undefined) assert.is(open.pop(), end);
  }
  assert.equal(open, []);
  return names;
}

test("the picture of the rows is XML of its own, with a mark for each figure, whatever the rows are called", () => {
  for (const study of [plain, hostile]) {
    const own = study.rows.map(({ row }) => row);
    const picture = rowsPicture(`${HOSTILE[0]}`, study.relations, own);
    const names = elementsOf(picture.trim());
    const runs = own.reduce((sum, { runs: all }) => sum + all.length, 0);
    // a run, a mean and a ring for each row, and three of the legend
    assert.is(names.filter((name) => name === "circle").length, runs + 2 * own.length + 3);
    assert.equal(
      names.filter((name) =>
        ["img", "script", "image", "foreignObject", "a", "use"].includes(name),
      ),
      [],
    );
    assert.is(picture.includes("http"), true, "the name space");
    assert.is(picture.split("http").length, 2 + picture.split("xmlns=").length - 2);
    const [light, dark] = picture.split("@media (prefers-color-scheme: dark)");
    for (const name of new Set(picture.match(/(?<=var\()--[\w-]+/g))) {
      for (const part of [light, dark]) assert.match(part, new RegExp(`${name}: #`), name);
    }
    const texts = all(parsed(`<body>${picture}</body>`), "svg svg text").map(textOf);
    for (const row of own) {
      const start = spelled(titleOf(row)).slice(0, 12);
      assert.ok(
        texts.some((text) => text.startsWith(start)),
        start,
      );
    }
  }
});

test("has every table with every cell, below its title and above its notes", () => {
  for (const [study, page] of [
    [plain, pages.plain],
    [hostile, pages.hostile],
  ] as const) {
    const figures = all(parsed(page), "figure.table");
    for (const table of study.tables) {
      const title = [table.label, table.title].filter((part) => part !== undefined).join(": ");
      const figure = figures.find(
        (one) => textOf(one.querySelector("figcaption")).toLowerCase() === title.toLowerCase(),
      );
      if (!figure) throw new Error(`there is no ${title}`);
      const rows = all(figure as unknown as Document, "tbody tr").map((row) =>
        [...row.children].map(textOf),
      );
      const wanted = table.rows.map((row) => row.map((cell) => spelled(cell ?? "\u2013")));
      assert.equal(rows, wanted, title);
      const notes = all(figure as unknown as Document, ".notes p").map(textOf);
      assert.equal(notes, (table.notes ?? []).map(spelled), title);
    }
  }
});

test("an element's attributes, texts and a table's empty places are what was given", () => {
  for (const text of HOSTILE) {
    const { html } = element("p", { title: text, hidden: true, lang: undefined }, text, [text]);
    const [one, ...more] = all(parsed(`<!doctype html><body>${html}</body>`), "body *");
    assert.equal(more, []);
    assert.equal([...one.attributes].map(({ name }) => name).sort(), ["hidden", "title"]);
    assert.is(one.getAttribute("title"), spelled(text));
    assert.is(textOf(one), spelled(text) + spelled(text));
  }
  const table: Table = {
    title: "small",
    groups: [
      { columns: [{ head: "row", align: "left" }] },
      {
        title: "both",
        columns: [
          { head: "a", align: "right" },
          { head: "", align: "right" },
        ],
      },
    ],
    rows: [["first", null, ""]],
  };
  const { html } = htmlTable(table, "small");
  const document = parsed(`<!doctype html><body>${html}</body>`);
  assert.is(textOf(document.querySelector("figcaption")), "Small");
  assert.equal(all(document, "tbody tr > *").map(textOf), ["first", "\u2013", ""]);
  assert.equal(
    all(document, "thead tr > *").map((one) => [
      one.localName,
      one.getAttribute("colspan"),
      textOf(one),
    ]),
    [
      ["td", "1", ""],
      ["th", "2", "both"],
      ["th", null, "row"],
      ["th", null, "a"],
      ["td", null, ""],
    ],
  );
});

test("has all its parts", () => {
  const document = parsed(pages.plain);
  assert.equal(all(document, "nav a").map(textOf), all(document, "h2").map(textOf));
  for (const link of all(document, "nav a")) {
    const id = link.getAttribute("href")?.slice(1) ?? "";
    assert.ok(document.getElementById(id), id);
  }
  const ids = all(document, "[id]").map((one) => one.id);
  assert.equal(new Set(ids).size, ids.length, "an id stands once");
  assert.is(all(document, "#relations .panel svg").length, plain.rows.length);
  // 3 relations, a dot each, in each panel
  assert.is(all(document, "#relations circle").length, 3 * plain.rows.length);
  const curves = all(document, "#curves details");
  assert.equal(
    curves.map((one) => textOf(one.querySelector("summary"))),
    ["method 1", "method 2", "method 3"],
  );
  const titles = all(curves[0] as unknown as Document, "figcaption")
    .map(textOf)
    .join("; ");
  for (const what of ["dev facts", "None", "loss terms", "object", "top probability", "entropy"]) {
    assert.ok(titles.includes(what), `${what} in ${titles}`);
  }
  for (const what of [
    "distinct prompts",
    "learning rate",
    "norm of the gradient",
    "facts a second",
  ]) {
    assert.ok(titles.includes(what), `${what} in ${titles}`);
  }
  const rate = all(curves[0] as unknown as Document, "figure").find((one) =>
    textOf(one).startsWith("learning rate"),
  );
  assert.match(textOf(rate ?? null), /4e-5/, "small numbers have room beside their axis");
  assert.match(
    textOf(document.querySelector("#curves")),
    /has 120 places a curve here, each the mean over an equal stretch/,
  );
  assert.match(textOf(document.querySelector("#audit")), /still right \(%\)/);
  const cost = textOf(document.querySelector("#cost"));
  for (const what of ["2.5 min", "512 MiB", "2,000", "5.0 s"]) assert.ok(cost.includes(what), what);
  const repeat = textOf(document.querySelector("#repeat"));
  for (const what of [
    ...["0123456789abcdef", "CPU with threads 2", "choice 3", "epochs", "1, 2"],
    "promptgen 0.0.1, Node v24.0.0 (V8 13.6), linux x64, CPU, SIMD 1",
    "folder-2-seed1 2; extended from 2 epochs at step 40; ended by patience at step 70 of 90",
  ]) {
    assert.ok(repeat.includes(what), what);
  }
});

test("a study of one row, one run and one fact has its page", () => {
  const small = studyOf({ rows: 1, seeds: 1, relations: 1, facts: 1 });
  const [own] = small.rows;
  const facts = own.row.runs[0].facts.map((fact) => ({ ...fact, fillers: {}, top: [] }));
  const bare = {
    ...small,
    tables: [],
    rows: [{ ...own, row: { ...own.row, runs: [{ facts }] } }],
  };
  const document = parsed(studyPage(bare));
  assert.is(all(document, "#audit").length, 0, "nothing was asked with a filler");
  assert.match(textOf(document.querySelector("#curves")), /No curve.*: method 0/);
  assert.not.match(document.querySelector("main")?.innerHTML ?? "NaN", /NaN|undefined|Infinity/);
});

test("asks nobody for anything, and runs its own program alone", () => {
  for (const page of Object.values(pages)) {
    const document = parsed(page);
    const policy = document
      .querySelector("meta[http-equiv='Content-Security-Policy']")
      ?.getAttribute("content");
    const sum = (text: string) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
    const [data, script, ...more] = all(document, "script");
    assert.equal(more, []);
    assert.is(data.getAttribute("type"), "text/plain");
    assert.equal(policy?.split("; "), [
      "default-src 'none'",
      `script-src ${sum(textOf(script))}`,
      `style-src ${sum(textOf(document.querySelector("style")))}`,
      "img-src data:",
      "base-uri 'none'",
      "form-action 'none'",
      "require-trusted-types-for 'script'",
    ]);
    for (const one of all(document, "*")) {
      for (const { name, value } of one.attributes) {
        assert.not.match(name, /^on|^style$|^src/, one.outerHTML.slice(0, 99));
        if (name === "href") assert.match(value, /^(#[\w-]+|data:,)$/);
      }
      assert.not.match(one.localName, /^(img|iframe|object|embed|base|a:.*)$/);
    }
    assert.is(all(document, "style").length, 1);
    assert.is(all(document, "title").length, 1);
  }
});

test("hostile texts are text, in the page and in every format of the tables", () => {
  const text = textOf(parsed(pages.hostile).body);
  for (const own of HOSTILE) assert.ok(text.includes(spelled(own)), own);
  const labels = all(parsed(pages.hostile), "svg").map((svg) => svg.getAttribute("aria-label"));
  assert.ok(labels.some((label) => label?.includes("<img src=x onerror=alert(1)>")));
  const facts = hostile.rows[0].row.runs[0].facts;
  // each fact's subject stands at the beginning of a cell, where a formula would
  const begins = facts.map((fact) => ({
    ...fact,
    subject: fact.subject.replace(/^\D*\d+ \w* ?\d* /, ""),
  }));
  const tables = [...hostile.tables, factTable(begins), factTable(facts)];
  const printed = Object.fromEntries(FORMATS.map((one) => [one, printTables(tables, one)]));
  assert.not.match(printed.markdown, /<|(?<!\\)`/);
  assert.not.match(printed.latex, /\\input|\\u(?!r)|(?<!\\)[$&](?!\\pm|\$| |[+-])/);
  assert.match(printed.latex, /\\textbackslash\{\}input\\\{x\\\}/);
  assert.match(printed.csv, /'=1\+1/);
  assert.not.match(printed.csv, /(^|,)"?[=@]/m);
  assert.not.match(printed.text, /[\0\t\u202e\u2028]/);
});

const unpacked = (page: string): PackedFacts =>
  JSON.parse(
    inflateRawSync(
      Buffer.from(textOf(parsed(page).querySelector("#facts-data")), "base64"),
    ).toString(),
  );

test("holds what each row's best run answered", () => {
  const { rows, texts, relations, facts } = unpacked(pages.plain);
  assert.is(facts.length, 24);
  plain.rows.forEach(({ row, runs }, r) => {
    // seed 2 is best on the dev facts, and the first where nothing is chosen
    const best = runs[0].dev === undefined ? 0 : 1;
    assert.equal(rows[r], { title: row.name, seed: best + 1 });
    const own = row.runs[best].facts;
    for (const [relation, subject, object, answers] of facts) {
      const answer = answers[r];
      const fact = own.find(
        (one) =>
          one.relation === relations[relation][0] &&
          one.subject === texts[subject] &&
          one.object === texts[object],
      );
      if (!fact || !answer) throw new Error(`${texts[subject]} was not asked`);
      const [prompt, outcome, rank, logP, top] = answer;
      assert.is(texts[prompt], fact.prompt);
      const leaks = Object.values(fact.fillers).some(({ right }) => right);
      assert.is(outcome, fact.own.right ? (leaks ? 1 : 2) : 0);
      assert.is(rank, fact.own.rank);
      assert.ok(Math.abs(logP - fact.own.logP) <= 0.005001);
      const words = top.filter((_, i) => i % 2 === 0).map((place) => texts[place]);
      assert.equal(
        words,
        fact.top.map(([word]) => word),
      );
    }
  });
});

test("the best on dev is shown, and a run that lacks a fact says so", () => {
  const [, { row, runs }] = plain.rows;
  const with9 = runs.map((run, i) => ({ ...run, dev: i === 0 ? 9 : 8 }));
  assert.is(shownRun({ row, runs: with9 }).seed, 1);
  const shown = plain.rows.map(shownRun);
  const lacking = { ...shown[1], facts: shown[1].facts.slice(1) };
  const { facts } = packed(plain.relations, [shown[0], lacking]);
  assert.is(facts.length, 24);
  assert.is(facts.filter(([, , , answers]) => answers[1] === null).length, 1);
});

test("the sample has of each relation its share, by a seed", () => {
  for (const [sizes, most] of [
    [[5, 5], 10],
    [[100, 100, 100], 100],
    [[1000, 10, 1, 0], 50],
    [[3, 3, 3], 2],
    [Array.from({ length: 41 }, (_, i) => 225 + 19 * i), 2000],
  ] as const) {
    const shares = sharesOf(sizes, most);
    const total = sizes.reduce((sum, size) => sum + size, 0);
    assert.is(
      shares.reduce((sum, share) => sum + share, 0),
      Math.min(most, total),
    );
    shares.forEach((share, i) => {
      assert.ok(share <= sizes[i]);
      assert.ok(Math.abs(share - sizes[i] * Math.min(1, most / total)) < 2, `${sizes}: ${shares}`);
      if (most > 2 * sizes.length && sizes[i] > 0) assert.ok(share >= 1, `${sizes}: ${shares}`);
    });
  }
  assert.equal(sharesOf([26, 37, 37], 10), [2, 4, 4], "by largest remainders");
  assert.equal(sharesOf([60, 25, 15], 10), [6, 3, 1], "the first of equal remainders");
  const runs = plain.rows.map(shownRun);
  const [few, again] = [9, 9].map((most) => sampled(plain.relations, runs, most));
  assert.equal(few, again);
  assert.equal(
    [...Map.groupBy(few, ({ relation }) => relation).values()].map(({ length }) => length),
    [3, 3, 3],
  );
  const first = plain.relations.flatMap(({ id }) =>
    runs[0].facts.filter(({ relation }) => relation === id).slice(0, 3),
  );
  assert.not.equal(
    few.map(({ subject }) => subject),
    first.map(({ subject }) => subject),
  );
});

test("curves of relations are their means, evaluation by evaluation", () => {
  const [a, b] = [
    [
      { step: 0, object: null, devAccuracy: 10, best: true },
      { step: 4, object: 2, devAccuracy: 30, best: false },
    ],
    [
      { step: 0, object: null, devAccuracy: 20, best: true },
      { step: 6, object: 4, devAccuracy: 50, best: true },
      { step: 10, object: 1, devAccuracy: 60, best: true },
    ],
  ];
  const curve = curveOf([{ log: a }, { log: b }]);
  assert.equal(
    curve.map(({ step, share, values }) => [step, share, Object.fromEntries(values)]),
    [
      [0, 0, { devAccuracy: 15 }],
      [5, 0.5, { devAccuracy: 40, object: 3 }],
      [10, 1, { devAccuracy: 60, object: 1 }],
    ],
  );
  assert.equal(
    panelsOf([curve]).map(({ title }) => title),
    ["dev facts, % right", "loss terms"],
  );
  assert.equal(panelsOf([curveOf([{ log: [{ step: 3, devAccuracy: 1 }] }])]), []);
  assert.equal(curveOf([]), []);
});

test("what each step was is drawn in its place, thinned to means over equal stretches", () => {
  const log = [
    { step: 0, loss: null, dev: 1 },
    { step: 8, loss: 99, dev: 2 }, // the mean over the steps, which they tell better
  ];
  const table = (columns: readonly string[], records: readonly (readonly number[])[]) => ({
    columns,
    steps: records.length,
    values: Float32Array.from(records.flat()),
  });
  const eight = table(
    ["loss", "norm"],
    [1, 3, 5, 7, 2, 4, 6, 8].map((loss, i) => [loss, i < 2 ? Number.NaN : 10 * i]),
  );
  const plainly = (curve: ReturnType<typeof curveOf>) =>
    curve.map(({ step, share, values }) => [step, share, Object.fromEntries(values)]);
  assert.equal(plainly(curveOf([{ log, steps: eight }], 4)), [
    [0, 0, { dev: 1 }],
    [1.5, 1.5 / 8, { loss: 2 }],
    [3.5, 3.5 / 8, { loss: 6, norm: 25 }],
    [5.5, 5.5 / 8, { loss: 3, norm: 45 }],
    [7.5, 7.5 / 8, { loss: 7, norm: 65 }],
    [8, 1, { dev: 2 }],
  ]);
  // as many places as steps: each as it was
  const whole = curveOf([{ log: [], steps: eight }], 100);
  assert.equal(
    whole.map(({ step, values }) => [step, values.get("loss")]),
    [1, 3, 5, 7, 2, 4, 6, 8].map((loss, i) => [i + 1, loss]),
  );
  // a shorter training beside it: the same shares of both, the mean over the two
  const four = table(
    ["loss"],
    [10, 20, 30, 40].map((loss) => [loss]),
  );
  const both = curveOf(
    [
      { log: [], steps: eight },
      { log: [], steps: four },
    ],
    4,
  );
  assert.equal(
    both.map(({ step, values }) => [step, values.get("loss"), values.get("norm")]),
    [
      [1.25, 6, undefined],
      [2.75, 13, 25],
      [4.25, 16.5, 45],
      [5.75, 23.5, 65],
    ],
  );
});

test("curves of many long runs stay small", () => {
  const columns = ["object", "none", "topProbability", "entropy", "learningRate", "gradientNorm"];
  const steps = { columns, steps: 3000, values: new Float32Array(18_000).map((_, i) => i % 97) };
  const runs = (n: number) => Array.from({ length: n }, () => [{ log: [], steps }]);
  for (const n of [1, 50, 200, 600]) {
    const places = placesFor(runs(n));
    const points = n * columns.length * curveOf([{ log: [], steps }], places).length;
    assert.ok(points <= 50_000, `${n} runs have ${points} places`);
    assert.ok(places >= 8, `${places}`);
  }
  const study = studyOf({ rows: 14, seeds: 3, relations: 13, facts: 19 });
  const rows = study.rows.map((own) => ({
    ...own,
    runs: own.runs.map((run) => ({ ...run, trainings: [{ log: [], steps }] })),
  }));
  const { length } = studyPage({ ...study, rows });
  assert.ok(length < 1_500_000, `${length}`);
});

test("the same study gives the same page, and one of the world's size is small", () => {
  assert.is(studyPage(studyOf({ rows: 4, seeds: 2, relations: 3, facts: 8 })), pages.plain);
  const world = studyPage(studyOf({ rows: 14, seeds: 3, relations: 13, facts: 19 }));
  assert.ok(world.length < 1_000_000, `${world.length}`);
});

test.run();
