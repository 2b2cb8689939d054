/** Corpora and their caches: what is read, what is held out, what is marked, and what is refused. */
import assert from "node:assert/strict";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { suite } from "uvu";
import { Random } from "../../../models/training/random.ts";
import type { Side, TextCache } from "../../../promptgen/pretraining/corpus/cache.ts";
import { PIECE } from "../../../promptgen/pretraining/corpus/files.ts";
import { unpacked } from "../../../promptgen/pretraining/corpus/texts.ts";
import type { Tokens } from "../../../promptgen/pretraining/damage.ts";
import {
  bartTokenizer,
  bertTokenizer,
  cacheOf,
  fileOf,
  madeTexts,
  temporary,
  world,
} from "./corpora.ts";

const test = suite("corpora");

/** Every text of a side, in the order of the index. */
function textsOf(cache: TextCache, side: Side): Tokens[] {
  let place = 0;
  return side.lengths.flatMap(([length, count]) =>
    Array.from({ length: count }, () => unpacked(cache.read(side, place++, length))),
  );
}
const idsOf = (cache: TextCache, side = cache.train): string[] =>
  textsOf(cache, side).map(({ ids }) => ids.join());

test("lines, .jsonl and .gz give the same texts, in one file and in several", async () => {
  const texts = madeTexts(300);
  const wanted = texts.map((text) => bertTokenizer.encode(text).join());
  const json = texts.map((text) => JSON.stringify({ more: 1, sentence: text }));
  const folder = temporary();
  const write = (name: string, lines: readonly string[], end = "\n"): string => {
    const path = join(folder, name);
    const bytes = Buffer.from(lines.join(end));
    writeFileSync(path, name.endsWith(".gz") ? gzipSync(bytes) : bytes);
    return path;
  };
  const fields = { text: "sentence" };
  const plain = write("a.txt", texts); // without a last line end
  const all = [
    [plain],
    [write("b.txt.gz", [...texts, ""])],
    [write("c.jsonl", json)],
    [write("d.jsonl.gz", [...json, ""])],
    [write("e.txt", ["\uFEFF", ...texts, " ", "\t"], "\r\n")],
    [write("f.txt", texts.slice(0, 100)), write("g.jsonl", [...json.slice(100), ""])],
  ];
  for (const files of all) {
    const cache = await cacheOf(files, world.bert, { fields });
    assert.deepEqual(idsOf(cache).sort(), [...wanted].sort(), files.join());
    cache.close();
  }
  const cache = await cacheOf([plain], world.bert);
  // by length, and of one length in the order of the corpus
  const sorted = wanted
    .map((ids, i) => ({ ids, i, n: ids.split(",").length }))
    .sort((a, b) => a.n - b.n || a.i - b.i);
  assert.deepEqual(
    idsOf(cache),
    sorted.map(({ ids }) => ids),
  );
  cache.close();
});

test("many pieces and threads give the bytes of one, and a cache that is there is not made again", async () => {
  const texts = madeTexts(12_000);
  const path = fileOf(texts);
  assert.ok(readFileSync(path).length > 2 * PIECE);
  const folder = join(temporary(), "cache");
  const one = await cacheOf([path], world.bert, { heldOut: 0.1 }, folder);
  one.close();
  const { openCache } = await import("../../../promptgen/pretraining/corpus/cache.ts");
  const options = { fields: { text: "text" }, most: 120, heldOut: 0.1 };
  const other = join(temporary(), "cache");
  const told: number[] = [];
  const three = await openCache(other, {
    files: [path],
    tokenizer: world.bert,
    options,
    threads: 3,
    onProgress: (bytes) => told.push(bytes),
  });
  three?.close();
  assert.equal(told.at(-1), readFileSync(path).length);
  assert.deepEqual(
    told,
    [...new Set(told)].sort((a, b) => a - b),
  );
  for (const name of ["tokens.bin", "index.bin", "cache.json"]) {
    assert.deepEqual(readFileSync(join(folder, name)), readFileSync(join(other, name)), name);
  }
  assert.deepEqual(readdirSync(folder).sort(), ["cache.json", "index.bin", "tokens.bin"]);
  let read = 0;
  const again = await openCache(folder, {
    files: [path],
    tokenizer: world.bert,
    options,
    onProgress: () => read++,
  });
  assert.equal(read, 0);
  assert.equal(again?.train.count, one.train.count);
  again?.close();
});

