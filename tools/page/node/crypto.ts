/** `node:crypto`: SHA-256 in pieces, which the Web Cryptography API does not give, and random names. */

const K = Uint32Array.from({ length: 64 }, (_, i) => fraction(prime(i), 3));
const START = Uint32Array.from({ length: 8 }, (_, i) => fraction(prime(i), 2));

/** The prime number of an index from 0. */
function prime(index: number): number {
  let found = -1;
  for (let n = 2; ; n++) {
    let isPrime = true;
    for (let d = 2; d * d <= n; d++) if (n % d === 0) isPrime = false;
    if (isPrime && ++found === index) return n;
  }
}

/** The first 32 bits of the fraction of a root, exactly: by whole numbers. */
function fraction(n: number, root: 2 | 3): number {
  const wanted = BigInt(n) << BigInt(32 * root);
  let low = 0n;
  let high = BigInt(n) << 32n;
  while (low < high) {
    const middle = (low + high + 1n) >> 1n;
    if (middle ** BigInt(root) <= wanted) low = middle;
    else high = middle - 1n;
  }
  return Number(low & 0xffffffffn);
}

const rotated = (x: number, by: number): number => (x >>> by) | (x << (32 - by));

/** A SHA-256 that is under way. */
export class Hash {
  readonly #state = START.slice();
  readonly #block = new Uint8Array(64);
  readonly #words = new Uint32Array(64);
  #filled = 0;
  #bytes = 0;

  update(data: string | Uint8Array): this {
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
    this.#bytes += bytes.length;
    let at = 0;
    if (this.#filled > 0) {
      at = Math.min(64 - this.#filled, bytes.length);
      this.#block.set(bytes.subarray(0, at), this.#filled);
      this.#filled += at;
      if (this.#filled < 64) return this;
      this.#take(this.#block, 0);
      this.#filled = 0;
    }
    for (; at + 64 <= bytes.length; at += 64) this.#take(bytes, at);
    this.#block.set(bytes.subarray(at));
    this.#filled = bytes.length - at;
    return this;
  }

  digest(encoding: "hex"): string;
  digest(): Uint8Array<ArrayBuffer>;
  digest(encoding?: "hex"): string | Uint8Array<ArrayBuffer> {
    const bits = BigInt(this.#bytes) * 8n;
    const zeros = (119 - (this.#bytes % 64)) % 64;
    const end = new Uint8Array(1 + zeros + 8);
    end[0] = 0x80;
    new DataView(end.buffer).setBigUint64(1 + zeros, bits);
    this.update(end);
    const bytes = new Uint8Array(32);
    const view = new DataView(bytes.buffer);
    this.#state.forEach((word, i) => {
      view.setUint32(4 * i, word);
    });
    if (encoding === undefined) return bytes;
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  #take(bytes: Uint8Array, at: number): void {
    const w = this.#words;
    for (let i = 0; i < 16; i++) {
      const p = at + 4 * i;
      w[i] = (bytes[p] << 24) | (bytes[p + 1] << 16) | (bytes[p + 2] << 8) | bytes[p + 3];
    }
    for (let i = 16; i < 64; i++) {
      const x = w[i - 15];
      const y = w[i - 2];
      const s0 = rotated(x, 7) ^ rotated(x, 18) ^ (x >>> 3);
      const s1 = rotated(y, 17) ^ rotated(y, 19) ^ (y >>> 10);
      w[i] = (w[i - 16] + s0 + w[i - 7] + s1) | 0;
    }
    let [a, b, c, d, e, f, g, h] = this.#state;
    for (let i = 0; i < 64; i++) {
      const s1 = rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25);
      const t1 = (h + s1 + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
      const s0 = rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22);
      const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g;
      g = f;
      f = e;
      e = (d + t1) | 0;
      d = c;
      c = b;
      b = a;
      a = (t1 + t2) | 0;
    }
    const s = this.#state;
    s[0] += a;
    s[1] += b;
    s[2] += c;
    s[3] += d;
    s[4] += e;
    s[5] += f;
    s[6] += g;
    s[7] += h;
  }
}

/** @throws for any other algorithm */
export function createHash(algorithm: string): Hash {
  if (algorithm === "sha256") return new Hash();
  throw new Error(`[page] there is no ${algorithm} in a page; use sha256`);
}

export const randomUUID = (): string => globalThis.crypto.randomUUID();
