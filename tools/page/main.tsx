/** The page's program: starts the worker, draws what is known, and keeps the address and the state the same. */
import { render } from "preact";
import { Client } from "./client.ts";
import { Page } from "./state.ts";
import { App } from "./ui/app.tsx";

const worker = new Worker(new URL("./worker/main.ts", import.meta.url), {
  type: "module",
  name: "promptgen",
});
const page = new Page(new Client(worker), location.hash);

page.listen(() => {
  const { address } = page;
  if (address !== location.hash) history.replaceState(null, "", address);
});
addEventListener("hashchange", () => page.goTo(location.hash));
page.open();

const root = document.getElementById("app");
if (root) render(<App page={page} />, root);

// a service worker gives the next visit the headers with which a page may use all cores
if ("serviceWorker" in navigator && !crossOriginIsolated && isSecureContext) {
  navigator.serviceWorker.register("./isolation.js").catch(() => undefined);
}
