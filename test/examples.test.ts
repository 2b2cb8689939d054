/** The programs of docs/examples.md print what the page says, and what the page points to is there. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { onDevices } from "./devices.ts";
import { printed } from "./programs.ts";

const docs = join(import.meta.dirname, "../docs");
const page = readFileSync(join(docs, "examples.md"), "utf8");
const blocks = [...page.matchAll(/```(ts|text)\n([\s\S]*?)```/g)];
const of = (language: string): string[] =>
  blocks.filter(([, own]) => own === language).map(([, , code]) => code);

const test = await onDevices("examples.md");
test("each program prints what the page says", async (_, device) => {
  const [programs, outputs] = [of("ts"), of("text")];
  assert.is(programs.length, 2);
  for (const [i, program] of programs.entries()) {
    assert.is(await printed(program, device), outputs[i]);
  }
});
test.run();

const text = suite("examples.md");
text("every page that it names is there, with the heading", () => {
  const links = [...page.matchAll(/\]\(([^)#]+)(?:#([^)]+))?\)/g)];
  assert.ok(links.length >= 6);
  for (const [, path, heading] of links) {
    const file = join(docs, path);
    assert.ok(existsSync(file), `there is no ${path}`);
    if (heading === undefined) continue;
    const headings = [...readFileSync(file, "utf8").matchAll(/^#+ (.*)$/gm)].map(([, words]) =>
      words
        .toLowerCase()
        .replace(/[^\w -]/g, "")
        .replaceAll(" ", "-"),
    );
    assert.ok(headings.includes(heading), `${path} has no heading ${heading}`);
  }
});
text.run();
