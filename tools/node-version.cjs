// Says in one sentence that this Node is too old, and what to type instead.
// Written for old versions: no module type is named in this folder, so they read it and the files that require it
// as plain CommonJS; the commands themselves are TypeScript modules in commands/.
const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 22 || (major === 22 && minor < 18)) {
  const { existsSync } = require("node:fs");
  const path = require("node:path");
  const words = process.argv.slice(1).map((word, i) => (i === 0 ? path.relative(process.cwd(), word) : word));
  // the package has no lock file; a clone's development dependencies hold a Node
  const remedy = existsSync(path.join(__dirname, "../package-lock.json"))
    ? "after npm ci type: npx node " + words.join(" ")
    : "install it, or type npm install node@24, which npx then takes";
  console.error("[node] this is Node " + process.versions.node + ", 22.18 or newer is needed; " + remedy);
  process.exit(1);
}
