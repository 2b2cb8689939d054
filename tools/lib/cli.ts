/** What the commands share: options that explain themselves, what is said and printed, signals, a progress bar. */
import { writeSync } from "node:fs";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { SingleBar } from "cli-progress";
import { type Device, deviceNames } from "../../engine/device.ts";
import { openDevice } from "../../engine/open.ts";
import { ModelError } from "../../models/errors.ts";
import { decodeText } from "../../models/formats/text.ts";
import type { ModelPart } from "../../models/hub/files.ts";
import { resolveModel } from "../../models/hub/resolve.ts";
import { AskError } from "../../promptgen/ask.ts";
import {
  chooseAmong,
  type Limits,
  numberIn,
  problemOfNumber,
} from "../../promptgen/methods/options.ts";

/** A mistake of the person at the keyboard. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** One option: how it is written in the help, what it means, its default. A `flag` takes no value. */
export type OptionSpec = {
  readonly value?: string;
  readonly help: string;
  readonly initial?: string;
  /** Its value may begin with a dash. */
  readonly dashes?: boolean;
  /** The values that it takes, where they can be listed. */
  readonly choices?: readonly string[];
};

/** What a command was given, by the options' names; a flag that was given is "true". */
export type Given<Name extends string = string> = Readonly<
  Partial<Record<Name, string | undefined>>
>;

/** Where `--json` puts what is said, and whether it is said at all; a command's line decides. */
export const output = { json: false, quiet: false };

/** The option of every command that prints results. */
export const OUTPUT_OPTIONS = {
  json: { help: "print results as JSON on standard output, and all else on standard error" },
  quiet: { help: "print nothing but results and errors" },
} satisfies Record<string, OptionSpec>;

/** Says something beside the results. */
export function note(text: string): void {
  if (output.quiet) return;
  if (output.json) say(`${text}\n`);
  else console.log(text);
}

/**
 * Prints a result.
 * @param json what `--json` prints, on one line
 * @param text for people
 */
export function printResult(json: unknown, text: () => string): void {
  console.log(output.json ? JSON.stringify(json) : text());
}

/** A number of an option. Throws UsageError when it is none, or outside its limits. */
export function numberOf(tool: string, name: string, text: string, limits: Limits): number {
  const value = numberIn(text);
  const problem = problemOfNumber(limits, value);
  if (problem === undefined) return value;
  throw new UsageError(`[${tool}] --${name} is ${text}; ${problem}`);
}

/** One of the values that an option takes. Throws UsageError for another one. */
export function choiceOf<T extends string>(
  tool: string,
  name: string,
  text: string,
  choices: readonly T[],
): T {
  const found = choices.find((choice) => choice === text);
  if (found !== undefined) return found;
  throw new UsageError(`[${tool}] --${name} is ${text}; ${chooseAmong(choices, text)}`);
}

const SIMD = ["relaxed", "plain"] as const;

/** Where a command computes. */
export const DEVICE_OPTIONS = {
  device: {
    value: "NAME",
    help: "cpu (WebAssembly), gpu (a hardware adapter), gpu:software (a software Vulkan adapter) or auto: a hardware adapter if there is one, else the CPU",
    initial: "auto",
    choices: deviceNames,
  },
  adapter: {
    value: "NAME",
    help: "WebGPU: part of the adapter's name; list says which there are",
    initial: "the fastest",
  },
  threads: { value: "N", help: "worker threads of the CPU device", initial: "one a core" },
  simd: {
    value: "KIND",
    help: "CPU: relaxed or plain; plain rounds alike on every processor, so that the bits are the same on all, and is slower",
    initial: "relaxed, where there is such SIMD",
    choices: SIMD,
  },
  memory: {
    value: "SIZE",
    help: "the most that the device may take, as 3G or 800M; the CPU goes beyond 4G with 64-bit addresses, up to 16G and a sixth slower",
    initial: "4G on the CPU, what there is on a GPU",
  },
} satisfies Record<string, OptionSpec>;

export type DeviceValues = Given<keyof typeof DEVICE_OPTIONS>;

