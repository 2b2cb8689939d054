/**
 * steps.bin: what every step of a training was.
 *
 *     {"version":1,"columns":["object","none","learningRate","gradientNorm","factsPerSecond"]}
 *
 * is its first line, filled with blanks to a multiple of 64 bytes, the line's end included. Behind it stands a record for each step
 * from the first on: a little-endian f32 for each column, NaN where the step has no such figure or nothing tells it. What a training
 * goes on with is written in its place, so that a record that was cut off, or whose step is taken again, is replaced.
 */
import {
  closeSync,
  existsSync,
  ftruncateSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import type { StepReport } from "../../models/training/loop.ts";

export const STEPS_FILE = "steps.bin";

/** Columns, and what each step has of them. */
export type StepTable = {
  readonly columns: readonly string[];
  /** Number of records: that of the last step. */
  readonly steps: number;
  /** f32 [steps, columns]. */
  readonly values: Float32Array;
};

const BLOCK = 64; // bytes
const VERSION = 1;

/** The figures of a step, by the names of their columns. */
export const figuresOf = (report: StepReport): Readonly<Record<string, number>> => {
  const { terms, watched = {}, learningRate, gradientNorm, lossScale, items, seconds } = report;
  return {
    ...terms,
    ...watched,
    ...(learningRate === undefined ? {} : { learningRate }),
    ...(gradientNorm === undefined ? {} : { gradientNorm }),
    ...(lossScale === undefined ? {} : { lossScale }),
    factsPerSecond: items / seconds,
  };
};

function headOf(columns: readonly string[]): Buffer {
  const text = Buffer.from(JSON.stringify({ version: VERSION, columns }));
  const head = Buffer.alloc(BLOCK * Math.ceil((text.length + 1) / BLOCK), " ");
  text.copy(head);
  head[head.length - 1] = 10;
  return head;
}

/** Throws one sentence for a file that begins otherwise. */
function parse(path: string, bytes: Uint8Array): StepTable {
  const end = bytes.indexOf(10) + 1;
  let head: unknown;
  try {
    head = JSON.parse(new TextDecoder().decode(bytes.subarray(0, end)));
  } catch {
    head = undefined;
  }
  const { version, columns } = Object(head);
  const fits =
    version === VERSION &&
    end % BLOCK === 0 &&
    Array.isArray(columns) &&
    columns.length > 0 &&
    columns.every((name) => typeof name === "string");
  if (!fits) {
    throw new Error(
      `[steps] ${path} is no record of a training's steps; remove it, the run goes on without`,
    );
  }
  const steps = Math.floor((bytes.length - end) / (4 * columns.length));
  const view = new DataView(bytes.buffer, bytes.byteOffset + end);
  const values = Float32Array.from({ length: steps * columns.length }, (_, i) =>
    view.getFloat32(4 * i, true),
  );
  return { columns, steps, values };
}

/**
 * Reads a record of steps, also one that is being written; a last record that was cut off is left out. Undefined where there is none.
 * @param folder of a training
 */
export function readSteps(folder: string): StepTable | undefined {
  const path = join(folder, STEPS_FILE);
  return existsSync(path) ? parse(path, readFileSync(path)) : undefined;
}

/** Writes the record of a training that begins or goes on. Every step is in the file when `note` returns. */
export class StepFile {
  readonly #path: string;
  #columns: readonly string[] = [];
  #file: number | undefined;
  /** Where the records begin. */
  #start = 0;
  /** The step that was written last in this process. */
  #last: number | undefined;

  /**
   * @param folder of the training, which is there
   * @param resume keeps what is there
   * @throws one sentence for a file that is no record
   */
  constructor(folder: string, resume: boolean) {
    this.#path = join(folder, STEPS_FILE);
    if (resume) this.#columns = readSteps(folder)?.columns ?? [];
    else rmSync(this.#path, { force: true });
  }

  /** Takes a step into the record; the first call decides with which one the training goes on. */
  note(report: StepReport): void {
    const figures = figuresOf(report);
    const { step } = report;
    try {
      const more = Object.keys(figures).filter((name) => !this.#columns.includes(name));
      if (more.length > 0) this.#widen([...this.#columns, ...more]);
      this.#file ??= this.#open();
      const record = 4 * this.#columns.length;
      const at = this.#start + record * (step - 1);
      if (step - 1 !== this.#last) this.#goTo(step - 1);
      const bytes = Buffer.alloc(record);
      this.#columns.forEach((name, i) => {
        bytes.writeFloatLE(figures[name] ?? Number.NaN, 4 * i);
      });
      writeSync(this.#file, bytes, 0, record, at);
      this.#last = step;
    } catch (cause) {
      const { code } = Object(cause);
      if (code === undefined) throw cause;
      throw new Error(
        `[steps] ${this.#path} cannot be written (${code}); check the folder and the space left`,
        { cause },
      );
    }
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }

  #open(): number {
    this.#start = headOf(this.#columns).length;
    return openSync(this.#path, "r+");
  }

  /** Makes the file hold so many whole records: those behind them go, those that are missing are not known. */
  #goTo(steps: number): void {
    if (this.#file === undefined) return;
    const width = this.#columns.length;
    const there = readSteps(dirname(this.#path))?.steps ?? 0;
    ftruncateSync(this.#file, this.#start + 4 * width * Math.min(steps, there));
    const missing = Buffer.alloc(4 * width * Math.max(0, steps - there));
    for (let at = 0; at < missing.length; at += 4) missing.writeFloatLE(Number.NaN, at);
    writeSync(this.#file, missing, 0, missing.length, this.#start + 4 * width * there);
  }

  /** Writes the file anew with more columns. */
  #widen(columns: readonly string[]): void {
    this.close();
    const folder = dirname(this.#path);
    const old = readSteps(folder);
    const own = old?.columns.length ?? 0;
    const body = Buffer.alloc(4 * columns.length * (old?.steps ?? 0));
    for (let i = 0; 4 * i < body.length; i++) {
      const [step, column] = [Math.floor(i / columns.length), i % columns.length];
      const value = column < own ? old?.values[step * own + column] : undefined;
      body.writeFloatLE(value ?? Number.NaN, 4 * i);
    }
    const beside = join(folder, `.${basename(this.#path)}.part`);
    writeFileSync(beside, Buffer.concat([headOf(columns), body]));
    renameSync(beside, this.#path);
    this.#columns = columns;
  }
}
