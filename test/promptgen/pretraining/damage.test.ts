/** What is done to texts, counted by hand: small cases exactly, shares over many draws. */
import assert from "node:assert/strict";
import { suite } from "uvu";
import { Random } from "../../../models/training/random.ts";
import {
  fillText,
  maskWords,
  permuteSentences,
  type Tokens,
} from "../../../promptgen/pretraining/damage.ts";

const test = suite("damage to texts");

const MASK = 4;
const SPECIAL = 1; // stands in a text as [UNK] does
const words = {
  mask: MASK,
  ordinary: Array.from({ length: 900 }, (_, i) => 1000 + i),
  isSpecial: (id: number) => id < 10,
};

/** Words of the given numbers of pieces, ids from 100 on; a 0 is a special token. */
function text(lengths: readonly number[], marked: readonly number[] = []): Tokens {
  const starts = lengths.flatMap((n) => [true, ...Array<boolean>(Math.max(0, n - 1)).fill(false)]);
  const of = lengths.flatMap((n, w) => Array<number>(Math.max(1, n)).fill(w));
  return {
    ids: of.map((w, i) => (lengths[w] === 0 ? SPECIAL : 100 + i)),
    starts,
    marked: of.map((w) => marked.includes(w)),
  };
}

const near = (seen: number, of: number, wanted: number, what: string): void => {
  const spread = 5 * Math.sqrt((wanted * (1 - wanted)) / of);
  assert.ok(Math.abs(seen / of - wanted) < spread, `${what}: ${seen} of ${of}, not ${wanted}`);
};

test("whole words are masked up to the share, each token by 80, 10 and 10 in a hundred", () => {
  const lengths = [1, 2, 1, 3, 1, 0, 1, 2, 1, 1, 1, 2, 1, 1]; // 18 tokens, one of them special
  const one = text(lengths);
  const wordOf = lengths.flatMap((n, w) => Array<number>(Math.max(1, n)).fill(w));
  const fates = { mask: 0, other: 0, kept: 0 };
  const times = lengths.map(() => 0);
  const draws = 4000;
  for (let seed = 0; seed < draws; seed++) {
    const { ids, places, targets } = maskWords(
      one,
      { rate: 0.23, object: 0 },
      words,
      new Random(seed, 0),
    );
    assert.equal(places.length, 5); // round(0.23 * (18 + 2)): words of one piece fill what is left
    assert.deepEqual(
      targets,
      places.map((p) => one.ids[p]),
    );
    assert.deepEqual(
      places,
      [...places].sort((a, b) => a - b),
    );
    const touched = new Set(places.map((p) => wordOf[p]));
    one.ids.forEach((id, i) => {
      assert.equal(places.includes(i), touched.has(wordOf[i]), "part of a word");
      if (!places.includes(i)) assert.equal(ids[i], id);
    });
    for (const w of touched) times[w]++;
    for (const p of places) {
      if (ids[p] === MASK) fates.mask++;
      else if (ids[p] === one.ids[p]) fates.kept++;
      else {
        assert.ok(ids[p] >= 1000 && ids[p] < 1900);
        fates.other++;
      }
    }
  }
  near(fates.mask, 5 * draws, 0.8, "masks");
  near(fates.other, 5 * draws, 0.1, "others");
  near(fates.kept, 5 * draws, 0.1, "kept");
  assert.equal(times[5], 0, "a special token was masked");
  const single = lengths.flatMap((n, w) => (n === 1 ? [times[w]] : []));
  const all = single.reduce((a, b) => a + b, 0);
  for (const seen of single) near(seen, all, 1 / single.length, "a word of one piece");
});

