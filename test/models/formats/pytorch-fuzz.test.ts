/**
 * Ten thousand damaged files of torch.save: each loads with the tensors it had, or is refused in one
 * sentence. Where the damage comes with right checksums, what loads has to be whole in itself.
 */
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readPytorch } from "../../../models/formats/pytorch.ts";
import type { FileTensor } from "../../../models/formats/safetensors.ts";
import { openShards } from "../../../models/formats/shards.ts";
import { openZip } from "../../../models/formats/zip.ts";
import {
  bytesOf,
  CheckedSource,
  contents,
  type Entry,
  isRefusal,
  joined,
  le,
  Random,
  writeZip,
} from "./archive.ts";

const SEED = 20_240_607;
const GOLDEN = new URL("../../golden/pytorch/", import.meta.url);
const INDEX = "pytorch_model.bin.index.json";
const golden = (name: string): Uint8Array => new Uint8Array(readFileSync(new URL(name, GOLDEN)));

type Base = {
  readonly file: Uint8Array;
  readonly entries: readonly Entry[];
  readonly contents: ReadonlyMap<string, string>;
};

const never = (what: string): never => {
  throw new Error(what);
};

async function readBase(name: string): Promise<Base> {
  const file = golden(name);
  const source = new CheckedSource(file);
  const entries: Entry[] = [];
  for (const [path, entry] of await openZip(source, never)) {
    entries.push({ name: path, data: (await entry.read(0, entry.size)).slice() });
  }
  return { file, entries, contents: await contents(await readPytorch(source, name)) };
}

const bases: Base[] = [];
const NAMES = ["views", "kinds", "module", "attributed", "protocol4", "nothing"];
for (const name of NAMES) bases.push(await readBase(`state-${name}.bin`));

/** Numbers that overflow something. */
const HUGE = [
  le(0xffff, 2),
  le(0x7fffffff, 4),
  le(0x80000000, 4),
  le(0xffffffff, 4),
  le(2n ** 53n, 8),
  le(2n ** 63n - 1n, 8),
  le(2n ** 64n - 1n, 8),
];

function overwritten(bytes: Uint8Array, at: number, part: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  copy.set(part.subarray(0, Math.max(0, copy.length - at)), at);
  return copy;
}

function flipped(bytes: Uint8Array, random: Random, count: number, from = 0): Uint8Array {
  const copy = bytes.slice();
  for (let i = 0; i < count; i++) {
    copy[from + random.below(copy.length - from)] ^= 1 << random.below(8);
  }
  return copy;
}

/** A stretch removed, doubled or moved. */
function spliced(bytes: Uint8Array, random: Random): Uint8Array {
  const from = random.below(bytes.length);
  const to = Math.min(bytes.length, from + 1 + random.below(64));
  const part = bytes.subarray(from, to);
  const rest = joined([bytes.subarray(0, from), bytes.subarray(to)]);
  const at = random.below(rest.length + 1);
  return random.pick([
    () => rest,
    () => joined([bytes.subarray(0, to), part, bytes.subarray(to)]),
    () => joined([rest.subarray(0, at), part, rest.subarray(at)]),
  ])();
}

/** Where the table of contents begins: the headers of entries and their data lie before. */
function directoryOf(file: Uint8Array): number {
  return Buffer.from(file).indexOf("PK\x01\x02", 0, "latin1");
}

function withEntry(base: Base, suffix: string, change: (entry: Entry) => Entry): Uint8Array {
  return writeZip(base.entries.map((e) => (e.name.endsWith(suffix) ? change(e) : e)));
}

/** Instructions that a pickle of torch.save does not have, or not there. */
const FOREIGN = [
  "(",
  ")",
  "t",
  "R",
  "b",
  "u",
  "s",
  "Q",
  "\x93",
  "\x81",
  "2",
  "0",
  "h\x00",
  "q\x00",
  "cos\nsystem\n",
  "ios\nsystem\n",
  "\x82\x01",
  "\x8bzzzz",
  "X\xff\xff\xff\x7f",
  "\x8d\xff\xff\xff\xff\xff\xff\xff\x7f",
  "(".repeat(100_000),
  "]".repeat(100_000),
  "\x85".repeat(100_000),
  "h\x00h\x00\x86q\x00".repeat(1000),
];

const CLIMBING = ["../", "/", "..\\", "archive/../../", "C:\\", "./", "\0"];

