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
import { test } from "uvu";
import * as assert from "uvu/assert";
import { pathSource } from "../../../models/formats/disk.ts";
import { readPytorch } from "../../../models/formats/pytorch.ts";
import { parseSafetensors } from "../../../models/formats/safetensors.ts";
import { openShards } from "../../../models/formats/shards.ts";
import { type ByteSource, bytesSource } from "../../../models/formats/source.ts";
import {
  allOf,
  bytesOf,
  CheckedSource,
  contents,
  type Entry,
  floatsOf,
  P,
  readBytes,
  refusesAs,
  refusesFile,
  torchEntries,
  writeZip,
} from "./archive.ts";

const GOLDEN = fileURLToPath(new URL("../../golden/pytorch/", import.meta.url));
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

const states = readdirSync(GOLDEN).filter((name) => /^state-.*\.bin$/.test(name));

test("every file of torch.save gives PyTorch's tensors", async () => {
  let tensors = 0;
  for (const file of states) {
    const wanted = expectedOf(file.slice("state-".length, -".bin".length));
    const found = await contents(await readBytes(golden(file)));
    assert.equal(sorted(found), sorted(wanted), file);
    tensors += found.size;
  }
  assert.is(expected.size, tensors + 3); // and the shards
  console.log(`${states.length} files, ${tensors} tensors`);
});

test("in pieces of any length, from a file, the same", async () => {
  const source = await pathSource(join(GOLDEN, "state-views.bin"));
  const state = await readPytorch(source, "state-views.bin");
  for (const [name, tensor] of state) {
    const whole = Buffer.from(await allOf(tensor)).toString("hex");
    for (const limit of [1, 7, 16, 1000]) {
      const parts: string[] = [];
      for await (const part of tensor.chunks(limit)) {
        assert.ok(part.length <= limit && part.length > 0, name);
        parts.push(Buffer.from(part).toString("hex"));
      }
      assert.is(parts.join(""), whole, `${name} in pieces of ${limit}`);
    }
  }
});

test("the order of names is that of the dict", async () => {
  const names = [...(await readBytes(golden("state-module.bin"))).keys()];
  assert.equal(names.slice(0, 3), ["position_ids", "embedding.weight", "norm.weight"]);
});

test("opening reads no tensor, and a tensor reads its own storage alone", async () => {
  const zeros = new Uint8Array(1 << 20);
  const tensors = [0, 1].map((i) => P.tensor(P.storage(`${i}`, 1 << 18), 0, [1 << 18], [1]));
  const pickle = P.file(P.dict(P.text("a"), tensors[0], P.text("b"), tensors[1]));
  const source = new CheckedSource(writeZip(torchEntries(pickle, [zeros, zeros])));
  const state = await readPytorch(source, "x.bin");
  assert.ok(source.bytesRead < 2000, `${source.bytesRead} bytes`);
  await allOf(state.get("b"));
  assert.ok(source.bytesRead < zeros.length + 2000, `${source.bytesRead} bytes`);
});

test("asked for in order, no byte is read twice; in any other order the bytes are the same", async () => {
  const values = Float32Array.from({ length: 1000 }, (_, i) => i);
  const storage = new Uint8Array(values.buffer);
  const rows = P.tensor(P.storage("0", 1000), 0, [40, 25], [25, 1]);
  const columns = P.tensor(P.storage("0", 1000), 0, [25, 40], [1, 25]);
  const pickle = P.file(P.dict(P.text("rows"), rows, P.text("columns"), columns));
  const file = writeZip(torchEntries(pickle, [storage]));
  const columnBytes = await allOf((await readBytes(file)).get("columns"));
  assert.is(new Float32Array(columnBytes.buffer)[1], 25);
  for (const [name, all] of [
    ["rows", storage],
    ["columns", columnBytes],
  ] as const) {
    for (const order of [
      [0, 1, 2, 3],
      [3, 2, 1, 0],
      [0, 2, 1, 3],
      [1, 1, 0, 0, 3, 2],
    ]) {
      const source = new CheckedSource(file);
      const tensor = (await readPytorch(source, "x.bin")).get(name);
      const before = source.bytesRead;
      const parts = order.map((i) => tensor?.read(1000 * i, 1000 * i + 1000)); // all at once
      for (const [k, i] of order.entries()) {
        assert.equal(await parts[k], all.slice(1000 * i, 1000 * i + 1000), `${name} ${order}`);
      }
      if (name === "rows" && order.join() === "0,1,2,3") {
        assert.ok(source.bytesRead - before < 4100, `${source.bytesRead - before} bytes`);
      }
    }
  }
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
  };
  assert.ok(size > 2 ** 32);
  const state = await readPytorch(source, "large.bin");
  assert.equal(state.get("zeros")?.shape, [1_080_000_000]);
  assert.is(state.get("zeros")?.byteLength, 4_320_000_000);
  assert.equal(await floatsOf(state.get("behind")), [0, 1, 2, 3, 4]);
  assert.ok(bytesRead < 5000, `${bytesRead} bytes`);
});