/** What `deviceOf` opens. Throws UsageError for a name or a number that is none, before anything is loaded. */
export function checkDevice(
  tool: string,
  { device = "auto", adapter, threads, simd, memory }: DeviceValues,
) {
  const name = choiceOf(tool, "device", device, deviceNames);
  if (simd !== undefined && name.startsWith("gpu")) {
    throw new UsageError(`[${tool}] --simd is for the CPU, but --device is ${name}; leave one out`);
  }
  if (adapter !== undefined && name === "cpu") {
    throw new UsageError(`[${tool}] --adapter is for WebGPU, but --device is cpu; leave one out`);
  }
  const limits = { least: 1, most: 64, whole: true };
  return {
    device: name,
    ...(adapter === undefined ? {} : { adapter }),
    ...(threads === undefined ? {} : { threads: numberOf(tool, "threads", threads, limits) }),
    ...(simd === undefined ? {} : { simd: choiceOf(tool, "simd", simd, SIMD) }),
    ...(memory === undefined ? {} : { memoryBudget: bytesOf(tool, memory) }),
  };
}

/** `12G` or `800M`, of 2^30 and 2^20 bytes. */
function bytesOf(tool: string, text: string): number {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)([MG])$/i.exec(text.trim()) ?? [];
  const bytes = Math.floor(Number(digits) * 2 ** (unit?.toUpperCase() === "G" ? 30 : 20));
  const least = 2 ** 24;
  if (bytes >= least && bytes <= 2 ** 46) return bytes;
  throw new UsageError(
    `[${tool}] --memory is ${text}; write a size of 16M or more, as 12G or 800M`,
  );
}

/** Opens the device that these options ask for. */
export const deviceOf = async (tool: string, values: DeviceValues): Promise<Device> =>
  openDevice(checkDevice(tool, values));

/** What signals.cjs keeps; the entry of a command has loaded it before anything else. */
const signals = createRequire(import.meta.url)("../signals.cjs") as {
  readonly signal: AbortSignal;
  readonly state: { saves: boolean };
};

/**
 * From here on the first Ctrl-C, SIGTERM, SIGHUP or SIGUSR1 only aborts, with the signal's name as the reason; a second one ends the
 * process at once, as the first does without this call.
 */
export function onSignals(): AbortSignal {
  signals.state.saves = true;
  return signals.signal;
}

/** The program that a command starts another one with: `node ENTRY train --world`. */
export const ENTRY = fileURLToPath(
  new URL(`../promptgen${extname(import.meta.url)}`, import.meta.url),
);

/** 128 and the number of the signal, as shells do. */
export const exitCodeOf = (signal: unknown): number =>
  128 + (Object.entries(constants.signals).find(([name]) => name === signal)?.[1] ?? 0);

/** Says something on standard error, unless --quiet. */
export function say(text: string): void {
  if (!output.quiet) complain(text);
}

/** Writes to stderr; where nobody reads it any more that is no reason to stop. */
export function complain(text: string): void {
  try {
    writeSync(2, text);
  } catch {
    // EPIPE of a closed pipe, EIO of a closed terminal, EAGAIN of one that is full
  }
}

/** What a command tells the one that has started it, in place of a bar of its own. */
export type ProgressMessage = {
  readonly label: string;
  readonly done: number;
  readonly total: number;
  readonly note: string;
};

/** A progress bar on a terminal; elsewhere a line every tenth of the way. */
export class Progress {
  readonly #bar: SingleBar | undefined;
  readonly #label: string;
  readonly #total: number;
  readonly #unit: string;
  #printed: number;
  #left: string | undefined;

