"""Goldens of tokenizers: ids and texts as Python's tokenizers and transformers give them.

    python3 tools/reference_tokenizers.py [DATA]

Writes test/golden/tokenizers: small vocabularies in the files that checkpoints have, trained on the
sentences below, and what Python makes of awkward strings, of random ones, and of every code point.
With DATA, a folder of facts and real vocabularies (see README.md, "Facts of your own"), it also
writes data.json: digests over every subject, object and template there. Two runs give the same bytes.

Ids are hashed as u32 little endian: for each string its number of ids, then the ids (SHA-256).
"""

import hashlib
import json
import struct
import sys
import unicodedata
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import BertTokenizer, RobertaTokenizer

OUT = Path(__file__).resolve().parent.parent / "test/golden/tokenizers"

SENTENCES = """The quick tailor mended seventeen umbrellas before noon, didn't she?
We're sure they'll say it's fine; I'd rather you've asked him: "I'm not".
A naïve café in Malmö serves crème brûlée, jalapeños and Žižek's favourite smörgås.
Đặng Thị reads Tiếng Việt; Łódź, Kraków and Gdańsk lie far from İstanbul and Diyarbakır.
ΟΔΥΣΣΕΥΣ ὁ σοφός ἔπλευσε, ΣΟΦΟΣ ΦΙΛΟΣ. Ёжик ест ещё йогурт и ЩАВЕЛЬ в МОСКВЕ.
東京の図書館で本を読みました。我们在北京大学学习汉字。 한국어 문장도 하나 있습니다.
שלום לכל הקוראים, זה משפט קצר. مرحبا بكم في هذا النص القصير، أهلا وسهلا.
हिन्दी में एक छोटा वाक्य है। ไทยเป็นภาษาที่ไม่มีช่องว่าง
In 1987 it cost $3,450.99 (about 12% more), or 1/2 of 10^6 — see pages 12–34 ... really?!
E-mail a.b+c@example.org or visit example.org/path?q=1&r=2#top, C:\\temp\\x_y.txt.
😀 smiles, 👍🏽 agrees, 👩‍👩‍👧‍👦 walks, 🇳🇱 waves, ❤️ beats and ☎ rings.
""".splitlines()

