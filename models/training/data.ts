/**
 * What a training is fed with: items in memory, items that are asked for by their number, or a source that gives them one after the
 * other. Which items stand together in a step is a function of (seed, epoch), so that a resumed run sees the same ones.
 */
import { ModelError } from "../errors.ts";
import { bucketWidths, epochGroups, type Group, groups as groupsOf, ORDER } from "./buckets.ts";
import type { Stored } from "./loop.ts";
import { Permutation } from "./permutation.ts";
import { Random } from "./random.ts";

/** Items by their number, from 0, read when they are needed. */
export type Indexed<Item> = {
  readonly size: number;
  at(index: number): Item | Promise<Item>;
};

/** Items in an order of the source's own; an epoch that is resumed is read again, up to where it stood. */
export type Streamed<Item> = {
  /** Items of an epoch. */
  readonly size: number;
  /** Those of an epoch, from 0: the same each time that it is asked for. */
  items(epoch: number): AsyncIterable<Item>;
};

export type Dataset<Item> = readonly Item[] | Indexed<Item> | Streamed<Item>;

export type BatchOptions<Item> = {
  readonly batchSize: number;
  /** Whether items are in an order of chance, another one in each epoch; default true. Of no use to a stream. */
  readonly shuffle?: boolean | undefined;
  /** What becomes of an epoch's items that fill no batch. Default pad. */
  readonly lastBatch?: "pad" | "drop" | undefined;
  /** Items in memory only: an item's width, such as its tokens. Batches then have items of like width. */
  width?: ((item: Item) => number) | undefined;
  /** The widths of batches, ascending, or how many different ones there are. Default 4. */
  readonly buckets?: readonly number[] | number | undefined;
};

const wrong = (sentence: string): never => {
  throw new ModelError(`[fit] ${sentence}`);
};

const isList = <Item>(data: Dataset<Item>): data is readonly Item[] => Array.isArray(data);

/** The batches of a dataset, for the loop. */
export type Batches<Item> = Stored<Item> & {
  /** How many items an epoch has. */
  readonly items: number;
  /** Whether some batch has fewer items than the others. */
  readonly ragged: boolean;
};

/** Throws ModelError for a dataset that makes no batch. */
export function batchesOf<Item>(data: Dataset<Item>, options: BatchOptions<Item>): Batches<Item> {
  const { batchSize, lastBatch = "pad" } = options;
  const size = isList(data) ? data.length : data.size;
  if (!Number.isSafeInteger(batchSize) || batchSize < 1) {
    wrong(`batchSize is ${batchSize}; use a whole number of 1 or more`);
  }
  if (!Number.isSafeInteger(size) || size < 1) {
    wrong(`the data have ${size} items; give at least one, and say the size of a source`);
  }
  if (lastBatch === "drop" && size < batchSize) {
    wrong(
      `the data have ${size} items, fewer than the ${batchSize} of a batch, so that lastBatch "drop" leaves nothing; use "pad", or smaller batches`,
    );
  }
  if (isList(data)) return listed(data, options);
  if (options.width) wrong("width is for items in memory; give an array, or leave it out");
  const whole = lastBatch === "drop" ? Math.floor(size / batchSize) * batchSize : size;
  const take = "at" in data ? indexed(data, options.shuffle ?? true) : streamed(data);
  return {
    items: whole,
    ragged: whole % batchSize > 0,
    groupsOf: (each) => Math.ceil(whole / each),
    group: async (each, seed, epoch, position) => {
      const begin = position * each;
      const count = Math.min(each, whole - begin);
      return { width: 0, items: await take(begin, count, seed, epoch) };
    },
  };
}

function listed<Item>(items: readonly Item[], options: BatchOptions<Item>): Batches<Item> {
  const { batchSize, shuffle = true, lastBatch, width = () => 0, buckets = 4 } = options;
  const widths = typeof buckets === "number" ? bucketWidths(items.map(width), buckets) : buckets;
  const trimmed = (made: readonly Group<Item>[]): Group<Item>[] => {
    if (lastBatch !== "drop") return [...made];
    const full = made.map((group) => {
      const whole = Math.floor(group.items.length / batchSize) * batchSize;
      return { width: group.width, items: group.items.slice(0, whole) };
    });
    return full.filter((group) => group.items.length > 0);
  };
  const inOrder = (each: number) => trimmed(groupsOf(items, width, widths, each));
  let made: { key: string; groups: readonly Group<Item>[] } | undefined;
  const batches = inOrder(batchSize);
  if (batches.length === 0) wrong('no width fills a batch; use lastBatch "pad", or fewer buckets');
  return {
    items: batches.reduce((all, group) => all + group.items.length, 0),
    ragged: batches.some((group) => group.items.length < batchSize),
    groupsOf: (each) => inOrder(each).length,
    group: (each, seed, epoch, position) => {
      const key = shuffle ? `${each} ${seed} ${epoch}` : `${each}`;
      if (made?.key !== key) {
        const groups = shuffle
          ? trimmed(epochGroups(items, width, widths, each, seed, epoch))
          : inOrder(each);
        made = { key, groups };
      }
      return made.groups[position];
    },
  };
}

type Take<Item> = (begin: number, count: number, seed: number, epoch: number) => Promise<Item[]>;

function indexed<Item>(data: Indexed<Item>, shuffle: boolean): Take<Item> {
  return (begin, count, seed, epoch) => {
    const order = shuffle && new Permutation(data.size, new Random(seed, ORDER, epoch));
    const numbers = Array.from({ length: count }, (_, i) => begin + i);
    return Promise.all(numbers.map((place) => data.at(order ? order.at(place) : place)));
  };
}

function streamed<Item>(data: Streamed<Item>): Take<Item> {
  let open: { epoch: number; at: number; items: AsyncIterator<Item> } | undefined;
  return async (begin, count, _, epoch) => {
    if (open?.epoch !== epoch || open.at !== begin) {
      await open?.items.return?.();
      open = { epoch, at: 0, items: data.items(epoch)[Symbol.asyncIterator]() };
    }
    const source = open;
    const next = async (): Promise<Item> => {
      const { done, value } = await source.items.next();
      if (done) {
        return wrong(
          `the source gave ${source.at} items in epoch ${epoch}, where its size is ${data.size}; let it give as many in each epoch`,
        );
      }
      source.at++;
      return value;
    };
    while (source.at < begin) await next();
    const items: Item[] = [];
    while (items.length < count) items.push(await next());
    return items;
  };
}
