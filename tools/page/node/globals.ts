/** `Buffer` and `process`, as far as the page's code uses them. Imported before anything else. */

const utf8 = new TextEncoder();

const latin1 = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0));

/** Bytes with the methods of Node's Buffer that are in use. */
class PageBuffer extends Uint8Array<ArrayBuffer> {
  /** Of a text in UTF-8 or Latin-1, of bytes, which are copied, or of a window of a buffer, which is not. */
  static override from(
    data: string | ArrayLike<number> | ArrayBuffer | Iterable<number>,
    offset?: unknown,
    length?: unknown,
  ): PageBuffer {
    if (data instanceof ArrayBuffer) {
      return new PageBuffer(
        data,
        Number(offset ?? 0),
        length === undefined ? undefined : Number(length),
      );
    }
    const bytes =
      typeof data === "string"
        ? offset === "latin1"
          ? latin1(data)
          : utf8.encode(data)
        : Uint8Array.from(data as Iterable<number>);
    const made = new PageBuffer(new ArrayBuffer(bytes.length));
    made.set(bytes);
    return made;
  }

  static alloc(size: number, fill?: string): PageBuffer {
    const made = new PageBuffer(new ArrayBuffer(size));
    if (fill !== undefined) made.fill(fill.charCodeAt(0));
    return made;
  }

  static concat(pieces: readonly Uint8Array[]): PageBuffer {
    const made = new PageBuffer(
      new ArrayBuffer(pieces.reduce((sum, { length }) => sum + length, 0)),
    );
    let at = 0;
    for (const piece of pieces) {
      made.set(piece, at);
      at += piece.length;
    }
    return made;
  }

  copy(into: Uint8Array, at = 0): number {
    into.set(this, at);
    return this.length;
  }

  writeFloatLE(value: number, at: number): number {
    new DataView(this.buffer, this.byteOffset, this.length).setFloat32(at, value, true);
    return at + 4;
  }

  /** Of a text in Latin-1, or of a byte. */
  override lastIndexOf(what: unknown, from?: number): number {
    if (typeof what === "number") return super.lastIndexOf(what, from ?? this.length - 1);
    const bytes = latin1(String(what));
    for (let at = this.length - bytes.length; at >= 0; at--) {
      if (bytes.every((byte, i) => this[at + i] === byte)) return at;
    }
    return -1;
  }
}

Object.assign(globalThis, {
  Buffer: PageBuffer,
  process: { platform: "page", env: {}, pid: 0, versions: {}, on() {}, off() {} },
});
