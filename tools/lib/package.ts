/** What package.json says of this project, from the source and from the package alike. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

type Manifest = { readonly name: string; readonly version: string };

/** Folders on the way have such files without a name. */
function manifestAbove(folder: string): Manifest {
  const path = join(folder, "package.json");
  const found = existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : {};
  return typeof found.version === "string" ? found : manifestAbove(dirname(folder));
}

export const PACKAGE = manifestAbove(dirname(fileURLToPath(import.meta.url)));
