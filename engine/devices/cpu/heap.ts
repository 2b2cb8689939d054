/** Hands out ranges of the CPU device's one memory. Knows numbers only. */
import { check, OutOfMemoryError } from "../../errors.ts";
import { ALIGNMENT } from "../../op.ts";

/** Bytes that 32-bit addresses reach, less the last page: no pointer one past the end wraps to 0. */
export const ADDRESSABLE = 2 ** 32 - 2 ** 16;
/** What V8 gives to a memory with 64-bit addresses, less the last page. One block stays within 32 bits there too. */
export const WIDE_ADDRESSABLE = 2 ** 34 - 2 ** 16;

const up = (bytes: number): number => Math.ceil(Math.max(bytes, 1) / ALIGNMENT) * ALIGNMENT;
const total = (sizes: readonly number[]): number => sizes.reduce((sum, size) => sum + up(size), 0);

/** Hands out ranges of one growing memory; knows numbers only and touches no byte. */
export class Heap {
  /** Address -> size of what is in use. */
  #used = new Map<number, number>();
  /** Holes below the end, by address; no two touch. */
  #free: { at: number; size: number }[] = [];
  #end: number;
  readonly #start: number;
  readonly #limit: number;
  readonly #comfortable: number;
  readonly #reach: number;
  #bytes = 0;

  /**
   * Addresses below `start` are the caller's; at most `budget` bytes are handed out, of which more than `comfortable` only when
   * nothing can be let go.
   * @param reach the first address that there is not
   */
  constructor(start: number, budget: number, comfortable = budget, reach = ADDRESSABLE) {
    this.#start = start;
    this.#end = start;
    this.#reach = reach;
    this.#limit = Math.min(budget, reach - start);
    this.#comfortable = Math.min(comfortable, this.#limit);
  }

  /** Bytes in use. */
  get bytes(): number {
    return this.#bytes;
  }
  /** What the memory must reach. */
  get end(): number {
    return this.#end;
  }

  /** Whether it is the width of addresses that sets the limit. */
  get #isNarrow(): boolean {
    return this.#reach === ADDRESSABLE && this.#limit === this.#reach - this.#start;
  }

  /** Whether blocks of these sizes can be had. */
  fits(sizes: readonly number[]): boolean {
    return this.#bytes + total(sizes) <= this.#limit;
  }

  /** Whether blocks of these sizes can be had while there are things to let go. */
  hasRoom(sizes: readonly number[]): boolean {
    return this.#bytes + total(sizes) <= this.#comfortable;
  }

  /** Whether one block can be had so, and lies within what all together may take: holes are used before memory grows further. */
  hasPlace(bytes: number): boolean {
    const size = up(bytes);
    if (!this.hasRoom([bytes])) return false;
    if (this.#end + size <= this.#start + this.#comfortable) return true;
    return this.#free.some((hole) => hole.size >= size);
  }

  /** Throws before anything is allocated when blocks of these sizes do not fit. */
  require(sizes: readonly number[], what: string): void {
    if (this.fits(sizes)) return;
    const need = total(sizes);
    throw new OutOfMemoryError(
      `[cpu] ${what} needs ${need} bytes beside ${this.#bytes} in use, but the limit is ${this.#limit} bytes` +
        `${this.#isNarrow ? " (32-bit addresses); give it more with memoryBudget (--memory 12G), " : "; "}` +
        "use a smaller batch or model, half-precision frozen weights, or a GPU",
    );
  }

  allocate(bytes: number, what: string): number {
    this.require([bytes], what);
    const size = up(bytes);
    if (size > ADDRESSABLE) {
      throw new OutOfMemoryError(
        `[cpu] ${what} needs ${size} bytes in one piece, of which there may be ${ADDRESSABLE}; use a smaller batch or model, or a GPU`,
      );
    }
    let best = -1;
    this.#free.forEach((hole, i) => {
      if (hole.size >= size && (best < 0 || hole.size < this.#free[best].size)) best = i;
    });
    let at = this.#end;
    if (best >= 0) {
      const hole = this.#free[best];
      at = hole.at;
      if (hole.size === size) this.#free.splice(best, 1);
      else this.#free[best] = { at: at + size, size: hole.size - size };
    } else {
      const left = this.#reach - at;
      if (size > left) {
        throw new OutOfMemoryError(
          `[cpu] ${what} needs ${size} bytes in one piece, but ${left} are left beyond ` +
            `${this.#bytes} in use; use a smaller batch or model, or a GPU`,
        );
      }
      this.#end += size;
    }
    this.#used.set(at, size);
    this.#bytes += size;
    return at;
  }

  free(at: number): void {
    const size = this.#used.get(at);
    check(size !== undefined, "cpu", () => `nothing is allocated at ${at}`);
    this.#used.delete(at);
    this.#bytes -= size;
    let i = this.#free.findIndex((hole) => hole.at > at);
    if (i < 0) i = this.#free.length;
    this.#free.splice(i, 0, { at, size });
    for (const j of [i, i - 1]) {
      const [left, right] = [this.#free[j], this.#free[j + 1]];
      if (left && right && left.at + left.size === right.at) {
        this.#free.splice(j, 2, { at: left.at, size: left.size + right.size });
      }
    }
    const last = this.#free.at(-1);
    if (last && last.at + last.size === this.#end) {
      this.#free.pop();
      this.#end = last.at;
    }
  }
}
