/** The commands on checkpoints that other tools wrote, or that are broken: the answer, a remark beside it, or one sentence. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import {
  parseSafetensors,
  serializeSafetensors,
  type TensorEntry,
  tensorEntry,
} from "../../models/formats/safetensors.ts";
import { embeddedWorld } from "../../promptgen/world/world.ts";
import { printedBy, refuses, run, temporary } from "./command.ts";

const test = suite("foreign files");
const world = embeddedWorld();
const home = temporary();
const cpu = ["--device", "cpu"];
const PARIS = "Paris is the capital of [MASK] .";
const FRANCE = "Paris is the <mask> of France .";
type Fields = Readonly<Record<string, unknown>>;
type Change = {
  readonly config?: Fields;
  tensor?(name: string, entry: TensorEntry): readonly [string, TensorEntry] | undefined;
  readonly more?: Readonly<Record<string, TensorEntry>>;
};

/** A copy of a model of the embedded world with other fields and tensors. */
function copyOf(from: string, { config = {}, tensor, more = {} }: Change): string {
  const folder = mkdtempSync(join(home, "model-"));
  cpSync(from, folder, { recursive: true });
  const json = JSON.parse(readFileSync(join(from, "config.json"), "utf8"));
  writeFileSync(join(folder, "config.json"), JSON.stringify({ ...json, ...config }));
  const path = join(from, "model.safetensors");
  const { tensors } = parseSafetensors(new Uint8Array(readFileSync(path)), path);
  const entries = [...tensors].flatMap(([name, entry]) => {
    const changed = tensor ? tensor(name, entry) : ([name, entry] as const);
    return changed === undefined ? [] : [changed];
  });
  const all = new Map([...entries, ...Object.entries(more)]);
  writeFileSync(join(folder, "model.safetensors"), serializeSafetensors(all));
  return folder;
}

/** With the first `rows` rows of every tensor that has a row for each of `all` words. */
const cut = (all: number, rows: number): Change => ({
  config: { vocab_size: rows },
  tensor: (name, entry) => {
    const axis = entry.shape.indexOf(all);
    if (axis < 0) return [name, entry];
    const shape = entry.shape.with(axis, rows);
    return [name, { ...entry, shape, data: entry.data.slice(0, (entry.data.length / all) * rows) }];
  },
});

/** With one value of a tensor made NaN; the files hold F16. */
const spoiled = (name: string): Change => ({
  tensor: (given, entry) => {
    if (given !== name) return [given, entry];
    const data = entry.data.slice();
    data.set([0, 0x7e], 4);
    return [given, { ...entry, data }];
  },
});

test("a tokenizer with more ids than the model has rows: the token, its id, the rows, the file", async () => {
  const bert = copyOf(world.bert, cut(1352, 1300));
  const said = (token: string) =>
    new RegExp(
      `^error \\[tokenizer\\] ${bert}: the token "${token}" has the id 13\\d\\d, but the model's table of words has 1300 rows \\(vocab_size in ${bert}/config\\.json\\);`,
    );
  await refuses("fill-mask.ts", [...cpu, "--model", bert, PARIS], said("the"));
  const out = join(home, "cut");
  await refuses("train.ts", [...cpu, "--world", "--reader", bert, "--out", out], said("tenge"));
  // texts without such tokens are answered, as transformers does
  const fine = await run("fill-mask.ts", [...cpu, "--model", bert, "Paris is [MASK] ."]);
  assert.equal(fine.code, 0, fine.error);
  assert.match(
    fine.error,
    /^\[tokenizer\] .*: 52 of the tokenizer's 1352 ids, from "tenge" \(1300\)/,
  );
  assert.match(
    await printedBy("inspect.ts", [bert]),
    /loads as BertForMaskedLM.*\n\[tokenizer\] .*: 52 of the tokenizer's 1352 ids/,
  );
  const bart = copyOf(world.bart, cut(1943, 1600));
  const written =
    /^error \[tokenizer\] .*: the token "[^"]+" has the id 1\d\d\d, but .* has 1600 rows/;
  await refuses("infill.ts", [...cpu, "--model", bart, FRANCE], written);
  await refuses("train.ts", [...cpu, "--world", "--generator", bart, "--out", out], written);
});

