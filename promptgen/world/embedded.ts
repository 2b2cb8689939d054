/** The embedded world's folders on this machine's disk. */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Folders of the world. */
export type World = {
  /** In the layout of the benchmark; see `loadFacts`. */
  readonly data: string;
  readonly bert: string;
  readonly bart: string;
  readonly t5: string;
};

/** The world that comes with the package. */
export function embeddedWorld(): World {
  const data = dirname(fileURLToPath(import.meta.url));
  return { data, bert: join(data, "bert"), bart: join(data, "bart"), t5: join(data, "t5") };
}
