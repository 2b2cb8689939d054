import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import { serializeSafetensors, type TensorEntry } from "../../models/formats/safetensors.ts";
import { embeddedWorld } from "../../promptgen/world/world.ts";
import { type Loading, loadingOf, type Row } from "../../tools/lib/assignment.ts";
import { goldenText } from "../models/parity.ts";
import { printedBy, refuses, temporary, withHub } from "./command.ts";

const test = suite("inspect");
const TOOL = "inspect.ts";
const world = embeddedWorld();
const golden = (path: string) => fileURLToPath(new URL(`../golden/${path}`, import.meta.url));

type Report = {
  readonly file: string;
  readonly modelType?: string;
  readonly metadata: Record<string, unknown>;
  readonly elements: number;
  readonly bytes: number;
  readonly dtypes: Record<string, { tensors: number; bytes: number }>;
  readonly tensors: Row[];
  readonly loading: Loading & { problem?: string };
};
const report = async (...args: Parameters<typeof printedBy>[1]): Promise<Report> =>
  JSON.parse(await printedBy(TOOL, ["--json", ...args]));

test("the embedded models load whole", async () => {
  for (const [folder, model, elements] of [
    [world.bert, "BertForMaskedLM", 473_032],
    [world.bart, "BartForConditionalGeneration", 946_967],
  ] as const) {
    const { tensors, loading, bytes, dtypes, metadata } = await report(folder);
    assert.ok(tensors.every(({ status, name, as }) => status === "loaded" && as === name));
    assert.deepEqual(loading, { model, parameters: elements, missing: [], zeros: [] });
    assert.equal(bytes, 2 * elements);
    assert.deepEqual(dtypes, { F16: { tensors: tensors.length, bytes } });
    assert.deepEqual(metadata, { format: "pt" });
  }
});

test("a table for people", async () => {
  const out = await printedBy(TOOL, [join(world.bert, "model.safetensors")]);
  assert.match(
    out,
    /^.*model\.safetensors\nmodel_type "bert"\nmetadata: format pt\n\ntensor +dtype +shape +bytes +in/,
  );
  assert.match(
    out,
    /\nbert\.embeddings\.word_embeddings\.weight +F16 +\[1352, 128\] +346,112 +loaded\n/,
  );
  assert.match(
    out,
    /\n42 tensors +473,032 +946,064 +42 loaded\n\n946\.1 kB: F16 946\.1 kB in 42\n/,
  );
  assert.match(out, /\nloads as BertForMaskedLM: 473,032 parameters, tied ones counted once\n$/);
});

/** A directory with a tiny BERT whose file is `tensors`, by name. */
function directoryOf(
  tensors: Readonly<Record<string, readonly [string, readonly number[]]>>,
): string {
  const folder = temporary();
  const config = {
    model_type: "bert",
    vocab_size: 5,
    hidden_size: 4,
    num_hidden_layers: 1,
    num_attention_heads: 1,
    intermediate_size: 4,
    max_position_embeddings: 3,
  };
  const bytes: Record<string, number> = { F32: 4, F16: 2, I64: 8 };
  const entries = Object.entries(tensors).map(([name, [dtype, shape]]): [string, TensorEntry] => {
    const size = shape.reduce((product, n) => product * n, bytes[dtype]);
    return [name, { dtype: dtype as "F32", shape, data: new Uint8Array(size) }];
  });
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  writeFileSync(join(folder, "model.safetensors"), serializeSafetensors(new Map(entries)));
  return folder;
}

/** Of one layer: dense matrices are [4, 4], vectors [4]. */
const LAYER = [
  ...["query", "key", "value"].map((name) => `attention.self.${name}`),
  ...["attention.output.dense", "intermediate.dense", "output.dense"],
].flatMap((name) => [`${name}.weight`, `${name}.bias`]);
const NORMS = ["attention.output.LayerNorm", "output.LayerNorm"].flatMap((name) => [
  `${name}.weight`,
  `${name}.bias`,
]);

const whole: Record<string, readonly [string, readonly number[]]> = {
  ...Object.fromEntries(
    [...LAYER, ...NORMS].map((name) => [
      `bert.encoder.layer.0.${name}`,
      ["F32", LAYER.includes(name) && name.endsWith("weight") ? [4, 4] : [4]] as const,
    ]),
  ),
  "bert.embeddings.word_embeddings.weight": ["F32", [5, 4]],
  "bert.embeddings.position_embeddings.weight": ["F32", [3, 4]],
  "bert.embeddings.token_type_embeddings.weight": ["F32", [2, 4]],
  "bert.embeddings.LayerNorm.gamma": ["F32", [4]],
  "bert.embeddings.LayerNorm.beta": ["F32", [4]],
  "cls.predictions.transform.dense.weight": ["F32", [4, 4]],
  "cls.predictions.transform.dense.bias": ["F16", [4]],
  "cls.predictions.transform.LayerNorm.weight": ["F32", [4]],
  "cls.predictions.transform.LayerNorm.bias": ["F32", [4]],
  "cls.predictions.bias": ["F32", [5]],
};

