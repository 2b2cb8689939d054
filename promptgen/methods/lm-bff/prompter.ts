/** Templates that are not known before the search, as a prompter: its questions have room for what will be found. */
import type { Seq2Seq } from "../../../models/seq2seq.ts";
import { type Benchmark, itemsOf, NONE, SPLITS } from "../../benchmark.ts";
import type { Relation } from "../../facts/facts.ts";
import type { Asked } from "../method.ts";
import { filled, TemplatePrompter } from "../shared/templates.ts";
import type { Writer } from "./writers.ts";

/** What writes templates, and where it came from. */
export type Source = {
  readonly where: string;
  /** The option that names it. */
  readonly option: string;
  readonly lm: Seq2Seq;
  readonly writer: Writer;
  /** See `Prompter.contents`. */
  readonly fingerprint: string;
  readonly remarks: readonly string[];
};

/** [CLS], the mask and [SEP]. */
const AROUND = 3;

export class SearchedPrompter extends TemplatePrompter {
  override readonly contents: Readonly<Record<string, string>>;
  readonly remarks: readonly string[];
  /** Undefined where what is saved is asked and nothing is written. */
  readonly source: Source | undefined;
  readonly benchmark: Benchmark;
  readonly #room: number;

  /** @param pieces of the reader that a template may have beside its slots */
  constructor(benchmark: Benchmark, source: Source | undefined, pieces: number) {
    super(benchmark, new Map(benchmark.relations.map(({ id }) => [id, "[X] [Y]"])));
    this.benchmark = benchmark;
    this.source = source;
    this.contents = source ? { [source.option]: source.fingerprint } : {};
    this.remarks = source?.remarks ?? [];
    this.#room = pieces + AROUND;
  }

  /** Of any template that `fits`. */
  override width({ subjects }: Asked): number {
    return Math.min(this.#longest(subjects) + this.#room, this.limit);
  }

  /** Whether every fact of a relation can be asked with a template in the widths that there are. */
  fits({ id, ...relation }: Relation, template: string): boolean {
    const items = SPLITS.flatMap((split) => itemsOf([{ id, ...relation }], split));
    return [NONE, ...items.map(({ fact }) => fact.subject)].every((subject) => {
      const { ids } = filled(this.benchmark, template, subject);
      return ids.length <= Math.min(this.#longest([subject]) + this.#room, this.limit);
    });
  }

  #longest(subjects: readonly string[]): number {
    return Math.max(...subjects.map((subject) => this.benchmark.encode(subject).length));
  }
}
