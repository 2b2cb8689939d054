/**
 * State dicts as torch.save writes them (`pytorch_model.bin`), read without executing anything.
 *
 * Since PyTorch 1.6 the file is a zip archive ROOT/data.pkl, ROOT/version, ROOT/byteorder (since 2.1) and ROOT/data/KEY, one entry of raw
 * values for each storage. data.pkl maps names to tensors, each a view (offset, shape, strides, in elements) of a
 * storage; tied tensors are views of one. What stood in its place before is in pytorch-legacy.ts.
 * Source: torch/serialization.py, torch/_utils.py (_rebuild_*), caffe2/serialize/versions.h.
 */
import { type Fail, failAbout, printable } from "../errors.ts";
import { Dict, Global, kindOf, Tuple, unpickle, type Value } from "./pickle.ts";
import { legacyStart, readLegacy } from "./pytorch-legacy.ts";
import type { FileTensor, SafetensorsDtype } from "./safetensors.ts";
import type { ByteSource } from "./source.ts";
import { openZip, type ZipEntry } from "./zip.ts";

/** A tensor in a file; asked for in order from start to end, none of its bytes is read twice. */
export type StoredTensor = FileTensor & {
  /** All bytes in pieces of at most `limit` (1 or more), the next one on its way while one is used. */
  chunks(limit?: number): AsyncGenerator<Uint8Array>;
};

/** Tensors by name; reading them needs the sources to stay open. */
export type StateDict = Map<string, StoredTensor>;

const PICKLE_LIMIT = 32 * 2 ** 20; // bytes
const CHUNK = 8 * 2 ** 20; // bytes
const RANK_LIMIT = 64;
const NEWEST_VERSION = 10; // kMaxSupportedFileFormatVersion
const SAVE_AGAIN = "load it in PyTorch and save model.state_dict() again";

/** dtypes by PyTorch's name, with the class of storages that hold them, where there is one. */
const DTYPES: readonly [string, SafetensorsDtype, number, string?][] = [
  ["float32", "F32", 4, "FloatStorage"],
  ["float64", "F64", 8, "DoubleStorage"],
  ["float16", "F16", 2, "HalfStorage"],
  ["bfloat16", "BF16", 2, "BFloat16Storage"],
  ["int64", "I64", 8, "LongStorage"],
  ["int32", "I32", 4, "IntStorage"],
  ["int16", "I16", 2, "ShortStorage"],
  ["int8", "I8", 1, "CharStorage"],
  ["uint8", "U8", 1, "ByteStorage"],
  ["bool", "BOOL", 1, "BoolStorage"],
  ["complex64", "C64", 8, "ComplexFloatStorage"],
  ["uint16", "U16", 2],
  ["uint32", "U32", 4],
  ["uint64", "U64", 8],
  ["float8_e4m3fn", "F8_E4M3", 1],
  ["float8_e5m2", "F8_E5M2", 1],
  ["float8_e4m3fnuz", "F8_E4M3FNUZ", 1],
  ["float8_e5m2fnuz", "F8_E5M2FNUZ", 1],
  ["float8_e8m0fnu", "F8_E8M0", 1],
];

type Kind = {
  readonly dtype: SafetensorsDtype;
  readonly width: number;
};

/** The bytes of a storage in the file. */
type StoredBytes = {
  readonly size: number;
  /** Bytes `begin` to `end`, within `size`. */
  read(begin: number, end: number): Promise<Uint8Array>;
  /** Checks all bytes against their checksum, where there is one. */
  check(): Promise<void>;
};

/** The storage of a key, of a size in bytes, with values of a width. */
type Find = (key: string, size: number, width: number) => StoredBytes;

/** One storage, seen as values of one kind, or as bytes (then of no kind). */
class StorageView {
  readonly bytes: StoredBytes;
  readonly kind: Kind | undefined;

  constructor(bytes: StoredBytes, kind: Kind | undefined) {
    this.bytes = bytes;
    this.kind = kind;
  }
}

const product = (shape: readonly number[]) =>
  shape.includes(0) ? 0 : shape.reduce((size, n) => size * n, 1);

/** Elements from the first to behind the last; `numel` when they lie one after another in order. */
function extent(shape: readonly number[], strides: readonly number[]): number {
  return shape.reduce((last, size, i) => last + (size - 1) * strides[i], 1);
}

function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  let step = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    if (shape[i] !== 1 && strides[i] !== step) return false;
    step *= shape[i];
  }
  return true;
}

