/** What a training writes beside its log while it runs: a record of every step, and where it is asked for, event files for TensorBoard. */
import { readdirSync, rmSync } from "node:fs";
import { makeFolder } from "../../models/formats/files.ts";
import type { StepReport } from "../../models/training/loop.ts";
import type { LogRow, RunFolder } from "../../models/training/run-folder.ts";
import { EventFile, isEventFile, Standing } from "./events.ts";
import { figuresOf, readSteps, StepFile } from "./steps.ts";

export type CurvesOptions = {
  /** The training goes on. */
  readonly resume: boolean;
  readonly tensorboard: boolean;
};

/** Numbers of a line of the log. */
const numbersOf = ({ step: _, epoch: __, ...row }: LogRow): Readonly<Record<string, number>> =>
  Object.fromEntries(
    Object.entries(row).flatMap(([name, value]) =>
      typeof value === "number" ? [[name, value] as const] : [],
    ),
  );

export class Curves {
  readonly #folder: RunFolder | undefined;
  readonly #steps: StepFile | undefined;
  readonly #wanted: boolean;
  #events: EventFile | undefined;

  private constructor(folder?: RunFolder, steps?: StepFile, wanted = false) {
    this.#folder = folder;
    this.#steps = steps;
    this.#wanted = wanted;
  }

  /** Begins, or goes on with what is there; without a folder nothing is written. */
  static async begin(
    folder: RunFolder | undefined,
    { resume, tensorboard }: CurvesOptions,
  ): Promise<Curves> {
    if (!folder) return new Curves();
    await makeFolder(folder.path);
    if (!resume) {
      for (const name of readdirSync(folder.path).filter(isEventFile)) rmSync(folder.file(name));
    }
    return new Curves(folder, new StepFile(folder.path, resume), tensorboard);
  }

  step(report: StepReport): void {
    if (!this.#events) this.#catchUp(report.step - 1);
    this.#steps?.note(report);
    this.#events?.step(report.step, figuresOf(report));
  }

  evaluation(row: LogRow): void {
    this.#events?.evaluation(row.step, numbersOf(row)); // one before the first step is in the log by then
  }

  /** Writes into an event file what is known and stands in none. @param done steps that are taken, if it is known */
  #catchUp(done?: number): void {
    const folder = this.#folder;
    if (!folder || !this.#wanted) return;
    const { columns, values, steps } = readSteps(folder.path) ?? NO_STEPS;
    const taken = done ?? steps;
    const standing = new Standing(folder.path, taken);
    const rows = folder.logged().filter(({ step }) => !standing.evaluations.has(step));
    const numbers = Array.from({ length: Math.min(taken, steps) }, (_, i) => i + 1);
    const missing = numbers.filter((step) => !standing.steps.has(step));
    if (done === undefined && rows.length === 0 && missing.length === 0) return;
    this.#events = new EventFile(standing, taken);
    for (const row of rows) this.evaluation(row);
    for (const step of missing) {
      const at = (step - 1) * columns.length;
      const figures = columns.map((name, i) => [name, values[at + i]] as const);
      this.#events.step(step, Object.fromEntries(figures));
    }
  }

  close(): void {
    if (!this.#events) this.#catchUp();
    this.#steps?.close();
    this.#events?.close();
  }
}

const NO_STEPS = { columns: [], values: new Float32Array(), steps: 0 };
