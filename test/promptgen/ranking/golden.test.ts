import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Device } from "../../../engine/device.ts";
import { readCheckpoint } from "../../../models/formats/checkpoint.ts";
import { languageModel } from "../../../models/registry.ts";
import { loadTokenizer } from "../../../models/tokenizer/tokenizer.ts";
import { loadBear } from "../../../promptgen/ranking/bear.ts";
import {
  type RankRow,
  REDUCTIONS,
  rankRelation,
  rankScores,
} from "../../../promptgen/ranking/rank.ts";
import { type PllMetric, scorerOf } from "../../../promptgen/ranking/scorer.ts";
import { statement } from "../../../promptgen/ranking/statements.ts";
import { onDevices } from "../../devices.ts";

const test = await onDevices("rankings of lm-pub-quiz");

const folder = (name: string) =>
  fileURLToPath(new URL(`../../golden/ranking/${name}`, import.meta.url));

type GoldenRow = {
  readonly template: number;
  readonly instance: number;
  readonly scores: Readonly<Record<"sum" | "mean", readonly number[]>>;
  readonly tokens: readonly (readonly [token: string, score: number])[];
};
type Golden = {
  readonly relations: Readonly<Record<string, readonly GoldenRow[]>>;
  readonly accuracy: Readonly<Record<string, Readonly<Record<"sum" | "mean", readonly number[]>>>>;
};
const golden: Readonly<Record<string, Readonly<Record<string, Golden>>>> = JSON.parse(
  readFileSync(folder("golden.json"), "utf8"),
);
const { relations, remarks } = await loadBear(folder("data"));
const byId = new Map(relations.map((relation) => [relation.id, relation]));

async function scorer(device: Device, name: string, pll?: PllMetric, batchTokens?: number) {
  const directory = folder(name);
  const model = languageModel(await readCheckpoint(directory));
  const scored = { model, tokenizer: await loadTokenizer(directory), directory };
  return scorerOf(device, scored, { pll, batchTokens });
}

/** The largest distance of two lists of one length. */
function distance(got: readonly number[], want: readonly number[]): number {
  assert.equal(got.length, want.length);
  return got.reduce((most, value, i) => Math.max(most, Math.abs(value - want[i])), 0);
}
const best = (scores: readonly number[]) => scores.indexOf(Math.max(...scores));

async function ranked(...[device, name, pll]: Parameters<typeof scorer>) {
  const own = await scorer(device, name, pll);
  const found = new Map<string, RankRow[]>();
  for (const relation of relations) {
    found.set(relation.id, await rankRelation(own, relation));
  }
  return { kind: own.kind, found };
}

const KINDS = Object.entries(golden).flatMap(([name, kinds]) =>
  Object.keys(kinds).map((kind) => [name, kind] as const),
);

for (const [name, kind] of KINDS) {
  test(`${name}, ${kind}: every answer's score, sum and mean, picks, accuracies`, async (device) => {
    const pll = kind === "causal" ? undefined : (kind as PllMetric);
    const { kind: own, found } = await ranked(device, name, pll);
    assert.equal(own, kind);
    const want = golden[name][kind];
    assert.deepEqual([...found.keys()].sort(), Object.keys(want.relations).sort());
    for (const [id, rows] of found) {
      const wanted = want.relations[id];
      assert.equal(rows.length, wanted.length);
      rows.forEach(({ template, subject, scores, tokens, sum, mean }, i) => {
        const { instance, ...one } = wanted[i];
        const relation = byId.get(id);
        assert.ok(relation);
        assert.deepEqual([template, subject], [one.template, relation.facts[instance].subject]);
        const means = scores.map((score, j) => score / tokens[j]);
        assert.ok(distance(scores, one.scores.sum) < 1e-4, `${scores} and ${one.scores.sum}`);
        assert.ok(distance(means, one.scores.mean) < 1e-4, `${means} and ${one.scores.mean}`);
        assert.equal(tokens[0], one.tokens.length);
        assert.equal(sum.answer, relation.answers[best(one.scores.sum)]);
        assert.equal(mean.answer, relation.answers[best(one.scores.mean)]);
      });
      for (const reduction of REDUCTIONS) {
        const shares = [...rankScores(rows, reduction).values()].map((s) => s.correct / s.total);
        assert.deepEqual(shares, want.accuracy[id][reduction]);
      }
    }
  });

  test(`${name}, ${kind}: every token's score, in batches of any size`, async (device) => {
    const pll = kind === "causal" ? undefined : (kind as PllMetric);
    const [relation] = relations;
    const rows = golden[name][kind].relations[relation.id];
    const sentences = rows.map(({ template, instance }) =>
      statement(
        relation,
        relation.templates[template],
        relation.facts[instance].subject,
        relation.answers[0],
      ),
    );
    for (const [batchTokens, count] of [
      [1, 1],
      [300, sentences.length],
    ]) {
      const own = await scorer(device, name, pll, batchTokens);
      const got = await own.tokenScores(sentences.slice(0, count));
      got.forEach((scores, i) => {
        const want = rows[i].tokens.map(([, score]) => score);
        assert.ok(distance(scores, want) < 1e-4, `${sentences[i]}: ${scores} and ${want}`);
      });
    }
  });
}

test("what the golden is of: several pieces, either order, other picks by mean, an answer space of the file", () => {
  assert.deepEqual(remarks, []);
  assert.deepEqual(
    relations.map(({ id }) => id),
    ["R1", "R2", "R10"],
  );
  assert.deepEqual(byId.get("R2")?.answers, ["Ilse Vandermolen", "Osk", "O'Dowd and Sons (1887)"]);
  assert.deepEqual(
    byId.get("R2")?.facts.map(({ answer }) => answer),
    [0, 1, 0, 2],
  );
  const differ = KINDS.filter(([name, kind]) =>
    Object.values(golden[name][kind].relations)
      .flat()
      .some(({ scores }) => best(scores.sum) !== best(scores.mean)),
  );
  assert.equal(differ.length, KINDS.length);
});

test.run();
