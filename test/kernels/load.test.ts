import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadBytes, loadText } from "../../kernels/load.ts";
import { folder } from "../promptgen/fixture.ts";

const BYTES = "é\n";
const root = folder({ "sub dir/file.wgsl": BYTES, "module.js": "" });

const failure = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work;
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error("expected an error");
};

test("reads a file beside a module, from disk", async () => {
  const base = pathToFileURL(`${root}/module.js`).href;
  assert.is(await loadText("sub dir/file.wgsl", base), BYTES);
  const bytes = await loadBytes("sub dir/file.wgsl", base);
  assert.equal([...bytes], [0xc3, 0xa9, 0x0a]);
  assert.is(bytes.buffer.byteLength, 3, "a buffer of its own");
  assert.is(Object.getPrototypeOf(bytes), Uint8Array.prototype, "not a Buffer");
});

test("reads a file beside a module, over the network", async () => {
  const server = createServer((request, response) => {
    const found = request.url === "/kernels/webgpu/a.wgsl";
    response.writeHead(found ? 200 : 404).end(found ? BYTES : "no");
  });
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/kernels/load.js`;
  try {
    assert.is(await loadText("webgpu/a.wgsl", base), BYTES);
    assert.match(
      await failure(loadText("b.wgsl", base)),
      /\[load\] http:.*\/kernels\/b\.wgsl cannot be read \(the server answered 404\)/,
    );
  } finally {
    server.close();
    server.closeAllConnections();
  }
});

test("names a file that is not there", async () => {
  const base = pathToFileURL(`${root}/module.js`).href;
  assert.match(await failure(loadText("none.wgsl", base)), /none\.wgsl cannot be read \(ENOENT/);
});

test.run();
