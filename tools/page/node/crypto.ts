/** `node:crypto`: SHA-256 in pieces, which the Web Cryptography API does not give, and random names. */
import { portableHash } from "../../../models/hub/sha.ts";

/** A SHA-256 that is under way. */
export class Hash {
  readonly #hash = portableHash("sha256");

  update(data: string | Uint8Array): this {
    this.#hash.update(typeof data === "string" ? new TextEncoder().encode(data) : data);
    return this;
  }

  digest(_encoding: "hex"): string {
    return this.#hash.digest();
  }
}

/** @throws for any other algorithm */
export function createHash(algorithm: string): Hash {
  if (algorithm === "sha256") return new Hash();
  throw new Error(`[page] there is no ${algorithm} in a page; use sha256`);
}

export const randomUUID = (): string => globalThis.crypto.randomUUID();
