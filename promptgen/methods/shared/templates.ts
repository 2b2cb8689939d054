/** Templates as a prompter: one sentence a relation with [X] for the subject and [Y] for the object, which the reader reads as words. */
import { join } from "node:path";
import type { Device } from "../../../engine/device.ts";
import { type Tensor, tensor } from "../../../engine/tensor.ts";
import { readText } from "../../../models/formats/disk.ts";
import { writeWhole } from "../../../models/formats/files.ts";
import type { Benchmark, Item } from "../../benchmark.ts";
import { checkTemplate, fill, filledIn } from "../../facts/templates.ts";
import { filledUp, rightPadded } from "../../training/padding.ts";
import type { Asked, Prediction, Prompter } from "../method.ts";

const FILE = "prompts.json";

/** Texts of one width as tokens, and where the [MASK] of each stands. */
export type TemplateBatch = {
  readonly ids: Tensor;
  readonly mask: Tensor;
  readonly places: Tensor;
};

/** A question as the reader reads it, and where its [MASK] stands. */
export type Filled = { readonly ids: readonly number[]; readonly place: number };

/** A template for each relation. */
export class TemplatePrompter implements Prompter {
  readonly limit: number;
  readonly contents = {};
  readonly #benchmark: Benchmark;
  readonly #templates: Map<string, string>;

  /** @param templates by relation; throws for a relation without one */
  constructor(benchmark: Benchmark, templates: ReadonlyMap<string, string>) {
    const lacking = benchmark.relations.find(({ id }) => !templates.has(id));
    if (lacking) {
      throw new Error(
        `[templates] there is no template for ${lacking.id}; add one, or leave the relation out`,
      );
    }
    this.#benchmark = benchmark;
    this.#templates = new Map(templates);
    this.limit = benchmark.reader.lm.positions;
  }

  /** Asks about a relation with another template from now on. */
  use(relation: string, template: string): void {
    this.#templates.set(relation, checkTemplate(template));
  }

  width(asked: Asked): number {
    return this.#filled(asked).reduce((most, { ids }) => Math.max(most, ids.length), 0);
  }

  collate(asked: readonly Asked[], width: number, rows: number): TemplateBatch {
    const questions = filledUp(
      asked.map((one) => this.#filled(one)),
      rows,
    );
    const all = questions[0].flatMap((_, s) => questions.map((own) => own[s]));
    const { ids, mask } = rightPadded(
      all.map((one) => one.ids),
      width,
      this.#benchmark.reader.ids.pad,
    );
    const places = tensor(Uint32Array.from(all, ({ place }, row) => row * width + place));
    return { ids, mask, places };
  }

  predict({ ids, mask, places }: TemplateBatch): Prediction {
    return { logits: this.#benchmark.reader.readTokens({ ids, mask }, places), trace: {} };
  }

  words(asked: Asked): string {
    return this.template(asked);
  }

  async save(_device: Device, folder: string): Promise<void> {
    await writePrompts(folder, this.#templates);
  }

  async restore(_device: Device, folder: string): Promise<void> {
    for (const [id, template] of await readPrompts(folder)) this.use(id, template);
  }

  /** What a fact is asked with. */
  protected template({ relation: { id } }: Item): string {
    const found = this.#templates.get(id);
    if (found === undefined) throw new Error(`[templates] there is no template for ${id}`);
    return found;
  }

  #filled(asked: Asked): Filled[] {
    const template = this.template(asked);
    return asked.subjects.map((subject) => filled(this.#benchmark, template, subject));
  }
}

/** `[CLS] sentence [SEP]` with [MASK] for the object. */
export function filled(
  { tokenizer, encode }: Pick<Benchmark, "tokenizer" | "encode">,
  template: string,
  subject: string,
): Filled {
  const { cls, sep, mask } = tokenizer;
  const masked = tokenizer.token(mask);
  const ids = [cls, ...encode(fill(template, subject, masked)), sep];
  const place = ids.indexOf(mask);
  if (ids.indexOf(mask, place + 1) < 0) return { ids, place };
  // the subject or the template has masks of its own: the object's is the one behind those of the text before it
  const before = filledIn(template.slice(0, template.indexOf("[Y]")), subject, masked);
  const places = ids.flatMap((id, at) => (id === mask ? [at] : []));
  return { ids, place: places[encode(before).filter((id) => id === mask).length] };
}

/** Writes templates by relation as `TemplatePrompter.restore` takes them. */
export async function writePrompts(
  folder: string,
  templates: ReadonlyMap<string, string>,
): Promise<void> {
  const text = `${JSON.stringify(Object.fromEntries(templates), null, 2)}\n`;
  await writeWhole(join(folder, FILE), text);
}

/** Templates by relation, as `writePrompts` wrote them; `file` where they have another name. */
export async function readPrompts(folder: string, file = FILE): Promise<Map<string, string>> {
  const path = join(folder, file);
  const fail = (what: string, cause?: unknown): never => {
    throw new Error(`[templates] ${path} ${what}`, { cause });
  };
  const text = await readText(path, fail, "name the folder of a saved prompter");
  try {
    const value: unknown = JSON.parse(text);
    const isTable = typeof value === "object" && value !== null && !Array.isArray(value);
    if (!isTable) throw new Error("does not give each relation its template");
    const entries = Object.entries(value);
    return new Map(entries.map(([id, template]) => [id, checkTemplate(String(template), path)]));
  } catch (cause) {
    const why = cause instanceof SyntaxError ? "is not JSON" : String(Object(cause).message);
    throw new Error(`[templates] ${path} ${why}; save the prompter again`, { cause });
  }
}
