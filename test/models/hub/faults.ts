/** Ways in which a Hub can misbehave, for `HubServer.break`. */
import type { ServerResponse } from "node:http";
import type { Body, Fault } from "./server.ts";

/** Heads as for a good answer with ranges; `length` as announced, none for chunks. */
function head(response: ServerResponse, { bytes, start }: Body, length?: number): void {
  const announced = length === undefined ? {} : { "content-length": length };
  const range = { "content-range": `bytes ${start}-${bytes.length - 1}/${bytes.length}` };
  response.writeHead(start > 0 ? 206 : 200, { ...announced, ...(start > 0 ? range : {}) });
}

/** Sends `count` bytes of what is asked for, then closes the connection. */
export function dies(count: number): Fault {
  return (_, response, body) => {
    head(response, body, body.bytes.length - body.start);
    // a reset that comes with the bytes may take them away from the reader
    response.write(body.bytes.subarray(body.start, body.start + count), () => {
      setTimeout(() => response.destroy(), 150);
    });
    return true;
  };
}

/** Sends `count` bytes without having announced how many, and ends as if that were all. */
export function endsEarly(count: number): Fault {
  return (_, response, body) => {
    head(response, body);
    response.end(body.bytes.subarray(body.start, body.start + count));
    return true;
  };
}

/** Sends `count` bytes, then nothing, and keeps the connection. */
export function stalls(count: number): Fault {
  return (_, response, body) => {
    head(response, body, body.bytes.length - body.start);
    response.write(body.bytes.subarray(body.start, body.start + count));
    return true;
  };
}

/** Sends a byte from time to time. */
export function drips(): Fault {
  return (_, response, body) => {
    head(response, body, body.bytes.length - body.start);
    let at = body.start;
    const timer = setInterval(() => response.write(body.bytes.subarray(at, ++at)), 10);
    response.on("close", () => clearInterval(timer));
    return true;
  };
}

/** Accepts the request and never says anything. */
export const mute: Fault = () => true;

/** Announces and sends `extra` bytes more (less, if negative) than there are. */
export function wrongLength(extra: number): Fault {
  return (_, response, { bytes }) => {
    const sent = new Uint8Array(bytes.length + extra);
    sent.set(bytes.subarray(0, sent.length));
    response.writeHead(200, { "content-length": sent.length });
    response.end(sent);
    return true;
  };
}

/** Sends `extra` bytes more than there are, in chunks of unannounced length. */
export function tooMuch(extra: number): Fault {
  return (_, response, body) => {
    head(response, body);
    response.write(body.bytes.subarray(body.start));
    response.end(new Uint8Array(extra));
    return true;
  };
}

/** The right number of bytes, one of them wrong. */
export const corrupts: Fault = (_, response, body) => {
  const bytes = Uint8Array.from(body.bytes);
  bytes[bytes.length >> 1] ^= 1;
  head(response, body, bytes.length - body.start);
  response.end(bytes.subarray(body.start));
  return true;
};

/** Answers a request for a range with the whole file. */
export const ignoresRanges: Fault = (_, response, { bytes }) => {
  head(response, { bytes, start: 0 }, bytes.length);
  response.end(bytes);
  return true;
};

/** Answers a request for a range with another one. */
export const wrongRange: Fault = (_, response, { bytes, start }) => {
  if (start === 0) return false;
  const range = `bytes ${start - 1}-${bytes.length - 2}/${bytes.length}`;
  response.writeHead(206, { "content-range": range, "content-length": bytes.length - start });
  response.end(bytes.subarray(start - 1, bytes.length - 1));
  return true;
};

/** A page to log in, as a hotel's network sends it. */
export const html: Fault = (_, response) => {
  response.writeHead(200, { "content-type": "text/html; charset=utf-8" });
  response.end("<!doctype html><title>Welcome</title>");
  return true;
};

export function status(code: number, headers: Record<string, string> = {}): Fault {
  return (_, response) => {
    response.writeHead(code, headers);
    response.end();
    return true;
  };
}

/** Redirects, to `to(n)` at the nth time. */
export function redirects(to: (n: number) => string): Fault {
  let n = 0;
  return (_, response) => {
    response.writeHead(302, { location: to(n++) });
    response.end();
    return true;
  };
}

/** A good JSON answer, changed. */
export function json(change: (value: never) => unknown): Fault {
  return (_, response, { bytes }) => {
    const value = JSON.parse(new TextDecoder().decode(bytes)) as never;
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify(change(value)));
    return true;
  };
}

/** Sends this text whatever was asked for. */
export function says(answer: string): Fault {
  return (_, response) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.end(answer);
    return true;
  };
}
