/** What the programs of `app/` find, and what they should: the figures of numpy and transformers (tools/reference_hosts.py). */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./fresh.ts";

export type Found = {
  /** Of the device. */
  readonly description: string;
  readonly losses: readonly number[];
  readonly filled: readonly (readonly [token: string, probability: number])[];
  /** How many methods `promptgen` has. */
  readonly methods: number;
  /** Whether a page is cross-origin isolated. */
  readonly isolated?: boolean;
};

type Expected = Pick<Found, "losses" | "filled">;

const expected: Expected = JSON.parse(readFileSync(join(ROOT, "test/golden/hosts.json"), "utf8"));

/** Both devices compute in float32. */
const APART = 2e-6;

const near = (a: number, b: number): boolean => Math.abs(a - b) <= APART;

/** One sentence for each thing that is not as it should be. */
export function problems(found: Found, want: Expected = expected): string[] {
  const { losses, filled } = found;
  const said: string[] = [];
  if (losses.length !== want.losses.length) said.push(`${losses.length} losses`);
  want.losses.forEach((loss, i) => {
    if (!near(losses[i], loss)) said.push(`loss ${i} is ${losses[i]}, not ${loss}`);
  });
  want.filled.forEach(([token, probability], i) => {
    const [there, value] = filled[i] ?? [];
    if (there !== token || value === undefined || !near(value, probability)) {
      said.push(`answer ${i} is ${there} (${value}), not ${token} (${probability})`);
    }
  });
  if (found.methods < 10) said.push(`promptgen has ${found.methods} methods`);
  return said;
}

/** What a device should call itself. */
const DEVICES: Readonly<Record<string, RegExp>> = {
  cpu: /^CPU with \d+ threads? \((relaxed )?SIMD\b.*as asked\)$/,
  "gpu:software": /^WebGPU on .*\(a software adapter, as asked\)$/,
};

/** Whether it is the device that was asked for. */
export const deviceProblems = (found: Found, device: string): string[] =>
  DEVICES[device].test(found.description) ? [] : [`the device is ${found.description}`];

/** The figures in one line. */
export function figures({ losses, filled, description }: Found): string {
  const [[token, probability]] = filled;
  const loss = `${losses[0].toFixed(6)} -> ${losses.at(-1)?.toFixed(6)}`;
  return `loss ${loss}, ${token} ${probability.toFixed(6)}, ${description}`;
}
