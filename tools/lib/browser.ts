/** A browser for tests and for trying the package. */
import { type Browser, chromium } from "playwright-core";
import { findBrowser } from "./machine.ts";

/** Headless Chromium with WebGPU on its software adapter; it asks nobody for anything by itself. */
export function openBrowser(): Promise<Browser> {
  const executable = findBrowser();
  if (!executable) {
    throw new Error(
      "no Chromium: install one, on Debian or Ubuntu `sudo bash tools/setup.sh --browser`",
    );
  }
  return chromium.launch({
    executablePath: executable,
    args: [
      "--headless",
      "--no-sandbox",
      "--enable-unsafe-webgpu",
      "--use-webgpu-adapter=swiftshader",
      "--enable-features=Vulkan",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-quic",
      "--disable-sync",
      "--no-first-run",
    ],
  });
}
