/**
 * Choosing tokens: greedy and beam search over the log-probabilities that a decoder gives, on the host.
 *
 * Order, scores and the moment at which a search ends are those of `generate` in transformers 5
 * (transformers/generation/utils.py, `_beam_search`; logits_process.py for the rules).
 */

import { configError, count, type Field, readFields, real, strayIds, unlike } from "../config.ts";
import { ModelError } from "../errors.ts";
import type { Json } from "../formats/json.ts";

const optional = (): Field<number | null> => ({ ...count(0), absent: null });

const earlyStopping: Field<boolean | "never"> = {
  absent: false,
  read: (value) =>
    typeof value === "boolean" || value === "never"
      ? { value }
      : { wrong: `is ${JSON.stringify(value)} where true, false or "never" is expected` },
};

const FIELDS = {
  num_beams: count(1, { absent: 1 }),
  max_length: count(2, { absent: 20 }),
  min_length: count(0, { absent: 0 }),
  length_penalty: real(-100, 100, { absent: 1 }),
  early_stopping: earlyStopping,
  no_repeat_ngram_size: count(0, { absent: 0 }),
  num_return_sequences: count(1, { absent: 1 }),
  decoder_start_token_id: count(0, { absent: 2 }),
  eos_token_id: count(0, { absent: 2 }),
  forced_bos_token_id: optional(),
  forced_eos_token_id: optional(),
};

/** `<s>`, where the file does not say. */
const BOS = 0;

/** Fields that change what is written and are not computed here, with the values that leave it as it is, beside null. */
const NEUTRAL: Readonly<Record<string, unknown>> = {
  bad_words_ids: [],
  begin_suppress_tokens: [],
  diversity_penalty: 0,
  encoder_no_repeat_ngram_size: 0,
  encoder_repetition_penalty: 1,
  exponential_decay_length_penalty: null,
  force_words_ids: [],
  forced_decoder_ids: [],
  guidance_scale: 1,
  max_new_tokens: null,
  min_new_tokens: null,
  num_beam_groups: 1,
  penalty_alpha: 0,
  repetition_penalty: 1,
  sequence_bias: [],
  stop_strings: [],
  suppress_tokens: [],
};

/**
 * How texts are written, by the field names of generation_config.json; lengths count the start token and `</s>`.
 * Fields of sampling are not among them.
 */
export type GenerationConfig = ReturnType<typeof generationConfig>;

/**
 * Throws `[config] ...` with every wrong field, every id that is no row of a table of `rows` words, or the fields that are not
 * computed here and would count.
 */
export function generationConfig(
  json: Json,
  where = "generation_config.json",
  rows = Number.POSITIVE_INFINITY,
) {
  const config = readFields(json, FIELDS, where);
  const stray = strayIds(json, rows);
  if (stray.length > 0) throw configError(where, stray);
  const foreign = unlike(json, NEUTRAL);
  if (foreign.length > 0) {
    throw new ModelError(
      `[config] ${where}: ${foreign.join(", ")}: not computed here; take it out of the file to write without it`,
    );
  }
  // as files of before 2021 ask for it
  const { force_bos_token_to_be_generated: old, bos_token_id } = json;
  if (old !== true || config.forced_bos_token_id !== null) return config;
  const { forced_bos_token_id } = readFields(
    { forced_bos_token_id: bos_token_id ?? BOS },
    { forced_bos_token_id: count(0) },
    where,
  );
  return { ...config, forced_bos_token_id };
}

/** A token and its log-probability. */
export type Choice = {
  readonly id: number;
  readonly logProbability: number;
};

/** A text that was written: ids from the start token to `</s>`, or to the longest length. */
export type Generated = {
  readonly ids: readonly number[];
  /** The sum of the tokens' log-probabilities, divided by (their count to the power of length_penalty); forced ones count 0. */
  readonly score: number;
};

/** A text so far. Its last token has not been read by the decoder yet. */
export type Hypothesis = {
  readonly ids: readonly number[];
  /** Where in the cache the places of all tokens but the last lie. */
  readonly slots: readonly number[];
  /** The sum of log-probabilities. */
  readonly sum: number;
};

/** A search for one text, a token at a time. */
export type Search = {
  /** What the decoder has to read now, at most one for each beam; empty at the end. */
  readonly running: readonly Hypothesis[];
  /** The number of most probable tokens to pass to `advance` for each of them; 0 when none is looked at. */
  wanted(): number;
  /**
   * @param choices for each of `running`, most probable first
   * @param slots where its newest place lies in the cache
   */
  advance(choices: readonly (readonly Choice[])[], slots: readonly number[]): void;
  /** At most num_return_sequences texts, best first. */
  results(): Generated[];
};

