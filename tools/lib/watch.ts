/** `--watch`: one page on this machine's loopback that follows runs while they are made. */
import { readdirSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { basename } from "node:path";
import { RunFolder } from "../../models/training/run-folder.ts";
import type { Written } from "../../promptgen/report/page/curves.ts";
import { livePage } from "../../promptgen/report/page/live.ts";
import { writtenIn } from "./study-page.ts";

/** A page that is served until the process ends. */
export type Served = { readonly url: string; close(): void };

const HEADERS = {
  "content-type": "text/html; charset=utf-8",
  "cache-control": "no-store",
  "content-security-policy": "frame-ancestors 'none'",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

/** Milliseconds in which a page is not made twice. */
const FRESH = 1000;

/**
 * Serves what `make` gives as `/`, on a port that is free, and nothing else. Whoever names another host is refused: a page of the web whose
 * name was made to mean this machine would be one.
 */
export async function servePage(make: () => string): Promise<Served> {
  let page = "";
  let madeAt = Number.NEGATIVE_INFINITY;
  const server = createServer(({ method = "", url, headers: { host } }, response) => {
    const answer = (status: number, text: string): void => {
      response.writeHead(status, { ...HEADERS, "content-type": "text/plain; charset=utf-8" });
      response.end(method === "HEAD" ? "" : `${text}\n`);
    };
    const { port } = server.address() as AddressInfo;
    if (host !== `127.0.0.1:${port}` && host !== `localhost:${port}`) {
      return answer(403, "this page is for 127.0.0.1 alone");
    }
    if (method !== "GET" && method !== "HEAD")
      return answer(405, "there is only something to read");
    if (url !== "/") return answer(404, "there is one page, /");
    if (performance.now() - madeAt > FRESH) {
      try {
        page = make();
        madeAt = performance.now();
      } catch (error) {
        return answer(500, error instanceof Error ? error.message : String(error));
      }
    }
    response.writeHead(200, HEADERS);
    response.end(method === "HEAD" ? "" : page);
  });
  await new Promise<void>((done, fail) => {
    server.once("error", fail);
    server.listen(0, "127.0.0.1", done);
  });
  server.unref();
  const { port } = server.address() as AddressInfo;
  const close = (): void => {
    server.close();
    server.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${port}/`, close };
}

/** What the trainings of a run have written so far: in its folder, and in those of its relations. */
export function writtenSoFar(folder: RunFolder): Written[] {
  let names: readonly string[] = [];
  try {
    const entries = readdirSync(folder.path, { withFileTypes: true });
    names = entries.filter((one) => one.isDirectory()).map(({ name }) => name);
  } catch {
    // it has not begun
  }
  return writtenIn([folder, ...names.map((name) => new RunFolder(folder.file(name)))]);
}

/**
 * Serves the page of one run.
 * @param said where it is
 */
export const serveRun = (folder: RunFolder, row: string, said: () => string): Promise<Served> =>
  servePage(() => {
    const name = basename(folder.path);
    const run = { name, row, stand: "running", said: said() } as const;
    return livePage({ name, said: [], runs: [{ ...run, trainings: writtenSoFar(folder) }] });
  });
