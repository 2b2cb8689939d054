/** What tests of the download share: options that are quick, and a look at the whole cache. */
import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { resolveModel } from "../../../models/hub/resolve.ts";
import type { HubOptions } from "../../../models/hub/settings.ts";
import { etag, type HubServer, type Model } from "./server.ts";

/** What was looked at, for the line at the end. */
export const counted = { caches: 0, files: 0 };

const roots: string[] = [];
process.on("exit", () => {
  for (const root of roots) rmSync(root, { recursive: true, force: true });
});

/** A folder that holds an empty home; a cache stands in it, so that what climbs out is seen. */
export function home(): string {
  const root = mkdtempSync(join(tmpdir(), "promptgen-hub-"));
  roots.push(root);
  return root;
}

/** Quick options that read nothing of this machine's environment. */
export function options(hub: HubServer, root: string, more: HubOptions = {}): HubOptions {
  const cacheDir = join(root, "cache");
  const environment = { HOME: join(root, "nobody") };
  return { endpoint: hub.url, cacheDir, environment, backoff: 1, retries: 3, ...more };
}

/** The error's one line; `words` are in it. */
export async function fails(
  name: string,
  given: HubOptions,
  ...words: (string | RegExp)[]
): Promise<string> {
  let message = "";
  try {
    await resolveModel(name, given);
  } catch (error) {
    message = error instanceof Error ? error.message : String(error);
  }
  assert.match(message, /^\[hub\] [^\n]+: [^\n]+$/, `message: '${message}'`);
  assert.not.match(message, /undefined|\[object|NaN/, message);
  for (const word of words) assert.match(message, word, message);
  return message;
}

/** Files and links below a folder: path -> target of the link, or contents. */
export function tree(root: string): Map<string, string | Uint8Array> {
  const found = new Map<string, string | Uint8Array>();
  if (!existsSync(root)) return found;
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const name = path.slice(root.length + 1);
    if (entry.isSymbolicLink()) found.set(name, readlinkSync(path));
    else if (entry.isFile()) found.set(name, new Uint8Array(readFileSync(path)));
  }
  return found;
}

function hasContents(model: Model, commit: string, name: string, bytes: Uint8Array): boolean {
  const original = model.commits[commit]?.[name];
  return original !== undefined && Buffer.compare(original, bytes) === 0;
}

/**
 * Looks at everything below `root`: each blob is what its name says, each link leads to a blob that
 * holds the file of that commit, each ref has a commit, a part is called .incomplete, and there is
 * nothing else. Returns the sizes of the parts by checksum.
 */
export function sound(hub: HubServer, root: string): Map<string, number> {
  const parts = new Map<string, number>();
  counted.caches++;
  for (const name of readdirSync(root)) assert.is(name, "cache");
  for (const [path, contents] of tree(join(root, "cache"))) {
    counted.files++;
    const [, owner, kind, rest] =
      /^models--([^/]+)\/(blobs|snapshots|refs)\/(.+)$/.exec(path) ?? [];
    assert.ok(owner, `${path} is in no place of the layout`);
    const name = owner.replace("--", "/");
    const model = hub.models[hub.moved[name] ?? name];
    assert.ok(model, `${path} belongs to no model`);
    if (kind === "refs") {
      assert.ok(typeof contents !== "string", path);
      const commit = new TextDecoder().decode(contents);
      assert.is(commit, model.refs[rest] ?? commit, path);
      assert.ok(model.commits[commit], path);
    } else if (kind === "blobs") {
      assert.ok(typeof contents !== "string", path);
      const [, sum, part] = /^([0-9a-f]{40}|[0-9a-f]{64})(\.incomplete)?$/.exec(rest) ?? [];
      assert.ok(sum, `${path} is no blob`);
      if (part) parts.set(sum, contents.length);
      else assert.is(etag(sum.length === 64 ? ".bin" : "", contents), sum, path);
    } else {
      const [commit, file] = rest.split("/");
      assert.ok(typeof contents === "string", `${path} is no link`);
      assert.match(contents, /^\.\.\/\.\.\/blobs\/[0-9a-f]+$/);
      const real = join(root, "cache", path);
      assert.ok(lstatSync(real).isSymbolicLink() && existsSync(real), `${path} leads nowhere`);
      assert.ok(hasContents(model, commit, file, readFileSync(real)), `${path} is another file`);
    }
  }
  return parts;
}
