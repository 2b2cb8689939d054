/**
 * Models that load in a page of Chromium: from an address, from a Hub, from files that are given; with the network off the second
 * time, in two tabs at once, after a tab that was closed, and from servers that do what they should not.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { buildIfNeeded } from "../../tools/commands/build.ts";
import { testsRunOn } from "../devices.ts";
import {
  corrupts,
  dies,
  endsEarly,
  html,
  ignoresRanges,
  says,
  stalls,
  status,
  tooMuch,
  wrongLength,
} from "../models/hub/faults.ts";
import { COMMITS, type Fault, type Files, HubServer, type Model } from "../models/hub/server.ts";
import {
  batchFirst,
  closeForward,
  goldenCheckpoint,
  goldenFolder,
  live,
  ModelGolden,
} from "../models/parity.ts";
import { openPage } from "../page.ts";

buildIfNeeded();

/** The files of a folder that a model is read from. */
const folder = (...names: string[]): Files =>
  Object.fromEntries(
    names.flatMap((name) =>
      readdirSync(name)
        .filter((file) => file !== "golden.safetensors")
        .map((file) => [file, new Uint8Array(readFileSync(join(name, file)))]),
    ),
  );

const model = (files: Files, more: Partial<Model> = {}): Model => ({
  commits: { [COMMITS[0]]: files },
  refs: { main: COMMITS[0] },
  ...more,
});

const tokenizer = (): Files => {
  const path = join(import.meta.dirname, "../../promptgen/world/bert/tokenizer.json");
  return { "tokenizer.json": new Uint8Array(readFileSync(path)) };
};

const MODELS: Record<string, Model> = {
  "tiny/bert": model({ ...folder(goldenFolder("bert")), ...tokenizer() }),
  "tiny/roberta": model({ ...folder(goldenFolder("roberta")), ...tokenizer() }),
  "tiny/bart": model({ ...folder(goldenFolder("bart")), ...tokenizer() }),
  "tiny/gated": model(folder(goldenFolder("bert")), { gated: "hf_gatekeeper" }),
};

type Kind = "bert" | "roberta" | "bart";

/** What a program sees of the package. */
type Api = typeof import("../../engine/index.ts") & typeof import("../../models/index.ts");

/** Integers of a golden: values and shape. */
type Inputs = Record<string, readonly [readonly number[], readonly number[]]>;

type Answer = { device: string; logits: number[] };

/** The logits of a model on the CPU. It is sent to pages as text: all that it uses comes with its arguments. */
async function answer(
  api: Api,
  kind: Kind,
  source: Parameters<Api["openModel"]>[0],
  inputs: Inputs,
  options: Parameters<Api["openModel"]>[1],
): Promise<Answer> {
  const put = (name: string) => api.tensor(Uint32Array.from(inputs[name][0]), inputs[name][1]);
  const [ids, mask] = [put("input_ids"), put("attention_mask")];
  const device = await api.openDevice({ device: "cpu" });
  try {
    let logits: import("../../engine/index.ts").Tensor;
    if (kind === "bart") {
      const lm = await api.loadSeq2Seq(source, "f32", options);
      const start = lm.start(lm.encode({ ids, mask }), mask);
      const input = { ids: put("decoder_input_ids"), mask: put("decoder_attention_mask") };
      logits = lm.logits(lm.decode(input, start).hidden);
    } else {
      const lm = await api.loadMaskedLM(source, "f32", options);
      logits = lm.logits(lm.encode({ ids, mask }));
    }
    const [values] = await api.read(device, [logits]);
    return { device: device.description, logits: [...values] };
  } finally {
    device.destroy();
  }
}

const KINDS: readonly Kind[] = ["bert", "roberta", "bart"];

/** A golden's input, the decoder's step by step. */
function inputsOf(kind: Kind): Inputs {
  const golden = new ModelGolden(kind);
  const inputs: Inputs = {};
  for (const name of ["input_ids", "attention_mask", "decoder_attention_mask"]) {
    if (golden.has(name)) inputs[name] = [[...golden.integers(name)], golden.shape(name)];
  }
  if (golden.has("decoder_input_ids")) {
    const [rows, steps] = golden.shape("decoder_input_ids");
    const ids = batchFirst(golden.integers("decoder_input_ids"), rows, steps);
    inputs.decoder_input_ids = [[...ids], [steps, rows]];
  }
  return inputs;
}

