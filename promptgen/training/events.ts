/**
 * Event files, as TensorBoard reads them: TFRecords, each a length and the bytes of an `Event` of tensorflow's event.proto, both with a
 * masked CRC-32C. Of its fields there are
 *
 *     Event        1 wall_time double, 2 step int64, 3 file_version string, 5 summary, 7 session_log
 *     Summary      1 value, repeated
 *     Value        1 tag string, 2 simple_value float
 *     SessionLog   1 status enum: START 1
 *
 * A training that goes on has a file of its own. It begins with a START, at which a reader forgets what it has of that step and those
 * behind it; and those are taken out of the files before it, so that no step stands there twice.
 */
import { closeSync, openSync, readdirSync, readFileSync, truncateSync, writeSync } from "node:fs";
import { join } from "node:path";

/** What an event says. */
export type EventWords =
  | { readonly fileVersion: string }
  | { readonly session: "start" }
  | { readonly scalars: Readonly<Record<string, number>> };

export type LoggedEvent = EventWords & {
  /** Seconds since 1970. */
  readonly wallTime: number;
  readonly step: number;
};

const PREFIX = "events.out.tfevents.";
const FILE_VERSION = "brain.Event:2";

/** Whether a file in a training's folder is one of these, by its name. */
export const isEventFile = (name: string): boolean => name.startsWith(PREFIX);

const POLYNOMIAL = 0x82f63b78; // Castagnoli's, reflected
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? POLYNOMIAL : 0);
  return crc;
});

/** The CRC-32C of bytes, turned and shifted as TFRecords have it. */
export function maskedCrc(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ TABLE[(crc ^ byte) & 255];
  crc = ~crc >>> 0;
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

const varint = (value: number): number[] => {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return [...bytes, rest];
};

const [VARINT, DOUBLE, BYTES, FLOAT] = [0, 1, 2, 5]; // wire types

const field = (number: number, type: number, ...parts: readonly (readonly number[] | Buffer)[]) =>
  Buffer.concat([varint(8 * number + type), ...parts].map((part) => Buffer.from(part)));

const inside = (number: number, bytes: Buffer): Buffer =>
  field(number, BYTES, varint(bytes.length), bytes);

function valueBytes(tag: string, value: number): Buffer {
  const float = Buffer.alloc(4);
  float.writeFloatLE(value);
  return Buffer.concat([inside(1, Buffer.from(tag)), field(2, FLOAT, float)]);
}

function wordsBytes(words: EventWords): Buffer {
  if ("fileVersion" in words) return inside(3, Buffer.from(words.fileVersion));
  if ("session" in words) return inside(7, field(1, VARINT, varint(1)));
  const values = Object.entries(words.scalars).map(([tag, value]) =>
    inside(1, valueBytes(tag, value)),
  );
  return inside(5, Buffer.concat(values));
}

/** An event as a record of a file. */
export function eventRecord({ wallTime, step, ...words }: LoggedEvent): Buffer {
  const time = Buffer.alloc(8);
  time.writeDoubleLE(wallTime);
  // a step of 0 is left out, as a default always is
  const at = step === 0 ? [] : [field(2, VARINT, varint(step))];
  const data = Buffer.concat([field(1, DOUBLE, time), ...at, wordsBytes(words)]);
  const head = Buffer.alloc(12);
  head.writeBigUInt64LE(BigInt(data.length));
  head.writeUInt32LE(maskedCrc(head.subarray(0, 8)), 8);
  const tail = Buffer.alloc(4);
  tail.writeUInt32LE(maskedCrc(data));
  return Buffer.concat([head, data, tail]);
}

/** Fields of a message: numbers of variable length as numbers, others as bytes. */
function fieldsOf(bytes: Buffer): ReadonlyMap<number, number | Buffer> {
  const found = new Map<number, number | Buffer>();
  let at = 0;
  const number = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++];
      value += (byte % 128) * scale;
      if (!(byte >= 128)) return value;
    }
  };
  while (at < bytes.length) {
    const key = number();
    const type = key % 8;
    if (type === VARINT) {
      found.set(Math.floor(key / 8), number());
      continue;
    }
    const length = type === BYTES ? number() : type === DOUBLE ? 8 : 4;
    found.set(Math.floor(key / 8), bytes.subarray(at, at + length));
    at += length;
  }
  return found;
}

