/** What the page runs, itself or in a worker, whose program this is. */
import { worldModels } from "promptgen/world";
import { runAll } from "./programs.js";

const bytesOf = async (url) => new Uint8Array(await (await fetch(url)).arrayBuffer());

export async function run(device) {
  const found = await runAll({ device }, worldModels, bytesOf);
  const whole = await import("promptgen"); // methods, tables and all
  return { ...found, methods: Object.keys(whole.METHODS).length };
}

if (typeof document === "undefined") {
  globalThis.onmessage = ({ data }) =>
    run(data).then(
      (found) => globalThis.postMessage(found),
      (error) => globalThis.postMessage({ error: `${error.stack ?? error}` }),
    );
}
