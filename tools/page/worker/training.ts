/**
 * PromptGen's training in a worker, with the code of `promptgen train`: a run's folder on the disk of the worker, which the browser
 * keeps. Pausing is what the command does when it is interrupted: a checkpoint. Going on is `--resume`. Alpha may change where it
 * goes on; the folder says when it did.
 */
import type { Device } from "../../../engine/device.ts";
import type { StepReport } from "../../../models/training/loop.ts";
import { secondsLeft } from "../../../models/training/pace.ts";
import { type LogRow, RunFolder } from "../../../models/training/run-folder.ts";
import type { Item } from "../../../promptgen/benchmark.ts";
import { itemsOf } from "../../../promptgen/benchmark.ts";
import { bucketsOf, Examiner } from "../../../promptgen/measure.ts";
import {
  examinerOf,
  flatOptions,
  type Prepared,
  type RunOptions,
  trainRun,
} from "../../../promptgen/run.ts";
import { readSteps } from "../../../promptgen/training/steps.ts";
import { disk } from "../node/disk.ts";
import type {
  Answers,
  EvaluationRow,
  PageEvent,
  PromptShown,
  Question,
  Series,
  TrainingKind,
  TrainingShown,
  TrainingState,
} from "../protocol.ts";
import { Asker } from "./asking.ts";
import type { Kept } from "./kept.ts";

/** The folder of the disk that the browser keeps. */
export const RUNS = "/runs";

/** Steps between two checkpoints: what a page that is closed without a word loses. */
const SAVE_EVERY = 10;
/** Steps between two looks at the prompts of some facts. */
const LOOK_EVERY = 5;
/** Facts whose prompts are looked at. */
const WATCHED = 5;
/** Seconds between two messages about steps. */
const PATIENCE = 0.15;

type Emit = (event: PageEvent) => void;

const NO_STEPS: Series = { steps: [], object: [], none: [], entropy: [], topProbability: [] };
const COLUMNS = ["object", "none", "entropy", "topProbability"] as const;

/** Puts series one behind the other. */
const added = (a: Series, b: Series): Series => ({
  steps: [...a.steps, ...b.steps],
  object: [...a.object, ...b.object],
  none: [...a.none, ...b.none],
  entropy: [...a.entropy, ...b.entropy],
  topProbability: [...a.topProbability, ...b.topProbability],
});

/** One training and where it stands. */
export class Training {
  readonly kind: TrainingKind;
  readonly #device: Device;
  readonly #run: Prepared;
  readonly #folder: RunFolder;
  readonly #kept: Kept | undefined;
  readonly #emit: Emit;
  readonly #asked: Examiner;
  readonly #watched: readonly Item[];
  readonly #watcher: Examiner;
  #alpha: number;
  #state: TrainingState = "none";
  #step = 0;
  #steps = 0;
  #left: number | undefined;
  #best: { readonly step: number; readonly accuracy: number } | undefined;
  #message = "";
  #running: AbortController | undefined;
  #ended: Promise<void> = Promise.resolve();
  #new = NO_STEPS;
  #told = 0;
  #looking = false;
  #asker: Asker | undefined;

