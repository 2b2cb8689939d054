// Plain JavaScript that an old Node can read; the command is commands/probe.ts.
require("./node-version.cjs");
require("./signals.cjs");
import("./commands/promptgen.ts").then(({ runNamed }) => runNamed("probe"));
