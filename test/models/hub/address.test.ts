/** Models by the address of a folder of any web server: which files are asked for, what is kept, and each fault in a sentence. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { resolveModel } from "../../../models/hub/resolve.ts";
import type { HubOptions, HubProgress } from "../../../models/hub/settings.ts";
import { fails, home, options, tree } from "./cache-check.ts";
import {
  corrupts,
  dies,
  endsEarly,
  html,
  ignoresRanges,
  mute,
  redirects,
  stalls,
  status,
  tooMuch,
  wrongLength,
  wrongRange,
} from "./faults.ts";
import { COMMITS, type Fault, type Files, HubServer, noise, sha256 } from "./server.ts";

const test = suite("models by address");
const hub = await HubServer.start();
test.before.each(() => hub.reset());

const WEIGHTS = /\/model\.safetensors$/;
const CONFIG = /\/config\.json$/;
const SIZE = 200_000; // of the weights of tiny/whole

/** Faults strike what is fetched, not the question how large it is. */
const ofBody =
  (fault: Fault): Fault =>
  (request, response, body) =>
    request.method === "HEAD" ? false : fault(request, response, body);

const filesOf = (name: string): Files =>
  hub.models[name].commits[hub.models[name].refs.main ?? ""] ?? {};

/** Every file of a cache, by name; the contents of each are what the server has, whatever is called so. */
function kept(root: string): Map<string, Uint8Array> {
  const found = new Map<string, Uint8Array>();
  for (const [path, value] of tree(join(root, "cache"))) {
    if (typeof value !== "string") found.set(path, value);
  }
  return found;
}

const named = (root: string, pattern: RegExp): string[] =>
  [...kept(root).keys()].filter((path) => pattern.test(path));

/** The directory holds just these files, with the server's contents. */
function holds(directory: string, name: string, names: readonly string[]): void {
  const files = filesOf(name);
  const found = [...tree(directory).keys()].sort();
  assert.equal(found, [...names].sort());
  const blobs = tree(join(directory, "../../blobs"));
  for (const [path, target] of tree(directory)) {
    const blob = blobs.get(String(target).split("/").at(-1) ?? "");
    assert.ok(blob instanceof Uint8Array && Buffer.compare(blob, files[path]) === 0, path);
  }
}

test("every layout: just the files that are needed, with progress, and again without fetching weights", async () => {
  const settings = ["config.json", "tokenizer.json", "tokenizer_config.json"];
  const shards = (stem: string, kind: string) =>
    [1, 2].map((i) => `${stem}-0000${i}-of-00002.${kind}`);
  const layouts: Record<string, string[]> = {
    "tiny/whole": [...settings, "model.safetensors"],
    "tiny/sharded": [
      ...settings,
      "model.safetensors.index.json",
      ...shards("model", "safetensors"),
    ],
    "tiny/pickled": ["config.json", "vocab.json", "merges.txt", "pytorch_model.bin"],
    "tiny/pickled-shards": [
      "config.json",
      "vocab.txt",
      "pytorch_model.bin.index.json",
      ...shards("pytorch_model", "bin"),
    ],
  };
  for (const [name, names] of Object.entries(layouts)) {
    const root = home();
    const seen: HubProgress[] = [];
    const onProgress = (progress: HubProgress) => seen.push(progress);
    hub.reset();
    const directory = await resolveModel(hub.folder(name), options(hub, root, { onProgress }));
    assert.ok(directory.startsWith(join(root, "cache", "urls--127.0.0.1_")), directory);
    holds(directory, name, names);
    assert.is(seen.at(-1)?.bytes, seen.at(-1)?.size);
    assert.ok(seen.every((each, i) => i === 0 || each.bytes >= seen[i - 1].bytes));
    const large = (method: string) =>
      hub.seen.filter((s) => s.method === method && /\.(safetensors|bin)$/.test(s.path)).length;
    assert.is(large("GET"), names.filter((n) => /\.(safetensors|bin)$/.test(n)).length, name);
    hub.reset();
    const given = options(hub, root, { token: "hf_secret" });
    assert.is(await resolveModel(`${hub.folder(name)}/`, given), directory);
    assert.is(large("GET"), 0, name);
    for (const { token } of hub.seen) assert.is(token, undefined);
  }
});

