/**
 * A model repository on a Hub: three questions of the Hub's protocol (which commit, which files, a file). Knows neither the cache
 * nor which files are wanted.
 *
 * Source: https://huggingface.co/docs/hub/api, and the headers that https://huggingface.co adds to its answers.
 */
import { HubError, quote } from "./errors.ts";
import {
  type Piece,
  type RemoteFile,
  type Repository,
  type RequestSettings,
  Requests,
} from "./request.ts";

const MOST_PAGES = 100; // of one listing
const LONGEST_REPLY = 32 << 20; // bytes of JSON for one question
const COMMIT = /^[0-9a-f]{40}$/;
const ETAG = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

/** The address of the next page in a Link header. */
function nextPage(link: string | null, from: string): string | undefined {
  const [, next] = /<([^>]*)>\s*;\s*rel="?next"?/.exec(link ?? "") ?? [];
  return next === undefined ? undefined : URL.parse(next, from)?.href;
}

/** The model repository `name` on one Hub. */
export class HubRepository implements Repository {
  readonly name: string;
  readonly kind = "a repository";
  readonly requests: Requests;
  readonly #endpoint: string;

  constructor(name: string, settings: RequestSettings) {
    const { endpoint, token, host } = settings;
    this.name = name;
    this.#endpoint = endpoint;
    const server = { endpoint, name, token, setting: host.words.endpoint, role: "a Hub" } as const;
    this.requests = new Requests(server, settings);
  }

  async commit(revision: string): Promise<string> {
    const path = `revision/${encodeURIComponent(revision)}`;
    const [info] = await this.#ask(`revision '${revision}'`, revision, path);
    const { sha } = Object(info) as { sha?: unknown };
    if (info === null)
      throw this.requests.strange(`revision '${revision}' of ${this.name}`, "null");
    if (typeof sha !== "string" || !COMMIT.test(sha)) {
      throw this.#refused(`the commit ${quote(sha)}`, "40 hexadecimal digits");
    }
    return sha;
  }

  /** The files at the top of a commit. */
  async files(commit: string): Promise<Map<string, RemoteFile>> {
    const pages = await this.#ask("the list of files", commit, `tree/${commit}`);
    const files = new Map<string, RemoteFile>();
    for (const page of pages) {
      if (!Array.isArray(page)) {
        throw this.requests.strange(`the list of files of ${this.name}`, "no list");
      }
      for (const entry of page) {
        const file = this.#file(entry);
        if (file) files.set(file.path, file);
      }
    }
    return files;
  }

  #file(entry: unknown): RemoteFile | undefined {
    const { type, path, oid, size, lfs } = (entry ?? {}) as Record<string, unknown>;
    if (typeof path !== "string" || path.startsWith("/") || path.split(/[/\\]/).includes("..")) {
      throw this.#refused(`the file name ${quote(path)}`, "a path inside the repository");
    }
    if (type !== "file") return undefined;
    const large = (lfs ?? undefined) as Record<string, unknown> | undefined;
    const etag = large ? large.oid : oid;
    const bytes = large ? large.size : size;
    if (typeof etag !== "string" || !ETAG.test(etag) || etag.length !== (large ? 64 : 40)) {
      throw this.#refused(
        `the checksum ${quote(etag)} of ${path}`,
        `${large ? 64 : 40} hexadecimal digits`,
      );
    }
    if (typeof bytes !== "number" || !Number.isSafeInteger(bytes) || bytes < 0) {
      throw this.#refused(`the size ${quote(bytes)} of ${path}`, "a number of bytes");
    }
    return { path, size: bytes, etag };
  }

  #refused(what: string, wanted: string): HubError {
    const { endpoint } = this.requests.settings.host.words;
    return new HubError(
      "refused",
      `${this.#endpoint} gives ${what} for ${this.name}, which is not ${wanted}: do not use this server, check ${endpoint}`,
    );
  }

  bytes(commit: string, file: RemoteFile, offset: number): AsyncIterable<Piece> {
    const path = file.path.split("/").map(encodeURIComponent).join("/");
    const url = `${this.#endpoint}/${this.name}/resolve/${commit}/${path}`;
    const what = `${file.path} of ${this.name}`;
    return this.requests.bytes({ url, what, revision: commit, offset, size: file.size }, file);
  }

  /** The pages of a JSON answer. */
  #ask(about: string, revision: string, path: string): Promise<unknown[]> {
    const { requests, name } = this;
    const what = `${about} of ${name}`;
    return requests.persist(async () => {
      const pages: unknown[] = [];
      let left = LONGEST_REPLY;
      let url: string | undefined = `${this.#endpoint}/api/models/${name}/${path}`;
      while (url !== undefined) {
        if (pages.length === MOST_PAGES) {
          throw new HubError(
            "refused",
            `${this.#endpoint} gives ${what} in more than ${MOST_PAGES} pages: check ${requests.server.setting}`,
          );
        }
        const { response, body } = await requests.body({ url, what, revision }, left);
        left -= body.length;
        try {
          pages.push(JSON.parse(new TextDecoder().decode(body)));
        } catch (error) {
          throw requests.strange(what, error);
        }
        url = nextPage(response.headers.get("link"), url);
      }
      return pages;
    });
  }
}