/** Arrays that copy elements of a width bit by bit. */
const WORDS = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array, 8: BigUint64Array };

/** The elements of a view in row-major order. */
function gather(
  span: Uint8Array,
  shape: readonly number[],
  strides: readonly number[],
  width: number,
): Uint8Array {
  const Words = WORDS[width as keyof typeof WORDS];
  const from = new Words(new Uint8Array(span).buffer);
  const to = new Words(product(shape));
  const index = shape.map(() => 0);
  let at = 0;
  for (let i = 0; i < to.length; i++) {
    to[i] = from[at];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at += strides[axis];
      if (++index[axis] < shape[axis]) break;
      at -= shape[axis] * strides[axis];
      index[axis] = 0;
    }
  }
  return new Uint8Array(to.buffer);
}

class TorchTensor implements StoredTensor {
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  readonly byteLength: number;
  readonly #bytes: StoredBytes;
  readonly #start: number; // bytes
  readonly #width: number;
  readonly #strides: readonly number[];
  /** All bytes of a tensor that is not contiguous, from its first to its last reading. */
  #gathered: Promise<Uint8Array> | undefined;

  constructor(
    bytes: StoredBytes,
    { dtype, width }: Kind,
    offset: number,
    shape: readonly number[],
    strides: readonly number[],
  ) {
    this.dtype = dtype;
    this.shape = shape;
    this.byteLength = product(shape) * width;
    this.#bytes = bytes;
    this.#start = offset * width;
    this.#width = width;
    this.#strides = strides;
  }

  async read(begin: number, end: number): Promise<Uint8Array> {
    if (this.byteLength === 0) return new Uint8Array(0);
    if (isContiguous(this.shape, this.#strides)) {
      if (this.byteLength < this.#bytes.size) await this.#bytes.check();
      return this.#bytes.read(this.#start + begin, this.#start + end);
    }
    this.#gathered ??= this.#gather();
    const all = await this.#gathered;
    if (end === this.byteLength) this.#gathered = undefined;
    return all.subarray(begin, end);
  }

  async *chunks(limit = CHUNK): AsyncGenerator<Uint8Array> {
    const piece = (at: number) => {
      if (at >= this.byteLength) return undefined;
      const bytes = this.read(at, Math.min(at + limit, this.byteLength));
      bytes.catch(() => {}); // awaited below, unless the caller stops before
      return bytes;
    };
    let next = piece(0);
    for (let at = limit; next !== undefined; at += limit) {
      const after = piece(at); // read while the one before it is checked
      yield await next;
      next = after;
    }
  }

  async #gather(): Promise<Uint8Array> {
    await this.#bytes.check();
    const length = extent(this.shape, this.#strides) * this.#width;
    const span = await this.#bytes.read(this.#start, this.#start + length);
    return gather(span, this.shape, this.#strides, this.#width);
  }
}

const isCount = (value: Value): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0;

/** The functions and names that the pickle of a state dict may use, over the storages of its file. */
class StateDictHost {
  readonly globals = new Map<string, Global>();
  readonly #kinds = new Map<Value, Kind>(); // by dtype or by storage class
  readonly #bytes: Global; // the storage class without a dtype
  readonly #find: Find;
  readonly #fail: Fail;

  constructor(find: Find, fail: Fail) {
    this.#find = find;
    this.#fail = fail;
    for (const [name, dtype, width, storage] of DTYPES) {
      this.#kinds.set(this.#name(`torch.${name}`), { dtype, width });
      if (storage) this.#kinds.set(this.#name(`torch.${storage}`), { dtype, width });
    }
    this.#bytes = this.#name("torch.storage.UntypedStorage");
    this.#name("collections.OrderedDict", (args) =>
      args.length === 0 ? new Dict("OrderedDict") : this.#odd("an OrderedDict with arguments"),
    );
    this.#name("torch.Size", ([sizes]) =>
      sizes instanceof Tuple ? sizes : this.#odd("a torch.Size of no tuple"),
    );
    const typed = (args: readonly Value[]) => this.#tensor(args.slice(0, 4), undefined, args[6]);
    this.#name("torch._utils._rebuild_tensor", typed);
    this.#name("torch._utils._rebuild_tensor_v2", typed);
    this.#name("torch._utils._rebuild_tensor_v3", (args) =>
      this.#tensor(args.slice(0, 4), args[6], args[7]),
    );
    const parameter = ([data]: readonly Value[]) =>
      data instanceof TorchTensor ? data : this.#odd("a Parameter of no tensor");
    this.#name("torch._utils._rebuild_parameter", parameter);
    this.#name("torch._utils._rebuild_parameter_with_state", parameter);
  }

