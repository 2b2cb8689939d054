/** The programs of docs/own-model.md run and print what the page says; its excerpts stand in the model's file. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { onDevices } from "./devices.ts";
import { printed } from "./programs.ts";

const root = join(import.meta.dirname, "..");
process.chdir(root); // what the programs name is named from there
const page = readFileSync("docs/own-model.md", "utf8");
const blocks = [...page.matchAll(/```(\w+)\n([\s\S]*?)```/g)].map(([, language, code]) => ({
  language,
  code,
}));
const isProgram = (code: string) => /^import .* from "promptgen\//m.test(code);
/** Programs, each with the block of output behind it. */
const programs = blocks.flatMap(({ language, code }, i) => {
  if (language !== "ts" || !isProgram(code)) return [];
  const output = blocks[i + 1]?.language === "text" ? blocks[i + 1].code : undefined;
  return [{ code, output }];
});

const test = await onDevices("own-model.md");
test("the programs print what the page says", async (_, device) => {
  assert.is(programs.length, 4);
  for (const { code, output } of programs) assert.is(await printed(code, device), output);
});
test.run();

const text = suite("own-model.md");

text("excerpts stand in models/gpt2.ts, which has as many lines as the page says", () => {
  const source = readFileSync("models/gpt2.ts", "utf8");
  const excerpts = blocks.filter(({ language, code }) => language === "ts" && !isProgram(code));
  assert.ok(excerpts.length >= 5);
  for (const { code } of excerpts)
    assert.ok(source.includes(code), `not in models/gpt2.ts:\n${code}`);
  const lines = source.trimEnd().split("\n").length;
  assert.ok(page.includes(`has ${lines} lines`), `models/gpt2.ts has ${lines} lines`);
  assert.ok(lines <= 300);
});

text("files and commands that the page names are there", () => {
  const links = [...page.matchAll(/\]\(\.\.\/([^)]+)\)/g)].map(([, path]) => path);
  const commands = [...page.matchAll(/npx promptgen ([\w-]+)/g)].map(
    ([, name]) => `tools/${name}.ts`,
  );
  const sources = [...page.matchAll(/`((?:models|tools|test)\/[\w./-]+)`/g)].map(
    ([, path]) => path,
  );
  assert.ok(links.length > 0 && commands.length > 0 && sources.length > 0);
  for (const path of [...links, ...commands, ...sources]) {
    assert.ok(existsSync(path), `there is no ${path}`);
  }
});

text.run();
