/** The page's disk in memory, its paths, bytes and checksums against Node's own on a real disk. */
import { createHash } from "node:crypto";
import * as realFs from "node:fs";
import * as realPromises from "node:fs/promises";
import { tmpdir } from "node:os";
import * as realPath from "node:path";
import { isDeepStrictEqual as realEqual } from "node:util";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import * as crypto from "../../tools/page/node/crypto.ts";
import { disk } from "../../tools/page/node/disk.ts";
import * as fs from "../../tools/page/node/fs.ts";
import * as promises from "../../tools/page/node/fs-promises.ts";
import * as path from "../../tools/page/node/path.ts";
import { isDeepStrictEqual, promisify } from "../../tools/page/node/util.ts";

const test = suite("page disk");

type Sync = Pick<
  typeof fs,
  | "openSync"
  | "closeSync"
  | "writeSync"
  | "readSync"
  | "ftruncateSync"
  | "fstatSync"
  | "statSync"
  | "existsSync"
  | "readdirSync"
  | "readFileSync"
  | "writeFileSync"
  | "renameSync"
  | "rmSync"
  | "rmdirSync"
  | "linkSync"
>;
type Later = Pick<
  typeof promises,
  "open" | "readFile" | "writeFile" | "mkdir" | "readdir" | "rename" | "rm" | "stat" | "copyFile"
>;

/** What a call gives, or the code of its error. */
async function outcome(call: () => unknown): Promise<unknown> {
  try {
    return (await call()) ?? "nothing";
  } catch (error) {
    return Object(error).code;
  }
}

/** The same work on a disk; what is seen of it. */
async function worked(root: string, sync: Sync, later: Later): Promise<unknown[]> {
  const seen: unknown[] = [];
  const see = async (call: () => unknown) => void seen.push(await outcome(call));
  const at = (name: string) => `${root}/${name}`;
  const text = (name: string) => sync.readFileSync(at(name), "utf8");
  await see(() => later.mkdir(at("a")));
  await see(() => later.mkdir(at("a")));
  await see(() => later.mkdir(at("b/c")));
  await see(() => later.mkdir(at("b/c"), { recursive: true }).then(() => "made"));
  await see(() => later.writeFile(at("a/one"), "first\n"));
  await see(() => later.writeFile(at("a/one"), "again\n", { flag: "wx" }));
  await see(() => later.writeFile(at("no/one"), "x"));
  await see(() => later.mkdir(at("a/one/more")));
  await see(() => text("a/one"));
  await see(() => text("a"));
  await see(() => text("nothing"));
  await see(() => sync.existsSync(at("a/one")));
  await see(() => sync.statSync(at("a/one"))?.size);
  await see(() => sync.statSync(at("gone"), { throwIfNoEntry: false }));
  await see(() => sync.statSync(at("gone")));
  await see(async () => (await later.stat(at("a"))).isDirectory());

  // appended, as the log of a run is
  await see(async () => {
    const file = await later.open(at("log"), "a");
    await file.writeFile("1\n");
    await file.close();
    const more = await later.open(at("log"), "a");
    await more.writeFile("2\n");
    await more.close();
    return text("log");
  });

  // written at places, cut and read back, as the record of the steps is
  sync.writeFileSync(at("steps"), "0123456789");
  const fd = sync.openSync(at("steps"), "r+");
  sync.writeSync(fd, new TextEncoder().encode("AB"), 0, 2, 3);
  sync.writeSync(fd, new TextEncoder().encode("xYZ"), 1, 2, 12);
  await see(() => sync.fstatSync(fd).size);
  sync.ftruncateSync(fd, 13);
  sync.ftruncateSync(fd, 15);
  const into = new Uint8Array(8);
  await see(() => sync.readSync(fd, into, 1, 6, 9));
  await see(() => [...into]);
  await see(() => sync.readSync(fd, into, 0, 8, 14));
  await see(() => sync.readSync(fd, into, 0, 8, 40));
  sync.closeSync(fd);
  await see(() => [...sync.readFileSync(at("steps"))].join());

  // beside its place and renamed, as every file of a run is
  await see(async () => {
    const file = await later.open(at(".f.part"), "wx");
    const pieces = async function* () {
      yield new Uint8Array([1, 2]);
      yield new Uint8Array([3]);
    };
    await file.writeFile(pieces());
    await file.write(new Uint8Array([9, 8]), 0, 2, 1);
    await file.sync();
    await file.close();
    await later.rename(at(".f.part"), at("b/f"));
    return [...(await later.readFile(at("b/f")))].join();
  });
  await see(() => later.rename(at("none"), at("b/g")));
  await see(() => later.copyFile(at("a/one"), at("b/c/two")));
  await see(() => sync.linkSync(at("a/one"), at("b/f")));
  await see(() => sync.readdirSync(root));
  await see(async () => (await later.readdir(at("b"))).toString());
  await see(async () =>
    (await later.readdir(root, { withFileTypes: true, recursive: true }))
      .map((entry) => {
        if (typeof entry === "string") return entry;
        return `${entry.parentPath.slice(root.length)}/${entry.name} ${entry.isFile()}`;
      })
      .sort(),
  );
  await see(() => sync.rmdirSync(at("b")));
  await see(() => sync.rmSync(at("none")));
  await see(() => sync.rmSync(at("none"), { force: true }));
  await see(() => later.rm(at("a/one")));
  await see(() => sync.rmdirSync(at("a")));
  await see(() => sync.readdirSync(root));
  return seen;
}

