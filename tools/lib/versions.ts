/** What a process of a run runs on. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Device } from "../../engine/device.ts";
import type { Versions } from "../../promptgen/report/results.ts";

const manifest = (path: string): { readonly name: string; readonly version: string } =>
  JSON.parse(readFileSync(path, "utf8"));

const own = () => manifest(fileURLToPath(new URL("../../package.json", import.meta.url)));

/** The version of a package that the project has; undefined where it is not there. */
function packageVersion(name: string): string | undefined {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const path = join(folder, "node_modules", name, "package.json");
    if (existsSync(path)) return manifest(path).version;
    if (dirname(folder) === folder) return undefined;
  }
}

export function versionsOn({ kind, description, build }: Device): Versions {
  const webgpu = kind === "webgpu" ? packageVersion("webgpu") : undefined;
  return {
    project: own().version,
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
  const { name, version } = own();
  return [
    ["Page made by", `${name} ${version}`],
    ["Node", `${process.version}, ${process.platform} ${process.arch}`],
  ];
}
