/**
 * OptiPrompt (Zhong et al., NAACL 2021): a few free vectors in a question about the subject, one set a relation, trained through
 * the frozen reader. They start at random, k of them between subject and mask,
 *
 *     [CLS] subject [V]1 .. [V]k [MASK] . [SEP]
 *
 * or at the relation's manual template, each of whose pieces beside subject and object, the final period too, becomes a vector
 * in its place:
 *
 *     [CLS] [V]1 [V]2 subject [V]3 [MASK] [V]4 [SEP]
 *
 * The vectors are embeddings of the reader's input only: they are no words, and its softmax stays as it is.
 */

import { join } from "node:path";
import { read } from "../../engine/compile.ts";
import type { Device } from "../../engine/device.ts";
import { normal } from "../../engine/init.ts";
import { reshape, slice } from "../../engine/ops/shape.ts";
import { stateName, type Tensor, tensor, zeroState } from "../../engine/tensor.ts";
import type { Training as Dropout } from "../../models/nn.ts";
import type { Benchmark } from "../benchmark.ts";
import type { Relation } from "../facts/facts.ts";
import type { Part } from "../reader.ts";
import { textFingerprint } from "../training/fingerprint.ts";
import { filledUp, rightPadded } from "../training/padding.ts";
import type { Asked, Batch, Method, Prediction, Trace, Training } from "./method.ts";
import { NO_CLIP, type OptionsOf, type OptionTable, trainingOptions } from "./options.ts";
import { type Answering, trainAnswers } from "./shared/answering.ts";
import {
  asNearest,
  finalPeriod,
  nearestWords,
  readFrame,
  readStates,
  savedValues,
  saveStates,
} from "./shared/vectors.ts";

const OPTIONS = {
  start: {
    kind: "choice",
    value: "HOW",
    help: "random, or manual: a vector for each piece of the relation's manual template, at its place and from its embedding",
    initial: "random",
    choices: ["random", "manual"],
    structural: true,
  },
  vectors: {
    kind: "number",
    value: "N",
    help: "free vectors between the subject and the mask; with --start manual there are as many as pieces",
    initial: 5,
    least: 1,
    most: 64,
    whole: true,
    structural: true,
  },
  ...trainingOptions({
    lr: 3e-3,
    warmup: 0.1,
    weightDecay: 0,
    batchSize: 16,
    epochs: 10,
    world: { lr: 1e-2, epochs: 30 },
  }),
} as const satisfies OptionTable;

type OptiPromptOptions = OptionsOf<typeof OPTIONS>;

const FILE = "vectors.safetensors";
const VECTORS = "vectors";
/** Standard deviation of the first vectors: that of BERT's own initial embeddings. */
const STD = 0.02;

/** Where the vectors of a relation stand. */
type Places = {
  /** How many stand before subject and mask, between them and behind. */
  readonly counts: readonly [lead: number, between: number, tail: number];
  readonly objectFirst: boolean;
  /** What stands before the subject's first letter: a blank, where it goes on a sentence. */
  readonly before: string;
  /** Ids that the vectors start from; undefined where they start at random. */
  readonly pieces?: readonly number[];
};

const SEGMENTS = ["lead", "between", "tail"] as const;

const countOf = ({ counts }: Places): number => counts.reduce((sum, count) => sum + count, 0);

/** Where the pieces of a template stand, slots aside. */
function placesOf(template: string, encode: Benchmark["encode"]): Places {
  const [first, second, third] = template.split(/\[[XY]\]/);
  // a blank before a slot belongs to the word in the slot
  const segments = [first.trimEnd(), second.trimEnd(), third].map((text) =>
    text === "" ? [] : encode(text),
  );
  const objectFirst = template.indexOf("[Y]") < template.indexOf("[X]");
  const ahead = template.slice(0, template.indexOf("[X]"));
  return {
    counts: [segments[0].length, segments[1].length, segments[2].length],
    objectFirst,
    before: /\s$/.test(ahead) ? " " : "",
    pieces: segments.flat(),
  };
}

