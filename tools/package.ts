// Plain JavaScript that an old Node can read; the command is commands/package.ts.
require("./node-version.cjs");
import("./commands/package.ts");
