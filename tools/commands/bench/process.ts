/** What every process of the benchmark shares: what it is asked, how it times, what it prints. */

/** One line of a benchmark process; times in milliseconds; `value` is compared with the other libraries' value. */
export type Row = { name: string; first: number; median: number; note?: string; value?: number };

export const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1];

/** The work that a matrix product gets a second row for on the CPU: nothing about b is kept between calls. */
export const repacked = (n: number): string => `matmul ${n}, both packed inside`;

/** A process's arguments: `DEVICE THREADS FOLDER [NAMES]`. FOLDER holds the node_modules of the peers. */
export function job() {
  const [device, threads, folder, only] = process.argv.slice(2);
  return {
    device,
    threads: Number(threads),
    folder,
    wanted: (name: string): boolean => !only || only.split(",").includes(name),
    /** Names of the rows that a library without packed parameters measures one product for. */
    products: (n: number): string[] =>
      device === "cpu" ? [`matmul ${n}`, repacked(n)] : [`matmul ${n}`],
  };
}

export const threadCount = (n: number): string => (n === 1 ? "1 thread" : `${n} threads`);

/** Says in one line what is being measured. */
export const about = (line: string): void => console.log(JSON.stringify({ about: line }));

/**
 * First call, then warm-up, then the median of 7 calls; prints one JSON line. The call's value, or that of the
 * untimed `check`, is compared with the other libraries' value.
 */
export async function time(
  name: string,
  call: () => Promise<number | undefined>,
  extra: { note?: () => string; check?: () => Promise<number> } = {},
): Promise<void> {
  const clock = async (): Promise<number> => {
    const start = performance.now();
    await call();
    return performance.now() - start;
  };
  const start = performance.now();
  const returned = await call();
  const first = performance.now() - start;
  for (let i = 0; i < 2; i++) await call();
  const times: number[] = [];
  for (let i = 0; i < 7; i++) times.push(await clock());
  const row: Row = { name, first, median: median(times) };
  if (extra.note) row.note = extra.note();
  const value = extra.check ? await extra.check() : returned;
  if (value !== undefined) row.value = value;
  console.log(JSON.stringify(row));
}