test("the share is rounded, at least one word is masked, and a word that does not fit is passed over", () => {
  const masked = (lengths: readonly number[], rate: number) =>
    Array.from({ length: 60 }, (_, seed) =>
      maskWords(text(lengths), { rate, object: 0 }, words, new Random(seed, 1)).places.join(),
    );
  const kinds = (lengths: readonly number[], rate: number) =>
    [...new Set(masked(lengths, rate))].sort();
  assert.deepEqual(kinds([1, 1, 1], 0.15), ["0", "1", "2"]); // round(0.75)
  assert.deepEqual(kinds([1, 2], 0.15), ["0"]); // the second never fits
  assert.deepEqual(kinds([3], 0.15), ["0,1,2"]); // nothing fits: the first word of the order
  assert.deepEqual(kinds([0, 2, 0], 0.15), ["1,2"]);
  const unknown = { ...text([2, 3]), ids: [100, SPECIAL, 102, 103, 104] }; // a piece of a word is not known
  const drawn = Array.from({ length: 40 }, (_, seed) =>
    maskWords(unknown, { rate: 0.6, object: 0 }, words, new Random(seed, 1)).places.join(),
  );
  assert.deepEqual([...new Set(drawn)].sort(), ["0", "2,3,4"]);
  assert.deepEqual(kinds([0, 0], 0.5), [""]);
});

test("objects are masked at their own rate, whole and always by the mask, and count in the share", () => {
  const one = text([1, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1, 1], [2, 3, 7]); // 13 tokens: round(0.2 * 15) = 3
  const draws = 3000;
  const seen = { first: 0, second: 0, both: 0 };
  for (let seed = 0; seed < draws; seed++) {
    const { ids, places } = maskWords(one, { rate: 0.2, object: 0.6 }, words, new Random(seed, 2));
    const first = [2, 3, 4].filter((p) => places.includes(p)).length;
    if (first === 3) seen.first++;
    const second = places.includes(8);
    if (second) seen.second++;
    if (first === 3 && second) {
      seen.both++;
      assert.deepEqual(places, [2, 3, 4, 8]); // beyond the share, and nothing else
      for (const p of places) assert.equal(ids[p], MASK);
    } else assert.equal(places.length, 3);
  }
  // an object that is not drawn may be drawn as other words are: more than 0.6 in all, but 0.36 for both at least
  assert.ok(seen.first >= 0.57 * draws && seen.first < 0.75 * draws, `${seen.first}`);
  assert.ok(seen.second >= 0.57 * draws && seen.second < 0.75 * draws, `${seen.second}`);
  near(seen.both, draws, 0.36, "both objects");
  const never = maskWords(one, { rate: 0.2, object: 1 }, words, new Random(1, 2));
  assert.deepEqual(never.places, [2, 3, 4, 8]);
});

/** The law of in-filling by another way: which words go, computed over sets of words. */
function expected(
  lengths: readonly number[],
  firsts: readonly number[],
  count: number,
): Set<number> {
  const gone = new Set<number>();
  firsts.forEach((first, k) => {
    for (let w = first; w < Math.min(count, first + lengths[k]); w++) gone.add(w);
  });
  return gone;
}

