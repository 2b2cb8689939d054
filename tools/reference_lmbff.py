"""Golden of LM-BFF's search for templates (Gao et al., 2021), with a tiny T5 of transformers: test/golden/models/lm-bff/.

    python3 tools/reference_lmbff.py

Writes config.json, model.safetensors and tokenizer.json of a random T5 v1.1 with three sentinels, and golden.json:

    facts       {subject, object}
    encoded     ids of each fact's question, `subject <extra_id_0> object <extra_id_1>`
    beam, steps, choices
    beams       {ids, logLikelihood, ended} of all that the search keeps, best first
    without     the same where no token is forbidden and periods may follow each other

The search is written out in full: every beam is decoded anew for every fact at every step, without a cache, in float64. Each step
keeps what it keeps by a margin, so that float32 finds the same; so do the last beams keep their order.
"""

import json
import sys

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import T5Config, T5ForConditionalGeneration

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


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.set_grad_enabled(False)
    tokenizer = make_tokenizer()
    encoded = [
        tokenizer.encode(f"{s} <extra_id_0> {o} <extra_id_1>", add_special_tokens=False).ids
        for s, o in FACTS
    ]
    first = tokenizer.token_to_id("<extra_id_0>")
    period = tokenizer.token_to_id(".")
    forbidden = {tokenizer.token_to_id(t) for t in ("▁", "_", "....", "..........")}
    start = int(sys.argv[1]) if len(sys.argv) > 1 else SEED
    for seed in range(start, start + 1000):
        model, seen = make(seed), {}
        try:
            beams = search(model, encoded, first, forbidden, period, seen)
            without = search(model, encoded, first, set(), -1, {})
        except AssertionError:
            continue
        ends = sum(beam["ended"] for beam in beams)
        templates = [
            beam for beam in beams
            if beam["ids"].count(first) == 1 and beam["ids"].count(first - 1) == 1
        ]
        if min(seen.get(k, 0) for k in ("forbidden", "periods", "kept ends")) > 0 and 3 < ends < BEAM and len(templates) > 1 and beams[0] is not templates[0]:
            break
    else:
        sys.exit("no seed gives a search that shows every rule")
    folder = MODELS / "lm-bff"
    save(folder / "model.safetensors", weights(model))
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    golden = {
        "facts": [{"subject": s, "object": o} for s, o in FACTS],
        "encoded": encoded,
        "beam": BEAM,
        "steps": STEPS,
        "choices": CHOICES,
        "beams": beams,
        "without": without,
    }
    (folder / "golden.json").write_text(json.dumps(golden) + "\n")
    print("seed", seed, seen, ends, len(templates))
    for beam in beams[:6]:
        print(round(beam["logLikelihood"], 3), beam["ended"], [tokenizer.id_to_token(i) for i in beam["ids"]])


SEED = 135  # the first that shows every rule

if __name__ == "__main__":
    main()
