/** Studies of any size for the tests of the page, from a few numbers: whoever is right is drawn, the same each time. */

import { Random } from "../../../models/training/random.ts";
import type { LogRow } from "../../../models/training/run-folder.ts";
import type { FactAnswer, FactRow } from "../../../promptgen/report/fact-rows.ts";
import type { PageRow, PageRun, StudyPage } from "../../../promptgen/report/page/page.ts";
import type { RelationRow } from "../../../promptgen/report/relations.ts";
import type { Row } from "../../../promptgen/report/rows.ts";
import { rowsReport } from "../../../promptgen/report/rows-tables.ts";
import type { StepTable } from "../../../promptgen/training/steps.ts";

/** Text that is markup, a formula or a command where it is not kept from it. */
export const HOSTILE: readonly string[] = [
  "<img src=x onerror=alert(1)>",
  "</script><script>alert(1)</script>",
  "</title></style><!-- <svg onload=alert(1)> -->",
  "=1+1",
  "\\input{x}",
  `"double" 'single' \`back\``,
  "two\nlines\r\nand\ttabs",
  "&lt;b&gt; &amp; $x $& {{x}}",
  "javascript:alert(1)",
  "\u202eturned\u202c \u0000\u2028",
];

const STEP_COLUMNS = ["object", "learningRate", "gradientNorm", "factsPerSecond"];

export type Size = {
  readonly rows: number;
  readonly seeds: number;
  readonly relations: number;
  readonly facts: number;
  /** What names and texts are made of; plain words when left out. */
  readonly texts?: readonly string[];
};

export function studyOf({ rows, seeds, relations, facts, texts = [] }: Size): StudyPage {
  const random = new Random(7, 1);
  const named = (what: string, i: number): string =>
    texts.length === 0 ? `${what} ${i}` : `${what} ${i} ${texts[i % texts.length]}`;
  const all = Array.from(
    { length: relations },
    (_, i): RelationRow => ({
      id: `P${i + 1}`,
      label: named("label", i),
      type: ["1-1", "N-1", "N-M"][i % 3],
      facts,
    }),
  );
  const answer = (right: boolean, subject: string, object: string): FactAnswer => ({
    subject,
    answer: right ? object : named("other", 1),
    right,
    rank: right ? 1 : 2 + random.below(50),
    logP: -3 * random.unit(),
  });
  const run = (r: number): FactRow[] =>
    all.flatMap(({ id }, g) =>
      Array.from({ length: facts }, (_, i): FactRow => {
        const [subject, object] = [named(`subject of ${id}`, i), named("object", (g * 5 + i) % 40)];
        const right = random.unit() < (r + 1) / (rows + 1);
        const leaks = right && random.unit() < 0.2;
        return {
          relation: id,
          subject,
          object,
          prompt: `[X] ${named("prompt", (r * 3 + i) % 60)} [Y] .`,
          own: answer(right, subject, object),
          top: [object, ...[1, 2, 3, 4].map((k) => named("word", (i + k) % 50))].map(
            (word) => [word, random.unit() / 5] as const,
          ),
          fillers: {
            None: answer(leaks, "None", object),
            other: answer(false, named("subject", i), object),
          },
        };
      }),
    );
  const log = (r: number): LogRow[] =>
    Array.from({ length: 8 }, (_, i) => ({
      step: 10 * i,
      epoch: i,
      object: i === 0 ? null : 3 / i,
      none: i === 0 ? null : -i,
      topProbability: i === 0 ? null : 0.5 + i / 20,
      entropy: i === 0 ? null : 2 / i,
      gradientNorm: i === 0 ? null : 1 + random.unit(),
      largestGradientNorm: i === 0 ? null : 2 + random.unit(),
      learningRate: 1e-4 * (1 - i / 8),
      devAccuracy: (90 * (r + 1) * i) / (8 * rows),
      devNone: i,
      distinctPrompts: 20 - i,
      devFacts: 30,
      best: i === 7,
    }));
  const stepsOf = (steps: number): StepTable => ({
    columns: STEP_COLUMNS,
    steps,
    values: Float32Array.from(
      Array.from({ length: steps }, (_, step) => {
        const one = [random.unit(), 1e-4 * (1 - step / steps), 1 + random.unit(), 300];
        return step < 3 ? one.fill(Number.NaN) : one; // as steps that nothing tells
      }).flat(),
    ),
  });
  const made = Array.from({ length: rows }, (_, r): PageRow => {
    const name = named("method", r);
    const numbers = Array.from({ length: seeds }, (_, s) => s + 1);
    const row: Row = {
      name,
      runs: numbers.map((seed) => ({ seed, facts: run(r), settings: { epochs: 3 + r } })),
    };
    const runs = numbers.map(
      (seed): PageRun => ({
        folder: named(`folder-${r}-seed${seed}`, r),
        seed,
        options: { method: name, reader: named("reader", 0), epochs: 3 + r, seed },
        contents: { reader: "0123456789abcdef", data: "fedcba9876543210" },
        choices: { silence: named("choice", r), temperature: 1 },
        // the first trains nothing, the second a relation after the other
        trainings: (r === 0 ? [] : r === 1 ? all.map(() => log(r)) : [log(r)]).map((own) => ({
          log: own,
          steps: r === 3 ? undefined : stepsOf(700),
        })),
        dev: r === 0 ? undefined : 50 + ((seed * 7) % 5),
        cost: {
          training: r === 0 ? undefined : 75 * (r + 1),
          evaluating: r === 0 ? undefined : 5,
          resident: 2 ** 29 + r * 2 ** 25,
          device: 2 ** 28,
          trained: r * 1000,
        },
        device: named("CPU with threads", 2),
        versions: [
          {
            project: "0.0.1",
            node: "v24.0.0",
            v8: "13.6",
            platform: "linux x64",
            device: named("CPU with threads", 2),
            build: named("CPU, SIMD", 1),
          },
        ],
        extended: r === 2 ? [{ epochs: 2, step: 40 }] : [],
        stopped: r === 2 ? { by: "patience", trainings: 1, step: 70, steps: 90 } : undefined,
        distinctPrompts: 12,
        warnings: r === 2 ? [named("warning", 0)] : [],
      }),
    );
    return { row, runs };
  });
  return {
    name: named("study", 0),
    relations: all,
    tables: rowsReport(
      all,
      made.map(({ row }) => row),
      {
        resamples: 200,
        width: Number.POSITIVE_INFINITY,
      },
    ),
    rows: made,
    made: [
      ["Made by", named("promptgen", 1)],
      ["Again", named("npx promptgen study", 4)],
    ],
  };
}
