/** What others' checks say of the tarball: publint of package.json, attw of how types are found, typedoc of types that have no name. */
import { join } from "node:path";
import { installed, type Packed, run } from "./fresh.ts";

type Linter = {
  readonly packages: readonly string[];
  /** The command, with the tarball's path. */
  command(tarball: string): readonly string[];
};

export const LINTERS: Readonly<Record<string, Linter>> = {
  publint: {
    packages: ["publint@0.3.25"],
    command: (tarball) => ["publint", "run", tarball, "--strict"],
  },
  attw: {
    packages: ["@arethetypeswrong/cli@0.18.5"],
    command: (tarball) => [
      ...["attw", tarball, "--no-emoji", "--profile", "node16"],
      // Node from 20.19 can `require` modules
      ...["--ignore-rules", "cjs-resolves-to-esm"],
    ],
  },
};

/** What a linter says in one line. Throws all that it says where it finds a fault. */
export function lint(name: string, folder: string, packed: Packed): string {
  const { packages, command } = LINTERS[name];
  installed(folder, packed, packages);
  const [program, ...options] = command(packed.path);
  run(join(folder, "node_modules/.bin", program), options, folder);
  return packages.join(", ");
}
