/**
 * The folder of a run.
 *
 *     run.json            the configuration; what --resume compares
 *     last.safetensors    weights, AdamW moments (NAME.exp_avg, NAME.exp_avg_sq) and, as metadata, where the run stands
 *     search.json         in its place where nothing is trained by gradients: where the search stands
 *     best/               the best weights as a model directory (config.json, model.safetensors, tokenizer)
 *     log.jsonl           one line an evaluation
 *     steps.bin           a record a step, see steps.ts
 *     .lock               the process that writes here, see lock.ts
 *
 * A file is written beside its place, flushed to the disk and renamed, so that a reader finds the old one or the new one, whole. The
 * safetensors files hold a checksum of all that is in them (see models/formats/seal.ts); those of before there was one have none.
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { open, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Device } from "../../engine/device.ts";
import type { Tensor } from "../../engine/tensor.ts";
import { pathSource } from "../../models/formats/disk.ts";
import { makeFolder, writeWhole } from "../../models/formats/files.ts";
import { type FileTensor, openSafetensors } from "../../models/formats/safetensors.ts";
import { checkSeal, withSeal, writeSealed } from "../../models/formats/seal.ts";
import { streamTensors } from "../../models/save.ts";
import { LOCK_FILE } from "./lock.ts";
import type { Seconds } from "./pace.ts";

/** A configuration or a state of a run, as it stands in JSON. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject;
export type JsonObject = {
  readonly [key: string]: JsonValue | undefined;
};

/** One line of log.jsonl. */
export type LogRow = JsonObject & {
  readonly step: number;
};

const STATE = "state";
const SECONDS = "seconds.json";

/** The files of one run. */
export class RunFolder {
  readonly path: string;
  constructor(path: string) {
    this.path = path;
  }

  get last(): string {
    return join(this.path, "last.safetensors");
  }
  get search(): string {
    return join(this.path, "search.json");
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
    await makeFolder(this.path);
    await this.tidy();
    await this.writeJson("run.json", configuration);
  }

  /** Whether there is a checkpoint to go on from. */
  hasStarted(): boolean {
    return existsSync(this.last) || existsSync(this.search);
  }

