/** A tokenizer's ids against the rows of a model's table of words: an id without a row would be read from nowhere. */
import { ModelError } from "./errors.ts";
import type { Tokenizer } from "./tokenizer/tokenizer.ts";

const tableOf = (rows: number, directory: string) =>
  `the model's table of words has ${rows} rows (vocab_size in ${directory}/config.json)`;

/**
 * Throws where one of the ids that are about to be read has no row.
 *
 * @param rows of the table of words
 * @param directory of the model and its tokenizer, for the sentence
 * @throws ModelError `[tokenizer] ...` with the token, its id, the rows and the file
 */
export function checkRows(
  ids: Iterable<number>,
  rows: number,
  tokenizer: Tokenizer,
  directory: string,
): void {
  for (const id of ids) {
    if (id < rows) continue;
    throw new ModelError(
      `[tokenizer] ${directory}: the token ${JSON.stringify(tokenizer.token(id))} has the id ${id}, but ${tableOf(rows, directory)}; ` +
        "use tokenizer and weights of one checkpoint, or texts without it",
    );
  }
}

/** A sentence about ids without a row, whether texts have them or not; undefined where every id has one. */
export function rowsRemark(
  tokenizer: Tokenizer,
  rows: number,
  directory: string,
): string | undefined {
  const { size } = tokenizer;
  if (size <= rows) return undefined;
  const first = [...tokenizer.vocabulary].find(([, id]) => id >= rows);
  const which = first ? `, from ${JSON.stringify(first[0])} (${first[1]}) on` : "";
  return (
    `[tokenizer] ${directory}: ${size - rows} of the tokenizer's ${size} ids${which} are not read, ` +
    `for ${tableOf(rows, directory)}`
  );
}
