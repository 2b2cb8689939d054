/**
 * What a cache is kept in: a disk, or the private file system of a page. Paths have `/` between their parts and begin at the root
 * of the cache. Whatever has a path is there whole: it appears in one step.
 */
import type { Place } from "../formats/place.ts";

/** A blob that is being written; what is written survives a process or page that ends. */
export type Partial = {
  /** Bytes that an earlier run has left. */
  readonly size: number;
  /** These bytes, in order. */
  left(): AsyncIterable<Uint8Array>;
  append(bytes: Uint8Array): Promise<void>;
  /** Forgets all bytes. */
  restart(): Promise<void>;
  /** Makes it the blob; nothing can be appended then. */
  finish(): Promise<void>;
  /** Keeps what has been written, where it is not the blob. */
  close(): Promise<void>;
};

/** Whom a caller waits for, and how it is told. */
export type Waiting = {
  readonly signal: AbortSignal | undefined;
  readonly notice: (sentence: string) => void;
  readonly what: string;
};

export type Store = {
  /** What to call a path in sentences and, on a disk, the path itself. */
  shown(path: string): string;
  /** The names in a folder; none where it is not there. */
  names(folder: string): Promise<readonly string[]>;
  /** A short text; undefined where there is none. */
  note(path: string): Promise<string | undefined>;
  writeNote(path: string, text: string): Promise<void>;
  /** Bytes of a blob, or of the blob that a link leads to; undefined where there is none. */
  size(path: string): Promise<number | undefined>;
  /** Makes a blob appear under another path. */
  link(path: string, blob: string): Promise<void>;
  /** A folder of links, and what to call it in errors where its path says nothing. */
  place(folder: string, where: string): Place;
  partial(blob: string): Promise<Partial>;
  /** Whether so many bytes more may fit; a sentence where they will not. */
  room(bytes: number): Promise<string | undefined>;
  /** Waits until nobody else writes this blob; gives what ends it. A lock of who has died is no lock. */
  lock(blob: string, waiting: Waiting): Promise<() => Promise<void>>;
  /** Removes a file or folder with all in it, if it is there. */
  remove(path: string): Promise<void>;
};
