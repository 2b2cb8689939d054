/** An adapter by part of its name, and what is said where none has it. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { adapterNamed, adapterNames } from "../../engine/devices/webgpu/adapter.ts";
import { openDevice } from "../../engine/open.ts";
import { anyWebGPU } from "../devices.ts";

const { name } = await anyWebGPU();
const test = suite(`adapters on ${name}`);
const names = await adapterNames();

const refusal = async (adapter: string, device: "cpu" | "gpu" | "gpu:software"): Promise<string> =>
  openDevice({ device, adapter }).then(
    () => "it was opened",
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );

test("part of a name is enough, in any case", async () => {
  assert.ok(names.length > 0);
  const [first] = names;
  for (const part of [first, first.toUpperCase(), first.slice(1, 5), first.slice(-4)]) {
    assert.ok((await adapterNamed(part)).toLowerCase().includes(part.toLowerCase()), part);
  }
  const plain = await openDevice({ device: name });
  const named = await openDevice({ device: name, adapter: first.slice(0, 5).toUpperCase() });
  assert.match(named.description, /^WebGPU on /);
  assert.match(named.build, /^WebGPU, \w+/);
  if (names.length === 1) assert.is(named.build, plain.build);
  for (const device of [plain, named]) device.destroy();
});

test("where none has it all are named, as for list", async () => {
  for (const adapter of ["an abacus", "list", "", " "]) {
    const said = await refusal(adapter, name === "gpu" ? "gpu" : "gpu:software");
    assert.ok(said.includes(`adapter is "${adapter}"`), said);
    assert.ok(said.endsWith(`there are: ${names.join("; ")}`), said);
  }
});

test("the CPU has no adapter, and a software one is taken by who asks for it", async () => {
  assert.match(await refusal(names[0], "cpu"), /adapter is for WebGPU, but the device is cpu/);
  const software = names.find((one) => /llvmpipe|swiftshader/i.test(one));
  if (software === undefined) return;
  assert.match(await refusal(software, "gpu"), /that adapter is software \(.*gpu:software/);
});

test.run();
