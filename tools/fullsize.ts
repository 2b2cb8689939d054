// Plain JavaScript that an old Node can read; the command is commands/fullsize.ts.
require("./node-version.cjs");
require("./signals.cjs");
import("./commands/fullsize.ts").then(({ run }) => run());
