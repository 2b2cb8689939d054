/** The runs that the page asks where no study is given: trained by the command line, once for each content of the embedded world. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { embeddedWorld } from "../../../promptgen/world/world.ts";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));

/** Name of a run, and what the command line is given for it. */
const RUNS: Readonly<Record<string, readonly string[]>> = {
  "promptgen-seed1": ["--method", "promptgen", "--seed", "1"],
  "promptgen-seed2": ["--method", "promptgen", "--seed", "2"],
  template: ["--method", "template"],
  majority: ["--method", "majority"],
  lpaqa: ["--method", "lpaqa"],
};

/** A short name of the embedded world's files. */
function worldKey(): string {
  const { data } = embeddedWorld();
  const hash = createHash("sha256");
  const files = readdirSync(data, { recursive: true, encoding: "utf8" })
    .filter((name) => /\.(?:jsonl?|txt|safetensors)$/.test(name))
    .sort();
  for (const name of files) hash.update(name).update(readFileSync(join(data, name)));
  return hash.digest("hex").slice(0, 12);
}

/**
 * Trains what is not there yet.
 * @param cache a folder of which the build is the owner
 * @param say is told what is trained
 * @param signal ends the training; what it has done by then is gone on with
 * @returns the folder that holds the runs
 */
export async function trainRuns(
  cache: string,
  say: (text: string) => void,
  signal?: AbortSignal,
): Promise<string> {
  const folder = join(cache, `runs-${worldKey()}`);
  for (const [name, options] of Object.entries(RUNS)) {
    const out = join(folder, name);
    if (existsSync(join(out, "results.json"))) continue;
    const goesOn = existsSync(join(out, "run.json"));
    say(`${goesOn ? "going on with" : "training"} ${name} for the page`);
    await train(goesOn ? ["--resume", out] : ["--world", ...options, "--out", out], signal);
  }
  return folder;
}

/** Runs `promptgen train`. @throws with its last line where it ends otherwise than well */
function train(args: readonly string[], signal?: AbortSignal): Promise<void> {
  const child = spawn(
    process.execPath,
    [join(ROOT, "tools/train.ts"), ...args, "--device", "cpu", "--quiet"],
    {
      cwd: ROOT,
      stdio: ["ignore", "ignore", "pipe"],
    },
  );
  const stop = () => child.kill("SIGTERM");
  signal?.addEventListener("abort", stop, { once: true });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text) => {
    said = (said + text).slice(-2000);
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      signal?.removeEventListener("abort", stop);
      const line = said.trim().split("\n").at(-1) ?? "";
      if (code === 0) resolve();
      else
        reject(
          new Error(line || `[page] training ended with the code ${code}; run the command again`),
        );
    });
  });
}
