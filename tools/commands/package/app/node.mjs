/** The program of Node, Deno and Bun: prints what it found as JSON. */
import { readFile } from "node:fs/promises";
import { METHODS } from "promptgen";
import { worldModels } from "promptgen/world";
import { runAll } from "./programs.js";

const device = process.argv[2] ?? "cpu";
const found = await runAll({ device }, worldModels, (url) => readFile(url));
console.log(JSON.stringify({ ...found, methods: Object.keys(METHODS).length }));
process.exit(0); // Dawn's driver may crash while it is taken down
