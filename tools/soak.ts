// Plain JavaScript that an old Node can read; the command is commands/soak.ts.
require("./node-version.cjs");
import("./commands/soak.ts");