/** A page's logits are the golden's and, bit for bit where the two compute alike, Node's. */
async function same(kind: Kind, got: Answer): Promise<void> {
  const golden = new ModelGolden(kind);
  const api = {
    ...(await import("../../engine/index.ts")),
    ...(await import("../../models/index.ts")),
  };
  const here = await answer(api, kind, goldenFolder(kind), inputsOf(kind), undefined);
  const simd = ({ device }: Answer) => /(relaxed )?SIMD/.exec(device)?.[0];
  if (simd(here) === simd(got)) assert.equal(got.logits, here.logits);
  const bart = kind === "bart";
  const [first, second] = golden.shape("logits");
  const values = bart ? batchFirst(got.logits, second, first) : got.logits;
  const mask = golden.integers(bart ? "decoder_attention_mask" : "attention_mask");
  closeForward([{ name: "logits", got: live(values, mask), want: golden.floats("logits") }]);
}

/** Makes the package and what tests need of it known to a page. */
async function prepare(page: Page): Promise<Page> {
  await page.addScriptTag({
    type: "module",
    content: `
      const api = { ...await import("promptgen/engine"), ...await import("promptgen/models") };
      ${answer}
      globalThis.pg = { api, answer, notices: [], progress: [] };
      pg.options = (given) => ({
        backoff: 1,
        retries: 1,
        onNotice: (text) => pg.notices.push(text),
        onProgress: (progress) => pg.progress.push(progress),
        ...given,
      });
      pg.message = (promise) => promise.then(() => "", (error) => error.message ?? String(error));
      globalThis.ready = true;
    `,
  });
  await page.waitForFunction("globalThis.ready");
  return page;
}

/** Another tab of the same browser, with the same files. */
async function another(page: Page): Promise<Page> {
  const tab = await page.context().newPage();
  await tab.goto(page.url());
  return prepare(tab);
}

const text = (value: unknown) => JSON.stringify(value);

const ask = (page: Page, kind: Kind, source: string, options: object): Promise<Answer> =>
  page.evaluate(
    `pg.answer(pg.api, ${text(kind)}, ${source}, ${text(inputsOf(kind))}, pg.options(${text(options)}))`,
  );

const inPage = <T>(page: Page, code: string): Promise<T> => page.evaluate(code);

/** Every file of the page's private file system: path -> bytes. */
const filesOf = (page: Page): Promise<Record<string, number>> =>
  inPage(
    page,
    `(async () => {
      const found = {};
      const walk = async (folder, path) => {
        for await (const [name, handle] of folder.entries()) {
          if (handle.kind === "directory") await walk(handle, path + name + "/");
          else found[path + name] = (await handle.getFile()).size;
        }
      };
      await walk(await navigator.storage.getDirectory(), "");
      return found;
    })()`,
  );

const hub = await HubServer.start(MODELS);
type Isolation = "plain" | "isolated";
const opened = new Map<Isolation, Awaited<ReturnType<typeof openPage>>>();

const test = suite("models in a page");

test.before(async () => {
  for (const isolation of ["plain", "isolated"] as const) {
    const made = await openPage({ isolated: isolation === "isolated" });
    opened.set(isolation, made);
    await prepare(made.page);
  }
});
test.before.each(() => hub.reset());

function pageOf(isolation: Isolation): Page {
  const found = opened.get(isolation);
  if (!found) throw new Error(`the ${isolation} page is not open`);
  return found.page;
}

const WEIGHTS = /model\.safetensors$/;

/** Requests for whole files of weights. */
const fetched = () =>
  hub.seen.filter(({ method, path, storage }) => storage && method === "GET" && WEIGHTS.test(path));

for (const isolation of ["plain", "isolated"] as const) {
  for (const kind of KINDS) {
    test(`${kind} by its name on a Hub and by address, in a page that is ${isolation}`, async () => {
      const page = pageOf(isolation);
      const endpoint = { endpoint: hub.url };
      await same(kind, await ask(page, kind, text(`tiny/${kind}`), endpoint));
      await same(kind, await ask(page, kind, text(hub.folder(`tiny/${kind}`)), endpoint));
      const seen: { bytes: number; size: number }[] = await inPage(page, "pg.progress.splice(0)");
      assert.is(seen.at(-1)?.bytes, seen.at(-1)?.size);
      const many = kind === "roberta" ? 0 : 2; // its weights are shards
      assert.is(fetched().length, many);
      const code = `pg.api.loadTokenizer("tiny/${kind}", pg.options(${text(endpoint)})).then((t) => t.size)`;
      assert.ok((await inPage<number>(page, code)) > 100);
      assert.ok(
        hub.seen.every(({ method }) => method !== "OPTIONS"),
        "no page has to ask whether it may ask",
      );
    });
  }
}