test("the layout of PyTorch 1.6: another folder, no byte order", async () => {
  const pickle = P.file(P.dict(P.text("w"), P.tensor(P.storage("94830", 4), 1, [3], [1])));
  const values = new Float32Array([1, 2, 3, 4]);
  const entries: Entry[] = [
    { name: "some name/data.pkl", data: pickle },
    { name: "some name/data/94830", data: new Uint8Array(values.buffer) },
    { name: "some name/.data/version", data: bytesOf("6\n") },
  ];
  const state = await readBytes(writeZip(entries));
  assert.equal(await floatsOf(state.get("w")), [2, 3, 4]);
});

test("shards by their index", async () => {
  const text = readFileSync(join(GOLDEN, INDEX), "utf8");
  const opened: string[] = [];
  const { tensors } = await openShards(text, INDEX, async (file) => {
    opened.push(file);
    return bytesSource(golden(file));
  });
  const state = await contents(tensors);
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
    return refusesAs("weights", () => openShards(text, INDEX, open), ...words);
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
    await bad(
      { weight_map: { embedding: path } },
      "no .safetensors or .bin beside it",
      "'embedding'",
    );
  }
  await bad({ weight_map: { a: "nope.bin" } }, "shard 'nope.bin'", "cannot be opened", "ENOENT");
  await bad({ weight_map: { decoder: first } }, "'decoder'", first, "does not hold it");
  await bad({ weight_map: { other: second } }, "'other'", second, "does not hold it");
  await bad(
    { weight_map: { a: "x".repeat(1e6) } },
    "no .safetensors or .bin beside it",
    `${"x".repeat(77)}...'`,
  );
  await bad({ weight_map: { a: "refused/x.bin" } }, "no .safetensors or .bin beside it");
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
  const { tensors: state } = await openShards(
    JSON.stringify({ weight_map: { both: "2.bin", first: "1.bin" } }),
    INDEX,
    open,
  );
  assert.equal([...state.keys()].sort(), ["both", "first", "second"]);
  assert.equal([...((await allOf(state.get("both"))) ?? [])], [0, 0, 0, 64]);
  const silent = JSON.stringify({ weight_map: { first: "1.bin", second: "2.bin" } });
  await refusesAs("weights", () => openShards(silent, INDEX, open), "'both'", "'1.bin'", "'2.bin'");
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

test("a file that shrinks while it is read, a folder, no file", async () => {
  const folder = mkdtempSync(join(tmpdir(), "pytorch-"));
  const path = join(folder, "x.bin");
  writeFileSync(path, golden("state-module.bin"));
  const source = await pathSource(path);
  const state = await readPytorch(source, path);
  truncateSync(path, 2000);
  const failed = async (run: () => Promise<unknown>, pattern: RegExp) => {
    const message = await run().then(String, (error: Error) => error.message);
    assert.match(message, pattern);
  };
  await failed(async () => contents(state), /^\[source\] .*x\.bin was changed while it was used/);
  await failed(() => pathSource(folder), /^\[source\] .* cannot be read/);
  await failed(
    () => pathSource(join(folder, "none")),
    /^\[source\] .*none cannot be read \(ENOENT/,
  );
  rmSync(folder, { recursive: true });
});

test.run();