  /**
   * @param unit of a rate, as facts/s
   * @param passing on a terminal it leaves nothing behind when it is taken away
   */
  constructor(label: string, total: number, done: number, unit: string, passing = false) {
    this.#label = label;
    this.#total = total;
    this.#unit = unit;
    this.#printed = Math.floor((10 * done) / total);
    if (process.send || output.quiet || !process.stderr.isTTY) return;
    this.#bar = new SingleBar({
      format: `${label} {bar} {percentage}% | {value}/{total} | {note}{eta_formatted} left`,
      barCompleteChar: "\u2588",
      barIncompleteChar: "\u2591",
      barsize: 24,
      hideCursor: true,
      clearOnComplete: passing,
      etaBuffer: 50,
      formatTime: (eta) =>
        this.#left ?? (Number.isFinite(Number(eta)) ? duration(Number(eta)) : "?"),
    });
    this.#bar.start(total, done, { note: "" });
  }

  /**
   * @param rate an empty one is left out, as an empty note is
   * @param left how long the rest takes, where the bar's own guess is not what is meant
   */
  update(done: number, note: string, rate: string, left?: string): void {
    const notes = [note, rate && `${rate} ${this.#unit}`].filter((text) => text !== "");
    const message: ProgressMessage = {
      label: this.#label,
      done,
      total: this.#total,
      note: [...notes, ...(left === undefined ? [] : [`${left} left`])].join(" | "),
    };
    process.send?.(message);
    if (this.#bar) {
      this.#left = left;
      this.#bar.update(done, { note: notes.map((text) => `${text} | `).join("") });
      return;
    }
    const tenth = Math.floor((10 * done) / this.#total);
    if (tenth <= this.#printed && done < this.#total) return;
    this.#printed = tenth;
    say(`${[`${this.#label} ${done}/${this.#total}`, ...notes].join(" ")}\n`);
  }

  /** Takes the bar away while something is printed. */
  stop(): void {
    this.#bar?.stop();
  }
}

/** Items a second over the last steps; empty before there is anything to measure. */
export class Rate {
  readonly #steps: { readonly seconds: number; readonly items: number }[] = [];
  #last: number | undefined;

  /** @param seconds that the items took; left out: the time since the last call, which the first one only begins */
  add(items: number, seconds?: number): string {
    const now = performance.now();
    const taken = seconds ?? (this.#last === undefined ? undefined : (now - this.#last) / 1000);
    this.#last = now;
    if (taken !== undefined) this.#steps.push({ seconds: taken, items });
    if (this.#steps.length > 19) this.#steps.shift();
    return this.text;
  }

  /** From here on the time is counted anew. */
  restart(): void {
    this.#last = performance.now();
  }

  /** As `add` gave it last. */
  get text(): string {
    if (this.#steps.length === 0) return "";
    const sum = (of: "seconds" | "items") => this.#steps.reduce((n, step) => n + step[of], 0);
    const rate = sum("items") / sum("seconds");
    if (!Number.isFinite(rate)) return "-";
    return rate.toFixed(rate < 10 ? 1 : 0);
  }
}

/** A length of time for people: 40 s, 12 min, 3 h 20 min. */
export function duration(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.round(hours / 24)} days`;
}

/** Which state of a named model is taken. */
export const REVISION_OPTION = {
  revision: { value: "NAME", help: "branch, tag or commit of a named model", initial: "main" },
} satisfies Record<string, OptionSpec>;

/**
 * The directory of a model: the one that is named, else the model of that name on the Hugging Face Hub, which is downloaded
 * into the cache with a progress bar as far as it is not there.
 */
export async function modelDirectory(
  nameOrDirectory: string,
  { parts, revision }: { parts?: readonly ModelPart[]; revision?: string | undefined } = {},
): Promise<string> {
  const rate = new Rate();
  let bar: Progress | undefined;
  let before = 0;
  const megabytes = (bytes: number): number => Math.ceil(bytes / 1e6);
  try {
    return await resolveModel(nameOrDirectory, {
      parts,
      revision,
      onNotice: (sentence) => say(`${sentence}\n`),
      onProgress({ file, bytes, size }) {
        bar ??= new Progress(nameOrDirectory, megabytes(size), 0, "MB/s");
        bar.update(megabytes(bytes), `MB ${file}`, rate.add((bytes - before) / 1e6));
        before = bytes;
      },
    });
  } finally {
    bar?.stop();
  }
}

/** Says how a model's files were read, a line each, beside the results. */
export function sayRemarks(remarks: readonly string[], more?: string): void {
  for (const remark of more === undefined ? remarks : [...remarks, more]) say(`${remark}\n`);
}

/** What `run` gives; what the check of texts and facts throws is a matter of how the command was called. */
export function asUsage<T>(run: () => T): T {
  try {
    return run();
  } catch (cause) {
    if (cause instanceof ModelError || cause instanceof AskError) {
      throw new UsageError(cause.message, { cause });
    }
    throw cause;
  }
}

/** A text as errors show it. */
export const quoteText = (text: string): string =>
  JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}...` : text);

/** The texts of a command line; `-` stands for the lines of stdin. Throws UsageError when there is none. */
export async function readTexts(tool: string, given: readonly string[]): Promise<string[]> {
  const texts: string[] = [];
  for (const text of given) {
    if (text !== "-") {
      texts.push(text);
      continue;
    }
    const pieces: Buffer[] = [];
    for await (const piece of process.stdin) pieces.push(piece);
    const lines = decodeText(Buffer.concat(pieces), (what) => {
      throw new UsageError(`[${tool}] stdin ${what}`);
    }).split(/\r\n|\n|\r/);
    texts.push(...lines.filter((line) => line.trim() !== ""));
  }
  if (texts.length > 0) return texts;
  throw new UsageError(`[${tool}] there is no text; write it in quotes, or - for lines of stdin`);
}
