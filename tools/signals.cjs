// Required before anything else is loaded: from then on Node does not open its inspector on SIGUSR1.
// A signal ends the process (with 128 and its number, as shells say it) until a command has something to save; then the first
// one only aborts, and a second one of any kind ends it.
const { constants } = require("node:os");

const NAMES = process.platform === "win32" ? ["SIGINT", "SIGTERM", "SIGHUP"] : ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"];
const controller = new AbortController();
const state = { saves: false };

for (const name of NAMES) {
  process.on(name, () => {
    if (!state.saves || controller.signal.aborted) process.exit(128 + constants.signals[name]);
    controller.abort(name);
  });
}

// a command that another one has started ends with it
process.on("disconnect", () => process.emit("SIGTERM", "SIGTERM"));

module.exports = { signal: controller.signal, state };
