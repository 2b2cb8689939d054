/** Which intermediates of a plan are alive when most of them are, and why: what DEBUG=2 says of a plan. */
import type { Life, Plan } from "../plan.ts";
import { show } from "../shape.ts";

export type Alive = {
  /** The launch at which the living are largest together, and their bytes. */
  readonly launch: number;
  readonly bytes: number;
  /** Those that are alive then, the largest first. */
  readonly lives: readonly Life[];
};

/** The moment of a plan at which intermediates that are still wanted take most; the slots that they share may take more. */
export function mostAlive({ launches, lives }: Pick<Plan<unknown>, "launches" | "lives">): Alive {
  const change = new Float64Array(launches.length + 1);
  for (const { first, last, bytes } of lives) {
    change[first] += bytes;
    change[Math.min(last + 1, launches.length)] -= bytes;
  }
  let [launch, bytes, now] = [0, 0, 0];
  launches.forEach((_, i) => {
    now += change[i];
    if (now > bytes) [launch, bytes] = [i, now];
  });
  const there = lives.filter(({ first, last }) => first <= launch && launch <= last);
  return { launch, bytes, lives: [...there].sort((a, b) => b.bytes - a.bytes) };
}

/** Lines for people: what the slots take, and the `most` largest intermediates of that moment with who made and who last uses them. */
export function describeAlive(plan: Plan<{ readonly op: string }>, most = 12): string {
  const { launch, bytes, lives } = mostAlive(plan);
  const { launches, slots } = plan;
  const who = (i: number): string =>
    i < launches.length ? `${i} ${launches[i].op}` : "the result";
  const size = (n: number): string => `${(n / 1e6).toFixed(2)} MB`;
  const all = slots.reduce((sum, n) => sum + n, 0);
  const lines = lives.slice(0, most).map(({ spec, bytes: own, first, last }) => {
    const text = `${spec.dtype}${show(spec.shape)}`;
    return `  ${size(own).padStart(12)}  ${text}  made by ${who(first)}, wanted until ${who(last)}`;
  });
  const rest = lives.slice(most).reduce((sum, life) => sum + life.bytes, 0);
  return [
    `plan of ${launches.length} launches: ${slots.length} slots, ${size(all)}; ${size(bytes)} are alive at launch ${who(launch)}`,
    ...lines,
    ...(lives.length > most ? [`  ${size(rest).padStart(12)}  ${lives.length - most} more`] : []),
  ].join("\n");
}
