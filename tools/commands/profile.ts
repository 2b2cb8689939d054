/** `npm run profile`: what a whole training step costs, counted from its plan, or timed on a device: `npm run profile -- --help`. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { countPlan, described, planOf, totalsOf } from "../gpu/count.ts";
import { settled } from "../gpu/workload.ts";
import { numberOf, type OptionSpec, printResult, UsageError } from "../lib/cli.ts";
import { commandOf, type Line, runCommand } from "../lib/command.ts";
import { runProgram } from "../lib/program.ts";
import { PAIR_SIZES, type PairName } from "./bench/pair.ts";

const TOOL = "profile";

const OPTIONS = {
  pair: {
    value: "P",
    help: "large (BART-large and BERT-base), base (bart-base and BERT-base), small or toy",
    initial: "large",
  },
  count: { help: "counts from the plan as a large GPU gets it; no device is opened" },
  device: { value: "D", help: "instead: times a few steps on gpu, gpu:software or cpu" },
  batch: { value: "N", help: "facts a step", initial: "32" },
  dropout: { value: "P", help: "BART's dropouts, all three", initial: "0.1" },
  top: { value: "N", help: "rows of each table", initial: "30" },
  steps: { value: "N", help: "steps that are timed", initial: "5" },
  bandwidth: { value: "GB/S", help: "the floor's; without it a copy on the device is timed" },
  rate: { value: "GFLOPS", help: "the floor's; without it a product on the device is timed" },
  out: { value: "FILE", help: "also writes the numbers there, as JSON" },
} satisfies Record<string, OptionSpec>;

const isPair = (name: string): name is PairName => Object.hasOwn(PAIR_SIZES, name);

async function main({ values }: Line<keyof typeof OPTIONS>): Promise<number> {
  const { pair = "large", out, device } = values;
  if (!isPair(pair)) {
    const names = Object.keys(PAIR_SIZES).join(", ");
    throw new UsageError(`[${TOOL}] --pair is ${pair}; choose among ${names}`);
  }
  if ((values.count === undefined) === (device === undefined)) {
    throw new UsageError(
      `[${TOOL}] say what to do: --count to count from the plan, or --device D to time steps`,
    );
  }
  const whole = (option: "batch" | "top" | "steps", text: string): number =>
    numberOf(TOOL, option, values[option] ?? text, { least: 1, most: 4096, whole: true });
  const batch = whole("batch", "32");
  const dropout = numberOf(TOOL, "dropout", values.dropout ?? "0.1", { least: 0, most: 0.9 });
  const size = PAIR_SIZES[pair];
  if (device !== undefined) {
    const step = join(import.meta.dirname, "../gpu/step.ts");
    return runProgram([
      ...[step, "--profile", "--device", device, "--size", size, "--batch", String(batch)],
      ...["--dropout", String(dropout), "--attn", String(dropout)],
      ...["--steps", String(whole("steps", "5")), "--top", String(whole("top", "30"))],
      ...(["bandwidth", "rate"] as const).flatMap((name) => {
        const text = values[name];
        if (text === undefined) return [];
        return [`--${name}`, String(numberOf(TOOL, name, text, { least: 0.001, most: 1e9 }))];
      }),
      ...(out === undefined ? [] : ["--json", out]),
    ]);
  }
  const options = { size, batch, dropout, attention: dropout };
  const counts = countPlan(await planOf(options));
  const { kernels, ops, products } = counts;
  const tables = Object.entries({ kernels, ops, products });
  const rows = Object.fromEntries(tables.map(([name, sums]) => [name, Object.fromEntries(sums)]));
  const all = { workload: settled(options), ...totalsOf(counts), ...rows };
  printResult(all, () => described(counts, whole("top", "30")));
  if (out !== undefined) writeFileSync(out, `${JSON.stringify(all, null, 1)}\n`);
  return 0;
}

export const command = commandOf({
  name: TOOL,
  call: "npm run profile --",
  about: "Says what the PromptGen training step of a pair of models costs, with random weights.",
  examples: [
    ["--count --pair large", "launches, barriers, bytes and operations, from the plan"],
    ["--device gpu --pair base --steps 10", "time by kernel, op and line of the model"],
  ],
  options: OPTIONS,
  notes: `Counted are launches, the least barriers between them, bytes and floating-point operations, by kernel, matrix product and op. The
bytes of products whose K is split, and the second dispatch that they take, are told apart. Timed are launches, each by
itself, which makes a step longer than it is. The floor of each is bytes / bandwidth or operations / rate, whichever is longer.`,
  run: main,
});

export const run = (): Promise<never> => runCommand(command);
