// Plain JavaScript that an old Node can read; the command is commands/report.ts.
require("./node-version.cjs");
require("./signals.cjs");
import("./commands/report.ts");
