"""Goldens of tokenizer.json: random tokenizers of every part that is read here, and what Python's `tokenizers` makes of texts.

    python3 test/golden/tokenizers/generate.py

Writes parts.json.gz beside itself: `strings`, a pool of texts; `tokenizers`, each with a name, its tokenizer.json, the first of
its 100 strings and their step in the pool, and two digests a string: SHA-256, four hex digits, of the ids joined by blanks and
of the text that they decode to (SHA-256 of its UTF-8). Two runs give the same bytes.
"""

import gzip
import hashlib
import json
import random
import struct
from pathlib import Path

import base64
from tokenizers import Tokenizer

OUT = Path(__file__).resolve().parent / "parts.json.gz"
DRAW = random.Random(11)

WORDS = """the quick café cafe\u0301 naïve Zürich schön Orléans İstanbul straße ΣΑΣ ΟΔΥΣΣΕΥΣ Москва столица России ёжик
шалом שָׁלוֹם שלום مرحبا السَّلام हिन्दी क्षत्रिय ไทย ภาษาไทย 東京 図書館 北京大学 한국어 \u1112\u1161\u11ab カタカナ ひらがな ー 𠮷野家
😀 👩‍👩‍👧‍👦 👍🏽 🇳🇱 ❤️ 1987 ١٢٣ १२३ Ⅷ ½ ² 𝟘𝟙 ① 3,450.99 don't we're DON'T 's x_y a.b+c@d.org C:\\temp http://x.y/?q=1#a
... — “quoted” «bon» ¿qué? !? ;; -- $5 100% €9 ^ ` ~ § ¶ ﬁ ﬂ ﬆ ſ K Å ㎏ ㍿ ½ ™ Ⅳ ＡＢＣ ｶﾞ \u1e9b\u0323 o\u0302\u0323 a\u0345\u0301
unaffable lowest newest lower running [MASK] <mask> [CLS] </s> <ent> ent Ent covid-19 <extra>token ▁under ##ing </w> <0x41>""".split()
ODD = ["\u0085", "\ufeff", "\u200b", "\u3000", "\u00a0", "\t", "\n", "\r\n", "\x00", "\x07", "\x7f", "\x9f", "\u2028", "\u00ad",
       "\u200d", "\u0301", "\u1680", "\ufffd", "\ue000", "\u202e", "\u2581", "\x0b", "\x1c", "\u0378", "\U000e0001"]
SPACES = [" ", " ", " ", " ", "  ", "", "", "\n", " \t"]


def strings():
    pool = ["", " ", "   ", "\n", "a" * 120, "café" * 40, "東" * 110, "!" * 50, "Wait... what?!", "Le café est à Orléans.",
            "Москва — столица России.", "Zürich [MASK] schön."]
    while len(pool) < 1500:
        made = ""
        for _ in range(DRAW.randint(1, 9)):
            kind = DRAW.random()
            if kind < 0.8:
                made += DRAW.choice(WORDS)
            elif kind < 0.92:
                made += DRAW.choice(ODD)
            else:
                made += chr(DRAW.choice([DRAW.randint(32, 0x24F), DRAW.randint(0x250, 0xD7FF), DRAW.randint(0x1F300, 0x1FAFF)]))
            made += DRAW.choice(SPACES)
        pool.append(made)
    return pool


STRINGS = strings()


def charsmap(pairs):
    """A sentencepiece charsmap: a double array built node by node, the texts behind it."""
    texts, offsets = b"", {}
    trie = {}
    for source, target in pairs.items():
        offsets.setdefault(target, len(texts))
        if offsets[target] == len(texts):
            texts += target.encode() + b"\0"
        node = trie
        for byte in source.encode():
            node = node.setdefault(byte, {})
        node[-1] = offsets[target]
    units = [0] * 8192
    used = {0}

    def place(node, at, label):
        labels = [0 if b == -1 else b for b in node]
        base = 1
        while any((base ^ b) in used or (base ^ b) >= len(units) for b in labels) or (at ^ base) >= 1 << 21:
            base += 1
        # a unit keeps the difference of its own place and its children's
        units[at] = ((at ^ base) << 10) | ((-1 in node) << 8) | label
        for b in labels:
            used.add(base ^ b)
        for b, child in sorted(node.items()):
            if b == -1:
                units[base] = (1 << 31) | child
            else:
                place(child, base ^ b, b)

    place(trie, 0, 0)
    blob = struct.pack(f"<{len(units)}I", *units)
    return base64.b64encode(struct.pack("<I", len(blob)) + blob + texts).decode()


