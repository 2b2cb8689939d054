/** Figures and prompts as people read them. */

/** 0.934 as "93 %"; what is not quite nothing or all says so. */
export function percent(probability: number): string {
  const value = 100 * probability;
  if (value > 0 && value < 0.5) return "< 1 %";
  if (value >= 99.5 && value < 100) return "> 99 %";
  return `${Math.round(value)} %`;
}

/** Bytes as MB or GB, of 10^6 and 10^9. */
export function bytes(count: number): string {
  if (count < 1e6) return `${Math.max(1, Math.round(count / 1e3))} kB`;
  return count < 1e9 ? `${(count / 1e6).toFixed(1)} MB` : `${(count / 1e9).toFixed(1)} GB`;
}

/** A stretch of time, in words. */
export function duration(seconds: number): string {
  if (seconds < 1) return "less than a second";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  return seconds < 48 * 3600
    ? `${Math.round(seconds / 3600)} h`
    : `${Math.round(seconds / 86400)} days`;
}

/** A piece of a prompt. */
export type Piece = {
  readonly kind: "subject" | "mask" | "word" | "vector";
  readonly text: string;
};

/**
 * A prompt of `Prompter.words` in pieces: [X] stands for the subject, [Y] for the mask, `<word>` for a free vector that is nearest to
 * the word.
 */
export function pieces(prompt: string, subject: string): Piece[] {
  return prompt.split(" ").map((text): Piece => {
    if (text === "[X]") return { kind: "subject", text: subject };
    if (text === "[Y]") return { kind: "mask", text: "" };
    const [, nearest] = /^<(.+)>$/.exec(text) ?? [];
    return nearest === undefined ? { kind: "word", text } : { kind: "vector", text: nearest };
  });
}

/** Whether a prompt has its own answer among its words. */
export const namesAnswer = (prompt: string, answer: string): boolean =>
  prompt.split(" ").includes(answer);

/** One prompt, or those of an ensemble with their weights. */
export function prompts(prompt: string): { readonly weight: string; readonly prompt: string }[] {
  return prompt.split(" | ").map((text) => {
    const [, weight, rest] = /^(\d\.\d+) (.+)$/.exec(text) ?? [];
    return rest === undefined ? { weight: "", prompt: text } : { weight, prompt: rest };
  });
}

/** Words that a later prompt has where the earlier one has another. */
export function changedWords(before: string | undefined, now: string): boolean[] {
  const [old, words] = [before?.split(" "), now.split(" ")];
  if (!old) return words.map(() => false);
  // the longest run of words that both have in the same order stays
  const table = Array.from({ length: old.length + 1 }, () => new Uint16Array(words.length + 1));
  for (let i = old.length - 1; i >= 0; i--) {
    for (let j = words.length - 1; j >= 0; j--) {
      table[i][j] =
        old[i] === words[j] ? table[i + 1][j + 1] + 1 : Math.max(table[i + 1][j], table[i][j + 1]);
    }
  }
  const changed = words.map(() => true);
  for (let i = 0, j = 0; i < old.length && j < words.length; ) {
    if (old[i] === words[j]) {
      changed[j] = false;
      i++;
      j++;
    } else if (table[i + 1][j] >= table[i][j + 1]) i++;
    else j++;
  }
  return changed;
}
