/** As node.mjs, with `require`. */
const { readFile } = require("node:fs/promises");
const { METHODS } = require("promptgen");
const { openDevice } = require("promptgen/engine");
const { maskedLM } = require("promptgen/models");
const { worldModels } = require("promptgen/world");

const device = process.argv[2] ?? "cpu";
for (const one of [openDevice, maskedLM]) if (typeof one !== "function") throw new Error("no function");
const { runAll } = require("./programs.js");
runAll({ device }, worldModels, (url) => readFile(url)).then((found) => {
  console.log(JSON.stringify({ ...found, methods: Object.keys(METHODS).length }));
  process.exit(0);
});
