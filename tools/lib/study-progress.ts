/** How the runs of a study stand, how long the rest will take, and the page that follows them. */
import { readFileSync } from "node:fs";
import type { RunFolder } from "../../models/training/run-folder.ts";
import { type LiveRun, livePage } from "../../promptgen/report/page/live.ts";
import type { Study, Task } from "../../promptgen/study.ts";
import type { ProgressMessage } from "./cli.ts";
import { writtenSoFar } from "./watch.ts";

/** How a task stands. */
export type Stand = "done" | "cut off" | "new";

/** A task, and what is there of it. */
export type Planned = {
  readonly task: Task;
  readonly folder: RunFolder;
  readonly stand: Stand;
};

/** What a study's page says while its runs are made. */
export class Following {
  readonly #study: Study;
  readonly #plan: readonly Planned[];
  readonly #runs: Map<string, Pick<LiveRun, "stand" | "said">>;
  /** Of the runs that are done. */
  readonly #written = new Map<string, LiveRun["trainings"]>();

  constructor(study: Study, plan: readonly Planned[]) {
    this.#study = study;
    this.#plan = plan;
    this.#runs = new Map(
      plan.map(({ task, stand }) => [
        task.name,
        { stand: stand === "done" ? "done" : "waiting", said: stand === "cut off" ? stand : "" },
      ]),
    );
  }

  begin(name: string): void {
    this.#runs.set(name, { stand: "running", said: "begins" });
  }

  tell(name: string, { label, done, total, note }: ProgressMessage): void {
    this.#runs.set(name, { stand: "running", said: `${label} ${done}/${total} ${note}` });
  }

  end(name: string, stand: "done" | "failed"): void {
    this.#runs.set(name, { stand, said: "" });
  }

  page(): string {
    const runs = this.#study.rows.flatMap(({ name: row, tasks }) =>
      tasks.map(({ name }): LiveRun => {
        const { stand, said } = this.#runs.get(name) ?? { stand: "waiting", said: "" };
        const folder = this.#plan.find(({ task }) => task.name === name)?.folder;
        const kept = this.#written.get(name);
        const trainings = kept ?? (folder && stand !== "waiting" ? writtenSoFar(folder) : []);
        if (stand === "done") this.#written.set(name, trainings);
        return { name, row, stand, said, trainings };
      }),
    );
    const now = this.#plan.map((one): Planned => {
      const isDone = this.#runs.get(one.task.name)?.stand === "done";
      return isDone ? { ...one, stand: "done" } : { ...one, stand: "new" };
    });
    const said = estimate(this.#study, now).split("\n");
    return livePage({ name: this.#study.name, said, runs });
  }
}

/** Seconds that a run that is done has computed, as its results say; undefined where they do not. */
function secondsOf({ folder, stand }: Planned): number | undefined {
  if (stand !== "done") return undefined;
  const { seconds } = JSON.parse(readFileSync(folder.file("results.json"), "utf8"));
  const { training, evaluating } = Object(seconds);
  const sum = training + evaluating;
  return typeof sum === "number" && Number.isFinite(sum) ? sum : undefined;
}

/** How long what is not done will compute: as runs of the same row have, else of the same method. */
export function estimate(study: Study, plan: readonly Planned[]): string {
  const took = plan.map(secondsOf);
  const mean = (fits: (other: Planned) => boolean): number | undefined => {
    const known = took.filter((seconds, i) => seconds !== undefined && fits(plan[i]));
    return known.length === 0
      ? undefined
      : known.reduce<number>((sum, seconds) => sum + (seconds ?? 0), 0) / known.length;
  };
  const left = plan.filter(({ stand }) => stand !== "done");
  if (left.length === 0) return "all runs are done";
  const guesses = left.map(({ task }) => {
    const row = study.rows.find(({ tasks }) => tasks.includes(task));
    const { method } = task.options;
    return (
      mean((other) => row?.tasks.includes(other.task) === true) ??
      mean((other) => other.task.options.method === method)
    );
  });
  const known = guesses.flatMap((seconds) => seconds ?? []);
  const sum = known.reduce((total, seconds) => total + seconds, 0);
  const time = sum < 120 ? `${sum.toFixed(0)} s` : `${(sum / 60).toFixed(0)} min`;
  const unknown = left.length - known.length;
  return [
    ...(known.length === 0
      ? []
      : [`${known.length} to run: about ${time} one after the other, as those took that are done`]),
    ...(unknown === 0
      ? []
      : [`${unknown} to run: how long is unknown, for no run of these methods is done`]),
  ].join("\n");
}