/** The tokens that may not follow: what would repeat an n-gram, and the end before the least length. */
export function banned(ids: readonly number[], config: GenerationConfig): Set<number> {
  const { no_repeat_ngram_size: n, min_length, eos_token_id } = config;
  const found = new Set<number>(ids.length < min_length ? [eos_token_id] : []);
  if (n === 0) return found;
  const tail = ids.length - (n - 1); // the last n - 1 tokens begin here
  for (let start = 0; start + n <= ids.length; start++) {
    let same = 0;
    while (same < n - 1 && ids[start + same] === ids[tail + same]) same++;
    if (same === n - 1) found.add(ids[start + n - 1]);
  }
  return found;
}

/** The one token that may follow, if there is such a rule for this place. */
export function forced(ids: readonly number[], config: GenerationConfig): number | undefined {
  const { forced_bos_token_id: first, forced_eos_token_id: last, max_length } = config;
  if (ids.length === max_length - 1 && last !== null) return last;
  return ids.length === 1 && first !== null ? first : undefined;
}

/** What both kinds of search share. */
abstract class Rules {
  readonly config: GenerationConfig;
  running: readonly Hypothesis[];
  constructor(config: GenerationConfig) {
    this.config = config;
    this.running = [{ ids: [config.decoder_start_token_id], slots: [], sum: 0 }];
  }

  /** Choices to keep of each hypothesis. */
  protected abstract get width(): number;

  wanted(): number {
    const counts = this.running.map(({ ids }) =>
      forced(ids, this.config) === undefined ? this.width + banned(ids, this.config).size : 0,
    );
    return Math.max(0, ...counts);
  }

  /** The best continuations of one hypothesis, best first. */
  protected continuations(
    from: Hypothesis,
    choices: readonly Choice[],
    slot: number,
  ): Hypothesis[] {
    const only = forced(from.ids, this.config);
    const not = banned(from.ids, this.config);
    const open =
      only === undefined
        ? choices.filter(({ id }) => !not.has(id)).slice(0, this.width)
        : [{ id: only, logProbability: 0 }];
    return open.map(({ id, logProbability }) => ({
      ids: [...from.ids, id],
      slots: [...from.slots, slot],
      sum: from.sum + logProbability,
    }));
  }

  protected ended({ ids }: Hypothesis): boolean {
    return ids.at(-1) === this.config.eos_token_id || ids.length >= this.config.max_length;
  }

  protected finished({ ids, sum }: Hypothesis): Generated {
    return { ids, score: sum / (ids.length - 1) ** this.config.length_penalty };
  }
}

/** The most probable token, each time. */
class GreedySearch extends Rules implements Search {
  #result: Generated | undefined;

  protected override get width(): number {
    return 1;
  }

  advance([choices]: readonly (readonly Choice[])[], [slot]: readonly number[]): void {
    const [next] = this.continuations(this.running[0], choices, slot);
    if (next && !this.ended(next)) {
      this.running = [next];
      return;
    }
    this.#result = this.finished(next ?? this.running[0]);
    this.running = [];
  }

  results(): Generated[] {
    return this.#result ? [this.#result] : [];
  }
}

/** The num_beams best texts, side by side. */
class BeamSearch extends Rules implements Search {
  #finished: Generated[] = [];

  /** One continuation of each could be an end, so that twice as many leave enough to go on with. */
  protected override get width(): number {
    return 2 * this.config.num_beams;
  }

  advance(choices: readonly (readonly Choice[])[], slots: readonly number[]): void {
    const { num_beams: beams } = this.config;
    const pool = this.running
      .flatMap((from, i) => this.continuations(from, choices[i], slots[i]))
      .sort((a, b) => b.sum - a.sum)
      .slice(0, this.width);
    // an end counts where it is among the best; behind them it was only kept out of the way
    const ends = pool.slice(0, beams).filter((one) => this.ended(one));
    this.#finished = [...this.#finished, ...ends.map((one) => this.finished(one))]
      .sort((a, b) => b.score - a.score)
      .slice(0, beams);
    const open = pool.filter((one) => !this.ended(one)).slice(0, beams);
    this.running = open.length === 0 || this.#isDone(open[0]) ? [] : open;
  }

  /** Whether there are enough finished texts, and the open ones are not expected to become better. */
  #isDone({ ids, sum }: Hypothesis): boolean {
    const { num_beams, early_stopping, length_penalty, max_length } = this.config;
    const worst = this.#finished[num_beams - 1];
    if (worst === undefined) return false;
    if (early_stopping === true) return true;
    const longest = early_stopping === "never" && length_penalty > 0;
    const length = (longest ? max_length : ids.length) - 1;
    return sum / length ** length_penalty <= worst.score;
  }

  results(): Generated[] {
    return this.#finished.slice(0, this.config.num_return_sequences);
  }
}

/** A search for one text. */
export const startSearch = (config: GenerationConfig): Search =>
  config.num_beams === 1 ? new GreedySearch(config) : new BeamSearch(config);