CHARSMAP = charsmap({"\u00a0": " ", "\u3000": " ", "\t": " ", "\n": " ", "ﬁ": "fi", "ﬂ": "fl", "½": "1/2", "²": "2", "Ａ": "A", "Ｂ": "B",
                     "e\u0301": "é", "K": "K", "㎏": "kg", "…": "...", "\u200b": " ", "\ufeff": "", "①": "1", "™": "TM", "a": "a"})


def normalizer():
    flag = lambda: DRAW.random() < 0.5
    pattern = lambda: DRAW.choice([{"String": "é"}, {"String": " "}, {"String": "``"}, {"Regex": " {2,}"}, {"Regex": "\\s+"}, {"Regex": "\\p{P}"},
                                   {"Regex": "[^\\w\\s]+"}, {"Regex": "\\d"}, {"Regex": "[a-c0-3]"}])
    one = lambda: DRAW.choice([
        lambda: {"type": "BertNormalizer", "clean_text": flag(), "handle_chinese_chars": flag(), "strip_accents": DRAW.choice([None, True, False]), "lowercase": flag()},
        lambda: {"type": "Lowercase"}, lambda: {"type": "NFC"}, lambda: {"type": "NFD"}, lambda: {"type": "NFKC"}, lambda: {"type": "NFKD"},
        lambda: {"type": "Nmt"}, lambda: {"type": "ByteLevel"}, lambda: {"type": "StripAccents"}, lambda: {"type": "Prepend", "prepend": DRAW.choice(["▁", "x "])},
        lambda: {"type": "Precompiled", "precompiled_charsmap": CHARSMAP},
        lambda: {"type": "Replace", "pattern": pattern(), "content": DRAW.choice(["", " ", "▁", "e$1"])},
        lambda: {"type": "Strip", "strip_left": flag(), "strip_right": flag()}])()
    if DRAW.random() < 0.3:
        return None
    if DRAW.random() < 0.5:
        return one()
    return {"type": "Sequence", "normalizers": [one() for _ in range(DRAW.randint(0, 3))]}


REGEXES = ["\\s+", "\\w+", "[^\\s\\w]", "\\d{1,3}", "\\p{L}+|\\p{N}+", "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
           "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", ".", "[aeiou]", "(?<=a)b|\\W", "\\p{Lu}?\\p{Ll}+",
           "\\p{Han}", "[\\d.]+?", "\\P{L}", "[\\W_]+", "x*"]
BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]


def pre_tokenizer(plain):
    flag = lambda: DRAW.random() < 0.5

    def one(first):
        schemes = ["always", "never"] + (["first"] if plain and first else [])
        return DRAW.choice([
            lambda: {"type": "BertPreTokenizer"}, lambda: {"type": "Whitespace"}, lambda: {"type": "WhitespaceSplit"},
            lambda: {"type": "ByteLevel", "add_prefix_space": flag(), "trim_offsets": flag(), "use_regex": flag()},
            lambda: {"type": "CharDelimiterSplit", "delimiter": DRAW.choice([" ", "e", "."])},
            lambda: {"type": "Digits", "individual_digits": flag()}, lambda: {"type": "FixedLength", "length": DRAW.randint(1, 7)},
            lambda: {"type": "Metaspace", "replacement": DRAW.choice(["▁", "▁", "_"]), "prepend_scheme": DRAW.choice(schemes), "split": flag()},
            lambda: {"type": "Punctuation", "behavior": DRAW.choice(BEHAVIORS)},
            lambda: {"type": "Split", "pattern": DRAW.choice([{"Regex": DRAW.choice(REGEXES)}, {"Regex": DRAW.choice(REGEXES)}, {"String": DRAW.choice([" ", ".", "é", "..."])}]),
                     "behavior": DRAW.choice(BEHAVIORS), "invert": flag()}])()
    if DRAW.random() < 0.06:
        return None
    if DRAW.random() < 0.6:
        return one(True)
    return {"type": "Sequence", "pretokenizers": [one(i == 0) for i in range(DRAW.randint(1, 3))]}


