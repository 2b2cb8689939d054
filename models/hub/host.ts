/**
 * What Node and a page do differently where models come from: what a path is, where a cache stands, how a request is sent, what a
 * remedy is called. `node.ts` and `page.ts` each are one; everything else here knows neither.
 */
import type { ModelError } from "../errors.ts";
import type { Place } from "../formats/place.ts";
import type { Store } from "./store.ts";

/** What remedies are called in sentences. */
export type Words = {
  readonly endpoint: string;
  readonly token: string;
  readonly timeout: string;
  readonly revision: string;
  readonly offline: string;
  /** What may be given instead of a name. */
  readonly instead: string;
  /** "NAME is ... on ENDPOINT", of a repository that is not there. */
  readonly absent: string;
  /** What to do when a connection breaks. */
  readonly network: string;
};

export type Environment = Readonly<Record<string, string | undefined>>;

/** What is written into it, in order, has a checksum. */
export type Hash = {
  update(bytes: Uint8Array): unknown;
  /** Hexadecimal digits; ends it. */
  digest(): string;
};

/** Where caches stand, and the token, as the environment has them. */
export type Defaults = {
  readonly cacheDir: string;
  /** Of models by address, where `cacheDir` is not given. */
  readonly addressDir: string;
  readonly token: () => Promise<string | undefined>;
};

export type Host = {
  readonly words: Words;
  /** Sent with each request. */
  readonly headers: Readonly<Record<string, string>>;
  /** A page cannot see where a redirect leads: the browser follows it, and keeps the token from other origins. */
  readonly redirect: "manual" | "follow";
  readonly environment: Environment;
  defaults(environment: Environment): Defaults;
  /** Whether an error of fetch, by its code, means that nobody answers; what to do. */
  network(code: unknown, setting: string): { absent: boolean; remedy: string };
  hash(kind: "sha1" | "sha256"): Hash;
  /** What keeps a cache; `links` false copies instead of linking. */
  store(root: string, links: boolean): Promise<Store>;
  /** A sentence for an error of the store in `root`; undefined for another error. */
  storeError(error: unknown, root: string): ModelError | undefined;
  /** What a text names that is here: a directory or file of this machine, or an address on the web. */
  find(text: string): Promise<Place | URL | undefined>;
  /** A text that is nothing that is here, and no name of a model. */
  unknown(text: string): Place;
};

const inNode = typeof process !== "undefined" && process.versions?.node !== undefined;

/** The host that this runs in. */
export const thisHost = async (): Promise<Host> =>
  inNode ? (await import("./node.ts")).host : (await import("./page.ts")).host;
