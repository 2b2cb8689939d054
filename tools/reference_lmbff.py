"""Goldens of LM-BFF's search for templates (Gao et al., 2021), with tiny models of transformers: test/golden/models/lm-bff/ (a T5 v1.1
with three sentinels) and lm-bff-bart/.

    python3 tools/reference_lmbff.py

Writes config.json, model.safetensors and tokenizer.json of random models, and golden.json:

    facts       {subject, object}
    encoded     ids that the encoder reads of each fact: `subject <extra_id_0> object <extra_id_1>`, and `<s> subject <mask> object
                <mask> </s>` of BART
    beam, steps, choices
    beams       {ids, logLikelihood, ended} of all that the search keeps, best first
    without     of the T5: the same where no token is forbidden and periods may follow each other
    templates   what each of the beams is with [X] and [Y], null where it is no template

The searches are written out in full: every beam is decoded anew for every fact at every step, without a cache, in float64. Each step
keeps what it keeps by a margin, so that float32 finds the same; so do the last beams keep their order. BART writes `</s> <s> subject
part object part </s>`; that the object follows is one more class (-1 among the ids) with the mean of the logits of each fact's own
first piece, and no </s> stands before the object.
"""

import json
import re
import sys

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import BartConfig, BartForConditionalGeneration, T5Config, T5ForConditionalGeneration

from reference_core import MODELS, save, weights

WORDS = "the of in is was born city river capital country works for a and near lies speaks plays Ada Lima Oslo Bonn Peru Kiev Nile"
VOCABULARY = ["<pad>", "</s>", "[UNK]", "▁", "_", ".", "....", "..........", "[PAD]", "[CLS]", "[SEP]", "[MASK]", "'", "s"]
VOCABULARY += WORDS.split()
SENTINELS = ["<extra_id_2>", "<extra_id_1>", "<extra_id_0>"]  # in the order of their ids, as in T5
FACTS = [("Lima", "Peru"), ("Oslo", "the Nile"), ("Ada", "Bonn"), ("the city of Kiev", "river"), ("Bonn", "Ada"), ("a country", "Lima"), ("Nile", "Oslo")]
CONFIG = {
    "architectures": ["T5ForConditionalGeneration"],
    "model_type": "t5",
    "vocab_size": len(VOCABULARY) + len(SENTINELS),
    "d_model": 16,
    "d_kv": 6,
    "d_ff": 24,
    "num_layers": 1,
    "num_decoder_layers": 2,
    "num_heads": 2,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 9,
    "dropout_rate": 0.0,
    "feed_forward_proj": "gated-gelu",
    "tie_word_embeddings": False,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "decoder_start_token_id": 0,
}
BEAM, STEPS = 20, 10
CHOICES = BEAM + 3
MARGIN = 2e-4


def make_tokenizer():
    tokens = VOCABULARY + SENTINELS
    made = Tokenizer(models.WordPiece({t: i for i, t in enumerate(tokens)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    made.add_special_tokens([AddedToken(t, special=True) for t in ("<pad>", "</s>", *SENTINELS)])
    return made


def make(seed):
    generator = torch.Generator().manual_seed(seed)
    model = T5ForConditionalGeneration(T5Config(**CONFIG, attn_implementation="eager"))
    model.lm_head.weight = torch.nn.Parameter(torch.empty_like(model.shared.weight))
    with torch.no_grad():
        for name, p in model.named_parameters():
            draw = torch.randn(p.shape, generator=generator, dtype=torch.float32)
            if "layer_norm" in name:
                p.copy_(1 + 0.2 * draw)
            else:
                p.copy_((1.0 if "shared" in name else 0.3) * draw)
        for token in (1, 3, 5, *range(len(VOCABULARY), CONFIG["vocab_size"])):
            model.lm_head.weight[token] *= 2  # what the rules are about is often among the first
    return model.eval().double()


def search(model, encoded, first, forbidden, period, seen):
    """`first` is the id of <extra_id_0>; the others lie below it. `seen` counts what the rules did."""
    width = max(map(len, encoded))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in encoded])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in encoded])
    encoder = model.get_encoder()(input_ids=ids, attention_mask=mask)
    beams = [{"ids": [], "ll": 0.0, "part": 1}]
    for _ in range(STEPS):
        grown = []
        for beam in beams:
            if beam["part"] > 2:
                grown.append(beam)
                seen["kept ends"] = seen.get("kept ends", 0) + 1
                continue
            decoder_ids = torch.tensor([[0, *beam["ids"]]] * len(encoded))
            logits = model(encoder_outputs=encoder, attention_mask=mask, decoder_input_ids=decoder_ids, use_cache=False).logits
            mean = logits[:, -1].mean(0)
            norm = torch.logsumexp(mean, -1).item()
            for word in mean.argsort(descending=True)[:CHOICES].tolist():
                if word in forbidden:
                    seen["forbidden"] = seen.get("forbidden", 0) + 1
                    continue
                if word == period and beam["ids"][-1:] == [period]:
                    seen["periods"] = seen.get("periods", 0) + 1
                    continue
                ends = word == first - beam["part"] or word == 1
                grown.append(
                    {
                        "ids": [*beam["ids"], word],
                        "ll": beam["ll"] + mean[word].item() - norm,
                        "part": beam["part"] + (1 if ends else 0),
                    }
                )
        grown.sort(key=lambda one: one["ll"], reverse=True)
        if len(grown) > BEAM:
            assert grown[BEAM - 1]["ll"] - grown[BEAM]["ll"] > MARGIN, "a step is nearly a draw"
        beams = grown[:BEAM]
    assert all(a["ll"] - b["ll"] > MARGIN for a, b in zip(beams, beams[1:])), "an order is nearly a draw"
    return [
        {"ids": beam["ids"], "logLikelihood": beam["ll"], "ended": beam["part"] > 2}
        for beam in beams
    ]


