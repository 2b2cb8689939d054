/** The flags of the workload, which counting and running share. */
import { PARTS, SIZES, type Size, type WorkloadOptions } from "./workload.ts";

/** For `parseArgs`. */
export const WORKLOAD_FLAGS = {
  size: { type: "string", default: "full" },
  part: { type: "string", default: "step" },
  batch: { type: "string" },
  subject: { type: "string" },
  extra: { type: "string" },
  dropout: { type: "string" },
  attn: { type: "string" },
} as const;

type Values = Partial<Record<keyof typeof WORKLOAD_FLAGS, string>>;

/** Throws where a flag has no value that could be meant. */
export function optionsOf(values: Values): WorkloadOptions {
  const { size = "full", part: name = "step" } = values;
  if (!Object.hasOwn(SIZES, size)) {
    throw new Error(`[gpu] --size ${size}: choose among ${Object.keys(SIZES).join(", ")}`);
  }
  const part = PARTS.find((known) => known === name);
  if (part === undefined) {
    throw new Error(`[gpu] --part ${name}: choose among ${PARTS.join(", ")}`);
  }
  const number = (flag: keyof Values): number | undefined => {
    const value = values[flag];
    if (value === undefined) return undefined;
    if (Number.isFinite(Number(value)) && value.trim() !== "") return Number(value);
    throw new Error(`[gpu] --${flag} ${value} is not a number`);
  };
  return {
    size: size as Size,
    part,
    batch: number("batch"),
    subject: number("subject"),
    extra: number("extra"),
    dropout: number("dropout"),
    attention: number("attn"),
  };
}
