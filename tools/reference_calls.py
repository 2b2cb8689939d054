"""Golden of the high-level calls: test/golden/models/calls.json.

    python3 tools/reference_calls.py

    encode     what transformers' tokenizers make of texts and pairs, cut and padded, by the tokenizers of promptgen/world and by
               those that the library makes of a small vocabulary for BERT, RoBERTa, T5 and GPT-2
    sampling   the probabilities that transformers' own temperature, top-k and top-p leave of logits, ties among them
    gpt2       what test/golden/models/gpt2 writes greedily behind texts of different lengths
"""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, processors
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast
from transformers.generation.logits_process import (
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from reference_core import MODELS

WORLD = Path(__file__).resolve().parent.parent / "promptgen" / "world"
TEXTS = ["Paris is the capital of France .", "Rome", "Peru is in South America , and so is Chile ."]
PAIRS = [["Rome is in Italy .", "Italy"], ["Paris", "Paris is the capital of France ."], ["Lima", "Peru"]]

ROBERTA = {"type": "RobertaProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2], "trim_offsets": True, "add_prefix_space": False}
BERT = {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}
BYTES = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}
PROCESSORS = {
    "own": "own",
    "roberta": ROBERTA,
    "bert": {"type": "Sequence", "processors": [BYTES, BERT]},
    "bytes": BYTES,
}


def encoded(processor):
    text = json.loads((WORLD / "bert/tokenizer.json").read_text())
    if processor != "own":
        text["post_processor"] = processor
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(text)), pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]"
    )
    cases = []
    for texts in (TEXTS, PAIRS):
        for length in (None, 4, 5, 7, 9):
            got = tokenizer(
                *([list(part) for part in zip(*texts)] if texts is PAIRS else [texts]),
                padding=True, truncation=length is not None, max_length=length, return_token_type_ids=True,
            )
            cases.append({"texts": texts, "maxLength": length, "ids": got["input_ids"], "mask": got["attention_mask"], "types": got["token_type_ids"]})
    return {"post_processor": text["post_processor"], "cases": cases}


def sampling():
    generator = torch.Generator().manual_seed(3)
    logits = 3 * torch.randn(12, generator=generator)
    logits[4] = logits[7]  # a tie
    logits = logits.double()
    cases = []
    for temperature, k, p in ((0.7, None, None), (1.0, 4, None), (1.0, None, 0.8), (1.3, 6, 0.6), (2.0, 1, None), (1.0, None, 0.01), (0.5, 20, 0.999)):
        warpers = LogitsProcessorList([TemperatureLogitsWarper(temperature)])
        if k:
            warpers.append(TopKLogitsWarper(k))
        if p:
            warpers.append(TopPLogitsWarper(p))
        left = torch.softmax(warpers(torch.zeros(1, 1, dtype=torch.long), logits[None].clone())[0], 0)
        cases.append({"temperature": temperature, "topK": k, "topP": p, "probabilities": left.tolist()})
    return {"logits": logits.tolist(), "cases": cases}


def gpt2():
    model = GPT2LMHeadModel.from_pretrained(MODELS / "gpt2", attn_implementation="eager").eval()
    prompts = [[4, 9, 16], [5], [7, 8, 9, 10, 11, 12, 13, 14, 15], [60, 1]]
    written = []
    for prompt in prompts:
        ids = torch.tensor([prompt])
        with torch.no_grad():
            out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False, pad_token_id=0, eos_token_id=model.config.eos_token_id if model.config.eos_token_id < 61 else None)
        written.append(out[0, len(prompt):].tolist())
    return {"prompts": prompts, "written": written}


if __name__ == "__main__":
    torch.set_num_threads(1)
    golden = {"encode": {name: encoded(one) for name, one in PROCESSORS.items()}, "sampling": sampling(), "gpt2": gpt2()}
    (MODELS / "calls.json").write_text(json.dumps(golden) + "\n")
    print(golden["gpt2"], golden["sampling"]["cases"][3])
