/**
 * One writer for a folder: a file that names the process that writes into it. It is there whole or not at all (a link to a file
 * that is written), and what a dead process left is taken over by exactly one of those that want it.
 */
import { randomUUID } from "node:crypto";
import {
  linkSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { stat, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { makeFolder } from "../formats/files.ts";

/** Its name in the folder. */
export const LOCK_FILE = ".lock";

/** A process, so that another one of the same number is not taken for it. */
type Owner = {
  /** Another one for each lock that is taken. */
  readonly token: string;
  readonly host: string;
  /** Since when the machine runs, and among which processes the number counts; empty where the system does not say. */
  readonly boot: string;
  readonly space: string;
  readonly pid: number;
  /** When the process began, as the system counts it; empty where it does not say. */
  readonly started: string;
};

/** Another process writes into a folder, or may. */
export class FolderTakenError extends Error {
  override name = "FolderTakenError";
}

/** A folder that is taken. */
export type Held = {
  /** It was not there before. */
  readonly isNew: boolean;
  /** One sentence where a dead process had it. */
  readonly remark: string;
  /** Gives it back; what was made for it and is still empty goes. */
  release(): void;
};

const orNothing = (read: () => string): string => {
  try {
    return read();
  } catch {
    return "";
  }
};

/** The fields of /proc/PID/stat behind the name, which may hold blanks and brackets: the state is the first. */
function statOf(pid: number): readonly string[] {
  const text = orNothing(() => readFileSync(`/proc/${pid}/stat`, "latin1"));
  return text
    .slice(text.lastIndexOf(")") + 2)
    .trim()
    .split(" ");
}

const startOf = (pid: number): string => statOf(pid)[19] ?? ""; // field 22 of the line

const thisProcess = (): Owner => ({
  token: randomUUID(),
  host: hostname(),
  boot: orNothing(() => readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim()),
  space: orNothing(() => readlinkSync("/proc/self/ns/pid")),
  pid: process.pid,
  started: startOf(process.pid),
});

/** Whether the owner still runs; undefined where that cannot be seen from here. */
function runs(owner: Owner, here: Owner): boolean | undefined {
  if (owner.host !== here.host) return undefined;
  if (owner.boot !== here.boot) return false;
  if (owner.space !== here.space) return undefined;
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    if (Object(error).code !== "EPERM") return false;
  }
  const [state, start] = [statOf(owner.pid)[0], startOf(owner.pid)];
  return state !== "Z" && state !== "X" && start === owner.started;
}

/** Throws for a lock that says nothing. */
function ownerOf(path: string): Owner | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    if (Object(cause).code === "ENOENT") return undefined;
    throw new Error(`[lock] ${path} cannot be read (${Object(cause).code}); remove it`, { cause });
  }
  const value = orNothing(() => JSON.stringify(JSON.parse(text)));
  const { token, host, boot, space, pid, started } = Object(
    value === "" ? null : JSON.parse(value),
  );
  const texts = [token, host, boot, space, started].every((one) => typeof one === "string");
  if (texts && Number.isSafeInteger(pid) && pid > 0 && /^[\w-]+$/.test(token)) {
    return { token, host, boot, space, pid, started };
  }
  throw new Error(
    `[lock] ${path} does not say which process writes there; remove it when none does`,
  );
}

/** Throws one sentence where the owner runs, or may run. */
function refuseRunning(folder: string, path: string, owner: Owner, here: Owner): void {
  const running = runs(owner, here);
  if (running === false) return;
  const who = `process ${owner.pid}${owner.host === here.host ? "" : ` on ${owner.host}`}`;
  throw new FolderTakenError(
    running
      ? `[lock] ${folder} is being written by ${who}; wait until it has ended, or name another folder`
      : `[lock] ${folder} belongs to ${who}, which cannot be seen from here; if it has ended, remove ${path}`,
  );
}

/** Puts a file at a path where there is none, whole. */
function place(draft: string, path: string): void {
  try {
    linkSync(draft, path);
  } catch (cause) {
    if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"].includes(Object(cause).code)) throw cause;
    // a file system without links: the moment between name and contents stays
    writeFileSync(path, readFileSync(draft), { flag: "wx" });
  }
}

/**
 * Makes `path` name this process; gives the dead owner whose place it took. A dead lock is replaced by whoever holds the lock of
 * that lock, which is of a name that no other lock ever has.
 */
function take(folder: string, path: string, draft: string, here: Owner): Owner | undefined {
  for (;;) {
    const owner = ownerOf(path);
    if (owner === undefined) {
      try {
        place(draft, path);
        return undefined;
      } catch (cause) {
        const { code } = Object(cause);
        if (code === "EEXIST") continue;
        if (code !== "ENOENT") throw cause;
        // who had the folder until now has tidied it
        writeFileSync(draft, `${JSON.stringify(here)}\n`);
        continue;
      }
    }
    refuseRunning(folder, path, owner, here);
    const claim = `${path}.${owner.token}`;
    take(folder, claim, draft, here);
    if (ownerOf(path)?.token === owner.token) {
      renameSync(claim, path);
      return owner;
    }
    rmSync(claim, { force: true }); // another one was quicker
  }
}

/**
 * Takes a folder, which is made when it is not there, for this process until `release` or its end.
 * @throws one sentence, before anything is written, where another process has it or it is no folder that can be written
 */
export async function takeFolder(folder: string): Promise<Held> {
  const path = join(folder, LOCK_FILE);
  const here = thisProcess();
  const found = (await stat(folder).catch(() => undefined))?.isDirectory() && ownerOf(path);
  if (found) refuseRunning(folder, path, found, here);
  const made = await makeFolder(folder);
  const draft = join(folder, `.lock.${here.token}.part`);
  const clean = (): void => {
    let empty = folder;
    for (let i = 0; i < made; i++) {
      try {
        rmdirSync(empty);
      } catch {
        return;
      }
      empty = dirname(empty);
    }
  };
  let dead: Owner | undefined;
  try {
    await writeFile(draft, `${JSON.stringify(here)}\n`, { flag: "wx" });
    dead = take(folder, path, draft, here);
  } catch (cause) {
    rmSync(draft, { force: true });
    clean();
    if (Object(cause).syscall === undefined) throw cause;
    throw new Error(
      `[lock] ${folder} cannot be written (${Object(cause).code}); name a folder that can`,
      { cause },
    );
  }
  rmSync(draft, { force: true });
  let released = false;
  const release = (): void => {
    if (released) return;
    released = true;
    process.off("exit", release);
    if (orNothing(() => ownerOf(path)?.token ?? "") === here.token) rmSync(path, { force: true });
    clean();
  };
  process.on("exit", release);
  const remark = dead
    ? `${folder} was left by process ${dead.pid}, which has ended; it is taken over`
    : "";
  return { isNew: made > 0, remark, release };
}
