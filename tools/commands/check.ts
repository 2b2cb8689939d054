/**
 * The house rules that a compiler does not know: `npm run check`.
 *
 * - Imports point one way, between the top folders and between the rooms of each (check/rooms.ts).
 * - No circle of imports within a top folder; types do not count.
 * - A source file begins with a comment that says what it is.
 * - Dialect: no object literal is spread, no folder of one machine is named. Biome holds the rest.
 * - No test is skipped or run alone.
 * - Links of Markdown files name files and headings that are there: check/links.ts.
 * - The kernels' sources say what kernels/manifest.ts says: check/kernels.ts.
 *
 * The longest files are only told: how long one may be depends on what it says.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import {
  type Arrows,
  circleProblems,
  folderOf,
  importGraph,
  roomOf,
  type Source,
} from "./check/imports.ts";
import { kernelProblems } from "./check/kernels.ts";
import { linkProblems } from "./check/links.ts";
import { EXCEPTIONS, FOLDERS, ROOMS } from "./check/rooms.ts";
import {
  codeLines,
  dialectProblems,
  headerProblems,
  longest,
  skipProblems,
} from "./check/rules.ts";

/** Texts of the project below a folder, and of the root itself where there is none. */
function read(root: string, folder: string, ending: RegExp): Source[] {
  if (!existsSync(resolve(root, folder))) return [];
  return readdirSync(resolve(root, folder), { recursive: folder !== "", encoding: "utf8" })
    .map((name) => [folder, ...name.split(sep)].filter(Boolean).join("/"))
    .filter((path) => ending.test(path) && !/(?:^|\/)(?:node_modules|build)\//.test(path))
    .sort()
    .map((path) => ({ path, text: readFileSync(resolve(root, path), "utf8") }));
}

/** Every source file under `root`. */
export const readSources = (root: string): Source[] =>
  Object.keys(FOLDERS).flatMap((folder) => read(root, folder, /\.(?:tsx?|wgsl)$/));

/** One line for a folder or a room: what it is made of and where its arrows go. */
function line(
  name: string,
  sources: readonly Source[],
  to: ReadonlyMap<string, number> = new Map(),
) {
  const lines = sources.reduce((sum, { text }) => sum + codeLines(text), 0);
  const arrows = [...to].map(([other, times]) => `${other} (${times})`).join(", ");
  const size = `${sources.length} files`.padStart(9) + `${lines} lines`.padStart(12);
  return `${name.padEnd(22)}${size}  -> ${arrows || "nothing"}`;
}

/** Folders with their rooms, those without a file left out. */
function drawing(sources: readonly Source[], arrows: Arrows): string[] {
  return Object.keys(FOLDERS).flatMap((folder) => {
    const own = sources.filter(({ path }) => folderOf(path) === folder);
    const rooms = new Map<string, Source[]>();
    for (const source of own) {
      const name = roomOf(source.path)?.name ?? "(no room)";
      rooms.set(name, [...(rooms.get(name) ?? []), source]);
    }
    const order = (name: string): number =>
      ROOMS[folder].findIndex((room) => new RegExp(`^${room.name.replace("*", ".*")}$`).test(name));
    const inner = [...rooms]
      .filter(([name]) => folder in ROOMS && name !== "index")
      .sort(([a], [b]) => order(a) - order(b))
      .map(([name, files]) => line(`  ${name}`, files, arrows.get(`${folder}: ${name}`)));
    return [line(folder, own, arrows.get(folder)), ...inner];
  });
}

function main(): void {
  const root = fileURLToPath(new URL("../..", import.meta.url));
  const sources = readSources(root);
  const others = ["", "docs", ...Object.keys(FOLDERS)].flatMap((folder) =>
    read(root, folder, /\.(?:md|py|sh|mjs|cjs)$/),
  );
  const { arrows, problems } = importGraph(sources);
  problems.push(
    ...circleProblems(sources),
    ...headerProblems(sources),
    ...dialectProblems([...sources, ...others]),
    ...skipProblems(sources),
    ...kernelProblems(sources),
    ...linkProblems(others, (path) => existsSync(resolve(root, path))),
  );
  console.log(drawing(sources, arrows).join("\n"));
  const long = longest(sources).map(({ path, lines }) => `${path} ${lines}`);
  console.log(`longest: ${long.join(", ")}`);
  if (EXCEPTIONS.length > 0) console.log(`${EXCEPTIONS.length} exceptions to the arrows`);
  for (const problem of problems) console.error(problem);
  if (problems.length === 0) console.log("ok");
  process.exitCode = problems.length === 0 ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
