/** A saved run asked about facts of one's own: `node tools/ask.ts RUN --relation P36 --subject Peru`. */
import { decodeText } from "../../models/formats/text.ts";
import type { Benchmark, Item } from "../../promptgen/benchmark.ts";
import { lowercased } from "../../promptgen/facts/facts.ts";
import { type Row, readRows, rowsOf, unprintable } from "../../promptgen/facts/rows.ts";
import {
  bucketsOf,
  type Candidate,
  Examiner,
  type Explained,
  NOBODY,
  OWN,
} from "../../promptgen/measure.ts";
import { bestPrompter } from "../../promptgen/run.ts";
import {
  checkDevice,
  DEVICE_OPTIONS,
  deviceOf,
  type Given,
  numberOf,
  type OptionSpec,
  printResult,
  quoteText,
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
const BATCH = 32;

/** A question before it is looked at, and where it was asked. */
type Wanted = {
  readonly relation: string;
  readonly subject: string;
  readonly object: string | undefined;
  /** Empty for the command line, else the file with the line. */
  readonly where: string;
};

async function linesOf(name: string): Promise<Wanted[]> {
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

async function wanted({ relation, subject, object }: Values, file?: string): Promise<Wanted[]> {
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

/** A question as the run can be asked it. Throws UsageError for one that it cannot. */
function itemOf(
  { relation: id, subject, object, where }: Wanted,
  { relations, tokenizer }: Benchmark,
  spelling: string,
): Item {
  const fail = (what: string): never => {
    throw new UsageError(`[${TOOL}] ${where}${what}`);
  };
  const relation = relations.find((one) => one.id === id);
  if (!relation) {
    const ids = relations.map((one) => one.id).join(", ");
    return fail(`the run knows no relation ${quoteText(id)}; choose among ${ids}`);
  }
  if (subject.trim() === "") fail("the subject is empty; name what is asked about");
  const odd = unprintable(subject);
  if (odd !== undefined) fail(`the subject has ${odd}; write it without`);
  const has = (word: string) => tokenizer.wordIdOrUndefined(word) !== undefined;
  const spelled =
    object !== undefined && spelling === "lowercase" ? lowercased(object, has) : object;
  if (spelled !== undefined && !has(spelled)) {
    fail(
      `the object ${quoteText(spelled)} is not one token of the masked LM; leave it out, or name another`,
    );
  }
  // without a known object any word of the relation holds its place, and its rank is not told
  return { relation, fact: { subject, object: spelled ?? relation.train[0].object } };
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
  const items = questions.map((one) => itemOf(one, prepared.benchmark, run.options.objects));
  items.forEach((item, i) => {
    const width = prepared.prompter.width({ ...item, subjects: [OWN.of(item), NOBODY.of(item)] });
    if (width <= prepared.prompter.limit) return;
    throw new UsageError(
      `[${TOOL}] ${questions[i].where}${quoteText(item.fact.subject)} is too long: its question has ${width} pieces where the models' positions leave ${prepared.prompter.limit}; shorten it`,
    );
  });
  const explained = await answersTo(saved, items, { candidates, values });
  explained.forEach((one, i) => {
    const isKnown = questions[i].object !== undefined;
    const shown = () => `${explanation(one, prepared.benchmark, isKnown)}\n`;
    printResult(jsonOf(one, isKnown, prepared.benchmark), shown);
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
  const examiner = new Examiner(device, benchmark, prompter, {
    buckets: bucketsOf(prompter, items),
    batchSize: Math.min(BATCH, items.length),
    candidates,
  });
  return (await examiner.explain(items)) ?? [];
}

/** What --json prints. */
function jsonOf(
  { item, prompt, answers: [own], top }: Explained,
  isKnown: boolean,
  { tokenizer }: Benchmark,
): object {
  const shown = (found: readonly Candidate[]) =>
    found
      .filter(({ probability }) => probability >= 0)
      .map(({ id, probability }) => [tokenizer.word(id) ?? tokenizer.token(id), probability]);
  const { relation, fact } = item;
  const judged = { object: fact.object, right: own.right, rank: own.rank, logP: own.logP };
  return {
    relation: relation.id,
    subject: fact.subject,
    ...(isKnown ? judged : {}),
    prompt,
    answers: shown(top[0]),
    none: shown(top[1]),
  };
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
