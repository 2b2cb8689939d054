import { test } from "uvu";
import * as assert from "uvu/assert";
import { METHODS, methodOf } from "../../../promptgen/methods/index.ts";
import {
  initialOf,
  loopSettings,
  type OptionTable,
  optionsOf,
  problemOf,
  trainingOptions,
} from "../../../promptgen/methods/options.ts";

const TABLE = {
  rate: { kind: "number", value: "X", help: "", initial: 0.5, world: 0.25, least: 0, most: 1 },
  count: { kind: "number", value: "N", help: "", initial: 3, least: 1, whole: true },
  set: { kind: "choice", value: "SET", help: "", initial: "a", choices: ["a", "b"] },
  model: { kind: "model", value: "DIR", help: "", initial: "world", embedded: "bart" },
} as const satisfies OptionTable;

test("what was not given has the table's value, or the world's where there is one", () => {
  assert.equal(optionsOf(TABLE, {}), { rate: 0.5, count: 3, set: "a", model: "world" });
  assert.equal(optionsOf(TABLE, {}, true), { rate: 0.25, count: 3, set: "a", model: "world" });
  const given = { rate: 0, set: "b", model: "facebook/bart-large" };
  assert.equal(optionsOf(TABLE, given, true), { ...given, count: 3 });
  assert.equal(Object.keys(optionsOf(TABLE, given)), Object.keys(TABLE), "in the table's order");
  assert.equal([initialOf(TABLE.rate, false), initialOf(TABLE.rate, true)], [0.5, 0.25]);
  assert.is(initialOf(TABLE.count, true), 3);
});

test("what does not fit is refused in one sentence", () => {
  const refused = (given: Record<string, number | string>, sentence: string) =>
    assert.throws(
      () => optionsOf(TABLE, given),
      (error: Error) => error.message === sentence,
    );
  refused({ m: 3 }, "[options] there is no option m; choose among rate, count, set, model");
  refused({ rate: 2 }, "[options] rate is 2; give a number from 0 to 1");
  refused({ rate: "0.5" }, "[options] rate is 0.5; give a number from 0 to 1");
  refused({ count: 0 }, "[options] count is 0; give a whole number of 1 or more");
  refused({ set: "c" }, "[options] set is c; choose among a, b");
  refused({ model: "" }, "[options] model is ; name a folder");
});

test("limits belong to what is allowed", () => {
  for (const value of [0, 1, 0.5]) assert.is(problemOf(TABLE.rate, value), undefined);
  for (const value of [-1e-9, 1.001, Number.NaN, Infinity, "1"]) {
    assert.is(problemOf(TABLE.rate, value), "give a number from 0 to 1", String(value));
  }
  assert.is(problemOf(TABLE.count, 1e6), undefined);
  for (const value of [1.5, 0, 2 ** 60]) {
    assert.is(problemOf(TABLE.count, value), "give a whole number of 1 or more", String(value));
  }
  assert.is(problemOf(TABLE.set, "b"), undefined);
});

test("training options have a method's own values", () => {
  const own = { lr: 3e-3, warmup: 0.2, weightDecay: 0.01, batchSize: 16, epochs: 5 };
  const plain = optionsOf(trainingOptions(own), {}, true);
  assert.equal(plain, {
    lr: 3e-3,
    warmup: 0.2,
    "weight-decay": 0.01,
    "batch-size": 16,
    epochs: 5,
    "max-steps": 0,
    accumulate: 1,
    "dev-facts": 0,
    "eval-every": 0,
    patience: 0,
  });
  const table = trainingOptions({ ...own, world: { lr: 0.1, epochs: 7 } });
  assert.equal(optionsOf(table, {}, true), { ...plain, lr: 0.1, epochs: 7 });
  assert.equal(optionsOf(table, {}), plain);
  assert.match(problemOf(table.epochs, 0.5) ?? "", /whole number of 1 or more/);
  assert.is(problemOf(table.lr, 0), undefined);
  for (const [name, least] of [
    ["max-steps", 0],
    ["accumulate", 1],
    ["dev-facts", 0],
    ["eval-every", 0],
    ["patience", 0],
  ] as const) {
    assert.is(problemOf(table[name], least), undefined);
    for (const wrong of [least - 1, 1.5, Number.NaN, "3"]) {
      const sentence = `give a whole number of ${least} or more`;
      assert.is(problemOf(table[name], wrong), sentence, `${name} ${wrong}`);
    }
    assert.match(problemOf(table[name], 1e12) ?? "", /^give a whole number from [01] to \d+$/);
  }
});

