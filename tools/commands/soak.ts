/** `npm run soak`: a device's life, many times over, every value held against plain numbers: `npm run soak -- --help`. */
import { deviceNames } from "../../engine/device.ts";
import { openDevice } from "../../engine/open.ts";
import {
  choiceOf,
  DEVICE_OPTIONS,
  numberOf,
  type OptionSpec,
  Progress,
  printResult,
  Rate,
} from "../lib/cli.ts";
import { commandOf, type Line, runCommand } from "../lib/command.ts";
import { soak } from "./soak/soak.ts";

const TOOL = "soak";

const OPTIONS = {
  ...DEVICE_OPTIONS,
  minutes: { value: "N", help: "how long", initial: "5" },
  seed: { value: "N", help: "the same one draws the same steps again", initial: "1" },
  life: { value: "N", help: "steps of a device's life, on average", initial: "150" },
} satisfies Record<string, OptionSpec>;

async function main({ values }: Line<keyof typeof OPTIONS>): Promise<number> {
  const device = choiceOf(TOOL, "device", values.device ?? "auto", deviceNames);
  const number = (option: "minutes" | "seed" | "life", text: string, least: number, most: number) =>
    numberOf(TOOL, option, values[option] ?? text, { least, most, whole: option !== "minutes" });
  const seconds = 60 * number("minutes", "5", 0.01, 1e5);
  const seed = number("seed", "1", 0, 2 ** 31 - 1);
  const life = number("life", "150", 1, 1e6);
  const threads =
    values.threads === undefined
      ? {}
      : { threads: numberOf(TOOL, "threads", values.threads, { least: 1, most: 64, whole: true }) };
  const start = performance.now();
  const elapsed = (): number => (performance.now() - start) / 1000;
  const rate = new Rate();
  const bar = new Progress(`${TOOL} s`, Math.ceil(seconds), 0, "steps/s");
  try {
    const done = await soak({
      open: (memoryBudget) => openDevice({ ...threads, device, memoryBudget }),
      seed,
      life,
      ended: () => elapsed() >= seconds,
      onStep: ({ steps, devices }) => {
        const rss = Math.round(process.memoryUsage.rss() / 1e6);
        bar.update(
          Math.min(Math.ceil(seconds), Math.floor(elapsed())),
          `${steps} steps, ${devices} devices, ${rss} MB`,
          rate.add(1),
        );
      },
    });
    bar.stop();
    const { resident, ...counts } = done;
    const lines = Object.entries({
      seed,
      ...counts,
      "resident MB": `${Math.round(resident.settled / 1e6)} settled, ${Math.round(resident.most / 1e6)} at the most`,
    }).map(([what, count]) => `${what.padEnd(12)} ${count}`);
    printResult({ seed, ...done }, () => [...lines, "all values were right"].join("\n"));
    return 0;
  } finally {
    bar.stop();
  }
}

export const command = commandOf({
  name: TOOL,
  call: "npm run soak --",
  about: "Works a device over many lives and holds every value against plain numbers.",
  examples: [
    ["--device cpu --minutes 60", "an hour of the CPU device"],
    ["--device gpu:software --minutes 5 --seed 7", "the WebGPU kernels, other steps"],
  ],
  options: OPTIONS,
  notes: `Each life: functions called with thousands of shapes, several at once; results read at once, late or never; states returned,
assigned, written and read; reads of what nobody compiled; a budget of memory so small that plans have to go; calls that
cannot fit; the device destroyed amid its work, and another one opened. All values are whole numbers, so that they must be
equal. Exit code 1 also: a value was wrong, a call failed or hung, or memory grew; the line has seed and step.`,
  run: main,
});

export const run = (): Promise<never> => runCommand(command);