test("in-filling: spans of whole words up to the share, each one mask, in the order of the text", () => {
  const lengths = [1, 2, 1, 3, 1, 1, 2, 1, 1, 1, 1, 4, 1, 1, 1, 2, 1, 1, 1, 1]; // 20 words, 28 tokens
  const one = text(lengths);
  const firstOf = lengths.map((_, w) => lengths.slice(0, w).reduce((a, b) => a + b, 0));
  const draws = 4000;
  const [counts, blanks] = [[] as number[], { mask: 0, other: 0 }];
  for (let seed = 0; seed < draws; seed++) {
    const source = fillText(one, { rate: 0.31, span: 3, other: 0.1 }, words, new Random(seed, 3));
    assert.ok(source.length <= one.ids.length);
    const kept = source.filter((id) => id >= 100 && id < 1000);
    assert.deepEqual(
      kept,
      [...kept].sort((a, b) => a - b),
    );
    const whole = lengths.map(
      (n, w) => kept.filter((id) => id - 100 >= firstOf[w] && id - 100 < firstOf[w] + n).length,
    );
    assert.ok(
      whole.every((n, w) => n === 0 || n === lengths[w]),
      "part of a word stays",
    );
    counts.push(whole.filter((n) => n === 0).length);
    for (const id of source) {
      if (id === MASK) blanks.mask++;
      else if (id >= 1000) blanks.other++;
    }
  }
  assert.ok(
    counts.every((n) => n <= 7),
    "more than the share",
  ); // ceil(0.31 * 20)
  near(blanks.other, blanks.mask + blanks.other, 0.1, "others among the masks");
  // the mean of words that go, of spans drawn by numbers of this test's own: they overlap, and end with the text
  let [mean, spans] = [0, 0];
  const uniform = new Random(99, 9);
  const rounds = 20000;
  for (let k = 0; k < rounds; k++) {
    const own: number[] = [];
    for (let reached = 0; reached < 7; ) {
      // the number of arrivals in a unit of time at a rate of 3
      let n = -1;
      for (let t = 0; t <= 1; n++) t -= Math.log(1 - uniform.unit()) / 3;
      own.push(Math.min(n, 7 - reached));
      reached += n;
    }
    spans += own.length;
    const real = own.filter((n) => n > 0);
    const places = Array.from({ length: 20 }, (_, i) => ({ i, key: uniform.unit() }));
    const order = places.sort((a, b) => a.key - b.key).map(({ i }) => i);
    mean += expected(real, order, 20).size;
  }
  const seen = counts.reduce((a, b) => a + b, 0) / draws;
  assert.ok(Math.abs(seen - mean / rounds) < 0.08, `${seen} words go, not ${mean / rounds}`);
  const masks = (blanks.mask + blanks.other) / draws;
  assert.ok(
    masks > 0.7 * (spans / rounds) && masks < spans / rounds,
    `${masks} of ${spans / rounds}`,
  );
});

test("in-filling of few words: one goes at least, and insertions never make a text longer", () => {
  const kinds = new Set<string>();
  for (let seed = 0; seed < 300; seed++) {
    const source = fillText(
      text([1, 2]),
      { rate: 0.3, span: 3, other: 0 },
      words,
      new Random(seed, 4),
    );
    kinds.add(source.join());
  }
  // the first word or the second; a span of none before it puts a mask where there is room
  const allowed = ["4,101,102", "100,4", "100,4,4", "4,100,4"];
  assert.ok(
    [...kinds].every((kind) => allowed.includes(kind)),
    [...kinds].join(" "),
  );
  assert.ok(kinds.has("4,101,102") && kinds.has("100,4") && kinds.size > 2, [...kinds].join(" "));
  assert.deepEqual(
    fillText(text([]), { rate: 0.3, span: 3, other: 0 }, words, new Random(1, 4)),
    [],
  );
});

test("sentences change places as a whole, each order as often as any other", () => {
  const stop = 50;
  const one = {
    ids: [1, 2, stop, 3, stop, stop, 4, 5],
    starts: [true, false, true, true, true, true, true, false],
  };
  const parts = ["1,2,50", "3,50,50", "4,5"];
  const times = new Map<string, number>();
  const draws = 3000;
  for (let seed = 0; seed < draws; seed++) {
    const { ids, starts } = permuteSentences(one, (id) => id === stop, new Random(seed, 5));
    const key = ids.join();
    times.set(key, (times.get(key) ?? 0) + 1);
    assert.deepEqual(starts.filter((is) => !is).length, 2);
    assert.deepEqual(
      starts,
      ids.map((id) => id !== 2 && id !== 5),
    );
  }
  const [a, b, c] = parts;
  const orders = [
    [a, b, c],
    [a, c, b],
    [b, a, c],
    [b, c, a],
    [c, a, b],
    [c, b, a],
  ];
  assert.deepEqual([...times.keys()].sort(), orders.map((order) => order.join()).sort());
  for (const seen of times.values()) near(seen, draws, 1 / 6, "an order");
});

test.run();