/** Kinds of damage. In the first group all checksums stay as they were; in the second they fit what was changed. */
const BROKEN: Record<string, (base: Base, random: Random) => Uint8Array> = {
  truncated: ({ file }, random) => file.slice(0, random.below(file.length)),
  "one bit flipped": ({ file }, random) => flipped(file, random, 1),
  "bits flipped": ({ file }, random) => flipped(file, random, 2 + random.below(30)),
  "directory flipped": ({ file }, random) =>
    flipped(file, random, 1 + random.below(3), directoryOf(file)),
  "huge number": ({ file }, random) =>
    overwritten(file, random.below(file.length), random.pick(HUGE)),
  "huge number in the directory": ({ file }, random) => {
    const from = directoryOf(file);
    return overwritten(file, from + random.below(file.length - from), random.pick(HUGE));
  },
  spliced: ({ file }, random) => spliced(file, random),
  appended: ({ file }, random) => joined([file, new Uint8Array(1 + random.below(100))]),
  "start lost": ({ file }, random) => file.slice(1 + random.below(100)),
  noise: ({ file }, random) =>
    Uint8Array.from({ length: 4 + random.below(400) }, (_, i) =>
      i < 4 ? file[i] : random.below(256),
    ),
};

const FITTING: Record<string, (base: Base, random: Random) => Uint8Array> = {
  "pickle flipped": (base, random) =>
    withEntry(base, "/data.pkl", (e) => ({
      ...e,
      data: flipped(e.data, random, 1 + random.below(3)),
    })),
  "pickle spliced": (base, random) =>
    withEntry(base, "/data.pkl", (e) => ({ ...e, data: spliced(e.data, random) })),
  "pickle with huge numbers": (base, random) =>
    withEntry(base, "/data.pkl", (e) => ({
      ...e,
      data: overwritten(e.data, random.below(e.data.length), random.pick(HUGE)),
    })),
  "pickle with foreign instructions": (base, random) =>
    withEntry(base, "/data.pkl", (e) => {
      const at = 2 + random.below(e.data.length - 2);
      const foreign = random.pick(FOREIGN);
      return { ...e, data: bytesOf(e.data.subarray(0, at), foreign, e.data.subarray(at)) };
    }),
  "name that climbs": (base, random) => {
    const i = random.below(base.entries.length);
    const climb = random.pick(CLIMBING);
    return writeZip(
      base.entries.map((e, j) => (i === j ? { ...e, name: `${climb}${e.name}` } : e)),
    );
  },
  bomb: (base, random) => {
    const method = 1 + random.below(14);
    const declared = random.pick([2 ** 20, 2 ** 31, 2 ** 32 - 2, 2 ** 32 - 1]);
    const target = random.pick(base.entries).name;
    return withEntry(base, target, (e) => ({ ...e, method, sizes: [e.data.length, declared] }));
  },
  "storage of another length": (base, random) => {
    const storages = base.entries.filter((e) => e.name.includes("/data/"));
    const target = random.pick(storages.length > 0 ? storages : base.entries).name;
    const data = new Uint8Array(random.below(300));
    return withEntry(base, target, (e) => ({ ...e, data }));
  },
};

/** Kinds that nothing may forgive. */
const HOPELESS = ["truncated", "appended", "start lost", "noise", "name that climbs", "bomb"];

type Count = {
  loaded: number;
  refused: number;
};

/** One file: the tensors it gives, or undefined when it was refused as it should be. */
const openAll = async (...given: Parameters<typeof openShards>) =>
  (await openShards(...given)).tensors;

async function attempt(
  run: () => Promise<ReadonlyMap<string, FileTensor>>,
): Promise<Map<string, string> | undefined> {
  try {
    return await contents(await run());
  } catch (error) {
    if (isRefusal(error, "pytorch") || isRefusal(error, "weights")) return undefined;
    throw error;
  }
}

const random = new Random(SEED);
const counts = new Map<string, Count>();
let slowest = 0;

function noteTime(start: NodeJS.CpuUsage): void {
  const { user, system } = process.cpuUsage(start);
  slowest = Math.max(slowest, user + system);
}

function note(kind: string, loaded: boolean): void {
  const count = counts.get(kind) ?? { loaded: 0, refused: 0 };
  counts.set(kind, count);
  if (loaded) count.loaded++;
  else count.refused++;
}

/** Bytes that may be read for a file of a size: each storage for itself and for each of its views. */
const readLimit = (size: number) => 40 * size + 10_000;