/** An event with values: its step, its first tag, where its record begins. */
type Found = { readonly step: number; readonly tag: string; readonly begin: number };

/** The events with values in a file, and where its last whole record ends. */
function scan(bytes: Buffer): { readonly events: readonly Found[]; readonly end: number } {
  const events: Found[] = [];
  let begin = 0;
  while (begin + 12 <= bytes.length) {
    const size = Number(bytes.readBigUInt64LE(begin));
    const end = begin + 16 + size;
    const data = bytes.subarray(begin + 12, end - 4);
    if (end > bytes.length || bytes.readUInt32LE(end - 4) !== maskedCrc(data)) break;
    const event = fieldsOf(data);
    const summary = event.get(5);
    if (summary instanceof Buffer) {
      const value = fieldsOf(summary).get(1);
      const tag = value instanceof Buffer ? fieldsOf(value).get(1) : undefined;
      events.push({ step: Number(event.get(2) ?? 0), tag: String(tag ?? ""), begin });
    }
    begin = end;
  }
  return { events, end: begin };
}

const STEP = "step/";
const EVALUATION = "evaluation/";

const named = (prefix: string, values: Readonly<Record<string, number>>) =>
  Object.fromEntries(
    Object.entries(values)
      .filter(([, value]) => Number.isFinite(value))
      .map(([name, value]) => [`${prefix}${name}`, value]),
  );

/** The event files of a folder. */
export class Standing {
  /** Steps of whose training there are values. */
  readonly steps: ReadonlySet<number>;
  /** Steps after which there are values of an evaluation. */
  readonly evaluations: ReadonlySet<number>;
  readonly folder: string;
  /** The seconds in the files' names, in whose order they are read. */
  readonly seconds: readonly number[];

  /**
   * Takes out of the files what was written from the first step on that is behind `done`, and what was cut off.
   * @param done steps that are taken
   */
  constructor(folder: string, done: number) {
    const names = readdirSync(folder).filter(isEventFile);
    const [steps, evaluations] = [new Set<number>(), new Set<number>()];
    for (const name of names) {
      const path = join(folder, name);
      const bytes = readFileSync(path);
      const { events, end } = scan(bytes);
      const isStep = ({ tag }: Found) => tag.startsWith(STEP);
      const behind = events.find((event) => isStep(event) && event.step > done)?.begin ?? end;
      if (behind < bytes.length) truncateSync(path, behind);
      for (const event of events) {
        if (event.begin < behind) (isStep(event) ? steps : evaluations).add(event.step);
      }
    }
    this.folder = folder;
    this.steps = steps;
    this.evaluations = evaluations;
    this.seconds = names.map((name) => Number(name.slice(PREFIX.length).split(".")[0]));
  }
}

/** The event file of a training that begins or goes on. */
export class EventFile {
  readonly #file: number;
  readonly #now: () => number;

  /**
   * @param done steps that were taken before
   * @param now seconds since 1970
   */
  constructor(
    { folder, seconds }: Standing,
    done: number,
    now: () => number = () => Date.now() / 1000,
  ) {
    this.#now = now;
    const second = Math.max(Math.floor(now()), ...seconds.map((own) => own + 1));
    const path = join(folder, `${PREFIX}${String(second).padStart(10, "0")}.promptgen`);
    this.#file = openSync(path, "wx");
    this.#write({ wallTime: now(), step: 0, fileVersion: FILE_VERSION });
    if (seconds.length > 0) this.#write({ wallTime: now(), step: done + 1, session: "start" });
  }

  step(step: number, figures: Readonly<Record<string, number>>): void {
    this.#write({ wallTime: this.#now(), step, scalars: named(STEP, figures) });
  }

  evaluation(step: number, figures: Readonly<Record<string, number>>): void {
    this.#write({ wallTime: this.#now(), step, scalars: named(EVALUATION, figures) });
  }

  #write(event: LoggedEvent): void {
    writeSync(this.#file, eventRecord(event));
  }

  close(): void {
    closeSync(this.#file);
  }
}
