/** Where models come from in a page: addresses, and a cache in the page's private file system. It has no environment. */
import { ModelError } from "../errors.ts";
import type { Host } from "./host.ts";
import { opfsStore } from "./opfs.ts";
import { portableHash } from "./sha.ts";

/** The folder of the cache in the private file system. */
const CACHE = "promptgen-models";

export const host: Host = {
  words: {
    endpoint: "the option endpoint",
    token: "the option token",
    timeout: "the option stallTimeout",
    revision: "revision",
    offline: "the option offline",
    instead: "files of this machine",
    absent: "no repository",
    network: "check the network, and whether the server lets this page read its files (CORS)",
  },
  headers: {},
  redirect: "follow",
  environment: {},
  defaults: () => ({ cacheDir: CACHE, addressDir: CACHE, token: async () => undefined }),
  // a browser tells pages nothing of why
  network: (_, setting) => ({
    absent: true,
    remedy: `check the network, ${setting}, and whether the server lets this page read its files (CORS)`,
  }),
  hash: portableHash,
  store: opfsStore,
  storeError: (cause) => {
    const { name, message } = cause instanceof DOMException ? cause : {};
    if (name === undefined || name === "AbortError") return undefined;
    const remedy =
      name === "QuotaExceededError"
        ? "the browser grants this site no more: free space on the disk, or forget a model with forgetModel"
        : "allow this site to keep data, or give files of this machine";
    return new ModelError(
      `[hub] the browser's cache cannot be used (${name}: ${message}): ${remedy}`,
      {
        cause,
      },
    );
  },
  find: async (text) => {
    const relative = /^\.{0,2}\//.test(text);
    if (!relative && !/^[a-z][a-z\d+.-]*:/i.test(text)) return undefined;
    return URL.parse(text, globalThis.location?.href) ?? undefined;
  },
  unknown: (text) => {
    throw new ModelError(
      `[hub] ${JSON.stringify(text)} is no address, and a model's name has the form owner/name: check the spelling`,
    );
  },
};
