// Plain JavaScript that an old Node can read; the command is commands/fill-mask.ts.
require("./node-version.cjs");
import("./commands/fill-mask.ts");