test("a share is held out by the text alone: equal texts together, whatever stands around them", async () => {
  const texts = madeTexts(3000);
  const first = await cacheOf([fileOf([...texts, ...texts])], world.bert, { heldOut: 0.2 });
  const [trained, held] = [idsOf(first), idsOf(first, first.heldOut)];
  assert.equal(trained.length + held.length, 6000);
  const of = new Set(held);
  assert.ok(
    trained.every((ids) => !of.has(ids)),
    "a text on both sides",
  );
  const distinct = new Set([...trained, ...held]).size;
  const spread = 5 * Math.sqrt((0.2 * 0.8) / distinct);
  assert.ok(Math.abs(of.size / distinct - 0.2) < spread, `${of.size} of ${distinct}`);
  const second = await cacheOf([fileOf(texts.toReversed())], world.bert, { heldOut: 0.2 });
  assert.deepEqual(new Set(idsOf(second, second.heldOut)), of);
  first.close();
  second.close();
});

test("a text that is too long is cut between words, a word that is too long within", async () => {
  const long = Array.from({ length: 50 }, (_, i) => (i % 7 === 0 ? "Quorvaxian" : "river")).join(
    " ",
  );
  const cache = await cacheOf([fileOf([long, "the city .", "☃ ☃"])], world.bert, { most: 10 });
  const { counts } = cache.description;
  assert.deepEqual([counts.lines, counts.empty, counts.cut, counts.unusable], [3, 0, 1, 1]);
  const texts = textsOf(cache, cache.train);
  assert.ok(texts.every(({ ids, starts }) => ids.length <= 10 && starts[0]));
  const ids = bertTokenizer.encode(long);
  const inOrder: number[][] = [];
  for (let at = 0; at < ids.length; ) {
    const next = texts.find(
      (t) => t.ids.join() === ids.slice(at, at + t.ids.length).join() && t.ids.length > 3,
    );
    assert.ok(next);
    inOrder.push([...next.ids]);
    at += next.ids.length;
  }
  assert.deepEqual(inOrder.flat(), ids);
  cache.close();
  const word = "Q".repeat(80);
  const cut = await cacheOf([fileOf([word])], world.bart, { most: 10 });
  assert.equal(cut.description.counts.cut, 1);
  assert.equal(
    textsOf(cut, cut.train).reduce((all, t) => all + t.ids.length, 0),
    bartTokenizer.encode(word).length,
  );
  cut.close();
});

