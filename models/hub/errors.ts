/**
 * What goes wrong between a program and a Hub, each in one sentence with its remedy: what the status and the headers of an
 * answer mean. Knows no request.
 */
import { ModelError } from "../errors.ts";

/**
 * - unreachable: no network, no answer, an overloaded server, or something that is no Hub
 * - denied: missing, private or gated
 * - revision: the repository has no such revision
 * - refused: what came contradicts the list of files, or would leave the cache
 */
export type HubFailure = "unreachable" | "denied" | "revision" | "refused";

/** A download that failed, told in one sentence with its remedy. */
export class HubError extends ModelError {
  override readonly name = "HubError";
  readonly kind: HubFailure;
  /** Whether the same request may succeed later. */
  readonly retry: boolean;
  /** How long the server asks to be left alone, in ms. */
  readonly wait: number;

  constructor(
    kind: HubFailure,
    sentence: string,
    { retry = false, wait = 0, cause }: { retry?: boolean; wait?: number; cause?: unknown } = {},
  ) {
    super(`[hub] ${sentence}`, { cause });
    this.kind = kind;
    this.retry = retry;
    this.wait = wait;
  }
}

/** What a server said, for a sentence of ours: short, on one line, in quotes. */
export function quote(said: unknown): string {
  if (said === undefined || said === null) return "nothing";
  const line = (typeof said === "string" ? `'${said}'` : JSON.stringify(said)).replace(
    /[\p{Cc}\p{Zl}\p{Zp}]+/gu,
    " ",
  );
  return line.length > 120 ? `${line.slice(0, 116)}...'` : line;
}

/** Milliseconds of a Retry-After header: seconds or a date. */
function retryAfter(header: string | null): number {
  if (header === null) return 0;
  const seconds = /^\d+$/.test(header) ? Number(header) : (Date.parse(header) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, seconds * 1000) : 0;
}

/** What to say of a server that answers, but not as a Hub does. */
export function noHub(endpoint: string, what: string, cause: unknown): HubError {
  const got = cause instanceof Error ? quote(cause.message) : String(cause);
  const sentence = `${endpoint} does not answer as a Hub to the request for ${what} (${got}): check HF_ENDPOINT and whether a proxy wants a log-in`;
  return new HubError("unreachable", sentence, { cause });
}

/** What was asked for, and of whom. */
export type HubRequest = {
  /** Where the answer came from: the Hub, or its storage. */
  readonly url: URL;
  readonly endpoint: string;
  readonly name: string;
  readonly token: string | undefined;
  readonly what: string;
  readonly revision: string;
};

/** What an answer that is not good means: by its status and by the headers that the Hub adds. */
export function failure(response: Response, request: HubRequest): HubError {
  const { url, endpoint, name, token, what, revision } = request;
  const { status, headers } = response;
  const code = headers.get("x-error-code");
  const said = headers.get("x-error-message");
  const page = `${endpoint}/${name}`;
  if (response.ok) return noHub(endpoint, what, "a web page");
  const fresh = status === 403 && url.origin !== new URL(endpoint).origin; // a link that is signed for a while
  if (status >= 500 || status === 429 || status === 408 || fresh) {
    const wait = retryAfter(headers.get("retry-after"));
    const when = wait > 0 ? `in ${Math.ceil(wait / 1000)} s` : "later";
    const hint = status === 429 && token === undefined ? ", or set HF_TOKEN" : "";
    const sentence = `${url.origin} answers ${status} to the request for ${what}: try again ${when}${hint}`;
    return new HubError("unreachable", sentence, { retry: true, wait });
  }
  if (code === "RevisionNotFound") {
    const sentence = `${name} has no revision '${revision}': choose a branch, tag or commit of ${page}`;
    return new HubError("revision", sentence);
  }
  if (code === "EntryNotFound") {
    const sentence = `${endpoint} lists ${what} but does not have it: try again later, or give another --revision`;
    return new HubError("refused", sentence);
  }
  if (code === "GatedRepo") {
    const remedy =
      token === undefined
        ? "then set HF_TOKEN to a token of that account"
        : "or set HF_TOKEN to a token of an account that has access";
    return new HubError("denied", `${name} is gated: accept its terms at ${page}, ${remedy}`);
  }
  if (status === 401 && token !== undefined && code !== "RepoNotFound") {
    const sentence = `${endpoint} does not accept the token: set HF_TOKEN to a new one of ${endpoint}/settings/tokens, or to none for public models`;
    return new HubError("denied", sentence);
  }
  if (code === "RepoNotFound" || status === 401) {
    const remedy =
      token === undefined
        ? "and for a private one set HF_TOKEN"
        : "and for a private one use a token that may read it";
    const sentence = `${name} is neither a directory here nor a repository on ${endpoint}: check the spelling, ${remedy}`;
    return new HubError("denied", sentence);
  }
  const reason = said === null ? "" : ` (${quote(said)})`;
  const sentence = `${url.origin} answers ${status}${reason} to the request for ${what}: check HF_ENDPOINT, and with HF_TOKEN set what the token permits`;
  return new HubError("denied", sentence);
}