test("the same calls give the same as on a real disk, errors by their codes", async () => {
  const root = realFs.mkdtempSync(realPath.join(tmpdir(), "promptgen-disk-"));
  try {
    const real = await worked(root, realFs as unknown as Sync, realPromises as unknown as Later);
    disk.makeFolders("/here");
    const ours = await worked("/here", fs, promises);
    assert.ok(real.includes("ENOENT") && real.includes("EEXIST") && real.includes("ENOTEMPTY"));
    assert.equal(ours, real);
  } finally {
    realFs.rmSync(root, { recursive: true });
  }
});

test("neighbours are read in one call, and what is known by its head reads as zeros behind it", async () => {
  disk.put("/known", new Uint8Array([1, 2, 3, 4, 5]), 9);
  const fd = fs.openSync("/known");
  const views = [new Uint8Array(2).fill(7), new Uint8Array(5).fill(7), new Uint8Array(4).fill(7)];
  const { bytesRead } = await promisify<[number, Uint8Array[], number], { bytesRead: number }>(
    fs.readv,
  )(fd, views, 1);
  assert.is(bytesRead, 8);
  assert.equal(
    views.map((view) => [...view].join()),
    ["2,3", "4,5,0,0,0", "0,7,7,7"],
  );
  assert.is(fs.statSync("/known")?.size, 9);
  fs.closeSync(fd);
});

test("a watcher is told of files when they are whole, in order", async () => {
  const told: string[] = [];
  disk.watch(({ kind, path: own }) => told.push(`${kind} ${own}`));
  disk.makeFolders("/w");
  const fd = fs.openSync("/w/.x.part", "wx");
  fs.writeSync(fd, new Uint8Array(3));
  assert.equal(told, []);
  fs.closeSync(fd);
  fs.renameSync("/w/.x.part", "/w/x");
  fs.rmSync("/w/x");
  const reading = fs.openSync("/known", "r");
  fs.closeSync(reading);
  assert.equal(told, ["written /w/.x.part", "written /w/x", "removed /w/x"]);
});

test("paths are those of POSIX", () => {
  const names = ["/", "/a", "/a/b.c", "a//b/", "../x", "./y/..", "", "/a/../..", "b.tar.gz", "/.z"];
  const posix = realPath.posix;
  for (const one of names) {
    assert.is(path.isAbsolute(one), posix.isAbsolute(one), one);
    assert.is(path.basename(one), posix.basename(one), one);
    assert.is(path.extname(one), posix.extname(one), one);
    if (one !== "") assert.is(path.dirname(one), posix.dirname(one), one);
    for (const two of names) {
      const rooted = posix.resolve("/", one, two);
      assert.is(path.resolve(one, two), rooted, `${one} ${two}`);
      const joined = posix.join("/", one, two).replace(/(.)\/$/, "$1");
      assert.is(path.join("/", one, two), joined, `${one} ${two}`);
    }
  }
  assert.is(path.basename("/a/b.jsonl", ".jsonl"), "b");
});

test("SHA-256 in pieces is Node's", () => {
  const bytes = Uint8Array.from({ length: 1000 }, (_, i) => (i * 7919) % 256);
  for (const length of [0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 1000]) {
    for (const cut of [0, 1, 63, 64, 100]) {
      const own = bytes.subarray(0, length);
      const hash = crypto
        .createHash("sha256")
        .update(own.subarray(0, cut))
        .update(own.subarray(cut));
      assert.is(
        hash.digest("hex"),
        createHash("sha256").update(own).digest("hex"),
        `${length} ${cut}`,
      );
    }
  }
  const text = crypto.createHash("sha256").update("Zürich").digest("hex");
  assert.is(text, createHash("sha256").update("Zürich").digest("hex"));
});

test("values are compared as Node compares them", () => {
  const values = [
    1,
    "1",
    null,
    undefined,
    Number.NaN,
    [1],
    [1, 2],
    { a: 1 },
    { a: { b: [0] } },
    { a: { b: [1] } },
    { a: 1, b: 2 },
    new Float32Array([1]),
  ];
  for (const a of values) {
    for (const b of values) {
      assert.is(isDeepStrictEqual(a, structuredClone(b)), realEqual(a, structuredClone(b)));
    }
  }
});

test.run();