async function tryFile(kind: string, i: number, base: Base, file: Uint8Array): Promise<void> {
  const source = new CheckedSource(file);
  const start = process.cpuUsage();
  const what = `${kind}, file ${i} of seed ${SEED}`;
  let found: Map<string, string> | undefined;
  try {
    found = await attempt(() => readPytorch(source, "x.bin"));
  } catch (error) {
    assert.unreachable(`${what}: ${error instanceof Error ? error.stack : error}`);
  }
  noteTime(start);
  assert.ok(source.bytesRead <= readLimit(file.length), `${what}: read ${source.bytesRead} bytes`);
  assert.not.ok(found && HOPELESS.includes(kind), `${what}: loads`);
  if (found && !(kind in FITTING)) {
    const same = JSON.stringify([...found]) === JSON.stringify([...base.contents]);
    assert.ok(same, `${what}: loads with other tensors than it had`);
  }
  note(kind, found !== undefined);
}

async function tryKinds(kinds: typeof BROKEN, times: number): Promise<void> {
  const names = Object.keys(kinds);
  for (let i = 0; i < times; i++) {
    const kind = names[i % names.length];
    const base = bases[random.below(bases.length)];
    await tryFile(kind, i, base, kinds[kind](base, random));
  }
}

test("5,500 files with damage that no checksum fits", async () => {
  await tryKinds(BROKEN, 5500);
});

test("3,500 files with wrong contents and right checksums", async () => {
  await tryKinds(FITTING, 3500);
});

const SHARD_KINDS = [
  "index flipped",
  "index cut",
  "path that climbs",
  "shard damaged",
  "shard lost",
];

test("1,000 damaged sets of shards", async () => {
  const text = readFileSync(new URL(INDEX, GOLDEN), "utf8");
  const shards = [1, 2].map((i) => `pytorch_model-0000${i}-of-00002.bin`);
  const files = new Map(shards.map((name) => [name, golden(name)]));
  const whole = await attempt(() =>
    openAll(text, INDEX, async (name) => new CheckedSource(files.get(name) ?? never(name))),
  );
  assert.is(whole?.size, 3);
  for (let i = 0; i < 1000; i++) {
    const opened: string[] = [];
    const kind = SHARD_KINDS[i % SHARD_KINDS.length];
    const shard = random.pick(shards);
    const damaged = new Map(files);
    let index = text;
    if (kind === "index flipped") {
      index = Buffer.from(flipped(Buffer.from(text), random, 1 + random.below(4))).toString();
    } else if (kind === "index cut") {
      index = text.slice(0, random.below(text.trimEnd().length));
    } else if (kind === "path that climbs") {
      index = text.replace(`"${shard}`, JSON.stringify(random.pick(CLIMBING) + shard).slice(0, -1));
    } else if (kind === "shard damaged") {
      damaged.set(shard, flipped(files.get(shard) ?? never(shard), random, 5));
    } else damaged.delete(shard);
    const start = process.cpuUsage();
    const found = await attempt(() =>
      openAll(index, INDEX, async (name) => {
        opened.push(name);
        const file = damaged.get(name);
        if (file === undefined) throw new Error(`ENOENT: ${name}`);
        return new CheckedSource(file);
      }),
    );
    noteTime(start);
    const what = `${kind}, set ${i} of seed ${SEED}`;
    for (const name of opened) assert.not.match(name, /[/\\]|^\.\.?$/, what);
    const must = ["index cut", "path that climbs", "shard lost"].includes(kind);
    assert.not.ok(must && found, `${what}: loads`);
    for (const [name, value] of found ?? []) assert.is(value, whole?.get(name), what);
    assert.ok(found === undefined || found.size === whole?.size, what);
    note(kind, found !== undefined);
  }
});

test("every single bit of a small file", async () => {
  const base = bases[NAMES.indexOf("attributed")];
  for (let bit = 0; bit < 8 * base.file.length; bit++) {
    const file = base.file.slice();
    file[bit >> 3] ^= 1 << (bit & 7);
    await tryFile("each bit flipped", bit, base, file);
  }
});

test("counts, time and memory", () => {
  let files = 0;
  for (const [kind, { loaded, refused }] of counts) {
    files += loaded + refused;
    console.log(`${kind}: ${loaded} loaded, ${refused} refused`);
  }
  const { maxRSS } = process.resourceUsage(); // KiB
  console.log(
    `${files} files; slowest ${slowest / 1000} ms; ${Math.round(maxRSS / 1024)} MiB at most`,
  );
  assert.ok(files >= 10_000);
  assert.ok(slowest < 1e6, `a file took ${slowest} microseconds`);
  assert.ok(maxRSS < 600 * 1024, `${maxRSS} KiB`);
});

test.run();
