/**
 * Python's pickle, for data alone.
 *
 * A pickle is a program for a small stack machine; three of its instructions name or call what Python would import.
 * Here a name is looked up in a list that the caller gives, a call runs the caller's own function, and every other
 * name, call or instruction is refused. What runs is bounded: one value for an instruction, all of them counted.
 * Source: Python's pickletools.py (the instructions), torch/serialization.py (those that torch.save writes: protocol 2,
 * or 4 on demand).
 */
import { type Fail, printable } from "../errors.ts";

/** What an instruction makes: null, boolean, number, bigint (beyond 2^53), string, a class below, or the caller's own. */
export type Value = unknown;

export class Tuple {
  readonly items: readonly Value[];

  constructor(items: readonly Value[]) {
    this.items = items;
  }
}

export class List {
  readonly items: Value[] = [];
}

const NOTHING: ReadonlyMap<Value, Value> = new Map();

/** A dict or OrderedDict; its own map is made with its first entry. */
export class Dict {
  readonly kind: "dict" | "OrderedDict";
  #entries: Map<Value, Value> | undefined;

  constructor(kind: "dict" | "OrderedDict" = "dict") {
    this.kind = kind;
  }

  get entries(): ReadonlyMap<Value, Value> {
    return this.#entries ?? NOTHING;
  }

  set(key: Value, value: Value): void {
    this.#entries ??= new Map();
    this.#entries.set(key, value);
  }
}

/** What stands for a Python name: something to call, or only a name. */
export class Global {
  readonly path: string;
  readonly call: ((args: readonly Value[]) => Value) | undefined;

  constructor(path: string, call?: (args: readonly Value[]) => Value) {
    this.path = path;
    this.call = call;
  }
}

/** What the pickle may name, and what becomes of its references to things outside (persistent ids). */
export type PickleHost = {
  readonly globals: ReadonlyMap<string, Global>;
  persistent(id: Value): Value;
};

/** Instructions of one pickle; a tensor takes about 30. */
export const INSTRUCTION_LIMIT = 2 ** 21;

const UNKNOWN: Readonly<Record<string, string>> = {
  "0": "POP",
  "1": "POP_MARK",
  "2": "DUP",
  B: "BINBYTES",
  C: "SHORT_BINBYTES",
  F: "FLOAT",
  I: "INT",
  L: "LONG",
  P: "PERSID",
  S: "STRING",
  V: "UNICODE",
  d: "DICT",
  g: "GET",
  i: "INST",
  l: "LIST",
  o: "OBJ",
  p: "PUT",
  "\x81": "NEWOBJ",
  "\x82": "EXT1",
  "\x83": "EXT2",
  "\x84": "EXT4",
  "\x8e": "BINBYTES8",
  "\x8f": "EMPTY_SET",
  "\x90": "ADDITEMS",
  "\x91": "FROZENSET",
  "\x92": "NEWOBJ_EX",
  "\x96": "BYTEARRAY8",
  "\x97": "NEXT_BUFFER",
  "\x98": "READONLY_BUFFER",
};

const isKey = (value: Value) =>
  value === null || ["string", "number", "bigint", "boolean"].includes(typeof value);

/** The machine. An instruction makes at most one value or one memo entry, so memory is bounded by their count. */
class Unpickler {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #host: PickleHost;
  readonly #fail: Fail;
  readonly #stack: Value[] = [];
  /** Heights of the stack; what lies below the last one cannot be reached. */
  readonly #marks: number[] = [];
  readonly #memo = new Map<number, Value>();
  #at: number;

  constructor(bytes: Uint8Array, at: number, host: PickleHost, fail: Fail) {
    this.#bytes = bytes;
    this.#at = at;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#host = host;
    this.#fail = fail;
  }