# (text, how often it is repeated)
AWKWARD = [
    # nothing, spaces, line ends
    "",
    " ",
    "     ",
    "\t",
    "\n",
    "\r\n \n",
    "\u00a0",
    "\u3000\u2003 \u2028\u2029",
    "  two  spaces   three ",
    " the",
    "the ",
    "a\tb\nc\rd\x0be\x0cf",
    "the\u00a0\u00a0word",
    "a\u2009b\u202fc\u205fd\u1680e",
    "next\u0085line \u0085 end\u0085",
    # invisible
    "\ufeffbyte order mark\ufeff",
    "zero\u200bwidth\u200cnon\u200djoiner\u2060word",
    "soft\u00adhyphen",
    "\x00null\x01bell\x07esc\x1b[0m\x7fdel\x9fapc",
    "replacement \ufffd and \ufffe and \uffff",
    "private \ue000 \U000f0000 use",
    "\u200f\u202bRTL\u202c \u2066isolate\u2069",
    "\u180e Mongolian vowel separator \u180b",
    "\U000e0067\U000e007f tags",
    # composed and decomposed
    "caf\u00e9 cafe\u0301 CAF\u00c9 CAFE\u0301",
    "\u0301leading mark",
    "a\u0300\u0301\u0302\u0323\u0316 stacked",
    "\u1e69 s\u0323\u0307 s\u0307\u0323",
    "\u212b \u00c5 A\u030a",
    "\ufb01ne \ufb03 \u2460 \u00bd \u00b2 \u2122 \u338f",
    "\uac00\ub098 \u1100\u1161\u1102\u1161 \ud55c\uad6d\uc5b4",
    "\u0958 \u0915\u093c \u0929",
    "\u0344 \u0385 \u1fee",
    "na\u00efve na\u0131ve \u0130stanbul \u0131 I i \u0307",
    "Z\u0335\u0321a\u0337l\u0336g\u0338o\u0334",
    # case
    "STRASSE Stra\u00dfe \u1e9e",
    "ΣΟΦΟΣ ΦΙΛΟΣ Σ. ΑΣ' ΟΔΥΣΣΕΥΣ",
    "\u01c4 \u01c5 \u01c6 \u01f0 \u0149 \u1f88 \u1fb7",
    "\U00010400\U00010428 \U0001d400 \u2160 \u24b6",
    "ÀÉÎÕÜ àéîõü Đđ Łł Øø Ææ Œœ Þþ",
    # Chinese and around it
    "東京の図書館",
    "我们abc在123北京。大学,学习",
    "\U00020000\U0002a6df\U0002a700 \U0002b820\U0002b8ff\U0002b920 \U0002f800x\U0002fa1f",
    "a\U00020bb7b\u91ce\u5bb6 \u3400\u4dbf\uf900\ufaff",
    "\u3042\u30a2\uff71\u3131 \uff21\uff22\uff23\uff11\uff12 \u3001\u3002\u300c\u300d",
    "\u4e00",
    "々〆〇㐂",
    # other scripts
    "שָׁלוֹם עֲלֵיכֶם",
    "مَرْحَبًا بِكُمْ ـــ ١٢٣",
    "abc \u05d0\u05d1\u05d2 123 \u0627\u0628 \u060c\u061b\u061f",
    "हिन्दी क्षत्रिय ज्ञान १२३।",
    "ไทยภาษาที่ ๑๒๓",
    "བོད་ཡིག ខ្មែរ မြန်မာ",
    "\u166d \u1680 \u1400 \U000111c9",
    # young characters
    "\u088f \u2e5d\u2e43 \U00011de0 \U00016ea0 \U0001e6c0 \U000323b0",
    "a\u0897b \U00010d6e \u1ac1x \U00011f00 \u061d",
    # emoji
    "😀😃 😄",
    "👩‍👩‍👧‍👦 👨🏿‍🚀 🏳️‍🌈",
    "👍👍🏻👍🏽👍🏿",
    "❤ ❤️ ☎︎ ☎️ 1️⃣ #️⃣",
    "🇳🇱🇩🇪🇫🇷🇳",
    "x😀y 7👍7 .❤️.",
    "\U0001faea\U0001face\U0001f6dc",
    # edges of the planes
    "\ud7ff\ue000\uffef",
    "\U00010000\U0001ffff\U0010ffff",
    "\U0001f600",
    # numbers and punctuation
    "1234567890 1,234.56 -7 +8 1e-9 0x1F ½ ² Ⅷ",
    "3.14.15..92...65",
    "!?!?!?...---___***",
    "''''\"\"\"\"````",
    "can't won't she'll I'VE 's 't 're 'S they'd've ’s",
    "‘single’ “double” «guillemets» ‹x› „low‚",
    "$100 €200 £300 ¥400 ₿5 ¢ % ‰ ° § ¶ † ‡ • ·",
    "a^b~c|d`e<f>g=h+i",
    "(([[{{x}}]])) \\/ @#&",
    "a_b __init__ snake_case-kebab camelCase",
    "https://example.org/a?b=c&d=%20#e",
    "\u2010\u2011\u2012\u2013\u2014\u2015 \u2026 \u2030 \u203d",
    "\u0387 \u037e \u00b7 \u2027 \uff0e \ufe52",
    # special tokens within text
    "[MASK]",
    "the [MASK] the",
    "a[MASK]b[MASK][MASK] c",
    " [MASK] ",
    "  \t[MASK]\n\n[MASK]",
    "[CLS] a [SEP] b [PAD] [UNK]",
    "[mask] [Mask] [ MASK ] [MASK [MASK]] MASK]",
    "[MAS\u200bK] \u200b[MASK]",
    "[MASK\u200b]",
    "[\u200bMASK]",
    "<mask>",
    "the <mask> the",
    "the   <mask>   the",
    "a<mask>b<mask><mask> c",
    " <mask> ",
    "a\u00a0<mask> b\u3000\u2028<mask>",
    "a\u0085<mask> b\ufeff<mask> c\u200b<mask>",
    "<s>a</s> <pad><unk> </s></s>",
    "<MASK> <mask <mask<mask>> mask>",
    "<s><mask></s>",
    "\u200b<mask>",
    # tokens that look like parts of the alphabets
    "##s ## # ##",
    "Ġthe Ġ Ċ",
    "Ã© â€™",
    "constructor __proto__ toString hasOwnProperty",
    # added tokens of added.json
    "wholeword",
    "a wholeword, wholewords xwholeword_wholeword wholeword\u200d wholeword",
    "\U00010400wholeword wholeword\U00010400 \u0301wholeword 1wholeword",
    "left  both  right  left both right",
    "both both",
    "Normal ÀÉ nórmal NORMAL àé normal",
    "overlap overlapping overlappin",
    "a.b* (c) [d] $^",
]
LONG = [
    ("a", 10_000),
    ("ab", 5_000),
    ("the", 3_333),
    ("é", 10_000),
    ("e\u0301", 5_000),
    ("東", 5_000),
    ("\U00020000", 2_000),
    ("👩‍👩‍👧‍👦", 500),
    (" ", 10_000),
    ("\n", 5_000),
    (".", 5_000),
    ("1", 10_000),
    ("the quick tailor ", 4_000),
    ("a ", 20_000),
    ("<mask>", 2_000),
    (" <mask> ", 2_000),
    ("[MASK]", 2_000),
    ("a" * 100 + " " + "a" * 101 + " ", 20),
    ("é" * 100 + " " + "😀" * 101 + " ", 20),
    ("\u200b", 5_000),
    ("x\u0301\u200b ", 3_000),
]
FRAGMENTS = """a b the The ing s er quick UMBRELLAS 1 23 4.5 . , ! ? ' " - _ # ##s 's 't 'll ’
é e\u0301 É ñ ß Σ ς σ İ ı Å đ Ж й 東 京 \U00020000 \U0002b820 한 ㄱ \u1100\u1161 א שׁ م َ हि ไท
😀 👍🏽 👩‍👧 🇳🇱 ❤️ \u0301 \u0323 \u200b \u200d \u00ad \ufeff \u0085 \u00a0 \u3000 \u2028 \ufffd \x00
\x07 \ue000 \u2e5d \u166d [MASK] [SEP] <mask> <s> </s> [ ] < > mask wholeword left both""".split(" ")
FRAGMENTS = [piece for part in FRAGMENTS for piece in part.split("\n") if piece] + [" "] * 24
FRAGMENTS += ["\t", "\n", "  "]
RANDOM_STRINGS = 5_000

