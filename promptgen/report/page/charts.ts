/** What the page draws: rows at a glance, accuracy by relation, learning curves. */
import {
  axisX,
  axisY,
  dot,
  gridX,
  gridY,
  line,
  link,
  type PlotOptions,
  ruleX,
  ruleY,
  tickX,
} from "@observablehq/plot";
import { isRight, rightWith } from "../fact-rows.ts";
import type { RelationRow } from "../relations.ts";
import { NONE_FILLER } from "../results.ts";
import { type Figures, figuresOf, isEarned, type Row, titleOf } from "../rows.ts";
import { visible } from "../table.ts";
import { type CurvePoint, type Panel, panelsOf } from "./curves.ts";
import { type Child, element, type Html } from "./html.ts";
import { drawn } from "./plots.ts";

const GRID = { stroke: "var(--rule)", strokeOpacity: 1 };
const AXIS = { tickSize: 0, fill: "var(--muted)", fontSize: 11 };
/** A name beside an axis: as the tables spell it, and no longer than there is room. */
function cut(name: string, most: number): string {
  const letters = [...visible(name)];
  return letters.length > most ? `${letters.slice(0, most - 1).join("")}\u2026` : letters.join("");
}

/** A number that has room beside an axis: `0.25`, `20`, `2e-5`, `12k`. */
function short(value: number): string {
  const size = Math.abs(value);
  if (size >= 10_000) return `${Number((value / 1000).toPrecision(3))}k`;
  if (size > 0 && size < 0.01) return Number(value.toPrecision(2)).toExponential();
  return String(Number(value.toPrecision(3)));
}

const percent = (value: number): string => value.toFixed(1);

const WIDE = 640;
const NARROW = 350;

/** A drawing for wide screens and one for narrow ones, of which a page shows one. */
const inTwoWidths = (label: string, options: (isNarrow: boolean) => PlotOptions): Html =>
  element("div", { class: "twice" }, drawn(label, options(false)), drawn(label, options(true)));

/** A mark of a legend with what it means. */
const key = (shape: string, text: string): Html =>
  element("li", {}, element("span", { class: `key ${shape}`, "aria-hidden": "true" }), text);

const legend = (...keys: readonly Html[]): Html => element("ul", { class: "legend" }, keys);

/** One line a row: the mean of its runs, each run, "None" and what is earned; with its name for who does not see it. */
export function glancePlot(
  relations: readonly RelationRow[],
  rows: readonly Row[],
  isNarrow: boolean,
): { readonly label: string; readonly options: PlotOptions } {
  const titles = rows.map(titleOf);
  // rows whose names are cut alike are kept apart by their place
  const y = (i: number): string => String(i);
  const all = rows.map((row) => figuresOf(relations, row, isRight));
  const none = rows.map((row) => figuresOf(relations, row, rightWith(NONE_FILLER)));
  const earned = rows.map((row) => figuresOf(relations, row, isEarned));
  const means = (figures: readonly (Figures | undefined)[]) =>
    figures.flatMap((own, i) => (own ? [{ y: y(i), x: own.all.mean }] : []));
  const runs = rows.flatMap((row, i) =>
    row.runs.flatMap((run) => {
      const own = figuresOf(relations, { ...row, runs: [run] }, isRight);
      return own ? [{ y: y(i), x: own.all.mean }] : [];
    }),
  );
  const said = rows.map((row, i) => `${titleOf(row)} ${percent(all[i]?.all.mean ?? 0)}`).join(", ");
  const label = `Accuracy over all relations, per cent: ${said}`;
  const names = titles.map((title) => cut(title, isNarrow ? 21 : 30));
  const longest = Math.max(...names.map((name) => [...name].length));
  return {
    label,
    options: {
      width: isNarrow ? NARROW : WIDE,
      height: 34 + 26 * rows.length,
      marginLeft: 16 + 7.2 * longest,
      marginRight: 14,
      marginTop: 4,
      marginBottom: 30,
      x: { domain: [0, 100], label: null },
      y: { type: "band", domain: names.map((_, i) => y(i)), label: null },
      marks: [
        gridX({ ...GRID, ticks: isNarrow ? 3 : 5 }),
        axisX({ ...AXIS, ticks: isNarrow ? 3 : 5 }),
        axisY({
          tickSize: 0,
          fontSize: 12.5,
          fill: "var(--ink)",
          tickFormat: (at: string) => names[Number(at)],
        }),
        ruleX([0], { stroke: "var(--muted)" }),
        dot(means(none), { x: "x", y: "y", r: 4, stroke: "var(--second)", strokeWidth: 1.5 }),
        tickX(means(earned), {
          x: "x",
          y: "y",
          stroke: "var(--accent)",
          strokeWidth: 1.5,
          inset: 3,
        }),
        dot(runs, { x: "x", y: "y", r: 2.5, fill: "var(--accent)", fillOpacity: 0.45 }),
        dot(means(all), { x: "x", y: "y", r: 4.5, fill: "var(--accent)" }),
      ],
    },
  };
}

