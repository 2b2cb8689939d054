// Plain JavaScript that an old Node can read; the command is commands/evaluate.ts.
require("./node-version.cjs");
import("./commands/evaluate.ts");
