import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { crc32 } from "node:zlib";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { INSTRUCTION_LIMIT } from "../../models/pickle.ts";
import { readPytorch, readPytorchShards, type StateDict } from "../../models/pytorch.ts";
import { parseSafetensors } from "../../models/safetensors.ts";
import { type ByteSource, bytesSource, fileSource } from "../../models/source.ts";
import { portableCrc32 } from "../../models/zip.ts";
import {
  bytesOf,
  CheckedSource,
  contents,
  type Entry,
  isRefusal,
  le,
  P,
  torchEntries,
  writeZip,
} from "./archive.ts";

const GOLDEN = fileURLToPath(new URL("../golden/pytorch/", import.meta.url));
const golden = (name: string) => new Uint8Array(readFileSync(join(GOLDEN, name)));
const INDEX = "pytorch_model.bin.index.json";

/** What PyTorch read back, by "file:tensor". */
const expected = parseSafetensors(golden("state.safetensors"), "state.safetensors").tensors;

function expectedOf(file: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const [name, { dtype, shape, data }] of expected) {
    if (!name.startsWith(`${file}:`)) continue;
    const hex = Buffer.from(data.buffer, data.byteOffset, data.length).toString("hex");
    found.set(name.slice(file.length + 1), `${dtype} [${shape}] ${hex}`);
  }
  return found;
}

const sorted = (map: Map<string, string>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));

/** Runs what must refuse: one sentence of ours that holds all the words. */
async function refuses(run: () => Promise<unknown>, ...words: string[]): Promise<string> {
  let error: unknown;
  try {
    await run();
  } catch (thrown) {
    error = thrown;
  }
  assert.ok(error, `refuses (${words})`);
  assert.ok(isRefusal(error, "pytorch"), `a sentence of ours: ${error}`);
  const message = error instanceof Error ? error.message : "";
  for (const word of words) assert.ok(message.includes(word), `'${word}' in: ${message}`);
  return message;
}

const read = (bytes: Uint8Array) => readPytorch(new CheckedSource(bytes), "x.bin");

const refusesFile = (bytes: Uint8Array, ...words: string[]) =>
  refuses(async () => contents(await read(bytes)), "[pytorch] x.bin ", ...words);

const refusesEntries = (entries: readonly Entry[], ...words: string[]) =>
  refusesFile(writeZip(entries), ...words);

/** A file whose pickle is the given instructions, over a storage of 4 floats. */
const pickled = (...parts: (string | number | Uint8Array)[]) =>
  writeZip(torchEntries(P.file(...parts), [new Uint8Array(16)]));

const refusesPickle = (parts: (string | number | Uint8Array)[], ...words: string[]) =>
  refusesFile(pickled(...parts), ...words);

const states = readdirSync(GOLDEN).filter((name) => /^state-.*\.bin$/.test(name));

test("every file of torch.save gives PyTorch's tensors", async () => {
  let tensors = 0;
  for (const file of states) {
    const wanted = expectedOf(file.slice("state-".length, -".bin".length));
    const found = await contents(await read(golden(file)));
    assert.equal(sorted(found), sorted(wanted), file);
    tensors += found.size;
  }
  assert.is(expected.size, tensors + 3); // and the shards
  console.log(`${states.length} files, ${tensors} tensors`);
});

test("in pieces of any length, from a file, the same", async () => {
  const source = await fileSource(join(GOLDEN, "state-views.bin"));
  const state = await readPytorch(source, "state-views.bin");
  for (const [name, tensor] of state) {
    const whole = Buffer.from(await tensor.bytes()).toString("hex");
    for (const limit of [1, 7, 16, 1000]) {
      const parts: string[] = [];
      for await (const part of tensor.chunks(limit)) {
        assert.ok(part.length <= limit && part.length > 0, name);
        parts.push(Buffer.from(part).toString("hex"));
      }
      assert.is(parts.join(""), whole, `${name} in pieces of ${limit}`);
    }
  }
  await source.close();
});