/** Free vectors for the relation that was last trained or restored. */
export class OptiPromptPrompter implements Answering {
  readonly limit: number;
  readonly contents = {};
  readonly benchmark: Benchmark;
  readonly decays = () => true;
  /** Where they stand in every relation; undefined where each has its own places. */
  readonly #random: Places | undefined;
  /** Ids behind the last vector. */
  readonly #end: readonly number[];
  /** f32 [k, hidden_size] by k. */
  readonly #states = new Map<number, Tensor>();
  readonly #places = new Map<string, Places>();
  /** How many vectors are in use. */
  #count: number;

  constructor(
    benchmark: Benchmark,
    { start, vectors }: Pick<OptiPromptOptions, "start" | "vectors">,
  ) {
    const { reader, relations } = benchmark;
    this.benchmark = benchmark;
    this.#random =
      start === "manual" ? undefined : { counts: [0, vectors, 0], objectFirst: false, before: "" };
    this.#end = this.#random ? finalPeriod(benchmark) : [];
    const counts = relations.map((relation) => countOf(this.#placesOf(relation)));
    this.#count = this.#random ? vectors : counts[0];
    const most = Math.max(...counts);
    this.limit = reader.lm.positions - (most + this.#end.length + 3); // [CLS], the mask, [SEP]
    if (this.limit < 1) {
      const remedy = this.#random
        ? "use fewer"
        : `shorten the template of ${relations[counts.indexOf(most)].id}, or leave it out`;
      throw new Error(
        `[optiprompt] ${most} vectors leave no room for a subject in the masked LM's ${reader.lm.positions} positions; ${remedy}`,
      );
    }
  }

  /** f32 [k, hidden_size]: those that are in use. */
  get vectors(): Tensor {
    return this.#vectors(this.#count);
  }

  get parameters(): readonly Tensor[] {
    return [this.vectors];
  }

  width({ relation, subjects }: Asked): number {
    const { before } = this.#placesOf(relation);
    const { encode } = this.benchmark;
    return subjects.reduce((most, text) => Math.max(most, encode(before + text).length), 1);
  }

  /** Subjects u32 [S * B, W], under another name where the object stands before them, and places u32 [1, k] of vectors, all 1. */
  collate(asked: readonly Asked[], width: number, rows: number): Batch {
    const { reader, encode } = this.benchmark;
    const [{ relation }] = asked;
    const places = this.#placesOf(relation);
    const other = asked.find((one) => one.relation.id !== relation.id)?.relation;
    if ((other && !this.#random) || countOf(places) !== this.#count) {
      const [whose, which] = other ? [relation.id, other.id] : ["another relation", relation.id];
      throw new Error(
        `[optiprompt] the vectors of ${whose} cannot ask about ${which}; ask relation by relation, each with its own`,
      );
    }
    const filled = filledUp(asked, rows);
    const texts = asked[0].subjects.flatMap((_, s) =>
      filled.map(({ subjects }) => encode(places.before + subjects[s])),
    );
    const { ids, mask } = rightPadded(texts, width, reader.ids.pad);
    const vectors = SEGMENTS.flatMap((name, i) => {
      const count = places.counts[i];
      if (count === 0) return [];
      return [[name, tensor(new Uint32Array(count).fill(1), [1, count])] as const];
    });
    const question = places.objectFirst ? { behind: ids, mask } : { before: ids, mask };
    return { ...question, ...Object.fromEntries(vectors) };
  }

  /** Logits f32 [S * B, vocab_size]. */
  logits({ before, behind, mask, ...segments }: Batch, dropout?: Dropout): Tensor {
    const { reader } = this.benchmark;
    const masks = SEGMENTS.map((name): Tensor | undefined => segments[name]);
    const all = this.#vectors(masks.reduce((sum, own) => sum + (own?.shape[1] ?? 0), 0));
    let at = 0;
    const [lead, between, tail] = masks.map((own): Part | undefined => {
      if (!own) return undefined;
      const count = own.shape[1];
      at += count;
      const embeds = slice(all, 0, at - count, at);
      return { embeds: reshape(embeds, [1, count, all.shape[1]]), mask: own };
    });
    const subject = reader.words({ ids: before ?? behind, mask });
    const objectFirst = before === undefined;
    return readFrame(
      reader,
      { subject, objectFirst, lead, between, tail, end: this.#end },
      dropout,
    );
  }

  predict(batch: Batch): Prediction {
    const { weight } = this.benchmark.reader.lm.wordEmbeddings;
    return { logits: this.logits(batch), trace: { nearest: nearestWords(this.vectors, weight) } };
  }

  words({ relation }: Asked, { values }: Trace): string {
    const { counts, objectFirst } = this.#placesOf(relation);
    const { tokenizer } = this.benchmark;
    const near = asNearest(this.benchmark, values.nearest);
    const [x, y] = objectFirst ? ["[Y]", "[X]"] : ["[X]", "[Y]"];
    const second = counts[0] + counts[1];
    const between = near.slice(counts[0], second);
    const end = this.#end.map((id) => tokenizer.token(id));
    return [...near.slice(0, counts[0]), x, ...between, y, ...near.slice(second), ...end].join(" ");
  }

  save(device: Device, folder: string): Promise<void> {
    return saveStates(device, join(folder, FILE), [this.vectors]);
  }

  async restore(device: Device, folder: string): Promise<void> {
    const path = join(folder, FILE);
    const saved = await readStates(path, "optiprompt");
    const [held = 0] = saved.get(VECTORS)?.shape ?? [];
    const count = this.#counts().includes(held) ? held : this.#count;
    const vectors = this.#vectors(count);
    const values = savedValues(saved, stateName(vectors), vectors.shape, path, "optiprompt");
    this.#count = count;
    device.write(vectors, values);
  }

  /** Puts the first vectors of a relation in place. */
  async start(device: Device, seed: number, relation: Relation): Promise<void> {
    const { reader } = this.benchmark;
    const { pieces } = this.#placesOf(relation);
    this.use(relation);
    const stream = Number.parseInt(textFingerprint(relation.id).slice(0, 7), 16);
    const [values] = pieces
      ? await read(device, [reader.lm.embed(tensor(Uint32Array.from(pieces)))])
      : [normal(this.vectors.size, STD, seed, stream)];
    device.write(this.vectors, values);
  }

  /** Makes the vectors of a relation, as they stand, those that are in use. */
  use(relation: Relation): void {
    this.#count = countOf(this.#placesOf(relation));
  }

  /** The numbers of vectors that its relations have. */
  #counts(): number[] {
    return this.benchmark.relations.map((relation) => countOf(this.#placesOf(relation)));
  }

  #vectors(count: number): Tensor {
    const known = this.#states.get(count);
    if (known) return known;
    const [, width] = this.benchmark.reader.lm.wordEmbeddings.weight.shape;
    const made = zeroState(VECTORS, [count, width]);
    this.#states.set(count, made);
    return made;
  }

  #placesOf({ id, template }: Relation): Places {
    if (this.#random) return this.#random;
    const known = this.#places.get(template);
    if (known) return known;
    const made = placesOf(template, this.benchmark.encode);
    if (countOf(made) === 0) {
      throw new Error(
        `[optiprompt] the manual template of ${id}, ${JSON.stringify(template)}, has no word that a vector could start from; give it one, leave the relation out, or use --start random`,
      );
    }
    this.#places.set(template, made);
    return made;
  }
}

export const optiprompt: Method = {
  name: "optiprompt",
  summary:
    "free vectors, one set a relation, trained through the frozen reader (Zhong et al., 2021)",
  scope: "relation",
  options: OPTIONS,
  choices: {
    start: `random: normal, standard deviation ${STD}; manual: the reader's embeddings of the template's pieces`,
    softmax: "the reader's own; the published code widens it by the vectors",
    dropout: "the reader's own in training",
    optimizer: "AdamW 0.9 0.999 1e-8 with bias correction, linear warm-up and decay, no clipping",
    order: "shuffled anew in each epoch",
    nearest: "words of largest cosine, for reading only",
  },
  prompts: "vectors",
  row: ({ start, vectors }) =>
    start === "manual" ? "OptiPrompt (manual)" : `OptiPrompt (${vectors} [V]s)`,
  open: async (benchmark: Benchmark, options: OptiPromptOptions) =>
    new OptiPromptPrompter(benchmark, options),
  async train(
    prompter: OptiPromptPrompter,
    training: Training & { readonly options: OptiPromptOptions },
  ) {
    const { device, relations, resume, seed } = training;
    const [relation] = relations;
    if (resume) prompter.use(relation);
    else await prompter.start(device, seed, relation);
    return trainAnswers(prompter, training, NO_CLIP);
  },
};
