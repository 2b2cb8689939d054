// Plain JavaScript that an old Node can read; the command is commands/pretrain.ts.
require("./node-version.cjs");
import("./commands/pretrain.ts");