test("what is renamed, tied, not read, unused, wrong and missing, and why", async () => {
  const { "cls.predictions.transform.dense.bias": _, ...most } = whole;
  const folder = directoryOf({
    ...most,
    "bert.embeddings.position_embeddings.weight": ["F32", [2, 4]],
    "bert.embeddings.token_type_embeddings.weight": ["I64", [2, 4]],
    "bert.pooler.dense.weight": ["F32", [4, 4]],
    "cls.predictions.decoder.weight": ["F32", [5, 4]],
    "extra.weight": ["F32", [1]],
    "bert.pooled.dense.weight": ["F32", [4, 4]],
  });
  const { tensors, loading } = await report(folder);
  const fates = Object.fromEntries(
    tensors.map(({ name, status, as, why }) => [name, [status, as, why]]),
  );
  const twin = "bert.embeddings.word_embeddings.weight";
  const decoder = "cls.predictions.decoder.weight";
  const [first, second] = tensors
    .map(({ name }) => name)
    .filter((n) => n === twin || n === decoder);
  assert.deepEqual(fates[first], ["loaded", twin, undefined]);
  assert.deepEqual(fates[second], ["tied", twin, `has to be equal to ${first}`]);
  const norm = "bert.embeddings.LayerNorm";
  assert.deepEqual(fates[`${norm}.gamma`], ["loaded", `${norm}.weight`, undefined]);
  const position = "bert.embeddings.position_embeddings.weight";
  assert.deepEqual(fates[position], ["wrong", position, "config.json asks for [3, 4]"]);
  const kinds = "bert.embeddings.token_type_embeddings.weight";
  assert.deepEqual(fates[kinds], ["wrong", kinds, "one of F32, F16, BF16, F64 is expected"]);
  assert.deepEqual(fates["bert.pooler.dense.weight"], [
    "unread",
    undefined,
    "the model has no use for it",
  ]);
  assert.deepEqual(fates["extra.weight"], [
    "unread",
    undefined,
    "no part of BertForMaskedLM has such a name",
  ]);
  const typo = "bert.pooled.dense.weight";
  assert.deepEqual(fates[typo], [
    "unused",
    undefined,
    `the model that config.json describes has no ${typo}`,
  ]);
  assert.deepEqual(loading.missing, ["cls.predictions.transform.dense.bias [4]"]);
  assert.match(loading.problem ?? "", /^\[weights\] .* does not hold the BertForMaskedLM that its/);
  const out = await printedBy(TOOL, [folder]);
  assert.match(
    out,
    /\nbert\.embeddings\.LayerNorm\.beta +F32 +\[4\] +16 +as bert\.embeddings\.LayerNorm\.bias\n/,
  );
  assert.match(out, /\nextra\.weight +F32 +\[1\] +4 +unread: no part of Bert/);
  assert.match(out, / 23 loaded, /);
  assert.match(
    out,
    /\nmissing:\n {2}cls\.predictions\.transform\.dense\.bias \[4\]\ndoes not load as Bert/,
  );
});

test("without a head, without a model, with another model", async () => {
  const head = Object.entries(whole).filter(([name]) => name.startsWith("bert."));
  const bare = await report(directoryOf(Object.fromEntries(head)));
  assert.match(
    bare.loading.problem ?? "",
    /holds no cls\.predictions\.\*, the head of BertForMaskedLM/,
  );
  const folder = temporary();
  cpSync(join(directoryOf(whole), "model.safetensors"), join(folder, "model.safetensors"));
  const alone = await report(folder);
  assert.deepEqual(alone.loading, { problem: "no config.json beside it names a model" });
  assert.equal(alone.tensors[0].status, undefined);
  writeFileSync(join(folder, "config.json"), '{"model_type": "mt5"}');
  assert.match(
    await printedBy(TOOL, [folder]),
    /\nconfig\.json has model_type "mt5"; those that are supported are bert, roberta, distilbert, albert, electra, xlm-roberta, modernbert, bart, t5, gpt2/,
  );
  writeFileSync(join(folder, "config.json"), '{"model_type": "bert"}');
  assert.match((await report(folder)).loading.problem ?? "", /\[config\] .*vocab_size is missing/);
});

