/** Figures as cells of a table: one digit behind the point, differences with their sign, a mean with its deviation. */
import type { Spread } from "../scores.ts";
import type { Cell } from "./table.ts";

/** `31.1`; an empty place for no figure. */
export function percent(value: number | undefined): Cell {
  return value === undefined ? null : value.toFixed(1);
}

/** `+1.0`, `-0.3`, `0.0`; an empty place where one of the two is missing. */
export function difference(ours: number | undefined, theirs: number | undefined): Cell {
  if (ours === undefined || theirs === undefined) return null;
  const text = (ours - theirs).toFixed(1);
  if (text === "0.0" || text === "-0.0") return "0.0";
  return ours > theirs ? `+${text}` : text;
}

/** `31.1 ± 0.5`, or the mean alone. */
export function spread({ mean, deviation }: Spread): string {
  return deviation === undefined ? mean.toFixed(1) : `${mean.toFixed(1)} ± ${deviation.toFixed(1)}`;
}
