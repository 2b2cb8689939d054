/** What a model knows by ranking, BEAR's way, masked and causal models alike: `node tools/rank.ts --help`. */
import { existsSync, statSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { printable } from "../../models/errors.ts";
import { readCheckpoint } from "../../models/formats/checkpoint.ts";
import { languageModel } from "../../models/registry.ts";
import { rowsRemark } from "../../models/rows.ts";
import { loadTokenizer } from "../../models/tokenizer/tokenizer.ts";
import { takeFolder } from "../../models/training/lock.ts";
import { loadFacts } from "../../promptgen/facts/facts.ts";
import { listed } from "../../promptgen/facts/left-out.ts";
import { readRows } from "../../promptgen/facts/rows.ts";
import { readPrompts } from "../../promptgen/methods/shared/templates.ts";
import { loadBear, METADATA } from "../../promptgen/ranking/bear.ts";
import { type AskedOf, RankFolder } from "../../promptgen/ranking/folder.ts";
import {
  type RankRow,
  REDUCTIONS,
  type Reduction,
  rankRelation,
  rankScores,
  sentencesOf,
} from "../../promptgen/ranking/rank.ts";
import { PLL_METRICS, type PllMetric, scorerOf } from "../../promptgen/ranking/scorer.ts";
import { type RankedRelation, rankedRelations } from "../../promptgen/ranking/statements.ts";
import { percent, spread } from "../../promptgen/report/figures.ts";
import {
  type Cell,
  type Column,
  FORMATS,
  type Format,
  printTable,
  tableData,
} from "../../promptgen/report/table.ts";
import { meanAndDeviation, means, type Score } from "../../promptgen/scores.ts";
import { modelFingerprint } from "../../promptgen/training/fingerprint.ts";
import { embeddedWorld } from "../../promptgen/world/world.ts";
import {
  checkDevice,
  choiceOf,
  complain,
  DEVICE_OPTIONS,
  deviceOf,
  exitCodeOf,
  modelDirectory,
  numberOf,
  type OptionSpec,
  onSignals,
  Progress,
  printResult,
  Rate,
  REVISION_OPTION,
  say,
  sayRemarks,
  UsageError,
} from "../lib/cli.ts";
import { commandOf, type Line } from "../lib/command.ts";
import { checkedRelations } from "../lib/run-options.ts";

const TOOL = "rank";
const ALL = "all";

const OPTIONS = {
  model: {
    value: "DIR or NAME",
    help: "a masked LM (BERT, RoBERTa, ...) or a GPT-2 with its head: a directory, or a name on the Hugging Face Hub, which is downloaded once",
    initial: "the embedded tiny BERT",
  },
  ...REVISION_OPTION,
  data: {
    value: "DIR",
    help: `facts in BEAR's layout (${METADATA} and P36.jsonl, ...), each relation with its answer space; or in that of LAMA, where the answers are the relation's objects, of any number of pieces`,
    initial: "the embedded facts",
  },
  relations: { value: "IDS", help: "some of them, as in P36,P17", initial: "all" },
  template: {
    value: "N",
    help: "which of each relation's templates, the first being 0, or all",
    initial: ALL,
  },
  prompts: {
    value: "PATH",
    help: "templates of your own in place of those of the data: the folder of a run whose method has one a relation (prompts.json or facts.jsonl), or a prompts.json; relations without one are left out",
  },
  pll: {
    value: "NAME",
    help: `what a masked LM does not see while it scores a token: ${PLL_METRICS[0]}, what follows in the same word as well (Kauf & Ivanova 2023), or ${PLL_METRICS[1]}, the token alone (Salazar et al. 2020)`,
    initial: PLL_METRICS[0],
    choices: PLL_METRICS,
  },
  reduction: {
    value: "NAME",
    help: "what of a sentence's tokens is compared: their sum, or mean. Both are always in the files, so that nothing is asked again for the other",
    initial: REDUCTIONS[0],
    choices: REDUCTIONS,
  },
  limit: { value: "N", help: "only the first N facts of each relation", initial: "all" },
  out: {
    value: "DIR",
    help: "where results go; what is there is not done again",
    initial: "runs/rank-MODEL-DATA",
  },
  format: {
    value: "NAME",
    help: `of the table: ${FORMATS.join(", ")}`,
    initial: FORMATS[0],
    choices: FORMATS,
  },
  "batch-tokens": {
    value: "N",
    help: "most tokens of a batch, with padding; a GPU takes more at a time",
    initial: "2048",
  },
  ...DEVICE_OPTIONS,
} satisfies Record<string, OptionSpec>;

type Given = Line<keyof typeof OPTIONS>["values"];

const countOf = (name: "limit" | "batch-tokens", text: string | undefined): number | undefined =>
  text === undefined
    ? undefined
    : numberOf(TOOL, name, text, { least: 1, ceiling: 2 ** 31, whole: true });

/** What was asked for, checked before anything is loaded. */
function asked(given: Given) {
  const template = given.template ?? ALL;
  checkDevice(TOOL, given);
  const { relations } = checkedRelations(TOOL, given.relations);
  return {
    template:
      template === ALL
        ? undefined
        : numberOf(TOOL, "template", template, { least: 0, ceiling: 10_000, whole: true }),
    reduction: choiceOf<Reduction>(TOOL, "reduction", given.reduction ?? REDUCTIONS[0], REDUCTIONS),
    pll:
      given.pll === undefined
        ? undefined
        : choiceOf<PllMetric>(TOOL, "pll", given.pll, PLL_METRICS),
    format: choiceOf<Format>(TOOL, "format", given.format ?? FORMATS[0], FORMATS),
    limit: countOf("limit", given.limit),
    batchTokens: countOf("batch-tokens", given["batch-tokens"]),
    relations: relations === undefined ? undefined : String(relations).split(","),
  };
}

/** Relations of either layout. */
async function relationsOf(data: string, only: readonly string[] | undefined) {
  if (existsSync(join(data, METADATA))) return loadBear(data, only);
  if (!existsSync(join(data, "relation_metainfo"))) {
    const what = existsSync(data)
      ? `has neither ${METADATA} nor relation_metainfo/`
      : "does not exist";
    throw new UsageError(
      `[${TOOL}] ${data} ${what}; name a folder in the layout of BEAR or of LAMA`,
    );
  }
  const { relations, remarks } = await loadFacts(data, { relations: only, keep: () => true });
  return { relations: rankedRelations(relations), remarks };
}

/** The templates of a run or of a prompts.json, by relation. */
async function promptsOf(path: string): Promise<Map<string, string>> {
  if (!existsSync(path)) {
    throw new UsageError(
      `[${TOOL}] --prompts is ${path}, which does not exist; name a run's folder`,
    );
  }
  if (!statSync(path).isDirectory()) return readPrompts(resolve(path, ".."), basename(path));
  const inside = await readdir(path, { withFileTypes: true });
  const own = inside.filter((one) => one.isDirectory()).map(({ name }) => join(path, name));
  // a method with a prompt for each relation has a folder for each
  const places = [path, join(path, "best"), ...own.map((folder) => join(folder, "best"))];
  const saved = places.filter((folder) => existsSync(join(folder, "prompts.json")));
  const found = new Map<string, string>();
  for (const folder of saved) {
    const prompts = await readPrompts(folder);
    // such a folder may hold others too, as they were before they were trained
    const relation =
      folder === join(path, "best") || folder === path
        ? undefined
        : basename(resolve(folder, ".."));
    for (const [id, template] of prompts) {
      if (relation === undefined || relation === id) found.set(id, template);
    }
  }
  if (found.size > 0) return found;
  const file = join(path, "facts.jsonl");
  if (!existsSync(file)) {
    throw new UsageError(
      `[${TOOL}] ${path} has neither prompts.json nor facts.jsonl; name a run whose method writes templates`,
    );
  }
  for (const { row, line } of await readRows(file, ["relation", "prompt"])) {
    const before = found.get(row.relation) ?? row.prompt;
    if (before !== row.prompt) {
      throw new UsageError(
        `[${TOOL}] ${file}:${line} has another prompt for ${row.relation} than a line before it; use a run with one prompt a relation`,
      );
    }
    if (!row.prompt.includes("[X]") || !row.prompt.includes("[Y]")) {
      throw new UsageError(
        `[${TOOL}] ${file}:${line} has a prompt without [X] or [Y]: ${printable(row.prompt)}; use a run whose prompts are words`,
      );
    }
    found.set(row.relation, row.prompt);
  }
  return found;
}

/** The relations with templates of one's own, one each. */
async function withPrompts(path: string, relations: readonly RankedRelation[]) {
  const prompts = await promptsOf(path);
  const own = relations.flatMap((relation) => {
    const template = prompts.get(relation.id);
    return template === undefined ? [] : [{ ...relation, templates: [template] }];
  });
  const lacking = relations.filter(({ id }) => !prompts.has(id)).map(({ id }) => id);
  if (own.length === 0) {
    throw new UsageError(
      `[${TOOL}] ${path} has prompts for ${listed([...prompts.keys()], 8)}, and the facts are of ${listed(lacking, 8)}; use prompts of the same relations`,
    );
  }
  const remarks =
    lacking.length === 0
      ? []
      : [`[${TOOL}] ${path} has no prompt for ${listed(lacking, 12)}, left out`];
  return { relations: own, remarks };
}

/** Which templates of a relation are asked. */
function templatesOf({ id, templates }: RankedRelation, chosen: number | undefined): number[] {
  if (chosen === undefined) return [...templates.keys()];
  if (chosen < templates.length) return [chosen];
  throw new UsageError(
    `[${TOOL}] --template is ${chosen}, but ${id} has ${templates.length}, the first being 0; choose a smaller one`,
  );
}

type Done = { readonly asked: AskedOf; readonly rows: readonly RankRow[] };

/** One line a relation, then the means. */
function table(done: readonly Done[], reduction: Reduction, notes: readonly string[]) {
  const relations = done.map(({ asked: { relation } }) => ({ id: relation.id, type: "" }));
  const byRelation = done.map(({ rows }) => rankScores(rows, reduction));
  const templates = [...new Set(byRelation.flatMap((own) => [...own.keys()]))].sort(
    (a, b) => a - b,
  );
  const share = ({ correct, total }: Score) => (100 * correct) / total;
  const cells = (values: readonly (number | undefined)[]): Cell[] => {
    const there = values.filter((value) => value !== undefined);
    const all = there.length === 0 ? null : spread(meanAndDeviation(there));
    return templates.length === 1 ? [all] : [...values.map(percent), all];
  };
  const chances = done.map(({ asked: { relation } }) => 100 / relation.answers.length);
  const facts = byRelation.map((own) => [...own.values()][0].total);
  const rows = done.map(({ asked: { relation } }, i) => [
    relation.id,
    String(facts[i]),
    String(relation.answers.length),
    percent(chances[i]),
    ...cells(
      templates.map((t) => {
        const score = byRelation[i].get(t);
        return score === undefined ? undefined : share(score);
      }),
    ),
  ]);
  // a template that some relations lack has no mean over all of them
  const over = templates.map((t) => {
    const scores = byRelation.map((own) => own.get(t));
    const ids = relations.flatMap(({ id }, i) => {
      const score = scores[i];
      return score === undefined ? [] : [[id, score] as const];
    });
    return ids.length < relations.length ? undefined : means(relations, new Map(ids));
  });
  const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
  const total = sum(facts);
  const chance = sum(chances.map((value, i) => value * facts[i])) / total;
  rows.push(
    [
      "mean of relations",
      "",
      "",
      percent(sum(chances) / chances.length),
      ...cells(over.map((m) => m?.all)),
    ],
    ["all facts", String(total), "", percent(chance), ...cells(over.map((m) => m?.pooled))],
  );
  const right = (head: string): Column => ({ head, align: "right" });
  const columns: Column[] = [
    { head: "relation", align: "left" },
    ...["facts", "answers", "chance"].map(right),
    ...(templates.length === 1
      ? [right("accuracy")]
      : [...templates.map((t) => right(`template ${t}`)), right("mean")]),
  ];
  return { groups: [{ columns }], rows, rules: [done.length], notes };
}

/** A name that a folder may have. */
const named = (path: string): string => basename(path).replace(/[^\w.-]/g, "-");

async function main({ values }: Line<keyof typeof OPTIONS>): Promise<number> {
  const wanted = asked(values);
  const { limit, reduction, batchTokens, pll } = wanted;
  const world = embeddedWorld();
  const { model: name = world.bert, data = world.data, prompts, revision } = values;
  const read = await relationsOf(data, wanted.relations);
  const chosen =
    prompts === undefined ? { ...read, remarks: [] } : await withPrompts(prompts, read.relations);
  const questions: AskedOf[] = chosen.relations.map((relation) => ({
    relation,
    templates: templatesOf(relation, wanted.template),
    limit,
  }));
  const directory = await modelDirectory(name, { revision });
  const checkpoint = await readCheckpoint(directory);
  const model = languageModel(checkpoint);
  const tokenizer = await loadTokenizer(directory);
  const device = await deviceOf(TOOL, values);
  const scorer = scorerOf(device, { model, tokenizer, directory }, { pll, batchTokens });
  if (scorer.kind === "causal" && pll !== undefined) {
    throw new UsageError(
      `[${TOOL}] --pll is for masked LMs, and ${name} is a causal one, whose log-likelihood is its own; leave --pll out`,
    );
  }
  sayRemarks(
    [...model.weights.remarks, ...read.remarks, ...chosen.remarks],
    rowsRemark(tokenizer, model.config.vocab_size, directory),
  );
  const from = prompts === undefined ? "" : `-${named(resolve(prompts))}`;
  const parts = `${named(resolve(name))}-${data === world.data ? "world" : named(resolve(data))}${from}`;
  const out = values.out ?? join("runs", `rank-${parts}`);
  const held = await takeFolder(out);
  try {
    if (held.remark !== "") say(`${held.remark}\n`);
    const fingerprint = await modelFingerprint(checkpoint, directory);
    const folder = await RankFolder.open(out, { model: fingerprint, kind: scorer.kind });
    const known = new Map<string, readonly RankRow[]>();
    for (const question of questions) {
      const rows = await folder.rows(question);
      if (rows) known.set(question.relation.id, rows);
    }
    if (known.size > 0) say(`${out} has ${known.size} of ${questions.length} relations already\n`);
    const sizes = questions.map(({ relation, templates }) => {
      return known.has(relation.id) ? 0 : sentencesOf(relation, { templates, limit });
    });
    const signal = onSignals();
    const bar = new Progress(
      "sentences",
      sizes.reduce((a, b) => a + b, 0),
      0,
      "sentences/s",
    );
    const rate = new Rate();
    let scored = 0;
    const done: Done[] = [];
    try {
      for (const question of questions) {
        const { relation, templates } = question;
        let rows = known.get(relation.id);
        if (!rows) {
          const onScored = (sentences: number) => {
            scored += sentences;
            bar.update(scored, relation.id, rate.add(sentences));
          };
          rows = await rankRelation(scorer, relation, { templates, limit, onScored, signal });
          await folder.save(question, rows);
        }
        done.push({ asked: question, rows });
      }
    } catch (error) {
      if (!signal.aborted) throw error;
      bar.stop();
      complain(
        `stopped; the same command goes on with the ${questions.length - done.length} relations that are left\n`,
      );
      return exitCodeOf(signal.reason);
    }
    bar.stop();
    const likelihood =
      scorer.kind === "causal" ? "log-likelihood" : `pseudo-log-likelihood, ${scorer.kind}`;
    const notes = [
      `% of facts whose own answer has the highest ${likelihood}; ${reduction} over the sentence's tokens. Facts one by one: ${out}`,
    ];
    const found = table(done, reduction, notes);
    const asked = { out, likelihood: scorer.kind, reduction, ...tableData(found) };
    printResult(asked, () => printTable(found, wanted.format));
    return 0;
  } finally {
    held.release();
  }
}

export const command = commandOf({
  name: TOOL,
  about:
    "Asks a model facts by ranking, as BEAR does (Wiland et al. 2024): each answer that a fact may have makes a sentence, and the likeliest sentence is the model's answer. So masked LMs and GPT-2 are compared.",
  examples: [
    ["", "the embedded tiny BERT on the embedded facts, in seconds"],
    [
      "--model openai-community/gpt2 --data BEAR --relations P36,P17",
      "GPT-2 on two relations of BEAR, with its three templates",
    ],
    [
      "--model google-bert/bert-base-cased --data BEAR",
      "all of it is 628,497 sentences, and a masked LM reads each once a token: use a GPU. Stopped by Ctrl-C, the same command goes on with the relations that are left",
    ],
    [
      "--data LAMA --model FacebookAI/roberta-base --prompts runs/NAME",
      "the templates of a run, asked of another model",
    ],
  ],
  options: OPTIONS,
  notes: `Causal models have a log-likelihood; masked ones a pseudo-log-likelihood, each token scored while it is masked; answers may have any
length. Scores equal those of lm-pub-quiz 0.3.3.

The table has the accuracy of each relation by template, their mean and standard deviation (over n - 1), "chance" for one answer
of the space drawn at random; then the mean over relations, and over all facts, which is BEAR's score. The folder gets ID.jsonl
for each relation, one line a fact and template: {"relation", "template", "prompt", "subject", "object", "sum", "mean", "scores",
"tokens"}, with {"answer", "right", "rank"} by each reduction, the sum of each answer's log-probabilities and its number of
tokens, in the order of the answers in rank.json.`,
  writesFiles: true,
  run: main,
});