test("an address relative to the page", async () => {
  const page = pageOf("plain");
  await same("bert", await ask(page, "bert", text("/test/golden/models/bert/"), {}));
  await same("bert", await ask(page, "bert", text("./test/golden/models/bert"), {}));
});

test("the second time with the network off, in another tab; forgotten, it is gone", async () => {
  const gone = await HubServer.start(MODELS);
  const page = pageOf("plain");
  const endpoint = { endpoint: gone.url };
  const address = text(gone.folder("tiny/bart"));
  await inPage(page, `pg.api.forgetModel("tiny/bart")`);
  await ask(page, "bart", text("tiny/bart"), endpoint);
  await ask(page, "bart", address, endpoint);
  await gone.close();
  const tab = await another(page);
  const given = `pg.options(${text(endpoint)})`;
  const weights = (source: string): Promise<number> =>
    inPage(
      tab,
      `(async () => {
        const { tensors } = await pg.api.readCheckpoint(${source}, ${given});
        let bytes = 0;
        for (const tensor of tensors.values()) bytes += (await tensor.read(0, tensor.byteLength)).length;
        return bytes;
      })()`,
    );
  const all = [...goldenCheckpoint("bart").tensors.values()].reduce(
    (n, { data }) => n + data.length,
    0,
  );
  try {
    await inPage(tab, `pg.api.forgetModel("tiny/none")`); // the code that the package loads when it is needed
    await tab.context().setOffline(true);
    assert.is(await weights(text("tiny/bart")), all);
    assert.is(await weights(address), all);
    await tab.context().setOffline(false);
    await inPage(tab, "void pg.notices.splice(0)");
    await same("bart", await ask(tab, "bart", text("tiny/bart"), endpoint));
    await same("bart", await ask(tab, "bart", address, endpoint));
    const notices: string[] = await inPage(tab, "pg.notices");
    assert.is(notices.length, 2);
    for (const notice of notices)
      assert.match(notice, /cannot be reached .*the cached commit [0-9a-f]{40} is used/);
    await same("bart", await ask(tab, "bart", text("tiny/bart"), { ...endpoint, offline: true }));
    await inPage(tab, `pg.api.forgetModel("tiny/bart")`);
    await inPage(tab, `pg.api.forgetModel(${address})`);
    const left = Object.keys(await filesOf(tab)).filter((path) => path.includes("tiny--bart"));
    assert.equal(left, []);
    const message: string = await inPage(
      tab,
      `pg.message(pg.api.loadSeq2Seq("tiny/bart", "f32", pg.options({ endpoint: "${endpoint.endpoint}", offline: true })))`,
    );
    assert.match(
      message,
      /^\[hub\] tiny\/bart .* is not there in promptgen-models\/models--tiny--bart, and the option offline is set: unset it/,
    );
  } finally {
    await tab.context().setOffline(false);
    await tab.close();
  }
});

