/** Checkpoints as directories: which files are taken, how they are read, what is refused. */
import { execFileSync } from "node:child_process";
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { read } from "../../../engine/compile.ts";
import { stateOp, type Tensor } from "../../../engine/tensor.ts";
import { BertForMaskedLM } from "../../../models/bert.ts";
import { type Checkpoint, readCheckpoint } from "../../../models/formats/checkpoint.ts";
import { pathSource } from "../../../models/formats/disk.ts";
import { encodeBfloat16, encodeFloat16 } from "../../../models/formats/floats.ts";
import {
  type FileTensor,
  parseSafetensors,
  serializeSafetensors,
  type TensorEntry,
  tensorEntry,
  toFloat32,
} from "../../../models/formats/safetensors.ts";
import { WEIGHTS } from "../../../models/hub/files.ts";
import { loadMaskedLM } from "../../../models/registry.ts";
import { checkpointFingerprint } from "../../../promptgen/training/fingerprint.ts";
import { onDevices } from "../../devices.ts";
import { goldenCheckpoint, goldenFolder, initialValues } from "../parity.ts";

const each = await onDevices("checkpoint");
const home = mkdtempSync(join(tmpdir(), "checkpoint-"));
process.on("exit", () => rmSync(home, { recursive: true, force: true }));

const PYTORCH = fileURLToPath(new URL("../../golden/pytorch/", import.meta.url));
const FILES = {
  "model.safetensors": join(PYTORCH, "state.safetensors"),
  "pytorch_model.bin": join(PYTORCH, "state-many.bin"),
};

let made = 0;
/** A new directory with a config.json and files: path of the original, or contents. */
function directory(files: Readonly<Record<string, string | Uint8Array | object>> = {}): string {
  const path = join(home, String(made++));
  mkdirSync(path);
  writeFileSync(join(path, "config.json"), "{}");
  for (const [name, content] of Object.entries(files)) {
    if (typeof content === "string") copyFileSync(content, join(path, name));
    else if (content instanceof Uint8Array) writeFileSync(join(path, name), content);
    else writeFileSync(join(path, name), JSON.stringify(content));
  }
  return path;
}

const failure = (run: Promise<unknown>): Promise<string> =>
  run.then(
    () => "nothing was thrown",
    (error) => error.message,
  );

async function bytesOf(tensor: TensorEntry | FileTensor): Promise<Uint8Array> {
  return "data" in tensor ? tensor.data : tensor.read(0, tensor.byteLength);
}

async function sameTensors(a: Checkpoint["tensors"], b: Checkpoint["tensors"]): Promise<number> {
  assert.equal([...a.keys()].toSorted(), [...b.keys()].toSorted());
  for (const [name, one] of a) {
    const other = b.get(name);
    if (!other) throw new Error(name);
    assert.equal([one.dtype, one.shape], [other.dtype, other.shape], name);
    assert.is(Buffer.compare(await bytesOf(one), await bytesOf(other)), 0, name);
  }
  return a.size;
}

const file = (entries: Record<string, TensorEntry>) =>
  serializeSafetensors(new Map(Object.entries(entries)));
const number = (value: number) => tensorEntry("F32", [1], Float32Array.of(value));

test("files are taken in the order of transformers: safetensors, its shards, torch.save, its shards", async () => {
  const index = (name: string) => ({ weight_map: { w: name } });
  const path = directory({
    "model.safetensors": file({ w: number(1) }),
    "model.safetensors.index.json": index("shard.safetensors"),
    "shard.safetensors": file({ w: number(2) }),
    "pytorch_model.bin": FILES["pytorch_model.bin"],
    "pytorch_model.bin.index.json": join(PYTORCH, "pytorch_model.bin.index.json"),
  });
  for (const name of readdirSync(PYTORCH).filter((one) => /0000/.test(one))) {
    copyFileSync(join(PYTORCH, name), join(path, name));
  }
  const found: unknown[] = [];
  for (const name of [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
  ]) {
    const { tensors } = await readCheckpoint(path);
    const w = tensors.get("w");
    found.push(w ? new Float32Array((await bytesOf(w)).slice().buffer)[0] : tensors.size);
    unlinkSync(join(path, name));
  }
  assert.equal(found.slice(0, 2), [1, 2]);
  assert.ok(Number(found[2]) > 2 && Number(found[3]) > 2, `${found}`);
  assert.match(
    await failure(readCheckpoint(path)),
    /^\[weights\] .* holds none of model.safetensors, model.safetensors.index.json, .*; name a directory that holds one of them$/,
  );
});