ROBERTA = {
    "bos_token": "<s>",
    "pad_token": "<pad>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "mask_token": "<mask>",
}
BERT = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}


def random_strings():
    """Drawn with the generator of Numerical Recipes, as in test/models/tokenizer/golden.ts."""
    state = 1
    made = []

    def draw(n):
        nonlocal state
        state = (state * 1664525 + 1013904223) % 2**32
        return (state >> 16) % n

    for _ in range(RANDOM_STRINGS):
        made.append("".join(FRAGMENTS[draw(len(FRAGMENTS))] for _ in range(1 + draw(14))))
    return made


def word_piece(uncased):
    """A WordPiece vocabulary; whole words of the sentences, their pieces and characters."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=uncased)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words = []
    for sentence in SENTENCES:
        text = tokenizer.normalizer.normalize_str(sentence)
        words += [word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text)]
    characters = sorted({c for word in words for c in word})
    inner = sorted({c for word in words for c in word[1:]})
    pieces = sorted({word[:3] for word in words if len(word) > 4 and word.isascii()})
    ends = sorted({word[-3:] for word in words if len(word) > 4 and word.isascii()})
    tokens = [
        "[PAD]",
        "[unused1]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *characters,
        *[f"##{c}" for c in inner],
        *pieces,
        *[f"##{end}" for end in ends],
        *sorted(word for word in set(words) if len(word) > 1 and len(word) != 3),
    ]
    return list(dict.fromkeys(tokens))


def byte_level():
    """A byte-level BPE vocabulary with its merges, as in the files of RoBERTa."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=760,
        show_progress=False,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    tokenizer.train_from_iterator(SENTENCES * 2, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    vocab = {**model["vocab"], "<mask>": len(model["vocab"])}
    merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
    return vocab, merges


def with_added(tokenizer):
    """Tokens with every flag, for tokenizer.json."""
    tokenizer.add_tokens(
        [
            AddedToken("wholeword", single_word=True, normalized=False),
            AddedToken("left", lstrip=True, normalized=False),
            AddedToken("right", rstrip=True, normalized=False),
            AddedToken("both", lstrip=True, rstrip=True, normalized=False),
            AddedToken("Nórmal", normalized=True),
            AddedToken("overlap", normalized=False),
            AddedToken("overlapping", normalized=False),
            AddedToken("a.b* (c) [d] $^", normalized=False),
        ]
    )
    return tokenizer


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="")


def dump(path, value):
    write(path, json.dumps(value, indent=1) + "\n")


def digest(lists):
    found = hashlib.sha256()
    for ids in lists:
        found.update(struct.pack(f"<{len(ids) + 1}I", len(ids), *ids))
    return found.hexdigest()


def brief(ids):
    """The ids, or their count and digest when they are many."""
    return ids if len(ids) <= 60 else f"{len(ids)} {digest([ids])[:16]}"


def brief_text(text):
    return text if len(text) <= 400 else hashlib.sha256(text.encode()).hexdigest()[:16]


