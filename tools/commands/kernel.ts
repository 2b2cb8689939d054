/** `npm run kernel`: an op's kernels alone, beside float64, with their times, again at each save: `npm run kernel -- --help`. */
import { watch } from "node:fs";
import { join } from "node:path";
import { type DeviceName, deviceNames } from "../../engine/device.ts";
import { NoDeviceError } from "../../engine/errors.ts";
import { openDevice } from "../../engine/open.ts";
import { chooseAmong } from "../../promptgen/methods/options.ts";
import { printTable } from "../../promptgen/report/table.ts";
import {
  choiceOf,
  numberOf,
  type OptionSpec,
  onSignals,
  output,
  printResult,
  say,
  UsageError,
} from "../lib/cli.ts";
import { commandOf, type Line, runCommand } from "../lib/command.ts";
import { runProgram } from "../lib/program.ts";
import { type Measured, measure, ROWS } from "./kernel/measure.ts";
import { KERNEL_OPS } from "./kernel/ops.ts";

const TOOL = "kernel";
const GEOMETRIES = ["hardware", "software"] as const;
const KERNELS = join(import.meta.dirname, "../../kernels");
/** Editors write a file in several goes. */
const SETTLES_MS = 150;

const OPTIONS = {
  shape: {
    value: "AxB",
    help: "what the op's shape is made of, see below",
    initial: "32x18544, 512x768x768 or 32x64x768",
  },
  grad: { help: "the gradient of the first operand in place of the result" },
  watch: { help: "again whenever a file in kernels/ is saved; CPU kernels are compiled first" },
  device: {
    value: "LIST",
    help: "of cpu, gpu and gpu:software",
    initial: "cpu, and what WebGPU has here",
  },
  geometry: {
    value: "G",
    help: "hardware or software: which form of the WGSL runs",
    initial: "the adapter's",
  },
  threads: { value: "N", help: "worker threads of the CPU device", initial: "one a core" },
  heads: { value: "N", help: "of attention", initial: "12" },
  runs: { value: "N", help: "runs that are timed, behind two that are not", initial: "10" },
} satisfies Record<string, OptionSpec>;

type Values = Line<keyof typeof OPTIONS>["values"];

function shapeOf(name: string, text: string | undefined): number[] {
  const { axes } = KERNEL_OPS[name];
  const usual = axes.length === 2 ? "32x18544" : name === "attention" ? "32x64x768" : "512x768x768";
  const given = text ?? usual;
  const shape = given.split("x").map((part) => (/^[1-9]\d*$/.test(part) ? Number(part) : 0));
  const size = shape.reduce((a, b) => a * b, 1);
  if (shape.length === axes.length && size > 0 && size < 2 ** 40) return shape;
  throw new UsageError(
    `[${TOOL}] --shape is ${given}; write ${axes.join("x")} of ${name} as numbers, such as ${usual}`,
  );
}

/** On the devices that --device names; without it on the CPU, and on a GPU or else a software adapter where there is one. */
async function measureAll(name: string, values: Values): Promise<Measured[]> {
  const whole = (option: "heads" | "runs" | "threads", text: string, most: number): number =>
    numberOf(TOOL, option, values[option] ?? text, { least: 1, most, whole: true });
  const op = KERNEL_OPS[name];
  const shape = shapeOf(name, values.shape);
  const heads = whole("heads", "12", 4096);
  if (name === "attention" && shape[2] % heads !== 0) {
    throw new UsageError(
      `[${TOOL}] the width ${shape[2]} is not a multiple of --heads ${heads}; choose others`,
    );
  }
  const asked = {
    op,
    shape,
    heads,
    grad: values.grad !== undefined,
    runs: whole("runs", "10", 1e5),
  };
  const { geometry, threads } = values;
  const ofGPU =
    geometry === undefined ? {} : { geometry: choiceOf(TOOL, "geometry", geometry, GEOMETRIES) };
  const ofCPU = threads === undefined ? {} : { threads: whole("threads", threads, 64) };
  const names = values.device?.split(",").map((one) => choiceOf(TOOL, "device", one, deviceNames));
  const found: Measured[] = [];
  const run = async (device: DeviceName): Promise<void> => {
    const own = device === "cpu" ? ofCPU : ofGPU;
    const opened = await openDevice({ device, profile: true, ...own });
    try {
      found.push(await measure(opened, asked));
    } finally {
      opened.destroy();
    }
  };
  for (const device of names ?? (["cpu"] as const)) await run(device);
  if (names) return found;
  for (const device of ["gpu", "gpu:software"] as const) {
    try {
      await run(device);
      return found;
    } catch (error) {
      if (!(error instanceof NoDeviceError)) throw error;
    }
  }
  return found;
}

