/** Who imports whom: the imports of a file, the arrows between rooms, circles. */
import { dirname, relative, resolve, sep } from "node:path";
import { EXCEPTIONS, FOLDERS, ROOMS, type Room } from "./rooms.ts";

/** A source file of the project: path from the root with `/`, and its text. */
export type Source = {
  readonly path: string;
  readonly text: string;
};

/** One import or re-export of a file. */
export type Import = {
  readonly specifier: string;
  /** Only types are taken, so that the file need not be there when the program runs. */
  readonly type: boolean;
};

/** What a TypeScript file imports or re-exports, statically or by `import("...")`. */
export function imports(text: string): Import[] {
  const code = text.replace(/^\s*(?:\/\/|\*|\/\*).*$/gm, "");
  const pattern =
    /^\s*(?:import|export)\b([^"'`;=]*?)\bfrom\s*["']([^"']+)["']|^\s*import\s*["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']/gm;
  return [...code.matchAll(pattern)].map(([, what = "", a, b, c]) => ({
    specifier: a ?? b ?? c ?? "",
    type: a !== undefined && isTypeOnly(what),
  }));
}

/** Of what stands between `import` and `from`: `type ...`, or braces in which each name is a `type`. */
function isTypeOnly(what: string): boolean {
  if (/^\s*type\b(?!\s*(?:,|$))/.test(what)) return true;
  const names = /^\s*\{([^}]*)\}\s*$/
    .exec(what)?.[1]
    .split(",")
    .map((name) => name.trim());
  return names?.filter(Boolean).every((name) => /^type\s+\w/.test(name)) ?? false;
}

const targetOf = (path: string, specifier: string): string =>
  relative("/", resolve("/", dirname(path), specifier))
    .split(sep)
    .join("/");

/** With elements or without. */
export const isTypeScript = (path: string): boolean => /\.tsx?$/.test(path);

/** The imports within the project, with their targets as paths from the root. */
const ownImports = ({ path, text }: Source): { target: string; type: boolean }[] =>
  (isTypeScript(path) ? imports(text) : [])
    .filter(({ specifier }) => specifier.startsWith("."))
    .map(({ specifier, type }) => ({ target: targetOf(path, specifier), type }));

/** The top folder of a path. */
export const folderOf = (path: string): string =>
  path.includes("/") ? path.slice(0, path.indexOf("/")) : "(root)";

/** What the rules of imports are. */
export type Table = {
  readonly folders: Readonly<Record<string, readonly string[]>>;
  readonly rooms: Readonly<Record<string, readonly Room[]>>;
  readonly exceptions: readonly (readonly [from: string, to: string])[];
};

const TABLE: Table = { folders: FOLDERS, rooms: ROOMS, exceptions: EXCEPTIONS };

/** A room that a file stands in: `*` of the table replaced. */
type Place = Pick<Room, "name" | "may" | "circles">;

/** How much of `path` a path of the table fits: 0 is not at all. */
function fit(pattern: string, path: string): number {
  if (pattern.endsWith("/*")) return path.startsWith(pattern.slice(0, -1)) ? pattern.length - 1 : 0;
  return pattern.endsWith("/")
    ? Number(path.startsWith(pattern)) * pattern.length
    : Number(path === pattern) * (pattern.length + 1); // a file before the folder of its name
}

/** The room of a file, or undefined where its folder has rooms and none is its. */
export function roomOf(path: string, table = TABLE): Place | undefined {
  const folder = folderOf(path);
  const rooms = table.rooms[folder];
  if (rooms === undefined) return { name: folder, may: [] };
  const [best] = rooms
    .flatMap((room) => room.paths.map((pattern) => ({ room, pattern, fit: fit(pattern, path) })))
    .filter((found) => found.fit > 0)
    .sort((a, b) => b.fit - a.fit);
  if (best === undefined) return undefined;
  const { name } = best.room;
  if (!name.endsWith("*")) return best.room;
  // a room for each: methods/promptgen/batch.ts and methods/majority.ts stand in methods/promptgen and methods/majority
  const [own] = path.slice(best.pattern.replace(/\*$/, "").length).split("/");
  const each = best.pattern.endsWith("/*") ? own.replace(/\.ts$/, "") : lastOf(best.pattern);
  return { ...best.room, name: name.replace("*", each) };
}

const lastOf = (pattern: string): string => pattern.split("/").filter(Boolean).at(-1) ?? "";

