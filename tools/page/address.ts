/**
 * The state of the page as its address has it, behind the #: `#ask?relation=P36&subject=Peru&other=Kenya`. A link may come from anybody,
 * so that all that is read here is text within limits, and what is no state of the page is none.
 */

export const VIEWS = ["ask", "train", "own"] as const;
export type View = (typeof VIEWS)[number];

/** Devices that a link may name. */
export const DEVICES = ["cpu", "gpu", "gpu:software"] as const;
export type NamedDevice = (typeof DEVICES)[number];

/** What a link says; what it leaves out is the page's own choice. */
export type Address = {
  readonly view: View;
  readonly relation?: string;
  readonly subject?: string;
  readonly other?: string;
  readonly alpha?: number;
  readonly seed?: number;
  /** Where the page computes, if it is not to choose: `cpu` keeps it from a GPU. */
  readonly device?: NamedDevice;
};

/** Characters that a subject of a link may have. */
export const LONGEST_SUBJECT = 200;

const CONTROL = /[\p{Cc}\p{Cf}\u2028\u2029]/u;

const textOf = (value: string | null): string | undefined =>
  value !== null &&
  value.trim() !== "" &&
  value.length <= LONGEST_SUBJECT &&
  value.isWellFormed() &&
  !CONTROL.test(value)
    ? value
    : undefined;

const numberOf = (value: string | null, least: number, most: number): number | undefined => {
  if (value === null || !/^\d+(?:\.\d+)?$/.test(value)) return undefined;
  const number = Number(value);
  return number >= least && number <= most ? number : undefined;
};

/** Limits of what the page lets choose. */
export const ALPHA = { least: 0, most: 1 } as const;
export const SEED = { least: 0, most: 999 } as const;

/** Reads the part of an address behind and with its #. */
export function readAddress(hash: string): Address {
  const [name, query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const given = new URLSearchParams(query);
  const relation = given.get("relation");
  const subject = textOf(given.get("subject"));
  const other = textOf(given.get("other"));
  const alpha = numberOf(given.get("alpha"), ALPHA.least, ALPHA.most);
  const seed = numberOf(given.get("seed"), SEED.least, SEED.most);
  const device = DEVICES.find((name) => name === given.get("device"));
  return {
    view: VIEWS.find((view) => view === name) ?? "ask",
    ...(relation !== null && /^[A-Za-z]\w{0,30}$/.test(relation) ? { relation } : {}),
    ...(subject === undefined ? {} : { subject }),
    ...(other === undefined ? {} : { other }),
    ...(alpha === undefined ? {} : { alpha }),
    ...(seed === undefined || !Number.isInteger(seed) ? {} : { seed }),
    ...(device === undefined ? {} : { device }),
  };
}

/** The address as a link has it; `readAddress` gives it back. */
export function writeAddress({ view, ...state }: Address): string {
  const given = Object.entries(state).filter(([, value]) => value !== undefined);
  const query = new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
  return given.length === 0 ? `#${view}` : `#${view}?${query}`;
}