test("the loop takes what the options say", () => {
  const table = trainingOptions({
    lr: 1,
    warmup: 0.2,
    weightDecay: 0.01,
    batchSize: 16,
    epochs: 5,
  });
  const given = {
    lr: 0.5,
    "max-steps": 70,
    accumulate: 4,
    "dev-facts": 9,
    "eval-every": 25,
    patience: 6,
  };
  const options = optionsOf(table, given) as Parameters<typeof loopSettings>[0];
  assert.equal(loopSettings(options, { seed: 3, clip: 2 }), {
    epochs: 5,
    maxSteps: 70,
    batchSize: 16,
    accumulate: 4,
    lr: 0.5,
    warmup: 0.2,
    weightDecay: 0.01,
    clip: 2,
    seed: 3,
    evaluationsPerEpoch: 3,
    evalEvery: 25,
    patience: 6,
  });
});

test("every method whose training is the loop's has all of its options", () => {
  const names = Object.keys(
    trainingOptions({ lr: 1, warmup: 0, weightDecay: 0, batchSize: 1, epochs: 1 }),
  );
  const looped = METHODS.filter(({ options }) => Object.hasOwn(options, "weight-decay"));
  assert.equal(
    looped.filter(({ options }) => names.some((name) => !Object.hasOwn(options, name))),
    [],
  );
  assert.ok(looped.length >= 3);
});

test("PromptGen has the paper's options", () => {
  assert.equal(optionsOf(methodOf("promptgen").options, {}), {
    generator: "world",
    alpha: 0.3,
    m: 10,
    n: 5,
    vocabulary: "common",
    lr: 5e-5,
    warmup: 0.1,
    "weight-decay": 1e-3,
    "batch-size": 32,
    epochs: 10,
    "max-steps": 0,
    accumulate: 1,
    "dev-facts": 0,
    "eval-every": 0,
    patience: 0,
  });
});

test("every method has a name and options of its own, and one that is unknown is refused", () => {
  const names = METHODS.map(({ name }) => name);
  assert.is(new Set(names).size, names.length);
  for (const { name, options } of METHODS) {
    assert.is(methodOf(name).name, name);
    for (const [option, one] of Object.entries(options)) {
      assert.is(problemOf(one, initialOf(one, false)), undefined, option);
      assert.is(problemOf(one, initialOf(one, true)), undefined, option);
      for (const shared of [
        "method",
        "reader",
        "reader-weights",
        "data",
        "relations",
        "seed",
        "mlm",
      ]) {
        assert.is.not(option, shared, `${name} has an option that every run has`);
      }
    }
  }
  assert.throws(
    () => methodOf("lama"),
    (error: Error) =>
      error.message === `[method] there is no method lama; choose among ${names.join(", ")}`,
  );
});

test("an option's name means one kind of thing, whatever the method: a study gives it to all that have it", () => {
  const kinds = new Map<string, string>();
  for (const { name, options } of METHODS) {
    for (const [option, { kind, value }] of Object.entries(options)) {
      const meaning = `${kind} ${value}`;
      assert.is(kinds.get(option) ?? meaning, meaning, `--${option} of ${name}`);
      kinds.set(option, meaning);
    }
  }
});

test.run();
