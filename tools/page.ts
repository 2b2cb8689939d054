// Plain JavaScript that an old Node can read; the command is commands/page.ts.
require("./node-version.cjs");
require("./signals.cjs");
import("./commands/page.ts").then(({ run }) => run());
