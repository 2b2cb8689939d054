// Plain JavaScript that an old Node can read; the command is commands/bench.ts.
require("./node-version.cjs");
import("./commands/bench.ts");
