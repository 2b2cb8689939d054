/** The package's files: read from disk and over the network, and what is said where one is missing or another thing. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { builtin } from "../../kernels/builtin.ts";
import { loadBytes, loadModule } from "../../kernels/load.ts";
import { wgsl } from "../../kernels/webgpu/sources.ts";
import { folder } from "../promptgen/fixture.ts";

const BYTES = "é\n";
const thrown = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work;
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error("nothing was thrown");
};

const root = folder({ "sub dir/file.wasm": BYTES });

test("reads a file from disk", async () => {
  const bytes = await loadBytes(pathToFileURL(`${root}/sub dir/file.wasm`));
  assert.equal([...bytes], [0xc3, 0xa9, 0x0a]);
  assert.is(bytes.buffer.byteLength, 3, "a buffer of its own");
  assert.is(Object.getPrototypeOf(bytes), Uint8Array.prototype, "not a Buffer");
});

test("reads a file over the network", async () => {
  const server = createServer((request, response) => {
    const found = request.url === "/kernels/a.wasm";
    response.writeHead(found ? 200 : 404).end(found ? BYTES : "no");
  });
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/kernels/`;
  try {
    assert.equal([...(await loadBytes(new URL("a.wasm", base)))], [0xc3, 0xa9, 0x0a]);
    assert.match(
      await thrown(loadBytes(new URL("b.wasm", base))),
      /\[load\] http:.*\/kernels\/b\.wasm cannot be read \(the server answered 404\); /,
    );
  } finally {
    server.close();
    server.closeAllConnections();
  }
});

test("names a file that is not there", async () => {
  assert.match(
    await thrown(loadBytes(pathToFileURL(`${root}/none.wasm`))),
    /none\.wasm cannot be read \(ENOENT.*run npm run kernels/,
  );
});

test("a page that is answered for a module, as servers of one-page apps do, is said to be none", async () => {
  assert.equal([...(await loadModule("plain")).subarray(0, 4)], [0, 97, 115, 109]);
  assert.match(
    await thrown(loadModule("plain", pathToFileURL(`${root}/sub dir/file.wasm`))),
    /file\.wasm cannot be read \(what is there is no WebAssembly/,
  );
});

test("a kernel's text is its file's", async () => {
  assert.match(await wgsl("lib/gelu"), /fn gelu/);
});

test("Node's modules are what Node has; of others each function says that it is not there", async () => {
  const { join } = builtin("node:path") as typeof import("node:path");
  assert.is(join("a", "b"), "a/b");
  const none = builtin("node:no-such-module") as { readFile?: () => void };
  assert.is(await Promise.resolve(none), none, "a promise of it is kept");
  assert.throws(
    () => none.readFile?.(),
    /\[package\] readFile of node:no-such-module was called, but this host has no such module/,
  );
});

test.run();
