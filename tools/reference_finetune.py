"""Fine-tuning a masked LM on one relation's facts, in the plainest way: transformers' BertForMaskedLM, its tokenizer, PyTorch's AdamW.

Each fact is the sentence of the template with [MASK] for the object; the loss is the cross-entropy there, the mean over the batch. The
word-pieces, the padding and the place of the mask are the tokenizers library's own. Writes test/golden/models/fine-tune:
config.json, model.safetensors, tokenizer.json, and golden.json with facts, batches, losses of ten steps and norms of the weights after them.

    python3 tools/reference_finetune.py
"""

import json

import torch
import torch.nn.functional as F
from reference_core import BERT_CONFIG, MODELS, is_norm, make_bert, save_model
from tokenizers import BertWordPieceTokenizer

SUBJECTS = [
    "Louvre",
    "Forum Romanum",
    "Prado",
    "Tower of London",
    "Acropolis",
    "Orsay",
    "Colosseum",
    "Big Ben",
    "Old Town Hall",
]
OBJECTS = ["Paris", "Rome", "Madrid", "London", "Athens", "Paris", "Rome", "London", "Madrid"]
TEMPLATE = "[X] stands in [Y] ."
WORDS = ["stands", "in", ".", "of", "Tower", "Big", "Old", "Town", "Hall", "Ben", "Forum", "None"]
PIECES = ["Lou", "##vre", "Roman", "##um", "Pra", "##do", "Acro", "##polis", "Or", "##say",
          "Coloss", "##e"]
TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *sorted(set(OBJECTS)), *PIECES]
CONFIG = BERT_CONFIG | {"vocab_size": len(TOKENS), "hidden_size": 24, "num_attention_heads": 3,
                        "intermediate_size": 48}
SEED, LR, WARMUP, WEIGHT_DECAY, STEPS = 29, 2e-3, 0.2, 0.3, 10
# the facts of each step; one step has a fact less
BATCHES = [[0, 1], [2, 3], [4, 5], [6, 7], [8], [3, 1], [7, 2], [0, 8], [6, 4], [5, 3]]


def rate(step):
    """Linear warm-up and decay; step from 0, neither the first nor the last rate is 0."""
    warm = round(WARMUP * STEPS)
    return LR * (step + 1) / warm if step < warm else LR * (STEPS - step) / (STEPS - warm)


def decays(name):
    return not (name.endswith("bias") or is_norm(name))


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    folder = MODELS / "fine-tune"
    model = make_bert(CONFIG, torch.Generator().manual_seed(SEED))
    save_model(folder, CONFIG, model)
    tokenizer = BertWordPieceTokenizer(
        {token: i for i, token in enumerate(TOKENS)}, lowercase=False, strip_accents=False
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    tokenizer.enable_padding(pad_id=0)

    groups = [
        {"params": [p for n, p in model.named_parameters() if decays(n)],
         "weight_decay": WEIGHT_DECAY},
        {"params": [p for n, p in model.named_parameters() if not decays(n)], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=LR, betas=(0.9, 0.999), eps=1e-8)
    losses, rates = [], []
    for step, batch in enumerate(BATCHES):
        sentences = [TEMPLATE.replace("[X]", SUBJECTS[i]).replace("[Y]", "[MASK]") for i in batch]
        encoded = tokenizer.encode_batch(sentences)
        ids = torch.tensor([one.ids for one in encoded])
        mask = torch.tensor([one.attention_mask for one in encoded])
        assert (ids == 4).sum().item() == len(batch) and not (ids == 1).any()
        logits = model(input_ids=ids, attention_mask=mask).logits[ids == 4]
        objects = torch.tensor([TOKENS.index(OBJECTS[i]) for i in batch])
        loss = F.cross_entropy(logits, objects)
        for group in optimiser.param_groups:
            group["lr"] = rate(step)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
        rates.append(rate(step))
    golden = {
        "template": TEMPLATE,
        "facts": [list(fact) for fact in zip(SUBJECTS, OBJECTS, strict=True)],
        "batches": BATCHES,
        "lr": LR,
        "warmup": WARMUP,
        "weightDecay": WEIGHT_DECAY,
        "rates": rates,
        "losses": losses,
        "norms": {n: p.norm().item() for n, p in model.named_parameters()},
    }
    (folder / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")
    print("losses", losses)


if __name__ == "__main__":
    main()