/** That drawing with what its marks mean. */
export function glance(relations: readonly RelationRow[], rows: readonly Row[]): Html {
  const [wide, narrow] = [false, true].map((isNarrow) => glancePlot(relations, rows, isNarrow));
  const picture = inTwoWidths(wide.label, (isNarrow) => (isNarrow ? narrow : wide).options);
  return element(
    "figure",
    { class: "glance" },
    element("figcaption", {}, "Accuracy on the test facts, mean over relations (%)"),
    legend(
      key("dot", "mean of the runs"),
      key("small", "a run"),
      key("ring", "with \u201cNone\u201d for the subject"),
      key("tick", "earned by the subject"),
    ),
    picture,
  );
}

/** For each row a panel with a dot a relation, before the span of all rows. */
export function relationDots(relations: readonly RelationRow[], rows: readonly Row[]): Html {
  const figures = rows.map((row) => figuresOf(relations, row, isRight)?.relations);
  const labels = relations.map(({ id, label }) => cut(`${id} ${label}`, 24));
  const longest = Math.max(...labels.map((label) => [...label].length));
  const y = (i: number): string => String(i);
  const spans = relations.flatMap(({ id }, i) => {
    const values = figures.flatMap((own) => own?.get(id)?.mean ?? []);
    return values.length < 2
      ? []
      : [{ y: y(i), from: Math.min(...values), to: Math.max(...values) }];
  });
  const panels = rows.map((row, r) => {
    const means = relations.flatMap(({ id }, i) => {
      const own = figures[r]?.get(id);
      return own ? [{ y: y(i), x: own.mean }] : [];
    });
    const seeds = row.runs.map((run) => figuresOf(relations, { ...row, runs: [run] }, isRight));
    const spread = relations.flatMap(({ id }, i) => {
      const values = seeds.flatMap((own) => own?.relations.get(id)?.mean ?? []);
      return values.length < 2
        ? []
        : [{ y: y(i), from: Math.min(...values), to: Math.max(...values) }];
    });
    const said = relations
      .map(({ label }, i) => `${label} ${percent(means.find((one) => one.y === y(i))?.x ?? 0)}`)
      .join(", ");
    const picture = drawn(`${titleOf(row)}, accuracy by relation, per cent: ${said}`, {
      width: 340,
      height: 30 + 16 * relations.length,
      marginLeft: 12 + 5.9 * longest,
      marginRight: 12,
      marginTop: 4,
      marginBottom: 22,
      x: { domain: [0, 100], label: null },
      y: { type: "point", domain: relations.map((_, i) => y(i)), label: null, padding: 0.5 },
      marks: [
        gridX({ ...GRID, ticks: 4 }),
        axisX({ ...AXIS, ticks: 4 }),
        axisY({
          tickSize: 0,
          fontSize: 11,
          fill: "var(--ink)",
          tickFormat: (at: string) => labels[Number(at)],
        }),
        link(spans, {
          x1: "from",
          x2: "to",
          y1: "y",
          y2: "y",
          stroke: "var(--band)",
          strokeWidth: 7,
          strokeLinecap: "round",
        }),
        link(spread, {
          x1: "from",
          x2: "to",
          y1: "y",
          y2: "y",
          stroke: "var(--accent)",
          strokeWidth: 1.5,
        }),
        dot(means, { x: "x", y: "y", r: 3.5, fill: "var(--accent)" }),
      ],
    });
    return element("figure", { class: "panel" }, element("figcaption", {}, titleOf(row)), picture);
  });
  return element(
    "div",
    {},
    legend(
      key("dot", "mean of the runs"),
      key("line", "from the lowest run to the highest"),
      key("band", "span of all rows"),
    ),
    element("div", { class: "panels" }, panels),
  );
}

/** A row's curves, one a run. */
export type RowCurves = {
  readonly title: string;
  readonly curves: readonly (readonly CurvePoint[])[];
};

const COLOURS = 8;
const DASHES = ["", "5 3", "2 2"];
const DASH_NAMES = ["solid", "dashed", "dotted"];

/** Of a row by its place. */
const styleOf = (i: number) => {
  const dash = Math.floor(i / COLOURS) % DASHES.length;
  return { stroke: `var(--c${i % COLOURS})`, strokeDasharray: DASHES[dash], dash };
};