test("files of torch.save, shards of both kinds", async () => {
  const one = await report(golden("pytorch/state-kinds.bin"));
  assert.ok(one.tensors.length > 1);
  const shards = await report(golden("pytorch/pytorch_model.bin.index.json"));
  assert.deepEqual(
    shards.tensors.map(({ name, dtype, shape, bytes }) => [name, dtype, shape, bytes]),
    [
      ["embedding", "F32", [4, 2], 32],
      ["norm.weight", "F32", [2], 8],
      ["decoder", "F16", [3, 2], 12],
    ],
  );
  assert.deepEqual(shards.metadata, { total_size: 52 });
  const folder = temporary();
  mkdirSync(join(folder, "sharded"));
  const index: Record<string, string> = {};
  const parts = new Map<string, Map<string, TensorEntry>>();
  Object.entries(whole).forEach(([name, [dtype, shape]], i) => {
    const file = `model-0000${1 + (i % 2)}-of-00002.safetensors`;
    index[name] = file;
    const size = shape.reduce((a: number, b) => a * b, dtype === "F16" ? 2 : 4);
    const before = parts.get(file) ?? new Map<string, TensorEntry>();
    parts.set(file, before.set(name, { dtype: dtype as "F32", shape, data: new Uint8Array(size) }));
  });
  for (const [file, tensors] of parts) {
    writeFileSync(join(folder, "sharded", file), serializeSafetensors(tensors));
  }
  const path = join(folder, "sharded", "model.safetensors.index.json");
  writeFileSync(path, JSON.stringify({ metadata: { total_size: 1 }, weight_map: index }));
  cpSync(join(directoryOf(whole), "config.json"), join(folder, "sharded", "config.json"));
  for (const target of [path, join(folder, "sharded")]) {
    const { file, tensors, loading } = await report(target);
    assert.equal(file, path);
    assert.equal(tensors.length, Object.keys(whole).length);
    assert.equal(loading.problem, undefined);
  }
});

test("a name on the Hub: config and weights, no tokenizer", async () => {
  await withHub({ "tiny/bert": { folder: world.bert } }, async ({ hub, env }) => {
    const out = await printedBy(TOOL, ["tiny/bert"], { env });
    assert.match(out, /\nloads as BertForMaskedLM/);
    assert.ok(!hub.seen.some(({ path }) => path.includes("tokenizer.json")));
  });
});

type Layout = {
  readonly config: Readonly<Record<string, unknown>>;
  readonly dtype: "F32" | "F16" | "BF16";
  readonly tensors: [name: string, shape: number[], target?: string | null, dtype?: "I64"][];
};

/** Of these it is told alone that the head is not there. */
const HEADLESS = /^(?:(?:DistilBert|Albert|XLMRoberta|ModernBert)Model|ElectraForPreTraining)$/;

test("published layouts: every tensor goes where it belongs, and no data is read", () => {
  const layouts: Record<string, Layout> = JSON.parse(goldenText("layouts.json"));
  const read = () => assert.fail("read");
  let compared = 0;
  for (const [name, { config, dtype: usual, tensors }] of Object.entries(layouts)) {
    // the first layer stands for all
    const one = {
      num_hidden_layers: 1,
      ...("n_layers" in config && { n_layers: 1 }),
      encoder_layers: 1,
      decoder_layers: 1,
      num_layers: 1,
      num_decoder_layers: 1,
    };
    const first = (text: string) => text.replace("*", "0");
    const targets = new Map(
      tensors.map(([given, , target = given]) => [first(given), target && first(target)]),
    );
    // but for ModernBERT's, which lacks a tensor that the others have
    const shown = tensors.filter(([given]) => !/layers\.[1-9]/.test(given));
    const file = shown.map(
      ([given, shape, , dtype = usual]) =>
        [first(given), { dtype, shape, byteLength: 0, read }] as const,
    );
    const { rows, loading } = loadingOf(name, { ...config, ...one }, new Map(file));
    assert.ok(typeof loading !== "string", `${name}: ${loading}`);
    if (HEADLESS.test(name)) {
      assert.match(loading.problem ?? "", /the head of/);
      continue;
    }
    for (const { name: given, status, as } of rows) {
      const target = targets.get(given);
      assert.equal(as ?? null, target, `${name}: ${given}`);
      assert.ok(
        target === null ? status === "unread" : status === "loaded" || status === "tied",
        `${name}: ${given} is ${status}`,
      );
      compared++;
    }
    if (/^\w+Model$/.test(name)) assert.match(loading.problem ?? "", /the head of/);
    else assert.deepEqual([loading.missing, loading.problem], [[], undefined]);
  }
  console.log(`${Object.keys(layouts).length} layouts, ${compared} tensors compared`);
});

