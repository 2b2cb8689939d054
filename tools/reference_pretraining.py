"""Fifty steps of pre-training in the plainest way: transformers' BertForMaskedLM and BartForConditionalGeneration, PyTorch's AdamW.

Reads test/golden/models/pretraining/NAME/{config.json,batches.json}, which test/promptgen/pretraining/golden.ts writes: the settings and,
for each step, its batches as lists of ids. Nothing of them is drawn here. Writes beside them model.safetensors, the weights before
the first step, and golden.json with the losses, the rates and the norms of the weights after the last.

    node test/promptgen/pretraining/golden.ts && python3 tools/reference_pretraining.py
"""

import json

import torch
import torch.nn.functional as F
from reference_core import MODELS, is_norm, make_bart, make_bert, save_model

SEED = 47
KINDS = {"bert": make_bert, "bart": make_bart}


def padded(rows, pad):
    width = max(len(row) for row in rows)
    ids = torch.tensor([row + [pad] * (width - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    return ids, mask


def bert_loss(model, part):
    ids, mask = padded(part["ids"], model.config.pad_token_id)
    logits = model(input_ids=ids, attention_mask=mask).logits
    rows, places, targets = torch.tensor(part["labels"]).T
    return F.cross_entropy(logits[rows, places], targets)


def bart_loss(model, part):
    ids, mask = padded(part["ids"], model.config.pad_token_id)
    labels, _ = padded(part["labels"], -100)
    found = model(input_ids=ids, attention_mask=mask, labels=labels)
    # what the library itself makes of the labels is what our decoder has read
    start = model.config.decoder_start_token_id
    for row, prefix in zip(part["labels"], part["prefix"], strict=True):
        assert prefix == [start, *row[:-1]]
    return found.loss


def rate(step, lr, warmup, steps):
    """Linear warm-up and decay; step from 0."""
    warm = round(warmup * steps)
    return lr * (step + 1) / warm if step < warm else lr * (steps - step) / (steps - warm)


def run(name, loss_of):
    folder = MODELS / "pretraining" / name
    config = json.loads((folder / "config.json").read_text())
    given = json.loads((folder / "batches.json").read_text())
    settings, steps = given["settings"], given["steps"]
    model = KINDS[name](config, torch.Generator().manual_seed(SEED), matrix=0.12, embedding=0.1)
    save_model(folder, config, model)
    decayed, plain = [], []
    for key, p in model.named_parameters():
        (plain if key.endswith("bias") or is_norm(key) else decayed).append(p)
    optimiser = torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": settings["weightDecay"]},
            {"params": plain, "weight_decay": 0.0},
        ],
        betas=(0.9, 0.999),
        eps=1e-8,
    )
    losses, rates = [], []
    for step, parts in enumerate(steps):
        optimiser.zero_grad()
        items = sum(part["items"] for part in parts)
        total = 0.0
        for part in parts:
            loss = loss_of(model, part) * part["items"] / items
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings["clip"])
        rates.append(rate(step, settings["lr"], settings["warmup"], len(steps)))
        for group in optimiser.param_groups:
            group["lr"] = rates[-1]
        optimiser.step()
        losses.append(total)
    norms = {key: p.norm().item() for key, p in model.named_parameters()}
    golden = {"losses": losses, "rates": rates, "norms": norms}
    (folder / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")
    print(name, losses[0], losses[-1])


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    run("bert", bert_loss)
    run("bart", bart_loss)


if __name__ == "__main__":
    main()
