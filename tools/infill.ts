// Plain JavaScript that an old Node can read; the command is commands/infill.ts.
require("./node-version.cjs");
require("./signals.cjs");
import("./commands/infill.ts");
