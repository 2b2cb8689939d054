/**
 * Makes the tokenizers, the configurations and the common vocabulary of an embedded world from its facts and patterns:
 * `node tools/tokenizers.ts --help`. Same input, same bytes.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { note, printResult, UsageError } from "../lib/cli.ts";
import { commandOf, type Line } from "../lib/command.ts";
import { tinyModelFiles, type WorldFact } from "../lib/tiny-models.ts";

const TOOL = "tokenizers";

/** The rows of a JSON-lines file as string records; a broken line is named by file and number. */
function jsonLines(path: string): Record<string, string>[] {
  const rows: Record<string, string>[] = [];
  for (const [index, line] of readFileSync(path, "utf8").split("\n").entries()) {
    if (line.trim() === "") continue;
    try {
      rows.push(JSON.parse(line) as Record<string, string>);
    } catch {
      throw new Error(`[tokenizers] ${path}:${index + 1} is not JSON; mend or remove the line`);
    }
  }
  return rows;
}

function readFacts(world: string): WorldFact[] {
  const files: string[] = [];
  const data = join(world, "autoprompt_data");
  for (const relation of readdirSync(data).sort()) {
    for (const split of ["train", "dev"]) files.push(join(data, relation, `${split}.jsonl`));
  }
  const tests = join(world, "LAMA-TREx");
  for (const name of readdirSync(tests).sort()) files.push(join(tests, name));
  return files.flatMap((file) =>
    jsonLines(file).map((row) => ({
      relation: row.predicate_id,
      subject: row.sub_label,
      object: row.obj_label,
    })),
  );
}
async function main({ positionals }: Line): Promise<number> {
  const home = fileURLToPath(new URL("../../promptgen/world", import.meta.url));
  const [world = home, ...more] = positionals;
  if (more.length > 0) {
    throw new UsageError(`[${TOOL}] ${more[0]} is one name too many; give the folder of one world`);
  }
  if (!existsSync(join(world, "patterns.jsonl"))) {
    throw new UsageError(`[${TOOL}] ${world} holds no patterns.jsonl; name the folder of a world`);
  }
  const facts = readFacts(world);
  const metainfo = join(world, "relation_metainfo", "LAMA_relations.jsonl");
  const templates = [
    ...jsonLines(join(world, "patterns.jsonl")).map((row) => [row.relation, row.pattern] as const),
    ...jsonLines(metainfo).map((row) => [row.relation, row.template] as const),
  ];
  const { files, words, sizes } = tinyModelFiles(facts, templates);
  const written: string[] = [];
  for (const [name, text] of files) {
    const path = join(world, name);
    mkdirSync(join(path, ".."), { recursive: true });
    writeFileSync(path, text);
    written.push(relative(process.cwd(), path));
    note(`wrote ${written.at(-1)}`);
  }
  printResult(
    { files: written, facts: facts.length, words, vocabularies: sizes },
    () =>
      `${facts.length} facts, ${words} words, ${sizes.bert} BERT, ${sizes.bart} BART, ${sizes.t5} T5`,
  );
  return 0;
}

export const command = commandOf({
  name: TOOL,
  about:
    "Makes the tokenizers, the configurations and the common vocabulary of a world from its facts and patterns: WORLD/bert, bart, t5 and common_vocabs. Same input, same bytes.",
  operands: "[WORLD]",
  examples: [
    ["", "those of the embedded world, promptgen/world"],
    ["DIR", "those of a world of your own, with patterns.jsonl and its facts"],
  ],
  options: {},
  writesFiles: true,
  run: main,
});