test("the order of names is that of the dict", async () => {
  const names = [...(await read(golden("state-module.bin"))).keys()];
  assert.equal(names.slice(0, 3), ["position_ids", "embedding.weight", "norm.weight"]);
});

test("opening reads no tensor, and a tensor reads its own storage alone", async () => {
  const zeros = new Uint8Array(1 << 20);
  const tensors = [0, 1].map((i) => P.tensor(P.storage(`${i}`, 1 << 18), 0, [1 << 18], [1]));
  const pickle = P.file(P.dict(P.text("a"), tensors[0], P.text("b"), tensors[1]));
  const source = new CheckedSource(writeZip(torchEntries(pickle, [zeros, zeros])));
  const state = await readPytorch(source, "x.bin");
  assert.ok(source.bytesRead < 2000, `${source.bytesRead} bytes`);
  await state.get("b")?.bytes();
  assert.ok(source.bytesRead < zeros.length + 2000, `${source.bytesRead} bytes`);
});

test("bytes() is the caller's own", async () => {
  const file = golden("state-views.bin");
  const state = await read(file);
  const first = await state.get("base")?.bytes();
  first?.fill(7);
  const again = await contents(state);
  assert.is(again.get("base"), expectedOf("views").get("base"));
});

test("a file beyond 4 GiB (zip64)", async () => {
  const { size, parts } = JSON.parse(readFileSync(join(GOLDEN, "large.json"), "utf8"));
  const pieces = parts.map(([at, text]: [number, string]) => ({
    at,
    data: Buffer.from(text, "base64"),
  }));
  let bytesRead = 0;
  const source: ByteSource = {
    size,
    read: async (offset, length) => {
      bytesRead += length;
      const bytes = new Uint8Array(length);
      for (const { at, data } of pieces) {
        for (let i = 0; i < data.length; i++) {
          const to = at + i - offset;
          if (to >= 0 && to < length) bytes[to] = data[i];
        }
      }
      return bytes;
    },
    close: async () => {},
  };
  assert.ok(size > 2 ** 32);
  const state = await readPytorch(source, "large.bin");
  assert.equal(state.get("zeros")?.shape, [1_080_000_000]);
  assert.is(state.get("zeros")?.byteLength, 4_320_000_000);
  const behind = await state.get("behind")?.bytes();
  assert.equal([...new Float32Array(behind?.buffer ?? new ArrayBuffer(0))], [0, 1, 2, 3, 4]);
  assert.ok(bytesRead < 5000, `${bytesRead} bytes`);
});

test("the layout of PyTorch 1.6: another folder, no byte order", async () => {
  const bare = (await read(golden("state-module.bin"))) satisfies StateDict;
  assert.ok(bare.size > 0);
  const pickle = P.file(P.dict(P.text("w"), P.tensor(P.storage("94830", 4), 1, [3], [1])));
  const values = new Float32Array([1, 2, 3, 4]);
  const entries: Entry[] = [
    { name: "some name/data.pkl", data: pickle },
    { name: "some name/data/94830", data: new Uint8Array(values.buffer) },
    { name: "some name/.data/version", data: bytesOf("6\n") },
  ];
  const bytes = await (await read(writeZip(entries))).get("w")?.bytes();
  assert.equal([...new Float32Array(bytes?.buffer ?? new ArrayBuffer(0))], [2, 3, 4]);
});

test("shards by their index", async () => {
  const text = readFileSync(join(GOLDEN, INDEX), "utf8");
  const opened: string[] = [];
  const state = await readPytorchShards(text, INDEX, async (file) => {
    opened.push(file);
    return bytesSource(golden(file));
  }).then(contents);
  assert.equal(sorted(state), sorted(expectedOf("shards")));
  assert.equal(
    opened,
    [1, 2].map((i) => `pytorch_model-0000${i}-of-00002.bin`),
  );
});

