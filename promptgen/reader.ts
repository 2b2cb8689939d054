/**
 * The frozen masked LM that every method asks. It reads embeddings, so that words, free vectors and expected words are one
 * to it, and answers with logits over its vocabulary. It knows no method.
 */
import { check } from "../engine/errors.ts";
import { add, cast, maximum } from "../engine/ops/elementwise.ts";
import { concat, expand, reshape } from "../engine/ops/shape.ts";
import { type Tensor, tensor } from "../engine/tensor.ts";
import type { MaskedLM } from "../models/masked-lm.ts";
import { gatherRows, runningSum, type Training } from "../models/nn.ts";

/** Ids of the tokens that stand in every question. */
export type ReaderIds = {
  readonly cls: number;
  readonly sep: number;
  readonly mask: number;
  readonly pad: number;
};

/** A stretch of a question, T places in each of B rows. */
export type Part = {
  /** f32 [B, T, width of the table of words], without positions. */
  readonly embeds: Tensor;
  /** u32 [B, T]: 0 where nothing stands. Such a place is neither seen nor counted. */
  readonly mask: Tensor;
};

/** The masked LM as a reader of prompts. */
export class Reader {
  readonly lm: MaskedLM;
  readonly ids: ReaderIds;

  constructor(lm: MaskedLM, ids: ReaderIds) {
    this.lm = lm;
    this.ids = ids;
  }

  /** Token ids u32 [B, T] and which of them are there, as a part. */
  words({ ids, mask }: { readonly ids: Tensor; readonly mask: Tensor }): Part {
    return { embeds: this.lm.embed(ids), mask };
  }

  /** One token in each of `rows` rows, as a part of one place. */
  word(id: number, rows: number): Part {
    const row = this.lm.embed(tensor(Uint32Array.of(id), [1, 1]));
    return everywhere(expand(row, [rows, 1, row.shape[2]]));
  }

  /**
   * Logits f32 [R, vocab_size] at the [MASK] that stands between two rows of parts. A part of fewer rows than R, the most of
   * all, is repeated: R = S B for S subjects in each of B prompts, all subjects of a kind behind each other.
   * Positions count the places that are there, so a row equals that row alone without its gaps.
   *
   * @param training present where the reader's own dropout is on
   */
  read(before: readonly Part[], behind: readonly Part[], training?: Training): Tensor {
    const parts = [...before, ...behind].filter(({ mask }) => mask.shape[1] > 0);
    const rows = parts.reduce((most, { mask }) => Math.max(most, mask.shape[0]), 0);
    const least = parts.reduce((few, { mask }) => Math.min(few, mask.shape[0]), rows);
    const place = before.reduce((sum, { mask }) => sum + mask.shape[1], 0);
    const all = [...before, this.word(this.ids.mask, least), ...behind].filter(
      ({ mask }) => mask.shape[1] > 0,
    );
    // what has as many rows is joined first, so that it is repeated at once
    const joined = neighbours(all).map((own) => ({
      embeds: concat(
        own.map((part) => part.embeds),
        1,
      ),
      mask: concat(
        own.map((part) => part.mask),
        1,
      ),
    }));
    const embeds = concat(
      joined.map((part) => repeated(part.embeds, rows)),
      1,
    );
    const mask = concat(
      joined.map((part) => repeated(part.mask, rows)),
      1,
    );
    const input = { embeds, mask, positions: positionsOf(mask) };
    const hidden = this.lm.encode(input, { training }, place); // [R, 1, hidden_size]
    return reshape(this.lm.logits(hidden), [rows, -1]);
  }

  /**
   * Logits f32 [R, vocab_size] of texts that are tokens only.
   * @param places u32 [R]: where the [MASK] of each row stands, counted over all R T places
   * @param training present where the reader's own dropout is on
   */
  readTokens(
    text: { readonly ids: Tensor; readonly mask: Tensor },
    places: Tensor,
    training?: Training,
  ): Tensor {
    return this.lm.logits(gatherRows(this.lm.encode(text, { training }), places));
  }
}

/** A part all of whose places are there. */
export function everywhere(embeds: Tensor): Part {
  const [rows, length] = embeds.shape;
  return { embeds, mask: tensor(new Uint32Array(rows * length).fill(1), [rows, length]) };
}

/** Parts that stand beside each other and have as many rows, together. */
function neighbours(parts: readonly Part[]): Part[][] {
  const groups: Part[][] = [];
  for (const part of parts) {
    const last = groups.at(-1);
    if (last?.[0].mask.shape[0] === part.mask.shape[0]) last.push(part);
    else groups.push([part]);
  }
  return groups;
}

function repeated(x: Tensor, rows: number): Tensor {
  const [own] = x.shape;
  check(rows % own === 0, "reader", () => {
    return `${rows} subjects do not share ${own} prompts evenly`;
  });
  return own === rows ? x : concat(new Array<Tensor>(rows / own).fill(x), 0);
}

/** Positions u32 [R, T] that count the live places only (a dead one repeats the position before it). */
export function positionsOf(mask: Tensor): Tensor {
  return cast(maximum(add(runningSum(cast(mask, "f32")), -1), 0), "u32");
}
