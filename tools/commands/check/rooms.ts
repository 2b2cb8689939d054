/**
 * The rooms of the house, and what each may import: a table to read and to edit.
 *
 * A file stands in the room whose longest path fits it. `*` is one folder or file name, and makes a room of each: two of them
 * do not import each other. A room may import itself, the rooms of its own folder that it names, and of other folders what
 * `FOLDERS` allows. Types count as values do: who knows another's types knows the other.
 */

/** What a top folder may import besides itself. */
export const FOLDERS: Readonly<Record<string, readonly string[]>> = {
  promptgen: ["models", "engine"],
  models: ["engine"],
  engine: ["kernels"],
  kernels: [],
  test: ["promptgen", "models", "engine", "kernels", "tools"],
  tools: ["promptgen", "models", "engine", "kernels"],
};

export type Room = {
  /** Without the folder: the room `facts` of promptgen. */
  readonly name: string;
  /** Paths from the root; one that ends in `/` is all that is below. */
  readonly paths: readonly string[];
  /** Rooms of the same folder; "all": every one. */
  readonly may: readonly string[] | "all";
  /** Its files may import each other in circles. */
  readonly circles?: true;
};

/** Rooms by top folder; a folder that is not named is one room. */
export const ROOMS: Readonly<Record<string, readonly Room[]>> = {
  promptgen: [
    { name: "facts", paths: ["promptgen/facts/"], may: [] },
    { name: "training", paths: ["promptgen/training/"], may: [] },
    {
      name: "benchmark",
      paths: ["promptgen/benchmark.ts", "promptgen/answers.ts", "promptgen/reader.ts"],
      may: ["facts", "training"],
    },
    {
      name: "method",
      paths: ["promptgen/methods/method.ts", "promptgen/methods/options.ts"],
      may: ["benchmark", "facts", "training"],
    },
    {
      name: "methods/shared",
      paths: ["promptgen/methods/shared/"],
      may: ["method", "benchmark", "facts", "training"],
    },
    {
      name: "methods/*",
      paths: ["promptgen/methods/*"],
      may: ["methods/shared", "method", "benchmark", "facts", "training"],
    },
    { name: "methods", paths: ["promptgen/methods/index.ts"], may: "all" },
    {
      name: "scores",
      paths: ["promptgen/scores.ts", "promptgen/statistics.ts"],
      may: ["facts", "training"],
    },
    { name: "logistic", paths: ["promptgen/logistic.ts"], may: [] },
    { name: "ranking", paths: ["promptgen/ranking/"], may: ["scores", "training", "facts"] },
    {
      name: "measure",
      paths: ["measure", "audit", "uhn", "ask"].map((n) => `promptgen/${n}.ts`),
      may: ["method", "scores", "benchmark", "training", "facts"],
    },
    {
      name: "report",
      paths: ["promptgen/report/"],
      may: ["method", "scores", "benchmark", "facts"],
    },
    {
      name: "report/page",
      paths: ["promptgen/report/page/"],
      may: ["report", "scores", "training", "facts"],
    },
    { name: "world", paths: ["promptgen/world/"], may: "all" },
    { name: "pretraining", paths: ["promptgen/pretraining/"], may: "all" },
    {
      name: "run",
      paths: [
        "run",
        "run-file",
        "extension",
        "study",
        "study-parts",
        "study-schema",
        "memory",
        "probe",
        "saved-run",
        "test-facts",
        "transfer",
        "yaml-file",
      ].map((n) => `promptgen/${n}.ts`),
      may: "all",
    },
    { name: "index", paths: ["promptgen/index.ts"], may: "all" },
  ],
  models: [
    { name: "errors", paths: ["models/errors.ts"], may: [] },
    { name: "formats", paths: ["models/formats/"], may: ["errors"] },
    { name: "hub", paths: ["models/hub/"], may: ["formats", "errors"] },
    {
      name: "checkpoint",
      paths: ["models/formats/checkpoint.ts"],
      may: ["formats", "hub", "errors"],
    },
    { name: "tokenizer", paths: ["models/tokenizer/"], may: ["formats", "hub", "errors"] },
    {
      name: "architectures",
      paths: ["models/"],
      may: ["checkpoint", "formats", "hub", "tokenizer", "errors"],
    },
    {
      name: "generation",
      paths: ["models/generation/"],
      may: ["architectures", "checkpoint", "formats", "hub", "tokenizer", "errors"],
    },
    { name: "training", paths: ["models/training/"], may: ["architectures", "formats", "errors"] },
    {
      name: "calls",
      paths: ["models/calls/"],
      may: ["generation", "training", "architectures", "tokenizer", "formats", "errors"],
    },
    { name: "index", paths: ["models/index.ts"], may: "all" },
  ],
  engine: [
    {
      name: "ground",
      paths: ["errors", "shape", "tensor", "op", "trace", "philox", "init", "release"].map(
        (n) => `engine/${n}.ts`,
      ),
      may: [],
    },
    { name: "copy", paths: ["engine/ops/copy.ts"], may: ["ground"] },
    // the gradient of an op is made of ops: sum's needs expand, expand's needs sum
    { name: "ops", paths: ["engine/ops/"], may: ["ground"], circles: true },
    {
      name: "grad",
      paths: ["grad", "optim", "custom-op"].map((n) => `engine/${n}.ts`),
      may: ["ops", "ground"],
    },
    {
      name: "plan",
      paths: ["plan", "copies", "joins", "key-gradients", "lower", "table-attention"].map(
        (n) => `engine/${n}.ts`,
      ),
      may: ["copy", "ground"],
    },
    { name: "device", paths: ["engine/device.ts"], may: ["plan", "ground"] },
    {
      name: "compile",
      paths: ["engine/compile.ts", "engine/finite.ts"],
      may: ["device", "plan", "ops", "ground"],
    },
    {
      name: "opcheck",
      paths: ["engine/opcheck.ts"],
      may: ["compile", "grad", "ops", "device", "plan", "ground"],
    },
    { name: "devices", paths: ["engine/devices/"], may: ["device", "plan", "ground"] },
    {
      name: "devices/*",
      paths: ["engine/devices/webgpu/", "engine/devices/cpu/"],
      may: ["devices", "device", "plan", "ground"],
    },
    {
      name: "open",
      paths: ["engine/open.ts"],
      may: ["devices/webgpu", "devices/cpu", "devices", "device", "ground"],
    },
    { name: "index", paths: ["engine/index.ts"], may: "all" },
  ],
};

/**
 * Imports that the table forbids and that stand for now, from and to by the beginnings of their paths; one that nobody uses any
 * more is a problem.
 */
export const EXCEPTIONS: readonly (readonly [from: string, to: string])[] = [];
