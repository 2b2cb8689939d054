/** Checksums that are made piece by piece without Node, against Node's own. */
import { createHash } from "node:crypto";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { portableHash } from "../../../models/hub/sha.ts";
import { noise } from "./server.ts";

/** The checksum of bytes that come in pieces of these lengths, again and again. */
function summed(kind: "sha1" | "sha256", bytes: Uint8Array, lengths: readonly number[]): string {
  const hash = portableHash(kind);
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const length = lengths[i % lengths.length];
    hash.update(bytes.subarray(at, at + length));
    at += length;
  }
  return hash.digest();
}

test("every length around a block, and pieces of any length", () => {
  let count = 0;
  for (const kind of ["sha1", "sha256"] as const) {
    const lengths = [...Array(200).keys(), 4095, 4096, 4097, 100_003];
    for (const length of lengths) {
      const bytes = noise(length, length + 1);
      const want = createHash(kind).update(bytes).digest("hex");
      for (const pieces of [[length || 1], [1], [63], [64], [65], [0, 7, 130]]) {
        assert.is(summed(kind, bytes, pieces), want, `${kind} of ${length} in ${pieces}`);
        count++;
      }
    }
  }
  console.log(`${count} checksums`);
});

test("twenty million bytes", () => {
  const million = noise(1 << 20, 3);
  for (const kind of ["sha1", "sha256"] as const) {
    const [ours, nodes] = [portableHash(kind), createHash(kind)];
    for (let i = 0; i < 20; i++) {
      ours.update(million);
      nodes.update(million);
    }
    assert.is(ours.digest(), nodes.digest("hex"));
  }
});

test.run();
