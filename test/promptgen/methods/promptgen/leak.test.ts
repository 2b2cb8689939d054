/** Masses of objects in the slots, beside sums over the distributions, one number after the other. */
import * as assert from "uvu/assert";
import { compile } from "../../../../engine/compile.ts";
import { itemsOf } from "../../../../promptgen/benchmark.ts";
import { bucketsFor, Examiner } from "../../../../promptgen/measure.ts";
import type { Batch } from "../../../../promptgen/methods/method.ts";
import { onDevices, openDevices } from "../../../devices.ts";
import { closeForward } from "../../../models/parity.ts";
import { preparePromptGen, tinyOptions, tinyPair } from "../../tiny.ts";

const each = await onDevices("what a prompt tells of the answer");
const [first] = await openDevices();
const home = await tinyPair(first);

each(
  "masses of the object and of the relation's objects, means over live slots",
  async (device) => {
    const { benchmark, prompter } = await preparePromptGen({ ...tinyOptions(home), m: 4, n: 2 });
    const { words, end, generator } = prompter.vocabulary;
    // `</s>` is likely, so that some slots are dead
    const bias = prompter.generator.lm.weights.buffers.get("final_logits_bias");
    assert.ok(bias);
    const items = itemsOf(benchmark.relations, "test").filter((_, i) => i % 4 === 0);
    // one that no class is, and a relation that the benchmark does not have
    const [odd, foreign] = items;
    const asked = [
      ...items,
      { ...odd, fact: { ...odd.fact, object: "no-such-word" } },
      { ...foreign, relation: { ...foreign.relation, id: "P0" } },
    ].map((item) => ({ ...item, subjects: [item.fact.subject] }));
    const rows = asked.length + 3;
    const width = Math.max(...asked.map((one) => prompter.width(one)));
    const run = compile(device, (batch: Batch) => {
      const { slots, figures } = prompter.predict(batch as Parameters<typeof prompter.predict>[0]);
      if (!slots || !figures) throw new Error("PromptGen has slots and figures");
      return { p: slots.distributions, live: slots.live, figures };
    });
    const batch = prompter.collate(asked, width, rows);
    const values = new Float32Array(bias.size);
    await run(batch); // the states are on the device
    const lives = new Set<number>();
    for (const push of [0, 1, 2, 3, 4, 5, 1e4]) {
      values[generator[end]] = push;
      device.write(bias, values);
      const out = await run(batch);
      const p = await out.p.read();
      const live = await out.live.read();
      const [own, all] = [
        await out.figures.objectMass.read(),
        await out.figures.objectsMass.read(),
      ];
      const size = words.length;
      const wanted = asked.map(({ relation, fact }, b) => {
        const known = benchmark.relations.some(({ id }) => id === relation.id);
        const objects = new Set(known ? relation.train.map(({ object }) => object) : []);
        const sums = { own: 0, all: 0, slots: 0 };
        for (let slot = 0; slot < 6; slot++) {
          if (live[slot * rows + b] === 0) continue;
          sums.slots++;
          for (let c = 0; c < end; c++) {
            const mass = p[(slot * rows + b) * size + c];
            if (words[c] === fact.object) sums.own += mass;
            if (objects.has(words[c])) sums.all += mass;
          }
        }
        lives.add(sums.slots);
        const count = Math.max(sums.slots, 1);
        return { own: sums.own / count, all: sums.all / count };
      });
      const mine = (values: ArrayLike<number>) => Array.from(values).slice(0, asked.length);
      closeForward(
        [
          { name: "objectMass", got: mine(own), want: wanted.map((one) => one.own) },
          { name: "objectsMass", got: mine(all), want: wanted.map((one) => one.all) },
        ],
        1e-7,
      );
      // the odd object is no class, the foreign relation has no objects
      if (push === 0) {
        assert.ok(wanted.every((one, i) => one.own > 0 || i === items.length));
        assert.ok(wanted.every((one, i) => one.all > 0 || i === items.length + 1));
      }
      if (push === 1e4) assert.ok(wanted.every((one) => one.own === 0 && one.all === 0));
    }
    assert.ok(lives.has(0) && lives.has(6) && lives.size > 2, [...lives].join());
  },
);

each("measuring gives each fact its figures", async (device) => {
  const { benchmark, prompter } = await preparePromptGen(tinyOptions(home));
  const items = itemsOf(benchmark.relations, "test");
  const buckets = bucketsFor(prompter, benchmark.relations);
  const examiner = new Examiner(device, benchmark, prompter, { buckets, batchSize: 8 });
  const answered = (await examiner.ask(items)) ?? [];
  const alone = await examiner.ask(items.slice(-1));
  closeForward(
    ["objectMass", "objectsMass"].map((name) => ({
      name,
      got: [alone?.[0].figures?.[name] ?? 0],
      want: [answered.at(-1)?.figures?.[name] ?? Number.NaN],
    })),
    1e-7,
  );
  for (const { figures } of answered) {
    const { objectMass, objectsMass } = figures ?? {};
    assert.ok(objectMass > 0 && objectMass < 1 && objectsMass > 0 && objectsMass < 1);
  }
  assert.ok(new Set(answered.map(({ figures }) => figures?.objectMass)).size > items.length / 2);
  const explained = await examiner.explain(items.slice(0, 9));
  assert.equal(
    explained?.map(({ figures }) => figures),
    (await examiner.ask(items.slice(0, 9)))?.map(({ figures }) => figures),
  );
});

each.run();
