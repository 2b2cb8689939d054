/** NumPy's file of one array beside what numpy.save wrote (tools/reference_npy.py). */
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { npy } from "../../../models/formats/npy.ts";

type Case = { readonly shape: number[]; readonly values: number[]; readonly base64: string };

const cases: Case[] = JSON.parse(
  readFileSync(new URL("../../golden/npy.json", import.meta.url), "utf8"),
);

test("the bytes of numpy.save", () => {
  assert.ok(cases.length > 7);
  for (const { shape, values, base64 } of cases) {
    const bytes = npy(Float32Array.from(values), shape);
    assert.is(Buffer.from(bytes).toString("base64"), base64, `shape ${shape}`);
  }
});

test("a shape that does not hold the values", () => {
  assert.throws(() => npy(new Float32Array(5), [2, 3]), /shape \[2, 3\] holds 6 values and 5/);
});

test.run();
