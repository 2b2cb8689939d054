/** The JSON Schema of studies is what the options say, and the studies that come with the project are studies. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import { parseStudyFile } from "../../promptgen/study-parts.ts";
import { studySchema } from "../../promptgen/study-schema.ts";

const test = suite("study schema");

const STUDIES = fileURLToPath(new URL("../../tools/studies", import.meta.url));
const SCHEMA = "schema.json";

test("tools/studies/schema.json is made from the options as they are", () => {
  const saved = JSON.parse(readFileSync(resolve(STUDIES, SCHEMA), "utf8"));
  assert.deepEqual(saved, studySchema(), "type npm run schema");
});

test("each study in tools/studies is one, and names the schema", () => {
  const names = readdirSync(STUDIES).filter((name) => name !== SCHEMA);
  assert.ok(names.includes("world.json"));
  for (const name of names) {
    const path = resolve(STUDIES, name);
    const text = readFileSync(path, "utf8");
    const { parts } = parseStudyFile(text, path, {}, () => "/study");
    assert.ok(
      parts.every(({ study }) => study.rows.length > 0),
      name,
    );
    const named = /\$schema"?\s*[:=]\s*"?([^\s"]+)/.exec(text)?.[1];
    assert.ok(named && existsSync(resolve(STUDIES, named)), `${name} names ${named}`);
  }
});

test.run();
