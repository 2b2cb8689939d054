/** Runs the commands in tools/ as processes of their own. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { COMMITS, type Files, HubServer } from "../models/hub/server.ts";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** What a command did: its exit code, what it printed, and what it said beside that. */
export type Ended = {
  readonly code: number | null;
  readonly out: string;
  readonly error: string;
};

/** Runs tools/NAME with `input` as its stdin. A variable that is undefined is not set. */
export function run(
  name: string,
  args: readonly string[],
  {
    input = "",
    env = {},
  }: { input?: string | Uint8Array; env?: Record<string, string | undefined> } = {},
): Promise<Ended> {
  return new Promise((done) => {
    const child = spawn(process.execPath, [join(ROOT, "tools", name), ...args], {
      cwd: ROOT,
      env: { ...process.env, NO_COLOR: "1", DEBUG: "", ...env },
    });
    let [out, error] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      out += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      error += text;
    });
    child.stdin.end(input);
    child.on("close", (code) => {
      // the driver's own warnings are not the tool's
      const said = error.split("\n").filter((line) => !line.startsWith("Warning: max"));
      done({ code, out, error: said.join("\n").trim() });
    });
  });
}

/** What a command printed that ended well. */
export async function printedBy(...given: Parameters<typeof run>): Promise<string> {
  const { code, out, error } = await run(...given);
  assert.equal(code, 0, error);
  return out;
}

/** Ends with code 1 and one sentence that matches. */
export async function refuses(
  name: string,
  args: readonly string[],
  sentence: RegExp,
  env: Record<string, string | undefined> = {},
): Promise<void> {
  const { code, out, error } = await run(name, args, { env });
  assert.match(error, sentence);
  assert.equal(error.split("\n").length, 1, error);
  assert.equal(out, "");
  assert.equal(code, 1);
}

/** A folder that goes with the process. */
export function temporary(): string {
  const folder = mkdtempSync(join(tmpdir(), "promptgen-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A Hub on this machine, and what a command needs to ask it: an empty cache and the environment. */
type Asked = {
  readonly hub: HubServer;
  readonly cache: string;
  readonly env: Readonly<Record<string, string | undefined>>;
};

/** Runs `use` with a Hub of these models, each with the files of a folder and more. */
export async function withHub(
  models: Readonly<Record<string, { folder: string; more?: Readonly<Record<string, unknown>> }>>,
  use: (asked: Asked) => Promise<void>,
): Promise<void> {
  const all = Object.entries(models).map(([name, { folder, more = {} }]) => {
    const files: Record<string, Uint8Array> = {};
    for (const file of readdirSync(folder)) files[file] = readFileSync(join(folder, file));
    for (const [file, value] of Object.entries(more)) {
      files[file] = new TextEncoder().encode(JSON.stringify(value));
    }
    const commits: Record<string, Files> = { [COMMITS[0]]: files };
    return [name, { commits, refs: { main: COMMITS[0] } }] as const;
  });
  const hub = await HubServer.start(Object.fromEntries(all));
  const cache = temporary();
  const env = {
    HF_ENDPOINT: hub.url,
    HF_HUB_CACHE: cache,
    HF_TOKEN: undefined,
    HF_HUB_OFFLINE: undefined,
    TRANSFORMERS_OFFLINE: undefined,
  };
  try {
    await use({ hub, cache, env });
  } finally {
    await hub.close();
  }
}