test("one file, its shards and torch.save hold the same tensors", async () => {
  const shards = await readCheckpoint(goldenFolder("roberta"));
  const all: Record<string, TensorEntry> = {};
  for (const [name, tensor] of shards.tensors) {
    const { dtype, shape } = tensor;
    all[name] = { dtype, shape, data: await bytesOf(tensor) };
  }
  const whole = await readCheckpoint(directory({ "model.safetensors": file(all) }));
  let tensors = await sameTensors(whole.tensors, shards.tensors);
  const bin = directory();
  for (const name of readdirSync(PYTORCH).filter((one) => one.startsWith("pytorch_model"))) {
    copyFileSync(join(PYTORCH, name), join(bin, name));
  }
  const wanted = parseSafetensors(
    new Uint8Array(readFileSync(FILES["model.safetensors"])),
    "state",
  ).tensors;
  const read = (await readCheckpoint(bin)).tensors;
  for (const [name, tensor] of read) {
    const want = wanted.get(name);
    if (want) assert.equal([...(await bytesOf(tensor))], [...want.data], name);
    if (want) tensors++;
  }
  assert.ok(tensors > 40, `${tensors}`);
  console.log(`${tensors} tensors`);
});

test("an index that does not fit its files", async () => {
  const shard = { "a.safetensors": file({ w: number(1) }) };
  const of = (weight_map: unknown, files: Record<string, Uint8Array> = shard) =>
    failure(
      readCheckpoint(directory({ ...files, "model.safetensors.index.json": { weight_map } })),
    );
  assert.match(
    await of({ w: "a.safetensors", v: "b.safetensors" }),
    /^\[weights\] \S+model.safetensors.index.json names the shard 'b.safetensors', which cannot be opened \(ENOENT\): download it too$/,
  );
  assert.match(
    await of({ w: "a.safetensors", v: "a.safetensors" }),
    /index.json lists 'v' in 'a.safetensors', which does not hold it: download both again$/,
  );
  for (const climbing of [
    "x".repeat(256),
    "../a.safetensors",
    "/etc/passwd",
    "x/../a.safetensors",
    "..",
    "a\\b",
  ]) {
    assert.match(
      await of({ w: climbing }),
      /which is no \.safetensors or \.bin beside it: refused, download/,
    );
  }
  assert.match(await of({ w: 1 }), "gives no file name for 'w'");
  assert.match(await of([]), "has no 'weight_map'");
  assert.match(await of({}), "has an empty 'weight_map'");
  assert.match(
    await of({ w: "a.safetensors" }, { "a.safetensors": new Uint8Array(5) }),
    /^\[safetensors\] \S+a.safetensors: the file has 5 bytes/,
  );
  mkdirSync(join(home, "folder.safetensors"));
  const path = directory({
    "model.safetensors.index.json": { weight_map: { w: "f.safetensors" } },
  });
  mkdirSync(join(path, "f.safetensors"));
  assert.match(await failure(readCheckpoint(path)), "cannot be opened (it is a directory)");
  const bins = directory({ "pytorch_model.bin.index.json": { weight_map: { w: "f.bin" } } });
  assert.match(await failure(readCheckpoint(bins)), "'f.bin', which cannot be opened (ENOENT): ");
});

/** What a state asks its source for, and what it gets. */
function sourceOf(t: Tensor): { read(first: number, end: number): Promise<ArrayLike<number>> } {
  assert.is(t.node.op, stateOp);
  const { data } = t.node.attrs.state as { data: ReturnType<typeof sourceOf> };
  return data;
}

