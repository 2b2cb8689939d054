/** Models by name, from a Hub on this machine that behaves well. */
import { mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { scanCacheDir } from "@huggingface/hub";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { chooseFiles } from "../../../models/hub/files.ts";
import { resolveModel } from "../../../models/hub/resolve.ts";
import type { HubProgress } from "../../../models/hub/settings.ts";
import { counted, fails, home, options, sound, tree } from "./cache-check.ts";
import { COMMITS, etag, HubServer } from "./server.ts";

const test = suite("models by name");
const hub = await HubServer.start();
let requests = 0;
test.before.each(() => {
  requests += hub.seen.length;
  hub.reset();
});

/** What Python's huggingface_hub made of the same files (tools/reference_hub.py). */
const layouts: Record<string, { revision: string; tree: Record<string, string> }> = JSON.parse(
  readFileSync(new URL("../../golden/models/hub.json", import.meta.url), "utf8"),
);

/** Files of a cache as the golden has them: link targets, the text of refs, sizes of blobs. */
function described(root: string): Record<string, string> {
  const entries = [...tree(root)].map(([path, value]): [string, string] => {
    if (typeof value === "string") return [path, `-> ${value}`];
    if (path.includes("/refs/")) return [path, new TextDecoder().decode(value)];
    return [path, `${value.length} bytes`];
  });
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Builds what Python left: the golden's tree, with the contents that the server has. */
function rebuild(name: string, commit: string, root: string): void {
  const files = hub.models[name].commits[commit];
  const byTag = new Map(Object.entries(files).map(([path, bytes]) => [etag(path, bytes), bytes]));
  for (const [path, value] of Object.entries(layouts[name].tree)) {
    const to = join(root, "cache", path);
    mkdirSync(dirname(to), { recursive: true });
    if (value.startsWith("-> ")) symlinkSync(value.slice(3), to);
    else if (path.includes("/refs/")) writeFileSync(to, value);
    else writeFileSync(to, byTag.get(path.split("/").at(-1) ?? "") ?? "");
  }
}

test("every kind of repository becomes the tree that the Python library makes", async () => {
  const names = Object.keys(layouts);
  assert.ok(names.length >= 5);
  for (const name of names) {
    const root = home();
    const { revision } = layouts[name];
    const directory = await resolveModel(name, options(hub, root, { revision }));
    assert.is(
      directory,
      join(
        root,
        "cache",
        `models--${name.replace("/", "--")}`,
        "snapshots",
        hub.models[name].refs[revision] ?? revision,
      ),
    );
    sound(hub, root);
    assert.equal(described(join(root, "cache")), layouts[name].tree, name);
  }
});

test("only what is needed is asked for, nothing twice", async () => {
  const root = home();
  await resolveModel("tiny/whole", options(hub, root));
  const paths = hub.seen
    .filter(({ storage }) => !storage)
    .map(({ path }) => path.split("/").at(-1));
  const files = ["tokenizer_config.json", "tokenizer.json", "config.json", "model.safetensors"];
  assert.equal(paths, ["main", COMMITS[1], ...files]);
  assert.is(hub.seen.filter(({ storage }) => storage).length, 1);
  hub.reset();
  await resolveModel("tiny/whole", options(hub, root)); // one question: what is main now?
  assert.equal(
    hub.seen.map(({ path }) => path),
    ["/api/models/tiny/whole/revision/main"],
  );
  hub.reset();
  await resolveModel("tiny/whole", options(hub, root, { revision: COMMITS[1] }));
  assert.is(hub.seen.length, 0);
});

test("parts: a tokenizer or the weights alone; the rest comes later", async () => {
  const root = home();
  const directory = await resolveModel(
    "tiny/pickled",
    options(hub, root, { parts: ["tokenizer"] }),
  );
  const names = () => [...tree(directory).keys()].sort();
  assert.equal(names(), ["config.json", "merges.txt", "vocab.json"]); // it says of which kind
  await resolveModel("tiny/pickled", options(hub, root, { parts: ["config", "weights"] }));
  assert.equal(names(), ["config.json", "merges.txt", "pytorch_model.bin", "vocab.json"]);
  sound(hub, root);
});

test("a cache that Python made is used without a request for a file", async () => {
  for (const [name, { revision }] of Object.entries(layouts)) {
    const root = home();
    const commit = hub.models[name].refs[revision] ?? revision;
    rebuild(name, commit, root);
    hub.reset();
    await resolveModel(name, options(hub, root, { revision }));
    assert.ok(
      hub.seen.every(({ path }) => path.startsWith("/api/models/")) && hub.seen.length <= 1,
    );
    hub.reset();
    await resolveModel(name, options(hub, root, { revision, offline: true }));
    assert.is(hub.seen.length, 0);
    // the blob is there, its link is not, as after an update of the branch
    rmSync(join(root, "cache", `models--${name.replace("/", "--")}`, "snapshots"), {
      recursive: true,
    });
    await resolveModel(name, options(hub, root, { revision }));
    assert.ok(
      hub.seen.every(({ path }) => path.startsWith("/api/models/")),
      name,
    );
    sound(hub, root);
  }
});

test("the library's own scan of a cache finds our models", async () => {
  const root = home();
  await resolveModel("tiny/whole", options(hub, root));
  await resolveModel("tiny/whole", options(hub, root, { revision: "v1.0" }));
  const { repos, warnings } = await scanCacheDir(join(root, "cache"));
  assert.equal(warnings, []);
  assert.equal(
    repos.map(({ id }) => id),
    [{ type: "model", name: "tiny/whole" }],
  );
  const revisions = repos[0].revisions.map(({ commitOid, refs, files }) => [
    commitOid,
    refs,
    files.length,
  ]);
  assert.equal(revisions.sort(), [
    [COMMITS[0], ["v1.0"], 4],
    [COMMITS[1], ["main"], 4],
  ]);
});

test("revisions: branch, tag, pull request, commit; a branch that moves", async () => {
  const root = home();
  const at = async (revision: string) =>
    (await resolveModel("tiny/whole", options(hub, root, { revision }))).split("/").at(-1);
  assert.is(await at("main"), COMMITS[1]);
  assert.is(await at("v1.0"), COMMITS[0]);
  assert.is(await at("pr/1"), COMMITS[0]);
  assert.is(await at(COMMITS[0]), COMMITS[0]);
  const { refs } = hub.models["tiny/whole"];
  hub.models["tiny/whole"] = { ...hub.models["tiny/whole"], refs: { ...refs, main: COMMITS[0] } };
  assert.is(await at("main"), COMMITS[0]);
  sound(hub, root);
  hub.models["tiny/whole"] = { ...hub.models["tiny/whole"], refs };
  await fails(
    "tiny/whole",
    options(hub, root, { revision: "v9" }),
    /no revision 'v9'/,
    /branch, tag/,
  );
  for (const revision of ["../main", "a/../../b", "/etc", "a//b", ".", "a b", "", "a\\b", "a\nb"]) {
    await fails("tiny/whole", options(hub, root, { revision }), "is no revision");
  }
});

test("a directory is returned as it is; names are checked before anything is asked", async () => {
  const root = home();
  assert.is(await resolveModel(root), root);
  writeFileSync(join(root, "weights.bin"), "");
  await fails(join(root, "weights.bin"), {}, "is a file", "name the directory");
  const names = [
    "",
    "./here",
    "../up",
    "/not/here",
    "a/b/c",
    "a\\b",
    "-a/b",
    "a/.b",
    "a..b",
    "a--b",
    "a/b.git",
    "~/x",
    "a b",
    "é",
  ];
  for (const name of names) await fails(name, options(hub, root), "form owner/name");
  assert.is(hub.seen.length, 0);
});

test("a model's name is never another kind of repository", async () => {
  const model = hub.models.legacy;
  for (const name of ["datasets/x", "spaces/x", "models/x", "model/x"]) {
    hub.models[name] = model;
    const root = home();
    await resolveModel(name, options(hub, root));
    sound(hub, root);
    delete hub.models[name];
  }
});

test("a moved repository is followed", async () => {
  const root = home();
  const directory = await resolveModel("old-name", options(hub, root));
  assert.ok(directory.includes("models--old-name"));
  sound(hub, root);
});

test("listings in pages", async () => {
  hub.pageSize = 2;
  const root = home();
  await resolveModel("tiny/sharded", options(hub, root));
  assert.ok(hub.seen.filter(({ path }) => path.includes("/tree/")).length >= 4);
  sound(hub, root);
});

test("missing, private and gated repositories are explained", async () => {
  const root = home();
  const given = options(hub, root);
  await fails(
    "nobody/here",
    given,
    "neither a directory here nor a repository",
    "check the spelling",
    "set HF_TOKEN",
  );
  await fails("tiny/private", given, "neither a directory", "set HF_TOKEN");
  await fails("tiny/private", { ...given, token: "hf_other" }, "a token that may read it");
  await fails("tiny/gated", given, "is gated", "accept its terms at", "set HF_TOKEN to a token");
  await fails(
    "tiny/gated",
    { ...given, token: "hf_other" },
    "is gated",
    "an account that has access",
  );
  assert.equal([...tree(join(root, "cache")).keys()], []);
  await resolveModel("tiny/private", { ...given, token: "hf_owner" });
  await resolveModel("tiny/gated", { ...given, token: "hf_gatekeeper" });
  sound(hub, root);
  assert.ok(hub.seen.some(({ storage }) => storage));
  for (const { storage, token } of hub.seen) assert.ok(!storage || token === undefined);
});

test("repositories that lack something are explained", async () => {
  const full = hub.models["tiny/whole"].commits[COMMITS[1]];
  const without = (...names: string[]) => {
    const files = Object.entries(full).filter(([name]) => !names.includes(name));
    hub.models["tiny/lacks"] = {
      commits: { [COMMITS[0]]: Object.fromEntries(files) },
      refs: { main: COMMITS[0] },
    };
  };
  const root = home();
  without("config.json");
  await fails("tiny/lacks", options(hub, root), /has no config\.json/);
  without("model.safetensors", "pytorch_model.bin");
  await fails("tiny/lacks", options(hub, root), /has no model\.safetensors or pytorch_model\.bin/);
  without("tokenizer.json", "vocab.txt");
  await fails("tiny/lacks", options(hub, root), /has no tokenizer\.json, vocab\.txt/);
  assert.equal([...tree(join(root, "cache")).keys()], []);
  delete hub.models["tiny/lacks"];
});

test("the environment is read as Python reads it", async () => {
  const root = home();
  const nobody = join(root, "nobody");
  mkdirSync(join(nobody, ".cache", "huggingface"), { recursive: true });
  writeFileSync(join(nobody, ".cache", "huggingface", "token"), "hf_gatekeeper\n");
  writeFileSync(join(root, "mine"), " hf_gatekeeper ");
  const base = { HOME: nobody, HF_ENDPOINT: `${hub.url}/` };
  const where = async (environment: Record<string, string>, name = "legacy") =>
    (await resolveModel(name, { environment: { ...base, ...environment } })).split("/models--")[0];
  assert.is(await where({}), join(nobody, ".cache/huggingface/hub"));
  assert.is(await where({ XDG_CACHE_HOME: `${root}/x` }), `${root}/x/huggingface/hub`);
  assert.is(await where({ HF_HOME: "~/h" }), `${nobody}/h/hub`);
  assert.is(await where({ HF_HOME: `${root}/h`, HF_HUB_CACHE: "$HOME/c" }), `${nobody}/c`);
  assert.is(await where({ HUGGINGFACE_HUB_CACHE: `${root}/old` }), `${root}/old`);
  const tokens = async (environment: Record<string, string>) => {
    hub.reset();
    await where({ HF_HOME: `${root}/${Math.random()}`, ...environment }).catch(() => {});
    return hub.seen[0].token;
  };
  assert.is(await tokens({}), undefined);
  assert.is(await tokens({ HF_TOKEN: "hf_a\n" }), "hf_a");
  assert.is(await tokens({ HUGGING_FACE_HUB_TOKEN: "hf_b" }), "hf_b");
  assert.is(await tokens({ HF_TOKEN_PATH: `${root}/mine` }), "hf_gatekeeper");
  assert.is(await tokens({ HF_HOME: "", HF_HUB_CACHE: `${root}/t` }), "hf_gatekeeper");
  assert.is(await tokens({ HF_TOKEN: "hf_a", HF_HUB_DISABLE_IMPLICIT_TOKEN: "1" }), undefined);
  hub.reset();
  await where({ HF_HUB_OFFLINE: "1" });
  await where({ TRANSFORMERS_OFFLINE: "yes" });
  assert.is(hub.seen.length, 0);
  for (const [environment, word] of [
    [{ HF_ENDPOINT: "hub.example" }, /HF_ENDPOINT is 'hub.example'/],
    [{ HF_ENDPOINT: "https://me:hf_a@hub.example" }, /HF_ENDPOINT holds a user/],
    [{ HF_ENDPOINT: "https://hub.example/?token=hf_a" }, /HF_ENDPOINT holds .*'\?'/],
    [{ HF_TOKEN: "hf_a b" }, /token holds blanks/],
    [{ HF_HUB_DOWNLOAD_TIMEOUT: "soon" }, /HF_HUB_DOWNLOAD_TIMEOUT is 'soon'/],
  ] as const) {
    const message = await fails("legacy", { environment: { ...base, ...environment } }, word);
    assert.not.match(message, "hf_a");
  }
});

test("without links the snapshot holds copies", async () => {
  const root = home();
  const environment = { HF_HUB_DISABLE_SYMLINKS: "1", HOME: root };
  const directory = await resolveModel("legacy", { ...options(hub, root), environment });
  const files = tree(directory);
  assert.is(files.size, 4);
  for (const [name, bytes] of files) {
    assert.equal(bytes, hub.models.legacy.commits[COMMITS[0]][name]);
  }
});

test("offline: what is whole is used, what is not is explained", async () => {
  const root = home();
  const offline = options(hub, root, { offline: true });
  await fails("tiny/sharded", offline, "is not there", "HF_HUB_OFFLINE is set");
  const directory = await resolveModel("tiny/sharded", options(hub, root));
  hub.reset();
  assert.is(await resolveModel("tiny/sharded", offline), directory);
  rmSync(join(directory, "model-00002-of-00002.safetensors"));
  await fails("tiny/sharded", offline, "lacks model-00002-of-00002.safetensors", "HF_HUB_OFFLINE");
  assert.is(hub.seen.length, 0);
  await resolveModel("tiny/sharded", options(hub, root));
  sound(hub, root);
});

test("no network: a whole snapshot is used and told of, otherwise one sentence", async () => {
  const root = home();
  const directory = await resolveModel("tiny/whole", options(hub, root));
  const gone = await HubServer.start();
  const endpoint = gone.url;
  await gone.close();
  const notices: string[] = [];
  const given = { ...options(hub, root), endpoint, onNotice: (text: string) => notices.push(text) };
  assert.is(await resolveModel("tiny/whole", given), directory);
  assert.is(notices.length, 1);
  assert.match(notices[0], /cannot be reached .*; the cached commit 2{40} is used instead$/);
  await fails("tiny/pickled", given, "cannot be reached", "check the network, HF_ENDPOINT");
  const untrusted = { ...given, endpoint: hub.url.replace("http:", "https:") };
  await fails("tiny/pickled", untrusted, "cannot be reached (ERR_SSL_", "NODE_EXTRA_CA_CERTS");
  assert.is(notices.length, 1, "no retries");
  const expired = { ...options(hub, root), token: "hf_x" };
  hub.models["tiny/whole"] = { ...hub.models["tiny/whole"], private: "hf_now" };
  assert.is(await resolveModel("tiny/whole", expired), directory);
  await fails("tiny/whole", { ...expired, revision: "v1.0" }, "neither a directory");
  const { private: _, ...open } = hub.models["tiny/whole"];
  hub.models["tiny/whole"] = open;
});

test("progress counts every byte once, up to the whole", async () => {
  const root = home();
  const seen: HubProgress[] = [];
  const given = options(hub, root, { onProgress: (progress) => seen.push(progress) });
  const directory = await resolveModel("tiny/sharded", given);
  const size = [...tree(directory).keys()]
    .map((name) => statSync(join(directory, name)).size)
    .reduce((a, b) => a + b);
  assert.ok(seen.every((each) => each.size === size && each.fileBytes <= each.fileSize));
  assert.ok(seen.every((each, i) => i === 0 || each.bytes >= seen[i - 1].bytes));
  assert.is(seen.at(-1)?.bytes, size);
});

test("the choice of files", () => {
  const choose = (...names: string[]) => chooseFiles(new Set(names)).files.at(-1);
  const all = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
  ];
  for (let i = 0; i < 4; i++) assert.is(choose(...all.slice(i).reverse()), all[i]);
  assert.is(chooseFiles(new Set(all)).index, undefined);
  assert.is(chooseFiles(new Set(all.slice(1))).index, all[1]);
  assert.equal(chooseFiles(new Set(["vocab.json"])).files, []);
  assert.is(chooseFiles(new Set()).missing.length, 3);
});

test.after(async () => {
  requests += hub.seen.length;
  await hub.close();
  console.log(
    `${requests} requests; ${counted.caches} caches with ${counted.files} files looked at`,
  );
});
test.run();
