/**
 * A trained prompter asked about subjects of one's own: the prompt, the most probable answers, and the answers with "None" in the
 * subject's place. Any method's prompter, of a saved run or made in this program.
 */
import type { Device } from "../engine/device.ts";
import { printableJson } from "../models/errors.ts";
import type { Benchmark, Item } from "./benchmark.ts";
import { lowercased } from "./facts/facts.ts";
import { unprintable } from "./facts/rows.ts";
import { bucketsOf, type Candidate, Examiner, type Explained, NOBODY, OWN } from "./measure.ts";
import type { Prompter } from "./methods/method.ts";

/** A question that cannot be asked. */
export class AskError extends Error {
  override name = "AskError";
}

export type Question = {
  /** An id of the benchmark's relations, as P36. */
  readonly relation: string;
  readonly subject: string;
  /** The right answer, where it is known: it is judged then. */
  readonly object?: string | undefined;
  /** Where the question stands, for errors; empty when left out. */
  readonly where?: string | undefined;
};

/** What a prompter is asked with. */
export type Asking = { readonly benchmark: Benchmark; readonly prompter: Prompter };

export type AskOptions = {
  readonly device: Device;
  /** How many answers; default 5. */
  readonly top?: number;
  /** How objects are spelled, as the run's option says; default as they are. */
  readonly objects?: string;
};

/** An answer and its probability. */
export type Likely = readonly [word: string, probability: number];

export type Reply = {
  readonly relation: string;
  readonly subject: string;
  readonly object?: string;
  /** Of the object, where it is known. */
  readonly right?: boolean;
  readonly rank?: number;
  readonly logP?: number;
  readonly prompt: string;
  readonly answers: readonly Likely[];
  /** With "None" in the subject's place. */
  readonly none: readonly Likely[];
};

const BATCH = 32;

const quoted = (text: string): string =>
  printableJson(text.length > 60 ? `${text.slice(0, 57)}...` : text);

/**
 * Questions as a prompter can be asked them.
 * @throws AskError `[ask] ...` for a relation that is not there, an object that is no token, and a subject that is empty or too long
 */
export function asked(
  { benchmark, prompter }: Asking,
  questions: readonly Question[],
  objects = "as-they-are",
): Item[] {
  return questions.map((question) => {
    const { where = "" } = question;
    const item = itemOf(question, benchmark, objects);
    const width = prompter.width({ ...item, subjects: [OWN.of(item), NOBODY.of(item)] });
    if (width <= prompter.limit) return item;
    throw new AskError(
      `[ask] ${where}${quoted(item.fact.subject)} is too long: its question has ${width} pieces where the models' positions leave ${prompter.limit}; shorten it`,
    );
  });
}

function itemOf(
  { relation: id, subject, object, where = "" }: Question,
  { relations, tokenizer }: Benchmark,
  spelling: string,
): Item {
  const fail = (what: string): never => {
    throw new AskError(`[ask] ${where}${what}`);
  };
  const relation = relations.find((one) => one.id === id);
  if (!relation) {
    const ids = relations.map((one) => one.id).join(", ");
    return fail(`the run knows no relation ${quoted(id)}; choose among ${ids}`);
  }
  if (subject.trim() === "") fail("the subject is empty; name what is asked about");
  const odd = unprintable(subject);
  if (odd !== undefined) fail(`the subject has ${odd}; write it without`);
  const has = (word: string) => tokenizer.wordIdOrUndefined(word) !== undefined;
  const spelled =
    object !== undefined && spelling === "lowercase" ? lowercased(object, has) : object;
  if (spelled !== undefined && !has(spelled)) {
    fail(
      `the object ${quoted(spelled)} is not one token of the masked LM; leave it out, or name another`,
    );
  }
  // without a known object any word of the relation holds its place, and its rank is not told
  return { relation, fact: { subject, object: spelled ?? relation.train[0].object } };
}

/** The answers of a prompter whose weights are on the device. */
export async function explained(
  { benchmark, prompter }: Asking,
  items: readonly Item[],
  { device, top: candidates = 5 }: AskOptions,
): Promise<readonly Explained[]> {
  const examiner = new Examiner(device, benchmark, prompter, {
    buckets: bucketsOf(prompter, items),
    batchSize: Math.min(BATCH, items.length),
    candidates,
  });
  return (await examiner.explain(items)) ?? [];
}

/** An explained answer in words. @param isKnown whether its object is, so that it is judged */
export function replyOf(
  { item, prompt, answers: [own], top }: Explained,
  isKnown: boolean,
  { tokenizer }: Pick<Benchmark, "tokenizer">,
): Reply {
  const shown = (found: readonly Candidate[]): Likely[] =>
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

/**
 * Asks a prompter, whose weights are on the device.
 * @throws AskError as `asked` does
 */
export async function ask(
  asking: Asking,
  questions: readonly Question[],
  options: AskOptions,
): Promise<Reply[]> {
  if (questions.length === 0) return [];
  const found = await explained(asking, asked(asking, questions, options.objects), options);
  return found.map((one, i) => replyOf(one, questions[i].object !== undefined, asking.benchmark));
}
