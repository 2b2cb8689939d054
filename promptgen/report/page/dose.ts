/** The dose-response of a study as one SVG file: rows over a dial with their intervals, a panel for each dial. */
import { axisX, axisY, dot, gridY, line, link, type PlotOptions, ruleY } from "@observablehq/plot";
import type { DosePanel, DosePoint } from "../dose.ts";
import { visible } from "../table.ts";
import { type Child, element } from "./html.ts";
import { drawn } from "./plots.ts";
import { STYLE } from "./style.ts";

const [WIDE, HIGH, MARGIN, HEAD, KEY] = [340, 280, 12, 40, 20];
const COLOURS = 8;

/** @param rows titles of those that are drawn, in this order */
export function dosePicture(
  name: string,
  panels: readonly DosePanel[],
  rows: readonly string[],
): string {
  const keys = HEAD + KEY * Math.ceil(rows.length / 2);
  const width = 2 * MARGIN + WIDE * Math.max(2, panels.length);
  const height = keys + HIGH + 2 * MARGIN;
  const colour = (row: string): string => `var(--c${rows.indexOf(row) % COLOURS})`;
  const text = (x: number, y: number, size: number, what: string, bold = false): Child =>
    element(
      "text",
      { x, y, fill: "var(--ink)", "font-size": size, "font-weight": bold ? 600 : undefined },
      visible(what),
    );
  const plots = panels.map((panel, i): Child => {
    const { html } = drawn("", plotOf(panel, rows, colour));
    const place = `<svg x="${MARGIN + i * WIDE}" y="${keys + 24}" width="${WIDE}" height="${HIGH}" `;
    return [
      text(MARGIN + i * WIDE + 8, keys + 14, 12, titleOf(panel)),
      { html: html.replace(/^<svg /, place).replace(' role="img" aria-label=""', "") },
    ];
  });
  const legend = rows.map((row, i): Child => {
    const [x, y] = [MARGIN + 8 + WIDE * (i % 2), HEAD + KEY * Math.floor(i / 2)];
    return [
      element("circle", { cx: x, cy: y - 4, r: 4.5, fill: colour(row) }),
      text(x + 12, y, 12, row),
    ];
  });
  const said = panels.flatMap(({ points, dial }) =>
    points
      .filter(({ row }) => rows.includes(row))
      .map(({ row, setting, mean }) => `${row} ${mean.toFixed(1)} at ${dial} ${setting[dial]}`),
  );
  const colours = [...STYLE.matchAll(/(--\w+): light-dark\((#\w+), (#\w+)\);/g)];
  const scheme = (i: number): string =>
    `svg { ${colours.map((one) => `${one[1]}: ${one[i]};`).join(" ")} }`;
  const style = `${scheme(2)} @media (prefers-color-scheme: dark) { ${scheme(3)} } text { font-family: system-ui, sans-serif; }`;
  const attributes = {
    xmlns: "http://www.w3.org/2000/svg",
    viewBox: `0 0 ${width} ${height}`,
    width,
    height,
    role: "img",
    "aria-label": `Accuracy over the settings, per cent: ${visible(said.join("; "))}`,
  };
  const all = element(
    "svg",
    attributes,
    { html: `<style>${style}</style>` },
    element("rect", { width: "100%", height: "100%", fill: "var(--paper)" }),
    text(MARGIN + 4, 22, 14, `${name}: accuracy on the test facts (%)`, true),
    legend,
    plots,
  );
  return `${all.html}\n`;
}

const titleOf = ({ dial, fixed }: DosePanel): string =>
  [`over ${dial}`, ...Object.entries(fixed).map(([name, value]) => `${name} ${value}`)].join(", ");

function plotOf(
  { dial, points }: DosePanel,
  rows: readonly string[],
  colour: (row: string) => string,
): PlotOptions {
  const at = ({ setting }: DosePoint): number => Number(setting[dial]);
  const xs = points.map(at);
  const [low, high] = [Math.min(...xs), Math.max(...xs)];
  const own = rows.map((row) => points.filter((point) => point.row === row));
  // rows of one value stand beside each other, so that their intervals can be told apart
  const shift = (i: number): number => ((i - (rows.length - 1) / 2) * (high - low)) / 90;
  return {
    width: WIDE,
    height: HIGH,
    marginLeft: 34,
    marginRight: 14,
    marginTop: 6,
    marginBottom: 26,
    x: { domain: [low - (high - low) / 20, high + (high - low) / 20], label: null },
    y: { domain: [0, 100], label: null },
    marks: [
      gridY({ stroke: "var(--rule)", strokeOpacity: 1 }),
      axisX({ tickSize: 0, fill: "var(--muted)", fontSize: 11, ticks: [...new Set(xs)] }),
      axisY({ tickSize: 0, fill: "var(--muted)", fontSize: 11, ticks: 5 }),
      ruleY([0], { stroke: "var(--muted)" }),
      own.map((some, i) => {
        const stroke = colour(rows[i]);
        const marks = some.map((point) => ({
          x: at(point) + shift(i),
          y: point.mean,
          y1: point.interval[0],
          y2: point.interval[1],
        }));
        return [
          line(marks, { x: "x", y: "y", stroke, strokeWidth: 1.6 }),
          link(marks, { x1: "x", x2: "x", y1: "y1", y2: "y2", stroke, strokeWidth: 1.2 }),
          dot(marks, { x: "x", y: "y", r: 3.5, fill: stroke }),
        ];
      }),
    ],
  };
}
