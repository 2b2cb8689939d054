/**
 * Dose and response: how the rows of a study change over its settings, and whether the figures hold without which they say nothing.
 *
 * It knows what each run answered about each fact, and of a setting its values; no files and no models.
 */

import { groupBy } from "../facts/group-by.ts";
import { isRight, rightWith } from "./fact-rows.ts";
import { difference, percent, spread } from "./figures.ts";
import type { RelationRow } from "./relations.ts";
import { NONE_FILLER } from "./results.ts";
import { checkedRows, figuresOf, Resampler, type Row, titleOf } from "./rows.ts";
import type { Column, Table } from "./table.ts";

/** What sets a part of a study apart: numbers or words by name. */
export type Setting = Readonly<Record<string, number | string>>;

/** A figure that a row must reach, in per cent over all relations. */
export type Gate = {
  /** Its title. */
  readonly row: string;
  readonly least: number;
  readonly most: number;
  /** In the parts whose settings have these values. */
  readonly where: Setting;
};

/** The rows of one setting. */
export type DosePart = {
  readonly setting: Setting;
  readonly relations: readonly RelationRow[];
  readonly rows: readonly Row[];
  /** By title: seconds that a run trained, mean of those that say so. */
  readonly seconds: ReadonlyMap<string, number>;
};

/** A row in a setting, per cent over all relations. */
export type DosePoint = {
  readonly setting: Setting;
  readonly row: string;
  readonly mean: number;
  readonly deviation: number | undefined;
  readonly interval: readonly [low: number, high: number];
  /** With "None" for the subject; undefined where that was not asked. */
  readonly none: number | undefined;
  readonly seconds: number | undefined;
  /** How far the row that all are tested against is above it; undefined for itself. */
  readonly behind:
    | { readonly difference: number; readonly interval: readonly [low: number, high: number] }
    | undefined;
};

/** Whether a part of this setting is one that a gate is for. */
export const holds = (where: Setting, setting: Setting): boolean =>
  Object.entries(where).every(([name, value]) => setting[name] === value);

/**
 * Every row in every setting, with intervals by facts drawn anew.
 * @param against title of the row that the others are held against
 */
export function dosePoints(
  parts: readonly DosePart[],
  against: string | undefined,
  resampling = { resamples: 2000, seed: 1 },
): DosePoint[] {
  return parts.flatMap(({ setting, relations, rows, seconds }) => {
    const checked = checkedRows(relations, rows);
    const resampler = new Resampler(relations, checked, resampling);
    const first = checked.find((row) => titleOf(row) === against);
    return checked.map((row): DosePoint => {
      const title = titleOf(row);
      const all = figuresOf(relations, row, isRight)?.all ?? { mean: 0, deviation: undefined };
      const test = first === undefined || first === row ? undefined : resampler.test(first, row);
      return {
        setting,
        row: title,
        ...all,
        interval: resampler.interval(row),
        none: figuresOf(relations, row, rightWith(NONE_FILLER))?.all.mean,
        seconds: seconds.get(title),
        behind: test && { difference: test.difference, interval: test.interval },
      };
    });
  });
}

const left = (head: string): Column => ({ head, align: "left" });
const right = (head: string): Column => ({ head, align: "right" });

const range = ([low, high]: readonly [number, number]): string =>
  `${low.toFixed(1)} to ${high.toFixed(1)}`;

/** A line for each row of each setting. */
export function doseTable(points: readonly DosePoint[], against: string | undefined): Table {
  const names = Object.keys(points[0]?.setting ?? {});
  const rules = points.flatMap(({ setting }, i) =>
    i > 0 && points[i - 1].setting !== setting ? [i] : [],
  );
  const others = against === undefined ? [] : [right(`${against} is above by`), right("interval")];
  return {
    title: "dose and response: accuracy (%), mean over relations",
    groups: [
      {
        columns: [
          ...names.map(right),
          left("row"),
          right("accuracy"),
          right("interval"),
          right("None"),
          ...others,
          right("s a run"),
        ],
      },
    ],
    rows: points.map(({ setting, row, mean, deviation, interval, none, behind, seconds }) => [
      ...names.map((name) => String(setting[name])),
      row,
      spread({ mean, deviation }),
      range(interval),
      percent(none),
      ...(against === undefined
        ? []
        : [
            difference(behind?.difference, behind && 0),
            behind === undefined ? null : range(behind.interval),
          ]),
      seconds === undefined ? null : seconds.toFixed(0),
    ]),
    rules,
    notes: [
      "Intervals of 95 %: facts drawn anew within each relation, 2000 times by seed 1, of the means over the seeds.",
    ],
  };
}

/** What a gate found in a setting. */
export type GateResult = {
  readonly gate: Gate;
  readonly setting: Setting;
  readonly value: number;
  readonly isHeld: boolean;
};

/** Each gate in each setting that it is for. */
export const gateResults = (gates: readonly Gate[], points: readonly DosePoint[]): GateResult[] =>
  gates.flatMap((gate) =>
    points
      .filter(({ row, setting }) => row === gate.row && holds(gate.where, setting))
      .map(({ setting, mean: value }) => ({
        gate,
        setting,
        value,
        isHeld: value >= gate.least && value <= gate.most,
      })),
  );

export function gateTable(results: readonly GateResult[]): Table {
  const missed = results.filter(({ isHeld }) => !isHeld).length;
  return {
    title: "gates: figures (%) without which the rows say nothing",
    groups: [
      {
        columns: [left("row"), left("setting"), right("from"), right("to"), right("is"), left("")],
      },
    ],
    rows: results.map(({ gate, setting, value, isHeld }) => [
      gate.row,
      Object.entries(setting)
        .map(([name, own]) => `${name} ${own}`)
        .join(", "),
      String(gate.least),
      String(gate.most),
      value.toFixed(1),
      isHeld ? "holds" : "MISSED",
    ]),
    notes: [missed === 0 ? "All gates hold." : `${missed} of ${results.length} are missed.`],
  };
}

/** What is drawn: one value of the settings along an axis, the others fixed. */
export type DosePanel = {
  readonly dial: string;
  readonly fixed: Setting;
  readonly points: readonly DosePoint[];
};

/** A panel for each value that changes while all others stay, in two settings or more. */
export function dosePanels(points: readonly DosePoint[]): DosePanel[] {
  const names = Object.keys(points[0]?.setting ?? {});
  return names.flatMap((dial) => {
    const fixedOf = ({ setting }: DosePoint): Setting =>
      Object.fromEntries(Object.entries(setting).filter(([name]) => name !== dial));
    const numbered = points.filter(({ setting }) => typeof setting[dial] === "number");
    const alike = groupBy(numbered, (point) => JSON.stringify(fixedOf(point)));
    return [...alike.values()]
      .filter((own) => new Set(own.map(({ setting }) => setting[dial])).size > 1)
      .map((own) => ({
        dial,
        fixed: fixedOf(own[0]),
        points: own.toSorted((a, b) => Number(a.setting[dial]) - Number(b.setting[dial])),
      }));
  });
}
