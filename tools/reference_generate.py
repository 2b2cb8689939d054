"""Goldens of text generation, from Hugging Face transformers: what `generate` writes with a tiny BART.

    python3 tools/reference_generate.py [model] [commands]

Without a name it writes both. `model` writes test/golden/models/generate: config.json and model.safetensors (a BART of 48 tokens that was
trained for some seconds to copy its input with mistakes, so that its texts end by themselves and
their probabilities lie close together), and golden.json:

    inputs    ids of each text, <s> ... </s>
    cases     name, options (fields of generation_config.json), and for each input its texts, best
              first: {ids, score}. ids run from the start token to </s> or the longest length.

Scores of beams are sequences_scores. Greedy search has none in transformers; here it is the sum of
the log-probabilities, forced tokens counting 0, divided by (number of tokens) ** length_penalty.
Every case is made again with weights that differ by 1e-5; its tokens must stay the same, so that
another order of sums cannot change them. The training makes the bytes depend on the machine.

`commands` writes commands.json beside them, what the models of promptgen/world say, to be made again
whenever those are: for each text of fill_mask and each of its masks the most probable tokens as
[token, id, probability], for each text of infill what is written greedily and with 4 beams, {filled,
score, ids}.
"""

import copy
import json
import sys
from pathlib import Path

import torch
from transformers import (
    BartForConditionalGeneration,
    BertForMaskedLM,
    GenerationConfig,
    PreTrainedTokenizerFast,
)

from reference_core import BART_CONFIG, MODELS, make_bart, save_model

CONFIG = BART_CONFIG | {
    "vocab_size": 48,
    "d_model": 16,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "max_position_embeddings": 32,
}
BOS, PAD, EOS, START, FIRST = 0, 1, 2, 2, 4

CNN = {  # what bart-large-cnn has, in the proportions of these texts
    "early_stopping": True,
    "forced_bos_token_id": 0,
    "forced_eos_token_id": 2,
    "length_penalty": 2.0,
    "max_length": 20,
    "min_length": 9,
    "no_repeat_ngram_size": 3,
    "num_beams": 4,
}

CASES = {
    "greedy": {},
    "greedy, shortest length": {"max_length": 2},
    "greedy, forced ends": {"forced_bos_token_id": 0, "forced_eos_token_id": 2, "max_length": 7},
    "greedy, no 2-gram twice": {"no_repeat_ngram_size": 2, "min_length": 12},
    "greedy, no token twice": {"no_repeat_ngram_size": 1},
    "one beam of two": {"num_beams": 2},
    "4 beams, all of them": {"num_beams": 4, "num_return_sequences": 4},
    "4 beams, stopped early": {"num_beams": 4, "early_stopping": True, "num_return_sequences": 4},
    "4 beams, never stopped early": {
        "num_beams": 4,
        "early_stopping": "never",
        "num_return_sequences": 4,
    },
    "2 beams, longer is better": {"num_beams": 2, "length_penalty": 3.0, "num_return_sequences": 2},
    "2 beams, longer is better, never stopped": {
        "num_beams": 2,
        "length_penalty": 2.0,
        "early_stopping": "never",
    },
    "4 beams, shorter is better": {"num_beams": 4, "length_penalty": -1.0},
    "4 beams, plain sums": {"num_beams": 4, "length_penalty": 0.0, "early_stopping": "never"},
    "4 beams, cut off": {"num_beams": 4, "max_length": 5, "num_return_sequences": 4},
    "4 beams, cut off with an end": {
        "num_beams": 4,
        "max_length": 5,
        "forced_eos_token_id": 2,
        "num_return_sequences": 4,
    },
    "4 beams, a least length": {"num_beams": 4, "min_length": 13},
    "4 beams, another start": {"num_beams": 4, "decoder_start_token_id": 0},
    "3 beams, no 2-gram twice": {"num_beams": 3, "no_repeat_ngram_size": 2, "min_length": 15},
    "bart-large-cnn": CNN,
    "bart-large-cnn, all beams": CNN | {"num_return_sequences": 4},
    "the longest": {"max_length": 32, "min_length": 32, "num_beams": 2},
}


def sample(generator):
    """A text of 3 to 9 tokens, and a copy in which some are replaced, repeated or left out."""

    def chance(p):
        return torch.rand((), generator=generator).item() < p

    length = int(torch.randint(3, 10, (), generator=generator))
    source = torch.randint(FIRST, CONFIG["vocab_size"], (length,), generator=generator).tolist()
    target = []
    for token in source:
        if chance(0.15):
            continue
        near = FIRST + (token - FIRST + 1) % (CONFIG["vocab_size"] - FIRST)
        target.append(near if chance(0.3) else token)
        if chance(0.2):
            target.append(token)
    return [BOS, *source, EOS], [BOS, *target, EOS]


def padded(rows, value):
    width = max(map(len, rows))
    return torch.tensor([row + [value] * (width - len(row)) for row in rows])


def trained(generator):
    model = make_bart(CONFIG, generator, matrix=0.25, embedding=0.25).float().train()
    optimiser = torch.optim.Adam(model.parameters(), lr=6e-3)
    for _ in range(400):
        pairs = [sample(generator) for _ in range(32)]
        ids = padded([source for source, _ in pairs], PAD)
        targets = padded([target for _, target in pairs], PAD)
        before = torch.cat([torch.full((len(pairs), 1), START), targets[:, :-1]], 1)
        logits = model(input_ids=ids, attention_mask=(ids != PAD), decoder_input_ids=before).logits
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), ignore_index=PAD
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    print(f"loss {loss.item():.3f}")
    return model.eval().double()


