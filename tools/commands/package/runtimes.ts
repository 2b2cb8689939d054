/** The hosts without a page: which programs they run, and how. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { deviceProblems, type Found, problems } from "./found.ts";
import { ENVIRONMENT } from "./fresh.ts";

export type Runtime = {
  /** Packages that bring it, with their versions; none for the Node that runs. */
  readonly packages: readonly string[];
  /** The program below node_modules and its options. */
  readonly command: readonly string[];
};

export const RUNTIMES: Readonly<Record<string, Runtime>> = {
  "Node 24": { packages: [], command: [] },
  "Node 22": { packages: ["node@22.23.3"], command: ["node/bin/node"] },
  "Node 20": { packages: ["node@20.20.2"], command: ["node/bin/node"] },
  Deno: { packages: ["deno@2.9.6"], command: [".bin/deno", "run", "-A"] },
  Bun: { packages: ["bun@1.4.5"], command: [".bin/bun"] },
};

/** What a program of a folder finds; throws one sentence with all that is not as it should be. */
export function checkedRun(
  folder: string,
  { command: [program, ...options] }: Runtime,
  file: "node.mjs" | "node.cjs",
  device: string,
): Found {
  const path = program === undefined ? process.execPath : join(folder, "node_modules", program);
  const { stdout, stderr } = spawnSync(path, [...options, file, device], {
    cwd: folder,
    encoding: "utf8",
    env: ENVIRONMENT,
  });
  let found: Found;
  try {
    found = JSON.parse(stdout.trim().split("\n").at(-1) ?? "");
  } catch {
    throw new Error(`no JSON was printed: ${stdout}${stderr}`.trim());
  }
  const wrong = [...problems(found), ...deviceProblems(found, device)];
  if (wrong.length > 0) throw new Error(wrong.join("; "));
  return found;
}
