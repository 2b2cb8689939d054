// Plain JavaScript that an old Node can read; the command is commands/pretrain.ts.
require("./node-version.cjs");
require("./signals.cjs");
import("./commands/pretrain.ts");