def score_of(model, ids, text, options):
    """Of a greedy text; see above."""
    logits = model(input_ids=ids, decoder_input_ids=torch.tensor([text[:-1]])).logits[0]
    logs = torch.log_softmax(logits, -1)
    terms = [logs[i, token].item() for i, token in enumerate(text[1:])]
    if options.get("forced_bos_token_id") is not None:
        terms[0] = 0
    if (
        options.get("forced_eos_token_id") is not None
        and len(text) == options.get("max_length", 20)
    ):
        terms[-1] = 0
    return sum(terms) / len(terms) ** options.get("length_penalty", 1.0)


def written(model, source, options):
    """The texts of one input with their scores, best first."""
    ids = torch.tensor([source])
    model.generation_config = GenerationConfig(
        **{
            "max_length": 20,
            "bos_token_id": BOS,
            "pad_token_id": PAD,
            "eos_token_id": EOS,
            "decoder_start_token_id": START,
            **options,
            "output_scores": True,
            "return_dict_in_generate": True,
        }
    )
    with torch.no_grad():
        out = model.generate(ids, attention_mask=torch.ones_like(ids))
        texts = []
        for i, row in enumerate(out.sequences.tolist()):
            end = next((j + 1 for j, token in enumerate(row) if j > 0 and token == EOS), len(row))
            text = row[:end]
            if options.get("num_beams", 1) == 1:
                score = score_of(model, ids, text, options)
            else:
                score = out.sequences_scores[i].item()
            texts.append({"ids": text, "score": round(score, 7)})
    return texts


FILL_MASK = [
    "Paris is the capital of [MASK] .",
    "[MASK] is the capital of Italy.",
    "The [MASK] of France is [MASK] , as papers say .",
    "Itzhak Perlman plays [MASK] .",
]
INFILL = [
    "Paris is the <mask> of France .",
    "<mask> is the capital of Italy .",
    "Itzhak Perlman plays <mask> .",
    "Berlin is <mask> .",
]
TOP = 5
WORLD = Path(__file__).resolve().parent.parent / "promptgen" / "world"


def tokenizer_of(folder):
    return PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))


def commands_golden():
    tokenizer = tokenizer_of(WORLD / "bert")
    bert = BertForMaskedLM.from_pretrained(WORLD / "bert").eval().double()
    mask = tokenizer.convert_tokens_to_ids("[MASK]")
    fill_mask = []
    for text in FILL_MASK:
        ids = tokenizer(text).input_ids
        with torch.no_grad():
            probabilities = bert(input_ids=torch.tensor([ids])).logits[0].softmax(-1)
        masks = []
        for place in (i for i, token in enumerate(ids) if token == mask):
            values, tokens = probabilities[place].topk(TOP)
            names = tokenizer.convert_ids_to_tokens(tokens.tolist())
            masks.append([list(row) for row in zip(names, tokens.tolist(), values.tolist())])
        fill_mask.append({"text": text, "masks": masks})
    tokenizer = tokenizer_of(WORLD / "bart")
    bart = BartForConditionalGeneration.from_pretrained(WORLD / "bart").eval().double()
    infill = []
    for text in INFILL:
        source = tokenizer(text).input_ids
        longest = 2 * len(source) + 16
        for beams in (1, 4):
            options = {"num_beams": beams, "max_length": longest, "forced_eos_token_id": EOS}
            (best, *_) = written(bart, source, options)
            filled = tokenizer.decode(best["ids"][1:], skip_special_tokens=True).strip()
            infill.append({"text": text, "beams": beams, "filled": filled, **best})
    golden = {"fill_mask": fill_mask, "infill": infill}
    (MODELS / "generate" / "commands.json").write_text(json.dumps(golden, indent=1) + "\n")


def main():
    torch.set_num_threads(1)
    names = sys.argv[1:] or ["model", "commands"]
    if "model" in names:
        model_golden()
    if "commands" in names:
        commands_golden()


def model_golden():
    generator = torch.Generator().manual_seed(41)
    model = trained(generator)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(p.float())
    folder = MODELS / "generate"
    folder.mkdir(parents=True, exist_ok=True)
    save_model(folder, CONFIG, model)
    inputs = [sample(generator)[0] for _ in range(7)]
    moved = copy.deepcopy(model)
    with torch.no_grad():
        for p in moved.parameters():
            p.mul_(1 + 1e-5 * torch.randn(p.shape, generator=generator, dtype=p.dtype))
    cases = []
    for name, options in CASES.items():
        results = [written(model, source, options) for source in inputs]
        for source, texts in zip(inputs, results):
            again = [text["ids"] for text in written(moved, source, options)]
            assert again == [text["ids"] for text in texts], f"{name}: a near tie"
        cases.append({"name": name, "options": options, "results": results})
    lines = ",\n    ".join(json.dumps(case) for case in cases)
    shown = ",\n    ".join(map(json.dumps, inputs))
    (folder / "golden.json").write_text(
        f'{{\n  "inputs": [\n    {shown}\n  ],\n  "cases": [\n    {lines}\n  ]\n}}\n'
    )


if __name__ == "__main__":
    main()