  constructor(
    device: Device,
    run: Prepared,
    kind: TrainingKind,
    kept: Kept | undefined,
    emit: Emit,
  ) {
    this.kind = kind;
    this.#device = device;
    this.#run = run;
    this.#folder = folderOf(kind);
    this.#kept = kept;
    this.#emit = emit;
    this.#alpha = Number(run.options.own.alpha);
    this.#asked = examinerOf(device, run, "dev");
    this.#watched = spread(itemsOf(run.benchmark.relations, "dev"), WATCHED);
    this.#watcher = new Examiner(device, run.benchmark, run.prompter, {
      buckets: bucketsOf(run.prompter, this.#watched).slice(-1),
      batchSize: this.#watched.length,
      candidates: 1,
    });
    const row = this.#rows().at(-1);
    const table = readSteps(this.#folder.path);
    if (!this.#folder.hasStarted()) return;
    this.#state = "paused";
    this.#step = Math.max(row?.step ?? 0, 0);
    this.#steps = 0;
    this.#best = bestOf(this.#rows());
    if (table) this.#step = Math.max(this.#step, table.steps);
  }

  /** Where it stands. */
  get shown(): TrainingShown {
    return {
      state: this.#state,
      kind: this.kind,
      step: this.#step,
      steps: this.#steps,
      alpha: this.#alpha,
      seed: this.#run.options.seed,
      left: this.#left,
      best: this.#best,
      kept: this.kind === "world" && this.#kept !== undefined && this.#kept.problem === "",
      message: this.#message || (this.#kept?.problem ?? ""),
    };
  }

  /** What an earlier visit has left of its curves. */
  get series(): Series {
    const table = readSteps(this.#folder.path);
    if (!table) return NO_STEPS;
    const { columns, values } = table;
    const steps = Array.from({ length: Math.min(table.steps, this.#step) }, (_, i) => i + 1);
    const column = (name: string): number[] => {
      const at = columns.indexOf(name);
      return steps.map((step) => (at < 0 ? Number.NaN : values[(step - 1) * columns.length + at]));
    };
    const [object, none, entropy, topProbability] = COLUMNS.map(column);
    return { steps, object, none, entropy, topProbability };
  }

  get evaluations(): readonly EvaluationRow[] {
    return this.#rows().map(rowOf);
  }

  /** What the prompter, as it is between two steps, makes of a question. */
  answers(question: Question): Promise<Answers> {
    this.#asker ??= new Asker(this.#device, this.#run.benchmark, this.#run.prompter);
    return this.#asker.answers(question);
  }

  /** Reads where a kept run stands. */
  async look(): Promise<void> {
    const stand = this.#folder.hasStarted() ? await this.#folder.stand() : undefined;
    if (!stand) return;
    this.#step = stand.step;
    this.#steps = stand.steps;
    this.#state = stand.step < stand.steps ? "paused" : "done";
    await this.#restoreBest(); // going on brings the last ones
  }

  /** Gives the prompter the best weights so far, if there are some. */
  async #restoreBest(): Promise<void> {
    const { best } = this.#folder;
    if (disk.kind(best) === "folder") await this.#run.prompter.restore(this.#device, best);
  }

  /** Begins anew, or goes on; with `once` for one step. Answers at once. */
  go({
    once = false,
    alpha = this.#alpha,
  }: {
    readonly once?: boolean;
    readonly alpha?: number;
  } = {}): void {
    if (this.#running || this.#state === "done") return;
    const control = new AbortController();
    this.#running = control;
    this.#state = this.#state === "paused" ? "running" : "starting";
    this.#message = "";
    if (alpha !== this.#alpha) this.#noteAlpha(alpha);
    this.#alpha = alpha;
    this.#ended = this.#train(control, once).finally(() => {
      this.#running = undefined;
      this.#tellSteps();
      this.#tell();
    });
    this.#tell();
  }

  /** Stops after the running step, with a checkpoint that is kept. */
  async pause(): Promise<void> {
    if (this.#running) this.#state = "pausing";
    this.#tell();
    this.#running?.abort();
    await this.#ended;
  }

  /** Stops it for good and gives back what it took of the machine. */
  async end(): Promise<void> {
    await this.pause();
    this.#device.destroy();
  }

  async #train(control: AbortController, once: boolean): Promise<void> {
    const { options } = this.#run;
    const run: Prepared = {
      ...this.#run,
      options: { ...options, own: { ...options.own, alpha: this.#alpha } },
    };
    const resume = this.#folder.hasStarted();
    try {
      if (!resume) await this.#begin(run.options);
      const outcome = await trainRun(run, {
        device: this.#device,
        folder: this.#folder,
        examiner: this.#asked,
        resume,
        identity: identityOf(this.#run),
        saveEvery: SAVE_EVERY,
        signal: control.signal,
        onStep: (report) => {
          this.#took(report);
          if (once) control.abort();
        },
        onEvaluation: (row) => this.#evaluated(row),
        onAsked: (done, all) => this.#emit({ event: "progress", what: "dev facts", done, all }),
      });
      await this.#kept?.settled(); // who reads that it is paused may close the page
      this.#step = outcome.step;
      this.#steps = outcome.steps;
      this.#state = outcome.finished ? "done" : "paused";
      if (!outcome.finished) return;
      await this.#restoreBest();
      await this.#lookAtPrompts();
    } catch (error) {
      this.#state = "failed";
      this.#message = error instanceof Error ? error.message : String(error);
    }
  }

  async #begin(options: RunOptions): Promise<void> {
    disk.remove(this.#folder.path);
    await this.#folder.begin({ options: flatOptions(options), contents: this.#run.contents });
  }

  /** Writes down from which step on another alpha holds. */
  #noteAlpha(alpha: number): void {
    const path = this.#folder.file(ALPHAS);
    const known = disk.kind(path) === "file" ? new TextDecoder().decode(disk.bytes(path)) : "";
    const line = `${JSON.stringify({ behind: this.#step, alpha })}\n`;
    disk.put(path, new TextEncoder().encode(known + line));
  }

  #took(report: StepReport): void {
    const { step, steps, terms, watched = {}, left } = report;
    if (this.#state === "starting") this.#state = "running";
    this.#step = step;
    this.#steps = steps;
    this.#left = left && secondsLeft(left);
    const figures = { ...terms, ...watched };
    const [object, none, entropy, topProbability] = COLUMNS.map((name) => [figures[name]]);
    this.#new = added(this.#new, { steps: [step], object, none, entropy, topProbability });
    if (step % LOOK_EVERY === 0 || step === 1) this.#lookAtPrompts();
    if (performance.now() - this.#told < 1000 * PATIENCE) return;
    this.#tellSteps();
    this.#tell();
  }

  #evaluated(row: LogRow): void {
    this.#best = bestOf(this.#rows());
    this.#emit({ event: "evaluation", row: rowOf(row) });
    this.#tell();
  }

  #rows(): LogRow[] {
    return this.#folder.logged();
  }

  #tell(): void {
    this.#emit({ event: "training", shown: this.shown });
  }

  #tellSteps(): void {
    this.#told = performance.now();
    if (this.#new.steps.length > 0) this.#emit({ event: "steps", series: this.#new });
    this.#new = NO_STEPS;
  }

  /** Asks the watched facts as the weights are between two steps; a look that is under way is enough. */
  async #lookAtPrompts(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    const step = this.#step;
    try {
      const explained = await this.#watcher.explain(this.#watched);
      const { tokenizer } = this.#run.benchmark;
      const prompts = (explained ?? []).map(({ item, prompt, top, answers }): PromptShown => {
        const [answer, none] = top.map(([{ id, probability }]) => ({
          word: tokenizer.word(id) ?? tokenizer.token(id),
          probability,
        }));
        const { relation, fact } = item;
        const { subject, object } = fact;
        return {
          relation: relation.id,
          subject,
          object,
          prompt,
          answer,
          none,
          right: answers[0].right,
        };
      });
      this.#emit({ event: "prompts", step, prompts });
    } catch {
      // weights that are not finite are what the training itself tells
    } finally {
      this.#looking = false;
    }
  }
}

/** In a run's folder: from which step on another alpha holds, a line each. */
const ALPHAS = "alpha.jsonl";

/** The run's folder; only that of the embedded world is kept, for a visitor's own models are not. */
export const folderOf = (kind: TrainingKind): RunFolder =>
  new RunFolder(kind === "world" ? `${RUNS}/world` : "/own/run");

/** The alpha that a kept run goes on with; undefined where it never changed. */
export function lastAlpha(kind: TrainingKind): number | undefined {
  const path = folderOf(kind).file(ALPHAS);
  if (disk.kind(path) !== "file") return undefined;
  const line = new TextDecoder().decode(disk.bytes(path)).trim().split("\n").at(-1) ?? "";
  const { alpha } = Object(JSON.parse(line));
  return typeof alpha === "number" ? alpha : undefined;
}

/** What a checkpoint must share with the run that goes on from it: all but alpha, which may change. */
const identityOf = ({ options, contents }: Prepared): string => {
  const { alpha: _, ...rest } = flatOptions(options);
  return JSON.stringify([rest, contents]);
};

const rowOf = (row: LogRow): EvaluationRow => ({
  step: row.step,
  devAccuracy: Number(row.devAccuracy),
  devNone: Number(row.devNone),
  distinctPrompts: Number(row.distinctPrompts),
});

function bestOf(rows: readonly LogRow[]): { step: number; accuracy: number } | undefined {
  const row = rows.findLast(({ best }) => best === true);
  return row && { step: row.step, accuracy: Number(row.devAccuracy) };
}

/** Some of a list, from all of it. */
const spread = <T>(list: readonly T[], count: number): T[] =>
  Array.from(
    { length: Math.min(count, list.length) },
    (_, i) => list[Math.floor((i * list.length) / count)],
  );
