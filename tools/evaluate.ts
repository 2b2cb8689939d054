// Plain JavaScript that an old Node can read; the command is commands/evaluate.ts.
require("./node-version.cjs");
require("./signals.cjs");
import("./commands/evaluate.ts");
