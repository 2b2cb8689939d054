/**
 * Builds what the package ships: `npm run build` writes dist/ with JavaScript that bundlers and every host take (build/hosts.ts),
 * types, source maps, and every file that is read at run time (.wasm, and the embedded facts, tokenizers and weights), in the
 * folders of the source.
 */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { forEveryHost, wgslModule } from "./build/hosts.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const DIST = join(ROOT, "dist");
const FOLDERS = ["engine", "kernels", "models", "promptgen"];
/** What the command needs beside its code: plain JavaScript, and which files are modules. */
const OF_TOOLS = [
  "package.json",
  "commands/package.json",
  "lib/package.json",
  "node-version.cjs",
  "signals.cjs",
].map((name) => join("tools", name));
/** What the compiler writes itself, what is in a module, and what is for readers of the source. */
const NOT_COPIED = /\.ts$|\.md$|\.wgsl$|(?:^|[\\/])tsconfig[^\\/]*\.json$/;

/** Paths of the files below a folder, from it and with `/`. */
const filesOf = (folder: string, ending: RegExp): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && ending.test(entry.name))
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join("/"))
    .sort();

/** Writes dist/ anew and returns the number of data files in it. Throws what the compiler says. */
export function build(): number {
  const kernels = spawnSync(
    process.execPath,
    [join(ROOT, "tools/commands/kernels.ts"), "--if-needed"],
    { cwd: ROOT, encoding: "utf8" },
  );
  if (kernels.status !== 0) throw new Error(kernels.stderr.trim());
  rmSync(DIST, { recursive: true, force: true });
  const tsc = spawnSync(
    process.execPath,
    [join(ROOT, "node_modules/typescript/bin/tsc"), "-p", join(ROOT, "tsconfig.build.json")],
    { cwd: ROOT, encoding: "utf8" },
  );
  if (tsc.status !== 0) {
    throw new Error(
      `[build] the compiler reports errors; correct them:\n${tsc.stdout}${tsc.stderr}`,
    );
  }
  for (const path of filesOf(DIST, /\.js$/).filter((name) => !name.startsWith("tools/"))) {
    const code = readFileSync(join(DIST, path), "utf8");
    const written = forEveryHost(path, code);
    if (written !== code) writeFileSync(join(DIST, path), written);
  }
  const texts = filesOf(join(ROOT, "kernels/webgpu"), /\.wgsl$/).map((path) => [
    path.replace(/\.wgsl$/, ""),
    readFileSync(join(ROOT, "kernels/webgpu", path), "utf8"),
  ]);
  writeFileSync(join(DIST, "kernels/webgpu/sources.js"), wgslModule(Object.fromEntries(texts)));
  rmSync(join(DIST, "kernels/webgpu/sources.js.map"));
  for (const path of OF_TOOLS) cpSync(join(ROOT, path), join(DIST, path));
  let copied = OF_TOOLS.length;
  for (const folder of FOLDERS.filter((name) => existsSync(join(ROOT, name)))) {
    for (const path of filesOf(join(ROOT, folder), /(?:)/)) {
      if (NOT_COPIED.test(path)) continue;
      cpSync(join(ROOT, folder, path), join(DIST, folder, path));
      copied++;
    }
  }
  return copied;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    const copied = build();
    console.error(`[build] dist/ is written: JavaScript, types and ${copied} data files`);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
