import { readFileSync } from "node:fs";
import * as assert from "uvu/assert";
import { readCheckpoint } from "../../models/formats/checkpoint.ts";
import { maskedLM } from "../../models/registry.ts";
import { createTokenizer } from "../../models/tokenizer/tokenizer.ts";
import type { Fact, Relation } from "../../promptgen/facts/facts.ts";
import { keyOf } from "../../promptgen/facts/splits.ts";
import { Reader } from "../../promptgen/reader.ts";
import { namedAway } from "../../promptgen/uhn.ts";
import { onDevices } from "../devices.ts";

type Row = readonly [relation: string, subject: string, object: string];
type Golden = {
  readonly words: readonly string[];
  readonly facts: readonly Row[];
  readonly named: readonly Row[];
};
const GOLDEN = new URL("../golden/", import.meta.url);
const golden: Golden = JSON.parse(readFileSync(new URL("uhn.json", GOLDEN), "utf8"));

const each = await onDevices("unhelpful names");

const tokenizer = createTokenizer({ "vocab.txt": `${golden.words.join("\n")}\n` });
const lm = maskedLM(await readCheckpoint(new URL("models/bert", GOLDEN).pathname));
const keys = (rows: readonly Row[]): string[] =>
  rows.map(([relation, subject, object]) => keyOf({ relation, subject, object }));

const relation = (id: string, test: Fact[]): Relation => {
  return { id, label: id, type: "N-1", template: "[X] [Y]", train: test, dev: test, test };
};
const benchmark = (relations: readonly Relation[]) => ({
  reader: new Reader(lm, tokenizer),
  tokenizer,
  encode: (text: string) => tokenizer.encode(text),
  relations,
});

each("the facts that transformers' BERT names for a word of the subject alone", async (device) => {
  const relations = [...Map.groupBy(golden.facts, ([id]) => id)].map(([id, rows]) =>
    relation(
      id,
      rows.map(([, subject, object]) => ({ subject, object })),
    ),
  );
  const found = await namedAway(device, benchmark(relations));
  assert.equal([...(found ?? [])].sort(), keys(golden.named).sort());
  assert.not(golden.named.some(([id]) => id === "P36"));
});

each("a word that is too long is not asked about, the others of the name are", async (device) => {
  const [id, subject, object] = golden.named[0];
  const long = `${"Namea".repeat(9)}${".".repeat(60)}`;
  const facts = [
    { subject: `${long} ${subject}`, object },
    { subject: long, object },
    { subject, object: "of several pieces" },
  ];
  const found = await namedAway(device, benchmark([relation(id, facts)]));
  assert.equal([...(found ?? [])], keys([[id, `${long} ${subject}`, object]]));
});

each("other relations are asked nothing, and a signal ends it", async (device) => {
  const facts = golden.facts.map(([, subject, object]) => ({ subject, object }));
  assert.is((await namedAway(device, benchmark([relation("P36", facts)])))?.size, 0);
  const stopped = { signal: AbortSignal.abort() };
  assert.is(await namedAway(device, benchmark([relation("P19", facts)]), stopped), undefined);
});

each.run();