def decoder():
    flag = lambda: DRAW.random() < 0.5
    one = lambda: DRAW.choice([
        lambda: {"type": "BPEDecoder", "suffix": "</w>"}, lambda: {"type": "ByteFallback"}, lambda: {"type": "ByteLevel", "add_prefix_space": flag(), "trim_offsets": flag(), "use_regex": flag()},
        lambda: {"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": flag()}, lambda: {"type": "Fuse"},
        lambda: {"type": "Metaspace", "replacement": "▁", "prepend_scheme": DRAW.choice(["always", "first", "never"]), "split": flag()},
        lambda: {"type": "Replace", "pattern": DRAW.choice([{"String": "▁"}, {"Regex": "\\p{P}+"}]), "content": " "},
        lambda: {"type": "Strip", "content": " ", "start": DRAW.randint(0, 2), "stop": 0}, lambda: {"type": "WordPiece", "prefix": "##", "cleanup": flag()}])()
    if DRAW.random() < 0.1:
        return None
    if DRAW.random() < 0.7:
        return one()
    return {"type": "Sequence", "decoders": [one() for _ in range(DRAW.randint(1, 3))]}


def words_of(structure):
    """Words as the tokenizer cuts them: a vocabulary of whole words tells them."""
    probe = Tokenizer.from_str(json.dumps({**structure, "added_tokens": [], "decoder": None, "model": {"type": "WordLevel", "vocab": {"?": 0}, "unk_token": "?"}}))
    found = []
    for text in DRAW.sample(STRINGS, 60):
        made = probe.normalizer.normalize_str(text) if probe.normalizer else text
        found += [w for w, _ in probe.pre_tokenizer.pre_tokenize_str(made)] if probe.pre_tokenizer else [made]
    return [w for w in found if w]


def model(words):
    flag = lambda: DRAW.random() < 0.5
    DRAW.shuffle(words)
    special = ["<unk>", "<pad>", "[MASK]"]
    chars = sorted({c for w in words for c in w})
    kind = DRAW.choice(["WordLevel", "WordPiece", "BPE", "BPE", "Unigram"])
    if kind == "WordLevel":
        return {"type": kind, "vocab": {t: i for i, t in enumerate(dict.fromkeys(special + words[:200]))}, "unk_token": "<unk>"}
    if kind == "WordPiece":
        prefix = DRAW.choice(["##", "##", "@@"])
        tokens = special + DRAW.sample(chars, min(len(chars), 90)) + [w[:DRAW.randint(1, 5)] for w in words[:80]]
        tokens += [prefix + c for c in DRAW.sample(chars, min(len(chars), 90))] + [prefix + w[DRAW.randint(1, max(1, len(w) - 1)):] for w in words[:60] if len(w) > 1]
        return {"type": kind, "unk_token": "<unk>", "continuing_subword_prefix": prefix, "max_input_chars_per_word": DRAW.choice([100, 100, 6]), "vocab": {t: i for i, t in enumerate(dict.fromkeys(tokens))}}
    if kind == "Unigram":
        tokens = dict.fromkeys(special + DRAW.sample(chars, int(len(chars) * 0.8)) + [w[a:a + DRAW.randint(2, 4)] for w in words[:120] for a in [DRAW.randint(0, len(w) - 1)]])
        fallback = DRAW.random() < 0.3
        if fallback:
            tokens |= dict.fromkeys(f"<0x{b:02X}>" for b in range(256) if b != 0xE2 or flag())
        scores = [round(-DRAW.random() * 9, DRAW.choice([0, 1, 4])) for _ in tokens]
        return {"type": kind, "unk_id": DRAW.choice([0, 0, 1]), "vocab": [[t, s] for t, s in zip(tokens, scores)], "byte_fallback": fallback}
    prefix, suffix = DRAW.choice([("", ""), ("", ""), ("##", ""), ("", "</w>"), ("##", "</w>")])
    spelled = lambda w: [("" if i == 0 else prefix) + c + (suffix if i == len(w) - 1 else "") for i, c in enumerate(w)]
    symbols = sorted({s for w in words[:100] for s in spelled(w)})
    vocab = dict.fromkeys(special + (DRAW.sample(symbols, int(len(symbols) * DRAW.choice([1, 0.9, 0.7]))))[:250])
    merges = []
    split = [spelled(w) for w in words[:100]]
    for _ in range(120 if split else 0):
        pieces = DRAW.choice(split)
        if len(pieces) < 2:
            continue
        at = DRAW.randint(0, len(pieces) - 2)
        left, right = pieces[at:at + 2]
        if left not in vocab or right not in vocab or [left, right] in merges or " " in left + right:
            continue
        joined = left + right[len(prefix):]
        vocab[joined] = None
        merges.append([left, right])
        for other in split:
            i = 0
            while i < len(other) - 1:
                if other[i] == left and other[i + 1] == right:
                    other[i:i + 2] = [joined]
                i += 1
    fallback = DRAW.random() < 0.25
    if fallback:
        vocab |= dict.fromkeys(f"<0x{b:02X}>" for b in range(256) if b != 0xC3 or flag())
    order = list(vocab)
    return {"type": "BPE", "dropout": None, "unk_token": DRAW.choice(["<unk>", "<unk>", None]), "continuing_subword_prefix": prefix or None, "end_of_word_suffix": suffix or None,
            "fuse_unk": flag(), "byte_fallback": fallback, "ignore_merges": DRAW.random() < 0.3, "vocab": {t: i for i, t in enumerate(order)}, "merges": merges}


