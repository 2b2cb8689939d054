// Plain JavaScript that an old Node can read; the command is commands/kernel.ts.
require("./node-version.cjs");
import("./commands/kernel.ts").then(({ run }) => run());
