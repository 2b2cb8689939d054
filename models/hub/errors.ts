/**
 * What goes wrong between a program and the server of a model, each in one sentence with its remedy: what the status and the headers of an
 * answer mean. Knows no request.
 */
import { ModelError } from "../errors.ts";
import type { Words } from "./host.ts";
import type { Server } from "./request.ts";

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
  /** What the server answered, where it did and that is final: a status, "a web page". */
  readonly answer: string | undefined;

  constructor(
    kind: HubFailure,
    sentence: string,
    {
      retry = false,
      wait = 0,
      cause,
      answer,
    }: { retry?: boolean; wait?: number; cause?: unknown; answer?: string } = {},
  ) {
    super(`[hub] ${sentence}`, { cause });
    this.kind = kind;
    this.retry = retry;
    this.wait = wait;
    this.answer = answer;
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

/** What to say of a server that answers, but not as it should. */
export function noHub(
  { endpoint, role, setting }: Server,
  what: string,
  cause: unknown,
  answer?: string,
): HubError {
  const got = cause instanceof Error ? quote(cause.message) : String(cause);
  const sentence = `${endpoint} does not answer as ${role} to the request for ${what} (${got}): check ${setting} and whether a proxy wants a log-in`;
  return new HubError("unreachable", sentence, { cause, ...(answer && { answer }) });
}

/** What was asked for, and of whom. */
export type HubRequest = Server & {
  /** Where the answer came from: the server, or its storage. */
  readonly url: URL;
  readonly words: Words;
  readonly what: string;
  readonly revision: string;
};

/** What an answer that is not good means: by its status and by the headers that the Hub adds. */
export function failure(response: Response, request: HubRequest): HubError {
  const { url, endpoint, name, token, what, revision, words, setting } = request;
  const { status, headers } = response;
  const hub = request.role === "a Hub";
  const code = headers.get("x-error-code");
  const said = headers.get("x-error-message");
  const page = `${endpoint}/${name}`;
  if (response.ok) return noHub(request, what, "a web page", "a web page");
  const fresh = status === 403 && url.origin !== new URL(endpoint).origin; // a link that is signed for a while
  if ((status >= 500 && status !== 501) || status === 429 || status === 408 || fresh) {
    const wait = retryAfter(headers.get("retry-after"));
    const when = wait > 0 ? `in ${Math.ceil(wait / 1000)} s` : "later";
    const hint = hub && status === 429 && token === undefined ? `, or set ${words.token}` : "";
    const sentence = `${url.origin} answers ${status} to the request for ${what}: try again ${when}${hint}`;
    return new HubError("unreachable", sentence, { retry: true, wait });
  }
  if (hub && code === "RevisionNotFound") {
    const sentence = `${name} has no revision '${revision}': choose a branch, tag or commit of ${page}`;
    return new HubError("revision", sentence);
  }
  if (hub && code === "EntryNotFound") {
    const sentence = `${endpoint} lists ${what} but does not have it: try again later, or give another ${words.revision}`;
    return new HubError("refused", sentence);
  }
  if (hub && code === "GatedRepo") {
    const remedy =
      token === undefined
        ? `then set ${words.token} to a token of that account`
        : `or set ${words.token} to a token of an account that has access`;
    return new HubError("denied", `${name} is gated: accept its terms at ${page}, ${remedy}`);
  }
  if (hub && status === 401 && token !== undefined && code !== "RepoNotFound") {
    const sentence = `${endpoint} does not accept the token: set ${words.token} to a new one of ${endpoint}/settings/tokens, or to none for public models`;
    return new HubError("denied", sentence);
  }
  if (hub && (code === "RepoNotFound" || status === 401)) {
    const remedy =
      token === undefined
        ? `and for a private one set ${words.token}`
        : "and for a private one use a token that may read it";
    const sentence = `${name} is ${words.absent} on ${endpoint}: check the spelling, ${remedy}`;
    return new HubError("denied", sentence);
  }
  const reason = said === null ? "" : ` (${quote(said)})`;
  const remedy = hub
    ? `with ${words.token} set what the token permits`
    : "whether it wants a log-in";
  const sentence = `${url.origin} answers ${status}${reason} to the request for ${what}: check ${setting}, and ${remedy}`;
  return new HubError("denied", sentence, { answer: String(status) });
}
