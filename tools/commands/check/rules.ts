/** Rules that concern one file at a time: its header, its dialect, its tests; and how long it is. */
import { isTypeScript, type Source } from "./imports.ts";

/** Number of lines that hold code: neither blank nor within a comment. */
export function codeLines(text: string): number {
  return withoutComments(text).filter((line) => line.trim() !== "").length;
}

/** The lines of a text; a line that begins in or with a comment is left with what stands behind it. */
function withoutComments(text: string): string[] {
  let inComment = false;
  return text.split("\n").map((raw) => {
    let line = raw.trim();
    if (inComment) {
      const end = line.indexOf("*/");
      if (end < 0) return "";
      inComment = false;
      line = line.slice(end + 2).trim();
    }
    while (line.startsWith("/*")) {
      const end = line.indexOf("*/", 2);
      inComment = end < 0;
      line = inComment ? "" : line.slice(end + 2).trim();
    }
    return line.startsWith("//") ? "" : line;
  });
}

/** The files with the most code lines, the longest first. */
export function longest(sources: readonly Source[], count = 5): { path: string; lines: number }[] {
  return sources
    .map(({ path, text }) => ({ path, lines: codeLines(text) }))
    .sort((a, b) => b.lines - a.lines)
    .slice(0, count);
}

const isTest = (path: string): boolean => path.endsWith(".test.ts");
const isCode = (path: string): boolean => /\.(?:ts|wgsl)$/.test(path);

/** One sentence for each file that does not begin by saying what it is; a test's names say it. */
export function headerProblems(sources: readonly Source[]): string[] {
  const bare = (path: string, text: string): boolean => {
    // WGSL's directives and the line that names an interpreter come before everything
    const body = text.replace(path.endsWith(".wgsl") ? /^(?:enable [^;]+;\s*)+/ : /^#!.*\n/, "");
    return !/^\s*(?:\/\/(?!\s*@ts-|\s*biome-)|\/\*)/.test(body);
  };
  return sources
    .filter(({ path, text }) => isCode(path) && !isTest(path) && bare(path, text))
    .map(
      ({ path }) => `[check] ${path} has no header; begin it with a comment that says what it is`,
    );
}

type DialectRule = {
  readonly where: (path: string) => boolean;
  readonly pattern: RegExp;
  readonly say: string;
};

/** What a linter does not hold: Biome has the rules for `type`, `@ts-expect-error` and `console` (biome.json). */
const DIALECT: readonly DialectRule[] = [
  {
    where: isTypeScript,
    pattern: /\.\.\.\{/,
    say: "spreads an object literal; write its fields out",
  },
  {
    where: () => true,
    pattern: /(?<![\w.:*)}-])\/(?:work|home|root)\/\w/,
    say: "names a folder of one machine; write a path from the root of the project",
  },
];

/** One sentence for each place that breaks a rule of dialect. */
export function dialectProblems(sources: readonly Source[]): string[] {
  return DIALECT.flatMap(({ where, pattern, say }) =>
    sources
      .filter(({ path }) => where(path))
      .flatMap(({ path, text }) =>
        text
          .split("\n")
          .flatMap((line, i) => (pattern.test(line) ? [`[check] ${path}:${i + 1} ${say}`] : [])),
      ),
  );
}

/** One sentence for each test that is skipped or run alone. */
export function skipProblems(sources: readonly Source[]): string[] {
  return sources
    .filter(({ path }) => path.startsWith("test/") && path.endsWith(".ts"))
    .flatMap(({ path, text }) =>
      text.split("\n").flatMap((line, i) => {
        const found = /\.(?:skip|only)\s*\(/.exec(line);
        return found
          ? [`[check] ${path}:${i + 1} calls ${found[0]}...); run every test or remove it`]
          : [];
      }),
    );
}
