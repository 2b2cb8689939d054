/** A run's prompts as files that other programs read: `node tools/export.ts RUN --out DIR`. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { initialData } from "../../engine/tensor.ts";
import { pathSource } from "../../models/formats/disk.ts";
import { writeWhole } from "../../models/formats/files.ts";
import { npy } from "../../models/formats/npy.ts";
import { openSafetensors, readFloat32 } from "../../models/formats/safetensors.ts";
import { type Benchmark, loadBenchmark } from "../../promptgen/benchmark.ts";
import { methodOf } from "../../promptgen/methods/index.ts";
import type { FactRow } from "../../promptgen/report/fact-rows.ts";
import { sourcesOf } from "../../promptgen/run.ts";
import { checkContents, type RunFile, readRun } from "../../promptgen/run-file.ts";
import { RunFolder } from "../../promptgen/training/run-folder.ts";
import { modelDirectory, type OptionSpec, printResult, UsageError } from "../lib/cli.ts";
import { commandOf, type Line } from "../lib/command.ts";
import { type Kind, promptsOf } from "../lib/prompts.ts";

const TOOL = "export";

const OPTIONS = {
  out: { value: "DIR", help: "a new or empty folder" },
} satisfies Record<string, OptionSpec>;

const FROM_FILE = `from tokenizers import Tokenizer
from transformers import AutoModelForMaskedLM
tokenizer = Tokenizer.from_file("tokenizer.json")
encode = lambda text: tokenizer.encode(text, add_special_tokens=False).ids
`;

/** transformers takes a BERT without tokenizer_config.json for an uncased one, so it is told. */
const BY_NAME = `from transformers import AutoModelForMaskedLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1], do_lower_case=LOWER)
encode = lambda text: tokenizer.encode(text, add_special_tokens=False)
`;

const START = `cls, sep, mask, mask_token = IDS
model = AutoModelForMaskedLM.from_pretrained(sys.argv[1]).eval().float()
answers = json.load(open("answers.json", encoding="utf-8"))
for row in json.load(open("prompts.json", encoding="utf-8")):
`;

const END = `    answer = list(answers)[int(logits[list(answers.values())].argmax())]
    print(row["relation"], row["subject"], answer, sep="\\t")
`;

/** What a reader of transformers is asked with, by the kind of the prompts. */
const PYTHON: Readonly<Record<Kind, string>> = {
  words: `${START}    text = row["prompt"].replace("[Y]", mask_token).replace("[X]", row["subject"])
    ids = [cls, *encode(text), sep]
    logits = model(torch.tensor([ids])).logits[0, ids.index(mask)]
${END}`,
  vectors: `${START}    vectors = iter(np.load(row["relation"] + ".npy"))
    words = lambda ids: model.get_input_embeddings()(torch.tensor(ids))
    parts = [words([cls])]
    for i, word in enumerate(row["prompt"].split(" ")):
        if word == "[X]": part = words(encode(" " * (i > 0) + row["subject"]))
        elif word == "[Y]": place, part = sum(map(len, parts)), words([mask])
        elif word[0] + word[-1] == "<>": part = torch.from_numpy(next(vectors))[None]
        else: part = words([tokenizer.get_vocab()[word]])
        parts.append(part)
    embeds = torch.cat(parts + [words([sep])])[None]
    logits = model(inputs_embeds=embeds).logits[0, place]
${END}`,
};

/** A new place for files. Throws UsageError where there are some. */
function placeOf(out: string | undefined): string {
  if (out === undefined || out.trim() === "") {
    throw new UsageError(`[${TOOL}] there is no --out; name a new folder`);
  }
  const isFree = !existsSync(out) || (statSync(out).isDirectory() && readdirSync(out).length === 0);
  if (isFree) return resolve(out);
  throw new UsageError(`[${TOOL}] --out is ${out}, where there is something; name a new folder`);
}

/** The words that an answer is chosen from, with their ids. */
function answersOf({ tokenizer, allowed }: Benchmark): Record<string, number> {
  const ids = Array.from(initialData(allowed) ?? []).flatMap((isOne, id) =>
    isOne === 1 ? [id] : [],
  );
  return Object.fromEntries(ids.map((id) => [tokenizer.word(id) ?? tokenizer.token(id), id]));
}

