/**
 * Free vectors of each fact as a prompter: a light network, which is trained, makes them of what the frozen reader says about the
 * fact's query, and the reader is asked `[CLS] subject V1 .. Vk [MASK] . [SEP]`. The query is about the fact's own subject,
 * whichever subject is asked with.
 */
import { join } from "node:path";
import type { Device } from "../../../engine/device.ts";
import { normal } from "../../../engine/init.ts";
import { reshape } from "../../../engine/ops/shape.ts";
import { state, type Tensor, tensor, zeroState } from "../../../engine/tensor.ts";
import type { Training as Dropout } from "../../../models/nn.ts";
import { type Benchmark, type Item, itemsOf, SPLITS } from "../../benchmark.ts";
import { everywhere } from "../../reader.ts";
import { filledUp, rightPadded } from "../../training/padding.ts";
import type { Asked, Batch, Prediction, Trace } from "../method.ts";
import type { Answering } from "./answering.ts";
import type { Filled } from "./templates.ts";
import {
  asNearest,
  finalPeriod,
  nearestWords,
  readFrame,
  readStates,
  restoreStates,
  savedValues,
  saveStates,
} from "./vectors.ts";

/** B queries as token ids. */
export type Queries = {
  readonly ids: Tensor; // u32 [B, T]
  readonly mask: Tensor; // u32 [B, T]
  /** Where the [MASK] of each stands, counted over all B T places. */
  readonly places: Tensor; // u32 [B]
};

/** A trained tensor: its shape, and how it starts. */
export type Parameter = {
  readonly shape: readonly number[];
  /** Standard deviation at the start. */
  readonly std: number;
  readonly decays: boolean;
};

/** What a method is made of. */
export type Network = {
  /** The method's name, for messages. */
  readonly name: string;
  /** Vectors a fact. */
  readonly count: number;
  readonly parameters: Readonly<Record<string, Parameter>>;
  query(item: Item): Filled;
  /** Inside `compile`: f32 [B, count, hidden_size]; `w` are the states of the parameters. */
  vectors(queries: Queries, w: Readonly<Record<string, Tensor>>, dropout?: Dropout): Tensor;
};

const FILE = "network.safetensors";

export class FactVectorsPrompter implements Answering {
  readonly limit: number;
  readonly contents = {};
  readonly benchmark: Benchmark;
  readonly network: Network;
  readonly parameters: readonly Tensor[];
  readonly #states: Readonly<Record<string, Tensor>>;
  readonly #period: readonly number[];
  /** The most places that a query has beyond its subject. */
  readonly #extra: number;

  private constructor(benchmark: Benchmark, network: Network, states: Record<string, Tensor>) {
    const { reader, relations } = benchmark;
    this.benchmark = benchmark;
    this.network = network;
    this.#states = states;
    this.parameters = Object.values(states);
    this.#period = finalPeriod(benchmark);
    const items = SPLITS.flatMap((split) => itemsOf(relations, split));
    this.#extra = items.reduce((most, item) => {
      const subjects = [item.fact.subject];
      return Math.max(most, network.query(item).ids.length - this.#widest({ ...item, subjects }));
    }, 0);
    const around = network.count + this.#period.length + 3; // [CLS], the mask, [SEP]
    const { positions } = reader.lm;
    this.limit = positions - Math.max(around, this.#extra);
    if (this.limit < 1) {
      throw new Error(
        `[${network.name}] ${network.count} vectors and a query of ${this.#extra} pieces beside its subject leave no room for one in the masked LM's ${positions} positions; use fewer vectors`,
      );
    }
  }

  /**
   * Before training, or as it was saved.
   * @param saved a folder of `save`
   */
  static async open(
    benchmark: Benchmark,
    network: Network,
    saved?: string,
  ): Promise<FactVectorsPrompter> {
    const path = saved === undefined ? "" : join(saved, FILE);
    const held = saved === undefined ? undefined : await readStates(path, network.name);
    const states = Object.entries(network.parameters).map(([name, { shape }]) => {
      const made = held
        ? state(name, savedValues(held, name, shape, path, network.name), shape)
        : zeroState(name, shape);
      return [name, made] as const;
    });
    return new FactVectorsPrompter(benchmark, network, Object.fromEntries(states));
  }

  readonly decays = (name: string): boolean => this.network.parameters[name].decays;

  /** Pieces of the longest subject, or of the query where that is longer than its others. */
  width(asked: Asked): number {
    return Math.max(this.#widest(asked), this.network.query(asked).ids.length - this.#extra);
  }

  #widest({ subjects }: Asked): number {
    const { encode } = this.benchmark;
    return subjects.reduce((most, text) => Math.max(most, encode(text).length), 1);
  }

  /** Subjects u32 [S * B, W], and the queries of the facts [B, W + extra]. */
  collate(asked: readonly Asked[], width: number, rows: number): Batch {
    const { reader, encode } = this.benchmark;
    const { pad } = reader.ids;
    const filled = filledUp(asked, rows);
    const texts = asked[0].subjects.flatMap((_, s) =>
      filled.map(({ subjects }) => encode(subjects[s])),
    );
    const subject = rightPadded(texts, width, pad);
    const queries = filled.map((one) => this.network.query(one));
    const length = width + this.#extra;
    const query = rightPadded(
      queries.map(({ ids }) => ids),
      length,
      pad,
    );
    const places = Uint32Array.from(queries, ({ place }, row) => row * length + place);
    return {
      subject: subject.ids,
      subjectMask: subject.mask,
      query: query.ids,
      queryMask: query.mask,
      places: tensor(places),
    };
  }

  /** Logits f32 [S * B, vocab_size]. */
  logits(batch: Batch, dropout?: Dropout): Tensor {
    return this.#read(batch, this.#vectors(batch, dropout), dropout);
  }

  predict(batch: Batch): Prediction {
    const { weight } = this.benchmark.reader.lm.wordEmbeddings;
    const vectors = this.#vectors(batch);
    const nearest = nearestWords(reshape(vectors, [-1, weight.shape[1]]), weight); // [B * count]
    return { logits: this.#read(batch, vectors), trace: { nearest } };
  }

  words(_asked: Asked, { values }: Trace, row: number): string {
    const { tokenizer } = this.benchmark;
    const { count } = this.network;
    const own = values.nearest.slice(row * count, (row + 1) * count);
    const end = this.#period.map((id) => tokenizer.token(id));
    return ["[X]", ...asNearest(this.benchmark, own), "[Y]", ...end].join(" ");
  }

  save(device: Device, folder: string): Promise<void> {
    return saveStates(device, join(folder, FILE), this.parameters);
  }

  restore(device: Device, folder: string): Promise<void> {
    return restoreStates(device, join(folder, FILE), this.parameters, this.network.name);
  }

  /** Random parameters; `stream` separates those of one seed. */
  start(device: Device, seed: number, stream: number): void {
    Object.values(this.network.parameters).forEach(({ std }, i) => {
      const { size } = this.parameters[i];
      device.write(this.parameters[i], normal(size, std, seed, stream + i));
    });
  }

  #vectors({ query, queryMask, places }: Batch, dropout?: Dropout): Tensor {
    return this.network.vectors({ ids: query, mask: queryMask, places }, this.#states, dropout);
  }

  #read({ subject, subjectMask }: Batch, vectors: Tensor, dropout?: Dropout): Tensor {
    const { reader } = this.benchmark;
    const frame = {
      subject: reader.words({ ids: subject, mask: subjectMask }),
      between: everywhere(vectors),
      end: this.#period,
    };
    return readFrame(reader, frame, dropout);
  }
}
