/**
 * The two models that can write the words around subject and object, as what `AverageGenerator` asks of them: what they read about a
 * fact, what may follow, and which template a text means.
 *
 * A T5 reads `subject <extra_id_0> object <extra_id_1>` and writes what stands for the sentinels. A BART reads
 * `<s> subject <mask> object <mask> </s>` and writes the whole sentence anew. Its copies are forced: the decoder has read
 * `</s> <s> subject` before the first part, and the object's pieces before the second. "The object follows" is one more choice of the
 * first part; each fact has its own first piece of the object for it.
 */
import { type AverageSearch, OTHER } from "../../../models/generation/average.ts";
import { checkRows } from "../../../models/rows.ts";
import type { Seq2Seq } from "../../../models/seq2seq.ts";
import type { Tokenizer } from "../../../models/tokenizer/tokenizer.ts";
import type { Fact } from "../../facts/facts.ts";
import { checkTemplate } from "../../facts/templates.ts";

/** How one kind of model is asked for templates. */
export type Writer = {
  /** What the encoder reads about a fact. */
  source(fact: Fact): readonly number[];
  /** The search's questions, about these facts; see `Rules`. */
  search(
    facts: readonly Fact[],
    rules?: Rules,
  ): Pick<AverageSearch, "prefix" | "others" | "needed" | "follow">;
  /** The template that a text means; undefined where it is none. */
  template(ids: readonly number[]): string | undefined;
};

/**
 * With `only`, no text may become anything but a template within so many steps; without, the published rules hold, by which a text may
 * lack a slot.
 */
export type Rules = { readonly only?: number | undefined };

/** What makes a writer of a model, with one sentence for a model that cannot be one. */
export type WriterOf = (lm: Seq2Seq, tokenizer: Tokenizer, where: string) => Writer;

/** Tokens that no template holds, beside the space that they may begin with. */
const UNWANTED = ["", "_", "....", ".........."];

/** How a space is spelled at the beginning of a token. */
const SPACE = /^[▁Ġ]/;

/** Ids of tokens that are a space alone, or a row of periods. */
const unwanted = ({ vocabulary }: Tokenizer): ReadonlySet<number> =>
  new Set(
    [...vocabulary].flatMap(([token, id]) =>
      UNWANTED.includes(token.replace(SPACE, "")) ? [id] : [],
    ),
  );

/** Ids of ".", with a space before it or without. Two of them in a row are forbidden. */
const periods = ({ vocabulary }: Tokenizer): ReadonlySet<number> =>
  new Set([...vocabulary].flatMap(([token, id]) => (token.replace(SPACE, "") === "." ? [id] : [])));

const SENTINELS = ["<extra_id_0>", "<extra_id_1>", "<extra_id_2>"];
const SENTINEL = /^<extra_id_\d+>$/;
const END = "</s>";

/** A T5; throws one sentence where its tokenizer has no sentinels. */
export const t5Writer: WriterOf = (lm, tokenizer, where) => {
  const lacking = [...SENTINELS, END].filter((token) => !tokenizer.vocabulary.has(token));
  if (lacking.length > 0) {
    throw new Error(
      `[lm-bff] the tokenizer in ${where} has no ${lacking.join(", ")}, which stand for the words that are searched; use a T5 with its own tokenizer`,
    );
  }
  const sentinels = SENTINELS.map((token) => tokenizer.id(token));
  const end = tokenizer.id(END);
  checkRows([...sentinels, end], lm.vocabularySize, tokenizer, where);
  const forbidden = unwanted(tokenizer);
  const dots = periods(tokenizer);
  const every = new Set(
    [...tokenizer.vocabulary].flatMap(([token, id]) => (SENTINEL.test(token) ? [id] : [])),
  );
  const first = Number(lm.json.decoder_start_token_id ?? 0);
  return {
    source: ({ subject, object }) =>
      tokenizer.encode(`${subject} ${SENTINELS[0]} ${object} ${SENTINELS[1]}`),
    search(_, { only } = {}) {
      const marks = (ids: readonly number[]) => ids.filter((id) => every.has(id)).length;
      /** The sentinel that comes next. */
      const due = (ids: readonly number[]) => sentinels[marks(ids)];
      const isKept = (ids: readonly number[], id: number, steps: number): boolean => {
        const mark = marks(ids);
        if (mark === 0 || (mark === 1 && ids.length + 1 >= steps)) return id === due(ids);
        return every.has(id) ? id === due(ids) : id !== end || mark === 2;
      };
      return {
        prefix: (_i, ids) => [first, ...ids],
        needed: (ids) => (only === undefined ? undefined : due(ids)),
        follow(ids, id) {
          if (forbidden.has(id) || (dots.has(id) && dots.has(ids.at(-1) ?? end))) return undefined;
          if (only !== undefined && !isKept(ids, id, only)) return undefined;
          let part = 1;
          for (const one of [...ids, id]) if (one === sentinels[part] || one === end) part++;
          return part > 2 ? "ended" : "open";
        },
      };
    },
    template(ids) {
      const words = ids.filter((id) => id !== end && id !== sentinels[2]);
      return templateIn(tokenizer.decode(words));
    },
  };
};

/** The template of a text with sentinels for its slots. */
function templateIn(text: string): string | undefined {
  const slots = text.match(/<extra_id_\d+>/g) ?? [];
  if (slots.join(" ") !== SENTINELS.slice(0, 2).join(" ")) return undefined;
  return checked(text.replace(SENTINELS[0], " [X]").replace(SENTINELS[1], " [Y]"));
}

function checked(text: string): string | undefined {
  try {
    return checkTemplate(text.replace(/\s+/g, " ").trim());
  } catch {
    return undefined; // it writes a slot itself
  }
}

/** A BART. */
export const bartWriter: WriterOf = (lm, tokenizer, where) => {
  const { bos, eos, pad, unk, mask } = tokenizer;
  checkRows([bos, eos, pad, mask], lm.vocabularySize, tokenizer, where);
  const forbidden = new Set([...unwanted(tokenizer), bos, pad, unk, mask]);
  const dots = periods(tokenizer);
  const masked = tokenizer.token(mask);
  return {
    source: ({ subject, object }) => [
      bos,
      ...tokenizer.encode(`${subject} ${masked} ${object} ${masked}`),
      eos,
    ],
    search(facts, { only } = {}) {
      const heads = facts.map(({ subject }) => [eos, bos, ...tokenizer.encode(subject)]);
      const objects = facts.map(({ object }) => tokenizer.encode(` ${object}`));
      const first = objects.map(([id]) => id);
      return {
        prefix: (i, ids) => [
          ...heads[i],
          ...ids.flatMap((id) => (id === OTHER ? objects[i] : [id])),
        ],
        others: (ids) => (ids.includes(OTHER) ? undefined : first),
        follow(ids, id) {
          if (forbidden.has(id) || (dots.has(id) && dots.has(ids.at(-1) ?? eos))) return undefined;
          const isLast = only !== undefined && ids.length + 1 >= only && !ids.includes(OTHER);
          if (isLast && id !== OTHER) return undefined;
          if (id === eos) return ids.includes(OTHER) ? "ended" : undefined;
          return "open";
        },
      };
    },
    template(ids) {
      const at = ids.indexOf(OTHER);
      if (at < 0) return undefined;
      const part = (from: number, to?: number) =>
        tokenizer.decode(ids.slice(from, to).filter((id) => id !== eos));
      return checked(`[X]${part(0, at)} [Y]${part(at + 1)}`);
    },
  };
};