def plain(tokenizer, texts):
    """Ids without special tokens around them."""
    encoded = tokenizer.encode_batch(texts, add_special_tokens=False)
    return [one.ids for one in encoded]


def bert(vocab_txt, **rules):
    vocab = {token: i for i, token in enumerate(vocab_txt)}
    return BertTokenizer(vocab=vocab, **rules).backend_tokenizer


def roberta(vocab, merges, **rules):
    mask = AddedToken("<mask>", lstrip=True, special=True)
    pairs = [tuple(merge.split(" ")) for merge in merges]
    return RobertaTokenizer(vocab=vocab, merges=pairs, mask_token=mask, **rules).backend_tokenizer


def small_tokenizers():
    """name -> (files, tokenizer_config.json, tokenizer). Files are a folder's, or one's contents."""
    cased, uncased = word_piece(False), word_piece(True)
    vocab, merges = byte_level()
    write(OUT / "bert-cased/vocab.txt", "\n".join(cased) + "\n")
    write(OUT / "bert-uncased/vocab.txt", "\n".join(uncased) + "\n")
    compact = json.dumps(vocab, ensure_ascii=False, separators=(",", ":"))
    write(OUT / "roberta/vocab.json", compact)
    write(OUT / "roberta/merges.txt", "#version: 0.2\n" + "\n".join(merges) + "\n")
    bert_added = with_added(bert(uncased, do_lower_case=True))
    roberta_added = with_added(roberta(vocab, merges))
    write(OUT / "bert-added/tokenizer.json", bert_added.to_str() + "\n")
    write(OUT / "roberta-added/tokenizer.json", roberta_added.to_str() + "\n")
    rules = {
        "bert cased": ("bert-cased", {"do_lower_case": False}),
        "bert cased, accents stripped": (
            "bert-cased",
            {"do_lower_case": False, "strip_accents": True},
        ),
        "bert uncased": ("bert-uncased", {"do_lower_case": True}),
        "bert uncased, accents kept": (
            "bert-uncased",
            {"do_lower_case": True, "strip_accents": False},
        ),
        "bert uncased, Chinese together": (
            "bert-uncased",
            {"do_lower_case": True, "tokenize_chinese_chars": False},
        ),
        "roberta": ("roberta", {}),
        "roberta, prefix space": ("roberta", {"add_prefix_space": True}),
    }
    made = {}
    for name, (folder, config) in rules.items():
        if folder == "roberta":
            tokenizer = roberta(vocab, merges, **config)
        else:
            tokenizer = bert(cased if folder == "bert-cased" else uncased, **config)
        made[name] = (folder, config, tokenizer)
    made["bert, added tokens"] = ("bert-added", {}, bert_added)
    made["roberta, added tokens"] = ("roberta-added", {}, roberta_added)
    return made


def golden_strings(tokenizers):
    texts = AWKWARD + [text * times for text, times in LONG]
    drawn = random_strings()
    expected = {}
    for name, (folder, config, tokenizer) in tokenizers.items():
        ids = plain(tokenizer, texts)
        many = plain(tokenizer, drawn)
        decoded = [tokenizer.decode(one, skip_special_tokens=False) for one in many]
        expected[name] = {
            "folder": folder,
            "config": config,
            "ids": [brief(one) for one in ids],
            "decoded": [
                brief_text(tokenizer.decode(one, skip_special_tokens=False)) for one in ids
            ],
            "random": {
                "ids": sum(map(len, many)),
                "sha256": digest(many),
                "decoded": hashlib.sha256("\0".join(decoded).encode()).hexdigest(),
            },
        }
    dump(OUT / "fragments.json", {"strings": RANDOM_STRINGS, "fragments": FRAGMENTS})
    write(
        OUT / "strings.json",
        json.dumps({"awkward": AWKWARD, "long": LONG}, indent=1) + "\n",
    )
    lines = ",\n".join(
        f" {json.dumps(name)}: {json.dumps(one, separators=(',', ':'))}"
        for name, one in expected.items()
    )
    write(OUT / "expected.json", "{\n" + lines + "\n}\n")
    return len(texts)


