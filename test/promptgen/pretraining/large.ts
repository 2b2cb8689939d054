/**
 * A corpus of any size through tokenizing and reading, in memory that does not grow. Not a part of the suite: 10 GB take an hour
 * on two cores, and four times their size on the disk.
 *
 *     node test/promptgen/pretraining/large.ts --size 10G --folder /somewhere [--threads N] [--seed N] [--gz]
 *
 * Writes made text, makes the cache, reads an epoch in its order, and prints time, rate and resident memory by tenths. Exit code 1:
 * memory grew, or the epoch was not the corpus: each text once, the tokens those of the file.
 */
import { createWriteStream, mkdirSync, openSync, readSync, rmSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { finished } from "node:stream/promises";
import { parseArgs } from "node:util";
import { createGzip } from "node:zlib";
import { openCache } from "../../../promptgen/pretraining/corpus/cache.ts";
import { TextGroups } from "../../../promptgen/pretraining/texts.ts";
import { embeddedWorld } from "../../../promptgen/world/world.ts";

const { values } = parseArgs({
  options: {
    size: { type: "string", default: "200M" },
    folder: { type: "string" },
    threads: { type: "string", default: "2" },
    seed: { type: "string", default: "1" },
    gz: { type: "boolean", default: false },
  },
});
const [, digits = "", unit = ""] = /^(\d+)([MG])$/.exec(values.size) ?? [];
if (values.folder === undefined || digits === "") {
  console.error("give --folder, and --size as 200M or 10G");
  process.exit(2);
}
const size = Number(digits) * (unit === "G" ? 1e9 : 1e6);
const folder = resolve(values.folder);
mkdirSync(folder, { recursive: true });
const path = join(folder, values.gz ? "corpus.txt.gz" : "corpus.txt");
const cacheFolder = join(folder, "cache");
rmSync(cacheFolder, { recursive: true, force: true });

/** Uniform numbers, fast. */
function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let h = Math.imul(state ^ (state >>> 15), 1 | state);
    h = (h + Math.imul(h ^ (h >>> 7), 61 | h)) ^ h;
    return ((h ^ (h >>> 14)) >>> 0) / 2 ** 32;
  };
}

const draw = uniform(Number(values.seed));
const CONSONANTS = "bcdfghjklmnprstvz";
const VOWELS = "aeiou";
const one = (letters: string): string => letters[Math.floor(draw() * letters.length)];
const made = (): string =>
  Array.from({ length: 1 + Math.floor(draw() * 4) }, () => one(CONSONANTS) + one(VOWELS)).join("");
/** 200,000 words; the n-th is used about 1 / n as often as the first. */
const words = Array.from({ length: 200_000 }, made);
const word = (): string => words[Math.floor(words.length ** draw()) - 1];
const line = (): string => {
  let text = word();
  for (let n = 4 + Math.floor(draw() * 36); n > 0; n--) text += ` ${word()}`;
  return `${text}.\n`;
};

/** Resident memory at the tenths of something, and its most in each half. */
class Memory {
  readonly #name: string;
  readonly #total: number;
  readonly #begun = performance.now();
  readonly #cpu = process.cpuUsage();
  #next = 0;
  readonly most = [0, 0];
  constructor(name: string, total: number) {
    this.#name = name;
    this.#total = total;
  }
  at(done: number): void {
    const rss = process.memoryUsage.rss();
    const half = done * 2 < this.#total ? 0 : 1;
    this.most[half] = Math.max(this.most[half], rss);
    if (done * 10 < this.#next * this.#total) return;
    this.#next = Math.floor((10 * done) / this.#total) + 1;
    const seconds = (performance.now() - this.#begun) / 1000;
    const share = Math.round((100 * done) / this.#total);
    console.log(
      `${this.#name.padEnd(9)} ${String(share).padStart(3)} %  ${seconds.toFixed(1)} s  ${Math.round(rss / 1e6)} MB`,
    );
  }
  /** Says the rate; whether the second half took no more than the first. */
  end(bytes: number): boolean {
    const seconds = (performance.now() - this.#begun) / 1000;
    const { user, system } = process.cpuUsage(this.#cpu); // of all threads
    const [first, second] = this.most.map((most) => Math.round(most / 1e6));
    console.log(
      `${this.#name}: ${seconds.toFixed(1)} s, ${(bytes / 1e6 / seconds).toFixed(1)} MB of text a second, ${((user + system) / 1e6).toFixed(1)} s of all cores, ` +
        `at the most ${first} MB in the first half and ${second} MB in the second`,
    );
    return second <= 1.25 * first + 32;
  }
}

const writing = new Memory("writing", size);
const file = createWriteStream(path);
const into = values.gz ? createGzip({ level: 1 }) : file;
if (into !== file) into.pipe(file);
let [text, written] = [0, 0];
for (let block = ""; text < size; block = "") {
  while (block.length < 2 ** 20) block += line();
  text += block.length; // the letters are ASCII
  if (!into.write(block)) await new Promise<void>((go) => into.once("drain", go));
  writing.at(text);
}
into.end();
await finished(file);
written = statSync(path).size;
writing.end(text);
console.log(`${text} bytes of text, ${written} on the disk`);

const making = new Memory("tokens", text);
const options = { fields: { text: "text" }, most: 126, heldOut: 0 };
const cache = await openCache(cacheFolder, {
  files: [path],
  tokenizer: embeddedWorld().bert,
  options,
  threads: Number(values.threads),
  onProgress: (bytes) => making.at(bytes),
});
if (!cache) throw new Error("it was stopped");
let good = making.end(text);
const { description } = cache;
console.log(`${cache.train.count} texts, ${description.tokens} tokens`);

/** Sum of the ids modulo 2^32, in whatever order. */
let sum = 0;
let [texts, tokens] = [0, 0];
const groups = new TextGroups(cache, cache.train, 6);
const batches = groups.groupsOf(64);
const reading = new Memory("epoch", batches);
for (let k = 0; k < batches; k++) {
  for (const { ids } of groups.group(64, 1, 0, k).items) {
    texts++;
    tokens += ids.length;
    for (const id of ids) sum = (sum + id) >>> 0;
  }
  reading.at(k + 1);
}
good = reading.end(text) && good;
let wanted = 0;
const input = openSync(join(cacheFolder, "tokens.bin"), "r");
const block = new Uint32Array(2 ** 18);
for (let got = 1; got > 0; ) {
  got = readSync(input, new Uint8Array(block.buffer), 0, block.byteLength, null);
  for (let i = 0; i < got / 4; i++) wanted = (wanted + (block[i] & 0x3fffffff)) >>> 0;
}
const whole = texts === cache.train.count && tokens === description.tokens && sum === wanted;
console.log(
  whole ? "the epoch was the corpus" : `the epoch was another: ${texts}, ${tokens}, ${sum}`,
);
if (!good) console.log("memory grew");
process.exit(good && whole ? 0 : 1);
