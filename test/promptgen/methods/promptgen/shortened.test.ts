/** A padded batch with early stops equals each of its sequences alone, with its dead slots physically removed. */
import * as assert from "uvu/assert";
import { read } from "../../../../engine/compile.ts";
import type { Device } from "../../../../engine/device.ts";
import { embedding } from "../../../../engine/ops/embedding.ts";
import { linear, matmul } from "../../../../engine/ops/matmul.ts";
import { concat, reshape, slice } from "../../../../engine/ops/shape.ts";
import { softmax } from "../../../../engine/ops/softmax.ts";
import { type Tensor, tensor } from "../../../../engine/tensor.ts";
import { RobertaForMaskedLM } from "../../../../models/roberta.ts";
import type { StepFact } from "../../../../tools/commands/fullsize/process.ts";
import { onDevices } from "../../../devices.ts";
import { closeForward, goldenCheckpoint } from "../../../models/parity.ts";
import {
  batchOf,
  classes,
  facts,
  loadPair,
  type Pair,
  settings,
  stepOf,
} from "../../golden-step.ts";

const test = await onDevices("shortened");
const { m, n } = settings;
const B = facts.length;
const C = classes.size;
const ids = (list: ArrayLike<number>) => tensor(Uint32Array.from(list));

/** The live distributions of a row, [L, C], and how many of them stand before the mask. */
type Row = {
  readonly live: Float32Array;
  readonly before: number;
  readonly count: number;
};

function rowOf(distributions: ArrayLike<number>, live: ArrayLike<number>, b: number): Row {
  const slots = Array.from({ length: m + n }, (_, slot) => slot).filter(
    (s) => live[s * B + b] === 1,
  );
  const values = slots.flatMap((slot) =>
    Array.from({ length: C }, (_, c) => distributions[(slot * B + b) * C + c]),
  );
  return {
    live: Float32Array.from(values),
    before: slots.filter((slot) => slot < m).length,
    count: slots.length,
  };
}

/** Joins what is not empty. */
const joined = (parts: readonly (Tensor | undefined)[], axis: number): Tensor =>
  concat(
    parts.filter((part) => part !== undefined),
    axis,
  );

const part = (x: Tensor | undefined, start: number, end: number) =>
  x && start < end ? slice(x, 0, start, end) : undefined;

/** The row's distributions from one uncached pass over its whole text: no padding, no mask, no cache. */
function distributionsAlone({ bart }: Pair, fact: StepFact, row: Row): Tensor {
  const words = embedding(bart.model.shared.weight, ids(classes.generator));
  const soft = row.count > 0 ? matmul(tensor(row.live, [row.count, C]), words) : undefined; // [L, d]
  const prefix = [settings.bart.eos, settings.bart.bos, ...fact.bart];
  const text = joined(
    [
      bart.embed(ids(prefix)),
      part(soft, 0, row.before),
      bart.embed(ids([settings.bart.mask])),
      part(soft, row.before, row.count),
    ],
    0,
  );
  const [length, d] = text.shape;
  const encoded = bart.encode({ ids: reshape(ids(fact.encoder), [1, -1]) });
  const embeds = reshape(text, [length, 1, d]);
  const { hidden } = bart.decode({ embeds }, bart.start(encoded, undefined));
  const bias = reshape(
    embedding(reshape(bart.finalLogitsBias, [-1, 1]), ids(classes.generator)),
    [-1],
  );
  const all = softmax(linear(reshape(hidden, [length, d]), words, bias)); // [length, C]
  const first = prefix.length - 1; // its output is the first slot's
  const mask = first + row.before + 1; // place of <mask>
  return joined(
    [
      part(all, first, first + row.before),
      part(all, mask, mask + row.count - row.before),
      slice(all, 0, 0, 1), // never empty
    ],
    0,
  );
}

/** The reader's logits [1, V] of the row alone. */
function logitsAlone({ reader: { lm: bert } }: Pair, pieces: readonly number[], row: Row): Tensor {
  const words = bert.embed(ids(classes.reader));
  const soft = row.count > 0 ? matmul(tensor(row.live, [row.count, C]), words) : undefined;
  const text = joined(
    [
      bert.embed(ids([settings.bert.cls, ...pieces])),
      part(soft, 0, row.before),
      bert.embed(ids([settings.bert.mask])),
      part(soft, row.before, row.count),
      bert.embed(ids([settings.bert.sep])),
    ],
    0,
  );
  const hidden = bert.encode({ embeds: reshape(text, [1, ...text.shape]) });
  const place = 1 + pieces.length + row.before;
  return reshape(bert.logits(slice(hidden, 1, place, place + 1)), [1, -1]);
}

async function check(device: Device, pair: Pair): Promise<void> {
  const { prompts, logits } = stepOf(pair, batchOf(facts), settings.alpha);
  const [distributions, live, answers] = await read(device, [
    prompts.distributions,
    prompts.live,
    logits,
  ]);
  const V = answers.length / (2 * B);
  const stopped = new Set<string>();
  for (const [b, fact] of facts.entries()) {
    const row = rowOf(distributions, live, b);
    stopped.add(`${row.before} ${row.count - row.before}`);
    const [alone, withSubject, withNone] = await read(device, [
      distributionsAlone(pair, fact, row),
      logitsAlone(pair, fact.bert, row),
      logitsAlone(pair, [settings.bert.none], row),
    ]);
    const from = (start: number) => answers.subarray(start * V, (start + 1) * V);
    closeForward(
      [
        {
          name: `row ${b}: distributions`,
          got: row.live,
          want: alone.subarray(0, row.live.length),
        },
        { name: `row ${b}: logits`, got: from(b), want: withSubject },
        { name: `row ${b}: logits of "None"`, got: from(B + b), want: withNone },
      ],
      1e-5,
      1e-5,
    );
  }
  assert.ok(stopped.size >= 4, `rows stop at ${stopped.size} different places only`);
}

test("each row alone, physically shortened, gives the same to 1e-5", (device) =>
  check(device, loadPair()));

test("the same with RoBERTa as the reader, whose positions begin elsewhere", (device) => {
  const { config } = goldenCheckpoint("promptgen/bert");
  const roberta = { ...config, model_type: "roberta", pad_token_id: 3, initializer_range: 0.3 };
  return check(device, loadPair(RobertaForMaskedLM.random(roberta, 5)));
});

test.run();
