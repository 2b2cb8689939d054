/**
 * HTML as a value. What is no `Html` is text, and is escaped: a subject, a prompt or a name cannot become a tag or end an attribute.
 */
import { type Table, visible } from "../table.ts";

/** Markup, made by this file alone or by who answers for it. */
export type Html = { readonly html: string };

export type Child = Html | string | readonly Child[];

export type Attributes = Readonly<Record<string, string | number | true | undefined>>;

const MARKS: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

export const escaped = (text: string): string =>
  visible(text).replace(/[&<>"']/g, (mark) => MARKS[mark] ?? mark);

const markup = (child: Child): string =>
  typeof child === "string"
    ? escaped(child)
    : "html" in child
      ? child.html
      : child.map(markup).join("");

/** Elements that have no end. */
const VOID = ["br", "col", "input", "link", "meta"];

/** An element; an attribute that is undefined is left out, `true` has no value. */
export function element(name: string, attributes: Attributes, ...children: Child[]): Html {
  const own = Object.entries(attributes).map(([key, value]) => {
    if (value === undefined) return "";
    return value === true ? ` ${key}` : ` ${key}="${escaped(String(value))}"`;
  });
  const start = `<${name}${own.join("")}>`;
  return { html: VOID.includes(name) ? start : `${start}${markup(children)}</${name}>` };
}

/** A name that an address may end with. */
export const slug = (text: string): string =>
  text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-|-$/g, "");

/** `Table 1: accuracy ...`, or the title alone. */
export const captionOf = ({ label, title }: Pick<Table, "label" | "title">): string => {
  const caption = [label, title].filter((part) => part !== undefined).join(": ");
  return caption.slice(0, 1).toUpperCase() + caption.slice(1);
};

/** A table of more columns is printed across. */
const BROAD = 10;

/** Notes that are read with a table; those behind them are folded. */
const FIRST_NOTES = 4;

/**
 * A table that scrolls within its place. The first column names its row.
 * @param id of its caption, once in a page
 */
export function htmlTable(table: Table, id: string): Html {
  const columns = table.groups.flatMap((group) =>
    group.columns.map((column, i) => ({ ...column, starts: i === 0 && group.title !== undefined })),
  );
  const looks = columns.map(({ align, starts }, i) => {
    const isText =
      i > 0 && align === "left" && table.rows.some((row) => (row[i] ?? "").length > 14);
    return [align === "right" ? "n" : "", isText ? "t" : "", starts ? "g" : ""].join(" ").trim();
  });
  const look = (i: number): string | undefined => looks[i] || undefined;
  const isTitled = table.groups.some(({ title }) => title !== undefined);
  const titles = table.groups.map(({ title, columns: own }) =>
    title === undefined
      ? element("td", { colspan: own.length })
      : element("th", { colspan: own.length, scope: "colgroup", class: "g" }, title),
  );
  const heads = columns.map(({ head }, i) =>
    head === ""
      ? element("td", { class: look(i) })
      : element("th", { scope: "col", class: look(i) }, head),
  );
  const body = table.rows.map((row, r) =>
    element(
      "tr",
      { class: table.rules?.includes(r) ? "rule" : undefined },
      row.map((cell, i) => {
        const text = cell ?? "\u2013";
        return i === 0
          ? element("th", { scope: "row", class: look(i) }, text)
          : element("td", { class: look(i) }, text);
      }),
    ),
  );
  const notes = (table.notes ?? []).map((note) => element("p", {}, note));
  const more = notes.slice(FIRST_NOTES);
  return element(
    "figure",
    { class: columns.length > BROAD ? "table broad" : "table" },
    element("figcaption", { id }, captionOf(table)),
    element(
      "div",
      { class: "scroll", role: "region", tabindex: 0, "aria-labelledby": id },
      element(
        "table",
        { "aria-labelledby": id },
        element("thead", {}, isTitled ? element("tr", {}, titles) : "", element("tr", {}, heads)),
        element("tbody", {}, body),
      ),
    ),
    notes.length === 0
      ? ""
      : element(
          "div",
          { class: "notes" },
          notes.slice(0, FIRST_NOTES),
          more.length === 0
            ? ""
            : element("details", {}, element("summary", {}, `${more.length} more notes`), more),
        ),
  );
}
