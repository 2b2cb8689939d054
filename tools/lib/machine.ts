/** What this machine has for tests: WebGPU adapters, a browser and Slurm. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

const browsers = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Path of an installed Chromium. */
export const findBrowser = (): string | undefined => browsers.find(existsSync);

/** Where the system's administrators' programs are, which need not be on the path. */
const places = ["/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin", "/sbin"];
const program = (name: string) => places.map((at) => `${at}/${name}`).find(existsSync);

/** Paths of Slurm's daemons; undefined where one is missing, or a command of it. */
export function findSlurm() {
  const [munged, slurmctld, slurmd] = ["munged", "slurmctld", "slurmd"].map(program);
  const commands = ["sbatch", "squeue", "scancel", "scontrol", "sinfo", "munge"].every(program);
  return munged && slurmctld && slurmd && commands ? { munged, slurmctld, slurmd } : undefined;
}

export type Adapters = { readonly names: readonly string[]; readonly why: string };

/** The WebGPU devices that open here, and why the others do not; in a process of its own, as drivers may crash. */
export function findAdapters(): Adapters {
  const code = `import { openDevice } from "./engine/open.ts";
    for (const device of ["gpu", "gpu:software"]) {
      await openDevice({ device }).then(
        () => console.log("has", device),
        (error) => console.log("lacks", device, error.message),
      );
    }
    process.exit(0);`;
  const { stdout } = spawnSync(process.execPath, ["--input-type=module-typescript", "-e", code], {
    cwd: ROOT,
    encoding: "utf8",
    env: { ...process.env, DEBUG: "" },
  });
  const said = (what: string): string[] =>
    [...stdout.matchAll(new RegExp(`^${what} (.*)$`, "gm"))].map(([, rest]) => rest);
  return { names: said("has"), why: said("lacks gpu:software").join() };
}
