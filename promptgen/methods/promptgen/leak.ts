/**
 * How much of a prompt is an answer already: the probability that its slots give to the fact's object, and to the objects that the
 * relation has in training.
 */
import { cast, equal, mul } from "../../../engine/ops/elementwise.ts";
import { embedding } from "../../../engine/ops/embedding.ts";
import { sum } from "../../../engine/ops/reduce.ts";
import { reshape } from "../../../engine/ops/shape.ts";
import { type Tensor, tensor } from "../../../engine/tensor.ts";
import type { Benchmark, Item } from "../../benchmark.ts";
import type { Relation } from "../../facts/facts.ts";
import { meanOfSlots } from "../shared/slots.ts";
import type { Prompts } from "./generator.ts";
import type { CommonVocabulary } from "./vocabulary.ts";

/** Which objects the facts of a batch have, as classes. */
export type ObjectRows = {
  /** u32 [B]: the class of the fact's object; C where it is none. */
  readonly objectClasses: Tensor;
  /** u32 [B]: the relation's row among the objects of relations. */
  readonly relationRows: Tensor;
};

/** The objects of a benchmark as classes of the common vocabulary. */
export class ObjectClasses {
  readonly #tokenizer: Benchmark["tokenizer"];
  /** By the reader's ids. */
  readonly #classes: ReadonlyMap<number, number>;
  readonly #rows: ReadonlyMap<string, number>;
  readonly #size: number;
  /** f32 [R + 1, C]: 1 where the class is a training object of the relation; the last row is for relations of other benchmarks. */
  readonly #training: Tensor;

  constructor(
    { relations, tokenizer }: Pick<Benchmark, "relations" | "tokenizer">,
    { size, reader, end }: Pick<CommonVocabulary, "size" | "reader" | "end">,
  ) {
    this.#tokenizer = tokenizer;
    this.#classes = new Map(Array.from(reader.subarray(0, end), (id, c) => [id, c]));
    this.#rows = new Map(relations.map(({ id }, row) => [id, row]));
    this.#size = size;
    const training = new Float32Array((relations.length + 1) * size);
    relations.forEach(({ train }, row) => {
      for (const { object } of train) {
        const c = this.#classOf(object);
        if (c < size) training[row * size + c] = 1;
      }
    });
    this.#training = tensor(training, [relations.length + 1, size]);
  }

  rows(items: readonly Item[]): ObjectRows {
    const row = ({ id }: Relation) => this.#rows.get(id) ?? this.#rows.size;
    return {
      objectClasses: tensor(Uint32Array.from(items, ({ fact }) => this.#classOf(fact.object))),
      relationRows: tensor(Uint32Array.from(items, ({ relation }) => row(relation))),
    };
  }

  /**
   * Means over the live slots of each prompt, f32 [B]; 0 for a prompt without any.
   *
   * - objectMass: the probability of the fact's object
   * - objectsMass: that of all training objects of its relation together
   */
  masses(prompts: Prompts, rows: ObjectRows): Record<string, Tensor> {
    const mean = meanOfSlots(prompts); // [B, C]
    const [batch] = mean.shape;
    const classes = tensor(Uint32Array.from({ length: this.#size }, (_, c) => c));
    const own = cast(equal(reshape(rows.objectClasses, [batch, 1]), classes), "f32");
    const objects = embedding(this.#training, rows.relationRows); // [B, C]
    return {
      objectMass: sum(mul(mean, own), 1),
      objectsMass: sum(mul(mean, objects), 1),
    };
  }

  #classOf(object: string): number {
    const id = this.#tokenizer.wordIdOrUndefined(object);
    return (id === undefined ? undefined : this.#classes.get(id)) ?? this.#size;
  }
}
