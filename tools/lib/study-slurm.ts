/** The runs of a study on Slurm: how they stand there, and what is submitted. */
import { join, relative } from "node:path";
import { makeFolder } from "../../models/formats/files.ts";
import type { Study } from "../../promptgen/study.ts";
import { printResult } from "./cli.ts";
import { type SlurmStand, standsOnSlurm, submit } from "./slurm.ts";
import type { Planned } from "./study-progress.ts";
import { lastLine, optionsOfTask } from "./study-runs.ts";

const TOOL = "study";

/** How runs stand on Slurm, by their names. */
export type Stands = ReadonlyMap<string, SlurmStand>;

/** How runs stand: a line for each, and a sum. */
type Told = { readonly runs: readonly object[]; readonly lines: readonly string[] };

export async function standsOf(
  plan: readonly Planned[],
  out: string,
  onSlurm: Stands,
): Promise<Told> {
  const counts = new Map<string, number>();
  const runs: object[] = [];
  const lines: string[] = [];
  for (const { task, stand: own } of plan) {
    const sent = own === "done" ? undefined : onSlurm.get(task.name);
    const stand = sent?.stand ?? own;
    counts.set(stand, (counts.get(stand) ?? 0) + 1);
    const log = join(out, "logs", `${task.name}.txt`);
    const said = stand === "failed" ? await lastLine(log) : undefined;
    runs.push({ name: task.name, stand, note: sent?.note, said });
    const more = said === undefined ? "" : `: ${said} (${relative("", log)})`;
    lines.push(`${stand.padEnd(8)}${task.name}${sent ? `  (${sent.note})` : ""}${more}`);
  }
  lines.push([...counts].map(([stand, count]) => `${count} ${stand}`).join(", "));
  return { runs, lines };
}

/** Shows how a study stands on Slurm and submits what is neither done nor in the queue; whether all is done. */
export async function sendAll(
  study: Study,
  plan: readonly Planned[],
  {
    out,
    onSlurm,
    ...how
  }: {
    out: string;
    onSlurm: Stands;
    directives: readonly string[];
    device: readonly string[];
    /** Elements of the array that may run at a time; undefined for as many as it will. */
    atOnce: number | undefined;
  },
): Promise<boolean> {
  const waiting = plan.filter(({ stand }) => stand !== "done");
  if (waiting.length === 0) return true;
  const inQueue = (name: string) => ["running", "waiting"].includes(onSlurm.get(name)?.stand ?? "");
  const next = waiting.filter(({ task }) => !inQueue(task.name));
  const { runs, lines } = await standsOf(plan, out, onSlurm);
  const submitted: string[] = [];
  if (next.length > 0) {
    await makeFolder(join(out, "logs"));
    const sent = await submit(
      TOOL,
      study.name,
      next.map(({ task }) => ({ name: task.name, options: optionsOfTask(task) })),
      { out, ...how },
    );
    submitted.push(...sent);
  }
  const last =
    "the same command shows how they stand, submits anew what failed or was stopped, and prints the tables when all are done";
  printResult({ study: study.name, runs, submitted }, () =>
    [...lines, ...submitted, last].join("\n"),
  );
  return false;
}

/** How the runs of a study in the folder `out` stand on Slurm. */
export const slurmStands = (study: Study, out: string): Promise<Stands> => {
  const tasks = study.rows
    .flatMap((row) => row.tasks)
    .map((task) => ({ name: task.name, options: optionsOfTask(task) }));
  return standsOnSlurm(TOOL, { name: study.name, out, tasks });
};
