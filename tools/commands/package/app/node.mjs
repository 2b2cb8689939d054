/** The program of Node, Deno and Bun: prints what it found as JSON. */
import { readFile } from "node:fs/promises";
import { worldModels } from "promptgen/world";
import { runAll } from "./programs.js";

const device = process.argv[2] ?? "cpu";
console.log(JSON.stringify(await runAll({ device }, worldModels, (url) => readFile(url))));
process.exit(0); // Dawn's driver may crash while it is taken down
