/**
 * What others' checks say of the tarball: publint of package.json, attw of how types are found, two compilers of the declarations
 * themselves, typedoc of types that have no name.
 */
import { join } from "node:path";
import { installed, type Packed, run } from "./fresh.ts";

type Linter = {
  /** With their versions. */
  readonly packages: readonly string[];
  readonly files?: Readonly<Record<string, string>>;
  /** Programs of node_modules/.bin and what they are told, with the tarball's path. */
  commands(tarball: string): readonly (readonly string[])[];
};

/** A program for each entry of the package, which uses all of it. */
const ENTRIES: Readonly<Record<string, string>> = Object.fromEntries(
  ["promptgen", "promptgen/engine", "promptgen/models", "promptgen/world"].map((name) => [
    `${name.replace("/", "-")}.ts`,
    `export * from "${name}";\n`,
  ]),
);

const compiler = (options: Readonly<Record<string, unknown>>): string =>
  JSON.stringify({
    compilerOptions: { target: "ES2023", strict: true, noEmit: true, types: ["node"], ...options },
    include: ["*.ts"],
  });

const types = (typescript: string): Linter => ({
  packages: [typescript, "@types/node@24.19.2"],
  files: {
    ...ENTRIES,
    "tsconfig.json": compiler({ skipLibCheck: false, module: "NodeNext" }),
    "bundler.json": compiler({
      skipLibCheck: false,
      module: "ESNext",
      moduleResolution: "bundler",
      exactOptionalPropertyTypes: true,
    }),
  },
  commands: () => [["tsc"], ["tsc", "-p", "bundler.json"]],
});

export const LINTERS: Readonly<Record<string, Linter>> = {
  publint: {
    packages: ["publint@0.3.25"],
    commands: (tarball) => [["publint", "run", tarball, "--strict"]],
  },
  attw: {
    packages: ["@arethetypeswrong/cli@0.18.5"],
    commands: (tarball) => [
      [
        ...["attw", tarball, "--no-emoji", "--profile", "node16"],
        // Node from 20.19 can `require` modules
        ...["--ignore-rules", "cjs-resolves-to-esm"],
      ],
    ],
  },
  "types by TypeScript 7": types("typescript@7.0.2"),
  "types by TypeScript 5": types("typescript@5.9.3"),
  typedoc: {
    packages: ["typedoc@0.28.20", "typescript@5.9.3", "@types/node@24.19.2"],
    files: { ...ENTRIES, "tsconfig.json": compiler({ skipLibCheck: true, module: "NodeNext" }) },
    commands: () => [
      [
        ...["typedoc", ...Object.keys(ENTRIES).flatMap((name) => ["--entryPoints", name])],
        ...[
          "--name",
          "promptgen",
          "--out",
          "documentation",
          "--treatWarningsAsErrors",
          "--treatValidationWarningsAsErrors",
        ],
      ],
    ],
  },
};

/** What a linter is, where it finds no fault. Throws all that it says where it does. */
export function lint(name: string, folder: string, packed: Packed): string {
  const { packages, files, commands } = LINTERS[name];
  installed(folder, packed, packages, files);
  for (const [program, ...options] of commands(packed.path)) {
    run(join(folder, "node_modules/.bin", program), options, folder);
  }
  return packages.join(", ");
}
