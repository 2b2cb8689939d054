/**
 * Builds what the package ships: `npm run build` writes dist/ with JavaScript, types, and every
 * file that is read at run time (.wgsl, .wasm, and the embedded facts, tokenizers and weights), in the
 * folders of the source.
 */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const FOLDERS = ["engine", "kernels", "models", "promptgen"];
/** What the command needs beside its code: plain JavaScript, and which files are modules. */
const OF_TOOLS = [
  "package.json",
  "commands/package.json",
  "lib/package.json",
  "node-version.cjs",
  "signals.cjs",
].map((name) => join("tools", name));
/** What the compiler writes itself, and what is for readers of the source. */
const NOT_COPIED = /\.ts$|\.md$|(?:^|[\\/])tsconfig[^\\/]*\.json$/;

/** Writes dist/ anew and returns the number of data files in it. Throws what the compiler says. */
export function build(): number {
  const kernels = spawnSync(
    process.execPath,
    [join(ROOT, "tools/commands/kernels.ts"), "--if-needed"],
    { cwd: ROOT, encoding: "utf8" },
  );
  if (kernels.status !== 0) throw new Error(kernels.stderr.trim());
  rmSync(join(ROOT, "dist"), { recursive: true, force: true });
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
  for (const path of OF_TOOLS) cpSync(join(ROOT, path), join(ROOT, "dist", path));
  let copied = OF_TOOLS.length;
  for (const folder of FOLDERS.filter((name) => existsSync(join(ROOT, name)))) {
    for (const entry of readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name).slice(ROOT.length);
      if (!entry.isFile() || NOT_COPIED.test(path)) continue;
      cpSync(join(ROOT, path), join(ROOT, "dist", path));
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
