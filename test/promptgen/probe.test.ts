/** Probing prompts that are made up, so that what can be named is known: by one word, by a mixture, by nothing. */
import * as assert from "uvu/assert";
import type { Device } from "../../engine/device.ts";
import { tensor } from "../../engine/tensor.ts";
import { type Benchmark, itemsOf, loadBenchmark } from "../../promptgen/benchmark.ts";
import type { Relation } from "../../promptgen/facts/facts.ts";
import { methodOf } from "../../promptgen/methods/index.ts";
import type { Asked, Batch, Prompter } from "../../promptgen/methods/method.ts";
import { probePrompts } from "../../promptgen/probe.ts";
import { filledUp } from "../../promptgen/training/padding.ts";
import { embeddedWorld } from "../../promptgen/world/world.ts";
import { onDevices } from "../devices.ts";

const each = await onDevices("probe");
const world = embeddedWorld();
const benchmark = await loadBenchmark({
  data: world.data,
  reader: world.bert,
  relations: ["P1303", "P31", "P36"],
});
const method = methodOf("promptgen");
const WORDS = 40;
const SLOTS = 3;

/** What the slots of a fact's prompt say: probabilities of words, and which slots are there. */
type Says = (asked: Asked) => { readonly p: readonly number[]; readonly live: readonly number[] };

/** Two slots are what a fact says, the last is noise that is dead. */
class Told implements Prompter {
  readonly limit = 9;
  readonly contents = {};
  readonly selected: string[] = [];
  readonly #says: Says;
  readonly select?: (device: Device, relation: Relation) => Promise<void>;
  constructor(says: Says, each = false) {
    this.#says = says;
    if (each) {
      this.select = async (_, { id }) => {
        this.selected.push(id);
      };
    }
  }
  width({ fact }: Asked): number {
    return fact.subject.length > 8 ? 2 : 1;
  }
  collate(asked: readonly Asked[], _: number, rows: number): Batch {
    const filled = filledUp(asked, rows).map((one) => this.#says(one));
    const p = Array.from({ length: SLOTS }, (_, s) =>
      filled.map((one) => one.p.map((x) => (s === 2 ? 0.5 : x))),
    );
    const live = Array.from({ length: SLOTS }, (_, s) => filled.map((one) => one.live[s]));
    return {
      p: tensor(Float32Array.from(p.flat(2)), [SLOTS, rows, WORDS]),
      live: tensor(Uint32Array.from(live.flat()), [SLOTS, rows]),
      mass: tensor(Float32Array.from(filled, ({ p: own }) => own[0])),
    };
  }
  predict({ p, live, mass }: Batch) {
    return { logits: p, trace: {}, slots: { distributions: p, live }, figures: { mass } };
  }
  words(): string {
    return "[X] [Y]";
  }
  async save(): Promise<void> {}
  async restore(): Promise<void> {}
}

const LIVE = [1, 1, 0];
const hot = (word: number, share = 1): number[] =>
  Array.from({ length: WORDS }, (_, c) => (c === word ? share : 0) + (1 - share) / WORDS);

/** The place of a fact's object among those of its relation's training facts. */
const place = ({ relation, fact }: Asked): number => {
  const objects = [...new Set(relation.train.map(({ object }) => object))];
  return objects.indexOf(fact.object) + 1;
};

const run = (own: Benchmark = benchmark) => ({ benchmark: own, buckets: [1, 2], method });

/** How many test facts have an object that training has too, and how many the most frequent one. */
const counts = (relation: Relation) => {
  const times = new Map<string, number>();
  for (const { object } of relation.train) times.set(object, (times.get(object) ?? 0) + 1);
  const most = Math.max(...times.values());
  const [first] = [...times].find(([, count]) => count === most) ?? [];
  return {
    seen: relation.test.filter(({ object }) => times.has(object)).length,
    majority: relation.test.filter(({ object }) => object === first).length,
  };
};

each("a word for each object names every one that training has", async (device) => {
  // however weak it is beside the rest
  for (const share of [1, 0.02]) {
    const prompter = new Told((asked) => ({ p: hot(place(asked) % WORDS, share), live: LIVE }));
    const found = await probePrompts(device, run(), prompter, { batchSize: 8 });
    for (const { relation, probe, majority, figures } of found ?? []) {
      const { test } = relation;
      const distinct = new Set(relation.train.map(({ object }) => object)).size < WORDS;
      assert.equal([probe.total, majority.total], [test.length, test.length]);
      if (distinct) assert.is(probe.correct, counts(relation).seen, relation.id);
      assert.is(majority.correct, counts(relation).majority);
      const zeros = itemsOf([relation], "test").map(
        (item) => hot(place({ ...item, subjects: [] }) % WORDS, share)[0],
      );
      const mean = zeros.reduce((sum, x) => sum + x, 0) / zeros.length;
      assert.ok(Math.abs(figures.mass - mean) < 1e-6);
    }
    assert.is(found?.length, 3);
  }
});

each(
  "prompts that are all alike name the most frequent object; dead slots say nothing",
  async (device) => {
    const says: Says[] = [
      () => ({ p: hot(3), live: LIVE }),
      // the answer stands in a slot that is dead
      (asked) => ({ p: hot(place(asked) % WORDS), live: [0, 0, 1] }),
      (asked) => ({ p: hot(place(asked) % WORDS), live: [0, 0, 0] }),
    ];
    for (const own of says) {
      const found = await probePrompts(device, run(), new Told(own));
      for (const { relation, probe, majority, l2 } of found ?? []) {
        assert.is(probe.correct, counts(relation).majority, relation.id);
        assert.equal([majority.correct, l2], [probe.correct, 10]);
      }
    }
  },
);

each("the penalty is chosen on dev alone, and nothing is learnt from test", async (device) => {
  // in training and dev a word tells; in test it lies, and must be believed
  const lies: Says = (asked) => {
    const isTest = asked.relation.test.includes(asked.fact);
    return { p: hot((place(asked) + (isTest ? 1 : 0)) % WORDS), live: LIVE };
  };
  const found = await probePrompts(device, run(), new Told(lies));
  for (const { relation, probe } of found ?? []) {
    assert.ok(probe.correct <= 1, `${relation.id} ${probe.correct}`);
  }
});

each("one relation after the other, with progress; the signal stops it", async (device) => {
  const prompter = new Told((asked) => ({ p: hot(place(asked) % WORDS), live: LIVE }), true);
  const seen: [number, number][] = [];
  const once = await probePrompts(device, run(), prompter, {
    onProgress: (...at) => seen.push(at),
  });
  assert.equal(prompter.selected, ["P1303", "P31", "P36"]);
  const all = benchmark.relations.flatMap((r) => [r.train, r.dev, r.test]).flat().length;
  assert.equal(seen.at(-1), [all, all]);
  const again = await probePrompts(device, run(), prompter);
  assert.equal(
    again?.map(({ relation: _, ...own }) => own),
    once?.map(({ relation: _, ...own }) => own),
  );
  const stop = new AbortController();
  const stopped = await probePrompts(device, run(), prompter, {
    signal: stop.signal,
    onProgress: () => stop.abort(),
  });
  assert.is(stopped, undefined);
});

each("prompts that are no distributions are refused", async (device) => {
  const template = methodOf("template");
  const prompter = await template.open(benchmark, { templates: "manual" });
  const buckets = [64];
  const said = await probePrompts(device, { benchmark, buckets, method: template }, prompter).then(
    () => "it was probed",
    ({ message }) => message,
  );
  assert.is(
    said,
    "[probe] the prompts of template are no distributions over words; probe a run of promptgen",
  );
});

each.run();
