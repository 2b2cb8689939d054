import { suite } from "uvu";
import * as assert from "uvu/assert";
import { diagnoses } from "../../../promptgen/training/diagnosis.ts";

const test = suite("diagnosis");

/** Evaluations every 10 steps of these dev accuracies; the best ones are marked as the loop does. */
function log(dev: readonly number[], last: Record<string, number> = {}) {
  let most = -1;
  return dev.map((devAccuracy, i) => {
    const best = devAccuracy > most;
    most = Math.max(most, devAccuracy);
    return { step: 10 * i, devAccuracy, best, ...(i === dev.length - 1 ? last : {}) };
  });
}

type Row = [why: string, given: Partial<Parameters<typeof diagnoses>[0]>, wanted: RegExp[]];

const NEVER = /was never better than before its first step \(dev 20\.0\); try a smaller --lr/;
const FELL =
  /fell from dev 20\.0 to 12\.0 in its warm-up and did not come back; try a smaller --lr/;
const ALIKE = /writes only 9 different prompts for 100 facts; try/;
const COLLAPSED = /has collapsed to one word in each slot \(mean top probability 0\.99910\); try/;

const ROWS: Row[] = [
  ["a good one", { rows: log([20, 25, 30, 29]) }, []],
  ["better only once", { rows: log([20, 21, 10, 9]) }, []],
  ["equal is not better", { rows: log([20, 20, 20]) }, [NEVER]],
  ["all right from the start", { rows: log([100, 100, 100]) }, []],
  ["better never", { rows: log([20, 19.9, 20]), warmup: 0.9 }, [NEVER]],
  ["down in the warm-up, never back", { rows: log([20, 12, 15, 20]), warmup: 0.1 }, [NEVER, FELL]],
  ["down in the warm-up, but back", { rows: log([20, 12, 15, 21]), warmup: 0.1 }, []],
  [
    "up before the warm-up's end, down at it",
    { rows: log([20, 24, 12, 13, 14, 15]), warmup: 0.4 },
    [FELL],
  ],
  ["down before the warm-up's end only", { rows: log([20, 12, 21, 13, 14, 15]), warmup: 0.4 }, []],
  [
    "a tenth of the prompts differ",
    { rows: log([20, 30]), prompts: { distinct: 10, facts: 100 } },
    [],
  ],
  ["fewer", { rows: log([20, 30]), prompts: { distinct: 9, facts: 100 } }, [ALIKE]],
  ["top probability at the limit", { rows: log([20, 30], { topProbability: 0.999 }) }, []],
  ["over it", { rows: log([20, 30], { topProbability: 0.9991 }) }, [COLLAPSED]],
  [
    "no log, as of a method that is not trained",
    { rows: [], prompts: { distinct: 1, facts: 100 } },
    [],
  ],
  ["the evaluation before the first step only", { rows: log([20]) }, []],
];

for (const [why, given, wanted] of ROWS) {
  test(why, () => {
    const found = diagnoses({ name: "", warmup: 0, rows: [], ...given });
    assert.is(found.length, wanted.length, found.join("\n"));
    for (const [i, sentence] of wanted.entries()) assert.match(found[i], sentence);
  });
}

test("a relation with a training of its own is named", () => {
  const [sentence] = diagnoses({ name: "P36", rows: log([20, 20]), warmup: 0 });
  assert.match(sentence, /^\[diagnosis\] the training of P36 was never better/);
});

test.run();