def template_of(text):
    """The template of a text with sentinels."""
    if re.findall(r"<extra_id_\d>", text) != ["<extra_id_0>", "<extra_id_1>"]:
        return None
    text = text.replace("<extra_id_0>", " [X]").replace("<extra_id_1>", " [Y]")
    return " ".join(text.split())


def write(name, model, config, tokenizer, golden):
    folder = MODELS / name
    save(folder / "model.safetensors", weights(model))
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    facts = [{"subject": s, "object": o} for s, o in FACTS]
    sizes = {"beam": BEAM, "steps": STEPS, "choices": CHOICES}
    (folder / "golden.json").write_text(json.dumps({"facts": facts, **sizes, **golden}) + "\n")


def t5(start):
    tokenizer = make_tokenizer()
    encoded = [
        tokenizer.encode(f"{s} <extra_id_0> {o} <extra_id_1>", add_special_tokens=False).ids
        for s, o in FACTS
    ]
    first = tokenizer.token_to_id("<extra_id_0>")
    period = tokenizer.token_to_id(".")
    forbidden = {tokenizer.token_to_id(t) for t in ("▁", "_", "....", "..........")}
    for seed in range(start, start + 1000):
        model, seen = make(seed), {}
        try:
            beams = search(model, encoded, first, forbidden, period, seen)
            without = search(model, encoded, first, set(), -1, {})
        except AssertionError:
            continue
        ends = sum(beam["ended"] for beam in beams)
        shown = [[i for i in beam["ids"] if i not in (1, first - 2)] for beam in beams]
        templates = [template_of(tokenizer.decode(ids, skip_special_tokens=False)) for ids in shown]
        count = sum(text is not None for text in templates)
        shows = min(seen.get(k, 0) for k in ("forbidden", "periods", "kept ends")) > 0
        if shows and 3 < ends < BEAM and count > 1 and templates[0] is None:
            break
    else:
        sys.exit("no seed gives a search that shows every rule")
    golden = {"encoded": encoded, "beams": beams, "without": without, "templates": templates}
    write("lm-bff", model, CONFIG, tokenizer, golden)
    print("T5: seed", seed, seen, ends, "ended,", count, "templates")


BART_SPECIALS = ["<s>", "<pad>", "</s>", "<unk>"]
BART_CONFIG = {
    "architectures": ["BartForConditionalGeneration"],
    "model_type": "bart",
    "d_model": 12,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 20,
    "decoder_ffn_dim": 20,
    "max_position_embeddings": 48,
    "activation_function": "gelu",
    "dropout": 0.0,
    "bos_token_id": 0,
    "pad_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 2,
    "forced_eos_token_id": 2,
    "is_encoder_decoder": True,
    "tie_word_embeddings": True,
}


def make_bart_tokenizer():
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = WORDS.split()
    tokens = BART_SPECIALS + alphabet + [f"Ġ{w}" for w in words] + words + ["Ġ.", "Ġ...."]
    tokens = list(dict.fromkeys(tokens)) + ["<mask>"]
    vocab = {t: i for i, t in enumerate(tokens)}
    made = Tokenizer(models.BPE(vocab, [], ignore_merges=True))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(t, special=True) for t in BART_SPECIALS])
    made.add_special_tokens([AddedToken("<mask>", special=True, lstrip=True)])
    return made


def make_bart(seed, size, liked, ends):
    """`liked` tokens are more probable than others: what the rules are about, and words; most of all what ends a part."""
    generator = torch.Generator().manual_seed(seed)
    config = BartConfig(**BART_CONFIG, vocab_size=size, attn_implementation="eager")
    model = BartForConditionalGeneration(config)
    with torch.no_grad():
        for name, p in model.named_parameters():
            draw = torch.randn(p.shape, generator=generator, dtype=torch.float32)
            p.copy_((1 + 0.2 * draw) if "layer_norm.weight" in name or "layernorm" in name else 0.5 * draw)
        bias = torch.randn([1, size], generator=generator, dtype=torch.float32)
        bias[0, liked] += 4
        bias[0, ends] += 5
        model.final_logits_bias.copy_(bias)
    return model.eval().double()


