/**
 * Builds what the package ships: `npm run build` writes dist/ with JavaScript, types, and every
 * file that is read at run time (.wgsl, and the embedded facts, tokenizers and weights), in the
 * folders of the source.
 */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const FOLDERS = ["engine", "kernels", "models", "promptgen"];
/** What the compiler writes itself, and what is for readers of the source. */
const NOT_COPIED = /\.ts$|\.md$|(?:^|[\\/])tsconfig[^\\/]*\.json$/;

rmSync(join(ROOT, "dist"), { recursive: true, force: true });
const tsc = spawnSync(
  process.execPath,
  [join(ROOT, "node_modules/typescript/bin/tsc"), "-p", join(ROOT, "tsconfig.build.json")],
  { cwd: ROOT, stdio: "inherit" },
);
if (tsc.status !== 0) {
  console.error("[build] the compiler reports errors (above); npm run check shows them too");
  process.exit(1);
}
let copied = 0;
for (const folder of FOLDERS.filter((name) => existsSync(join(ROOT, name)))) {
  for (const entry of readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name).slice(ROOT.length);
    if (!entry.isFile() || NOT_COPIED.test(path)) continue;
    cpSync(join(ROOT, path), join(ROOT, "dist", path));
    copied++;
  }
}
console.log(`[build] dist/ is written: JavaScript, types and ${copied} data files`);
