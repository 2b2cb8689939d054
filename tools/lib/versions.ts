/** What a process of a run runs on. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Device } from "../../engine/device.ts";
import type { Versions } from "../../promptgen/report/results.ts";
import { PACKAGE } from "./package.ts";

/** The version of a package that the project has; undefined where it is not there. */
function packageVersion(name: string): string | undefined {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const path = join(folder, "node_modules", name, "package.json");
    if (existsSync(path)) return JSON.parse(readFileSync(path, "utf8")).version;
    if (dirname(folder) === folder) return undefined;
  }
}

export function versionsOn({ kind, description, build }: Device): Versions {
  const webgpu = kind === "webgpu" ? packageVersion("webgpu") : undefined;
  return {
    project: PACKAGE.version,
    node: process.version,
    v8: process.versions.v8,
    platform: `${process.platform} ${process.arch}`,
    device: description,
    build,
    ...(webgpu === undefined ? {} : { webgpu }),
  };
}

/** What makes a page, by name. */
export function madeBy(): (readonly [name: string, value: string])[] {
  const { name, version } = PACKAGE;
  return [
    ["Page made by", `${name} ${version}`],
    ["Node", `${process.version}, ${process.platform} ${process.arch}`],
  ];
}