const right = (head: string) => ({ head, align: "right" }) as const;

/** Text for people: a line for each device, and its kernels. */
function text(name: string, values: Values, found: readonly Measured[]): string {
  const runs = Number(values.runs ?? 10);
  const title = `${name} ${values.shape ?? shapeOf(name, undefined).join("x")}${values.grad === undefined ? "" : ", gradient"}`;
  const rows = found.flatMap((one) => {
    const { device, difference, relative, milliseconds, bytes, flops, kernels } = one;
    const rate = (of: number | undefined): string =>
      of === undefined || milliseconds === undefined ? "-" : (of / milliseconds / 1e6).toFixed(1);
    const first = [
      device,
      difference.toExponential(1),
      relative.toExponential(1),
      milliseconds?.toFixed(3) ?? "-",
      rate(bytes),
      rate(flops),
    ];
    const parts = kernels.map(({ kernel, launches, milliseconds: all }) => [
      `  ${launches / runs} x ${kernel}`,
      "",
      "",
      (all / runs).toFixed(3),
      "",
      "",
    ]);
    return [first, ...parts];
  });
  const columns = [
    { head: title, align: "left" } as const,
    ...["difference", "relative", "ms", "GB/s", "GFLOPS"].map(right),
  ];
  return printTable({ groups: [{ columns }], rows });
}

async function main({ values, positionals }: Line<keyof typeof OPTIONS>): Promise<number> {
  const [name, ...more] = positionals;
  if (name === undefined || more.length > 0 || !Object.hasOwn(KERNEL_OPS, name)) {
    const known = Object.keys(KERNEL_OPS);
    throw new UsageError(
      `[${TOOL}] ${name === undefined ? "no op is named" : `${positionals.join(" ")} is no op that is looked at alone`}; ${chooseAmong(known, name ?? "")}`,
    );
  }
  shapeOf(name, values.shape); // before anything is compiled
  if (values.watch !== undefined) return watched();
  const found = await measureAll(name, values);
  printResult({ op: name, devices: found }, () => text(name, values, found));
  return 0;
}

/** The command without --watch, now and after each save, in processes of its own, which read the kernels anew. */
async function watched(): Promise<number> {
  const signal = onSignals();
  const line = process.argv.slice(2).filter((word) => word !== "--watch");
  let changed: (() => void) | undefined;
  let pending = true;
  const watcher = watch(KERNELS, { recursive: true }, (_, file) => {
    if (file === null || !/\.(ts|wgsl)$/.test(file) || file.startsWith(join("cpu", "build")))
      return;
    pending = true;
    changed?.();
  });
  signal.addEventListener("abort", () => changed?.(), { once: true });
  while (!signal.aborted) {
    while (pending && !signal.aborted) {
      pending = false;
      const built = await runProgram([join(import.meta.dirname, "kernels.ts")], signal);
      if (built === 0)
        await runProgram([join(import.meta.dirname, "../kernel.ts"), ...line], signal);
    }
    if (signal.aborted) break;
    if (!output.json) say(`waits for a save in kernels/; Ctrl-C ends it\n`);
    await new Promise<void>((resolve) => {
      changed = resolve;
      if (pending || signal.aborted) resolve();
    });
    changed = undefined;
    await new Promise((resolve) => setTimeout(resolve, SETTLES_MS));
  }
  watcher.close();
  return 0;
}

const shapes = Object.entries(KERNEL_OPS)
  .map(([name, { axes }]) => `  ${name.padEnd(14)}${axes.join("x")}`)
  .join("\n");

export const command = commandOf({
  name: TOOL,
  call: "npm run kernel --",
  about: "Runs the kernels of one op: how far from float64, how long, at each save.",
  operands: "OP",
  examples: [
    ["softmax --shape 32x18544 --watch", "on the CPU and WebGPU, after every save"],
    [
      "matmul --shape 512x768x3072 --device gpu:software --geometry hardware",
      "the WGSL for hardware",
    ],
    ["layerNorm --grad --json", "the backward kernels, for a program"],
  ],
  options: OPTIONS,
  allHelp: "--help all",
  notes: `The shapes of OP:
${shapes}

The difference is the largest of ${ROWS} rows to the same in plain float64 on the host, with --grad to difference quotients of that. GB/s
counts operands and result once, GFLOPS a product's multiplications and additions. Each launch is timed by itself. What every op must
hold is in its test: node tools/commands/test.ts ops/NAME.`,
  run: main,
});

export const run = (): Promise<never> => runCommand(command);
