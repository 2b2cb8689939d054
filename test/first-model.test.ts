/** The programs of docs/first-model.md and docs/profiling.md print what the pages say; what docs/troubleshooting.md quotes is said by the source. */
import { mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { onDevices } from "./devices.ts";
import { printed } from "./programs.ts";

const root = join(import.meta.dirname, "..");
const page = (name: string): string => readFileSync(join(root, "docs", name), "utf8");
const blocksOf = (text: string, language: string): string[] =>
  [...text.matchAll(/```(\w+)\n([\s\S]*?)```/g)]
    .filter(([, own]) => own === language)
    .map(([, , code]) => code);

const test = await onDevices("first-model.md");
for (const [name, count] of [
  ["first-model.md", 4],
  ["profiling.md", 2],
] as const) {
  test(`${name}: each program prints what the page says`, async (_, device) => {
    process.chdir(mkdtempSync(join(tmpdir(), "first-model-"))); // where the programs write
    const [programs, outputs] = ["ts", "text"].map((language) => blocksOf(page(name), language));
    assert.equal([programs.length, outputs.length], [count, count]);
    for (const [i, program] of programs.entries()) {
      assert.is(await printed(program, device), outputs[i]);
    }
  });
}
test.run();

const text = suite("troubleshooting.md");
text("each sentence that it quotes stands in the source", () => {
  const sources = ["engine", "models", "promptgen"].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ts"))
      .map((name) => readFileSync(join(root, folder, name), "utf8").replace(/[`"] \+\s*[`"]/g, "")),
  );
  const [said] = page("troubleshooting.md").split("## Set-up"); // those are others' sentences
  const quoted = [...said.matchAll(/^\| `(.+?)` \|/gm)].map(([, sentence]) => sentence);
  assert.ok(quoted.length >= 20);
  for (const sentence of quoted) {
    // what stands between the names and numbers, all of it in one file and in this order
    const parts = sentence.split("...").map((part) => part.replace(/[()]+$|^[()]+/g, ""));
    const found = sources.some((source) => {
      let at = 0;
      return parts.every((part) => {
        const next = source.indexOf(part, at);
        at = next + part.length;
        return next >= 0;
      });
    });
    assert.ok(found, `no source says: ${sentence}`);
  }
});
text.run();