test("the second time without a server: what is whole is used and told of", async () => {
  const other = await HubServer.start();
  const root = home();
  const address = other.folder("tiny/sharded");
  const directory = await resolveModel(address, options(hub, root));
  assert.is(await resolveModel(address, options(hub, root, { offline: true })), directory);
  await other.close();
  const notices: string[] = [];
  const given = options(hub, root, { onNotice: (text) => notices.push(text) });
  assert.is(await resolveModel(address, given), directory);
  assert.match(notices.join(), /cannot be reached .*; the cached commit [0-9a-f]{40} is used/);
  await fails(`${address}s`, given, "cannot be reached", "check the network, the address");
  await fails(`${address}s`, { ...given, offline: true }, "is not there", "HF_HUB_OFFLINE");
});

test("what changed on the server is fetched anew, what did not is not, and the old is let go", async () => {
  const root = home();
  const first = hub.models["tiny/whole"];
  const commit = COMMITS[1];
  const given = options(hub, root);
  const before = await resolveModel(hub.folder("tiny/whole"), given);
  const put = (files: Files) => {
    hub.models["tiny/whole"] = {
      ...first,
      commits: { [commit]: { ...filesOf("tiny/whole"), ...files } },
    };
    hub.reset();
  };
  put({ "config.json": new TextEncoder().encode('{"model_type": "roberta"}') });
  const second = await resolveModel(hub.folder("tiny/whole"), given);
  assert.is.not(second, before);
  holds(second, "tiny/whole", [
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "model.safetensors",
  ]);
  assert.ok(!hub.seen.some(({ method, path }) => method === "GET" && WEIGHTS.test(path)));
  put({ "model.safetensors": noise(SIZE, 77) }); // of the same size
  holds(await resolveModel(hub.folder("tiny/whole"), given), "tiny/whole", [
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "model.safetensors",
  ]);
  assert.is(named(root, /\/blobs\//).length, 4);
  assert.is(named(root, /\/refs\//).length, 1);
  hub.models["tiny/whole"] = first;
});

test("Last-Modified tells too; without both a file is fetched each time, and that is said", async () => {
  for (const version of ["last-modified", "none"] as const) {
    const root = home();
    hub.reset();
    hub.version = version;
    const notices: string[] = [];
    const given = options(hub, root, { onNotice: (text) => notices.push(text) });
    for (let i = 0; i < 2; i++) await resolveModel(hub.folder("tiny/whole"), given);
    const fetched = hub.seen.filter((s) => s.method === "GET" && WEIGHTS.test(s.path)).length;
    assert.is(fetched, version === "none" ? 2 : 1);
    assert.is(
      notices.filter((text) => /neither ETag nor Last-Modified/.test(text)).length,
      version === "none" ? 2 : 0,
    );
    assert.is(named(root, /\/blobs\//).length, 4);
  }
});

test("a broken download goes on where it broke, in the next run too, unless the file is another one", async () => {
  const root = home();
  hub.break(WEIGHTS, ofBody(dies(120_000)), 1);
  await resolveModel(hub.folder("tiny/whole"), options(hub, root));
  const ranges = () =>
    hub.seen
      .filter(({ method, path }) => method === "GET" && WEIGHTS.test(path))
      .map(({ range }) => range);
  assert.is(ranges().length, 2);
  assert.match(String(ranges()[1]), /^bytes=[1-9]\d*-199999$/);

  const again = home();
  hub.reset();
  hub.break(WEIGHTS, ofBody(dies(120_000)));
  await fails(
    hub.folder("tiny/whole"),
    options(hub, again, { retries: 0 }),
    "what has arrived is kept",
  );
  const parts = named(again, /\.incomplete$/);
  assert.is(parts.length, 1);
  hub.reset();
  const directory = await resolveModel(hub.folder("tiny/whole"), options(hub, again));
  assert.match(String(ranges()[0]), /^bytes=[1-9]\d*-199999$/);
  holds(directory, "tiny/whole", [
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "model.safetensors",
  ]);

  const changed = home();
  hub.reset();
  hub.break(WEIGHTS, ofBody(dies(120_000)));
  await fails(hub.folder("tiny/whole"), options(hub, changed, { retries: 0 }));
  const first = hub.models["tiny/whole"];
  const files = { ...filesOf("tiny/whole"), "model.safetensors": noise(SIZE, 5) };
  hub.models["tiny/whole"] = { ...first, commits: { [COMMITS[1]]: files } };
  hub.reset();
  await resolveModel(hub.folder("tiny/whole"), options(hub, changed));
  assert.equal(ranges(), [undefined]);
  assert.equal(named(changed, /\.incomplete$/), []);
  hub.models["tiny/whole"] = first;
});

/** Each fault strikes always; words of the sentence, and whether a part may stay. */
const failing: [
  what: string,
  path: RegExp,
  fault: Fault,
  words: (string | RegExp)[],
  part?: true,
][] = [
  [
    "the connection dies",
    WEIGHTS,
    ofBody(dies(9000)),
    ["broke while model.safetensors of", "tried 2 times", "is kept"],
    true,
  ],
  [
    "the body ends early",
    WEIGHTS,
    ofBody(endsEarly(9000)),
    ["of 200000 bytes", "tried 2 times"],
    true,
  ],
  ["a stall", WEIGHTS, ofBody(stalls(9000)), ["sends nothing (more) of model.safetensors"], true],
  ["no answer", CONFIG, mute, ["sends nothing", "config.json of", "tried 2 times"]],
  [
    "no answer to the head",
    WEIGHTS,
    mute,
    ["sends nothing", "model.safetensors of", "tried 2 times"],
  ],
  ["503", CONFIG, status(503), ["answers 503", "tried 2 times"]],
  [
    "404 for the fields",
    CONFIG,
    status(404),
    ["has no config.json (it answers 404)", "give the address of a folder that has"],
  ],
  ["403 for the fields", CONFIG, status(403), ["has no config.json (it answers 403)"]],
  ["401 for the fields", CONFIG, status(401), ["has no config.json (it answers 401)"]],
  ["a page for the fields", CONFIG, html, ["has no config.json (it answers a web page)"]],
  [
    "a page for everything",
    /./,
    html,
    [
      "has no tokenizer.json",
      "and no config.json",
      "and no model.safetensors",
      "(it answers a web page)",
    ],
  ],
  ["404 for everything", /./, status(404), ["and no config.json", "(it answers 404)"]],
  ["416", WEIGHTS, ofBody(status(416)), ["answers 416", "check the address"]],
  ["404 where the head was", WEIGHTS, ofBody(status(404)), ["answers 404", "model.safetensors"]],
  ["a page where the head was", WEIGHTS, ofBody(html), ["model.safetensors", "a web page"]],
  ["too long", WEIGHTS, ofBody(wrongLength(7)), ["announces 200007", "200000 bytes in the head"]],
  ["too short", WEIGHTS, ofBody(wrongLength(-7)), ["announces 199993"]],
  [
    "more than announced",
    WEIGHTS,
    ofBody(tooMuch(9)),
    ["more than the 200000 bytes", "was deleted"],
  ],
  ["a circle", CONFIG, redirects(() => ""), ["in a circle", "check the address"]],
  [
    "a redirect to a file",
    WEIGHTS,
    ofBody(redirects(() => "file:///etc/passwd")),
    ["a redirect to 'file:///etc/passwd'"],
  ],
  [
    "no size",
    WEIGHTS,
    (_, response) => {
      response.writeHead(200);
      response.end();
      return true;
    },
    ["tells no size of model.safetensors", "Content-Length"],
  ],
];

for (const [what, path, fault, words, part] of failing) {
  test(`fails: ${what}`, async () => {
    const root = home();
    hub.break(path, fault);
    const silent = /stall|no answer/.test(what);
    const limits: HubOptions = silent ? { responseTimeout: 400, stallTimeout: 400 } : {};
    const given = options(hub, root, { retries: 1, ...limits });
    const message = await fails(hub.folder("tiny/whole"), given, ...words);
    assert.ok(message.length < 450, message);
    assert.is(named(root, /\.incomplete$/).length, part ? 1 : 0);
    assert.equal(named(root, /\/refs\/|\.tmp$|\.lock$/), []);
    hub.reset();
    await resolveModel(hub.folder("tiny/whole"), options(hub, root));
    assert.equal(named(root, /\.incomplete$/), []);
  });
}

test("a server that knows no ranges, one that knows no HEAD, one that gives a wrong range", async () => {
  const root = home();
  hub.break(WEIGHTS, ofBody(dies(90_000)), 1);
  hub.break(WEIGHTS, ofBody(ignoresRanges), 1);
  const names = ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"];
  holds(await resolveModel(hub.folder("tiny/whole"), options(hub, root)), "tiny/whole", names);
  for (const code of [405, 501]) {
    hub.reset();
    const noHead: Fault = (request, response, body) =>
      request.method === "HEAD" && status(code)(request, response, body);
    hub.break(WEIGHTS, noHead);
    holds(await resolveModel(hub.folder("tiny/whole"), options(hub, home())), "tiny/whole", names);
  }
  const third = home();
  hub.reset();
  hub.break(WEIGHTS, ofBody(dies(90_000)), 1);
  hub.break(WEIGHTS, ofBody(wrongRange));
  await fails(
    hub.folder("tiny/whole"),
    options(hub, third),
    /answers 'bytes \d+-199998\/200000' for the bytes/,
  );
  // another file of the same size, while it comes
  const fourth = home();
  hub.reset();
  const other: Fault = (request, response, body) => {
    response.setHeader("etag", '"other"');
    return corrupts(request, response, body);
  };
  hub.break(WEIGHTS, ofBody(other));
  await fails(hub.folder("tiny/whole"), options(hub, fourth), "gives another file");
  assert.equal(named(fourth, /\.incomplete$/), []);
});

test("an index that climbs, or names what is not there, is refused", async () => {
  const good = filesOf("tiny/sharded");
  const encode = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  const indexes: [unknown, RegExp][] = [
    ...["../x.bin", "/etc/x.bin", "a\\b.bin", "C:x.bin", "config.json", "https://x/y.bin"].map(
      (name): [unknown, RegExp] => [
        { weight_map: { a: name } },
        /no \.safetensors or \.bin beside it/,
      ],
    ),
    [{}, /has no 'weight_map'/],
    [
      { weight_map: { a: "model-9.safetensors" } },
      /names model-9.safetensors, which the repository/,
    ],
  ];
  for (const [index, words] of indexes) {
    const root = home();
    const files = { ...good, "model.safetensors.index.json": encode(index) };
    hub.models["tiny/evil"] = { commits: { [COMMITS[0]]: files }, refs: { main: COMMITS[0] } };
    await fails(hub.folder("tiny/evil"), options(hub, root), words);
    assert.equal(named(root, /00-of|\.bin|\/refs\//), []);
  }
  delete hub.models["tiny/evil"];
});

test("addresses that are none of a folder, and those of the Hub", async () => {
  const root = home();
  const given = options(hub, root);
  const folder = hub.folder("tiny/whole");
  await fails(
    `${folder}/config.json`,
    given,
    "is the address of a file",
    "the folder that holds it",
  );
  await fails(folder.replace("//", "//me:secret@"), given, "without them");
  assert.is(hub.seen.length, 0);
  for (const page of ["", "/", "/tree/main", "/resolve/v1.0"]) {
    const directory = await resolveModel(`${hub.url}/tiny/whole${page}`, given);
    assert.ok(directory.includes("models--tiny--whole"), directory);
    assert.is(directory.endsWith(COMMITS[0]), page.includes("v1.0"));
  }
  const query = `${folder}?signature=secret`;
  hub.reset();
  const directory = await resolveModel(query, given);
  assert.not.match(directory, "secret");
  hub.break(CONFIG, status(404));
  assert.not.match(await fails(query, options(hub, home())), "secret");
});

test("the query of a folder's address goes with each file, and a redirect is followed", async () => {
  const seen: string[] = [];
  const server: Server = createServer((request, response) => {
    seen.push(request.url ?? "");
    const url = new URL(request.url ?? "", "http://x");
    const location = `${hub.folder("tiny/whole")}/${url.pathname.split("/").at(-1)}`;
    response.writeHead(302, { location }).end();
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/a%20b/?sig=1%2F2`;
  const directory = await resolveModel(address, options(hub, home()));
  assert.ok(tree(directory).size === 4);
  assert.ok(
    seen.length > 4 && seen.every((path) => /^\/a%20b\/[\w.]+\?sig=1%2F2$/.test(path)),
    seen[0],
  );
  server.close();
});

test("blobs of texts are named by their contents", async () => {
  const root = home();
  await resolveModel(hub.folder("tiny/whole"), options(hub, root));
  for (const [path, bytes] of kept(root)) {
    const [, sum] = /\/blobs\/([0-9a-f]{64})$/.exec(path) ?? [];
    if (sum !== undefined) assert.is(sha256(bytes), sum);
  }
});

test.after(() => hub.close());
test.run();