test("values of every float dtype, in any storage, by any pieces", async () => {
  const { config, tensors } = goldenCheckpoint("bert");
  const floats = new Map([...tensors].map(([name, t]) => [name, toFloat32(t)]));
  const rounded = {
    F32: (x: Float32Array) => x,
    F64: (x: Float32Array) => Float64Array.from(x),
    F16: encodeFloat16,
    BF16: encodeBfloat16,
  };
  let compared = 0;
  for (const dtype of ["F32", "F64", "F16", "BF16"] as const) {
    const entries: Record<string, TensorEntry> = {};
    const odd = new Map<string, TensorEntry>(); // in memory, at an odd address
    for (const [name, values] of floats) {
      const { shape } = tensors.get(name) ?? { shape: [] };
      const entry = tensorEntry(dtype, shape, rounded[dtype](values));
      const data = new Uint8Array(entry.data.length + 1).subarray(1);
      data.set(entry.data);
      entries[name] = entry;
      odd.set(name, { ...entry, data });
    }
    const path = directory({ "model.safetensors": file(entries), "config.json": config });
    const lazy = await readCheckpoint(path);
    for (const storage of ["f32", "f16", "bf16"] as const) {
      const { parameters } = BertForMaskedLM.from(lazy, storage).weights;
      const memory = BertForMaskedLM.from({ where: "x", config, tensors: odd }, storage).weights;
      for (const [name, t] of parameters) {
        const entry = entries[name];
        const f32 = toFloat32(entry);
        const same = dtype === t.dtype.toUpperCase();
        const bits = () => new Uint16Array(entry.data.slice().buffer);
        const half = t.dtype === "f16" ? encodeFloat16 : encodeBfloat16;
        const want = t.dtype === "f32" ? f32 : same ? bits() : half(f32);
        assert.equal(await initialValues(t), want, `${name} ${dtype} ${storage}`);
        const other = memory.parameters.get(name);
        if (other) assert.equal(await initialValues(other), want, `${name} in memory`);
        const [first, end] = [t.size >> 1, Math.min(t.size, (t.size >> 1) + 3)];
        assert.equal(await sourceOf(t).read(first, end), want.slice(first, end), name);
        compared++;
      }
    }
  }
  console.log(`${compared} tensors`);
});

test("no byte is read before it is asked for, and each once", async () => {
  const size = 9 * 2 ** 20; // elements: two pieces and a part
  const config = { ...goldenCheckpoint("bert").config, vocab_size: size / 32 };
  const tensors = new Map<string, TensorEntry | FileTensor>(goldenCheckpoint("bert").tensors);
  const asked: [number, number][] = [];
  const table: FileTensor = {
    dtype: "F16",
    shape: [size / 32, 32],
    byteLength: 2 * size,
    read: async (begin, end) => {
      asked.push([begin, end]);
      return new Uint8Array(end - begin);
    },
  };
  tensors.set("bert.embeddings.word_embeddings.weight", table);
  tensors.set("cls.predictions.bias", tensorEntry("F32", [size / 32], new Float32Array(size / 32)));
  const { wordEmbeddings } = BertForMaskedLM.from({ where: "x", config, tensors });
  assert.equal(asked, []);
  await initialValues(wordEmbeddings.weight);
  const piece = 2 * 4 * 2 ** 20;
  assert.equal(asked, [
    [0, piece],
    [piece, 2 * piece],
    [2 * piece, 2 * size],
  ]);
});

each("a model from files gives what the model in memory gives", async (device) => {
  const folder = goldenFolder("bert");
  const fromFiles = await loadMaskedLM(folder);
  const inMemory = BertForMaskedLM.from(goldenCheckpoint("bert"));
  const names = [...inMemory.weights.parameters.keys()];
  const statesOf = (model: { weights: typeof inMemory.weights }) =>
    names.flatMap((name) => model.weights.parameters.get(name) ?? []);
  const [a, b] = [await read(device, statesOf(fromFiles)), await read(device, statesOf(inMemory))];
  assert.is(a.length, names.length);
  names.forEach((name, i) => {
    assert.equal(a[i], b[i], name);
  });
});

