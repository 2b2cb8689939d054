// Plain JavaScript that an old Node can read; the command is commands/profile.ts.
require("./node-version.cjs");
import("./commands/profile.ts").then(({ run }) => run());
