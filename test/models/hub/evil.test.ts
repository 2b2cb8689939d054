/**
 * Models by name, from a Hub on this machine that misbehaves: what passes is retried, what does not
 * is told in one sentence, and after each case the whole cache is looked at.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { resolveModel } from "../../../models/hub/resolve.ts";
import type { HubOptions } from "../../../models/hub/settings.ts";
import { counted, fails, home, options, sound, tree } from "./cache-check.ts";
import {
  corrupts,
  dies,
  drips,
  endsEarly,
  html,
  ignoresRanges,
  json,
  mute,
  redirects,
  says,
  stalls,
  status,
  tooMuch,
  wrongLength,
  wrongRange,
} from "./faults.ts";
import { COMMITS, type Fault, HubServer, noise, sha256 } from "./server.ts";

const test = suite("models by name from a bad server");
const hub = await HubServer.start();
test.before.each(() => hub.reset());

const NAME = "tiny/whole";
const WEIGHTS = /whole\/2+\/model\.safetensors$/; // on the storage
const SIZE = 200_000;
const SUM = sha256(noise(SIZE, 2));
const CONFIG = /resolve\/.*\/config\.json$/;
const INFO = /\/revision\//;
const TREE = /\/tree\//;
const told = { recovered: 0, refused: 0 };

function quick(root: string, more: HubOptions = {}): HubOptions {
  return options(hub, root, more);
}

/** Short time limits for a server that is silent; a busy machine must not look like one. */
function limits(what: string): HubOptions {
  const silent = /stall|drip|silent|no answer/.test(what);
  return silent ? { responseTimeout: 400, stallTimeout: 400 } : {};
}

/** Ranges asked of the storage. */
function ranges(): (string | undefined)[] {
  return hub.seen.filter(({ storage }) => storage).map(({ range }) => range);
}

/** The first byte of a range. */
function from(range: string | undefined): number {
  return Number(/^bytes=(\d+)-199999$/.exec(range ?? "")?.[1] ?? -1);
}

/** Each fault strikes `times` times; the model arrives all the same. */
const passing: [what: string, path: RegExp, fault: Fault, times: number][] = [
  ["the connection dies at once", WEIGHTS, dies(0), 3],
  ["the connection dies half-way", WEIGHTS, dies(120_000), 1],
  ["the connection dies again and again", WEIGHTS, dies(50_000), 3],
  ["the connection of a small file dies", CONFIG, dies(3), 2],
  ["the connection dies in the commit", INFO, dies(10), 2],
  ["the connection dies in the list of files", TREE, dies(10), 2],
  ["a body that ends early", WEIGHTS, endsEarly(70_000), 2],
  ["an empty body", WEIGHTS, endsEarly(0), 2],
  ["a server that stalls", WEIGHTS, stalls(80_000), 1],
  ["a server that drips", WEIGHTS, drips(), 1],
  ["a list of files that stalls", TREE, stalls(10), 1],
  ["no answer for the commit", INFO, mute, 1],
  ["no answer for the list of files", TREE, mute, 1],
  ["no answer for a file", WEIGHTS, mute, 1],
  ["500", INFO, status(500), 2],
  ["502 for the list of files", TREE, status(502), 3],
  ["503", WEIGHTS, status(503), 3],
  ["504", CONFIG, status(504), 1],
  ["408", WEIGHTS, status(408), 1],
  ["429", WEIGHTS, status(429), 2],
  ["a signed link that has expired", WEIGHTS, status(403), 1],
];

for (const [what, path, fault, times] of passing) {
  test(`passes: ${what}`, async () => {
    const root = home();
    hub.break(path, fault, times);
    const notices: string[] = [];
    const onNotice = (text: string) => notices.push(text);
    await resolveModel(NAME, quick(root, { onNotice, ...limits(what) }));
    assert.is(hub.faults[0].used, times);
    assert.is(notices.length, times);
    for (const text of notices)
      assert.match(text, /^\[hub\] .*: .* \(retry \d of 3 in [\d.]+ s\)$/);
    assert.is(sound(hub, root).size, 0);
    assert.is([...tree(join(root, "cache"))].length, 9); // 4 blobs, 4 links, 1 ref
    told.recovered++;
  });
}

