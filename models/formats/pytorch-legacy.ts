/**
 * Files of torch.save of before PyTorch 1.6 (and since then on demand): five pickles one after another (a magic number, the
 * protocol's version, facts about the system, the state dict, the keys of its storages), then for each key the number of its
 * values, an int64, and the values themselves. There is no checksum.
 * Source: torch/serialization.py (_legacy_save, _legacy_load), aten's StorageMethods (_write_file).
 */
import { type Fail, ModelError, printable } from "../errors.ts";
import { Dict, List, type PickleHost, unpickleAt, type Value } from "./pickle.ts";
import type { ByteSource } from "./source.ts";

/** 0x1950a86a20f9469cfc6c as LONG1 writes it, and the STOP behind it. */
const MAGIC = [0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e];
/** In front of it are PROTO and, from protocol 4 on, FRAME. */
const MAGIC_WITHIN = 16; // bytes
const PROTOCOL_VERSION = 1001;
const FIRST_PIECE = 2 ** 18; // bytes
const PICKLES_LIMIT = 32 * 2 ** 20; // bytes
const COUNT = 8; // bytes of the number of values before a storage
const DAMAGED = "it is truncated or damaged, download it again";

/** Values of one storage: bytes of the file, whose place is known once the keys have been read. */
export class LegacyStorage {
  readonly size: number;
  readonly #source: ByteSource;
  /** Bytes of a value, of which the file says how many there are. */
  readonly width: number;
  offset = 0;

  constructor(source: ByteSource, size: number, width: number) {
    this.#source = source;
    this.size = size;
    this.width = width;
  }

  read(begin: number, end: number): Promise<Uint8Array> {
    return this.#source.read(this.offset + begin, end - begin);
  }

  /** There is nothing to check bytes against. */
  async check(): Promise<void> {}
}

/** Where the pickle behind the magic number begins; undefined for a file that does not begin with it. */
export function legacyStart(start: Uint8Array): number | undefined {
  if (start[0] !== 0x80) return undefined;
  for (let at = 2; at < MAGIC_WITHIN; at++) {
    if (MAGIC.every((byte, i) => start[at + i] === byte)) return at + MAGIC.length;
  }
  return undefined;
}

/** What gives a storage of a key: the same one each time. */
export type FindStorage = (key: string, size: number, width: number) => LegacyStorage;

type Pickles = {
  readonly state: Value;
  readonly keys: readonly string[];
  readonly storages: ReadonlyMap<string, LegacyStorage>;
  /** Where the storages begin. */
  readonly end: number;
};

/**
 * The state dict of a file, whose storages are where the file says. Reads the pickles and the number in front of each storage.
 *
 * @param start what `legacyStart` says
 * @param hostOf what the pickle of the state dict may name, for storages that `find` gives
 * @throws what `fail` throws
 */
export async function readLegacy(
  source: ByteSource,
  start: number,
  hostOf: (find: FindStorage) => PickleHost,
  fail: Fail,
): Promise<Value> {
  const { state, keys, storages, end } = await pickles(source, start, hostOf, fail);
  let at = end;
  for (const key of keys) {
    const storage = storages.get(key);
    if (storage === undefined || storage.offset > 0) {
      return fail(`lists a storage '${printable(key)}' that no tensor has, or twice: ${DAMAGED}`);
    }
    storage.offset = at + COUNT;
    if (storage.offset + storage.size > source.size) {
      fail(
        `has ${source.size} bytes and a storage of ${storage.size} from byte ${storage.offset} on: ${DAMAGED}`,
      );
    }
    const count = viewOf(await source.read(at, COUNT)).getBigInt64(0, true);
    if (count !== BigInt(storage.size / storage.width)) {
      fail(
        `has a storage of ${storage.size / storage.width} values at byte ${at}, where ${count} stand: ${DAMAGED}`,
      );
    }
    at = storage.offset + storage.size;
  }
  if (keys.length !== storages.size) {
    fail(`lists ${keys.length} of its ${storages.size} storages: ${DAMAGED}`);
  }
  if (at !== source.size) fail(`has ${source.size - at} bytes behind its last storage: ${DAMAGED}`);
  return state;
}

const viewOf = (bytes: Uint8Array) =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** All pickles. How long they are nobody says, so more of the file is read until they are whole. */
async function pickles(
  source: ByteSource,
  start: number,
  hostOf: (find: FindStorage) => PickleHost,
  fail: Fail,
): Promise<Pickles> {
  const most = Math.min(source.size, PICKLES_LIMIT);
  for (let length = Math.min(FIRST_PIECE, most); ; length = Math.min(8 * length, most)) {
    const bytes = await source.read(0, length);
    try {
      return parse(bytes, source, start, hostOf, fail);
    } catch (error) {
      if (length === most || !(error instanceof ModelError)) throw error;
    }
  }
}

function parse(
  bytes: Uint8Array,
  source: ByteSource,
  start: number,
  hostOf: (find: FindStorage) => PickleHost,
  fail: Fail,
): Pickles {
  const storages = new Map<string, LegacyStorage>();
  const find: FindStorage = (key, size, width) => {
    const known = storages.get(key);
    if (known?.size === size && known.width === width) return known;
    if (known) fail(`describes its storage '${printable(key)}' in two ways: ${DAMAGED}`);
    const made = new LegacyStorage(source, size, width);
    storages.set(key, made);
    return made;
  };
  const nothing: PickleHost = {
    globals: new Map(),
    persistent: () => fail(`has a storage outside of its state dict: ${DAMAGED}`),
  };
  const protocol = unpickleAt(bytes, start, nothing, fail);
  if (protocol.value !== PROTOCOL_VERSION) {
    fail(
      `has the protocol version ${printable(String(protocol.value))}, ${PROTOCOL_VERSION} is known: ${DAMAGED}`,
    );
  }
  const system = unpickleAt(bytes, protocol.end, nothing, fail);
  const little = system.value instanceof Dict && system.value.entries.get("little_endian");
  if (little !== true) {
    fail("is not said to be of a little-endian machine: save it again with torch.save on one");
  }
  const state = unpickleAt(bytes, system.end, hostOf(find), fail);
  const keys = unpickleAt(bytes, state.end, nothing, fail);
  if (!(keys.value instanceof List) || !keys.value.items.every((key) => typeof key === "string")) {
    return fail(`has no list of its storages behind its state dict: ${DAMAGED}`);
  }
  return { state: state.value, keys: keys.value.items as string[], storages, end: keys.end };
}