/** Vectors of each relation as .npy, by file. */
async function vectorsOf(
  folder: RunFolder,
  rows: readonly FactRow[],
): Promise<[name: string, bytes: Uint8Array][]> {
  const files: [string, Uint8Array][] = [];
  for (const [id, own] of Map.groupBy(rows, ({ relation }) => relation)) {
    const path = join(folder.path, id, "best", "vectors.safetensors");
    const source = await pathSource(path).catch((cause) => {
      throw new Error(`[${TOOL}] ${path} cannot be read; name the folder of a finished run`, {
        cause,
      });
    });
    const vectors = (await openSafetensors(source, path)).tensors.get("vectors");
    const marks = own[0].prompt.split(" ").filter((word) => /^<.*>$/.test(word)).length;
    if (vectors?.shape.length !== 2 || vectors.shape[0] !== marks) {
      throw new Error(
        `[${TOOL}] ${path} does not hold the ${marks} vectors of the prompts in facts.jsonl; write those again with npx promptgen evaluate`,
      );
    }
    files.push([`${id}.npy`, npy(await readFloat32(vectors), vectors.shape)]);
  }
  return files;
}

/** The lines of Python for a reader. @param hasFile whether its tokenizer.json is beside them */
function pythonOf(kind: Kind, { tokenizer, encode }: Benchmark, hasFile: boolean): string {
  const { cls, sep, mask } = tokenizer;
  const lower = encode("THE CAT").join() === encode("the cat").join() ? "True" : "False";
  const imports = `import json, sys\nimport ${kind === "vectors" ? "numpy as np, torch" : "torch"}\n`;
  const reading = hasFile ? FROM_FILE : BY_NAME.replace("LOWER", lower);
  const ids = `${cls}, ${sep}, ${mask}, ${JSON.stringify(tokenizer.token(mask))}`;
  return imports + reading + PYTHON[kind].replace("IDS", ids);
}

const note = ({ options }: RunFile): string =>
  options.method === "promptgen"
    ? "# The run's prompts are mixtures of words; these are the most probable word of each slot, and may be answered otherwise.\n"
    : "";

async function main({ values, positionals }: Line<keyof typeof OPTIONS>): Promise<number> {
  const [path, ...more] = positionals;
  if (path === undefined || more.length > 0) {
    throw new UsageError(`[${TOOL}] name one run; type npx promptgen export RUN --out DIR`);
  }
  const out = placeOf(values.out);
  const folder = new RunFolder(resolve(path));
  const run = await readRun(folder);
  const rows = await promptsOf(TOOL, folder, run, ["words", "vectors"]);
  const benchmark = await loadBenchmark(
    await sourcesOf(run.options, (name) => modelDirectory(name)),
  );
  checkContents(run, benchmark);
  const kind = methodOf(run.options.method).prompts ?? "words";
  const prompts = rows.map(({ relation, subject, prompt }) => ({ relation, subject, prompt }));
  const file = join(benchmark.checkpoint, "tokenizer.json");
  const hasFile = existsSync(file);
  const json = (value: unknown) => `${JSON.stringify(value, null, 1)}\n`;
  const files: (readonly [string, string | Uint8Array])[] = [
    ["prompts.json", json(prompts)],
    ["answers.json", json(answersOf(benchmark))],
    ...(kind === "vectors" ? await vectorsOf(folder, rows) : []),
    ...(hasFile ? [["tokenizer.json", await readFile(file)] as const] : []),
    ["use.py", note(run) + pythonOf(kind, benchmark, hasFile)],
  ];
  for (const [name, content] of files) await writeWhole(join(out, name), content);
  const { reader } = run.options;
  printResult({ out, prompts: rows.length, files: files.map(([name]) => name), reader }, () =>
    [
      `${rows.length} prompts in ${out}; ask with: cd ${out} && python use.py READER`,
      `READER is the directory or the name of the run's masked LM, ${reader}`,
    ].join("\n"),
  );
  return 0;
}

export const command = commandOf({
  name: TOOL,
  about:
    "Writes the prompts of a finished run as files that other programs read, and the lines of Python that ask a masked LM of transformers with them.",
  operands: "RUN",
  examples: [
    ["runs/NAME --out prompts", "then: cd prompts && python use.py READER"],
    ["runs/NAME --out prompts --json", "what was written, for a program"],
  ],
  options: OPTIONS,
  notes: `  prompts.json    a list of {"relation", "subject", "prompt"}, the test facts; [X] is the subject's
                  place, [Y] the object's
  answers.json    the words that an answer is chosen from, with their ids in the masked LM
  P17.npy, ...    where prompts are free vectors: f32 [k, hidden_size] for each relation; they stand
                  in "prompt" as <word>, which is the word nearest to each
  tokenizer.json  the masked LM's, where it has one
  use.py          python use.py READER prints relation, subject and answer`,
  writesFiles: true,
  run: main,
});
