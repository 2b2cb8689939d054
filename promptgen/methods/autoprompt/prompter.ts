/** Asks with the triggers of a search, as the ids that they are or as the words that they spell. */
import { join } from "node:path";
import type { Device } from "../../../engine/device.ts";
import { type Tensor, tensor } from "../../../engine/tensor.ts";
import { readText } from "../../../models/formats/disk.ts";
import { writeWhole } from "../../../models/formats/files.ts";
import type { Benchmark } from "../../benchmark.ts";
import { filledUp, rightPadded } from "../../training/padding.ts";
import type { Asked, Prediction, Prompter } from "../method.ts";
import { type Filled, filled } from "../shared/templates.ts";
import { TriggerSearch } from "./search.ts";
import { templateOf } from "./tokens.ts";

const FILE = "triggers.json";
/** Texts that are longer than their ids are padded to multiples of this, so that few plans serve them. */
const STEP = 4;

type Questions = { readonly ids: Tensor; readonly mask: Tensor; readonly places: Tensor };

/** Triggers for the relation that was last searched for or restored. */
export class AutoPromptPrompter implements Prompter {
  readonly limit: number;
  readonly contents = {};
  readonly benchmark: Benchmark;
  /** Id of the final period. */
  readonly period: number;
  readonly #asText: boolean;
  #triggers: readonly number[];
  /** The template that is asked with in place of the ids. */
  #template: string | undefined;
  #search: { readonly key: readonly unknown[]; readonly search: TriggerSearch } | undefined;

  /** @param asText whether what is restored asks as text; a search asks by ids */
  constructor(benchmark: Benchmark, count: number, asText: boolean) {
    const { reader, encode, tokenizer } = benchmark;
    this.benchmark = benchmark;
    this.#asText = asText;
    this.#triggers = new Array<number>(count).fill(reader.ids.mask);
    this.period = encode(`${tokenizer.token(reader.ids.mask)} .`).at(-1) ?? tokenizer.unk;
    this.limit = reader.lm.positions - this.#around;
    if (this.limit < 1) {
      throw new Error(
        `[autoprompt] ${count} triggers leave no room for a subject in the masked LM's ${reader.lm.positions} positions; use fewer`,
      );
    }
  }

  get triggers(): readonly number[] {
    return this.#triggers;
  }

  /** The triggers as words, with [X] and [Y]. */
  get template(): string {
    return templateOf(this.benchmark.tokenizer, this.#triggers);
  }

  /** Asks with these triggers from now on, by ids. */
  use(triggers: readonly number[]): void {
    this.#triggers = triggers;
    this.#template = undefined;
  }

  /** Places of a question that are not the subject's: [CLS], triggers, mask, period, [SEP]. */
  get #around(): number {
    return this.#triggers.length + 4;
  }

  width({ subjects }: Asked): number {
    const { encode } = this.benchmark;
    return subjects.reduce((most, text) => Math.max(most, encode(text).length), 1);
  }

  /** Where a text is longer than its ids would be, the batch is wider than `width` asks for. */
  collate(asked: readonly Asked[], width: number, rows: number): Questions {
    const { reader } = this.benchmark;
    const one = filledUp(asked, rows);
    const all = asked[0].subjects.flatMap((_, s) =>
      one.map(({ subjects }) => this.#filled(subjects[s])),
    );
    const room = width + this.#around;
    const most = all.reduce((length, { ids }) => Math.max(length, ids.length), 0);
    const limit = reader.lm.positions;
    if (most > limit) {
      throw new Error(
        `[autoprompt] the prompt "${this.template}" is read as ${most} tokens with a subject of ${asked[0].relation.id}, more than the ` +
          `masked LM's ${limit} positions; use --ask ids`,
      );
    }
    const more = Math.ceil(Math.max(most - room, 0) / STEP) * STEP;
    const length = Math.min(room + more, limit);
    const { ids, mask } = rightPadded(
      all.map((question) => question.ids),
      length,
      reader.ids.pad,
    );
    const places = tensor(Uint32Array.from(all, ({ place }, row) => row * length + place));
    return { ids, mask, places };
  }

  predict({ ids, mask, places }: Questions): Prediction {
    return { logits: this.benchmark.reader.readTokens({ ids, mask }, places), trace: {} };
  }

  words(): string {
    return this.template;
  }

  async save(_device: Device, folder: string): Promise<void> {
    const { tokenizer } = this.benchmark;
    const tokens = this.#triggers.map((id) => tokenizer.token(id));
    const found = { triggers: this.#triggers, tokens, template: this.template };
    await writeWhole(join(folder, FILE), `${JSON.stringify(found, null, 2)}\n`);
  }

  async restore(_device: Device, folder: string): Promise<void> {
    const { tokenizer } = this.benchmark;
    const path = join(folder, FILE);
    const fail = (what: string, cause?: unknown): never => {
      throw new Error(`[autoprompt] ${path} ${what}`, { cause });
    };
    const text = await readText(path, fail, "name the folder of a finished run");
    let saved: { readonly triggers?: unknown; readonly tokens?: unknown };
    try {
      saved = Object(JSON.parse(text));
    } catch (cause) {
      return fail("is not JSON; search again", cause);
    }
    const { triggers, tokens } = saved;
    const count = this.#triggers.length;
    const fits =
      Array.isArray(triggers) &&
      Array.isArray(tokens) &&
      triggers.length === count &&
      triggers.every((id, i) => tokens[i] !== "" && tokenizer.idOrUndefined(tokens[i]) === id);
    if (!fits) {
      return fail(
        `does not hold ${count} triggers of this masked LM; use the masked LM and the number of triggers of its run`,
      );
    }
    this.use(triggers);
    if (this.#asText) this.#template = this.template;
  }

  /** A search by this reader; made once, so that all relations share its plans. */
  search(device: Device, candidates: number): TriggerSearch {
    const key = [device, candidates];
    if (!this.#search?.key.every((part, i) => part === key[i])) {
      const { reader } = this.benchmark;
      this.#search = { key, search: new TriggerSearch(device, reader, this.period, candidates) };
    }
    return this.#search.search;
  }

  #filled(subject: string): Filled {
    const { reader, encode } = this.benchmark;
    if (this.#template !== undefined) return filled(this.benchmark, this.#template, subject);
    const { cls, mask, sep } = reader.ids;
    const head = [cls, ...encode(subject), ...this.#triggers];
    return { ids: [...head, mask, this.period, sep], place: head.length };
  }
}