test("files are open only while they are read", async () => {
  const links = "/proc/self/fd"; // Linux; elsewhere nothing is seen, and nothing found
  const open = () =>
    existsSync(links)
      ? readdirSync(links).filter((fd) => {
          const target = join(links, fd);
          return existsSync(target) && readFileSync(`/proc/self/fdinfo/${fd}`, "utf8") !== "";
        }).length
      : 0;
  const before = open();
  const { tensors } = await readCheckpoint(goldenFolder("roberta"));
  for (const tensor of tensors.values()) await bytesOf(tensor);
  await Promise.all([...tensors.values()].map(bytesOf));
  assert.is(open(), before);
});

test("bytes that are asked for at once come in pieces, together and from far apart", async () => {
  const size = 67 * 2 ** 20 + 3; // longer than one read
  const words = new Uint32Array(Math.ceil(size / 4));
  for (let i = 0, x = 1; i < words.length; i++) {
    x = Math.imul(x, 1664525) + 1013904223;
    words[i] = x;
  }
  const bytes = new Uint8Array(words.buffer, 0, size);
  const path = join(home, "long");
  writeFileSync(path, bytes);
  const source = await pathSource(path);
  if (!source.readInto) throw new Error("files are read in place");
  const ranges: [number, number][] = [
    [0, size],
    [size - 1, size],
    [7, 7],
  ];
  for (let at = 1000; at < 4_000_000; ) {
    const end = at + (words[at] % 20_000);
    ranges.unshift([at, end]);
    at = end + (words[at + 1] % 3 === 0 ? 5 : 0);
  }
  const got = ranges.map(([from, to]) => new Uint8Array(to - from));
  await Promise.all(got.map((into, i) => source.readInto?.(ranges[i][0], into)));
  const equal = got.filter((b, i) => Buffer.compare(b, bytes.subarray(...ranges[i])) === 0);
  assert.is(equal.length, ranges.length);
  console.log(`${ranges.length} ranges`);
});

test("a file that was changed after its header was read", async () => {
  const path = directory({ "model.safetensors": file({ w: number(1) }) });
  const weights = join(path, "model.safetensors");
  const changes: [string, () => void][] = [
    ["was changed while it was used; start again", () => utimesSync(weights, 1, 1)],
    ["was changed while it was used", () => writeFileSync(weights, new Uint8Array(3))],
    ["cannot be read (ENOENT)", () => unlinkSync(weights)],
  ];
  for (const [said, change] of changes) {
    writeFileSync(weights, file({ w: number(1) }));
    const { tensors } = await readCheckpoint(path);
    const w = tensors.get("w");
    if (!w) throw new Error("no w");
    assert.is((await bytesOf(w)).length, 4);
    change();
    const message = await failure(bytesOf(w));
    assert.ok(message.startsWith(`[source] ${weights} `) && message.includes(said), message);
  }
  assert.match(await failure(pathSource(home)), "cannot be read (it is a directory)");
});

test("a directory without a checkpoint, or with a damaged one", async () => {
  const empty = join(home, "nothing");
  assert.match(
    await failure(readCheckpoint(empty)),
    `[config] ${join(empty, "config.json")} does not exist; name a directory that holds config.json and model.safetensors`,
  );
  const none = directory({ "config.json": new TextEncoder().encode("{") });
  assert.match(await failure(readCheckpoint(none)), "is not JSON; fetch the file again");
  const broken = directory({ "model.safetensors": new Uint8Array(4) });
  assert.match(await failure(readCheckpoint(broken)), "the file has 4 bytes, too few");
  const other = directory({ "pytorch_model.bin": new TextEncoder().encode("<html>") });
  assert.match(await failure(readCheckpoint(other)), /^\[pytorch\] .* is no file of torch.save/);
  const list = directory({ "model.safetensors": file({}), "config.json": [] });
  assert.match(
    await failure(loadMaskedLM(list)),
    "config.json is not a JSON object; fetch the file",
  );
});

