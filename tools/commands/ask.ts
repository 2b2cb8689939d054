/** A saved run asked about facts of one's own: `node tools/ask.ts RUN --relation P36 --subject Peru`. */
import { decodeText } from "../../models/formats/text.ts";
import { asked, explained, type Question, replyOf } from "../../promptgen/ask.ts";
import type { Item } from "../../promptgen/benchmark.ts";
import { type Row, readRows, rowsOf } from "../../promptgen/facts/rows.ts";
import type { Explained } from "../../promptgen/measure.ts";
import { bestPrompter } from "../../promptgen/run.ts";
import {
  asUsage,
  checkDevice,
  DEVICE_OPTIONS,
  deviceOf,
  type Given,
  numberOf,
  type OptionSpec,
  printResult,
  say,
  UsageError,
} from "../lib/cli.ts";
import { commandOf, type Line } from "../lib/command.ts";
import { openSaved, type SavedRun, standOf } from "../lib/saved-run.ts";
import { explanation } from "../lib/summary.ts";

const TOOL = "ask";

const OPTIONS = {
  relation: { value: "ID", help: "a relation of the run, as P36" },
  subject: { value: "TEXT", help: "what is asked about" },
  object: { value: "WORD", help: "the right answer, where it is known: its rank is given then" },
  top: { value: "N", help: "how many answers", initial: "5" },
  ...DEVICE_OPTIONS,
} satisfies Record<string, OptionSpec>;

const FIELDS = ["relation", "subject"] as const;

async function linesOf(name: string): Promise<Question[]> {
  const rows = name === "-" ? await fromStdin() : await readRows(name, FIELDS, "name a file");
  const from = name === "-" ? "stdin" : name;
  return rows.map(({ row, line }) => {
    const where = `${from}:${line}: `;
    const object: unknown = row.object;
    if (object === undefined || (typeof object === "string" && object.trim() !== "")) {
      return { relation: row.relation, subject: row.subject, object, where };
    }
    throw new UsageError(`[${TOOL}] ${where}"object" is no text; write a word, or leave it out`);
  });
}

async function fromStdin(): Promise<Row<(typeof FIELDS)[number]>[]> {
  const pieces: Buffer[] = [];
  for await (const piece of process.stdin) pieces.push(piece);
  const text = decodeText(Buffer.concat(pieces), (what) => {
    throw new UsageError(`[${TOOL}] stdin ${what}`);
  });
  return rowsOf(text.split(/\r\n?|\n/), FIELDS, "stdin");
}

type Values = Given<keyof typeof OPTIONS>;

async function wanted({ relation, subject, object }: Values, file?: string): Promise<Question[]> {
  if (file !== undefined) {
    if (relation !== undefined || subject !== undefined || object !== undefined) {
      throw new UsageError(
        `[${TOOL}] --relation, --subject and --object ask one question, ${file} asks others; give one of the two`,
      );
    }
    const found = await linesOf(file);
    if (found.length > 0) return found;
    throw new UsageError(
      `[${TOOL}] ${file === "-" ? "stdin" : file} holds no question; write {"relation": "P36", "subject": "Peru"} a line`,
    );
  }
  if (relation === undefined || subject === undefined) {
    throw new UsageError(
      `[${TOOL}] there is no question; give --relation and --subject, or a file of lines`,
    );
  }
  return [{ relation, subject, object, where: "" }];
}

async function main({ values, positionals }: Line<keyof typeof OPTIONS>): Promise<number> {
  const [path, file, ...more] = positionals;
  if (path === undefined) {
    throw new UsageError(`[${TOOL}] no run was named; type npx promptgen ask RUN`);
  }
  if (more.length > 0) {
    throw new UsageError(`[${TOOL}] ${more[0]} is one name too many; give a run and one file`);
  }
  const limits = { least: 1, most: 1000, whole: true };
  const candidates = numberOf(TOOL, "top", values.top ?? "5", limits);
  checkDevice(TOOL, values);
  const questions = await wanted(values, file);
  const saved = await openSaved(TOOL, path);
  const { prepared, run } = saved;
  const { benchmark } = prepared;
  const items = asUsage(() => asked(prepared, questions, run.options.objects));
  const found = await answersTo(saved, items, { candidates, values });
  found.forEach((one, i) => {
    const isKnown = questions[i].object !== undefined;
    const shown = () => `${explanation(one, benchmark, isKnown)}\n`;
    printResult(replyOf(one, isKnown, benchmark), shown);
  });
  return 0;
}

async function answersTo(
  { folder, prepared, unchecked }: SavedRun,
  items: readonly Item[],
  { candidates, values }: { readonly candidates: number; readonly values: Values },
): Promise<readonly Explained[]> {
  const { benchmark, method } = prepared;
  const relations = [...new Set(items.map(({ relation }) => relation))];
  const stand = await standOf(TOOL, { method, benchmark: { ...benchmark, relations } }, folder);
  for (const remark of [...unchecked, stand].filter((text) => text !== "")) say(`${remark}\n`);
  const device = await deviceOf(TOOL, values);
  const prompter = await bestPrompter(prepared, device, folder);
  return explained({ benchmark, prompter }, items, { device, top: candidates });
}

export const command = commandOf({
  name: TOOL,
  about:
    'Asks the best prompter of a saved run, of any method, about subjects of your own: the prompt, the most probable answers, and the answers with "None" in the subject\'s place.',
  operands: "RUN [FILE]",
  examples: [
    ["runs/NAME --relation P36 --subject Peru", "one question"],
    [
      "runs/NAME questions.jsonl",
      'lines {"relation": "P36", "subject": "Peru"}, with "object" where it is known; - for standard input',
    ],
  ],
  options: OPTIONS,
  notes: `With --json each question is a line {"relation", "subject", "prompt", "answers", "none"}, and {"object", "right", "rank", "logP"}
where the object is known.`,
  run: main,
});
