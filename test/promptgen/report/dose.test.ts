/** Dose and response: figures counted by hand, gates, panels, and what the picture shows. */
import assert from "node:assert/strict";
import { parseHTML } from "linkedom";
import { suite } from "uvu";
import {
  type DosePart,
  dosePanels,
  dosePoints,
  doseTable,
  gateResults,
  gateTable,
} from "../../../promptgen/report/dose.ts";
import type { FactRow } from "../../../promptgen/report/fact-rows.ts";
import { dosePicture } from "../../../promptgen/report/page/dose.ts";
import { printTable } from "../../../promptgen/report/table.ts";

const test = suite("dose");

const fact = (relation: string, i: number, right: boolean): FactRow => {
  const own = { subject: `s${i}`, answer: "x", right, rank: right ? 1 : 2, logP: -1 };
  const none = { ...own, subject: "None", right: false };
  return {
    relation,
    subject: `s${i}`,
    object: `o${i}`,
    prompt: "[X] [Y]",
    own,
    top: [],
    fillers: { None: none },
  };
};
/** Two relations of 8 and 4 facts, of which the first so many are right. */
const run = (seed: number, first: number, second: number) => ({
  seed,
  facts: [
    ...Array.from({ length: 8 }, (_, i) => fact("R1", i, i < first)),
    ...Array.from({ length: 4 }, (_, i) => fact("R2", i, i < second)),
  ],
});
const relations = ["R1", "R2"].map((id) => ({ id, label: id, type: "", facts: 4 }));
const part = (
  context: number,
  distraction: number,
  manual: number,
  vectors: readonly (readonly [number, number])[],
): DosePart => ({
  setting: { context, distraction },
  relations,
  rows: [
    { name: "Manual", runs: [run(1, manual, manual / 2)] },
    { name: "Vectors", runs: vectors.map(([a, b], i) => run(i + 1, a, b)) },
    { name: "Best", alpha: 0.3, runs: [run(1, 8, 4)] },
  ],
  seconds: new Map([["Vectors", 12.4]]),
});
const parts = [
  part(1, 0, 4, [
    [8, 2],
    [4, 2],
  ]),
  part(0, 0, 2, [[8, 4]]),
  part(1, 1, 6, [[2, 1]]),
];
const points = dosePoints(parts, "Best (alpha 0.3)");
const of = (row: string, context: number, distraction: number) =>
  points.find(
    (one) =>
      one.row === row && one.setting.context === context && one.setting.distraction === distraction,
  );

test("a row in a setting: mean over relations and seeds, interval, None, what the best is above it", () => {
  const vectors = of("Vectors", 1, 0);
  // (8/8 + 2/4) / 2 and (4/8 + 2/4) / 2
  assert.equal(vectors?.mean, (75 + 50) / 2);
  assert.ok(Math.abs((vectors?.deviation ?? 0) - 25 / Math.SQRT2) < 1e-9);
  assert.equal(vectors?.none, 0);
  assert.equal(vectors?.seconds, 12.4);
  assert.equal(vectors?.behind?.difference, 100 - 62.5);
  const [low, high] = vectors?.interval ?? [0, 0];
  assert.ok(low > 30 && low < 62.5 && high > 62.5 && high < 95, `${low} to ${high}`);
  const [least, most] = vectors?.behind?.interval ?? [0, 0];
  assert.ok(Math.abs(100 - least - high) < 1e-9 && Math.abs(100 - most - low) < 1e-9);
  const best = of("Best (alpha 0.3)", 0, 0);
  assert.deepEqual([best?.mean, best?.interval, best?.behind], [100, [100, 100], undefined]);
});

test("gates hold or are missed in the settings that they are for", () => {
  const gates = [
    { row: "Manual", least: 30, most: 60, where: {} },
    { row: "Vectors", least: 0, most: 62.5, where: { context: 1 } },
  ];
  const found = gateResults(gates, points);
  assert.deepEqual(
    found.map(({ gate, setting, value, isHeld }) => [
      gate.row,
      ...Object.values(setting),
      value,
      isHeld,
    ]),
    [
      ["Manual", 1, 0, 50, true],
      ["Manual", 0, 0, 25, false],
      ["Manual", 1, 1, 75, false],
      ["Vectors", 1, 0, 62.5, true],
      ["Vectors", 1, 1, 25, true],
    ],
  );
  const text = printTable(gateTable(found));
  assert.match(text, /Manual +context 0, distraction 0 +30 +60 +25\.0 +MISSED/);
  assert.match(text, /2 of 5 are missed\./);
  assert.match(printTable(gateTable(found.slice(0, 1))), /All gates hold\./);
});

test("a panel for each dial that changes while the other stays, in order", () => {
  const panels = dosePanels(points);
  assert.deepEqual(
    panels.map(({ dial, fixed, points: own }) => [
      dial,
      fixed,
      own.filter(({ row }) => row === "Manual").map(({ mean }) => mean),
    ]),
    [
      ["context", { distraction: 0 }, [25, 50]],
      ["distraction", { context: 1 }, [50, 75]],
    ],
  );
});

test("the table has a line for each row and setting, the picture a point", () => {
  const text = printTable(doseTable(points, "Best (alpha 0.3)"));
  const line = text.split("\n").find((one) => / 1 +0 +Vectors /.test(` ${one}`));
  assert.match(line ?? text, /62\.5 ± 17\.7 .*\+37\.5 .* 12$/);
  assert.equal(
    text.split("\n").filter((one) => /Manual|Vectors|Best \(alpha 0\.3\) {2}/.test(one)).length >=
      9,
    true,
  );
  const rows = ["Vectors", "Best (alpha 0.3)"];
  const svg = dosePicture("a & b", dosePanels(points), rows);
  assert.ok(svg.includes("a &amp; b"));
  const { document } = parseHTML(svg);
  const plots = [...document.querySelectorAll("svg svg")];
  assert.equal(plots.length, 2);
  for (const plot of plots) {
    const dots = [...plot.querySelectorAll("circle")];
    assert.equal(dots.length, 2 * rows.length);
    // 100 stands above 62.5, at the top of the plot
    const heights = new Set(dots.map((dot) => Number(dot.getAttribute("cy"))));
    assert.ok(Math.min(...heights) < 10 && heights.size > 1);
  }
  assert.match(
    document.querySelector("svg")?.getAttribute("aria-label") ?? "",
    /Vectors 62\.5 at context 1/,
  );
});

test.run();