test("an index that is wrong", async () => {
  const first = "pytorch_model-00001-of-00002.bin";
  const second = "pytorch_model-00002-of-00002.bin";
  const open = async (file: string) => bytesSource(golden(file));
  const bad = (index: unknown, ...words: string[]) => {
    const text = typeof index === "string" ? index : JSON.stringify(index);
    return refuses(() => readPytorchShards(text, INDEX, open), ...words);
  };
  await bad("{", INDEX, "no JSON");
  await bad("[".repeat(200_000), "no JSON");
  await bad(`${"[".repeat(200_000)}${"]".repeat(200_000)}`, "weight_map");
  await bad({ metadata: {} }, "weight_map");
  await bad({ weight_map: [first] }, "weight_map");
  await bad({ weight_map: {} }, "empty");
  await bad({ weight_map: { a: 1 } }, "no file name for 'a'");
  for (const path of [
    "../x.bin",
    "/etc/passwd",
    "a/b.bin",
    "..",
    ".",
    "",
    "..\\x.bin",
    "C:x",
    "a\0b",
  ]) {
    await bad({ weight_map: { embedding: path } }, "not a file beside it", "'embedding'");
  }
  await bad({ weight_map: { a: "nope.bin" } }, "shard 'nope.bin'", "cannot be opened", "ENOENT");
  await bad({ weight_map: { decoder: first } }, "'decoder'", first, "does not hold it");
  await bad({ weight_map: { other: second } }, "'other'", second, "does not hold it");
  await bad({ weight_map: { a: "refused/x.bin" } }, "not a file beside it");
});

test("a tensor that two shards hold, and one that the index forgot", async () => {
  const file = (value: number, ...names: string[]) => {
    const tensor = P.tensor(P.storage("0", 1), 0, [1], [1]);
    const pickle = P.file(P.dict(...names.flatMap((name) => [P.text(name), tensor])));
    return writeZip(torchEntries(pickle, [new Uint8Array(new Float32Array([value]).buffer)]));
  };
  const files: Record<string, Uint8Array> = {
    "1.bin": file(1, "both", "first"),
    "2.bin": file(2, "both", "second"),
  };
  const open = async (name: string) => bytesSource(files[name]);
  const state = await readPytorchShards(
    JSON.stringify({ weight_map: { both: "2.bin", first: "1.bin" } }),
    INDEX,
    open,
  );
  assert.equal([...state.keys()].sort(), ["both", "first", "second"]);
  assert.equal([...((await state.get("both")?.bytes()) ?? [])], [0, 0, 0, 64]);
  const silent = JSON.stringify({ weight_map: { first: "1.bin", second: "2.bin" } });
  await refuses(() => readPytorchShards(silent, INDEX, open), "'both'", "'1.bin'", "'2.bin'");
});

test("what torch.save writes and a state dict is not", async () => {
  const words: Record<string, string[]> = {
    nested: [
      "dict of 5",
      "'epoch' (int)",
      "'state_dict' (OrderedDict of 2)",
      "save 'state_dict' alone",
    ],
    list: ["one list of 1", "save model.state_dict()"],
    tensor: ["one tensor of F32"],
    number: ["'step' (int)"],
    module: ["asks for torch.nn.modules.linear.Linear", "no code is executed"],
    sparse: ["asks for torch._utils._rebuild_sparse_tensor"],
    quantized: ["asks for torch._utils._rebuild_qtensor"],
    subclass: ["asks for torch._tensor._rebuild_from_type_v2"],
    meta: ["asks for torch._utils._rebuild_meta_tensor_no_storage"],
    double: ["asks for torch.ComplexDoubleStorage"],
    conjugated: ["conjugated", "resolve_conj()"],
    expanded: ["[1099511627776]", "only 1 values", "contiguous()"],
    set: ["asks for __builtin__.set"],
    storage: ["'weight' (storage)"],
    optimizer: [
      "'state' (dict of 0)",
      "'param_groups' (list of 1)",
      "save model.state_dict() alone",
    ],
    legacy: ["before PyTorch 1.6", "torch.load", "torch.save"],
    torchscript: ["TorchScript", "torch.jit.load"],
  };
  const files = readdirSync(join(GOLDEN, "refused"));
  assert.equal(files.map((file) => file.slice(0, -4)).sort(), Object.keys(words).sort());
  for (const [name, found] of Object.entries(words)) {
    await refusesFile(golden(`refused/${name}.bin`), ...found);
  }
});