test("files that a visitor gives: a list, a folder of his, a folder's handle", async () => {
  const page = pageOf("plain");
  const input = `document.body.appendChild(Object.assign(document.createElement("input"), { type: "file", multiple: true, id: "files" }))`;
  await inPage(page, `void ${input}`);
  const home = goldenFolder("bart");
  await page.setInputFiles(
    "#files",
    ["config.json", "model.safetensors"].map((name) => join(home, name)),
  );
  await same("bart", await ask(page, "bart", `document.querySelector("#files").files`, {}));
  await inPage(page, `document.querySelector("#files").webkitdirectory = true`);
  await page.setInputFiles("#files", goldenFolder("roberta"));
  await same("roberta", await ask(page, "roberta", `document.querySelector("#files").files`, {}));
  const handle = `(async () => {
    const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle("given", { create: true });
    for (const name of ["config.json", "model.safetensors"]) {
      const file = await (await folder.getFileHandle(name, { create: true })).createWritable();
      await file.write(await (await fetch("/test/golden/models/bert/" + name)).arrayBuffer());
      await file.close();
    }
    globalThis.given = folder;
  })()`;
  await inPage(page, handle);
  await same("bert", await ask(page, "bert", "given", {}));
  assert.is(hub.seen.length, 0);
  const says = (source: string): Promise<string> =>
    inPage(page, `pg.message(pg.api.loadMaskedLM(${source}))`);
  const file = (name: string, content: string) => `new File([${text(content)}], ${text(name)})`;
  const cases: [source: string, words: RegExp][] = [
    ["[]", /^\[files\] no file was given; give config\.json/],
    [`[${file("a.txt", "")}]`, /^\[config\] the given files\/config\.json does not exist; /],
    [
      `[${file("config.json", "<html>")}]`,
      /^\[config\] the given files\/config\.json is not JSON; /,
    ],
    [
      `[${file("config.json", "{}")}, ${file("config.json", "{}")}]`,
      /^\[files\] 'config\.json' was given twice/,
    ],
    [
      `[${file("config.json", "{}")}]`,
      /^\[weights\] the given files holds none of model\.safetensors/,
    ],
    [
      `[${file("config.json", "{}")}, ${file("model.safetensors", "<html>..")}]`,
      /^\[safetensors\] the given files\/model\.safetensors: the header claims/,
    ],
    [
      `[${file("config.json", "{}")}, ${file("pytorch_model.bin", "x")}]`,
      /^\[pytorch\] .* is no file of torch\.save/,
    ],
    [`[{ name: "config.json", size: 2 ** 40, slice: () => new Blob() }]`, /./],
    [`new File([], "x")`, /^\[files\] what was given is no list of files/],
    [
      text("no such name!"),
      /^\[hub\] "no such name!" is no address, and a model's name has the form owner\/name/,
    ],
    [text("file:///etc"), /^\[hub\] an address that begins with file: is none of the web/],
  ];
  for (const [source, words] of cases) assert.match(await says(source), words, source);
});

test("two tabs at once fetch each file once; a tab that was closed leaves what the next goes on from", async () => {
  const page = pageOf("plain");
  const big = new Uint8Array(40 * 2 ** 20).fill(7); // in three parts
  const header = new TextEncoder().encode(
    `{"a":{"dtype":"U8","shape":[${big.length}],"data_offsets":[0,${big.length}]}}   `,
  );
  const file = new Uint8Array(8 + header.length + big.length);
  new DataView(file.buffer).setBigUint64(0, BigInt(header.length), true);
  file.set(header, 8);
  file.set(big, 8 + header.length);
  hub.models["tiny/big"] = model({
    ...MODELS["tiny/bert"].commits[COMMITS[0]],
    "model.safetensors": file,
  });
  const load = `pg.api.readCheckpoint("tiny/big", pg.options({ endpoint: "${hub.url}" })).then(({ tensors }) => tensors.get("a").byteLength)`;
  hub.break(WEIGHTS, stalls(36 * 2 ** 20), 1);
  const first = await another(page);
  const dying = inPage(first, load).catch(() => 0);
  await first.waitForFunction("pg.progress.some(({ fileBytes }) => fileBytes > 35 * 2 ** 20)");
  const second = await another(page);
  const third = await another(page);
  const loads = [second, third].map((tab) => inPage<number>(tab, load));
  await second.waitForFunction("pg.notices.length > 0");
  await third.waitForFunction("pg.notices.length > 0");
  assert.match(await inPage<string>(second, "pg.notices[0]"), /being downloaded by another tab/);
  await first.close();
  assert.is(await dying, 0);
  assert.equal(await Promise.all(loads), [big.length, big.length]);
  const ranges = fetched().map(({ range }) => range);
  assert.is(ranges.length, 2);
  assert.match(String(ranges[1]), new RegExp(`^bytes=${2 * 16 * 2 ** 20}-`)); // the parts that were whole
  const bytes: number = await inPage(
    second,
    `pg.api.readCheckpoint("tiny/big", pg.options({ endpoint: "${hub.url}" })).then(({ tensors }) => tensors.get("a").read(33e6, 33e6 + 1e6)).then((a) => a.reduce((x, y) => x + y, 0))`,
  );
  assert.is(bytes, 7e6);
  await inPage(second, `pg.api.forgetModel("tiny/big")`);
  await second.close();
  await third.close();
  delete hub.models["tiny/big"];
});