  run(): Value {
    for (let count = 0; count < INSTRUCTION_LIMIT; count++) {
      const code = this.#bytes[this.#take(1)];
      if (code === 0x2e) return this.#end(); // STOP
      this.#step(String.fromCharCode(code));
    }
    return this.#fail(
      `has a pickle of more than ${INSTRUCTION_LIMIT} instructions: save fewer tensors in one file`,
    );
  }

  /** Where the next byte stands. */
  get at(): number {
    return this.#at;
  }

  #end(): Value {
    const value = this.#pop();
    if (this.#marks.length > 0 || this.#stack.length > 0)
      this.#broken("ends with values left over");
    return value;
  }

  #broken(what: string): never {
    return this.#fail(
      `has a broken pickle (at byte ${this.#at} it ${what}): download it again, or save it again with torch.save`,
    );
  }

  /** The place of the next `length` bytes, which are then read. */
  #take(length: number): number {
    const at = this.#at;
    if (length > this.#bytes.length - at) this.#broken(`needs ${length} more bytes than it has`);
    this.#at = at + length;
    return at;
  }

  #size64(): number {
    const size = this.#view.getBigUint64(this.#take(8), true);
    return size < 2n ** 53n ? Number(size) : Number.POSITIVE_INFINITY;
  }

  #text(length: number): string {
    const at = this.#take(length);
    try {
      const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
      return decoder.decode(this.#bytes.subarray(at, at + length));
    } catch {
      return this.#broken("has a text that is no UTF-8");
    }
  }

  #line(): string {
    const end = this.#bytes.indexOf(10, this.#at);
    if (end < 0) this.#broken("has a name without an end");
    const text = this.#text(end - this.#at);
    this.#at++;
    return text;
  }

  #pop(): Value {
    if (this.#stack.length <= (this.#marks.at(-1) ?? 0))
      this.#broken("takes a value where none is");
    return this.#stack.pop();
  }

  #top(): Value {
    const value = this.#pop();
    this.#stack.push(value);
    return value;
  }

  #popMark(): Value[] {
    const mark = this.#marks.pop();
    return mark === undefined
      ? this.#broken("takes values back to no mark")
      : this.#stack.splice(mark);
  }

  #tuple(length: number): Tuple {
    const items: Value[] = [];
    for (let i = 0; i < length; i++) items.unshift(this.#pop());
    return new Tuple(items);
  }

  /** A little-endian two's complement integer, of 8 bytes at most. */
  #long(length: number): number | bigint {
    if (length > 8) this.#broken(`has an integer of ${length} bytes, 8 are the limit`);
    const at = this.#take(length);
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.#bytes[at + i]);
    value = BigInt.asIntN(8 * length, value);
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  }

  #global(module: string, name: string): Global {
    const found = this.#host.globals.get(`${module}.${name}`);
    return found ?? this.#refuse(`asks for ${printable(`${module}.${name}`)}`);
  }

  #refuse(what: string): never {
    return this.#fail(
      `${what}: refused, only plain tensors are read and no code is executed; save model.state_dict() alone, or as safetensors`,
    );
  }

  #reduce(): Value {
    const args = this.#pop();
    const callee = this.#pop();
    if (!(callee instanceof Global)) return this.#refuse("calls what is no name");
    if (!(args instanceof Tuple)) return this.#broken(`calls ${callee.path} without a tuple`);
    if (callee.call === undefined) return this.#refuse(`calls ${callee.path}`);
    return callee.call(args.items);
  }

  /** BUILD gives an object its attributes: an OrderedDict's are notes (`_metadata`), of nothing else. */
  #build(): void {
    const state = this.#pop();
    const target = this.#top();
    if (target instanceof Dict && target.kind === "OrderedDict" && state instanceof Dict) return;
    this.#refuse("gives attributes to what is no OrderedDict (BUILD)");
  }

  #setItems(pairs: readonly Value[]): void {
    const target = this.#top();
    if (!(target instanceof Dict)) this.#broken("sets an entry of what is no dict");
    if (pairs.length % 2 !== 0) this.#broken("has a key without a value");
    for (let i = 0; i < pairs.length; i += 2) {
      const key = pairs[i];
      if (!isKey(key)) this.#broken("has a dict key that is neither text nor number");
      if (target.entries.has(key)) this.#broken(`sets the key '${printable(String(key))}' twice`);
      target.set(key, pairs[i + 1]);
    }
  }

  #append(items: readonly Value[]): void {
    const target = this.#top();
    if (!(target instanceof List)) this.#broken("appends to what is no list");
    for (const item of items) target.items.push(item);
  }

  #recall(index: number): Value {
    if (!this.#memo.has(index)) this.#broken(`recalls value ${index}, which was never kept`);
    return this.#memo.get(index);
  }

  #stackGlobal(): Global {
    const name = this.#pop();
    const module = this.#pop();
    if (typeof name !== "string" || typeof module !== "string") {
      return this.#refuse("asks for a name that is no text (STACK_GLOBAL)");
    }
    return this.#global(module, name);
  }

  #step(code: string): void {
    const value = this.#make(code);
    if (value === undefined) this.#act(code);
    else this.#stack.push(value);
  }

  /** The value that an instruction puts on the stack, undefined for those that put none. */
  #make(code: string): Value {
    switch (code) {
      case "N":
        return null;
      case "\x88":
        return true;
      case "\x89":
        return false;
      case "K": // BININT1
        return this.#bytes[this.#take(1)];
      case "M": // BININT2
        return this.#view.getUint16(this.#take(2), true);
      case "J": // BININT
        return this.#view.getInt32(this.#take(4), true);
      case "\x8a": // LONG1
        return this.#long(this.#bytes[this.#take(1)]);
      case "\x8b": // LONG4
        return this.#long(this.#view.getUint32(this.#take(4), true));
      case "G": // BINFLOAT
        return this.#view.getFloat64(this.#take(8), false);
      case "X": // BINUNICODE
      case "T": // BINSTRING, of Python 2
        return this.#text(this.#view.getUint32(this.#take(4), true));
      case "\x8c": // SHORT_BINUNICODE
      case "U": // SHORT_BINSTRING, of Python 2
        return this.#text(this.#bytes[this.#take(1)]);
      case "\x8d": // BINUNICODE8
        return this.#text(this.#size64());
      case ")": // EMPTY_TUPLE
        return new Tuple([]);
      case "\x85": // TUPLE1, 2, 3
      case "\x86":
      case "\x87":
        return this.#tuple(code.charCodeAt(0) - 0x84);
      case "t": // TUPLE
        return new Tuple(this.#popMark());
      case "]": // EMPTY_LIST
        return new List();
      case "}": // EMPTY_DICT
        return new Dict();
      case "h": // BINGET
        return this.#recall(this.#bytes[this.#take(1)]);
      case "j": // LONG_BINGET
        return this.#recall(this.#view.getUint32(this.#take(4), true));
      case "c": // GLOBAL
        return this.#global(this.#line(), this.#line());
      case "\x93": // STACK_GLOBAL
        return this.#stackGlobal();
      case "R": // REDUCE
        return this.#reduce();
      case "Q": // BINPERSID
        return this.#host.persistent(this.#pop());
      default:
        return undefined;
    }
  }

  /** An instruction that changes what is there. */
  #act(code: string): void {
    switch (code) {
      case "\x80": // PROTO
        this.#take(1);
        break;
      case "\x95": // FRAME: a length that only readers of streams need
        this.#take(8);
        break;
      case "(": // MARK
        this.#marks.push(this.#stack.length);
        break;
      case "a": // APPEND
        this.#append([this.#pop()]);
        break;
      case "e": // APPENDS
        this.#append(this.#popMark());
        break;
      case "s": // SETITEM
        this.#setItems(this.#tuple(2).items);
        break;
      case "u": // SETITEMS
        this.#setItems(this.#popMark());
        break;
      case "q": // BINPUT
        this.#memo.set(this.#bytes[this.#take(1)], this.#top());
        break;
      case "r": // LONG_BINPUT
        this.#memo.set(this.#view.getUint32(this.#take(4), true), this.#top());
        break;
      case "\x94": // MEMOIZE
        this.#memo.set(this.#memo.size, this.#top());
        break;
      case "b": // BUILD
        this.#build();
        break;
      default:
        this.#refuseInstruction(code);
    }
  }

  #refuseInstruction(code: string): never {
    if (code === "i")
      this.#refuse(`asks for ${printable(`${this.#line()}.${this.#line()}`)} (INST)`);
    const name = UNKNOWN[code];
    if (name !== undefined) this.#refuse(`uses the instruction ${name}`);
    return this.#broken(`has no instruction of Python (code ${code.charCodeAt(0)})`);
  }
}

