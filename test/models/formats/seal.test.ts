import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { writeWhole } from "../../../models/formats/files.ts";
import { serializeSafetensors, tensorEntry } from "../../../models/formats/safetensors.ts";
import { checkSeal, withSeal, writeSealed } from "../../../models/formats/seal.ts";

const test = suite("seal");

const home = mkdtempSync(join(tmpdir(), "promptgen-seal-"));
process.on("exit", () => rmSync(home, { recursive: true, force: true }));

const tensors = new Map([
  ["a", tensorEntry("F32", [3], Float32Array.of(1, 2, 3))],
  ["b", tensorEntry("F32", [2, 2], Float32Array.of(4, 5, 6, 7))],
]);
const metadata = { format: "pt", state: '{"step":3}' };

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  const header = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
  yield bytes.subarray(0, header);
  yield bytes.subarray(header, header + 10);
  yield bytes.subarray(header + 10);
}

const failure = (work: Promise<unknown>): Promise<string> =>
  work.then(
    (value) => `nothing was thrown: ${value}`,
    (error: Error) => error.message,
  );

test("the checksum is that of the whole file with zeros in its place; every flipped bit is seen", async () => {
  const path = join(home, "sealed.safetensors");
  const plain = serializeSafetensors(tensors, withSeal(metadata));
  await writeSealed(path, pieces(plain));
  const written = readFileSync(path);
  const sum = createHash("sha256").update(plain).digest("hex");
  assert.equal(
    written.toString("latin1"),
    Buffer.from(plain).toString("latin1").replace("0".repeat(64), sum),
  );
  assert.is(await checkSeal(path, "train again"), true);
  const broken = join(home, "broken.safetensors");
  for (let at = 0; at < written.length; at++) {
    const bytes = Buffer.from(written);
    bytes[at] ^= 1 << (at % 8);
    writeFileSync(broken, bytes);
    const said = await failure(checkSeal(broken, "train again"));
    assert.ok(said.includes(broken) && !said.startsWith("nothing"), `byte ${at}: ${said}`);
  }
});

test("a file of before there was a checksum has none to check", async () => {
  const path = join(home, "old.safetensors");
  writeFileSync(path, serializeSafetensors(tensors, metadata));
  assert.is(await checkSeal(path, "train again"), false);
});

test("a write that fails leaves the file before it, and nothing beside it", async () => {
  const path = join(home, "disk", "last.safetensors");
  const plain = serializeSafetensors(tensors, withSeal(metadata));
  await writeSealed(path, pieces(plain));
  const before = readFileSync(path);
  async function* full(): AsyncGenerator<Uint8Array> {
    yield plain.subarray(0, 8 + Number(new DataView(plain.buffer).getBigUint64(0, true)));
    throw Object.assign(new Error("no space"), { code: "ENOSPC", syscall: "write" });
  }
  for (const write of [writeSealed, writeWhole]) {
    assert.match(
      await failure(write(path, full())),
      /last\.safetensors cannot be written \(ENOSPC\); check the folder and the space left/,
    );
    assert.equal(readFileSync(path), before);
    assert.equal(readdirSync(join(home, "disk")), ["last.safetensors"]);
  }
});

test.run();
