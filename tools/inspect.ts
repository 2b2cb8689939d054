// Plain JavaScript that an old Node can read; the command is commands/inspect.ts.
require("./node-version.cjs");
import("./commands/inspect.ts");
