/** `node:path` for paths with slashes. */
import { normalized } from "./disk.ts";

export const sep = "/";

export const isAbsolute = (path: string): boolean => path.startsWith("/");

/** Parts as one path, without `.`, `..` and doubled slashes. */
export function join(...parts: readonly string[]): string {
  const path = parts.filter((part) => part !== "").join("/");
  if (path === "") return ".";
  return isAbsolute(path) ? normalized(path) : normalized(path).slice(1) || ".";
}

/** An absolute path; relative ones begin at the root. */
export function resolve(...parts: readonly string[]): string {
  const last = parts.findLastIndex(isAbsolute);
  return normalized(parts.slice(Math.max(last, 0)).join("/"));
}

export function dirname(path: string): string {
  const at = path.replace(/(.)\/+$/, "$1").lastIndexOf("/");
  if (at < 0) return ".";
  return at === 0 ? "/" : path.slice(0, at);
}

export function basename(path: string, ending = ""): string {
  const name = path.replace(/\/+$/, "").split("/").at(-1) ?? "";
  return ending !== "" && name !== ending && name.endsWith(ending)
    ? name.slice(0, -ending.length)
    : name;
}

export function extname(path: string): string {
  const name = basename(path);
  const at = name.lastIndexOf(".");
  return at > 0 && name !== ".." ? name.slice(at) : "";
}
