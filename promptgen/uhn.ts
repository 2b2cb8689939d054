/**
 * The second rule of LAMA-UHN (Poerner et al. 2019): test facts whose object the reader names for a word of the subject alone.
 *
 * "Jean Marais" speaks French: who takes "Jean" for a French name needs to know nothing of him. Every word of a subject is asked
 * about in a sentence of its own; a fact goes where the object is among the three most probable of all the reader's words.
 */
import { compile } from "../engine/compile.ts";
import type { Device } from "../engine/device.ts";
import { topK } from "../engine/ops/argmax.ts";
import { type Tensor, tensor } from "../engine/tensor.ts";
import { bucketWidths, groups } from "../models/training/buckets.ts";
import type { Benchmark } from "./benchmark.ts";
import { keyOf } from "./facts/splits.ts";
import { filledUp, rightPadded } from "./training/padding.ts";

/** What a name is asked to be common in, by relation; others have no such rule. */
export const NAME_RELATIONS: ReadonlyMap<string, string> = new Map([
  ["P19", "city"],
  ["P20", "city"],
  ["P27", "country"],
  ["P103", "language"],
  ["P1412", "language"],
]);

const MOST_PROBABLE = 3;
const BUCKETS = 3;
const ROWS = 32;

type Question = { readonly text: string; readonly ids: readonly number[]; readonly place: number };

/** Asks once for each different word; a word too long for the reader's positions is not asked about. Undefined when the signal came. */
export async function namedAway(
  device: Device,
  benchmark: Pick<Benchmark, "reader" | "tokenizer" | "encode" | "relations">,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<ReadonlySet<string> | undefined> {
  const { reader, tokenizer, relations } = benchmark;
  const asked = relations.flatMap(({ id, test }) => {
    const kind = NAME_RELATIONS.get(id);
    if (kind === undefined) return [];
    return test.map((fact) => ({
      key: keyOf({ relation: id, ...fact }),
      object: tokenizer.wordIdOrUndefined(fact.object),
      texts: wordsOf(fact.subject).map((word) =>
        sentence(word, kind, tokenizer.token(tokenizer.mask)),
      ),
    }));
  });
  const texts = new Set(asked.flatMap((fact) => fact.texts));
  const questions = [...texts].map((text) => question(benchmark, text));
  const short = questions.filter(({ ids }) => ids.length <= reader.lm.positions);
  const widths = bucketWidths(
    short.map(({ ids }) => ids.length),
    BUCKETS,
  );
  const run = compile(device, (batch: Readonly<Record<"ids" | "mask" | "places", Tensor>>) => ({
    ids: topK(reader.readTokens(batch, batch.places), MOST_PROBABLE).indices,
  }));
  const guesses = new Map<string, readonly number[]>();
  for (const { items, width } of groups(short, ({ ids }) => ids.length, widths, ROWS)) {
    if (options.signal?.aborted) return undefined;
    const rows = filledUp(items, ROWS);
    const padded = rightPadded(
      rows.map(({ ids }) => ids),
      width,
      tokenizer.pad,
    );
    const places = tensor(Uint32Array.from(rows, ({ place }, row) => row * width + place));
    const found = await (await run({ ...padded, places })).ids.read();
    items.forEach(({ text }, row) => {
      guesses.set(text, Array.from(found.slice(row * MOST_PROBABLE, (row + 1) * MOST_PROBABLE)));
    });
  }
  const isNamed = (fact: (typeof asked)[number]): boolean =>
    fact.object !== undefined &&
    fact.texts.some((text) => guesses.get(text)?.includes(fact.object ?? -1));
  return new Set(asked.filter(isNamed).map(({ key }) => key));
}

/** As Python's str.split parts a name. */
const wordsOf = (subject: string): string[] => subject.split(/\s+/u).filter((word) => word !== "");

const sentence = (word: string, kind: string, mask: string): string =>
  `${word} is a common name in the following ${kind} : ${mask} .`;

function question(
  { tokenizer, encode }: Pick<Benchmark, "tokenizer" | "encode">,
  text: string,
): Question {
  const { cls, sep, mask } = tokenizer;
  const ids = [cls, ...encode(text), sep];
  // should the name be spelled like a mask, the sentence's own is the last
  return { text, ids, place: ids.lastIndexOf(mask) };
}
