import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  circleProblems,
  importGraph,
  imports,
  roomOf,
  type Table,
} from "../../tools/commands/check/imports.ts";
import { linkProblems } from "../../tools/commands/check/links.ts";
import {
  codeLines,
  dialectProblems,
  headerProblems,
  longest,
  skipProblems,
} from "../../tools/commands/check/rules.ts";

const file = (path: string, text = "") => ({ path, text });

/** A file that imports others, by their specifiers. */
const importing = (path: string, ...specifiers: string[]) =>
  file(path, specifiers.map((name) => `import ${JSON.stringify(name)};`).join("\n"));

/** A small house. */
const table: Table = {
  folders: { upper: ["lower"], lower: [], side: ["upper", "lower"] },
  rooms: {
    upper: [
      { name: "base", paths: ["upper/base.ts", "upper/base/"], may: [] },
      { name: "face", paths: ["upper/each/face.ts"], may: ["base"] },
      { name: "each/*", paths: ["upper/each/*"], may: ["face", "base"] },
      { name: "circular", paths: ["upper/circular/"], may: [], circles: true },
      { name: "index", paths: ["upper/index.ts"], may: "all" },
    ],
  },
  exceptions: [],
};

test("links name files and headings that are there", () => {
  const page = `[a](other.md) [b](other.md#two-words) [c](#here) [d](../README.md) [e](https://x.y/z)
# Here
[f](gone.md) [g](other.md#gone) [h](#gone) <img src="no.png">
\`[i](gone.md)\`
\`\`\`sh
[j](gone.md)
# gone
\`\`\`
`;
  const other = "## Two words\n```\n# Gone\n```\n";
  const there = new Set(["docs/page.md", "docs/other.md", "README.md"]);
  assert.equal(
    linkProblems([file("docs/page.md", page), file("docs/other.md", other)], (path) =>
      there.has(path),
    ),
    [
      "[check] docs/page.md links to gone.md, which is not there",
      "[check] docs/page.md links to other.md#gone, but docs/other.md has no such heading",
      "[check] docs/page.md links to #gone, but docs/page.md has no such heading",
      "[check] docs/page.md links to no.png, which is not there",
    ],
  );
});

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
  const specifiers = imports(text).map(({ specifier }) => specifier);
  assert.equal(specifiers, ["./a.ts", "../b.ts", "./c.ts", "./d.ts", "./e.ts", "./f.ts"]);
});

test("knows imports of types alone", () => {
  const isType = (text: string) => imports(text).map(({ type }) => type);
  const types = [
    "type A",
    "type { A, B }",
    "{ type A }",
    "{\n  type A,\n  type B as C,\n}",
    "type * as N",
  ];
  const values = [
    "a",
    "{ a, type B }",
    "a, { type B }",
    "{ type }",
    "{ type a, b }",
    "* as n",
    "type",
  ];
  for (const what of types) assert.equal(isType(`import ${what} from "./x.ts";`), [true], what);
  for (const what of values) assert.equal(isType(`import ${what} from "./x.ts";`), [false], what);
  assert.equal(isType('export type { A } from "./x.ts";\nexport * from "./y.ts";'), [true, false]);
  assert.equal(isType('import "./x.ts";\nconst y = await import("./y.ts");'), [false, false]);
});

test("draws arrows between folders and names those that point back", () => {
  const { arrows, problems } = importGraph([
    file("promptgen/index.ts", 'import "../models/a.ts";\nimport "./world/y.ts";'),
    file("promptgen/world/z.ts", 'import "../index.ts";\nimport "node:fs";'),
    file("engine/ops/b.ts", 'import "../../kernels/load.ts";\nimport "../op.ts";'),
    file("models/c.ts", 'import type { K } from "../kernels/load.ts";'),
    file("kernels/d.ts", 'import "../engine/op.ts";'),
    file("engine/errors.ts", 'import "../package.json";'),
    file("models/g.ts", 'import "../tools/lib/cli.ts";'),
    file("test/f.ts", 'import "../kernels/load.ts";'),
    file("kernels/webgpu/g.wgsl", 'import "../engine/op.ts";'),
  ]);
  const engine = [...(arrows.get("engine") ?? [])];
  assert.equal(engine, [
    ["kernels", 1],
    ["(root)", 1],
  ]);
  assert.equal([...(arrows.get("promptgen") ?? [])], [["models", 1]]);
  assert.equal(problems.slice(0, 4), [
    "[check] models/c.ts imports kernels/load.ts; models may import engine and itself",
    "[check] kernels/d.ts imports engine/op.ts; kernels may import nothing and itself",
    "[check] engine/errors.ts imports package.json; engine may import kernels and itself",
    "[check] models/g.ts imports tools/lib/cli.ts; models may import engine and itself",
  ]);
});

