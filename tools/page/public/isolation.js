/**
 * A service worker that gives the page's own files the headers of cross-origin isolation, which many static hosts cannot: with them the
 * page may share memory among threads. It also gives its workers the page's content security policy, for a policy that stands in a page
 * does not reach them. It keeps nothing and asks nobody.
 */
const HEADERS = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
  "cross-origin-resource-policy": "same-origin",
};
const POLICY =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self' https://huggingface.co https://*.huggingface.co https://*.hf.co";

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || new URL(request.url).origin !== self.location.origin) return;
  event.respondWith(
    fetch(request).then((response) => {
      if (response.status === 0 || response.type === "opaque") return response;
      const headers = new Headers(response.headers);
      for (const [name, value] of Object.entries(HEADERS)) headers.set(name, value);
      if (request.destination === "worker") headers.set("content-security-policy", POLICY);
      const { status, statusText } = response;
      return new Response(response.body, { status, statusText, headers });
    }),
  );
});
