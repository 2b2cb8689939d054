/**
 * A one-node Slurm on the loopback: munged, slurmctld and slurmd of the installed packages (`bash tools/setup.sh --slurm`), with key,
 * configuration, state and logs in a folder of their own. No other Slurm of this machine is touched. As a program it runs until
 * Ctrl-C and says how to reach it:
 *
 *     node test/slurm/cluster.ts
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { hostname, tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { findSlurm } from "../../tools/lib/machine.ts";

/** A Slurm that runs. */
export type Cluster = {
  /** What its commands need. */
  readonly env: { readonly SLURM_CONF: string };
  /** Runs one of its commands; gives what it printed. */
  ask(command: string, ...args: string[]): string;
  /** Whether no job waits, runs or is being queued again. */
  isIdle(): boolean;
  /** Ends jobs and daemons, and removes the folder. */
  stop(): Promise<void>;
};

const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));

function freePort(): Promise<number> {
  return new Promise((done) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => done(typeof address === "object" && address ? address.port : 0));
    });
  });
}

/** Waits until `isTrue`; throws `what` after a minute. */
export async function until(what: () => string, isTrue: () => boolean, seconds = 60) {
  for (const end = performance.now() + seconds * 1000; !isTrue(); ) {
    if (performance.now() > end) throw new Error(what());
    await pause(200);
  }
}

/** Starts one with two processors, whatever the machine has. */
export async function startCluster(): Promise<Cluster> {
  const programs = findSlurm();
  if (!programs) throw new Error("[slurm] is not installed; type bash tools/setup.sh --slurm");
  const home = mkdtempSync(join(tmpdir(), "promptgen-slurm-"));
  const at = (name: string) => join(home, name);
  for (const name of ["state", "spool"]) mkdirSync(at(name));
  writeFileSync(at("munge.key"), randomBytes(1024), { mode: 0o400 });
  const [host] = hostname().split(".");
  const user = userInfo().username;
  const [control, node] = [await freePort(), await freePort()];
  writeFileSync(
    at("slurm.conf"),
    `ClusterName=loopback
SlurmctldHost=${host}(127.0.0.1)
AuthType=auth/munge
AuthInfo=socket=${at("munge.socket")}
CredType=cred/munge
SlurmUser=${user}
SlurmdUser=${user}
SlurmctldPort=${control}
SlurmdPort=${node}
StateSaveLocation=${at("state")}
SlurmdSpoolDir=${at("spool")}
SlurmctldPidFile=${at("slurmctld.pid")}
SlurmdPidFile=${at("slurmd.pid")}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
NodeName=${host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=all Nodes=${host} Default=YES MaxTime=INFINITE State=UP
`,
  );
  const env = { SLURM_CONF: at("slurm.conf") };
  const running: ChildProcess[] = [];
  const start = (path: string, args: readonly string[]) => {
    const log = openSync(at("log.txt"), "a");
    // it ends with this process, however that ends
    const child = spawn("setpriv", ["--pdeathsig", "KILL", path, ...args], {
      env: { ...process.env, ...env },
      stdio: ["ignore", log, log],
    });
    running.push(child);
  };
  const kill = () => {
    for (const child of running.reverse()) child.kill("SIGKILL");
    rmSync(home, { recursive: true, force: true, maxRetries: 5 });
  };
  process.once("exit", kill);
  const ask = (command: string, ...args: string[]) =>
    execFileSync(command, args, {
      encoding: "utf8",
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "ignore"],
    });
  const answers = (command: string, args: readonly string[], wanted: RegExp) => {
    try {
      return wanted.test(ask(command, ...args));
    } catch {
      return false;
    }
  };
  const failed = () =>
    `[slurm] does not start: ${readFileSync(at("log.txt"), "utf8").slice(-2000)}`;
  const socket = `--socket=${at("munge.socket")}`;
  start(programs.munged, [
    "--foreground",
    "--force",
    socket,
    `--key-file=${at("munge.key")}`,
    `--pid-file=${at("munged.pid")}`,
    `--seed-file=${at("munged.seed")}`,
    `--log-file=${at("munged.log")}`,
  ]);
  await until(failed, () => answers("munge", [socket, "--no-input"], /^MUNGE:/));
  start(programs.slurmctld, ["-D", "-i"]);
  start(programs.slurmd, ["-D"]);
  await until(failed, () => answers("sinfo", ["--noheader", "--format=%T"], /^idle/));
  const isIdle = () =>
    ask("squeue", "--noheader", "--states=all", "--format=%t")
      .split(/\s+/)
      .every((state) => ["", "BF", "CA", "CD", "F", "NF", "TO"].includes(state));
  return {
    env,
    ask,
    isIdle,
    async stop() {
      ask("scancel", `--user=${user}`);
      await until(failed, isIdle);
      kill();
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const cluster = await startCluster();
  console.log(`export SLURM_CONF=${cluster.env.SLURM_CONF}\nCtrl-C ends it`);
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => cluster.stop().then(() => process.exit(0)));
  }
}
