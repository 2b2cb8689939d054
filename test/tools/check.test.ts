import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  codeLines,
  importGraph,
  lengthProblems,
  skipProblems,
  specifiers,
} from "../../tools/commands/check.ts";

test("finds every kind of import, and none in comments or strings", () => {
  const text = `
import { a } from "./a.ts";
import type {
  B,
} from '../b.ts';
import "./c.ts";
export * from "./d.ts";
export { e } from "./e.ts";
export const from = "not an import";
const f = await import("./f.ts");
// import { g } from "./g.ts"; import("./g.ts")
/** import { h } from "./h.ts"; */
 * from "./i.ts"
const url = new URL("./j.ts", import.meta.url);
`;
  assert.equal(specifiers(text), ["./a.ts", "../b.ts", "./c.ts", "./d.ts", "./e.ts", "./f.ts"]);
});

test("counts lines of code only", () => {
  assert.is(codeLines(""), 0);
  assert.is(codeLines("a\n\n// b\n  // c\n/* d\n e\n*/\n/* f */ g\nh // i\n/** j */\n*/"), 4);
});

test("draws arrows between folders and names those that point back", () => {
  const { arrows, problems } = importGraph([
    { path: "promptgen/x.ts", text: 'import "../models/a.ts";\nimport "./y.ts";' },
    { path: "promptgen/world/z.ts", text: 'import "../x.ts";\nimport "node:fs";' },
    { path: "engine/ops/b.ts", text: 'import "../../kernels/load.ts";\nimport "../op.ts";' },
    { path: "models/c.ts", text: 'import "../kernels/load.ts";' },
    { path: "kernels/d.ts", text: 'import "../engine/op.ts";' },
    { path: "engine/e.ts", text: 'import "../package.json";' },
    { path: "test/f.ts", text: 'import "../kernels/load.ts";' },
    { path: "kernels/webgpu/g.wgsl", text: 'import "../engine/op.ts";' },
  ]);
  assert.equal(
    [...(arrows.get("engine") ?? [])],
    [
      ["kernels", 1],
      ["(root)", 1],
    ],
  );
  assert.equal([...(arrows.get("promptgen") ?? [])], [["models", 1]]);
  assert.equal(problems, [
    "[check] models/c.ts imports kernels/load.ts; models may import engine and itself",
    "[check] kernels/d.ts imports engine/op.ts; kernels may import nothing and itself",
    "[check] engine/e.ts imports package.json; engine may import kernels and itself",
  ]);
});

test("a file of 401 code lines is too long, comments do not count", () => {
  const source = (lines: number) => ({
    path: "engine/a.ts",
    text: `// comment\n\n${"let x;\n".repeat(lines)}`,
  });
  assert.equal(lengthProblems([source(400)]), []);
  assert.match(lengthProblems([source(401)]).join(), /engine\/a\.ts has 401 code lines/);
});

test("a test that is skipped or run alone is named", () => {
  const call = (name: string) => `test.${name}("x", () => {});`; // not written out: this file is checked too
  const file = (path: string, text: string) => ({ path, text });
  assert.match(
    skipProblems([file("test/a.test.ts", `\n${call("skip")}`)]).join(),
    /test\/a\.test\.ts:2 calls \.skip\(/,
  );
  assert.is(skipProblems([file("test/a.test.ts", call("only"))]).length, 1);
  assert.is(skipProblems([file("tools/a.ts", call("skip"))]).length, 0);
});

test.run();
