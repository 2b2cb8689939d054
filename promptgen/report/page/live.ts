/** A page that follows runs: how each stands, its curves so far. It is made anew whenever it is asked for, and a browser asks by itself. */
import { devCurves, type RowCurves, rowCurves } from "./charts.ts";
import { curveOf, panelsOf, placesFor, type Written } from "./curves.ts";
import { htmlDocument } from "./document.ts";
import { element, htmlTable } from "./html.ts";

/** A run and how it stands. */
export type LiveRun = {
  /** Of its folder. */
  readonly name: string;
  /** Title of its row. */
  readonly row: string;
  readonly stand: "done" | "running" | "waiting" | "failed";
  /** What it said last: where it is, how long the rest takes. */
  readonly said: string;
  /** What its trainings wrote so far. */
  readonly trainings: readonly Written[];
};

export type Live = {
  readonly name: string;
  /** Sentences about all of it: how much is done, how long the rest takes. */
  readonly said: readonly string[];
  readonly runs: readonly LiveRun[];
};

/** Seconds between two looks. */
const REFRESH = 5;

export function livePage({ name, said, runs }: Live): string {
  const places = placesFor(runs.map(({ trainings }) => trainings));
  const rows = new Map<string, RowCurves>();
  for (const { row, trainings } of runs) {
    const curve = curveOf(trainings, places);
    if (curve.length < 2) continue;
    rows.set(row, { title: row, curves: [...(rows.get(row)?.curves ?? []), curve] });
  }
  const drawn = [...rows.values()].filter(({ curves }) =>
    panelsOf(curves).some(({ series }) => series.some(([key]) => key === "devAccuracy")),
  );
  const running = runs.filter(({ stand }) => stand === "running");
  const left = (head: string) => ({ head, align: "left" }) as const;
  const table = {
    title: "runs",
    groups: [{ columns: ["run", "stands", "said last"].map(left) }],
    rows: runs.map((run) => [run.name, run.stand, run.said]),
  };
  const counts = (["done", "running", "waiting", "failed"] as const)
    .map((stand) => [runs.filter((run) => run.stand === stand).length, stand] as const)
    .filter(([count]) => count > 0)
    .map(([count, stand]) => `${count} ${stand}`);
  return htmlDocument({
    title: `${counts.join(", ")}: ${name}`,
    refresh: REFRESH,
    body: [
      element(
        "header",
        { class: "top" },
        element("h1", {}, name),
        element("p", { class: "lead", role: "status" }, [counts.join(", "), ...said].join(". ")),
      ),
      element(
        "main",
        { id: "main" },
        running.map((run) =>
          element(
            "section",
            {},
            element("h2", {}, run.name),
            element("p", {}, run.said),
            rowCurves({ title: run.name, curves: [curveOf(run.trainings, places)] }),
          ),
        ),
        element(
          "section",
          {},
          element("h2", {}, "All runs"),
          drawn.length === 0 ? "" : devCurves(drawn),
          htmlTable(table, "runs"),
        ),
      ),
      element(
        "footer",
        {},
        `Looks again every ${REFRESH} seconds, as long as the command runs that serves it.`,
      ),
    ],
  });
}
