/** Memories for the kernels: what a worker needs to know of a build. */
import type { Build } from "../../../kernels/load.ts";

export const PAGE_BYTES = 65536;
/** The most pages of a memory: 4 GiB, or what V8 gives with 64-bit addresses. */
const MOST_PAGES = { narrow: 65536, wide: 262144 };

/** A memory for kernels of a build. */
export function makeMemory(build: Build, pages: number, shared: boolean): WebAssembly.Memory {
  if (build !== "wide") {
    return new WebAssembly.Memory({ initial: pages, maximum: MOST_PAGES.narrow, shared });
  }
  // the compiler's types know no 64-bit addresses yet
  const wide = { initial: BigInt(pages), maximum: BigInt(MOST_PAGES.wide), shared, address: "i64" };
  return new WebAssembly.Memory(wide as unknown as WebAssembly.MemoryDescriptor);
}

/** Makes a memory larger; 0 pages bring a view of a thread up to date. */
export function growMemory(memory: WebAssembly.Memory, build: Build, pages: number): void {
  memory.grow((build === "wide" ? BigInt(pages) : pages) as number);
}