test("config.json and an index with a byte order mark; bytes that are no UTF-8", async () => {
  const bytes = (text: string, encoding: BufferEncoding = "utf8") => Buffer.from(text, encoding);
  const index = readFileSync(join(PYTORCH, "pytorch_model.bin.index.json"), "utf8");
  const marked = directory({
    "config.json": bytes('\uFEFF{"model_type": "bert"}'),
    "pytorch_model.bin.index.json": bytes(`\uFEFF${index}`),
  });
  for (const i of [1, 2]) {
    const name = `pytorch_model-0000${i}-of-00002.bin`;
    copyFileSync(join(PYTORCH, name), join(marked, name));
  }
  const { config, tensors } = await readCheckpoint(marked);
  assert.equal(config, { model_type: "bert" });
  assert.is(tensors.size, 3);
  const latin = directory({ "config.json": bytes('{\n"name": "Orl\xe9ans"}', "latin1") });
  assert.is(
    await failure(readCheckpoint(latin)),
    `[config] ${join(latin, "config.json")} is not UTF-8, the encoding that is expected: line 2 has the byte 0xe9 (byte 14 of the file; é in Latin-1); save it as UTF-8`,
  );
  const wide = directory({ "config.json": bytes("\uFEFF{}", "utf16le") });
  assert.match(await failure(readCheckpoint(wide)), "config.json is UTF-16 by its first two bytes");
  const other = directory({ "model.safetensors.index.json": bytes("{\xff", "latin1") });
  const named = "[weights] ".concat(join(other, "model.safetensors.index.json"), " is not UTF-8");
  assert.match(await failure(readCheckpoint(other)), named);
  for (const text of ["", "{", "[]", "null", "7", '"{}"', '{"a": 1} {}']) {
    const path = directory({ "config.json": bytes(text), "model.safetensors": file({}) });
    const wrong = await failure(readCheckpoint(path));
    assert.match(wrong, new RegExp(`^\\[config\\] ${path}/config\\.json is not (a )?JSON`), text);
  }
});

test("a FIFO, a device or a directory in the place of a file is refused at once", async () => {
  const places = ["config.json", ...WEIGHTS, "shard.safetensors"];
  const put = (path: string, kind: "pipe" | "directory" | "device") => {
    rmSync(path, { force: true });
    if (kind === "pipe") execFileSync("mkfifo", [path]);
    else if (kind === "directory") mkdirSync(path);
    else symlinkSync("/dev/zero", path);
  };
  for (const kind of ["pipe", "directory", "device"] as const) {
    for (const place of places) {
      const index = { weight_map: { a: "shard.safetensors" } };
      const path = directory(
        place.startsWith("shard") ? { "model.safetensors.index.json": index } : {},
      );
      put(join(path, place), kind);
      const said = await failure(readCheckpoint(path));
      assert.match(said, place, `${place} a ${kind}`);
      assert.match(said, `is a ${kind}`, `${place} a ${kind}`);
    }
  }
});

test("fingerprints: the same for the same tensors in other files, another for any other bit", async () => {
  const shards = goldenFolder("roberta");
  const first = await checkpointFingerprint(await readCheckpoint(shards));
  assert.match(first, /^[0-9a-f]{16}$/);
  const checkpoint = await readCheckpoint(shards);
  const all: Record<string, TensorEntry> = {};
  for (const [name, { dtype, shape }] of checkpoint.tensors) {
    const tensor = checkpoint.tensors.get(name);
    if (tensor) all[name] = { dtype, shape, data: await bytesOf(tensor) };
  }
  const of = (tensors: Record<string, TensorEntry>, config = checkpoint.config) =>
    checkpointFingerprint({ where: "x", config, tensors: new Map(Object.entries(tensors)) });
  assert.is(await of(all), first);
  assert.is(await of(Object.fromEntries(Object.entries(all).reverse())), first);
  const seen = new Set([first]);
  for (const [name, entry] of Object.entries(all)) {
    const data = entry.data.slice();
    data[data.length - 1] ^= 1;
    seen.add(await of({ ...all, [name]: { ...entry, data } }));
  }
  const { "lm_head.bias": bias, ...rest } = all;
  seen.add(await of({ ...rest, other: bias }));
  seen.add(await of(all, { ...checkpoint.config, pad_token_id: 0 }));
  assert.is(seen.size, Object.keys(all).length + 3);
  const copy = join(home, "copy");
  cpSync(shards, copy, { recursive: true });
  assert.is(await checkpointFingerprint(await readCheckpoint(copy)), first);
});

test.run();
each.run();
