/** Gives a buffer's memory back before a collector comes by: megabytes would wait for it. */

/** Detaches `buffer`, where the host can (Node 21, Chrome 114); elsewhere a collector comes. */
export function release(buffer: ArrayBuffer & { transfer?(bytes: number): unknown }): void {
  buffer.transfer?.(0);
}
