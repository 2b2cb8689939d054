/** An HTML document that opens from a disk and asks nobody for anything: its policy allows its one style, its one program, and no more. */
import { createHash } from "node:crypto";
import { type Child, element } from "./html.ts";
import { STYLE } from "./style.ts";

export type HtmlDocument = {
  readonly title: string;
  readonly body: Child;
  /** The text of its one program; none where it is left out. */
  readonly script?: string;
  /** Seconds after which a browser asks for it again. */
  readonly refresh?: number;
};

const sumOf = (text: string): string => createHash("sha256").update(text).digest("base64");

export function htmlDocument({ title, body, script, refresh }: HtmlDocument): string {
  const policy = [
    "default-src 'none'",
    ...(script === undefined ? [] : [`script-src 'sha256-${sumOf(script)}'`]),
    `style-src 'sha256-${sumOf(STYLE)}'`,
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
    "require-trusted-types-for 'script'",
  ].join("; ");
  const head = element(
    "head",
    {},
    element("meta", { charset: "utf-8" }),
    element("meta", { "http-equiv": "Content-Security-Policy", content: policy }),
    refresh === undefined ? "" : element("meta", { "http-equiv": "refresh", content: refresh }),
    element("meta", { name: "viewport", content: "width=device-width, initial-scale=1" }),
    element("meta", { name: "color-scheme", content: "light dark" }),
    element("meta", { name: "referrer", content: "no-referrer" }),
    element("link", { rel: "icon", href: "data:," }),
    element("title", {}, title),
    { html: `<style>${STYLE}</style>` },
  );
  const program = script === undefined ? "" : { html: `<script>${script}</script>` };
  return `<!doctype html>\n${element("html", { lang: "en" }, head, element("body", {}, body, program)).html}\n`;
}
