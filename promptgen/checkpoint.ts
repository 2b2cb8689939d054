/**
 * The folder of a run.
 *
 *     run.json            the configuration; what --resume compares
 *     last.safetensors    weights, AdamW moments (NAME.exp_avg, NAME.exp_avg_sq) and, as metadata, where the run stands
 *     best/               the best weights as a model directory (config.json, model.safetensors, tokenizer)
 *     log.jsonl           one line an evaluation
 *
 * A file is written beside its place, flushed to the disk and renamed, so that a reader finds the old one or the new one, whole.
 */
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import {
  parseSafetensors,
  serializeSafetensors,
  type TensorEntry,
  tensorEntry,
  toFloat32,
} from "../models/safetensors.ts";

/** Writes a file whole or not at all: beside, flushed, renamed, and the folder flushed. */
export async function writeWhole(path: string, data: Uint8Array | string): Promise<void> {
  const folder = dirname(path);
  await mkdir(folder, { recursive: true });
  const beside = join(folder, `.${basename(path)}.${randomUUID()}.part`);
  try {
    const file = await open(beside, "wx");
    try {
      await file.writeFile(data);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(beside, path);
  } catch (cause) {
    await rm(beside, { force: true });
    const code = (cause as { code?: string }).code ?? String(cause);
    throw new Error(
      `[run] ${path} cannot be written (${code}); check the folder and the space left`,
      {
        cause,
      },
    );
  }
  await flushFolder(folder);
}

const READ_CHUNK = 2 ** 28; // bytes; one call of the system reads less than 2 GiB

/** All bytes of a file; `readFile` refuses 2 GiB, which a large model's moments pass. */
async function readWhole(path: string): Promise<Uint8Array> {
  const file = await open(path, "r");
  try {
    const bytes = new Uint8Array((await file.stat()).size);
    for (let at = 0; at < bytes.length; ) {
      const length = Math.min(READ_CHUNK, bytes.length - at);
      const { bytesRead } = await file.read(bytes, at, length, at);
      if (bytesRead === 0) return bytes.subarray(0, at);
      at += bytesRead;
    }
    return bytes;
  } finally {
    await file.close();
  }
}

async function flushFolder(folder: string): Promise<void> {
  if (process.platform === "win32") return; // a directory cannot be opened there
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Tensors of a checkpoint on the host. */
export type HostTensors = ReadonlyMap<string, { shape: readonly number[]; data: Float32Array }>;

/** A configuration or a state of a run, as it stands in JSON. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: JsonValue | undefined;
}

/** One line of log.jsonl. */
export interface LogRow extends JsonObject {
  readonly step: number;
}

const STATE = "state";

/** The files of one run. */
export class RunFolder {
  readonly path: string;
  constructor(path: string) {
    this.path = path;
  }

  get last(): string {
    return join(this.path, "last.safetensors");
  }
  get best(): string {
    return join(this.path, "best");
  }
  get log(): string {
    return join(this.path, "log.jsonl");
  }
  file(name: string): string {
    return join(this.path, name);
  }

  exists(): boolean {
    return existsSync(this.file("run.json"));
  }

  /** Makes the folder, removes what a killed process left half written, and writes run.json. */
  async begin(configuration: JsonObject): Promise<void> {
    await mkdir(this.path, { recursive: true });
    await this.tidy();
    await this.writeJson("run.json", configuration);
  }

  /** Removes half-written files. */
  async tidy(): Promise<void> {
    for (const folder of [this.path, this.best]) {
      if (!existsSync(folder)) continue;
      for (const name of await readdir(folder)) {
        if (name.startsWith(".") && name.endsWith(".part")) await rm(join(folder, name));
      }
    }
  }

  async writeJson(name: string, value: unknown): Promise<void> {
    await writeWhole(this.file(name), `${JSON.stringify(value, null, 2)}\n`);
  }

  async readJson(name: string): Promise<JsonObject> {
    const path = this.file(name);
    let text: string;
    try {
      text = await readFile(path, "utf8");
    } catch (cause) {
      throw new Error(
        `[run] ${this.path} is no run: ${name} cannot be read; name the folder of a run`,
        {
          cause,
        },
      );
    }
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw new Error(`[run] ${path} is not JSON; start the run again`, { cause });
    }
  }

  /** Replaces the weights of best/. */
  async saveBest(weights: Uint8Array): Promise<void> {
    await writeWhole(join(this.best, "model.safetensors"), weights);
  }

  async saveLast(tensors: HostTensors, state: JsonObject): Promise<void> {
    const entries = new Map<string, TensorEntry>();
    for (const [name, { shape, data }] of tensors) {
      entries.set(name, tensorEntry("F32", shape, data));
    }
    const metadata = { format: "pt", [STATE]: JSON.stringify(state) };
    await writeWhole(this.last, serializeSafetensors(entries, metadata));
  }

  /** Throws for a run without a checkpoint and for a damaged one. */
  async loadLast(): Promise<{ tensors: HostTensors; state: JsonObject }> {
    let bytes: Uint8Array;
    try {
      bytes = await readWhole(this.last);
    } catch (cause) {
      throw new Error(
        `[resume] ${this.last} cannot be read: the run was stopped before its first checkpoint; start it again without --resume`,
        { cause },
      );
    }
    const file = parseSafetensors(bytes, this.last);
    const text = file.metadata[STATE];
    if (text === undefined) {
      throw new Error(`[resume] ${this.last} does not say where the run stands; start it again`);
    }
    const tensors = new Map(
      [...file.tensors].map(([name, entry]) => [
        name,
        { shape: entry.shape, data: toFloat32(entry) },
      ]),
    );
    return { tensors, state: JSON.parse(text) };
  }

  /** The rows of the log; a last line that was cut off is left out. */
  async readLog(): Promise<LogRow[]> {
    if (!existsSync(this.log)) return [];
    const lines = (await readFile(this.log, "utf8")).split("\n");
    lines.pop(); // what follows the last line end: nothing, or half a line
    return lines.map((line) => JSON.parse(line));
  }

  /** Keeps the rows up to `step`: those that a resumed run will not write again. */
  async cutLog(step: number): Promise<void> {
    const rows = await this.readLog();
    const kept = rows.filter((row) => row.step <= step);
    await writeWhole(this.log, kept.map((row) => `${JSON.stringify(row)}\n`).join(""));
  }

  async appendLog(row: LogRow): Promise<void> {
    await mkdir(this.path, { recursive: true });
    const file = await open(this.log, "a");
    try {
      await file.writeFile(`${JSON.stringify(row)}\n`);
    } finally {
      await file.close();
    }
  }
}

/**
 * Throws when two configurations differ, naming the first option that does.
 * @param wanted what was asked for; only its keys are compared
 */
export function sameConfiguration(saved: JsonObject, wanted: JsonObject, where: string): void {
  for (const key of Object.keys(wanted)) {
    const [old, now] = [saved[key], wanted[key]].map((value) => JSON.stringify(value ?? null));
    if (old === now) continue;
    throw new Error(
      `[resume] --${key} is ${now} but the run in ${where} was started with ${old}; ` +
        "resume it with the same options, or start another run with another --out",
    );
  }
}
