/**
 * SHA-256 and SHA-1 of bytes that come piece by piece, for a page: its own `crypto.subtle` wants all at once.
 *
 * Source: FIPS 180-4, sections 4.1, 5 and 6.
 */
import type { Hash } from "./host.ts";

const BLOCK = 64; // bytes

const PRIMES = ((): readonly number[] => {
  const found: number[] = [];
  for (let n = 2; found.length < 64; n++)
    if (found.every((prime) => n % prime !== 0)) found.push(n);
  return found;
})();

/** The first 32 bits of the fraction of `x ** (1 / root)`, exactly. */
function fraction(x: number, root: 2 | 3): number {
  const shifted = BigInt(x) << BigInt(32 * root);
  let value = BigInt(Math.floor(x ** (1 / root) * 2 ** 32));
  const power = (n: bigint) => n ** BigInt(root);
  while (power(value) > shifted) value--;
  while (power(value + 1n) <= shifted) value++;
  return Number(value & 0xffffffffn) | 0;
}

const K256 = Int32Array.from(PRIMES, (prime) => fraction(prime, 3));
const START256 = Int32Array.from(PRIMES.slice(0, 8), (prime) => fraction(prime, 2));
const START1 = Int32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0);

/** Works one block, whose words are the first 16 of `w`, into `h`. */
type Compress = (h: Int32Array, w: Int32Array) => void;

const compress256: Compress = (h, w) => {
  for (let t = 16; t < 64; t++) {
    const [x, y] = [w[t - 15], w[t - 2]];
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    w[t] = (w[t - 16] + s0 + w[t - 7] + s1) | 0;
  }
  let a = h[0];
  let b = h[1];
  let c = h[2];
  let d = h[3];
  let e = h[4];
  let f = h[5];
  let g = h[6];
  let i = h[7];
  for (let t = 0; t < 64; t++) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const one = (i + s1 + ((e & f) ^ (~e & g)) + K256[t] + w[t]) | 0;
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const two = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    i = g;
    g = f;
    f = e;
    e = (d + one) | 0;
    d = c;
    c = b;
    b = a;
    a = (one + two) | 0;
  }
  h[0] += a;
  h[1] += b;
  h[2] += c;
  h[3] += d;
  h[4] += e;
  h[5] += f;
  h[6] += g;
  h[7] += i;
};

const compress1: Compress = (h, w) => {
  for (let t = 16; t < 80; t++) {
    const x = w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16];
    w[t] = (x << 1) | (x >>> 31);
  }
  let a = h[0];
  let b = h[1];
  let c = h[2];
  let d = h[3];
  let e = h[4];
  for (let t = 0; t < 80; t++) {
    let mixed = 0;
    if (t < 20) mixed = ((b & c) ^ (~b & d)) + 0x5a827999;
    else if (t < 40) mixed = (b ^ c ^ d) + 0x6ed9eba1;
    else if (t < 60) mixed = ((b & c) ^ (b & d) ^ (c & d)) + 0x8f1bbcdc;
    else mixed = (b ^ c ^ d) + 0xca62c1d6;
    const next = (((a << 5) | (a >>> 27)) + mixed + e + w[t]) | 0;
    e = d;
    d = c;
    c = (b << 30) | (b >>> 2);
    b = a;
    a = next;
  }
  h[0] += a;
  h[1] += b;
  h[2] += c;
  h[3] += d;
  h[4] += e;
};

/** A hash of this kind, to which bytes are added. */
export function portableHash(kind: "sha1" | "sha256"): Hash {
  const [start, compress] = kind === "sha1" ? [START1, compress1] : [START256, compress256];
  const h = start.slice();
  const w = new Int32Array(80);
  const rest = new Uint8Array(BLOCK);
  let length = 0;
  const work = (bytes: Uint8Array, at: number) => {
    for (let t = 0; t < 16; t++, at += 4) {
      w[t] = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
    }
    compress(h, w);
  };
  const update = (bytes: Uint8Array): void => {
    const held = length % BLOCK;
    length += bytes.length;
    let at = held === 0 ? 0 : Math.min(BLOCK - held, bytes.length);
    rest.set(bytes.subarray(0, at), held);
    if (held > 0 && held + at < BLOCK) return;
    if (held > 0) work(rest, 0);
    for (; at + BLOCK <= bytes.length; at += BLOCK) work(bytes, at);
    rest.set(bytes.subarray(at));
  };
  const digest = (): string => {
    const bits = BigInt(length) * 8n;
    const pad = new Uint8Array((length % BLOCK < 56 ? BLOCK : 2 * BLOCK) - (length % BLOCK));
    pad[0] = 0x80;
    new DataView(pad.buffer).setBigUint64(pad.length - 8, bits);
    update(pad);
    return Array.from(h, (word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
  };
  return { update, digest };
}
