/**
 * A model in a folder of any web server, by the folder's address: the files lie there under their own names. There is no list of
 * them, so each that may be read is asked for; texts are fetched at once, of the weights only the head of the answer.
 *
 * Such a server promises a size and, by ETag or Last-Modified, whether a file is still the same; no checksum.
 */
import { ModelError } from "../errors.ts";
import { shardFiles } from "../formats/shards.ts";
import { HubError } from "./errors.ts";
import { FILE_NAMES, GENERATION_CONFIG, INDEX, TEXT_LIMIT, WEIGHTS } from "./files.ts";
import {
  type Piece,
  type RemoteFile,
  type Repository,
  type RequestSettings,
  Requests,
} from "./request.ts";

const PIECE = 1 << 16;

/** The address of a file of a folder, whose query, a signature perhaps, is kept. */
function addressOf(folder: URL, name: string): URL {
  const url = new URL(folder);
  url.pathname = `${folder.pathname.replace(/\/+$/, "")}/${encodeURIComponent(name)}`;
  return url;
}

/** A folder's address as people are told it: without what may be a secret. */
export const shownAddress = ({ origin, pathname }: URL): string =>
  `${origin}${pathname.replace(/\/+$/, "")}`;

/** What a server says of a file of weights. */
type Head = { readonly size: number; readonly tag: string; readonly etag: string | undefined };

/** The folder at an address. */
export class AddressRepository implements Repository {
  readonly name: string;
  readonly kind = "the address of a folder";
  readonly requests: Requests;
  /** Why files that may be there were not had, by name: "404", "a web page". */
  readonly refusals = new Map<string, string>();
  readonly #folder: URL;
  readonly #files = new Map<string, RemoteFile>();
  readonly #texts = new Map<string, Uint8Array>();
  readonly #heads = new Map<string, Head>();
  #commit: Promise<string> | undefined;

  constructor(folder: URL, settings: RequestSettings) {
    const name = shownAddress(folder);
    this.name = name;
    this.#folder = folder;
    this.requests = new Requests(
      {
        endpoint: folder.origin,
        name,
        token: undefined, // it is the Hub's
        setting: "the address",
        role: "a server of files",
      },
      settings,
    );
  }

  commit(): Promise<string> {
    this.#commit ??= this.#look();
    return this.#commit;
  }

  async files(): Promise<ReadonlyMap<string, RemoteFile>> {
    await this.commit();
    return this.#files;
  }

  /** Asks for all that there may be; what is there, in 40 digits. */
  async #look(): Promise<string> {
    await Promise.all([...FILE_NAMES, GENERATION_CONFIG].map((name) => this.#text(name)));
    for (const name of WEIGHTS) {
      if (!(await (name.endsWith(INDEX) ? this.#text(name) : this.#head(name)))) continue;
      if (name.endsWith(INDEX)) {
        const shards = shardFiles(new TextDecoder().decode(this.#texts.get(name)), (what) => {
          throw new ModelError(`[hub] ${this.name}/${name} ${what}`);
        });
        await Promise.all(shards.map((shard) => this.#head(shard)));
      }
      break;
    }
    const rows = [...this.#files.values()].map(({ path, size, etag }) => [path, size, etag]);
    return this.#sum(JSON.stringify(rows.sort())).slice(0, 40);
  }

  #sum(text: string | Uint8Array): string {
    const hash = this.requests.settings.host.hash("sha256");
    hash.update(typeof text === "string" ? new TextEncoder().encode(text) : text);
    return hash.digest();
  }

  /** Repeats a question for a file; undefined where it is not there. */
  async #ask<T>(
    name: string,
    question: (url: URL, what: string) => Promise<T>,
  ): Promise<T | undefined> {
    const { requests } = this;
    try {
      const url = addressOf(this.#folder, name);
      return await requests.persist(() => question(url, `${name} of ${this.name}`));
    } catch (error) {
      // servers that list no folders answer 403, those of one-page applications with their page
      if (!(error instanceof HubError) || error.answer === undefined) throw error;
      this.refusals.set(name, error.answer);
      return undefined;
    }
  }

  async #text(name: string): Promise<boolean> {
    const found = await this.#ask(name, (url, what) =>
      this.requests.body({ url, what, revision: "main" }, TEXT_LIMIT),
    );
    if (!found) return false;
    this.#texts.set(name, found.body);
    this.#files.set(name, { path: name, size: found.body.length, etag: this.#sum(found.body) });
    return true;
  }

  async #head(name: string): Promise<boolean> {
    const { requests } = this;
    const what = `${name} of ${this.name}`;
    const found = await this.#ask(name, (url, what) => {
      const question = { url, what, revision: "main" };
      return requests.head({ ...question, method: "HEAD" }).catch((error: unknown) => {
        const refused = error instanceof HubError && /^(?:405|501)$/.test(error.answer ?? "");
        if (refused) return requests.head(question);
        throw error;
      });
    });
    if (!found) return false;
    const { headers } = found;
    const length = headers.get("content-length");
    const size = Number(length);
    if (length === null || !Number.isSafeInteger(size) || size < 0) {
      const remedy = "use a server that sends Content-Length";
      throw new HubError(
        "refused",
        `${this.requests.server.endpoint} tells no size of ${what}: ${remedy}`,
      );
    }
    const etag = headers.get("etag") ?? undefined;
    const version = etag ?? headers.get("last-modified");
    if (version === null) {
      requests.settings.notice(
        `[hub] ${requests.server.endpoint} gives ${what} neither ETag nor Last-Modified, so that it is fetched each time: use a server that sends one`,
      );
    }
    const same = version ?? crypto.randomUUID();
    const tag = `url-${this.#sum(JSON.stringify([this.name, name, size, same]))}`;
    this.#heads.set(name, { size, tag, etag });
    this.#files.set(name, { path: name, size, etag: tag });
    return true;
  }

  async *bytes(_commit: string, file: RemoteFile, offset: number): AsyncGenerator<Piece, void> {
    const text = this.#texts.get(file.path);
    if (!text) {
      const url = addressOf(this.#folder, file.path);
      const what = `${file.path} of ${this.name}`;
      const question = { url, what, revision: "main", offset, size: file.size };
      yield* this.requests.bytes(question, file, this.#heads.get(file.path)?.etag);
      return;
    }
    for (let at = offset; at < text.length; at += PIECE) {
      yield { at, chunk: text.subarray(at, at + PIECE) };
    }
  }
}