  #name(path: string, call?: (args: readonly Value[]) => Value): Global {
    const made = new Global(path, call);
    this.globals.set(path, made);
    return made;
  }

  #odd(what: string): never {
    return this.#fail(`describes ${what}, as torch.save never does: ${SAVE_AGAIN}`);
  }

  /** ("storage", class, key, device, count of elements, and in older files what it is a view of): its bytes. */
  persistent(id: Value): StorageView {
    const [word, type, key, , count, root = null] = id instanceof Tuple ? id.items : [];
    const kind = this.#kinds.get(type);
    if (root !== null) {
      this.#fail(`holds a storage that is a part of another one: ${SAVE_AGAIN}`);
    }
    if (word !== "storage" || typeof key !== "string" || !isCount(count)) {
      return this.#odd("a storage without type, key and size");
    }
    if (!(type instanceof Global) || (type !== this.#bytes && !type.path.endsWith("Storage"))) {
      return this.#odd("a storage of no storage class");
    }
    const width = kind?.width ?? 1;
    const bytes = this.#find(key, count * width, width);
    if (bytes.size !== count * width) {
      this.#odd(`${count} values of ${type.path} but holds ${bytes.size} bytes for them`);
    }
    return new StorageView(bytes, kind);
  }

  #tensor([storage, offset, size, stride]: readonly Value[], dtype: Value, notes: Value) {
    const shape = size instanceof Tuple ? size.items : [];
    const strides = stride instanceof Tuple ? stride.items : [];
    if (
      !(storage instanceof StorageView && size instanceof Tuple && stride instanceof Tuple) ||
      !isCount(offset) ||
      !(shape.every(isCount) && strides.every(isCount)) ||
      shape.length !== strides.length ||
      shape.length > RANK_LIMIT
    ) {
      return this.#odd("a tensor without storage, offset, shape and strides");
    }
    const kind = storage.kind ?? this.#kinds.get(dtype);
    if (kind === undefined) return this.#odd("a tensor without a dtype");
    if (notes instanceof Dict && [...notes.entries.values()].some((on) => on !== false)) {
      this.#fail(
        `holds a tensor that is conjugated or negated in name only: ${SAVE_AGAIN} after resolve_conj().resolve_neg()`,
      );
    }
    const shown = `a tensor of shape [${printable(shape.join(", "))}] and strides [${printable(strides.join(", "))}]`;
    const held = Math.floor(storage.bytes.size / kind.width);
    if (product(shape) > held) {
      this.#fail(
        `holds ${shown} over a storage of only ${held} values: call contiguous() on it before torch.save`,
      );
    }
    if (product(shape) > 0 && offset + extent(shape, strides) > held) {
      this.#odd(`${shown} from value ${offset} on, which passes the ${held} values of its storage`);
    }
    return new TorchTensor(storage.bytes, kind, offset, shape, strides);
  }
}

/** Refuses what is no zip archive, by its first bytes. */
function checkStart(start: Uint8Array, fail: Fail): void {
  if ([0x50, 0x4b, 3, 4].every((byte, i) => start[i] === byte)) return;
  const text = new TextDecoder("latin1").decode(start);
  if (text.startsWith("version https://git-lfs")) {
    fail("is a Git LFS pointer, not the file itself: run git lfs pull, or download it again");
  }
  fail(
    `is no file of torch.save (it begins with '${printable(text.slice(0, 16))}'): check its name, or download it again`,
  );
}

/** The folder in which everything lies, from the one ROOT/data.pkl. */
function findRoot(entries: ReadonlyMap<string, ZipEntry>, fail: Fail): string {
  const names = [...entries.keys()];
  const pickles = names.filter((name) => /^[^/]+\/data\.pkl$/.test(name));
  const root = pickles[0]?.slice(0, -"/data.pkl".length);
  if (root === undefined || pickles.length > 1) {
    return fail(
      `is a zip archive with ${pickles.length} entries data.pkl in its folder, one is needed: give a file of torch.save`,
    );
  }
  const stray = names.find((name) => !name.startsWith(`${root}/`));
  if (stray !== undefined) {
    fail(
      `has an entry '${printable(stray)}' outside of its folder '${printable(root)}': save it again with torch.save`,
    );
  }
  if (entries.has(`${root}/constants.pkl`)) {
    fail(
      "is a TorchScript program, not a state dict: load it with torch.jit.load and torch.save its state_dict()",
    );
  }
  const packed = names.find((name) => !entries.get(name)?.stored);
  if (packed !== undefined) {
    fail(
      `has a compressed entry '${printable(packed)}', as torch.save never does: refused, ${SAVE_AGAIN}`,
    );
  }
  return root;
}