/**
 * The value of a pickle.
 *
 * @throws what `fail` throws, for names that the host does not list, for calls and instructions that plain data does not
 *   need, and for a pickle that is broken or beyond INSTRUCTION_LIMIT
 */
export function unpickle(bytes: Uint8Array, host: PickleHost, fail: Fail): Value {
  const { value, end } = unpickleAt(bytes, 0, host, fail);
  if (end < bytes.length) {
    fail(
      `has a broken pickle (it ends at byte ${end} with bytes left over): download it again, or save it again with torch.save`,
    );
  }
  return value;
}

/** The value of a pickle that begins at byte `at`, and where it ends; else as `unpickle`. */
export function unpickleAt(
  bytes: Uint8Array,
  at: number,
  host: PickleHost,
  fail: Fail,
): { readonly value: Value; readonly end: number } {
  const machine = new Unpickler(bytes, at, host, fail);
  return { value: machine.run(), end: machine.at };
}

/** What Python calls a value's kind, for messages. */
export function kindOf(value: Value): string {
  if (value === null) return "None";
  if (value instanceof Dict) return `${value.kind} of ${value.entries.size}`;
  if (value instanceof List) return `list of ${value.items.length}`;
  if (value instanceof Tuple) return `tuple of ${value.items.length}`;
  if (value instanceof Global) return value.path;
  if (typeof value === "string") return "str";
  if (typeof value === "boolean") return "bool";
  if (typeof value === "bigint") return "int";
  if (typeof value === "number") return Number.isInteger(value) ? "int" : "float";
  return "value";
}