test("a file stands in the room whose longest path fits it", () => {
  const name = (path: string) => roomOf(path, table)?.name;
  assert.is(name("upper/base.ts"), "base");
  assert.is(name("upper/base/deep/x.ts"), "base");
  assert.is(name("upper/each/face.ts"), "face");
  assert.is(name("upper/each/one.ts"), "each/one");
  assert.is(name("upper/each/two/x.ts"), "each/two");
  assert.is(name("upper/stray.ts"), undefined);
  assert.is(name("lower/anything.ts"), "lower");
});

test("the project's own rooms", () => {
  assert.is(roomOf("engine/ops/copy.ts")?.name, "copy");
  assert.is(roomOf("engine/ops/matmul.ts")?.name, "ops");
  assert.is(roomOf("engine/devices/webgpu/device.ts")?.name, "devices/webgpu");
  assert.is(roomOf("engine/devices/host.ts")?.name, "devices");
  assert.is(roomOf("models/bert.ts")?.name, "architectures");
  assert.is(roomOf("promptgen/methods/method.ts")?.name, "method");
  assert.is(roomOf("promptgen/methods/majority.ts")?.name, "methods/majority");
  assert.is(roomOf("promptgen/methods/promptgen/batch.ts")?.name, "methods/promptgen");
});

test("an import that a room may not make is named, also of a type", () => {
  const problems = (path: string, ...specifiers: string[]) =>
    importGraph([importing(path, ...specifiers)], table).problems;
  assert.equal(problems("upper/each/one.ts", "./face.ts", "../base.ts", "../../lower/a.ts"), []);
  assert.equal(problems("upper/each/two/a.ts", "./b.ts", "../face.ts"), []);
  assert.equal(problems("upper/index.ts", "./each/one.ts", "./base.ts"), []);
  assert.equal(problems("upper/base.ts", "./each/one.ts"), [
    "[check] upper/base.ts imports upper/each/one.ts; in upper, base may import nothing and itself",
  ]);
  assert.equal(problems("upper/each/one.ts", "./two/a.ts"), [
    "[check] upper/each/one.ts imports upper/each/two/a.ts; in upper, each/one may import face, base and itself",
  ]);
  assert.equal(problems("upper/each/one.ts", "../index.ts").length, 1);
  const type = file("upper/base.ts", 'import type { A } from "./index.ts";');
  assert.is(importGraph([type], table).problems.length, 1);
});

test("arrows between rooms are counted", () => {
  const files = [
    importing("upper/each/one.ts", "./face.ts", "../base.ts"),
    importing("upper/each/one.ts", "../base/deep/x.ts"),
  ];
  const arrows = importGraph(files, table).arrows.get("upper: each/one");
  assert.is(arrows?.get("face"), 1);
  assert.is(arrows?.get("base"), 2);
});

test("a file without a room is named", () => {
  const { problems } = importGraph([file("upper/stray.ts")], table);
  assert.match(problems.join(), /upper\/stray\.ts stands in no room/);
});

test("an exception excuses an import, and is named when none needs it", () => {
  const excused: Table = { ...table, exceptions: [["upper/base.ts", "upper/each/"]] };
  const bad = importing("upper/base.ts", "./each/one.ts");
  assert.equal(importGraph([bad], excused).problems, []);
  assert.equal(importGraph([file("upper/base.ts")], excused).problems, [
    "[check] no import needs the exception upper/base.ts -> upper/each/ any more; remove it",
  ]);
});

test("a circle of values is shown as a whole path, once", () => {
  const problems = circleProblems([
    file("lower/a.ts", 'import { b } from "./b.ts";\nimport { x } from "./x.ts";'),
    file("lower/b.ts", 'export { c } from "./in/c.ts";'),
    file("lower/in/c.ts", 'const { a } = await import("../a.ts");'),
    file("lower/x.ts", 'import { y } from "./y.ts";'),
    file("lower/y.ts"),
  ]);
  assert.equal(problems, [
    "[check] a circle of imports: lower/a.ts -> lower/b.ts -> lower/in/c.ts -> lower/a.ts",
  ]);
});

