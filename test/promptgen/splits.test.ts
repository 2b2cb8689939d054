import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Fact, Relation } from "../../promptgen/facts/facts.ts";
import {
  inSubject,
  keyOf,
  loadUnstated,
  overlapping,
  testSplits,
} from "../../promptgen/facts/splits.ts";

const test = suite("splits");

/** "subject > object" entries. */
const facts = (...entries: string[]): Fact[] =>
  entries.map((entry) => {
    const [subject, object] = entry.split(" > ");
    return { subject, object };
  });

const relation = (id: string, train: Fact[], dev: Fact[], own: Fact[]): Relation => {
  return { id, label: id, type: "N-1", template: "[X] [Y]", train, dev, test: own };
};

const RELATIONS = [
  relation(
    "P1",
    facts("Louvre > Paris", "Forum > Rome"),
    facts("Prado > Madrid"),
    facts(
      "Louvre > Paris",
      "Prado > Madrid",
      "Louvre > Rome",
      "PARIS Metro > Paris",
      "Comparison > Paris",
      "Ritz > Oslo",
    ),
  ),
  relation("P2", facts("Ritz > Oslo"), facts("a > b"), facts("Louvre > Paris", "Ritz > Oslo")),
];
const all = RELATIONS.flatMap(({ id, test: own }) =>
  own.map((fact) => ({ relation: id, ...fact })),
);
const of = (name: string, named?: ReadonlySet<string>): string[] => {
  const split = testSplits(RELATIONS, named).find((one) => one.name === name);
  if (split === undefined) throw new Error(`there is no ${name}`);
  return all
    .filter((fact) => split.has(fact))
    .map((f) => `${f.relation} ${f.subject} > ${f.object}`);
};

test("an object in the subject's name, in any case and within a word", () => {
  assert.equal(of("not in name"), [
    "P1 Louvre > Paris",
    "P1 Prado > Madrid",
    "P1 Louvre > Rome",
    "P1 Ritz > Oslo",
    "P2 Louvre > Paris",
    "P2 Ritz > Oslo",
  ]);
  assert.ok(inSubject({ subject: "comparisons", object: "Paris" }));
  assert.not(inSubject({ subject: "Pari", object: "Paris" }));
});

test("UHN takes the facts out that a reader names too, and is not there where it was not asked", () => {
  const named = new Set([keyOf({ relation: "P1", subject: "Louvre", object: "Paris" })]);
  const without = of("not in name").filter((one) => one !== "P1 Louvre > Paris");
  assert.equal(of("UHN", named), without);
  assert.throws(() => of("UHN"), /there is no UHN/);
});

test("stated and unstated are what the facts' folder tells, and no parts where it does not", async () => {
  const folder = mkdtempSync(join(tmpdir(), "promptgen-"));
  try {
    assert.is(await loadUnstated(folder), undefined);
    assert.throws(() => of("stated"), /there is no stated/);
    const rows = [
      { relation: "P1", subject: "Louvre", object: "Paris" },
      { relation: "P2", subject: "Ritz", object: "Oslo" },
    ];
    writeFileSync(
      join(folder, "unstated.jsonl"),
      rows.map((row) => JSON.stringify(row)).join("\n"),
    );
    const unstated = await loadUnstated(folder);
    const within = (name: string) =>
      testSplits(RELATIONS, undefined, unstated).find((one) => one.name === name);
    const list = (name: string) => all.filter((fact) => within(name)?.has(fact));
    assert.equal(list("unstated"), [all[0], all[7]]);
    assert.equal(
      list("stated"),
      all.filter((_, i) => i !== 0 && i !== 7),
    );
    writeFileSync(join(folder, "unstated.jsonl"), '{"relation": "P1", "subject": "Louvre"}');
    const said = await loadUnstated(folder).catch((error: Error) => error.message);
    assert.match(String(said), /unstated\.jsonl:1 has no text in "object"/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("pairs of train and of dev that stand in test are found within their relation", () => {
  const found = overlapping(RELATIONS).map((f) => `${f.relation} ${f.subject} > ${f.object}`);
  assert.equal(found, ["P1 Louvre > Paris", "P1 Prado > Madrid", "P2 Ritz > Oslo"]);
  assert.equal(
    of("no overlap"),
    all
      .map((f) => `${f.relation} ${f.subject} > ${f.object}`)
      .filter((one) => !found.includes(one)),
  );
  const [split] = testSplits(RELATIONS).filter(({ name }) => name === "no overlap");
  assert.match(split.what, / 3 \(P1: Louvre > Paris, P1: Prado > Madrid, P2: Ritz > Oslo\)$/);
});

test("seen are objects of the relation's own training facts, unseen the others", () => {
  const seen = [
    "P1 Louvre > Paris",
    "P1 Louvre > Rome",
    "P1 PARIS Metro > Paris",
    "P1 Comparison > Paris",
    "P2 Ritz > Oslo",
  ];
  assert.equal(of("seen"), seen);
  assert.equal(of("unseen"), ["P1 Prado > Madrid", "P1 Ritz > Oslo", "P2 Louvre > Paris"]);
});

test("a key is that of one fact", () => {
  const keys = [
    { relation: "P1", subject: "a", object: "b" },
    { relation: "P1", subject: "a b", object: "" },
    { relation: "P1", subject: 'a","b', object: "" },
    { relation: "P", subject: "1a", object: "b" },
  ].map(keyOf);
  assert.is(new Set(keys).size, keys.length);
});

test.run();
