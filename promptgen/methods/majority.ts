/** The baseline that asks nothing: every fact of a relation is answered with the object that most of its training facts have. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Device } from "../../engine/device.ts";
import { embedding } from "../../engine/ops/embedding.ts";
import { state, type Tensor, tensor } from "../../engine/tensor.ts";
import { writeWhole } from "../../models/formats/files.ts";
import type { Benchmark } from "../benchmark.ts";
import type { Fact } from "../facts/facts.ts";
import { filledUp } from "../training/padding.ts";
import { type Asked, type Method, type Prediction, type Prompter, untrained } from "./method.ts";

const FILE = "objects.json";
/** The logit of what no training fact has: log of far less than one. */
const UNSEEN = -30;

/** Objects by relation, with how often each was seen, the most frequent first. */
type Counts = Readonly<Record<string, readonly (readonly [object: string, times: number])[]>>;

/** Objects of a relation's training facts, the most frequent first; of equally frequent ones the one that comes first. */
export function byFrequency(facts: readonly Fact[]): [object: string, times: number][] {
  const times = new Map<string, number>();
  for (const { object } of facts) times.set(object, (times.get(object) ?? 0) + 1);
  return [...times].sort((a, b) => b[1] - a[1]);
}

type MajorityBatch = { readonly relations: Tensor }; // u32 [S * B]

/** Logits are the logarithms of how often an object was seen, so that their softmax is its share of the training facts. */
export class MajorityPrompter implements Prompter {
  readonly limit = 1;
  readonly contents = {};
  readonly #benchmark: Benchmark;
  readonly #rows: ReadonlyMap<string, number>;
  readonly #table: Tensor; // f32 [relations, vocab_size]
  #counts: Counts;

  constructor(benchmark: Benchmark, counts: Counts) {
    const { relations, allowed } = benchmark;
    this.#benchmark = benchmark;
    this.#counts = counts;
    this.#rows = new Map(relations.map(({ id }, row) => [id, row]));
    this.#table = state("majority", tableOf(benchmark, counts), [relations.length, allowed.size]);
  }

  width(): number {
    return 1;
  }

  collate(asked: readonly Asked[], _width: number, rows: number): MajorityBatch {
    const own = filledUp(asked, rows).map(({ relation }) => this.#rows.get(relation.id) ?? 0);
    const all = asked[0].subjects.flatMap(() => own);
    return { relations: tensor(Uint32Array.from(all)) };
  }

  predict({ relations }: MajorityBatch): Prediction {
    return { logits: embedding(this.#table, relations), trace: {} };
  }

  words({ relation }: Asked): string {
    return this.#counts[relation.id][0][0];
  }

  async save(_device: Device, folder: string): Promise<void> {
    await writeWhole(join(folder, FILE), `${JSON.stringify(this.#counts)}\n`);
  }

  async restore(device: Device, folder: string): Promise<void> {
    const counts = await readCounts(folder);
    device.write(this.#table, tableOf(this.#benchmark, counts));
    this.#counts = counts;
  }
}

/** Logits of every relation, [relations, vocab_size]. Throws for a relation without objects. */
function tableOf({ relations, tokenizer, allowed }: Benchmark, counts: Counts): Float32Array {
  const width = allowed.size;
  const table = new Float32Array(relations.length * width).fill(UNSEEN);
  relations.forEach(({ id }, row) => {
    const own = counts[id] ?? [];
    if (own.length === 0) {
      throw new Error(`[majority] ${id} has no training objects; train on facts of all relations`);
    }
    own.forEach(([object, times], place) => {
      const word = tokenizer.wordIdOrUndefined(object);
      // a little less for each that comes before: equal counts keep their order
      if (word !== undefined) table[row * width + word] = Math.log(times) - 1e-5 * place;
    });
  });
  return table;
}

async function readCounts(folder: string): Promise<Counts> {
  const path = join(folder, FILE);
  let counts: unknown;
  try {
    counts = JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    throw new Error(`[majority] ${path} cannot be read; train it again`, { cause });
  }
  if (isCounts(counts)) return counts;
  throw new Error(
    `[majority] ${path} does not give each relation its objects with their counts; train it again`,
  );
}

const isCounts = (value: unknown): value is Counts =>
  typeof value === "object" &&
  value !== null &&
  !Array.isArray(value) &&
  Object.values(value).every(
    (own) =>
      Array.isArray(own) &&
      own.every(
        (pair) =>
          Array.isArray(pair) &&
          pair.length === 2 &&
          typeof pair[0] === "string" &&
          Number.isSafeInteger(pair[1]) &&
          pair[1] > 0,
      ),
  );

export const majority: Method = {
  name: "majority",
  summary:
    "answers every fact with the most frequent training object of its relation; asks nothing",
  scope: "all",
  options: {},
  choices: {},
  readerless: true,
  row: () => "Majority",
  async open(benchmark, _options, saved) {
    if (saved !== undefined) return new MajorityPrompter(benchmark, await readCounts(saved));
    const counts = benchmark.relations.map(({ id, train }) => [id, byFrequency(train)]);
    return new MajorityPrompter(benchmark, Object.fromEntries(counts));
  },
  train: untrained,
};