const SHOWN_ENTRIES = 4;

function describe(value: Value): string {
  if (value instanceof TorchTensor) return `tensor of ${value.dtype}`;
  return value instanceof StorageView ? "storage" : kindOf(value);
}

const isTensor = (value: Value) => value instanceof TorchTensor;

function toStateDict(value: Value, fail: Fail): StateDict {
  if (!(value instanceof Dict)) {
    return fail(`holds one ${describe(value)}, not a state dict: save model.state_dict()`);
  }
  const tensors: StateDict = new Map();
  const shown: string[] = [];
  let inner: string | undefined;
  for (const [key, item] of value.entries) {
    if (typeof key === "string" && item instanceof TorchTensor) {
      tensors.set(key, item);
      continue;
    }
    if (shown.length < SHOWN_ENTRIES) shown.push(`'${printable(String(key))}' (${describe(item)})`);
    if (inner === undefined && item instanceof Dict && [...item.entries.values()].some(isTensor)) {
      inner = printable(String(key));
    }
  }
  const others = value.entries.size - tensors.size;
  if (others === 0) return tensors;
  const more = others > shown.length ? ` and ${others - shown.length} more` : "";
  const remedy =
    inner === undefined
      ? "save model.state_dict() alone"
      : `save '${inner}' alone, as in torch.save(torch.load(FILE)['${inner}'], FILE)`;
  return fail(
    `holds a ${kindOf(value)} with ${shown.join(", ")}${more}, where a state dict has tensors only: ${remedy}`,
  );
}

/**
 * The tensors of a file of torch.save. Only its table of contents and its pickle are read; a tensor's bytes are read, and
 * checked against the archive's CRC-32 where the file is one, when they are asked for.
 *
 * @param name what to call the file in errors
 * @throws ModelError `[pytorch] NAME ...` for a file that is truncated, damaged or of no
 *   torch.save; for a pickle that asks for anything but plain tensors, by name; for contents other than a state dict. Wrong
 *   bytes of a tensor throw where they are read, at the latest with its last piece
 */
export async function readPytorch(source: ByteSource, name: string): Promise<StateDict> {
  const fail: Fail = failAbout("pytorch", name);
  const begin = await source.read(0, Math.min(source.size, 64));
  const legacy = legacyStart(begin);
  if (legacy !== undefined) {
    const value = await readLegacy(source, legacy, (find) => new StateDictHost(find, fail), fail);
    return toStateDict(value, fail);
  }
  checkStart(begin, fail);
  const entries = await openZip(source, fail);
  const root = findRoot(entries, fail);
  const text = async (file: string) => {
    const entry = entries.get(`${root}/${file}`);
    if (entry === undefined || entry.size > 64) return undefined;
    return new TextDecoder("latin1").decode(await entry.read(0, entry.size)).trim();
  };
  const version = (await text("version")) ?? (await text(".data/version"));
  if (version === undefined || !/^\d+$/.test(version) || Number(version) > NEWEST_VERSION) {
    fail(
      `has the format version '${printable(version ?? "none")}', 1 to ${NEWEST_VERSION} are known: ${SAVE_AGAIN}`,
    );
  }
  const order = (await text("byteorder")) ?? "little";
  if (order !== "little") {
    fail(`has the byte order '${printable(order)}': ${SAVE_AGAIN} on a little-endian machine`);
  }
  const pickle = entries.get(`${root}/data.pkl`);
  if (pickle === undefined || pickle.size > PICKLE_LIMIT) {
    return fail(
      `has a data.pkl of ${pickle?.size} bytes, the limit is ${PICKLE_LIMIT}: save fewer tensors in one file`,
    );
  }
  const host = new StateDictHost((key) => {
    const missing = `has no entry 'data/${printable(key)}' for one of its storages: it is truncated or was repacked, download it again`;
    return entries.get(`${root}/data/${key}`) ?? fail(missing);
  }, fail);
  return toStateDict(unpickle(await pickle.read(0, pickle.size), host, fail), fail);
}
