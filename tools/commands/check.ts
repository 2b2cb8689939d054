/**
 * The house rules that a compiler does not know: `npm run check`.
 *
 * - The import graph points one way: promptgen -> models -> engine -> kernels; test and tools see
 *   everything.
 * - A source file (.ts, .wgsl) has at most 400 code lines: no blanks, no comments.
 * - No test is skipped or run alone.
 * - The kernels' sources say what kernels/manifest.ts says: check-kernels.ts.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { kernelProblems } from "./check-kernels.ts";

/** What a folder may import besides itself. */
export const ARROWS: Readonly<Record<string, readonly string[]>> = {
  promptgen: ["models", "engine"],
  models: ["engine"],
  engine: ["kernels"],
  kernels: [],
  test: ["promptgen", "models", "engine", "kernels", "tools"],
  tools: ["promptgen", "models", "engine", "kernels"],
};

export const MAX_CODE_LINES = 400;

/** A source file of the project: path from the root with `/`, and its text. */
export interface Source {
  path: string;
  text: string;
}

/** Specifiers that a TypeScript file imports or re-exports, statically or by `import("...")`. */
export function specifiers(text: string): string[] {
  const code = text.replace(/^\s*(?:\/\/|\*|\/\*).*$/gm, "");
  const pattern =
    /^\s*(?:import|export)\b[^"'`;=]*?\bfrom\s*["']([^"']+)["']|^\s*import\s*["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']/gm;
  return [...code.matchAll(pattern)].map(([, a, b, c]) => a ?? b ?? c ?? "");
}

/** Number of lines that hold code: neither blank nor within a comment. */
export function codeLines(text: string): number {
  let count = 0;
  let inComment = false;
  for (const raw of text.split("\n")) {
    let line = raw.trim();
    if (inComment) {
      const end = line.indexOf("*/");
      if (end < 0) continue;
      inComment = false;
      line = line.slice(end + 2).trim();
    }
    while (line.startsWith("/*")) {
      const end = line.indexOf("*/", 2);
      inComment = end < 0;
      line = inComment ? "" : line.slice(end + 2).trim();
    }
    if (line !== "" && !line.startsWith("//")) count++;
  }
  return count;
}

/**
 * Arrows between folders with the number of imports, and one sentence for each import that is not
 * allowed.
 */
export function importGraph(sources: readonly Source[]): {
  arrows: Map<string, Map<string, number>>;
  problems: string[];
} {
  const arrows = new Map<string, Map<string, number>>();
  const problems: string[] = [];
  for (const { path, text } of sources) {
    const from = path.split("/")[0] ?? "";
    for (const specifier of path.endsWith(".ts") ? specifiers(text) : []) {
      if (!specifier.startsWith(".")) continue;
      const target = relative("/", resolve("/", dirname(path), specifier))
        .split(sep)
        .join("/");
      const to = target.includes("/") ? (target.split("/")[0] ?? "") : "(root)";
      if (to === from) continue;
      const row = arrows.get(from) ?? new Map<string, number>();
      arrows.set(from, row.set(to, (row.get(to) ?? 0) + 1));
      if (ARROWS[from]?.includes(to)) continue;
      const allowed = ARROWS[from]?.join(", ") || "nothing";
      problems.push(`[check] ${path} imports ${target}; ${from} may import ${allowed} and itself`);
    }
  }
  return { arrows, problems };
}

/** One sentence for each file that is too long. */
export function lengthProblems(sources: readonly Source[]): string[] {
  return sources
    .map(({ path, text }) => ({ path, lines: codeLines(text) }))
    .filter(({ lines }) => lines > MAX_CODE_LINES)
    .map(
      ({ path, lines }) =>
        `[check] ${path} has ${lines} code lines; split it, ${MAX_CODE_LINES} is the limit`,
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

/** Every source file under `root`. */
export function readSources(root: string): Source[] {
  return Object.keys(ARROWS)
    .filter((folder) => existsSync(resolve(root, folder)))
    .flatMap((folder) =>
      readdirSync(resolve(root, folder), { recursive: true, encoding: "utf8" })
        .filter((name) => /\.(?:ts|wgsl)$/.test(name) && !name.split(sep).includes("node_modules"))
        .map((name) => `${folder}/${name.split(sep).join("/")}`),
    )
    .sort()
    .map((path) => ({ path, text: readFileSync(resolve(root, path), "utf8") }));
}

function main(): void {
  const sources = readSources(fileURLToPath(new URL("../..", import.meta.url)));
  const { arrows, problems } = importGraph(sources);
  problems.push(...lengthProblems(sources), ...skipProblems(sources), ...kernelProblems(sources));
  for (const folder of Object.keys(ARROWS)) {
    const own = sources.filter(({ path }) => path.startsWith(`${folder}/`));
    const lines = own.reduce((sum, { text }) => sum + codeLines(text), 0);
    const to = [...(arrows.get(folder) ?? [])].map(([name, times]) => `${name} (${times})`);
    const size = `${own.length} files, ${lines} code lines`;
    console.log(`${folder.padEnd(9)} ${size.padEnd(28)} -> ${to.join(", ") || "nothing"}`);
  }
  for (const problem of problems) console.error(problem);
  if (problems.length === 0) console.log("ok");
  process.exitCode = problems.length === 0 ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
