/** `node:util`, `node:os`, `node:url` and `node:timers/promises`: the few functions that the page's code uses of each. */
import { normalized } from "./disk.ts";

type Callback<T> = (error: unknown, value?: T) => void;

export const promisify =
  <A extends unknown[], T>(call: (...args: [...A, Callback<T>]) => void) =>
  (...args: A): Promise<T> =>
    new Promise((resolve, reject) => {
      call(...args, (error, value) => {
        if (error) reject(error);
        else resolve(value as T);
      });
    });

/** Of values as JSON has them, and typed arrays. */
export function isDeepStrictEqual(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  const [left, right] = [Object.entries(a), new Map(Object.entries(b))];
  return (
    left.length === right.size &&
    left.every(([key, value]) => right.has(key) && isDeepStrictEqual(value, right.get(key)))
  );
}

export const hostname = (): string => "page";
export const homedir = (): string => "/";
export const tmpdir = (): string => "/tmp";
export const totalmem = (): number => Number.POSITIVE_INFINITY;
export const availableParallelism = (): number => navigator.hardwareConcurrency;

/** Where a module of the package lies on the worker's disk: all that looks there looks for the embedded world. */
export const WORLD_FOLDER = "/world";
export const fileURLToPath = (): string => normalized(`${WORLD_FOLDER}/world.ts`);

export const setTimeout = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => {
    globalThis.setTimeout(resolve, milliseconds);
  });
