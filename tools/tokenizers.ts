// Plain JavaScript that an old Node can read; the command is commands/tokenizers.ts.
require("./node-version.cjs");
import("./commands/tokenizers.ts");
