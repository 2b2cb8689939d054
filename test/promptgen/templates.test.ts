import { test } from "uvu";
import * as assert from "uvu/assert";
import { checkTemplate, fill, loadTemplates } from "../../promptgen/facts/templates.ts";
import { folder } from "./fixture.ts";

const PATH = "relation_metainfo/LPAQA_relations.jsonl";

test("fills subject and object", () => {
  assert.is(fill("[X] was born in [Y] .", "Ada", "[MASK]"), "Ada was born in [MASK] .");
  assert.is(fill("[Y] is [X]'s home", "Ada", "<mask>"), "<mask> is Ada's home");
});

test("a subject is text, not a pattern and not a slot", () => {
  assert.is(fill("[X] in [Y]", "$& $1 [Y]", "Rome"), "$& $1 [Y] in Rome");
});

test("a template holds each slot once", () => {
  assert.throws(() => fill("[X] was born", "a", "b"), /"\[X\] was born" holds \[Y\] nowhere/);
  assert.throws(() => checkTemplate("in [Y]", "P19"), /\[P19\] "in \[Y\]" holds \[X\] nowhere/);
  assert.throws(() => checkTemplate("[X] [X] [Y]"), /holds \[X\] 2 times; write it once/);
});

test("reads a set of templates by relation", async () => {
  const root = folder({
    [PATH]: '{"relation":"P2","template":"[X] a [Y]"}\n{"relation":"P1","template":"[Y] of [X]"}\n',
  });
  assert.equal(
    [...(await loadTemplates(root, "LPAQA"))],
    [
      ["P2", "[X] a [Y]"],
      ["P1", "[Y] of [X]"],
    ],
  );
});

test("names the file and line of a bad template", async () => {
  const failure = async (text: string) => {
    try {
      await loadTemplates(folder({ [PATH]: text }), "LPAQA");
    } catch (error) {
      return (error as Error).message;
    }
    throw new Error("expected an error");
  };
  const good = '{"relation":"P1","template":"[X] a [Y]"}\n';
  assert.match(await failure(`${good}{"relation":"P2"}`), /:2 has no text in "template"/);
  assert.match(await failure(`${good}${good}`), /:2 repeats relation P1/);
  assert.match(
    await failure('{"relation":"P1","template":"[X] only"}'),
    /LPAQA_relations\.jsonl:1\] "\[X\] only" holds \[Y\] nowhere/,
  );
});

test.run();
