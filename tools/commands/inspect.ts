/** What is in a checkpoint, and what a model takes of it: `node tools/inspect.ts --help`. */
import { existsSync, statSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { openWeights, readConfig } from "../../models/formats/checkpoint.ts";
import { directoryPlace } from "../../models/formats/disk.ts";
import type { Json } from "../../models/formats/json.ts";
import { chooseFiles, tokenizerFiles } from "../../models/hub/files.ts";
import { rowsRemark } from "../../models/rows.ts";
import { loadTokenizer } from "../../models/tokenizer/tokenizer.ts";
import { printTable } from "../../promptgen/report/table.ts";
import { type Loading, loadingOf, type Row } from "../lib/assignment.ts";
import { modelDirectory, printResult, REVISION_OPTION, UsageError } from "../lib/cli.ts";
import { commandOf, type Line } from "../lib/command.ts";

const TOOL = "inspect";

/** The file of weights that is meant: itself, or the one that a directory is loaded from. */
async function weightsOf(target: string, revision: string | undefined): Promise<string> {
  const named = /\.(safetensors|bin|index\.json)$/.test(target);
  if (named && !existsSync(target)) {
    throw new UsageError(`[${TOOL}] ${target} does not exist; check the path`);
  }
  if (existsSync(target) && !statSync(target).isDirectory()) {
    if (named) return target;
    throw new UsageError(
      `[${TOOL}] ${target} is no file of weights by its name; give a .safetensors, .bin or .index.json`,
    );
  }
  const directory = await modelDirectory(target, { parts: ["config", "weights"], revision });
  const { files, missing } = chooseFiles(new Set(await readdir(directory)), ["weights"]);
  const [file] = files;
  if (file === undefined) {
    throw new UsageError(
      `[${TOOL}] ${directory} has no ${missing.join(", and no ")}; name another`,
    );
  }
  return join(directory, file);
}

/** The config.json beside a file of weights, where there is one. */
const configBeside = async (path: string): Promise<Json | undefined> =>
  existsSync(join(dirname(path), "config.json"))
    ? readConfig(directoryPlace(dirname(path)))
    : undefined;

/** What is to be said of the tokenizer beside a file of weights, where there is one. */
async function tokenizerRemarks(path: string, config: Json | undefined): Promise<string[]> {
  const directory = dirname(path);
  const rows = config?.vocab_size;
  const found = tokenizerFiles(new Set(await readdir(directory)));
  if (found === undefined || typeof rows !== "number") return [];
  try {
    return [rowsRemark(await loadTokenizer(directory), rows, directory) ?? ""].filter(Boolean);
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)];
  }
}

const grouped = (count: number): string => count.toLocaleString("en-US");