test("what is no archive at all", async () => {
  await refusesFile(new Uint8Array(0), "no file of torch.save");
  await refusesFile(bytesOf("<!DOCTYPE html><html>"), "begins with '<!DOCTYPE html><'");
  await refusesFile(bytesOf("version https://git-lfs.github.com/spec/v1\n"), "git lfs pull");
  await refusesFile(bytesOf("\x00\x1b[31m"), "\\u{0}\\u{1b}[31m");
  await refusesFile(golden("state.safetensors"), "no file of torch.save");
  await refusesFile(bytesOf("PK\x03\x04"), "truncated");
});

test("Python's own pickles of calls do nothing but raise", async () => {
  const files: Record<string, string> = JSON.parse(
    readFileSync(join(GOLDEN, "malicious.json"), "utf8"),
  );
  const asked = ["posix.system", "__builtin__.eval", "builtins.eval", "subprocess.Popen"];
  const seen = new Set<string>();
  for (const [name, text] of Object.entries(files)) {
    const file = writeZip(torchEntries(new Uint8Array(Buffer.from(text, "base64"))));
    const message = await refusesFile(file, "refused", "no code is executed");
    const how = name.endsWith("0") ? / uses the instruction [A-Z]+: / : / asks for [\w.]+: /;
    assert.match(message, how, name);
    for (const call of asked) if (message.includes(`asks for ${call}: `)) seen.add(call);
  }
  assert.equal([...seen].sort(), asked.sort());
  console.log(`${Object.keys(files).length} pickles of calls refused by name`);
});

const ordered = P.call(P.name("collections", "OrderedDict"));
const floats = P.storage("0", 4);

test("names, calls and instructions that are not data", async () => {
  const cases: [string, (string | number | Uint8Array)[], ...string[]][] = [
    ["GLOBAL", [P.name("os", "system")], "asks for os.system: "],
    ["REDUCE", [P.call(P.name("nt", "system"), P.text("dir"))], "asks for nt.system: "],
    ["STACK_GLOBAL", [P.text("os"), P.text("system"), "\x93"], "asks for os.system: "],
    ["STACK_GLOBAL of numbers", [P.int(1), P.int(2), "\x93"], "no text"],
    ["INST", ["(", P.text("ls"), "ios\nsystem\n"], "asks for os.system (INST)"],
    ["OBJ", ["(", P.name("torch", "Size"), "o"], "OBJ"],
    ["NEWOBJ", [P.name("torch", "Size"), ")\x81"], "NEWOBJ"],
    ["NEWOBJ_EX", [P.name("torch", "Size"), ")}\x92"], "NEWOBJ_EX"],
    ["EXT1", ["\x82\x01"], "EXT1"],
    ["EXT2", ["\x83\x01\x00"], "EXT2"],
    ["EXT4", ["\x84\x01\x00\x00\x00"], "EXT4"],
    ["PERSID", ["Pos.system\n"], "PERSID"],
    ["INT", ["I1\n"], "INT"],
    ["LONG", ["L1L\n"], "LONG"],
    ["STRING", ["S'os'\n"], "STRING"],
    ["GET", ["g0\n"], "GET"],
    ["BYTEARRAY8", ["\x96", le(1n << 62n, 8)], "BYTEARRAY8"],
    ["NEXT_BUFFER", ["\x97"], "NEXT_BUFFER"],
    ["DUP", ["N2"], "DUP"],
    ["a dtype called", [P.call(P.name("torch", "float32"))], "calls torch.float32"],
    [
      "a storage class called",
      [P.call(P.name("torch", "FloatStorage"), P.int(9))],
      "calls torch.FloatStorage",
    ],
    ["a text called", [P.call(P.text("os.system"), P.text("ls"))], "calls what is no name"],
    ["a dict called", ["})R"], "calls what is no name"],
    ["BUILD of a dict", ["}}b"], "BUILD"],
    ["BUILD of a tensor", [P.tensor(floats, 0, [4], [1]), "}b"], "BUILD"],
    ["BUILD of a class", [P.name("collections", "OrderedDict"), "}b"], "BUILD"],
    ["BUILD by a tuple", [ordered, "})\x86b"], "BUILD"],
    ["a module path", [P.name("torch.nn.modules", "..os")], "asks for torch.nn.modules...os"],
    [
      "a dotted name",
      [P.text("torch"), P.text("serialization.os.system"), "\x93"],
      "torch.serialization.os.system",
    ],
    ["Object's own", [P.name("__proto__", "constructor")], "asks for __proto__.constructor"],
  ];
  for (const [name, parts, ...words] of cases) {
    const message = await refusesPickle(parts, ...words);
    assert.ok(message.includes("no code is executed"), name);
  }
  console.log(`${cases.length} pickles that are not data refused`);
});

