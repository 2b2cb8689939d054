/** A visitor's own facts and models: read, priced, and made a run like any other, on the disk of the worker. */
import type { Device } from "../../../engine/device.ts";
import { loadTokenizer } from "../../../models/tokenizer/tokenizer.ts";
import { type Prepared, prepare, runOptions } from "../../../promptgen/run.ts";
import { type FactsRead, readFacts } from "../facts-text.ts";
import { disk } from "../node/disk.ts";
import type {
  Cost,
  FactsShown,
  ModelSource,
  OwnFacts,
  PageEvent,
  Requests,
  TrainSettings,
} from "../protocol.ts";
import { secondsOf, speedOf, workOfRun } from "./cost.ts";
import { describe, fetchModel, type Model } from "./models.ts";

const FACTS = "/own/facts";

/** What a CPU with 32-bit addresses has, and what one of a page may take. */
const ADDRESSES = 4 * 2 ** 30;

/** The size of the machine's memory, as far as the browser tells; it never tells of more than 8 GiB. */
const machine = (): number => {
  const { deviceMemory = 8 } = navigator as unknown as { deviceMemory?: number };
  return deviceMemory * 2 ** 30;
};

type Wanted = Requests["cost"]["take"];

/** What the visitor brings. */
export class Own {
  readonly #device: Device;
  readonly #emit: (event: PageEvent) => void;
  readonly #start: () => Promise<unknown>;
  #speed: number | undefined;
  #prepared: Prepared | undefined;

  /** @param start fetches what training in the embedded world starts from */
  constructor(device: Device, emit: (event: PageEvent) => void, start: () => Promise<unknown>) {
    this.#device = device;
    this.#emit = emit;
    this.#start = start;
  }

  async facts({ text, template }: OwnFacts): Promise<FactsShown> {
    const { relations, problems } = readFacts(text, template);
    return {
      relations: relations.map(({ label, template: own, train, dev, test }) => ({
        id: label,
        template: own,
        train: train.length,
        dev: dev.length,
        test: test.length,
      })),
      facts: relations.reduce(
        (sum, { train, dev, test }) => sum + train.length + dev.length + test.length,
        0,
      ),
      problems,
    };
  }

  /** What training would take: of models on the Hub only what describes them is fetched. */
  async cost(wanted: Wanted): Promise<Cost> {
    const [reader, generator] = await this.#models(wanted, describe);
    const run = await this.#open(wanted, reader.folder, generator.folder);
    return this.#price(run, reader.bytes + generator.bytes);
  }

  /** Fetches the models and opens the run. */
  async prepare(wanted: Wanted): Promise<Cost> {
    const [reader, generator] = await this.#models(wanted, (source, folder, what) =>
      fetchModel(source, folder, (done, all) => this.#emit({ event: "progress", what, done, all })),
    );
    this.#prepared = await this.#open(wanted, reader.folder, generator.folder);
    return this.#price(this.#prepared, 0);
  }

  /** The prepared run with the settings of a training. @throws where none is prepared */
  async run({ alpha, seed }: TrainSettings): Promise<Prepared> {
    const run = this.#prepared;
    if (!run) throw new Error("[own] nothing is prepared; give facts and models first");
    // a training changes the prompter, so that each has its own
    const { reader, data } = run.options;
    const generator = String(run.options.own.generator);
    return prepare(runOptions({ ...CHOSEN, reader, data, generator, alpha, seed }));
  }

  async #models(
    { generator, reader }: Wanted,
    take: (
      source: Exclude<ModelSource, { from: "world" }>,
      folder: string,
      what: string,
    ) => Promise<Model>,
  ): Promise<readonly [Model, Model]> {
    if (generator.from === "world") await this.#start();
    const one =
      reader.from === "world" ? WORLD_BERT : await take(reader, "/own/reader", "the reader:");
    const two =
      generator.from === "world"
        ? WORLD_BART
        : await take(generator, "/own/generator", "the writer:");
    return [one, two];
  }

  async #open({ facts, seed }: Wanted, reader: string, generator: string): Promise<Prepared> {
    const read = readFacts(facts.text, facts.template);
    if (read.relations.length === 0) {
      throw new Error(
        "[own] there are no facts to train on; paste some, three a relation at least",
      );
    }
    await writeFacts(read, reader);
    return prepare(runOptions({ ...CHOSEN, reader, data: FACTS, generator, seed }));
  }

  async #price(run: Prepared, download: number): Promise<Cost> {
    this.#speed ??= await speedOf(this.#device);
    const work = await workOfRun(run);
    // the files of the models, and a checkpoint with its moments and the best weights beside it
    const files = download + disk.size("/own");
    return {
      download,
      memory: work.memory + files,
      limit: Math.min(ADDRESSES, 0.75 * machine()),
      steps: work.steps,
      seconds: secondsOf(work, this.#speed),
      gigaflops: this.#speed / 1e9,
      remarks: run.remarks,
    };
  }
}

const WORLD_BERT: Model = { folder: "/world/bert", bytes: 0 };
const WORLD_BART: Model = { folder: "/world/bart", bytes: 0 };

/** What the page chooses for a training on a visitor's facts. */
const CHOSEN = { lr: 1e-4, "batch-size": 16, epochs: 10 } as const;

const WORD = /^\p{L}[\p{L}'’-]*$/u;

/** Writes facts in the layout of the benchmark; what an answer may be are the reader's whole words. */
async function writeFacts({ relations }: FactsRead, reader: string): Promise<void> {
  const put = (path: string, lines: readonly string[]) =>
    disk.put(`${FACTS}/${path}`, new TextEncoder().encode(`${lines.join("\n")}\n`));
  disk.remove(FACTS);
  const tokenizer = await loadTokenizer(reader);
  const words = Array.from({ length: tokenizer.size }, (_, id) => tokenizer.word(id)).filter(
    (word) => word !== undefined && WORD.test(word),
  );
  put("common_vocabs/common_vocab_cased.txt", [...new Set(words)] as string[]);
  put(
    "relation_metainfo/LAMA_relations.jsonl",
    relations.map(({ id, label, type, template }) =>
      JSON.stringify({ relation: id, label, type, template }),
    ),
  );
  for (const { id, train, dev, test } of relations) {
    const lines = (facts: typeof train) =>
      facts.map(({ subject, object }) => JSON.stringify({ sub_label: subject, obj_label: object }));
    put(`autoprompt_data/${id}/train.jsonl`, lines(train));
    put(`autoprompt_data/${id}/dev.jsonl`, lines(dev));
    put(`LAMA-TREx/${id}.jsonl`, lines(test));
  }
}
