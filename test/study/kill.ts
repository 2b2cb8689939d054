/**
 * Kills a study with SIGKILL at random moments, starts it again each time until it has ended, and holds every file against those of
 * a study that nobody disturbed: `node test/study/kill.ts STUDY [options]`. It takes twice as long as the study and more, and is no part of
 * the suite; a small one is.
 *
 *     --kills N        10
 *     --seed N         of the moments; 1
 *     --jobs N         runs at a time; 2
 *     --victims WHICH  tree: all processes; any: all, the command alone, or one run; tree
 *     --home DIR       where the studies are written; a temporary folder, removed where all is well
 *     --whole DIR      an undisturbed run of the same study that has ended; else there is one first
 *     --span SECONDS   over which the kills are spread, as long as the undisturbed run takes; must be given with --whole
 *
 * What stands behind `--` goes to tools/study.ts, as in `-- --device cpu --threads 1 --relations P36`.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { HEAD, killStudy, lineOf } from "./killing.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    kills: { type: "string", default: "10" },
    seed: { type: "string", default: "1" },
    jobs: { type: "string", default: "2" },
    victims: { type: "string", default: "tree" },
    home: { type: "string" },
    whole: { type: "string" },
    span: { type: "string" },
  },
});
const [file, ...args] = positionals;
const { victims, whole, span } = values;
if (file === undefined || (victims !== "tree" && victims !== "any")) {
  console.error(
    "[kill] node test/study/kill.ts STUDY [--victims tree|any] [-- OPTIONS of tools/study.ts]",
  );
  process.exit(1);
}
if (whole !== undefined && span === undefined) {
  console.error(
    "[kill] --whole does not say how long the study takes; give --span SECONDS with it",
  );
  process.exit(1);
}
const home = resolve(values.home ?? mkdtempSync(join(tmpdir(), "promptgen-kill-")));
console.log(`in ${home}\n${HEAD}`);
const { starts, compared, faults } = await killStudy({
  file,
  home,
  victims,
  args,
  kills: Number(values.kills),
  seed: Number(values.seed),
  jobs: Number(values.jobs),
  whole: whole === undefined ? undefined : resolve(whole),
  span: span === undefined ? undefined : Number(span),
  say: console.log,
});
console.log(`\n${HEAD}`);
starts.forEach((start, i) => {
  console.log(lineOf(i + 1, start));
});
const kills = starts.flatMap((start) => start.kills).length;
console.log(
  `\n${kills} kills, ${starts.length} starts, ${compared} files equal, ${faults.length} faults`,
);
for (const fault of faults) console.log(fault);
if (faults.length === 0 && values.home === undefined) rmSync(home, { recursive: true });
process.exit(faults.length === 0 ? 0 : 1);
