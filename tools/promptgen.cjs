#!/usr/bin/env node
// The command promptgen: in a clone what stands beside this, in the package what was built of it.
const { existsSync } = require("node:fs");
require(existsSync(`${__dirname}/promptgen.ts`) ? "./promptgen.ts" : "../dist/tools/promptgen.js");
