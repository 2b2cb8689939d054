/** Packs the package, and installs it into fresh folders as its users do. */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildIfNeeded } from "../build.ts";

export const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const APP = fileURLToPath(new URL("app", import.meta.url));

/** This Node before all others. */
export const ENVIRONMENT = {
  ...process.env,
  PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH}`,
};

/** What a command prints on standard output. Throws with all that it printed where it ends with another code than 0. */
export function run(command: string, args: readonly string[], cwd: string): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    encoding: "utf8",
    env: ENVIRONMENT,
  });
  if (status !== 0) {
    throw new Error(`${command} ${args.join(" ")}: ${error ?? ""}${stdout}${stderr}`.trim());
  }
  return stdout;
}

export type Packed = {
  /** The path of the tarball. */
  readonly path: string;
  /** Bytes of the tarball. */
  readonly size: number;
  readonly files: readonly { readonly path: string; readonly size: number }[];
};

/** What `npm pack` makes of dist/, which is built before where a source has changed. */
export function pack(folder: string): Packed {
  buildIfNeeded();
  const [{ filename, size, files }] = JSON.parse(
    run("npm", ["pack", "--ignore-scripts", "--json", "--pack-destination", folder], ROOT),
  );
  return { path: join(folder, filename), size, files };
}

/** A folder with the programs of `app/`, to which a package.json belongs. */
function appFolder(folder: string, files: Readonly<Record<string, string>>): void {
  mkdirSync(folder, { recursive: true });
  cpSync(APP, folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), '{ "private": true, "type": "module" }\n');
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
}

/** Installs the tarball and packages `name@version` with npm, from the registry. */
export function installed(
  folder: string,
  { path }: Packed,
  packages: readonly string[],
  files: Readonly<Record<string, string>> = {},
): void {
  appFolder(folder, files);
  run("npm", ["install", "--no-audit", "--no-fund", path, ...packages], folder);
}

/** The same without a network: the tarball unpacked, and all else linked from this project's own node_modules. */
export function linked(
  folder: string,
  { path }: Packed,
  packages: readonly string[] = [],
  files: Readonly<Record<string, string>> = {},
): void {
  appFolder(folder, files);
  const home = join(folder, "node_modules", "promptgen");
  mkdirSync(home, { recursive: true });
  run("tar", ["-xzf", path, "-C", home, "--strip-components=1"], folder);
  const { dependencies, optionalDependencies } = JSON.parse(
    readFileSync(join(home, "package.json"), "utf8"),
  );
  for (const name of [
    ...Object.keys(dependencies),
    ...Object.keys(optionalDependencies),
    ...packages.map((one) => one.replace(/(?<=.)@.*/, "")),
  ]) {
    const link = join(folder, "node_modules", name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(ROOT, "node_modules", name), link);
    const { bin = {} } = JSON.parse(readFileSync(join(link, "package.json"), "utf8"));
    for (const [command, path] of Object.entries<string>(typeof bin === "string" ? {} : bin)) {
      const place = join(folder, "node_modules/.bin", command);
      mkdirSync(dirname(place), { recursive: true });
      symlinkSync(join(link, path), place);
    }
  }
}