test("types, other folders and rooms that allow it make no circle", () => {
  const back = (text: string) => [
    file("lower/a.ts", 'import { b } from "./b.ts";'),
    file("lower/b.ts", text),
  ];
  assert.is(circleProblems(back('import { a } from "./a.ts";')).length, 1);
  assert.equal(circleProblems(back('import type { A } from "./a.ts";')), []);
  assert.equal(circleProblems(back('import { type A } from "./a.ts";')), []);
  assert.is(circleProblems(back('import { type A, a } from "./a.ts";')).length, 1);
  const across = [
    importing("upper/base.ts", "../lower/a.ts"),
    importing("lower/a.ts", "../upper/base.ts"),
  ];
  assert.equal(circleProblems(across, table), []);
  const ring = (room: string) => [
    importing(`upper/${room}/a.ts`, "./b.ts"),
    importing(`upper/${room}/b.ts`, "./a.ts"),
  ];
  assert.equal(circleProblems(ring("circular"), table), []);
  assert.is(circleProblems(ring("base"), table).length, 1);
});

test("counts lines of code only", () => {
  assert.is(codeLines(""), 0);
  assert.is(codeLines("a\n\n// b\n  // c\n/* d\n e\n*/\n/* f */ g\nh // i\n/** j */\n*/"), 4);
});

test("the longest files come first; none is a problem", () => {
  const sources = [1, 9, 5].map((lines) =>
    file(`engine/${lines}.ts`, "// x\nlet x;\n".repeat(lines)),
  );
  assert.equal(longest(sources, 2), [
    { path: "engine/9.ts", lines: 9 },
    { path: "engine/5.ts", lines: 5 },
  ]);
});

test("a file without a header is named", () => {
  const problems = (path: string, text: string) => headerProblems([file(path, text)]);
  assert.equal(problems("engine/a.ts", 'import "./b.ts";'), [
    "[check] engine/a.ts has no header; begin it with a comment that says what it is",
  ]);
  for (const text of [
    "/** What. */\nlet a;",
    "// What.\nlet a;",
    "#!/usr/bin/env node\n// What.",
  ]) {
    assert.equal(problems("tools/a.ts", text), [], text);
  }
  assert.is(problems("tools/a.ts", "// @ts-check\nlet a;").length, 1);
  assert.equal(problems("kernels/webgpu/a.wgsl", "enable subgroups;\n// What."), []);
  assert.is(problems("kernels/webgpu/a.wgsl", "enable subgroups;\nstruct P {}").length, 1);
  assert.equal(problems("test/a.test.ts", "let a;"), []);
  assert.is(problems("test/helper.ts", "let a;").length, 1);
});

test("an object literal that is spread is named", () => {
  const problems = (line: string) => dialectProblems([file("engine/a.ts", `\n${line}`)]);
  const spread = ["...", "{"].join(""); // not written out: this file is checked too
  assert.equal(problems(`const a = { ${spread} b, c } };`), [
    "[check] engine/a.ts:2 spreads an object literal; write its fields out",
  ]);
  assert.equal(problems("const a = { ...b, ...(c ? { d } : {}) };"), []);
});

test("a folder of one machine is named, in any text", () => {
  for (const path of ["tools/a.py", "docs/a.md", "test/a.ts"]) {
    for (const folder of ["work", "home", "root"]) {
      const text = `data: "/${folder}/models"`;
      assert.is(dialectProblems([file(path, text)]).length, 1, `${path} ${text}`);
    }
  }
  for (const text of ["https://site.org/home/x", "../work/x", "$root/work/x", "a / work / b"]) {
    assert.equal(dialectProblems([file("a.md", text)]), [], text);
  }
});

test("a test that is skipped or run alone is named", () => {
  const call = (name: string) => `test.${name}("x", () => {});`; // not written out: this file is checked too
  assert.match(
    skipProblems([file("test/a.test.ts", `\n${call("skip")}`)]).join(),
    /test\/a\.test\.ts:2 calls \.skip\(/,
  );
  assert.is(skipProblems([file("test/a.test.ts", call("only"))]).length, 1);
  assert.is(skipProblems([file("tools/a.ts", call("skip"))]).length, 0);
});

test.run();