test("attributes of an OrderedDict are notes, whatever they are called", async () => {
  const evil = P.dict(P.text("__class__"), P.text("os"), P.text("entries"), ordered);
  const file = pickled(P.call(P.name("collections", "OrderedDict")), evil, "b");
  assert.is((await read(file)).size, 0);
  const proto = P.dict(P.text("__proto__"), P.tensor(floats, 0, [4], [1]));
  assert.equal([...(await read(pickled(proto))).keys()], ["__proto__"]);
});

test("a pickle that is broken", async () => {
  const cases: [(string | number | Uint8Array)[], ...string[]][] = [
    [[], "where none is"],
    [["NN"], "left over"],
    [["}("], "where none is"],
    [["}", ".", "N"], "left over"],
    [["\x85"], "where none is"],
    [["(\x85"], "where none is"],
    [["N(\x85"], "where none is"],
    [["t"], "no mark"],
    [["}(Nu"], "without a value"],
    [["}(", P.text("a"), "N", P.text("a"), "Nu"], "'a' twice"],
    [["}(NNNNu"], "'null' twice"],
    [["}()Nu"], "neither text nor number"],
    [["](NNu"], "no dict"],
    [["}Na"], "no list"],
    [["h\x05"], "recalls value 5"],
    [["j\xff\xff\xff\xff"], "recalls value 4294967295"],
    [["X\xff\xff\xff\xff"], "4294967295 more bytes"],
    [["\x8d", le((1n << 64n) - 1n, 8)], "more bytes"],
    [["\x8d", le(1n << 40n, 8)], "1099511627776 more bytes"],
    [["X\x01\x00\x00\x00\xff"], "no UTF-8"],
    [["cos"], "without an end"],
    [["\x8a\xff", new Uint8Array(255)], "integer of 255 bytes"],
    [["\x8b\xff\xff\xff\x7f"], "integer of 2147483647 bytes"],
    [["\xff"], "no instruction of Python (code 255)"],
    [[P.name("collections", "OrderedDict"), "]R"], "without a tuple"],
  ];
  for (const [parts, ...words] of cases) await refusesPickle(parts, "broken pickle", ...words);
  const cut = P.file(P.dict(P.text("w"), P.tensor(floats, 0, [4], [1])));
  for (let length = 0; length < cut.length; length++) {
    await refusesEntries(torchEntries(cut.subarray(0, length), [new Uint8Array(16)]));
  }
  console.log(`${cases.length} broken pickles and ${cut.length} cut ones refused`);
});

