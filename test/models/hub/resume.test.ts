/** Downloads that are broken off on our side, run twice at once, or find a cache that is not whole. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { resolveModel } from "../../../models/hub/resolve.ts";
import type { HubProgress } from "../../../models/hub/settings.ts";
import { counted, fails, home, options, sound, tree } from "./cache-check.ts";
import { dies, stalls } from "./faults.ts";
import { COMMITS, etag, HubServer } from "./server.ts";

const test = suite("downloads that are broken off");
const hub = await HubServer.start();
test.before.each(() => hub.reset());

test("a signal stops a download; the part is kept and used", async () => {
  const root = home();
  const controller = new AbortController();
  hub.break(/whole.*model\.safetensors$/, stalls(120_000), 1);
  const onProgress = ({ fileBytes }: HubProgress) => {
    if (fileBytes > 60_000) controller.abort(new Error("enough"));
  };
  const given = options(hub, root, { signal: controller.signal, onProgress });
  const error = await resolveModel("tiny/whole", given).catch((reason: Error) => reason);
  assert.is(error instanceof Error && error.message, "enough");
  const [[, kept]] = sound(hub, root);
  assert.ok(kept > 60_000 && kept <= 120_000);
  hub.reset();
  await resolveModel("tiny/whole", options(hub, root));
  assert.is(hub.seen.find(({ storage }) => storage)?.range, `bytes=${kept}-199999`);
  assert.is(sound(hub, root).size, 0);
});

test("a process that is killed leaves a part that the next one goes on from", async () => {
  const root = home();
  hub.break(/whole.*model\.safetensors$/, stalls(150_000), 1);
  const program = `
    import { resolveModel } from ${JSON.stringify(new URL("../../../models/hub/resolve.ts", import.meta.url))};
    const onProgress = (p) => { if (p.fileBytes > 100_000) console.log(p.fileBytes); };
    await resolveModel("tiny/whole", { ...${JSON.stringify(options(hub, root))}, onProgress });
  `;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program]);
  child.stderr.on("data", (text) => console.error(String(text)));
  await once(child.stdout, "data");
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
  const locks = [...tree(join(root, "cache")).keys()].filter((path) => path.startsWith(".locks"));
  assert.is(locks.length, 1);
  hub.reset();
  await resolveModel("tiny/whole", options(hub, root));
  const [{ range }] = hub.seen.filter(({ storage }) => storage);
  assert.ok(Number(/\d+/.exec(range ?? "")) > 100_000, range);
  assert.is(sound(hub, root).size, 0);
});

test("two at once download each file once", async () => {
  const root = home();
  const notices: string[] = [];
  hub.break(/whole.*model\.safetensors$/, dies(90_000), 1);
  const given = options(hub, root, { onNotice: (text) => notices.push(text), backoff: 300 });
  const [a, b] = await Promise.all([
    resolveModel("tiny/whole", given),
    resolveModel("tiny/whole", given),
  ]);
  assert.is(a, b);
  const asked = hub.seen.filter(({ storage }) => storage).map(({ range }) => range);
  assert.is(asked.length, 2); // once from the start, once after the break
  assert.is.not(asked[1], undefined);
  assert.ok(notices.some((text) => text.includes("by another process")));
  sound(hub, root);
});

test("a blob of a wrong size, and a link to nowhere, are replaced", async () => {
  const root = home();
  const directory = await resolveModel("tiny/whole", options(hub, root));
  const weights = join(directory, "model.safetensors");
  writeFileSync(weights, "short"); // through the link, as a full disk leaves it
  rmSync(join(directory, "config.json"));
  await resolveModel("tiny/whole", options(hub, root));
  assert.is(statSync(weights).size, 200_000);
  const blob = etag("config.json", hub.models["tiny/whole"].commits[COMMITS[1]]["config.json"]);
  rmSync(join(directory, "../../blobs", blob));
  await resolveModel("tiny/whole", options(hub, root));
  sound(hub, root);
});

test("a cache that cannot be written is explained", async () => {
  const root = home();
  writeFileSync(join(root, "cache"), "a file");
  await fails("legacy", options(hub, root), "the cache cannot be used", "set HF_HUB_CACHE");
});

test.after(async () => {
  await hub.close();
  console.log(`${counted.caches} caches with ${counted.files} files looked at`);
});
test.run();
