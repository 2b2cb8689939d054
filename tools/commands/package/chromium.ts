/** The programs of `app/` in a page of Chromium. */
import type { Browser } from "playwright-core";
import { deviceProblems, type Found, problems } from "./found.ts";

export type Visit = {
  readonly device: "cpu" | "gpu:software";
  readonly isolated: boolean;
  /** The page's program runs in a worker. */
  readonly worker: boolean;
};

/** JavaScript, WebAssembly and all else that a page loaded, name to bytes. */
export type Loaded = ReadonlyMap<string, Buffer>;

/** Milliseconds that a page may take: an adapter in software compiles for long. */
const PATIENCE = 120_000;

/** Opens a page and waits for what it found. Throws what went wrong in it. */
export async function visit<T = Found>(
  browser: Browser,
  url: string,
  query: Readonly<Record<string, string>> = {},
): Promise<{ found: T; loaded: Loaded }> {
  const page = await browser.newPage();
  const loaded = new Map<string, Buffer>();
  const bodies: Promise<unknown>[] = [];
  const faults: string[] = [];
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error") faults.push(message.text());
  });
  page.on("response", (response) => {
    const { pathname } = new URL(response.url());
    if (response.status() >= 400) faults.push(`${response.status()} for ${pathname}`);
    else
      bodies.push(
        response.body().then(
          (bytes) => loaded.set(pathname, bytes),
          () => undefined,
        ),
      );
  });
  try {
    await page.goto(`${url}?${new URLSearchParams(query)}`);
    const deadline = Date.now() + PATIENCE;
    while (!(await page.evaluate("globalThis.result !== undefined"))) {
      if (faults.length > 0) throw new Error("the page found nothing");
      if (Date.now() > deadline) throw new Error(`the page found nothing in ${PATIENCE} ms`);
      await page.waitForTimeout(100);
    }
    const found = (await page.evaluate("globalThis.result")) as T & { error?: string };
    await Promise.all(bodies);
    if (found.error !== undefined || faults.length > 0) {
      throw new Error([found.error, ...faults].filter(Boolean).join("; "));
    }
    return { found, loaded };
  } catch (error) {
    throw new Error([error instanceof Error ? error.message : error, ...faults].join("; "));
  } finally {
    await page.close();
  }
}

/** What a visit finds; throws one sentence with all that is not as it should be. */
export async function checkedVisit(
  browser: Browser,
  url: string,
  { device, isolated, worker }: Visit,
): Promise<{ found: Found; loaded: Loaded }> {
  const query = { device, ...(worker ? { worker: "" } : {}) };
  const { found, loaded } = await visit(browser, url, query);
  const alone = device === "cpu" && !isolated;
  const wrong = [
    ...problems(found),
    ...deviceProblems(found, device),
    ...(found.isolated === isolated ? [] : [`isolated is ${found.isolated}`]),
    ...(alone && !/1 thread .*not cross-origin isolated/.test(found.description)
      ? [`the device is ${found.description}`]
      : []),
  ];
  if (wrong.length > 0) throw new Error(wrong.join("; "));
  return { found, loaded };
}