/** A size in the largest unit that it fills. */
export function bytesText(bytes: number): string {
  const units = ["bytes", "kB", "MB", "GB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 2 : 1)} ${units[unit]}`;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);

function dtypesOf(rows: readonly Row[]): Record<string, { tensors: number; bytes: number }> {
  const found = [...Map.groupBy(rows, ({ dtype }) => dtype)].map(([dtype, own]) => [
    dtype,
    { tensors: own.length, bytes: sum(own.map(({ bytes }) => bytes)) },
  ]);
  return Object.fromEntries(found);
}

/** What becomes of a tensor, in words. */
function fate({ name, status, as, why }: Row): string {
  if (status === "loaded") return as === undefined || as === name ? "loaded" : `as ${as}`;
  return `${status}${why === undefined ? "" : `: ${why}`}`;
}

/** How many tensors have each fate. */
const counts = (rows: readonly Row[]): string =>
  [...Map.groupBy(rows, ({ status }) => status)]
    .map(([status, own]) => `${own.length} ${status}`)
    .join(", ");

function verdict({ model, parameters, missing, zeros, problem, remarks = [] }: Loading): string[] {
  return [
    ...(zeros.length > 0 ? [`not in the file, 0 then: ${zeros.join(", ")}`] : []),
    ...(missing.length > 0 ? ["missing:", ...missing.map((text) => `  ${text}`)] : []),
    problem === undefined
      ? `loads as ${model}: ${grouped(parameters)} parameters, tied ones counted once`
      : `does not load as ${model}: ${problem}`,
    ...remarks,
  ];
}

function printed(
  path: string,
  config: Json | undefined,
  metadata: Json,
  rows: readonly Row[],
  loading: Loading | string,
): string {
  const known = typeof loading !== "string";
  const bytes = sum(rows.map((row) => row.bytes));
  const elements = sum(rows.map((row) => row.elements));
  const right = (cell: string) => cell.padStart(Math.max(5, grouped(bytes).length));
  const head = ["tensor", "dtype", "shape", right("bytes"), ...(known ? ["in the model"] : [])];
  const cells = rows.map((row) => [
    row.name,
    row.dtype,
    `[${row.shape.join(", ")}]`,
    right(grouped(row.bytes)),
    ...(known ? [fate(row)] : []),
  ]);
  const last = [`${rows.length} tensors`, "", grouped(elements), right(grouped(bytes))];
  const dtypes = Object.entries(dtypesOf(rows)).map(
    ([dtype, own]) => `${dtype} ${bytesText(own.bytes)} in ${own.tensors}`,
  );
  const notes = Object.entries(metadata).map(
    ([name, value]) => `${name} ${typeof value === "string" ? value : JSON.stringify(value)}`,
  );
  return [
    path,
    ...(config ? [`model_type ${JSON.stringify(config.model_type) ?? "is missing"}`] : []),
    ...(notes.length > 0 ? [`metadata: ${notes.join(", ")}`] : []),
    "",
    printTable({
      groups: [{ columns: head.map((title) => ({ head: title, align: "left" }) as const) }],
      rows: [...cells, [...last, ...(known ? [counts(rows)] : [])]],
      rules: [cells.length],
    }),
    "",
    `${bytesText(bytes)}: ${dtypes.join(", ")}`,
    ...(typeof loading === "string" ? [loading] : verdict(loading)),
  ].join("\n");
}

async function main({ values, positionals }: Line<keyof typeof REVISION_OPTION>): Promise<number> {
  const [target] = positionals;
  if (target === undefined || positionals.length > 1) {
    throw new UsageError(`[${TOOL}] name one file, directory or model; see --help`);
  }
  const path = await weightsOf(target, values.revision);
  const { tensors, metadata } = await openWeights(directoryPlace(dirname(path)), basename(path));
  const config = await configBeside(path);
  const { rows, loading: own } = loadingOf(dirname(path), config, tensors);
  const beside = typeof own === "string" ? [] : await tokenizerRemarks(path, config);
  const loading =
    typeof own === "string" || beside.length === 0
      ? own
      : { ...own, remarks: [...(own.remarks ?? []), ...beside] };
  const result = {
    file: path,
    name: basename(path),
    modelType: config?.model_type,
    metadata,
    elements: sum(rows.map((row) => row.elements)),
    bytes: sum(rows.map((row) => row.bytes)),
    dtypes: dtypesOf(rows),
    tensors: rows,
    loading: typeof loading === "string" ? { problem: loading } : loading,
  };
  printResult(result, () => printed(path, config, metadata, rows, loading));
  return 0;
}

export const command = commandOf({
  name: TOOL,
  about:
    "Shows the tensors of a checkpoint and what a model takes of them. Headers are read, tensors are not.",
  operands: "FILE, DIR or NAME",
  examples: [
    ["promptgen/world/bert", "a directory"],
    ["facebook/bart-large", "a name on the Hugging Face Hub, which is downloaded once"],
    [
      "DIR/pytorch_model.bin",
      "one file: .safetensors, .bin of torch.save, or an .index.json of several; config.json beside it is read",
    ],
  ],
  options: REVISION_OPTION,
  notes: `The last column says what becomes of a tensor in the model that config.json names: its name there where that differs, or why
it is not loaded. Below stand what the model would miss, and whether it loads; the exit code is 0 either way.`,
  run: main,
});