/** Dev accuracy of every run that has a curve, by the share of its training. */
export function devCurves(rows: readonly RowCurves[]): Html {
  const drawnRows = rows.filter(({ curves }) => panelsOf(curves).length > 0);
  const lines = drawnRows.flatMap(({ curves }, i) =>
    curves.map((curve) => ({
      ...styleOf(i),
      points: curve.flatMap(({ share, values }) => {
        const y = values.get("devAccuracy");
        return y === undefined ? [] : [{ x: 100 * share, y }];
      }),
    })),
  );
  const said = drawnRows.map(({ title, curves }) => {
    const last = curves.flatMap((curve) => curve.at(-1)?.values.get("devAccuracy") ?? []);
    return `${title} ends at ${last.map(percent).join(", ")}`;
  });
  const label = `Accuracy on the dev facts during training, per cent: ${said.join("; ")}`;
  const picture = inTwoWidths(label, (isNarrow) => ({
    width: isNarrow ? NARROW : WIDE,
    height: isNarrow ? 230 : 280,
    marginLeft: 34,
    marginRight: 22,
    marginTop: 8,
    marginBottom: 26,
    x: { domain: [0, 100], label: null },
    y: { domain: [0, 100], label: null },
    marks: [
      gridY(GRID),
      axisX({ ...AXIS, ticks: isNarrow ? 3 : 5, tickFormat: (at: number) => `${at} %` }),
      axisY({ ...AXIS, ticks: 5 }),
      ruleY([0], { stroke: "var(--muted)" }),
      lines.map(({ points, stroke, strokeDasharray }) =>
        line(points, { x: "x", y: "y", stroke, strokeDasharray, strokeWidth: 1.6 }),
      ),
    ],
  }));
  const keys = drawnRows.map(({ title }, i) => {
    const { dash } = styleOf(i);
    return key(`stroke k${i % COLOURS} ${DASH_NAMES[dash]}`, title);
  });
  return element(
    "figure",
    { class: "glance" },
    element(
      "figcaption",
      {},
      "Accuracy on the dev facts (%) by the share of the training, a line a run",
    ),
    legend(...keys),
    picture,
  );
}

/** All that the logs of a row's runs tell, a panel for what belongs together. */
export function rowCurves({ title, curves }: RowCurves): Html {
  const panels = panelsOf(curves).map((panel) => curvePanel(title, panel, curves));
  return element("div", { class: "panels small" }, panels);
}

function curvePanel(
  row: string,
  { title, series }: Panel,
  curves: readonly (readonly CurvePoint[])[],
): Html {
  const styles = series.map(([,], i) => styleOf(i));
  const lines = series.flatMap(([name], i) =>
    curves.map((curve) => ({
      name,
      stroke: styles[i].stroke,
      strokeDasharray: i === 0 ? "" : DASHES[1 + ((i - 1) % 2)],
      points: curve.flatMap(({ step, values }) => {
        const y = values.get(name);
        return y === undefined ? [] : [{ x: step, y }];
      }),
    })),
  );
  const ends = series.map(([name, said]) => {
    const last = curves.flatMap((curve) => {
      const value = curve.findLast(({ values }) => values.has(name))?.values.get(name);
      return value === undefined ? [] : [String(Number(value.toPrecision(3)))];
    });
    return `${said} ends at ${last.join(", ")}`;
  });
  const values = lines.flatMap(({ points }) => points.map(({ y }) => y));
  const low = Math.min(0, ...values);
  const high = Math.max(...values, low + 1e-12);
  const picture = drawn(`${row}, ${title}: ${ends.join("; ")}`, {
    width: 310,
    height: 170,
    marginLeft: 40,
    marginRight: 10,
    marginTop: 8,
    marginBottom: 22,
    x: { label: null },
    y: { label: null, domain: [low, high], nice: true },
    marks: [
      gridY({ ...GRID, ticks: 4 }),
      axisX({ ...AXIS, ticks: 4 }),
      axisY({ ...AXIS, ticks: 4, tickFormat: short }),
      ruleY([0], { stroke: "var(--muted)" }),
      lines.map(({ points, stroke, strokeDasharray }) =>
        line(points, { x: "x", y: "y", stroke, strokeDasharray, strokeWidth: 1.5 }),
      ),
    ],
  });
  const names: Child =
    series.length === 1
      ? ""
      : legend(
          ...series.map(([, name], i) =>
            key(
              `stroke k${i % COLOURS} ${i === 0 ? "solid" : DASH_NAMES[1 + ((i - 1) % 2)]}`,
              name,
            ),
          ),
        );
  return element("figure", { class: "panel" }, element("figcaption", {}, title, names), picture);
}