test("ids of config.json and generation_config.json that are no rows", async () => {
  const row = (name: string) =>
    new RegExp(`^error \\[config\\] .*config\\.json: ${name} 99999 is no row of`);
  for (const name of ["decoder_start_token_id", "forced_bos_token_id"]) {
    const bart = copyOf(world.bart, { config: { [name]: 99999 } });
    await refuses("infill.ts", [...cpu, "--model", bart, FRANCE], row(name));
  }
  const bart = copyOf(world.bart, {});
  const path = join(bart, "generation_config.json");
  writeFileSync(path, '\uFEFF{"decoder_start_token_id": 99999}');
  await refuses("infill.ts", [...cpu, "--model", bart, FRANCE], row("decoder_start_token_id"));
  const bert = copyOf(world.bert, { config: { pad_token_id: 99999 } });
  await refuses("fill-mask.ts", [...cpu, "--model", bert, PARIS], row("pad_token_id"));
  assert.match(await printedBy("inspect.ts", [bert]), /pad_token_id 99999 is no row of the table/);
});

test("weights that are not finite, and answers that are not though the weights are", async () => {
  const query = "bert.encoder.layer.0.attention.self.query.weight";
  const bert = copyOf(world.bert, spoiled(query));
  const named = new RegExp(
    `^error \\[weights\\] ${bert}/model\\.safetensors: ${query} .*not finite at \\[0, 2\\]`,
  );
  await refuses("fill-mask.ts", [...cpu, "--model", bert, PARIS], named);
  const fc1 = "model.decoder.layers.0.fc1.weight";
  const bart = copyOf(world.bart, spoiled(fc1));
  await refuses(
    "infill.ts",
    [...cpu, "--model", bart, FRANCE],
    new RegExp(`${fc1} .*not finite at`),
  );
  const started = async (option: string, folder: string) => {
    const out = mkdtempSync(join(home, "run-"));
    rmSync(out, { recursive: true });
    const args = [...cpu, "--world", option, folder, "--out", out];
    const { code, error } = await run("train.ts", args);
    assert.equal(code, 1);
    return error;
  };
  assert.match(await started("--reader", bert), named);
  assert.match(await started("--generator", bart), new RegExp(`${fc1} .*not finite at`));
  const norm = "cls.predictions.transform.LayerNorm.weight";
  const huge = copyOf(world.bert, {
    tensor: (name, entry) =>
      name === norm
        ? [name, tensorEntry("F32", entry.shape, new Float32Array(entry.shape[0]).fill(3e38))]
        : [name, entry],
  });
  const answer = /^error \[fill-mask\] the model's answer is not finite, though its weights are/;
  await refuses("fill-mask.ts", [...cpu, "--model", huge, PARIS], answer);
});

test("another model's head, a wrapper's prefix, no model_type: the same answer, and what was done", async () => {
  const plain = await printedBy("fill-mask.ts", [...cpu, PARIS]);
  const [, entry] = [
    ...parseSafetensors(new Uint8Array(readFileSync(join(world.bert, "model.safetensors"))), "x")
      .tensors,
  ][0];
  const bert = copyOf(world.bert, {
    config: { model_type: undefined, architectures: undefined, auto_map: { a: "b" } },
    tensor: (name, one) => [`module._orig_mod.${name}`, one],
    more: { "module._orig_mod.classifier.weight": entry },
  });
  const { code, out, error } = await run("fill-mask.ts", [...cpu, "--model", bert, PARIS]);
  assert.equal(code, 0, error);
  assert.equal(out, plain);
  assert.deepEqual(
    error.split("\n").map((line) => line.replace(bert, "DIR")),
    [
      "[config] DIR/config.json: auto_map names code of its own, which is not run",
      '[weights] DIR: every name begins with "module._orig_mod.", which is taken off',
      "[weights] DIR: module._orig_mod.classifier.weight is left unread: no part of BertForMaskedLM has such a name",
    ],
  );
  const words = await printedBy("infill.ts", [...cpu, "--json", FRANCE]);
  const bart = copyOf(world.bart, {
    config: {
      encoder_layerdrop: 0.1,
      force_bos_token_to_be_generated: true,
      forced_bos_token_id: null,
    },
    more: { "classification_head.dense.weight": entry, "classification_head.dense.bias": entry },
  });
  const args = [...cpu, "--json", "--model", bart, FRANCE];
  const written = await run("infill.ts", args);
  assert.equal(written.code, 0, written.error);
  const [first, forced] = [JSON.parse(words), JSON.parse(written.out)];
  assert.equal(
    forced.ids[1],
    JSON.parse(readFileSync(join(world.bart, "config.json"), "utf8")).bos_token_id,
  );
  assert.equal(forced.text, first.text);
  assert.match(
    written.error,
    /^\[config\] .*encoder_layerdrop 0\.1 is not applied.*\n\[weights\] .*: 2 of \d+ tensors are left unread/,
  );
});