test("tensors that are none", async () => {
  const rebuild = (name: string, ...args: Uint8Array[]) =>
    P.dict(P.text("w"), P.call(P.name("torch._utils", name), ...args));
  const of = (...args: Uint8Array[]) => rebuild("_rebuild_tensor_v2", ...args);
  const zero = P.int(0);
  const shape = P.tuple(P.int(4));
  const stride = P.tuple(P.int(1));
  const v3 = (dtype: Uint8Array) =>
    rebuild(
      "_rebuild_tensor_v3",
      bytesOf(
        P.tuple(
          P.text("storage"),
          P.name("torch.storage", "UntypedStorage"),
          P.text("0"),
          P.text("cpu"),
          P.int(16),
        ),
        "Q",
      ),
      zero,
      shape,
      stride,
      bytesOf("\x89"),
      ordered,
      dtype,
    );
  const id = (...items: Uint8Array[]) => bytesOf(P.tuple(...items), "Q");
  const type = P.name("torch", "FloatStorage");
  const cases: [Uint8Array, ...string[]][] = [
    [of(), "without storage"],
    [of(P.text("0"), zero, shape, stride), "without storage"],
    [of(floats, P.int(-1), shape, stride), "without storage"],
    [of(floats, zero, P.tuple(P.int(-4)), stride), "without storage"],
    [of(floats, zero, shape, P.tuple()), "without storage"],
    [of(floats, zero, shape, P.tuple(P.int(-1))), "without storage"],
    [of(floats, zero, P.int(4), P.int(1)), "without storage"],
    [
      of(floats, zero, P.tuple(...Array(65).fill(P.int(1))), P.tuple(...Array(65).fill(P.int(1)))),
      "without storage",
    ],
    [
      of(floats, zero, P.tuple(bytesOf("G", new Uint8Array(8).fill(64))), stride),
      "without storage",
    ],
    [of(floats, P.int(1), shape, stride), "passes the 4 values"],
    [of(floats, zero, shape, P.tuple(P.int(2))), "passes the 4 values"],
    [of(floats, zero, P.tuple(P.int(5)), stride), "over a storage of only 4 values"],
    [
      of(floats, zero, P.tuple(P.int(1 << 30), P.int(1 << 30)), P.tuple(zero, zero)),
      "contiguous()",
    ],
    [v3(P.text("float32")), "without a dtype"],
    [v3(P.name("torch", "int3")), "asks for torch.int3"],
    [rebuild("_rebuild_parameter", P.int(1)), "a Parameter of no tensor"],
    [rebuild("_rebuild_parameter"), "a Parameter of no tensor"],
    [id(), "a storage without"],
    [bytesOf("NQ"), "a storage without"],
    [id(P.text("module"), type, P.text("0"), P.text("cpu"), P.int(4)), "a storage without"],
    [
      id(P.text("storage"), P.name("torch", "float32"), P.text("0"), P.text("cpu"), P.int(4)),
      "no storage class",
    ],
    [
      id(P.text("storage"), P.text("FloatStorage"), P.text("0"), P.text("cpu"), P.int(4)),
      "no storage class",
    ],
    [id(P.text("storage"), type, P.text("1"), P.text("cpu"), P.int(4)), "no entry 'data/1'"],
    [
      id(P.text("storage"), type, P.text("../version"), P.text("cpu"), P.int(4)),
      "no entry 'data/../version'",
    ],
    [id(P.text("storage"), type, P.text("0"), P.text("cpu"), P.int(5)), "5 values", "16 bytes"],
    [P.call(P.name("collections", "OrderedDict"), P.tuple()), "OrderedDict with arguments"],
    [P.call(P.name("torch", "Size"), P.int(3)), "torch.Size of no tuple"],
    [P.dict(P.int(1), P.tensor(floats, 0, [4], [1])), "'1' (tensor of F32)"],
  ];
  for (const [parts, ...words] of cases) await refusesPickle([parts], ...words);
  console.log(`${cases.length} odd tensors refused`);
});

