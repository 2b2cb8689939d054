// Plain JavaScript that an old Node can read; the command is commands/fill-mask.ts.
require("./node-version.cjs");
require("./signals.cjs");
import("./commands/fill-mask.ts");