/** Each fault strikes always; words of the sentence, and whether a part may stay. */
const failing: [what: string, path: RegExp, fault: Fault, words: RegExp, part?: true][] = [
  ["dies", WEIGHTS, dies(9000), /broke while model\.safetensors of .*tried 2 times.*is kept/, true],
  ["ends early", WEIGHTS, endsEarly(9000), /after \d+ of \d+ bytes.*is kept/, true],
  [
    "stalls",
    WEIGHTS,
    stalls(9000),
    /sends nothing \(more\) of model\.safetensors.*the option stallTimeout/,
    true,
  ],
  [
    "one wrong bit",
    WEIGHTS,
    corrupts,
    /has the sha256 [0-9a-f]{64} where the Hub lists .*it was deleted/,
  ],
  ["one wrong bit in a text", /config\.json$/, corrupts, /has the git sha1 .*it was deleted/],
  ["too long", WEIGHTS, wrongLength(7), /in the list of files, but the server announces/],
  ["too much", WEIGHTS, tooMuch(9), /sends more than the \d+ bytes .*was deleted/],
  ["416", WEIGHTS, status(416), /answers 416/],
  ["503", /\/revision\//, status(503), /answers 503 .*tried 2 times/],
  [
    "a page",
    /\/config\.json$/,
    html,
    /does not answer as a Hub .*a web page.*check the option endpoint/,
  ],
  ["no JSON", /\/revision\//, says("hello"), /does not answer as a Hub/],
];

test("a Hub that misbehaves gets one sentence, and leaves no half file", async () => {
  const page = pageOf("isolated");
  for (const [what, path, fault, words, part] of failing) {
    hub.reset();
    await inPage(page, `pg.api.forgetModel("tiny/bert")`);
    hub.break(path, fault);
    const limits = what === "stalls" ? { stallTimeout: 500 } : {};
    const given = text({ endpoint: hub.url, ...limits });
    const load = `pg.api.loadMaskedLM("tiny/bert", "f32", pg.options(${given}))`;
    const message: string = await inPage(page, `pg.message(${load})`);
    assert.match(message, words, `${what}: ${message}`);
    assert.match(message, /^\[hub\] [^\n]{20,450}$/, what);
    const left = Object.keys(await filesOf(page)).filter((name) => name.includes("tiny--bert"));
    const half = left.filter((name) => name.includes(".parts/"));
    const whole = left.filter((name) => /\/blobs\/[0-9a-f]+$/.test(name));
    const wholeParts = half.filter((name) =>
      whole.some((blob) => name.startsWith(`${blob}.parts`)),
    );
    assert.is(half.length > wholeParts.length, part === true, `${what}: ${left}`);
    assert.ok(!left.some((name) => name.includes("/refs/")), what);
    hub.reset();
    await same("bert", await ask(page, "bert", text("tiny/bert"), { endpoint: hub.url }));
    const asked = fetched();
    if (part) assert.match(String(asked[0]?.range), /^bytes=[1-9]\d*-/, what);
  }
});

test("servers that know no ranges, are gated, closed to pages, or not there", async () => {
  const page = pageOf("plain");
  await inPage(page, `pg.api.forgetModel("tiny/bert")`);
  hub.break(WEIGHTS, dies(50_000), 1);
  hub.break(WEIGHTS, ignoresRanges, 1);
  await same("bert", await ask(page, "bert", text("tiny/bert"), { endpoint: hub.url }));
  const says = (name: string, given: object): Promise<string> =>
    inPage(
      page,
      `pg.message(pg.api.loadMaskedLM(${text(name)}, "f32", pg.options(${text({ endpoint: hub.url, ...given })})))`,
    );
  assert.match(
    await says("tiny/gated", {}),
    /is gated: accept its terms at .*then set the option token/,
  );
  assert.match(
    await says("tiny/nobody", {}),
    /^\[hub\] tiny\/nobody is no repository on .*: check the spelling/,
  );
  assert.match(await says("tiny/bert", { revision: "v9" }), /has no revision 'v9'/);
  await inPage(
    page,
    `pg.api.loadMaskedLM("tiny/gated", "f32", pg.options(${text({ endpoint: hub.url, token: "hf_gatekeeper" })}))`,
  );
  for (const { storage, token } of hub.seen) if (storage) assert.is(token, undefined);
  hub.open = false;
  assert.match(
    await says("tiny/other", {
      revision: "main",
      endpoint: hub.url.replace("127.0.0.1", "localhost"),
    }),
    /cannot be reached .*lets this page read its files \(CORS\); or give files of this machine/,
  );
  assert.match(
    await says(hub.folder("tiny/other"), {}),
    /cannot be reached .*the address, and whether the server lets this page/,
  );
  hub.open = true;
  assert.match(
    await says(hub.folder("tiny/other"), {}),
    /has no config\.json, and no .* \(it answers 404\): give the address of a folder that has/,
  );
  assert.match(await says(hub.folder("tiny/bert/config.json"), {}), /is the address of a file/);
});

test("what does not fit, and a page that may keep nothing, are told before anything is fetched", async () => {
  const tab = await another(pageOf("plain"));
  await inPage(tab, `pg.api.forgetModel("tiny/bert")`);
  const says = (): Promise<string> =>
    inPage(
      tab,
      `pg.message(pg.api.loadMaskedLM("tiny/bert", "f32", pg.options({ endpoint: "${hub.url}" })))`,
    );
  const session = await tab.context().newCDPSession(tab);
  const origin = new URL(tab.url()).origin;
  const estimates = (told: string) =>
    inPage(tab, `void (StorageManager.prototype.estimate = async () => (${told}))`);
  await estimates("{ quota: 9e6, usage: 8_990_000 }");
  assert.match(
    await says(),
    /^\[hub\] tiny\/bert needs 1 MB more, of which the browser grants this site 1: free space .*forgetModel$/,
  );
  assert.is(fetched().length, 0);
  await estimates("{}"); // a browser that tells nothing
  await session.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: 1000 });
  assert.match(
    await says(),
    /^\[hub\] the browser's cache cannot be used \(QuotaExceededError: .*: the browser grants this site no more: /,
  );
  await session.send("Storage.overrideQuotaForOrigin", { origin });
  await same("bert", await ask(tab, "bert", text("tiny/bert"), { endpoint: hub.url }));
  await inPage(tab, "void (StorageManager.prototype.getDirectory = undefined)");
  assert.match(
    await says(),
    /^\[hub\] this page may keep no files .*serve it by https or from localhost, or give files of this machine$/,
  );
  await tab.close();
});