def bart_search(model, encoded, heads, objects, forbidden, periods, seen):
    """-1 among the ids stands for each fact's own object."""
    width = max(map(len, encoded))
    ids = torch.tensor([row + [1] * (width - len(row)) for row in encoded])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in encoded])
    encoder = model.get_encoder()(input_ids=ids, attention_mask=mask)
    states = encoder.last_hidden_state
    beams = [{"ids": [], "ll": 0.0, "ended": False}]
    for _ in range(STEPS):
        # all that the decoder reads in this step, those of one length at once
        texts = [
            [*head, *(t for j in beam["ids"] for t in (own if j == -1 else [j]))]
            for beam in beams
            for head, own in zip(heads, objects)
        ]
        last = [None] * len(texts)
        for length in {len(text) for text in texts}:
            at = [i for i, text in enumerate(texts) if len(text) == length]
            facts = [i % len(heads) for i in at]
            out = model(
                encoder_outputs=(states[facts],),
                attention_mask=mask[facts],
                decoder_input_ids=torch.tensor([texts[i] for i in at]),
                use_cache=False,
            )
            for i, row in zip(at, out.logits[:, -1]):
                last[i] = row
        grown = []
        for b, beam in enumerate(beams):
            if beam["ended"]:
                grown.append(beam)
                seen["kept ends"] = seen.get("kept ends", 0) + 1
                continue
            copied = -1 in beam["ids"]
            rows = last[b * len(heads) : (b + 1) * len(heads)]
            mean = torch.stack(rows).mean(0)
            other = torch.stack([row[own[0]] for row, own in zip(rows, objects)]).mean()
            classes = mean if copied else torch.cat([mean, other[None]])
            norm = torch.logsumexp(classes, -1).item()
            order = mean.argsort(descending=True)[:CHOICES].tolist()
            for word in order + ([] if copied else [len(mean)]):
                before = beam["ids"][-1:]
                if word in forbidden or (word == 2 and not copied):
                    seen["forbidden"] = seen.get("forbidden", 0) + 1
                    continue
                if word in periods and before and before[0] in periods:
                    seen["periods"] = seen.get("periods", 0) + 1
                    continue
                grown.append(
                    {
                        "ids": [*beam["ids"], -1 if word == len(mean) else word],
                        "ll": beam["ll"] + classes[word].item() - norm,
                        "ended": word == 2,
                    }
                )
        grown.sort(key=lambda one: one["ll"], reverse=True)
        if len(grown) > BEAM:
            assert grown[BEAM - 1]["ll"] - grown[BEAM]["ll"] > MARGIN, "a step is nearly a draw"
        beams = grown[:BEAM]
    assert all(a["ll"] - b["ll"] > MARGIN for a, b in zip(beams, beams[1:])), "an order is nearly a draw"
    return [{"ids": b["ids"], "logLikelihood": b["ll"], "ended": b["ended"]} for b in beams]


def bart(start):
    tokenizer = make_bart_tokenizer()
    size = tokenizer.get_vocab_size()

    def ids(text):
        return tokenizer.encode(text, add_special_tokens=False).ids

    encoded = [[0, *ids(f"{s} <mask> {o} <mask>"), 2] for s, o in FACTS]
    heads = [[2, 0, *ids(s)] for s, _ in FACTS]
    objects = [ids(f" {o}") for _, o in FACTS]
    forbidden = {0, 1, 3, size - 1} | {tokenizer.token_to_id(t) for t in ("Ġ", "_", "Ġ....")}
    periods = {tokenizer.token_to_id(t) for t in (".", "Ġ.")}
    liked = [2, *periods, *forbidden, *(tokenizer.token_to_id(f"Ġ{w}") for w in WORDS.split())]
    for seed in range(start, start + 1000):
        model, seen = make_bart(seed, size, liked, [2, *(own[0] for own in objects)]), {}
        try:
            beams = bart_search(model, encoded, heads, objects, forbidden, periods, seen)
        except AssertionError:
            continue
        ends = sum(beam["ended"] for beam in beams)
        copied = sum(-1 in beam["ids"] for beam in beams)
        shows = min(seen.get(k, 0) for k in ("forbidden", "periods", "kept ends")) > 0
        if shows and 3 < ends < BEAM and 3 < copied < BEAM:
            break
    else:
        sys.exit("no seed gives a search that shows every rule")

    def template(row):
        if -1 not in row:
            return None
        at = row.index(-1)
        part = [tokenizer.decode([i for i in p if i != 2]) for p in (row[:at], row[at + 1 :])]
        return " ".join(f"[X]{part[0]} [Y]{part[1]}".split())

    golden = {"encoded": encoded, "beams": beams, "templates": [template(b["ids"]) for b in beams]}
    write("lm-bff-bart", model, BART_CONFIG | {"vocab_size": size}, tokenizer, golden)
    print("BART: seed", seed, seen, ends, "ended,", copied, "with the object")


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.set_grad_enabled(False)
    t5(SEEDS[0])
    bart(SEEDS[1])


SEEDS = (135, 15)  # the first that show every rule

if __name__ == "__main__":
    main()