test("a broken download goes on where it broke, and its bytes are counted once", async () => {
  const root = home();
  hub.break(WEIGHTS, dies(50_000), 3);
  let last = 0;
  const onProgress = ({ file, fileBytes }: { file: string; fileBytes: number }) => {
    if (file !== "model.safetensors") return;
    assert.ok(fileBytes >= last);
    last = fileBytes;
  };
  await resolveModel(NAME, quick(root, { onProgress }));
  assert.is(last, SIZE);
  const asked = ranges().map(from);
  assert.is(asked.length, 4);
  assert.is(asked[0], -1);
  assert.ok(asked[1] > 0 && asked[1] < asked[2] && asked[2] < asked[3], String(asked));
  sound(hub, root);
});

test("Retry-After is kept to; a long one is told instead", async () => {
  const root = home();
  hub.break(INFO, status(429, { "retry-after": "1" }), 1);
  const begin = performance.now();
  await resolveModel(NAME, quick(root));
  assert.ok(performance.now() - begin >= 990);
  const at = new Date(Date.now() + 7_200_000).toUTCString();
  for (const wait of ["7200", at]) {
    hub.reset();
    hub.break(INFO, status(429, { "retry-after": wait }));
    const given = quick(root, { revision: "v1.0" });
    await fails(NAME, given, "answers 429", /in (7200|71\d\d) s/, "set HF_TOKEN");
    assert.is(hub.seen.length, 1);
    told.refused++;
  }
  sound(hub, root);
});

test("a server that gives no ranges is read again from the start", async () => {
  const root = home();
  hub.break(WEIGHTS, dies(90_000), 1);
  hub.break(WEIGHTS, ignoresRanges, 1);
  await resolveModel(NAME, quick(root));
  assert.is(ranges().length, 2);
  assert.ok(from(ranges()[1]) > 0);
  assert.is(sound(hub, root).size, 0);
  told.recovered++;
});

test("a part that a broken disk has spoiled is given up and read again", async () => {
  for (const part of [noise(100_000, 99), noise(SIZE, 99), noise(SIZE + 5, 99)]) {
    const root = home();
    const blobs = join(root, "cache", "models--tiny--whole", "blobs");
    mkdirSync(blobs, { recursive: true });
    writeFileSync(join(blobs, `${SUM}.incomplete`), part);
    hub.reset();
    await resolveModel(NAME, quick(root));
    assert.is(ranges().at(-1), undefined);
    assert.is(sound(hub, root).size, 0);
    told.recovered++;
  }
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
    "the connection always dies",
    WEIGHTS,
    dies(9000),
    ["broke while model.safetensors of tiny/whole", "tried 2 times", "what has arrived is kept"],
    true,
  ],
  [
    "the body always ends early",
    WEIGHTS,
    endsEarly(9000),
    ["ended model.safetensors", "18000 of 200000", "tried 2 times"],
    true,
  ],
  ["the body is always empty", WEIGHTS, endsEarly(0), ["after 0 of 200000"]],
  [
    "always stalls",
    WEIGHTS,
    stalls(9000),
    ["sends nothing (more) of model.safetensors", "HF_HUB_DOWNLOAD_TIMEOUT"],
    true,
  ],
  ["always silent", INFO, mute, ["sends nothing", "revision 'main'", "tried 2 times"]],
  ["always 503", TREE, status(503), ["answers 503", "the list of files", "tried 2 times"]],
  ["always 500 for a file", CONFIG, status(500), ["answers 500", "config.json", "tried 2 times"]],
  ["400", INFO, status(400), ["answers 400", "check HF_ENDPOINT"]],
  ["404 of no Hub", INFO, status(404), ["answers 404", "check HF_ENDPOINT"]],
  ["404 of the storage", WEIGHTS, status(404), ["answers 404", "model.safetensors"]],
  [
    "a listed file is not there",
    CONFIG,
    status(404, { "x-error-code": "EntryNotFound" }),
    ["does not have it"],
  ],
  ["416", WEIGHTS, status(416), ["answers 416"]],
  ["too long", WEIGHTS, wrongLength(7), ["announces 200007", "200000 bytes in the list"]],
  ["too short", WEIGHTS, wrongLength(-7), ["announces 199993"]],
  ["a small file too long", CONFIG, wrongLength(1), ["config.json", "announces"]],
  ["more than announced", WEIGHTS, tooMuch(9), ["more than the 200000 bytes", "was deleted"]],
  ["much more than announced", WEIGHTS, tooMuch(1e7), ["more than the 200000 bytes"]],
  ["one wrong bit", WEIGHTS, corrupts, [`has the sha256`, `where the Hub lists ${SUM}`, "deleted"]],
  ["one wrong bit in a small file", CONFIG, corrupts, ["has the git sha1", "deleted"]],
  ["a page for the commit", INFO, html, ["does not answer as a Hub", "a web page", "log-in"]],
  ["a page for the list of files", TREE, html, ["a web page"]],
  ["a page for a file", WEIGHTS, html, ["model.safetensors", "a web page"]],
  ["a page for a small file", CONFIG, html, ["config.json", "a web page"]],
  ["a redirect to itself", INFO, redirects(() => ""), ["in a circle"]],
  [
    "a circle of two",
    INFO,
    redirects((n) => `/api/models/tiny/whole/revision/main?${n % 2}`),
    ["in a circle"],
  ],
  [
    "redirects without an end",
    INFO,
    redirects((n) => `/api/models/tiny/whole/revision/main?${n}`),
    ["in a circle"],
  ],
  [
    "a circle for a file",
    WEIGHTS,
    redirects((n) => `?${n % 3}`),
    ["in a circle", "model.safetensors"],
  ],
  [
    "a redirect to a file",
    WEIGHTS,
    redirects(() => "file:///etc/passwd"),
    ["a redirect to 'file:///etc/passwd'"],
  ],
  ["a redirect to data", WEIGHTS, redirects(() => "data:,x"), ["a redirect to 'data:,x'"]],
  ["a redirect to nowhere", WEIGHTS, status(302), ["a redirect to nothing"]],
  ["no JSON", INFO, says("hello"), ["does not answer as a Hub"]],
  ["half of JSON", TREE, says('[{"type":"file"'), ["does not answer as a Hub"]],
  ["null", INFO, says("null"), ["does not answer as a Hub"]],
  ["no commit", INFO, says("{}"), ["the commit nothing", "40 hexadecimal"]],
  [
    "a commit that climbs",
    INFO,
    json((info: object) => ({ ...info, sha: "../../../../etc" })),
    ["the commit '../../../../etc'"],
  ],
  [
    "a commit with a line end",
    INFO,
    json((info: object) => ({ ...info, sha: `${COMMITS[1]}\n` })),
    ["the commit"],
  ],
  ["a list that is none", TREE, says("{}"), ["does not answer as a Hub"]],
  ["a list of nothing", TREE, says("[null]"), ["the file name nothing"]],
  ["an empty list", TREE, says("[]"), ["has no tokenizer.json", "and no config.json"]],
  ["a reply without an end", TREE, says(" ".repeat(34 << 20)), ["a reply without an end"]],
  ["a list in endless pages", TREE, endless, ["more than 100 pages"]],
];