def golden_code_points():
    """For blocks of 4096 code points, digests of what each part makes of each of them."""

    def normalizer(**rules):
        rules = {"clean_text": False, "handle_chinese_chars": False, "strip_accents": False, **rules}
        return normalizers.BertNormalizer(**{"lowercase": False, **rules}).normalize_str

    words = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    stretches = pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str
    lower = normalizer(lowercase=True)

    def byte_level_kind(c):
        if len(stretches("a" + c)) == 1:
            return "letter"
        if len(stretches("1" + c)) == 1:
            return "number"
        return "other" if len(stretches("#" + c)) == 1 else "space"

    parts = {
        "clean": normalizer(clean_text=True),
        "chinese": normalizer(handle_chinese_chars=True),
        "strip": normalizer(strip_accents=True),
        # a host with older tables has no lower case for what came later
        "lower": lambda c: c if unicodedata.category(c) == "Cn" else lower(c),
        "bert": lambda c: "letter space mark".split()[len(words(f"a{c}b")) - 1],
        "byteLevel": byte_level_kind,
    }
    young = [c for c in map(chr, range(0x110000)) if unicodedata.category(c) == "Cn"]
    young_lower = [[ord(c), lower(c)] for c in young if lower(c) != c]
    blocks = {name: [] for name in parts}
    for start in range(0, 0x110000, 4096):
        points = [p for p in range(start, start + 4096) if not 0xD800 <= p <= 0xDFFF]
        for name, part in parts.items():
            joined = "\0".join(part(chr(p)) for p in points)
            blocks[name].append(hashlib.sha256(joined.encode()).hexdigest()[:8])
    compact = {name: " ".join(found) for name, found in blocks.items()}
    dump(OUT / "codepoints.json", {"youngLower": young_lower, "blocks": compact})


def data_strings(root, mask):
    """All subjects and objects, all templates, and all facts in their manual template, in order."""
    rows = []
    patterns = ["autoprompt_data/*/train.jsonl", "autoprompt_data/*/dev.jsonl", "LAMA-TREx/*.jsonl"]
    for pattern in patterns:
        for path in sorted((root / "lama").glob(pattern), key=lambda path: path.as_posix()):
            rows += [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]
    templates = {}
    texts = []
    for row in rows:
        texts += [row["sub_label"], row["obj_label"]]
    for name in ["LAMA", "LPAQA", "AutoPrompt"]:
        path = root / f"lama/relation_metainfo/{name}_relations.jsonl"
        for line in path.read_text("utf-8").split("\n"):
            if not line:
                continue
            row = json.loads(line)
            texts.append(row["template"])
            if name == "LAMA":
                templates[row["relation"]] = row["template"]
    for path in sorted((root / "lpaqa/prompt").glob("*/*"), key=lambda path: path.as_posix()):
        lines = [line for line in path.read_text("utf-8").split("\n") if line]
        whole = path.suffix == ".txt"
        texts += lines if whole else [json.loads(line)["template"] for line in lines]
    for row in rows:
        manual = templates[row["predicate_id"]]
        texts.append(manual.replace("[X]", row["sub_label"]).replace("[Y]", mask))
    return texts, len(rows)


def golden_data(root):
    folder = root / "tokenizers"
    vocab_txt = (folder / "bert-base-cased/vocab.txt").read_text("utf-8").rstrip("\n").split("\n")
    vocab = json.loads((folder / "bart-large/vocab.json").read_text("utf-8"))
    merges = (folder / "bart-large/merges.txt").read_text("utf-8").rstrip("\n").split("\n")[1:]
    awkward = AWKWARD + [text * times for text, times in LONG]
    found = {}
    for name, files, config in [
        ("BERT cased", "bert-base-cased", {"do_lower_case": False}),
        ("BERT cased, rules of uncased", "bert-base-cased", {"do_lower_case": True}),
        ("BART", "bart-large", {}),
        ("RoBERTa, prefix space", "bart-large", {"add_prefix_space": True}),
    ]:
        is_bert = files == "bert-base-cased"
        tokenizer = bert(vocab_txt, **config) if is_bert else roberta(vocab, merges, **config)
        texts, facts = data_strings(root, "[MASK]" if is_bert else "<mask>")
        found[name] = {"files": files, "config": config, "facts": facts}
        for kind, strings in {
            "data": texts,
            "awkward": awkward,
            "random": random_strings(),
        }.items():
            ids = plain(tokenizer, strings)
            decoded = [tokenizer.decode(one, skip_special_tokens=False) for one in ids]
            found[name][kind] = {
                "strings": len(strings),
                "ids": sum(map(len, ids)),
                "sha256": digest(ids),
                "decoded": hashlib.sha256("\0".join(decoded).encode()).hexdigest(),
            }
    dump(OUT / "data.json", found)


def main():
    strings = golden_strings(small_tokenizers())
    golden_code_points()
    print(f"{strings} strings, {RANDOM_STRINGS} random strings, 1112064 code points")
    if len(sys.argv) > 1:
        golden_data(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
