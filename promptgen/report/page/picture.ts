/** The rows at a glance as one SVG file for a README or a slide: light or dark as its reader's system is, with all that it needs in it. */
import type { RelationRow } from "../relations.ts";
import type { Row } from "../rows.ts";
import { visible } from "../table.ts";
import { glancePlot } from "./charts.ts";
import { type Child, element } from "./html.ts";
import { drawn } from "./plots.ts";
import { STYLE } from "./style.ts";

/** Above the drawing: its title and what its marks mean. */
const HEAD = 62;
const MARGIN = 12;

/**
 * Each row's accuracy: its mean, its runs, with "None" for the subject, and what the subject earns.
 * @param name of the study
 */
export function rowsPicture(
  name: string,
  relations: readonly RelationRow[],
  rows: readonly Row[],
): string {
  const { label, options } = glancePlot(relations, rows, false);
  const { width = 640, height = 400 } = options;
  const [wide, high] = [width + 2 * MARGIN, HEAD + height + MARGIN];
  // the name is the whole picture's, and there it is spelled as XML wants it
  const plot = drawn("", options)
    .html.replace(/^<svg /, `<svg x="${MARGIN}" y="${HEAD}" width="${width}" height="${height}" `)
    .replace(' role="img" aria-label=""', "");
  const colours = [...STYLE.matchAll(/(--\w+): light-dark\((#\w+), (#\w+)\);/g)];
  const scheme = (i: number): string =>
    `svg { ${colours.map((one) => `${one[1]}: ${one[i]};`).join(" ")} }`;
  const style = `${scheme(2)} @media (prefers-color-scheme: dark) { ${scheme(3)} } text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif; }`;
  const text = (x: number, y: number, size: number, fill: string, what: string, bold = false) =>
    element(
      "text",
      {
        x,
        y,
        fill: `var(--${fill})`,
        "font-size": size,
        "font-weight": bold ? 600 : undefined,
      },
      what,
    );
  const circle = (x: number, r: number, more: Readonly<Record<string, string | number>>) =>
    element("circle", { cx: x, cy: 44, r, ...more });
  const solid = { fill: "var(--accent)" };
  const ring = { fill: "none", stroke: "var(--second)", "stroke-width": 1.5 };
  const head: Child = [
    element("rect", { width: "100%", height: "100%", fill: "var(--paper)" }),
    text(
      16,
      22,
      14,
      "ink",
      `${visible(name)}: accuracy on the test facts, mean over relations (%)`,
      true,
    ),
    circle(22, 4.5, solid),
    text(32, 48, 12, "muted", "mean of the runs"),
    circle(148, 2.5, { ...solid, "fill-opacity": 0.45 }),
    text(156, 48, 12, "muted", "a run"),
    circle(212, 4, ring),
    text(222, 48, 12, "muted", "with \u201cNone\u201d for the subject"),
    element("path", { d: "M402 38v12", stroke: "var(--accent)", "stroke-width": 1.5 }),
    text(410, 48, 12, "muted", "earned by the subject"),
  ];
  const attributes = {
    xmlns: "http://www.w3.org/2000/svg",
    viewBox: `0 0 ${wide} ${high}`,
    width: wide,
    height: high,
    role: "img",
    "aria-label": label,
  };
  const all = element("svg", attributes, { html: `<style>${style}</style>` }, head, { html: plot });
  return `${all.html}\n`;
}
