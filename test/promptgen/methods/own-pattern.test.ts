/** The ceiling of a made world: each fact is asked as its subject's kind is, and what is missing is said. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { itemsOf, loadBenchmark, SPLITS } from "../../../promptgen/benchmark.ts";
import { bucketsFor, Examiner } from "../../../promptgen/measure.ts";
import { ownPatterns } from "../../../promptgen/methods/own-pattern.ts";
import { TemplatePrompter } from "../../../promptgen/methods/shared/templates.ts";
import { embeddedWorld } from "../../../promptgen/world/world.ts";
import { onDevices } from "../../devices.ts";
import { folder } from "../fixture.ts";

const test = suite("own pattern");
const each = await onDevices("own pattern");

const world = embeddedWorld();
const loaded = await loadBenchmark({
  data: world.data,
  reader: world.bert,
  relations: ["P17", "P36"],
});
const { relations } = loaded;
const lines = (rows: readonly object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join("");
const subjects = [
  ...new Set(SPLITS.flatMap((split) => itemsOf(relations, split)).map(({ fact }) => fact.subject)),
];
const kindOf = (subject: string) => (subject.length % 2 === 0 ? "even" : "odd");
const kinds = subjects.map((subject) => ({ subject, kind: kindOf(subject) }));
// two of each that the reader was pre-trained on, for subjects of either kind; the first counts
const known = readFileSync(join(world.data, "patterns.jsonl"), "utf8")
  .trim()
  .split("\n")
  .map((line): Record<string, string> => JSON.parse(line))
  .filter(({ pattern }) => pattern.split("[Y]").length === 2 && pattern.split("[X]").length === 2);
const patterns = relations.flatMap(({ id }) =>
  known
    .filter(({ relation }) => relation === id)
    .slice(0, 4)
    .map(({ pattern }, i) => ({ relation: id, pattern, kind: i % 2 === 0 ? "even" : "odd" })),
);
const files = { "kinds.jsonl": lines(kinds), "patterns.jsonl": lines(patterns) };
const open = (more: Readonly<Record<string, string>>, saved?: string) =>
  ownPatterns.open({ ...loaded, data: folder({ ...files, ...more }) }, {}, saved);
const said = (work: Promise<unknown>) => work.then(String, (error: Error) => error.message);

each(
  "each fact has the answers of its kind's first pattern, and what is saved asks the same",
  async (device) => {
    const prompter = await open({});
    const items = itemsOf(relations, "test");
    const asked = (own: typeof prompter) =>
      new Examiner(device, loaded, own, { buckets: bucketsFor(own, relations) }).ask(items);
    const found = await asked(prompter);
    for (const kind of ["even", "odd"]) {
      const first = new Map(
        relations.map(({ id }) => {
          const own = patterns.find((one) => one.relation === id && one.kind === kind);
          return [id, own?.pattern ?? ""];
        }),
      );
      const alone = await asked(new TemplatePrompter(loaded, first));
      items.forEach(({ fact, relation }, i) => {
        if (kindOf(fact.subject) !== kind) return;
        assert.is(found?.[i].prompt, first.get(relation.id));
        const ids = (one: typeof found) => one?.[i].answers.map(({ id, rank }) => [id, rank]);
        assert.equal(ids(found), ids(alone), fact.subject);
      });
    }
    const saved = folder({});
    await prompter.save(device, saved);
    const other = await open({ "patterns.jsonl": lines(patterns.toReversed()) });
    assert.not.equal(other.contents, prompter.contents);
    assert.not.equal((await asked(other))?.[0].prompt, found?.[0].prompt);
    await other.restore(device, saved);
    assert.equal(
      (await asked(other))?.map(({ prompt }) => prompt),
      found?.map((one) => one.prompt),
    );
    const anew = await open({ "kinds.jsonl": "", "patterns.jsonl": "" }, saved);
    assert.equal(
      (await asked(anew))?.map(({ prompt }) => prompt),
      found?.map((one) => one.prompt),
    );
  },
);

test("what is missing is said with its file, and what to do", async () => {
  assert.is(ownPatterns.row({}), "Own pattern");
  const none = ownPatterns.open({ ...loaded, data: folder({}) }, {});
  assert.match(
    await said(none),
    /kinds\.jsonl .* only what was made here tells the kinds of its subjects; make it with make-world or make-lama/,
  );
  const [first, ...others] = kinds;
  const lacking = await said(open({ "kinds.jsonl": lines(others) }));
  assert.match(
    lacking,
    new RegExp(`^\\[own-pattern\\] the kind of "${first.subject}" is not known`),
  );
  const twice = [...kinds, { subject: first.subject, kind: "third" }];
  assert.match(
    await said(open({ "kinds.jsonl": lines(twice) })),
    new RegExp(`kinds\\.jsonl:${twice.length} gives "${first.subject}" a second kind; keep one`),
  );
  const odd = patterns.filter(({ kind }) => kind === "odd");
  assert.match(
    await said(open({ "patterns.jsonl": lines(odd) })),
    /patterns\.jsonl has no pattern of P\d+ for the kind "even"; add one/,
  );
  const bare = [{ relation: "P36", pattern: "[X] is large", kind: "even" }];
  assert.match(
    await said(open({ "patterns.jsonl": lines(bare) })),
    /patterns\.jsonl:1.*holds \[Y\] nowhere/,
  );
  const broken = folder({ "own-patterns.json": "{" });
  assert.match(
    await said(open({}, broken)),
    /own-patterns\.json is not JSON; save the prompter again/,
  );
  const empty = folder({ "own-patterns.json": "[]" });
  assert.match(await said(open({}, empty)), /own-patterns\.json has no patterns and kinds/);
});

test.run();
each.run();
