/**
 * torch.save's format of before PyTorch 1.6: what its reader refuses, how little it reads, and thousands of damaged files. That
 * PyTorch's own files give PyTorch's tensors is seen in pytorch.test.ts.
 */
import { readdirSync, readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readPytorch } from "../../../models/formats/pytorch.ts";
import {
  allOf,
  bytesOf,
  CheckedSource,
  contents,
  floatsOf,
  isRefusal,
  joined,
  le,
  P,
  Random,
  readBytes,
  refusesFile,
} from "./archive.ts";

const SEED = 20_261_128;
const GOLDEN = new URL("../../golden/pytorch/", import.meta.url);
const names = readdirSync(GOLDEN).filter((name) => /^state-legacy-.*\.bin$/.test(name));
const files = names.map((name) => new Uint8Array(readFileSync(new URL(name, GOLDEN))));
assert.ok(files.length >= 8);

const MAGIC = "\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";
const VERSION = P.file("M\xe9\x03");
const SYSTEM = (little = "\x88") =>
  P.file(
    P.dict(
      P.text("protocol_version"),
      bytesOf("M\xe9\x03"),
      P.text("little_endian"),
      bytesOf(little),
    ),
  );
const storage = (key: string, count: number, root = "N", type = "FloatStorage") =>
  bytesOf(
    P.tuple(
      P.text("storage"),
      P.name("torch", type),
      P.text(key),
      P.text("cuda:0"),
      P.int(count),
      bytesOf(root),
    ),
    "Q",
  );
const keys = (...list: string[]) => P.file("](", ...list.map(P.text), "e");
const values = (...list: number[]) =>
  joined([le(list.length, 8), new Uint8Array(Float32Array.from(list).buffer)]);
const state = (...pairs: Uint8Array[]) => P.file(P.dict(...pairs));
const whole = (...parts: Uint8Array[]) => bytesOf(MAGIC, VERSION, SYSTEM(), ...parts);

const two = [
  P.text("a"),
  P.tensor(storage("k1", 4), 0, [2, 2], [2, 1]),
  P.text("b"),
  P.tensor(storage("k2", 2), 0, [2], [1]),
];

test("storages stand in the order of the list of keys, whatever the order of the tensors", async () => {
  const file = whole(state(...two), keys("k2", "k1"), values(5, 6), values(1, 2, 3, 4));
  const found = await readBytes(file);
  assert.equal(await floatsOf(found.get("a")), [1, 2, 3, 4]);
  assert.equal(await floatsOf(found.get("b")), [5, 6]);
});

test("what is no whole file, or says two things, is refused in one sentence", async () => {
  const good = [state(...two), keys("k1", "k2"), values(1, 2, 3, 4), values(5, 6)] as const;
  const [dict, list, first, second] = good;
  assert.is((await readBytes(whole(...good))).size, 2);
  await refusesFile(whole(dict, list, first), "truncated");
  await refusesFile(whole(...good, bytesOf("x")), "1 bytes behind its last storage");
  await refusesFile(whole(dict, keys("k1"), first, second), "lists 1 of its 2 storages");
  await refusesFile(whole(dict, keys("k1", "k1"), first, second), "'k1'", "or twice");
  await refusesFile(whole(dict, keys("k1", "k3"), first, second), "'k3'", "no tensor has");
  await refusesFile(whole(dict, keys("k2", "k1"), first, second), "2 values", "4 stand");
  await refusesFile(whole(dict, P.file("K\x01"), first, second), "no list of its storages");
  await refusesFile(whole(dict, P.file("](K\x01e"), first, second), "no list of its storages");
  await refusesFile(bytesOf(MAGIC, P.file("M\xe8\x03"), SYSTEM(), ...good), "1000, 1001 is known");
  await refusesFile(bytesOf(MAGIC, VERSION, SYSTEM("\x89"), ...good), "little-endian");
  await refusesFile(bytesOf(MAGIC, VERSION, P.file("N"), ...good), "little-endian");
  await refusesFile(bytesOf(MAGIC, VERSION, P.file("K\x01Q")), "outside of its state dict");
  await refusesFile(bytesOf(MAGIC), "broken pickle");
  await refusesFile(bytesOf(MAGIC.slice(0, -1)), "no file of torch.save");
  const part = P.tensor(storage("k1", 4, "(X\x01\0\0\0kK\x00K\x04t"), 0, [4], [1]);
  await refusesFile(whole(state(P.text("a"), part), keys("k1"), first), "a part of another one");
  const other = P.tensor(storage("k1", 2, "N", "DoubleStorage"), 0, [2], [1]);
  const both = state(P.text("a"), P.tensor(storage("k1", 4), 0, [4], [1]), P.text("b"), other);
  await refusesFile(whole(both, keys("k1"), first), "'k1' in two ways");
  const beyond = P.tensor(storage("k1", 4), 1, [4], [1]);
  await refusesFile(whole(state(P.text("a"), beyond), keys("k1"), first), "passes the 4 values");
  const huge = state(P.text("a"), P.tensor(storage("k1", 2 ** 30), 0, [4], [1]));
  await refusesFile(whole(huge, keys("k1"), first), "truncated");
  const module = P.file(P.name("torch.nn.modules.linear", "Linear"));
  await refusesFile(whole(module, keys()), "asks for torch.nn.modules.linear.Linear");
  await refusesFile(whole(P.file(storage("k1", 4)), keys("k1"), first), "one storage");
});