test("structures that grow or contain themselves end in bounded time and memory", async () => {
  const many = 2 ** 20;
  const cases: [string, Uint8Array, ...string[]][] = [
    ["a list in itself", bytesOf("]q\x00h\x00a"), "one list of 1"],
    ["a dict in itself", bytesOf("}q\x00", P.text("me"), "h\x00s"), "'me' (dict of 1)"],
    ["an attribute of itself", bytesOf(ordered, "q\x00h\x00b"), ""],
    ["doubling tuples", bytesOf(")", ..."q\x00h\x00\x86".repeat(5000)), "one tuple of 2"],
    ["tuples a million deep", bytesOf(")", new Uint8Array(many).fill(0x85)), "one tuple of 1"],
    ["a million marks", new Uint8Array(many).fill(0x28), "broken"],
    ["marks and tuples", bytesOf("(".repeat(many / 2), "t".repeat(many / 2)), "one tuple of 1"],
    ["dicts", new Uint8Array(2 * many).fill(0x7d), "instructions"],
    ["lists", new Uint8Array(2 * many).fill(0x5d), "instructions"],
    ["memo", bytesOf("N", new Uint8Array(3 * many).fill(0x94)), "instructions"],
    [
      "long memo",
      bytesOf("N", ...Array.from({ length: 50_000 }, (_, i) => bytesOf("r", le(i * 80_000, 4)))),
      "one None",
    ],
    [
      "one value many times",
      bytesOf("]q\x00", "(".repeat(1), "h\x00".repeat(many / 2), "e"),
      "one list of 524288",
    ],
    [
      "a text many times",
      bytesOf(P.text("x".repeat(1 << 20)), "q\x00", "h\x00".repeat(500_000)),
      "left over",
    ],
  ];
  for (const [name, pickle, ...words] of cases) {
    const entries = torchEntries(P.file(pickle), [new Uint8Array(16)]);
    const file = writeZip(entries);
    const start = process.cpuUsage();
    if (words[0] === "") assert.is((await read(file)).size, 0, name);
    else await refusesFile(file, ...words);
    const { user, system } = process.cpuUsage(start);
    assert.ok(user + system < 4e6, `${name} took ${user + system} microseconds`);
  }
  assert.ok(process.memoryUsage().rss < 1.2e9, `${process.memoryUsage().rss} bytes`);
  assert.ok(INSTRUCTION_LIMIT === 2 * many);
  const big = { name: "archive/data.pkl", data: new Uint8Array(33 * 2 ** 20) };
  await refusesEntries(
    [big, ...torchEntries(new Uint8Array()).slice(1)],
    "data.pkl of 34603008 bytes",
  );
});

const good = P.file(P.dict(P.text("w"), P.tensor(floats, 0, [4], [1])));

