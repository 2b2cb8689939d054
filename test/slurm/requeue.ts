/**
 * A run that is longer than its time on a real Slurm: saved at Slurm's signal, queued again, and exact. It takes three to four minutes and is
 * no part of the suite: `node test/slurm/requeue.ts`.
 */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import { printedBy } from "../tools/command.ts";
import { type Cluster, startCluster, until } from "./cluster.ts";

const test = suite("requeue");

const home = mkdtempSync(join(tmpdir(), "promptgen-requeue-"));
process.on("exit", () => rmSync(home, { recursive: true, force: true }));

let cluster: Cluster;
test.before(async () => {
  cluster = await startCluster();
});
test.after(() => cluster.stop());

test("a run that is longer than its limit of a minute ends in the same bits", async () => {
  // about two minutes of work, however fast the machine is
  const began = performance.now();
  const short = ["--world", "--epochs", "1", "--device", "cpu", "--threads", "1"];
  await printedBy("train.ts", [...short, "--out", join(home, "short")]);
  const epochs = Math.max(2, Math.round(120_000 / (performance.now() - began)));
  const file = join(home, "long.json");
  const rows = [{ method: "promptgen", epochs }];
  writeFileSync(file, JSON.stringify({ name: "long", world: true, rows }));
  const [whole, pieces] = ["whole", "pieces"].map((name) => join(home, name));
  const asked = (out: string, ...more: string[]) =>
    printedBy("study.ts", [file, "--out", out, "--device", "cpu", ...more], { env: cluster.env });
  const reference = asked(whole, "--threads", "1");
  await asked(pieces, "--on", "slurm", "--time", "1", "--signal", "USR1@30");
  const said = () =>
    ["logs/promptgen-seed1.txt", "slurm/1-1.txt"]
      .map((name) => readFileSync(join(pieces, name), "utf8"))
      .join("\n");
  let restarts = 0;
  await until(
    said,
    () => {
      const job = cluster.ask("scontrol", "--oneliner", "show", "job");
      restarts = Math.max(restarts, Number(/Restarts=(\d+)/.exec(job)?.[1] ?? 0));
      // Slurm lets two minutes pass before it starts such a job again
      if (/Reason=BeginTime/.test(job)) {
        const id = /ArrayJobId=(\d+)/.exec(job)?.[1];
        cluster.ask("scontrol", "update", `jobid=${id}_1`, "starttime=now");
      }
      return cluster.isIdle() && existsSync(join(pieces, "promptgen-seed1", "results.json"));
    },
    250,
  );
  await reference;
  const log = said();
  assert.ok(existsSync(join(pieces, "promptgen-seed1", "results.json")), log);
  assert.ok(restarts >= 1, `queued again ${restarts} times`);
  assert.equal(log.match(/^stopped by SIGUSR1 after step \d+ of \d+, saved$/gm)?.length, restarts);
  assert.match(await asked(pieces, "--on", "slurm"), /PromptGen/);
  for (const name of ["promptgen-seed1/facts.jsonl", "tables.csv"]) {
    assert.deepEqual(readFileSync(join(pieces, name)), readFileSync(join(whole, name)), name);
  }
  console.log(`${epochs} epochs, queued again ${restarts} times`);
});

test.run();
