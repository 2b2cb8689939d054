/**
 * The page's plots: Observable Plot draws SVG into a document of linkedom, where there is no browser. Colours are variables of the
 * page's style, so that one drawing serves light and dark.
 */
import { type PlotOptions, plot } from "@observablehq/plot";
import { parseHTML } from "linkedom";
import { visible } from "../table.ts";
import type { Html } from "./html.ts";

const { document } = parseHTML("<!doctype html><body></body>");

/** Digits behind the point that a place in a drawing needs. */
const rounded = (text: string): string =>
  text.replace(/-?\d+\.\d{2,}/g, (number) => String(Math.round(Number(number) * 10) / 10));

const PLACES = ["d", "transform", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "width", "height"];

/**
 * A drawing as one picture with a name.
 * @param label what it shows, for who does not see it
 */
export function drawn(label: string, options: PlotOptions): Html {
  const svg = plot({ ...options, document: document as unknown as Document, className: "plot" });
  svg.querySelector("style")?.remove();
  for (const part of svg.querySelectorAll("*")) {
    for (const { name, value } of [...part.attributes]) {
      // the drawing has one name; its parts need none, and a style of their own the page forbids
      if (name.startsWith("aria-") || name === "style") part.removeAttribute(name);
      else if (PLACES.includes(name)) part.setAttribute(name, rounded(value));
    }
  }
  for (const name of ["font-family", "width", "height"]) svg.removeAttribute(name);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", visible(label));
  return { html: svg.outerHTML };
}
