/** The program of docs/own-method.md runs and prints what the page says; the files that it names are there. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { onDevices } from "./devices.ts";
import { printed } from "./programs.ts";

const page = readFileSync(join(import.meta.dirname, "../docs/own-method.md"), "utf8");
const [program, output] = [...page.matchAll(/```(?:ts|text)\n([\s\S]*?)```/g)].map(
  ([, code]) => code,
);

const test = await onDevices("own-method.md");
test("the program prints what the page says", async (_, device) => {
  assert.is(await printed(program, device), output);
});
test.run();

const text = suite("own-method.md");
text("files that the page names are there, and every method is in its list", () => {
  const files = [...page.matchAll(/`((?:promptgen|tools)\/[\w./-]+)`/g)].map(([, path]) => path);
  assert.ok(files.length >= 5);
  for (const path of files.filter((name) => name !== "promptgen/methods/label.ts")) {
    assert.ok(existsSync(join(import.meta.dirname, "..", path)), `there is no ${path}`);
  }
});
text.run();