test("archives that torch.save would not write", async () => {
  const entries = torchEntries(good, [new Uint8Array(16)]);
  assert.is((await read(writeZip(entries))).size, 1);
  const with_ = (name: string, change: Partial<Entry>) =>
    entries.map((entry) => (entry.name === `archive/${name}` ? { ...entry, ...change } : entry));
  const extra = (name: string, more: Partial<Entry> = {}) => [
    ...entries,
    { name, data: bytesOf("x"), ...more },
  ];
  const text = (name: string, data: string) => with_(name, { data: bytesOf(data) });
  await refusesEntries(with_("data/0", { method: 8 }), "compressed entry 'archive/data/0'");
  await refusesEntries(
    with_("data.pkl", { method: 8, sizes: [good.length, 0xfffffffe] }),
    "compressed",
  );
  await refusesEntries(with_("data/0", { flags: 1 }), "encrypted");
  await refusesEntries(with_("data/0", { crc: 1 }), "wrong bytes", "'archive/data/0'", "CRC-32");
  await refusesEntries(with_("data.pkl", { crc: 1 }), "wrong bytes", "data.pkl");
  await refusesEntries(with_("data/0", { sizes: [16, 17] }), "two sizes");
  await refusesEntries(
    with_("data/0", { sizes: [15, 15] }),
    "4 values of torch.FloatStorage",
    "15 bytes",
  );
  await refusesEntries(with_("data/0", { sizes: [2 ** 31, 2 ** 31] }), "ends past");
  await refusesEntries(with_("data/0", { sizes: [60, 60] }), "overlaps");
  await refusesEntries(with_("data/0", { sizes: [0xffffffff, 0xffffffff] }), "ends past");
  await refusesEntries(text("byteorder", "big"), "byte order 'big'");
  await refusesEntries(text("version", "99\n"), "version '99'");
  await refusesEntries(text("version", "x\n"), "version 'x'");
  await refusesEntries(entries.slice(0, -1), "version 'none'");
  await refusesEntries(entries.slice(1), "0 entries data.pkl");
  await refusesEntries(extra("other/data.pkl"), "2 entries data.pkl");
  await refusesEntries(extra("other/x"), "'other/x' outside");
  await refusesEntries(extra("archive/version"), "two entries 'archive/version'");
  for (const path of [
    "../x",
    "archive/../../x",
    "/etc/passwd",
    "archive//x",
    "a\\..\\x",
    "archive/.",
    "archive/",
  ]) {
    await refusesEntries(extra(path), `'${path}'`, "leads out of its folder");
  }
  await refusesEntries(extra("other/\u202e\u001b[2J"), "'other/\\u{202e}\\u{1b}[2J' outside");
  const file = writeZip(entries);
  await refusesFile(writeZip(entries, "a comment"), "truncated or has bytes appended");
  await refusesFile(bytesOf(file, 0), "truncated or has bytes appended");
  for (let length = 0; length < file.length; length++) await refusesFile(file.subarray(0, length));
  const start = file.length - 22;
  const patched = (at: number, ...bytes: number[]) => {
    const copy = file.slice();
    copy.set(bytes, at);
    return copy;
  };
  await refusesFile(patched(start + 10, 9), "has 4 entries", "says 9");
  await refusesFile(patched(start + 4, 1), "split archive");
  await refusesFile(patched(start + 12, 1), "not in front of it");
  await refusesFile(patched(start + 16, 0xff, 0xff, 0xff, 0xff), "not in front of it");
});

test("wrong bytes are found before a tensor is complete, and hurt no other", async () => {
  const file = golden("state-views.bin");
  const base = Buffer.from(expected.get("views:base")?.data ?? []);
  const at = Buffer.from(file).indexOf(base);
  assert.ok(at > 0);
  file[at + 100] ^= 1;
  const state = await read(file);
  for (const name of ["base", "tied", "transposed", "rows", "column"]) {
    await refuses(async () => state.get(name)?.bytes(), "[pytorch] x.bin ", "wrong bytes");
  }
  assert.is((await state.get("frozen")?.bytes())?.length, 80);
  let seen = 0;
  await refuses(async () => {
    const pieces = state.get("base")?.chunks(64);
    if (pieces) for await (const part of pieces) seen += part.length;
  }, "wrong bytes");
  assert.is(seen, 192); // of 240
});

test("a file that shrinks while it is read, a folder, no file", async () => {
  const folder = mkdtempSync(join(tmpdir(), "pytorch-"));
  const path = join(folder, "x.bin");
  writeFileSync(path, golden("state-module.bin"));
  const source = await fileSource(path);
  const state = await readPytorch(source, path);
  truncateSync(path, 2000);
  const failed = async (run: () => Promise<unknown>, pattern: RegExp) => {
    const message = await run().then(String, (error: Error) => error.message);
    assert.match(message, pattern);
  };
  await failed(
    async () => contents(state),
    /^\[source\] .*x\.bin cannot be read \(it ended at byte/,
  );
  await source.close();
  await failed(() => fileSource(folder), /^\[source\] .* cannot be read/);
  await failed(
    () => fileSource(join(folder, "none")),
    /^\[source\] .*none cannot be read \(ENOENT/,
  );
  rmSync(folder, { recursive: true });
});

test("CRC-32 without Node's own", () => {
  const bytes = Uint8Array.from({ length: 1000 }, (_, i) => (i * 37) ^ (i >> 3));
  assert.is(portableCrc32(bytes), crc32(bytes));
  assert.is(portableCrc32(bytes.subarray(7), portableCrc32(bytes.subarray(0, 7))), crc32(bytes));
  assert.is(portableCrc32(bytesOf("123456789")), 0xcbf43926);
});

test.run();