def added(vocab):
    found = []
    next_id = len(vocab)
    ids = {t: i for i, (t, *_) in enumerate(vocab)} if isinstance(vocab, list) else vocab
    for content in ["<unk>", "<pad>", "[MASK]", "<ent>", "Ent", "covid-19", "café"]:
        if content not in ids and DRAW.random() < 0.4:
            continue
        flag = lambda: DRAW.random() < 0.3
        if content in ids:
            at = ids[content]
        else:
            at, next_id = next_id, next_id + 1
        special = content[0] in "<["
        found.append({"id": at, "content": content, "single_word": flag(), "lstrip": flag(), "rstrip": flag(), "normalized": flag() if special else flag() or flag(), "special": special})
    return sorted(found, key=lambda t: t["id"])


POSTS = [None, {"type": "BertProcessing", "sep": ["<pad>", 1], "cls": ["<unk>", 0]}, {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}]


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()[:4]


def results(structure, texts):
    made = Tokenizer.from_str(json.dumps(structure))
    encoded = [made.encode(t, add_special_tokens=False).ids for t in texts]
    return "".join(digest(" ".join(map(str, i))) + digest(made.decode(i, skip_special_tokens=False)) for i in encoded)


def main():
    done = []
    while len(done) < 320:
        norm = normalizer()
        structure = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": norm, "pre_tokenizer": pre_tokenizer(norm is None),
                     "post_processor": DRAW.choice(POSTS), "decoder": decoder(), "model": None}
        structure["model"] = model(words_of(structure))
        structure["added_tokens"] = added(structure["model"]["vocab"])
        first, step = DRAW.randrange(1500), DRAW.choice([1, 7, 11, 13, 17])
        texts = [STRINGS[(first + step * i) % len(STRINGS)] for i in range(100)]
        try:
            found = results(structure, texts)
        except BaseException as error:  # what Python itself cannot compute is no golden
            print("left out:", str(error)[:80])
            continue
        done.append({"json": structure, "first": first, "step": step, "digests": found})
    text = json.dumps({"strings": STRINGS, "tokenizers": done}, ensure_ascii=False, separators=(",", ":")).replace(CHARSMAP, "@CHARSMAP@")
    text = json.dumps(CHARSMAP) + "\n" + text
    OUT.write_bytes(gzip.compress(text.encode("utf-8", "surrogatepass"), 9, mtime=0))
    print(OUT.stat().st_size, "bytes,", len(done), "tokenizers")


main()