/** A page of a list whose next page is itself, by another name. */
function endless(...[request, response]: Parameters<Fault>): boolean {
  const url = `${hub.url}${request.url?.split("?")[0]}?${hub.seen.length}`;
  response.writeHead(200, { "content-type": "application/json", link: `<${url}>; rel="next"` });
  response.end("[]");
  return true;
}

for (const [what, path, fault, words, part] of failing) {
  test(`fails: ${what}`, async () => {
    const root = home();
    hub.break(path, fault);
    const message = await fails(NAME, quick(root, { retries: 1, ...limits(what) }), ...words);
    assert.ok(message.length < 450, message);
    const parts = sound(hub, root);
    assert.equal([...parts.keys()], part ? [SUM] : []);
    assert.not.ok([...tree(join(root, "cache")).keys()].some((name) => name.includes("/refs/")));
    told.refused++;
    // the same cache with a good server
    hub.reset();
    await resolveModel(NAME, quick(root));
    if (part) assert.is(from(ranges()[0]), parts.get(SUM));
    assert.is(sound(hub, root).size, 0);
  });
}

test("a wrong range is refused, and the part that was right is kept", async () => {
  const root = home();
  hub.break(WEIGHTS, dies(90_000), 1);
  hub.break(WEIGHTS, wrongRange);
  await fails(NAME, quick(root), /answers 'bytes \d+-199998\/200000' for the bytes from/);
  assert.is(sound(hub, root).size, 1);
  hub.reset();
  await resolveModel(NAME, quick(root));
  assert.ok(from(ranges()[0]) > 0);
  assert.is(sound(hub, root).size, 0);
  told.refused++;
});

test.after(async () => {
  await hub.close();
  console.log(
    `${told.recovered} misbehaviours got over, ${told.refused} told in a sentence; ` +
      `${counted.caches} caches with ${counted.files} files looked at`,
  );
});
test.run();
