import { suite } from "uvu";
import * as assert from "uvu/assert";
import { majorityObject, majorityScores } from "../../../promptgen/report/majority.ts";
import { facts, RELATIONS, SCORES } from "./world.ts";

const test = suite("majority");

test("the majority object is the most frequent one; a tie goes to the first", () => {
  assert.is(majorityObject(facts("y", "x", "x")), "x");
  assert.is(majorityObject(facts("b", "a", "a", "b")), "b");
  assert.throws(() => majorityObject([]), /no facts/);
});

test("the majority row answers test facts from training facts", () => {
  assert.equal([...majorityScores(RELATIONS)], [...SCORES]);
});

test.run();
