/** Every number that a command takes has a least and a most, and a sentence for what is outside; nothing is loaded before it is said. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import { METHODS } from "../../promptgen/methods/index.ts";
import { numberIn, problemOfNumber } from "../../promptgen/methods/options.ts";
import { checkedOptions, tableOf } from "../../tools/lib/run-options.ts";
import { refuses, temporary } from "./command.ts";

const test = suite("limits");

const said = (work: () => unknown): string => {
  try {
    return `taken: ${JSON.stringify(work())}`;
  } catch (error) {
    return (error as Error).message;
  }
};

test("all numbers of all methods", () => {
  let numbers = 0;
  for (const method of METHODS) {
    const table = tableOf(method);
    for (const [name, option] of Object.entries(table)) {
      if (option.kind !== "number") continue;
      numbers++;
      const what = `--${name} of ${method.name}`;
      const most = option.most ?? option.ceiling;
      assert.ok(most !== undefined && Number.isFinite(most) && most > option.least, what);
      const give = (text: string) => said(() => checkedOptions("train", table, { [name]: text }));
      assert.equal(give(String(option.least)), `taken: {"${name}":${option.least}}`);
      assert.equal(give(String(most)), `taken: {"${name}":${most}}`);
      const outside = [
        "1e400",
        "-1e400",
        "1e30",
        "Infinity",
        "-Infinity",
        "NaN",
        "nan",
        "-1",
        "-1e-300",
      ];
      const odd = [
        "",
        " ",
        "0x10",
        "0b1",
        "0o7",
        "1/2",
        "1,5",
        "1_000",
        "1e",
        "e5",
        ".",
        "--1",
        "ten",
        "1e-400",
        "١",
      ];
      const parts = option.whole ? ["1.5", "1e-3", "9007199254740993"] : [];
      for (const text of [...outside, ...odd, ...parts]) {
        const sentence = give(text);
        assert.ok(
          sentence.startsWith(`[train] --${name} is ${text}; give a`),
          `${what}: ${sentence}`,
        );
        assert.match(sentence, /number (of \S+ or more|from \S+ to \S+)$/);
      }
      assert.match(give("1e400"), new RegExp(`from ${option.least} to ${most}$`));
    }
  }
  assert.ok(numbers > 10, String(numbers));
});

test("what is typed is decimal; -0 is 0", () => {
  const good: [string, number][] = [
    ["5", 5],
    [" 5 ", 5],
    ["+5", 5],
    ["5.", 5],
    [".5", 0.5],
    ["1e3", 1000],
    ["2.5E-1", 0.25],
    ["-0", 0],
    ["0e5", 0],
  ];
  for (const [text, value] of good) assert.ok(Object.is(numberIn(text), value), text);
  assert.equal(
    problemOfNumber({ least: 1, whole: true }, 2 ** 60),
    "give a whole number of 1 or more",
  );
});

test("the numbers of the commands themselves", async () => {
  const out = join(temporary(), "out");
  const rows: [string, string, string[]][] = [
    ["train.ts", "save-every", ["--out", out]],
    ["train.ts", "threads", ["--out", out]],
    ["pretrain.ts", "epochs", ["--out", out]],
    ["pretrain.ts", "seed", ["--out", out]],
    ["pretrain.ts", "threads", ["--out", out]],
  ];
  for (const [tool, name, more] of rows) {
    for (const text of name === "epochs" ? ["1e30", "-1"] : ["1e30"]) {
      await refuses(
        tool,
        [`--${name}=${text}`, ...more],
        new RegExp(`--${name} is ${text}; give a whole number`),
      );
    }
  }
  await refuses(
    "fill-mask.ts",
    ["a [MASK]", "--top-k", "1e30"],
    /--top-k is 1e30; give a whole number from 1 to/,
  );
  await refuses(
    "infill.ts",
    ["a <mask>", "--beams", "1e30"],
    /--beams is 1e30; give a whole number from 1 to/,
  );
  assert.ok(!existsSync(out));
});

test.run();