/** Arrows with their number of imports: from, to, count. */
export type Arrows = Map<string, Map<string, number>>;

function count(arrows: Arrows, from: string, to: string): void {
  const row = arrows.get(from) ?? new Map<string, number>();
  arrows.set(from, row.set(to, (row.get(to) ?? 0) + 1));
}

/**
 * Arrows between folders, and between the rooms of each folder (`engine: ops`), with the number of imports; and one sentence for
 * each import that is not allowed.
 */
export function importGraph(
  sources: readonly Source[],
  table = TABLE,
): { arrows: Arrows; problems: string[] } {
  const arrows: Arrows = new Map();
  const problems: string[] = [];
  const used = new Set<readonly [string, string]>();
  for (const source of sources) {
    const { path } = source;
    const folder = folderOf(path);
    const room = roomOf(path, table);
    if (isTypeScript(path) && room === undefined) {
      problems.push(
        `[check] ${path} stands in no room; give it one in tools/commands/check/rooms.ts`,
      );
    }
    for (const { target } of ownImports(source)) {
      const to = folderOf(target);
      const other = roomOf(target, table);
      const forbidden = ((): string | undefined => {
        if (to !== folder) {
          count(arrows, folder, to);
          const may = table.folders[folder] ?? [];
          return may.includes(to) ? undefined : `${folder} may import ${list(may)} and itself`;
        }
        if (!room || !other || room.name === other.name) return undefined;
        count(arrows, `${folder}: ${room.name}`, other.name);
        if (room.may === "all" || room.may.includes(other.name)) return undefined;
        return `in ${folder}, ${room.name} may import ${list(room.may)} and itself`;
      })();
      if (forbidden === undefined) continue;
      const excused = table.exceptions.find(
        ([from, most]) => path.startsWith(from) && target.startsWith(most),
      );
      if (excused) used.add(excused);
      else problems.push(`[check] ${path} imports ${target}; ${forbidden}`);
    }
  }
  for (const exception of table.exceptions.filter((e) => !used.has(e))) {
    const [from, to] = exception;
    problems.push(`[check] no import needs the exception ${from} -> ${to} any more; remove it`);
  }
  return { arrows, problems };
}

const list = (names: readonly string[]): string => names.join(", ") || "nothing";

/**
 * One sentence for each circle of imports within a top folder, as a whole path. Types do not count: they are gone when the
 * program runs. Of files that are all in circles with each other one shortest circle is shown; rooms that allow `circles` are
 * left alone.
 */
export function circleProblems(sources: readonly Source[], table = TABLE): string[] {
  const next = new Map<string, string[]>();
  for (const source of sources) {
    const room = roomOf(source.path, table);
    const counts = (target: string): boolean =>
      folderOf(target) === folderOf(source.path) &&
      !(room?.circles && roomOf(target, table)?.name === room.name);
    const targets = ownImports(source).filter(({ target, type }) => !type && counts(target));
    next.set(source.path, [...new Set(targets.map(({ target }) => target))].sort());
  }
  const told = new Set<string>();
  const problems: string[] = [];
  for (const start of [...next.keys()].sort()) {
    if (told.has(start)) continue;
    const circle = shortestCircle(start, next);
    if (circle === undefined) continue;
    for (const path of reached(start, next)) {
      if (reached(path, next).has(start)) told.add(path);
    }
    problems.push(`[check] a circle of imports: ${circle.join(" -> ")}`);
  }
  return problems;
}

/** Files that are imported by `start`, or by those that it imports. */
function reached(start: string, next: ReadonlyMap<string, readonly string[]>): Set<string> {
  const found = new Set<string>();
  const open = [start];
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    for (const target of next.get(path) ?? []) {
      if (!found.has(target)) open.push(target);
      found.add(target);
    }
  }
  return found;
}

/** A shortest way from `start` back to it, both ends included. */
function shortestCircle(
  start: string,
  next: ReadonlyMap<string, readonly string[]>,
): string[] | undefined {
  const cameFrom = new Map<string, string>();
  const open = [start];
  for (const path of open) {
    for (const target of next.get(path) ?? []) {
      if (target === start) {
        const circle = [start];
        for (let at = path; at !== start; at = cameFrom.get(at) ?? start) circle.unshift(at);
        return [start, ...circle];
      }
      if (cameFrom.has(target)) continue;
      cameFrom.set(target, path);
      open.push(target);
    }
  }
  return undefined;
}
