// Plain JavaScript that an old Node can read; the command is commands/soak.ts.
require("./node-version.cjs");
require("./signals.cjs");
import("./commands/soak.ts").then(({ run }) => run());
