import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { INSTRUCTION_LIMIT } from "../../../models/formats/pickle.ts";
import {
  bytesOf,
  le,
  P,
  pickled,
  readBytes,
  refusesEntries,
  refusesFile,
  refusesPickle,
  torchEntries,
  writeZip,
} from "./archive.ts";

const MALICIOUS = new URL("../../golden/pytorch/malicious.json", import.meta.url);

const ordered = P.call(P.name("collections", "OrderedDict"));
const floats = P.storage("0", 4);

test("Python's own pickles of calls do nothing but raise", async () => {
  const files: Record<string, string> = JSON.parse(readFileSync(MALICIOUS, "utf8"));
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
  assert.is((await readBytes(file)).size, 0);
  const proto = P.dict(P.text("__proto__"), P.tensor(floats, 0, [4], [1]));
  assert.equal([...(await readBytes(pickled(proto))).keys()], ["__proto__"]);
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
    if (words[0] === "") assert.is((await readBytes(file)).size, 0, name);
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

test.run();