  /** Removes half-written files, at any depth. */
  async tidy(): Promise<void> {
    for (const path of await this.#halfWritten()) await rm(path, { force: true });
  }

  /** Whether a process that is dead, or still writes, has left anything that `tidy` or a lock's release removes. */
  async isTidy(): Promise<boolean> {
    return !existsSync(this.file(LOCK_FILE)) && (await this.#halfWritten()).length === 0;
  }

  async #halfWritten(): Promise<string[]> {
    if (!existsSync(this.path)) return [];
    const all = await readdir(this.path, { recursive: true, withFileTypes: true });
    return all
      .filter(({ name }) => name.startsWith(".") && name.endsWith(".part"))
      .map(({ name, parentPath }) => join(parentPath, name));
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
  async saveBest(weights: AsyncIterable<Uint8Array>): Promise<void> {
    await writeWhole(join(this.best, "model.safetensors"), weights);
  }

  /** Writes tensors as they are on the device, and where the run stands. */
  async saveLast(device: Device, tensors: readonly Tensor[], state: JsonObject): Promise<void> {
    const metadata = withSeal({ format: "pt", [STATE]: JSON.stringify(state) });
    await writeSealed(this.last, streamTensors(device, tensors, metadata)).catch((cause) => {
      if (!existsSync(this.last)) throw cause;
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new Error(`${why}; the checkpoint before it is whole`, { cause });
    });
  }

  /**
   * Checks what a run goes on from, or is asked with; gives sentences about files that hold nothing to check them by.
   * @throws one sentence for a file that is not what was written
   */
  async check(): Promise<string[]> {
    const best = existsSync(this.best) ? await readdir(this.best) : [];
    const files = best.filter((name) => name.endsWith(".safetensors") && !name.startsWith("."));
    const found: string[] = [];
    for (const path of [
      ...(existsSync(this.last) ? [this.last] : []),
      ...files.map((name) => join(this.best, name)),
    ]) {
      const isChecked = await checkSeal(path, "start another run");
      if (!isChecked) found.push(`${path} holds no checksum, so there is none to check`);
    }
    return found;
  }

  /** Throws for a run without a checkpoint and for a damaged one. */
  async loadLast(): Promise<{ tensors: ReadonlyMap<string, FileTensor>; state: JsonObject }> {
    const source = await pathSource(this.last).catch((cause) => {
      throw new Error(
        `[resume] ${this.last} cannot be read: the run was stopped before its first checkpoint; start it again without --resume`,
        { cause },
      );
    });
    const { tensors, metadata } = await openSafetensors(source, this.last);
    const text = metadata[STATE];
    if (text === undefined) {
      throw new Error(`[resume] ${this.last} does not say where the run stands; start it again`);
    }
    try {
      return { tensors, state: JSON.parse(text) };
    } catch (cause) {
      throw new Error(
        `[resume] ${this.last} says where the run stands in words that are not JSON; start another run`,
        { cause },
      );
    }
  }

  /** Writes what the run has taken so far: beside the checkpoint, for equal runs have equal checkpoints. */
  async writeSeconds(seconds: Seconds): Promise<void> {
    await this.writeJson(SECONDS, seconds);
  }

  /** What the run had taken when it was last saved, in all its processes; undefined where nothing tells it. */
  async readSeconds(): Promise<Seconds | undefined> {
    if (!existsSync(this.file(SECONDS))) return undefined;
    const { training, evaluating } = await this.readJson(SECONDS);
    const isTime = (value: unknown) => typeof value === "number" && value >= 0;
    if (isTime(training) && isTime(evaluating)) {
      return { training: Number(training), evaluating: Number(evaluating) };
    }
    throw new Error(
      `[run] ${this.file(SECONDS)} holds no times; remove it, the run then counts from here on`,
    );
  }

  /** Writes where a search stands. @param identity what the run that goes on from it must share */
  async saveSearch(state: JsonObject, identity = ""): Promise<void> {
    await this.writeJson("search.json", { identity, sha256: sumOf(state), state });
  }

  /**
   * Where the search stands, as `saveSearch` wrote it; undefined where there is none.
   * @param earlier identities that the run had before it was extended, which fit too
   * @throws one sentence for a file that is not what was written, or that another configuration wrote
   */
  async loadSearch(
    identity = "",
    earlier: readonly string[] = [],
  ): Promise<JsonObject | undefined> {
    if (!existsSync(this.search)) return undefined;
    const { state, ...found } = await this.readJson("search.json");
    if (typeof state !== "object" || found.sha256 !== sumOf(state)) {
      throw new Error(
        `[resume] ${this.search} is not what was written, its checksum differs; start another run`,
      );
    }
    if (found.identity !== identity && !earlier.includes(String(found.identity))) {
      throw new Error(
        `[resume] ${this.search} was written with other options, data or models; resume with those it was started with`,
      );
    }
    return Object(state);
  }

  /** The step at which the last checkpoint stands, and how many there are; undefined where none tells it. */
  async stand(): Promise<{ readonly step: number; readonly steps: number } | undefined> {
    const isThere = existsSync(this.last);
    if (!isThere && !existsSync(this.search)) return undefined;
    const saved = isThere
      ? (await this.loadLast()).state
      : Object(await this.readJson("search.json")).state;
    const { step, steps } = Object(saved);
    return typeof step === "number" && typeof steps === "number" ? { step, steps } : undefined;
  }

  /** The rows of the log; a last line that was cut off is left out. */
  async readLog(): Promise<LogRow[]> {
    return this.logged();
  }

  /** As `readLog`, at once. */
  logged(): LogRow[] {
    if (!existsSync(this.log)) return [];
    const lines = readFileSync(this.log, "utf8").split("\n");
    lines.pop(); // what follows the last line end: nothing, or half a line
    return lines.map((line, i) => {
      let row: unknown;
      try {
        row = JSON.parse(line);
      } catch {
        row = undefined;
      }
      if (Number.isSafeInteger(Object(row).step)) return row as LogRow;
      throw new Error(
        `[log] ${this.log}:${i + 1} is no evaluation of a run; remove the line, or start another run`,
      );
    });
  }

  /** Keeps the rows up to `step`: those that a resumed run will not write again. */
  async cutLog(step: number): Promise<void> {
    const rows = await this.readLog();
    const kept = rows.filter((row) => row.step <= step);
    await writeWhole(this.log, kept.map((row) => `${JSON.stringify(row)}\n`).join(""));
  }

  async appendLog(row: LogRow): Promise<void> {
    await makeFolder(this.path);
    try {
      const file = await open(this.log, "a");
      try {
        await file.writeFile(`${JSON.stringify(row)}\n`);
      } finally {
        await file.close();
      }
    } catch (cause) {
      const { code } = Object(cause);
      throw new Error(
        `[log] ${this.log} cannot be written (${code}); check the folder and the space left`,
        { cause },
      );
    }
  }
}

const sumOf = (value: unknown): string =>
  createHash("sha256").update(JSON.stringify(value)).digest("hex");

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