test("what the browser has thrown away is fetched again, or told while it is in use", async () => {
  const page = pageOf("plain");
  const given = `pg.options({ endpoint: "${hub.url}" })`;
  await ask(page, "bert", text("tiny/bert"), { endpoint: hub.url });
  const removed = Object.keys(await filesOf(page)).filter((path) =>
    /tiny--bert\/blobs\/[0-9a-f]{64}\.parts\/0$/.test(path),
  );
  assert.is(removed.length, 1);
  const message: string = await inPage(
    page,
    `(async () => {
      const { tensors } = await pg.api.readCheckpoint("tiny/bert", ${given});
      const path = ${text(removed[0])}.split("/");
      let folder = await navigator.storage.getDirectory();
      for (const name of path.slice(0, -1)) folder = await folder.getDirectoryHandle(name);
      await folder.removeEntry(path.at(-1));
      const [tensor] = tensors.values();
      return pg.message(tensor.read(0, 4));
    })()`,
  );
  assert.match(
    message,
    /^\[source\] tiny\/bert\/model\.safetensors was changed or removed while it was used .*; give it again$/,
  );
  hub.reset();
  await same("bert", await ask(page, "bert", text("tiny/bert"), { endpoint: hub.url }));
  assert.is(fetched().length, 1);
});

test("links that another tab is about to write are no faults", async () => {
  const page = pageOf("plain");
  await ask(page, "bert", text("tiny/bert"), { endpoint: hub.url });
  const links = Object.keys(await filesOf(page)).filter((path) =>
    /tiny--bert\/snapshots\//.test(path),
  );
  assert.is(links.length, 2, `${links}`); // config.json and the weights
  await inPage(
    page,
    `(async () => {
      for (const path of ${text(links)}) {
        const names = path.split("/");
        let folder = await navigator.storage.getDirectory();
        for (const name of names.slice(0, -1)) folder = await folder.getDirectoryHandle(name);
        await (await (await folder.getFileHandle(names.at(-1))).createWritable()).close();
      }
    })()`,
  );
  const emptied = await filesOf(page);
  const sizes = links.map((path) => emptied[path]);
  assert.equal(sizes, [0, 0]);
  hub.reset();
  await same("bert", await ask(page, "bert", text("tiny/bert"), { endpoint: hub.url }));
  assert.is(fetched().length, 0); // the blobs are there
});

test.after(async () => {
  for (const { close } of opened.values()) await close();
  await hub.close();
});
if (testsRunOn("cpu")) test.run();
else await hub.close();
