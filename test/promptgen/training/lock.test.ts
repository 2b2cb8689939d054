import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { makeFolder } from "../../../models/formats/files.ts";
import { LOCK_FILE, takeFolder } from "../../../models/training/lock.ts";

const test = suite("lock");

const home = mkdtempSync(join(tmpdir(), "promptgen-lock-"));
process.on("exit", () => rmSync(home, { recursive: true, force: true }));

const MODULE = new URL("../../../models/training/lock.ts", import.meta.url).href;

/** Runs lines of code in a process of its own, `lock` being the module; gives what it printed. */
function child(code: string): Promise<{ out: string; rc: number | null }> {
  return new Promise((done) => {
    const text = `const lock = await import(${JSON.stringify(MODULE)}); ${code}`;
    const own = spawn(process.execPath, ["--input-type=module", "-e", text]);
    let out = "";
    own.stdout.setEncoding("utf8").on("data", (some: string) => {
      out += some;
    });
    own.on("close", (rc) => done({ out: out.trim(), rc }));
  });
}

const failure = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "nothing was thrown",
    (error: Error) => error.message,
  );

type Lock = Record<string, string | number>;
const lockOf = (folder: string): Lock => JSON.parse(readFileSync(join(folder, LOCK_FILE), "utf8"));

/** A folder with the lock of this process, changed. */
async function left(name: string, change: Lock): Promise<string> {
  const folder = join(home, name);
  const held = await takeFolder(folder);
  const lock = lockOf(folder);
  writeFileSync(join(folder, "run.json"), "{}");
  held.release();
  writeFileSync(join(folder, LOCK_FILE), JSON.stringify({ ...lock, token: name, ...change }));
  return folder;
}

test("taken, refused to others, given back; what was made for it goes", async () => {
  const folder = join(home, "a", "b");
  const held = await takeFolder(folder);
  assert.is(held.remark, "");
  assert.ok(held.isNew);
  assert.equal(readdirSync(folder), [LOCK_FILE]);
  const before = readFileSync(join(folder, LOCK_FILE));
  const sentence = `[lock] ${folder} is being written by process ${process.pid}; wait until it has ended, or name another folder`;
  assert.is(await failure(takeFolder(folder)), sentence);
  const other = await child(
    `await lock.takeFolder(${JSON.stringify(folder)}).catch((error) => console.log(error.message))`,
  );
  assert.is(other.out, sentence);
  assert.equal(readFileSync(join(folder, LOCK_FILE)), before);
  held.release();
  held.release();
  assert.not(existsSync(join(home, "a")));
});

test("an owner that has ended, whose number another process has, or whose machine began anew: taken over", async () => {
  const gone = await child("console.log(process.pid)");
  const cases: [string, Lock][] = [
    ["gone", { pid: Number(gone.out) }],
    ...(process.platform === "linux"
      ? ([
          ["recycled", { started: "1" }],
          ["restarted", { boot: "another" }],
        ] as [string, Lock][])
      : []),
  ];
  for (const [name, change] of cases) {
    const folder = await left(name, change);
    const held = await takeFolder(folder);
    assert.match(held.remark, /was left by process \d+, which has ended; it is taken over$/);
    assert.is(lockOf(folder).pid, process.pid);
    held.release();
    assert.equal(readdirSync(folder), ["run.json"]);
  }
});

test("a process that cannot be seen from here, and a lock that says nothing, are refused with the remedy", async () => {
  const far = await left("far", { host: "elsewhere.example", pid: 5 });
  const sentence = await failure(takeFolder(far));
  assert.ok(sentence.includes("belongs to process 5 on elsewhere.example"), sentence);
  assert.ok(sentence.endsWith(`if it has ended, remove ${join(far, LOCK_FILE)}`), sentence);
  const inside = await left("inside", { space: "pid:[1]" });
  assert.match(
    await failure(takeFolder(inside)),
    /cannot be seen from here; if it has ended, remove/,
  );
  for (const text of [
    "",
    "null",
    "{",
    '{"pid": 3}',
    "[1]",
    JSON.stringify({ ...lockOf(far), pid: -1 }),
  ]) {
    writeFileSync(join(far, LOCK_FILE), text);
    assert.match(
      await failure(takeFolder(far)),
      /does not say which process writes there; remove it/,
    );
    assert.is(readFileSync(join(far, LOCK_FILE), "utf8"), text);
  }
});

test("of many that want what a dead process left, one gets it; one that died while it took over is no hindrance", async () => {
  const gone = Number((await child("console.log(process.pid)")).out);
  for (const name of ["race-1", "race-2"]) {
    const folder = await left(name, { pid: gone });
    if (name === "race-2") {
      const claim = { ...lockOf(folder), token: "claim" };
      writeFileSync(join(folder, `${LOCK_FILE}.${name}`), JSON.stringify(claim));
    }
    const at = Date.now() + 700; // all begin together
    const code = `await new Promise((go) => setTimeout(go, ${at} - Date.now()));
      try { await lock.takeFolder(${JSON.stringify(folder)}); console.log("mine"); await new Promise((go) => setTimeout(go, 1500)); }
      catch (error) { console.log(error.message); process.exit(1); }`;
    const ends = await Promise.all(Array.from({ length: 6 }, () => child(code)));
    const winners = ends.filter(({ out }) => out === "mine");
    assert.is(winners.length, 1, JSON.stringify(ends));
    assert.ok(ends.every(({ out, rc }) => rc === 0 || out.startsWith("[lock] ")));
    assert.equal(readdirSync(folder), ["run.json"]);
  }
});

test("a process that is killed leaves a lock that the next one takes", async () => {
  const folder = join(home, "killed");
  await child(
    `await lock.takeFolder(${JSON.stringify(folder)}); process.kill(process.pid, "SIGKILL"); await new Promise(() => {})`,
  );
  assert.ok(existsSync(join(folder, LOCK_FILE)));
  const held = await takeFolder(folder);
  assert.match(held.remark, /is taken over/);
  held.release();
});

test("what can be no folder is refused at once", async () => {
  const file = join(home, "file");
  writeFileSync(file, "");
  const wrong = [
    file,
    join(file, "x"),
    ...(process.platform === "linux" ? ["/proc/x", "/proc/x/y"] : []),
  ];
  for (const path of wrong) {
    for (const take of [makeFolder, takeFolder]) {
      assert.match(await failure(take(path)), /cannot be made a folder \(.*\); name another one$/);
    }
  }
  assert.is(readFileSync(file, "utf8"), "");
});

test("a draft that another process has tidied away is written again", async () => {
  const folder = join(home, "tidied");
  await makeFolder(folder);
  const drafts = () => readdirSync(folder).filter((name) => name.endsWith(".part"));
  let seen = 0;
  let ended = false;
  const taken = takeFolder(folder).finally(() => {
    ended = true;
  });
  while (seen === 0 && !ended) {
    for (const name of drafts()) {
      rmSync(join(folder, name));
      seen++;
    }
    await new Promise((done) => setImmediate(done));
  }
  const held = await taken;
  assert.ok(seen > 0, "the draft was there and was removed");
  assert.is(lockOf(folder).pid, process.pid);
  assert.equal(readdirSync(folder), [LOCK_FILE]);
  held.release();
});

test.run();
