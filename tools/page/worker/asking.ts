/** Asks prompters: PromptGen's with its slots, and those of the other methods, with the code of `promptgen ask`. */
import { compile } from "../../../engine/compile.ts";
import type { Device } from "../../../engine/device.ts";
import type { Benchmark, Item } from "../../../promptgen/benchmark.ts";
import { unprintable } from "../../../promptgen/facts/rows.ts";
import {
  bucketsOf,
  type Candidate,
  Examiner,
  type Explained,
  FILLERS,
  type Filler,
  NOBODY,
  OWN,
} from "../../../promptgen/measure.ts";
import type { Batch, Prompter } from "../../../promptgen/methods/method.ts";
import { PromptGenPrompter } from "../../../promptgen/methods/promptgen/prompter.ts";
import type { Answers, Question, Slot, Weighed, Written } from "../protocol.ts";

/** Answers to a question that are shown. */
const ANSWERS = 5;
/** Words of a slot that are shown. */
const WORDS = 6;

/** A question as the benchmark has it. @throws one sentence for one that cannot be asked */
export function itemOf({ relations }: Benchmark, { relation: id, subject }: Question): Item {
  const relation = relations.find((one) => one.id === id);
  if (!relation) throw new Error(`[ask] there is no relation ${id}; choose one of the list`);
  if (subject.trim() === "")
    throw new Error("[ask] the subject is empty; name what is asked about");
  const odd = unprintable(subject);
  if (odd !== undefined) throw new Error(`[ask] the subject has ${odd}; write it without`);
  // without a known object any word of the relation holds its place, and its rank is not told
  return {
    relation,
    fact: { subject, object: objectOf(relation, subject) ?? relation.train[0].object },
  };
}

/** What the facts say of a subject. */
export const objectOf = (
  { train, dev, test }: Item["relation"],
  subject: string,
): string | undefined =>
  [...test, ...dev, ...train].find((fact) => fact.subject === subject)?.object;

/** Asks one prompter, one question at a time. Plans are made once for each width. */
export class Asker {
  readonly #device: Device;
  readonly #benchmark: Benchmark;
  readonly #prompter: Prompter;
  readonly #examiners = new Map<string, Examiner>();
  #other = "";
  readonly #another: Filler = { name: "other", of: () => this.#other };
  readonly #slots:
    | ((batch: Batch) => Promise<{ distributions: ArrayLike<number>; live: ArrayLike<number> }>)
    | undefined;

  constructor(device: Device, benchmark: Benchmark, prompter: Prompter) {
    this.#device = device;
    this.#benchmark = benchmark;
    this.#prompter = prompter;
    if (!(prompter instanceof PromptGenPrompter)) return;
    const run = compile(device, (batch: Batch) => {
      const { slots } = this.#prompter.predict(batch);
      if (!slots) throw new Error("[ask] PromptGen's prediction has no slots");
      return { distributions: slots.distributions, live: slots.live };
    });
    this.#slots = async (batch) => {
      const { distributions, live } = await run(batch);
      return { distributions: await distributions.read(), live: await live.read() };
    };
  }

  /** The answers with the subject and with "None". */
  async answers(question: Question): Promise<Answers> {
    const explained = await this.#explain(itemOf(this.#benchmark, question), FILLERS);
    const [own, none] = explained.top.map((found) => this.#shown(found));
    return { prompt: explained.prompt, own, none };
  }

  /** As `answers`, with the slots of the prompt and what it makes of another subject. For PromptGen alone. */
  async written(question: Question): Promise<Written> {
    const prompter = this.#prompter;
    if (!(prompter instanceof PromptGenPrompter))
      throw new Error("[ask] only PromptGen writes slots");
    const begun = performance.now();
    const item = itemOf(this.#benchmark, question);
    const { relation } = item;
    const answers = await this.answers(question);
    this.#other = question.other;
    const isAsked = question.other.trim() !== "" && unprintable(question.other) === undefined;
    const other = isAsked ? await this.#explain(item, [this.#another]) : undefined;
    return {
      ...answers,
      question,
      other: other ? this.#shown(other.top[0]) : [],
      slots: await this.#slotsOf(item, prompter),
      before: prompter.generator.m,
      most: Math.log(prompter.vocabulary.size),
      object: objectOf(relation, question.subject),
      otherObject: objectOf(relation, question.other),
      seconds: (performance.now() - begun) / 1000,
    };
  }

  async #explain(item: Item, fillers: readonly Filler[]): Promise<Explained> {
    const { relation, fact } = item;
    const asked = { ...item, subjects: fillers.map((filler) => filler.of(item)) };
    const width = this.#prompter.width(asked);
    if (width > this.#prompter.limit) {
      throw new Error(
        `[ask] the question has ${width} pieces where the models' positions leave ${this.#prompter.limit}; shorten the subject`,
      );
    }
    const buckets = bucketsOf(this.#prompter, [item], fillers);
    const key = JSON.stringify([fillers.map(({ name }) => name), buckets]);
    const examiner =
      this.#examiners.get(key) ??
      new Examiner(this.#device, this.#benchmark, this.#prompter, {
        buckets,
        batchSize: 1,
        fillers,
        candidates: ANSWERS,
      });
    this.#examiners.set(key, examiner);
    const [explained] = (await examiner.explain([{ relation, fact }])) ?? [];
    return explained;
  }

  async #slotsOf(item: Item, prompter: PromptGenPrompter): Promise<Slot[]> {
    const asked = { ...item, subjects: [OWN.of(item), NOBODY.of(item)] };
    const batch = prompter.collate([asked], prompter.width(asked), 1);
    const { distributions, live } = (await this.#slots?.(batch)) ?? { distributions: [], live: [] };
    const { size, end, words } = prompter.vocabulary;
    return Array.from({ length: live.length }, (_, slot): Slot => {
      const own = Array.from({ length: size }, (_, c) => distributions[slot * size + c]);
      const order = own.map((_, c) => c).sort((a, b) => own[b] - own[a]);
      return {
        words: order
          .slice(0, WORDS)
          .map((c) => ({ word: c === end ? "" : words[c], probability: own[c] })),
        entropy: own.reduce((sum, p) => sum - (p > 0 ? p * Math.log(p) : 0), 0),
        live: live[slot] === 1,
        stops: order[0] === end,
      };
    });
  }

  #shown(found: readonly Candidate[]): Weighed[] {
    const { tokenizer } = this.#benchmark;
    return found
      .filter(({ probability }) => probability >= 0)
      .map(({ id, probability }) => ({
        word: tokenizer.word(id) ?? tokenizer.token(id),
        probability,
      }));
  }
}