test("no name but those of tensors, whatever calls it", async () => {
  const malicious: Record<string, string> = JSON.parse(
    readFileSync(new URL("malicious.json", GOLDEN), "utf8"),
  );
  let refused = 0;
  for (const pickle of Object.values(malicious)) {
    await refusesFile(whole(Buffer.from(pickle, "base64"), keys()), "refused");
    refused++;
  }
  assert.ok(refused > 40);
});

test("opening reads no tensor, a tensor its own bytes alone; pickles of any length", async () => {
  const big = new Uint8Array(1 << 20);
  const pairs = ["a", "b"].flatMap((name) => [
    P.text(name),
    P.tensor(storage(name, 1 << 18), 0, [1 << 18], [1]),
  ]);
  const stored = joined([le(1 << 18, 8), big]);
  const source = new CheckedSource(whole(state(...pairs), keys("a", "b"), stored, stored));
  const found = await readPytorch(source, "x.bin");
  assert.ok(source.bytesRead < 300_000, `${source.bytesRead} bytes`); // the first piece
  const before = source.bytesRead;
  await allOf(found.get("b"));
  assert.is(source.bytesRead - before, big.length);
  // more pickle than the first piece holds
  const long = "n".repeat(1000);
  const many = Array.from({ length: 600 }, (_, i) => [
    P.text(`${long}${i}`),
    P.tensor(storage("k", 1), 0, [1], [1]),
  ]).flat();
  const tensors = await readBytes(whole(state(...many), keys("k"), values(7)));
  assert.is(tensors.size, 600);
  assert.equal(await floatsOf(tensors.get(`${long}599`)), [7]);
});

/** The tensors, undefined for one sentence of ours; anything else fails the test. */
async function attempt(file: Uint8Array, what: string): Promise<Map<string, string> | undefined> {
  const source = new CheckedSource(file);
  try {
    const found = await contents(await readPytorch(source, "x.bin"));
    assert.ok(source.bytesRead <= 40 * file.length + 10_000, `${what}: ${source.bytesRead} read`);
    return found;
  } catch (error) {
    if (isRefusal(error, "pytorch")) return undefined;
    throw new Error(`${what}: ${error instanceof Error ? error.stack : error}`);
  }
}

test("truncated at every byte, and lengthened: refused", async () => {
  for (const [i, file] of files.entries()) {
    const step = Math.max(1, Math.floor(file.length / 600));
    for (let length = 0; length < file.length; length += step) {
      const found = await attempt(file.subarray(0, length), `${names[i]} cut to ${length}`);
      assert.not.ok(found, `${names[i]} of ${length} bytes`);
    }
    assert.not.ok(await attempt(file.subarray(0, -1), names[i]));
    assert.not.ok(await attempt(joined([file, new Uint8Array(8)]), names[i]));
  }
});

test("damaged anywhere: one sentence, or tensors that are whole in themselves", async () => {
  const random = new Random(SEED);
  const counts = { loaded: 0, refused: 0 };
  const damage: readonly ((file: Uint8Array) => Uint8Array)[] = [
    (file) => {
      const copy = file.slice();
      for (let i = 0; i < 1 + random.below(8); i++) {
        copy[random.below(copy.length)] ^= 1 << random.below(8);
      }
      return copy;
    },
    (file) => {
      const copy = file.slice();
      const huge = random.pick([le(2n ** 63n - 1n, 8), le(0xffffffff, 4), le(2n ** 64n - 1n, 8)]);
      copy.set(huge, random.below(copy.length - 8));
      return copy;
    },
    (file) => {
      const [from, at] = [random.below(file.length), random.below(file.length)];
      const part = file.subarray(from, from + 1 + random.below(64));
      return joined([file.subarray(0, at), part, file.subarray(at)]);
    },
    (file) => {
      const [from, width] = [random.below(file.length), 1 + random.below(64)];
      return joined([file.subarray(0, from), file.subarray(from + width)]);
    },
    (file) => {
      const copy = file.slice();
      const start = 15 + random.below(copy.length - 15);
      for (let i = start; i < copy.length; i++) copy[i] = random.below(256);
      return copy;
    },
  ];
  for (let i = 0; i < 4000; i++) {
    const which = random.below(files.length);
    const damaged = random.pick(damage)(files[which]);
    const found = await attempt(damaged, `file ${i} of seed ${SEED}, ${names[which]}`);
    if (found) counts.loaded++;
    else counts.refused++;
  }
  console.log(`4000 files: ${counts.loaded} loaded, ${counts.refused} refused`);
  assert.ok(counts.loaded > 100 && counts.refused > 1000);
});

test.run();
