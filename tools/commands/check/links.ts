/** Links of the documentation: the files and headings of the project that they name are there. */
import type { Source } from "./imports.ts";

/** The text that a reader sees: without blocks of code and code in a line. */
const prose = (text: string): string =>
  text.replace(/^```[\s\S]*?^```/gm, "").replace(/`[^`\n]*`/g, "");

/** A heading as its link names it. */
const slug = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}_ -]/gu, "")
    .replaceAll(" ", "-");

/** `path` as it stands in a file of the folder `from`; both are relative to the root. */
function within(from: string, path: string): string {
  const parts = from.split("/").slice(0, -1);
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "." && part !== "") parts.push(part);
  }
  return parts.join("/");
}

/** One sentence for each link of a Markdown file to a file or a heading that is not there. */
export function linkProblems(
  sources: readonly Source[],
  exists: (path: string) => boolean,
): string[] {
  const pages = new Map(
    sources.filter(({ path }) => path.endsWith(".md")).map(({ path, text }) => [path, text]),
  );
  return [...pages].flatMap(([path, text]) =>
    [...prose(text).matchAll(/\]\(([^)\s]+)\)|(?:src|srcset|href)="([^"]+)"/g)].flatMap((found) => {
      const link = found[1] ?? found[2];
      if (/^[a-z]+:/.test(link)) return [];
      const [file, heading] = link.split("#");
      const target = file === "" ? path : within(path, file);
      if (!exists(target)) return [`[check] ${path} links to ${link}, which is not there`];
      if (heading === undefined || heading === "") return [];
      const page = pages.get(target);
      if (page === undefined) return [];
      const headings = [...page.replace(/^```[\s\S]*?^```/gm, "").matchAll(/^#+ (.*)$/gm)];
      return headings.some(([, words]) => slug(words) === heading)
        ? []
        : [`[check] ${path} links to ${link}, but ${target} has no such heading`];
    }),
  );
}
