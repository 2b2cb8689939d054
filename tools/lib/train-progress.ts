/** What `train` says while it trains: bars, losses, dev accuracy, how long the rest takes. */
import type { Device } from "../../engine/device.ts";
import type { Outcome } from "../../models/training/loop.ts";
import { type Estimate, secondsLeft } from "../../models/training/pace.ts";
import type { Relation } from "../../promptgen/facts/facts.ts";
import { type Prepared, trainRun } from "../../promptgen/run.ts";
import { duration, Progress, Rate, say } from "./cli.ts";

/**
 * What the run says while it trains; the most bytes that the device held are noted in `memory`.
 * @param tell is told where it is
 */
export async function trainAll(
  device: Device,
  run: Prepared,
  options: Omit<Parameters<typeof trainRun>[1], "device">,
  memory: { device: number },
  tell: (said: string) => void = () => {},
): Promise<Outcome> {
  const [rate, asking] = [new Rate(), new Rate()];
  const { relations } = run.benchmark;
  const every = Number(run.options.own["eval-every"] ?? 0);
  let bar: Progress | undefined;
  let current: string | undefined;
  let dev = "";
  let asked = 0;
  let isSaid = false;
  /** Whether evaluations have a bar, for which that of the training goes away. */
  let hasBars = false;
  const close = (): void => {
    bar?.stop();
    bar = undefined;
  };
  try {
    return await trainRun(run, {
      ...options,
      device,
      onStep({ step, steps, items, terms, seconds, first, left }, relation) {
        memory.device = Math.max(memory.device, device.stats.bytes);
        if (relation?.id !== current) {
          close();
          current = relation?.id;
        }
        const place = relations.findIndex(({ id }) => id === relation?.id) + 1;
        const whole = left && wholeRun(left, steps, every, relations.slice(place - 1), relation);
        if (whole && !isSaid) {
          close();
          say(`${estimate(whole)}\n`);
          isSaid = true;
        }
        const what = relation ? `${relation.id} (${place} of ${relations.length})` : "training";
        bar ??= new Progress(what, steps, step - 1, "facts/s", hasBars);
        const losses = Object.entries(terms).map(([name, value]) => `${name} ${value.toFixed(2)}`);
        // a step in which a plan is made says nothing of the others
        const pace = first ? rate.text : rate.add(items, seconds);
        const rest = whole && duration(secondsLeft(whole));
        bar.update(step, `${losses.join(" ")}${dev}`, pace, rest);
        tell(`${what} ${step}/${steps}${rest === undefined ? "" : `, ${rest} left`}`);
      },
      onAsked(done, all, relation) {
        hasBars = all >= SHOWN;
        if (!hasBars) return;
        if (asked === 0) {
          close();
          const what = relation ? `${relation.id}, dev facts` : "dev facts";
          bar = new Progress(what, all, 0, "facts/s", true);
          asking.restart();
        } else bar?.update(done, "", asking.add(done - asked));
        asked = done < all ? done : 0;
        if (asked === 0) close();
      },
      onEvaluation({ devAccuracy, devNone }) {
        memory.device = Math.max(memory.device, device.stats.bytes);
        dev = ` dev ${Number(devAccuracy).toFixed(1)} "None" ${Number(devNone).toFixed(1)}`;
      },
    });
  } finally {
    close();
  }
}

/** Facts from which on asking them is long enough for a bar of its own. */
export const SHOWN = 2000;

/**
 * What is left of all trainings where that is known of one: the relations behind it have as many steps as their facts make.
 * @param every steps between two evaluations, 0 where there are three an epoch
 * @param rest that relation and those behind it
 */
function wholeRun(
  left: Estimate,
  steps: number,
  every: number,
  rest: readonly Relation[],
  relation: Relation | undefined,
): Estimate {
  if (relation === undefined) return left;
  const ratio = (of: (one: Relation) => number) =>
    rest.slice(1).reduce((sum, one) => sum + of(one), 0) / of(relation);
  const evaluations =
    1 + (every > 0 ? Math.ceil(steps / every) : 3 * Math.ceil(left.evaluations / 3));
  return {
    ...left,
    steps: left.steps + Math.round(steps * ratio(({ train }) => train.length)),
    evaluations: left.evaluations + Math.round(evaluations * ratio(({ dev }) => dev.length)),
  };
}

/** The rest of a run in one line. */
function estimate(left: Estimate): string {
  const each = (seconds: number) =>
    seconds < 10 ? `${seconds.toPrecision(2)} s` : duration(seconds);
  const evaluations =
    left.evaluation === undefined
      ? `${left.evaluations} evaluations, of which none was timed yet`
      : `${left.evaluations} evaluations of ${each(left.evaluation)}`;
  return `about ${duration(secondsLeft(left))} left: ${left.steps} steps of ${each(left.step)}, ${evaluations}`;
}
