/**
 * The names of tensors in a file and in a model: where files of other tools differ, what they hold beside the model's own, and
 * the prefix that a wrapper has put before all of them. Knows no values.
 */

/** The names in which files of one kind of model differ from the model's own. */
export type Names = {
  /** The model without its head: the prefix of its tensors, and the first words of their names in files that lack the prefix. */
  readonly base: { readonly prefix: string; readonly parts: readonly string[] };
  /** What the names of its other tensors begin with. A name that begins with no part of the model is another one's. */
  readonly parts: readonly string[];
  /** A second name of a tensor -> its first. Where a file has both, they must be equal. */
  readonly tied: Readonly<Record<string, string>>;
  /** Where a file lacks the first, the second is read; where it has both, the second is not. */
  readonly instead?: Readonly<Record<string, string>>;
  /** Older spellings of the end of a name -> the end as it is here. */
  readonly spellings: Readonly<Record<string, string>>;
  /** What a file may hold and the model does not read. */
  readonly unread: readonly (string | RegExp)[];
  /** What a file may lack; it is 0 then. */
  readonly optional?: readonly string[];
  /** What is made anew, wherever the weights come from: the beginnings of names, and how their values begin. */
  readonly fresh?: {
    readonly beginnings: readonly string[];
    /** Made anew only where the file lacks them. */
    readonly lacking: readonly string[];
    /** Standard deviation of matrices. */
    readonly std: number;
    readonly seed: number;
  };
  /** The prefix of the head that a file may lack as a whole, and the sentence about what cannot be done then. */
  readonly head?: { readonly prefix: string; readonly lacking: string };
};

/** Of a model whose files have its own names and nothing else, such as one that was saved here. */
export const plainNames = (given: Iterable<string>): Names => ({
  base: { prefix: "", parts: [] },
  parts: [...new Set(Array.from(given, (name) => name.split(".")[0]))],
  tied: {},
  spellings: {},
  unread: [],
});

/** What modules that hold a model put before all its names: Lightning and others, DataParallel, torch.compile. */
const WRAPPERS = ["model.", "module.", "_orig_mod."];

const begins = (name: string, parts: readonly string[]) =>
  parts.some((part) => name === part || name.startsWith(`${part}.`));

const isBare = (name: string, { base }: Names) => begins(name, base.parts);

/** Whether a name is as the model's files have it. */
const isOwn = (name: string, names: Names): boolean => {
  const { base, parts } = names;
  const behind = `${base.prefix}.`;
  return (
    isBare(name, names) ||
    begins(name, parts) ||
    (name.startsWith(behind) && isBare(name.slice(behind.length), names))
  );
};

/** What wrappers have put before every name of a file; empty where some name is the model's own already. */
export function wrapperOf(given: readonly string[], names: Names): string {
  let prefix = "";
  for (let rest = given; rest.length > 0; ) {
    if (rest.some((name) => isOwn(name, names))) return prefix;
    const next = WRAPPERS.find((one) => rest.every((name) => name.startsWith(one)));
    if (next === undefined) return "";
    prefix += next;
    rest = rest.map((name) => name.slice(next.length));
  }
  return prefix;
}

/** What is before the names of a file in any number of wrappers, as a pattern's source. */
export const WRAPPED = `^(?:${WRAPPERS.join("|").replaceAll(".", "\\.")})*`;

/** What becomes of a tensor of a file, whose name stands without its wrapper's prefix. */
export type Place =
  | { readonly name: string }
  /** Known not to be needed. */
  | "unread"
  /** Of no part of the model. */
  | "foreign";

export function placeOf(given: string, names: Names): Place {
  const { base, parts, spellings, tied, unread } = names;
  const full = isBare(given, names) ? `${base.prefix}.${given}` : given;
  if (unread.some((one) => (typeof one === "string" ? one === full : one.test(full)))) {
    return "unread";
  }
  if (!begins(full, [base.prefix, ...parts])) return "foreign";
  const old = Object.keys(spellings).find((end) => full.endsWith(`.${end}`));
  const spelled = old === undefined ? full : full.slice(0, -old.length) + spellings[old];
  return { name: tied[spelled] ?? spelled };
}