test("remarks of the loader: a wrapper's prefix, another model's tensors, a model_type told by names", async () => {
  const wrapped = Object.entries({ ...whole, "classifier.weight": ["F32", [1]] as const });
  const folder = directoryOf(
    Object.fromEntries(wrapped.map(([name, entry]) => [`module.${name}`, entry])),
  );
  const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));
  writeFileSync(join(folder, "config.json"), JSON.stringify({ ...config, model_type: undefined }));
  const { tensors, loading } = await report(folder);
  const words = "bert.embeddings.word_embeddings.weight";
  assert.equal(tensors.find(({ name }) => name === `module.${words}`)?.as, words);
  assert.deepEqual([loading.missing, loading.problem], [[], undefined]);
  assert.deepEqual(loading.remarks, [
    `[weights] ${folder}: every name begins with "module.", which is taken off`,
    `[weights] ${folder}: module.classifier.weight is left unread: no part of BertForMaskedLM has such a name`,
  ]);
  assert.match(
    await printedBy(TOOL, [folder]),
    /tied ones counted once\n\[weights\] .*\n\[weights\] /,
  );
});

test("what is no regular file is refused at once", async () => {
  const folder = temporary();
  execFileSync("mkfifo", [join(folder, "config.json"), join(folder, "model.safetensors")]);
  await refuses(TOOL, [folder], /model\.safetensors cannot be read \(it is a pipe \(FIFO\)\)/);
  await refuses(TOOL, [join(folder, "model.safetensors")], /it is a pipe \(FIFO\)/);
  cpSync(join(world.bert, "model.safetensors"), join(folder, "other.safetensors"));
  await refuses(TOOL, [join(folder, "other.safetensors")], /config\.json is a pipe \(FIFO\), not/);
});

test("no data is read: tensors of terabytes", () => {
  const config = {
    model_type: "bart",
    vocab_size: 2 ** 28,
    d_model: 2 ** 12,
    encoder_layers: 1,
    decoder_layers: 1,
    encoder_attention_heads: 1,
    decoder_attention_heads: 1,
    encoder_ffn_dim: 4,
    decoder_ffn_dim: 4,
    max_position_embeddings: 4,
  };
  const shape = [config.vocab_size, config.d_model];
  const read = () => assert.fail("read");
  const tensor = { dtype: "F32", shape, byteLength: 2 ** 42, read } as const;
  const tensors = new Map([["lm_head.weight", tensor]]);
  const { rows, loading } = loadingOf("here", config, tensors);
  assert.deepEqual(rows[0].as, "model.shared.weight");
  assert.ok(typeof loading !== "string");
  assert.deepEqual(loading.zeros, ["final_logits_bias"]);
  assert.ok(loading.missing.length > 40);
  assert.ok(loading.missing.includes("model.encoder.embed_positions.weight [6, 4096]"));
});

test("mistakes are answered in one sentence", async () => {
  const folder = temporary();
  await refuses(TOOL, [], /\[inspect\] name one file, directory or model; see --help/);
  await refuses(TOOL, ["a", "b"], /\[inspect\] name one file, directory or model/);
  await refuses(TOOL, [folder], /\[inspect\] .* has no model\.safetensors or pytorch_model\.bin/);
  await refuses(
    TOOL,
    [join(world.bert, "config.json")],
    /config\.json is no file of weights by its/,
  );
  await refuses(TOOL, ["no/such/file.bin"], /\[inspect\] no\/such\/file\.bin does not exist/);
  writeFileSync(join(folder, "model.safetensors"), "no weights");
  await refuses(TOOL, [folder], /\[safetensors\] .*model\.safetensors: the header/);
  await refuses(TOOL, [golden("pytorch/refused/module.bin")], /\[pytorch\] .*module\.bin /);
  writeFileSync(join(folder, "config.json"), "{");
  cpSync(join(world.bert, "model.safetensors"), join(folder, "model.safetensors"));
  await refuses(TOOL, [folder], /\[config\] .*config\.json is not JSON; fetch the file again/);
});

test("--help teaches and ends with code 0", async () => {
  assert.match(await printedBy(TOOL, ["--help"]), /npx promptgen inspect facebook\/bart-large\n/);
});

test.run();