test("objects are marked by ranges and by [MASK], in BERT's words and in BART's", async () => {
  const rows = [
    { text: "The capital of Quorvax is the old city .", find: "old city" },
    { text: "Zimblet plays music", find: "Zimblet" },
    { text: "😀 the river, None", find: "None" },
    { text: "of the Quorvaxian river.", find: "vax" }, // amid a word: the whole of it
  ];
  const points = (text: string) => [...text].length;
  const lines = rows.map(({ text, find }) => {
    const begin = points(text.slice(0, text.indexOf(find)));
    return JSON.stringify({ text, spans: [[begin, begin + points(find)]] });
  });
  const masked = rows.map(({ text, find }) =>
    JSON.stringify({ text: text.replace(find, "[MASK]"), obj: find }),
  );
  for (const [folder, tokenizer] of [
    [world.bert, bertTokenizer],
    [world.bart, bartTokenizer],
  ] as const) {
    for (const [own, fields] of [
      [lines, { text: "text", spans: "spans" }],
      [masked, { text: "text", object: "obj" }],
    ] as const) {
      const cache = await cacheOf([fileOf(own, "a.jsonl")], folder, { fields });
      const found = textsOf(cache, cache.train);
      for (const { text, find } of rows) {
        const all = tokenizer.encode(text).join();
        const one = found.find(({ ids }) => ids.join() === all);
        assert.ok(one, text);
        const words = tokenizer.encodeWords(text).filter((word) => word.length > 0);
        const firsts = words.flatMap((word) => word.map((_, i) => i === 0));
        assert.deepEqual(one.starts, firsts);
        const said = tokenizer.decode(one.ids.filter((_, i) => one.marked[i])).replace(/ ?##/g, "");
        assert.equal(said.trim(), find === "vax" ? "Quorvaxian" : find, text);
      }
      cache.close();
    }
  }
});

test("what cannot be read is told in a sentence with file and line, and leaves nothing behind", async () => {
  const good = madeTexts(5);
  const folder = temporary();
  const put = (name: string, bytes: string | Uint8Array): string => {
    writeFileSync(join(folder, name), bytes);
    return join(folder, name);
  };
  const zipped = gzipSync(Buffer.from(madeTexts(2000).join("\n")));
  const jsonl = (...lines: string[]) => lines.join("\n");
  const cases: [string, RegExp][] = [
    [put("empty.txt", ""), /empty\.txt has no text to train on \(0 lines, 0 empty\)/],
    [put("blank.txt", "\n \n\n"), /blank\.txt has no text to train on \(3 lines, 3 empty\)/],
    [
      put("latin.txt", Buffer.from(`${good[0]}\ncaf\xe9 .\n`, "latin1")),
      /latin\.txt:2 is not UTF-8.*0xe9/,
    ],
    [
      put("cut.txt.gz", zipped.subarray(0, zipped.length - 50)),
      /cut\.txt\.gz ends amid its gzip data/,
    ],
    [put("plain.txt.gz", "the river"), /plain\.txt\.gz is not gzip/],
    [put("bad.jsonl", jsonl('{"text": "a"}', "", "{text}")), /bad\.jsonl:3 is not JSON/],
    [
      put("other.jsonl", jsonl('{"sentence": "a"}')),
      /other\.jsonl:1 has no text in "text"; its fields are sentence/,
    ],
    [put("list.jsonl", "[1]"), /list\.jsonl:1 has no text in "text"/],
    [put("long.txt", "a".repeat(2 ** 24 + 10)), /long\.txt has a line of more than 16 MiB/],
    [join(folder, "none.txt"), /none\.txt does not exist/],
    [folder, /is a directory, not a file/],
  ];
  for (const [path, sentence] of cases) {
    const at = join(temporary(), "cache");
    await assert.rejects(cacheOf([path], world.bert, {}, at), (error: Error) => {
      assert.match(error.message, sentence);
      assert.equal(error.name, "CorpusError");
      assert.equal(error.message.split("\n").length, 1);
      return true;
    });
    assert.ok(!existsSync(at) || readdirSync(at).length === 0, `${path} leaves ${existsSync(at)}`);
  }
  for (const spans of ["[[0]]", "[[3, 2]]", "[[0, 99]]", '"0-2"', "[[-1, 2]]", "[[0, 1.5]]"]) {
    const path = put("spans.jsonl", `{"text": "the river .", "spans": ${spans}}`);
    await assert.rejects(
      cacheOf([path], world.bert, { fields: { text: "text", spans: "spans" } }),
      /spans\.jsonl:1 has in "spans" no list of \[begin, end\] within its text/,
    );
  }
});

test("a cache of something else, and a damaged one, are refused", async () => {
  const path = fileOf(madeTexts(40));
  const at = join(temporary(), "cache");
  (await cacheOf([path], world.bert, {}, at)).close();
  const other = fileOf(madeTexts(41));
  const refused = (sentence: RegExp, ...given: Parameters<typeof cacheOf>) =>
    assert.rejects(cacheOf(...given), (error: Error) => {
      assert.match(error.message, sentence);
      return error.name === "CorpusError";
    });
  await refused(/is of another corpus; name another folder/, [other], world.bert, {}, at);
  await refused(/is of another tokenizer/, [path], world.bart, {}, at);
  await refused(/made with other options/, [path], world.bert, { most: 20 }, at);
  (await cacheOf([path], world.bert, {}, at)).close(); // it is as it was
  truncateSync(join(at, "tokens.bin"), 100);
  await refused(
    /tokens\.bin is of 100 bytes where \d+ bytes were written/,
    [path],
    world.bert,
    {},
    at,
  );
  appendFileSync(join(at, "cache.json"), "x");
  await refused(/cache\.json is not what was written/, [path], world.bert, {}, at);
});

test("a stopped making leaves no cache, and the next one makes it whole", async () => {
  const { openCache } = await import("../../../promptgen/pretraining/corpus/cache.ts");
  const path = fileOf(madeTexts(15_000, new Random(5, 0).below(100)));
  const at = join(temporary(), "cache");
  const options = { fields: { text: "text" }, most: 120, heldOut: 0 };
  const stop = new AbortController();
  const given = { files: [path], tokenizer: world.bert, options, threads: 1 };
  const stopped = await openCache(at, {
    ...given,
    signal: stop.signal,
    onProgress: () => stop.abort(),
  });
  assert.equal(stopped, undefined);
  assert.ok(!existsSync(join(at, "cache.json")));
  mkdirSync(at, { recursive: true });
  writeFileSync(join(at, "tokens.bin.part"), "half"); // as a killed process leaves it
  const whole = await openCache(at, given);
  assert.equal(whole?.train.count, 15_000);
  whole?.close();
});

test.run();