test("config.json that is none: called by its name and path by every command", async () => {
  const bad: [what: string, bytes: Buffer, sentence: string][] = [
    ["cut", Buffer.from('{"model_type": "be'), "is not JSON"],
    ["a list", Buffer.from("[]"), "is not a JSON object"],
    ["Latin-1", Buffer.from('{"a": "\xe9"}', "latin1"), "is not UTF-8"],
    ["a number", Buffer.from('{"model_type": 3}'), "model_type is 3"],
  ];
  for (const [what, bytes, sentence] of bad) {
    const [bert, bart] = [copyOf(world.bert, {}), copyOf(world.bart, {})];
    for (const folder of [bert, bart]) writeFileSync(join(folder, "config.json"), bytes);
    const named = (folder: string) =>
      new RegExp(`^error \\[config\\] ${folder}/config\\.json:? ${sentence}`);
    await refuses("fill-mask.ts", [...cpu, "--model", bert, PARIS], named(bert));
    if (what === "cut") {
      await refuses("infill.ts", [...cpu, "--model", bart, FRANCE], named(bart));
      const out = ["--out", join(home, "none")];
      await refuses("train.ts", [...cpu, "--world", "--generator", bart, ...out], named(bart));
    }
  }
  const marked = copyOf(world.bert, {});
  const text = readFileSync(join(world.bert, "config.json"), "utf8");
  writeFileSync(join(marked, "config.json"), `\uFEFF${text}`);
  const plain = await printedBy("fill-mask.ts", [...cpu, PARIS]);
  assert.equal(await printedBy("fill-mask.ts", [...cpu, "--model", marked, PARIS]), plain);
});

test("lines of stdin: a byte order mark is skipped, bytes that are no UTF-8 are told", async () => {
  const input = (text: string, encoding: BufferEncoding) => Buffer.from(text, encoding);
  const args = [...cpu, "--json", "--top-k", "1", "-"];
  const marked = await run("fill-mask.ts", args, { input: input(`\uFEFF${PARIS}\r\n`, "utf8") });
  assert.equal(marked.code, 0, marked.error);
  assert.equal(JSON.parse(marked.out).text, PARIS);
  const latin = await run("fill-mask.ts", args, { input: input(`a\nOrl\xe9ans [MASK]`, "latin1") });
  assert.equal(latin.code, 1);
  assert.match(
    latin.error,
    /^error \[fill-mask\] stdin is not UTF-8, .*: line 2 has the byte 0xe9/,
  );
});

test("a FIFO in the place of config.json, the weights or generation_config.json does not make it wait", async () => {
  for (const name of ["config.json", "model.safetensors"]) {
    const bert = copyOf(world.bert, {});
    rmSync(join(bert, name));
    execFileSync("mkfifo", [join(bert, name)]);
    await refuses(
      "fill-mask.ts",
      [...cpu, "--model", bert, PARIS],
      new RegExp(`${name} .*a pipe \\(FIFO\\)`),
    );
  }
  const bart = copyOf(world.bart, {});
  execFileSync("mkfifo", [join(bart, "generation_config.json")]);
  await refuses(
    "infill.ts",
    [...cpu, "--model", bart, FRANCE],
    /generation_config\.json is a pipe/,
  );
});

test.run();
