"""What the programs of `npm run package` find in every host: linear regression in numpy, the embedded BERT in transformers, in float64.

Writes test/golden/hosts.json.

    python3 tools/reference_hosts.py
"""

import json

import numpy as np
import torch
from reference_core import GOLDEN
from transformers import BertForMaskedLM, PreTrainedTokenizerFast

BERT = GOLDEN.parent.parent / "promptgen" / "world" / "bert"
TEXT = "Paris is the capital of [MASK] ."


def linear_regression(steps=20, rate=0.2):
    """Losses of gradient descent for y = 2 x - 1, before each step."""
    x = np.arange(32) / 16 - 1
    y = 2 * x - 1
    weight = bias = 0.0
    losses = []
    for _ in range(steps):
        wrong = weight * x + bias - y
        losses.append((wrong**2).mean())
        weight -= rate * 2 * (wrong * x).mean()
        bias -= rate * 2 * wrong.mean()
    return losses


def fill_mask():
    """The five most probable tokens at the mask with their probabilities."""
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(BERT / "tokenizer.json"))
    model = BertForMaskedLM.from_pretrained(BERT, dtype=torch.float64).eval()
    ids = tokenizer(TEXT, return_tensors="pt", add_special_tokens=True)["input_ids"]
    place = (ids[0] == tokenizer.convert_tokens_to_ids("[MASK]")).nonzero().item()
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0, place]
    values, indices = logits.softmax(-1).topk(5)
    return [[tokenizer.convert_ids_to_tokens(i.item()), v.item()] for i, v in zip(indices, values)]


golden = {"losses": linear_regression(), "text": TEXT, "filled": fill_mask()}
(GOLDEN / "hosts.json").write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n")
