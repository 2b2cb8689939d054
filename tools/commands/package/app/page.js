/** The page's program: what it found stands in `result`, the device that it asks for in the address. */
import { worldModels } from "promptgen/world";
import { runAll } from "./programs.js";

const bytesOf = async (url) => new Uint8Array(await (await fetch(url)).arrayBuffer());
const device = new URLSearchParams(location.search).get("device") ?? "cpu";

runAll({ device }, worldModels, bytesOf).then(
  (found) => {
    globalThis.result = { isolated: crossOriginIsolated, ...found };
  },
  (error) => {
    globalThis.result = { error: `${error.stack ?? error}` };
  },
);
