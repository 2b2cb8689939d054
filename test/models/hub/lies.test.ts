/**
 * Models by name, from a Hub on this machine that lies: names that climb out of the cache, sizes and
 * checksums that are none, and redirects that want the token.
 */
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { resolveModel } from "../../../models/hub/resolve.ts";
import { counted, fails, home, options, sound, tree } from "./cache-check.ts";
import { json, redirects, status } from "./faults.ts";
import { COMMITS, type Fault, HubServer } from "./server.ts";

const test = suite("models by name from a server that lies");
const hub = await HubServer.start();
test.before.each(() => hub.reset());

const NAME = "tiny/whole";
const CONFIG = /resolve\/.*\/config\.json$/;
const INFO = /\/revision\//;
const TREE = /\/tree\//;
const SIZE = 200_000; // of the weights
const told = { recovered: 0, refused: 0 };

test("listings that climb, lie or are not numbers are refused; nothing is written", async () => {
  type Entry = Record<string, unknown> & { lfs?: Record<string, unknown> };
  const changed = (change: (entry: Entry) => Entry) =>
    json((list: Entry[]) => list.map((each) => (each.type === "file" ? change(each) : each)));
  const large = (more: Record<string, unknown>) =>
    changed((each) => (each.lfs ? { ...each, lfs: { ...each.lfs, ...more } } : each));
  const evil: [Fault, RegExp][] = [
    ["../../x", "/etc/passwd", "..", "a/../../b", "..\\..\\x"].map((path): [Fault, RegExp] => [
      changed((each) => (each.path === "config.json" ? { ...each, path } : each)),
      /the file name /,
    ]),
    [
      "../../../x",
      "",
      "A".repeat(40),
      "0".repeat(39),
      "0".repeat(64),
      7,
      null,
      `${"0".repeat(40)}/../x`,
    ].map((oid): [Fault, RegExp] => [changed((each) => ({ ...each, oid })), /the checksum /]),
    ["../../../x", "0".repeat(40), `${"0".repeat(64)}\n`, {}].map((oid): [Fault, RegExp] => [
      large({ oid }),
      /the checksum /,
    ]),
    [-1, 0.5, 1e300, "12", null].map((size): [Fault, RegExp] => [large({ size }), /the size /]),
    [0, 5, SIZE + 1, Number.MAX_SAFE_INTEGER].map((size): [Fault, RegExp] => [
      large({ size }),
      /announces 200000|has the sha256/,
    ]),
    [[large({ oid: "0".repeat(64) }), /has the sha256/] as [Fault, RegExp]],
    [
      [changed((each) => (each.lfs ? { ...each, type: "directory" } : each)), /has no model\./] as [
        Fault,
        RegExp,
      ],
    ],
  ].flat();
  for (const [fault, word] of evil) {
    const root = home();
    hub.reset();
    hub.break(TREE, fault);
    await fails(NAME, options(hub, root), word);
    assert.is(sound(hub, root).size, 0);
    told.refused++;
  }
});

test("an index that climbs, or names what is not there, is refused", async () => {
  const encode = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  const good = hub.models["tiny/sharded"].commits[COMMITS[0]];
  const climbs = [
    "../x.bin",
    "../../../../x.safetensors",
    "/etc/x.bin",
    "a/b.bin",
    "a\\b.bin",
    "C:x.bin",
    "",
    ".bin",
    "..bin",
    "x.txt",
    "config.json",
    "x\0.bin",
    "a\n.bin",
    7,
    null,
    {},
  ];
  const indexes: [unknown, RegExp][] = [
    ...climbs.map((name): [unknown, RegExp] => [
      { weight_map: { a: name } },
      typeof name === "string"
        ? /which is no \.safetensors or \.bin beside it/
        : /gives no file name/,
    ]),
    [{ weight_map: {} }, /has an empty 'weight_map'/],
    [{ weight_map: [] }, /has no 'weight_map'/],
    [{}, /has no 'weight_map'/],
    [null, /has no 'weight_map'/],
    [{ weight_map: { a: "model-00009.safetensors" } }, /the repository does not have/],
  ];
  for (const [index, word] of indexes) {
    const root = home();
    const files = { ...good, "model.safetensors.index.json": encode(index) };
    hub.models["tiny/evil"] = { commits: { [COMMITS[0]]: files }, refs: { main: COMMITS[0] } };
    await fails("tiny/evil", options(hub, root), word);
    await fails("tiny/evil", options(hub, root, { offline: true }));
    assert.is(sound(hub, root).size, 0);
    assert.ok([...tree(join(root, "cache")).keys()].every((path) => !path.includes("00-of")));
    told.refused++;
  }
  delete hub.models["tiny/evil"];
});

test("headers that climb do nothing: the list of files names the blobs", async () => {
  const root = home();
  const climbing: Fault = (_, response) => {
    response.setHeader("x-linked-etag", '"../../../etag"');
    response.setHeader("etag", '"../../../etag"');
    response.setHeader("x-repo-commit", "../../../commit");
    response.setHeader("content-disposition", 'attachment; filename="../../../name"');
    return false;
  };
  hub.break(/model\.safetensors$/, climbing);
  hub.break(CONFIG, climbing);
  await resolveModel(NAME, options(hub, root));
  assert.is(sound(hub, root).size, 0);
  told.recovered++;
});

test("the token goes to the Hub alone, whatever redirects", async () => {
  const root = home();
  const other = await HubServer.start();
  hub.break(
    INFO,
    redirects(() => `${other.url}/api/models/tiny/whole/revision/main`),
    1,
  );
  hub.break(
    CONFIG,
    redirects(() => `${other.url}/tiny/whole/resolve/${COMMITS[1]}/config.json`),
    1,
  );
  await resolveModel(NAME, options(hub, root, { token: "hf_secret" }));
  assert.is(other.seen.length, 2);
  for (const { token } of other.seen) assert.is(token, undefined);
  for (const { storage, token } of hub.seen) assert.is(token, storage ? undefined : "hf_secret");
  await other.close();
  hub.reset();
  const refused = (code: string) => status(401, { "x-error-message": code });
  hub.break(INFO, refused("Invalid credentials in Authorization header"));
  const message = await fails(
    "legacy",
    options(hub, root, { token: "hf_secret" }),
    "does not accept the token",
  );
  assert.not.match(message, "hf_secret");
  sound(hub, root);
});

test("what a server says comes into a sentence as one short line", async () => {
  const root = home();
  hub.break(INFO, status(400, { "x-error-message": `\t\u009b31m${"long ".repeat(500)}` }));
  const message = await fails(NAME, options(hub, root), "answers 400");
  assert.ok(message.length < 400 && !/\p{Cc}/u.test(message), message);
});

test.after(async () => {
  await hub.close();
  console.log(
    `${told.recovered} lies without effect, ${told.refused} told in a sentence; ` +
      `${counted.caches} caches with ${counted.files} files looked at`,
  );
});
test.run();
