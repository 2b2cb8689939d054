"""Goldens of models, optimiser, random numbers and file format, from PyTorch and transformers.

    python3 tools/reference.py [bert] [roberta] [bart] [layouts] [promptgen] [readers] [optim]
                               [philox] [safetensors]

Without a name it writes all: test/golden/models/{bert,roberta,bart,promptgen,optim},
models/layouts.json, philox.json and safetensors beside models. What each tensor is, with shapes: test/golden/models/README.md.
"""

import sys

import numpy as np
import torch
import torch.nn.functional as F

from reference_basics import optim_golden, philox_golden, safetensors_golden
from reference_core import (
    BART_CONFIG,
    BERT_CONFIG,
    GOLDEN,
    IGNORED,
    MODELS,
    ROBERTA_CONFIG,
    gradients,
    make_bart,
    make_bert,
    make_roberta,
    save,
    save_model,
    save_sharded,
    train,
    u32,
)
from reference_layouts import layouts_golden
from reference_reader_layouts import reader_layouts
from reference_promptgen import promptgen_golden, readers_golden


def right_padded(lengths, width):
    """Mask [B, width]: 1 for the first lengths[b] places of row b."""
    return (torch.arange(width)[None, :] < torch.tensor(lengths)[:, None]).long()


def live(tensor, mask):
    """Rows of padding set to 0: they hold nothing that a result may depend on."""
    return tensor * mask[..., None]


def cross_entropy(logits, labels):
    return F.cross_entropy(
        logits.reshape(-1, logits.shape[-1]), labels.reshape(-1), ignore_index=IGNORED
    )


def bert_golden(folder):
    generator = torch.Generator().manual_seed(11)
    model = make_bert(BERT_CONFIG, generator)
    save_model(folder, BERT_CONFIG, model)
    return encoder_golden(folder, model, generator, right_padded([11, 7, 4], 11), mask_id=4)


def roberta_golden(folder):
    """As for BERT, with the second row padded on the left: positions count what is no padding."""
    generator = torch.Generator().manual_seed(13)
    model = make_roberta(ROBERTA_CONFIG, generator)
    save_sharded(folder, model, "20KB")
    mask = right_padded([11, 7, 4], 11)
    mask[1] = mask[1].flip(0)
    mask_id = ROBERTA_CONFIG["vocab_size"] - 1
    return encoder_golden(folder, model, generator, mask, mask_id, unmasked=True)


def encoder_golden(folder, model, generator, mask, mask_id, unmasked=False, layers=None, names=None):
    """`names`: what the gradients of parameters are called where not as transformers lists them."""
    vocabulary, padding = model.config.vocab_size, model.config.pad_token_id
    ids = torch.randint(5, vocabulary, mask.shape, generator=generator)
    ids = torch.where(mask == 1, ids, padding)
    targets = torch.randint(5, vocabulary, mask.shape, generator=generator)
    labelled = (torch.rand(mask.shape, generator=generator) < 0.4) & (mask == 1)
    labelled[:, 1] |= mask[:, 1] == 1
    labels = torch.where(labelled, targets, IGNORED)
    ids = torch.where(labelled, mask_id, ids)

    out = model(input_ids=ids, attention_mask=mask, labels=labels, output_hidden_states=True)
    loss = cross_entropy(out.logits, labels)
    assert abs(loss.item() - out.loss.item()) < 1e-5, (
        "the model's own loss is the same up to float32"
    )
    assert len(out.hidden_states) == (layers or model.config.num_hidden_layers) + 1
    loss.backward()
    golden = {
        "input_ids": u32(ids),
        "attention_mask": u32(mask),
        "labels": labels.int(),
        "logits": live(out.logits, mask),
        "loss": loss,
        **{f"hidden.{i}": live(h, mask) for i, h in enumerate(out.hidden_states)},
        **{(names or {}).get(name, name): g for name, g in gradients(model).items()},
    }

    if unmasked:  # padding is seen, where it stands for positions
        golden["unmasked.logits"] = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits

    mixture = torch.softmax(2 * torch.randn(*mask.shape, vocabulary, generator=generator), -1)
    embeds = (
        (mixture.double() @ model.get_input_embeddings().weight)
        .detach()
        .float()
        .double()
        .requires_grad_()
    )
    soft = model(inputs_embeds=embeds, attention_mask=mask).logits
    soft_loss = cross_entropy(soft, labels)
    (soft_grad,) = torch.autograd.grad(soft_loss, embeds)
    golden |= {
        "soft.inputs_embeds": embeds,
        "soft.logits": live(soft, mask),
        "soft.loss": soft_loss,
        "soft.grad": soft_grad,
    }

    trained = train(
        model,
        lambda m: cross_entropy(m(input_ids=ids, attention_mask=mask).logits, labels),
        1e-3,
        1e-2,
    )
    golden |= {f"train.{name}": values for name, values in trained.items()}
    save(folder / "golden.safetensors", golden)
    return trained


def bart_golden(folder):
    generator = torch.Generator().manual_seed(12)
    model = make_bart(BART_CONFIG, generator)
    save_model(folder, BART_CONFIG, model)
    vocabulary = BART_CONFIG["vocab_size"]
    mask, decoder_mask = right_padded([6, 10, 3], 10), right_padded([9, 5, 7], 9)
    ids = torch.where(mask == 1, torch.randint(4, vocabulary, mask.shape, generator=generator), 1)
    words = torch.randint(4, vocabulary, decoder_mask.shape, generator=generator)
    ids[:, 0] = 0
    words[:, :2] = torch.tensor([2, 0])
    decoder_ids = torch.where(decoder_mask == 1, words, 1)
    labels = torch.where(
        decoder_mask == 1,
        torch.randint(2, vocabulary, decoder_mask.shape, generator=generator),
        IGNORED,
    )

    def run(m, **decoder):
        return m(
            input_ids=ids,
            attention_mask=mask,
            decoder_attention_mask=decoder_mask,
            use_cache=False,
            output_hidden_states=True,
            **(decoder or {"decoder_input_ids": decoder_ids}),
        )

    out = run(model)
    loss = cross_entropy(out.logits, labels)
    assert len(out.encoder_hidden_states) == 3 and len(out.decoder_hidden_states) == 3
    loss.backward()
    golden = {
        "input_ids": u32(ids),
        "attention_mask": u32(mask),
        "decoder_input_ids": u32(decoder_ids),
        "decoder_attention_mask": u32(decoder_mask),
        "labels": labels.int(),
        "logits": live(out.logits, decoder_mask),
        "loss": loss,
        **{f"encoder.hidden.{i}": live(h, mask) for i, h in enumerate(out.encoder_hidden_states)},
        **{
            f"decoder.hidden.{i}": live(h, decoder_mask)
            for i, h in enumerate(out.decoder_hidden_states)
        },
        **gradients(model),
    }

    mixture = torch.softmax(
        2 * torch.randn(*decoder_mask.shape, vocabulary, generator=generator), -1
    )
    embeds = (
        (mixture.double() @ model.get_input_embeddings().weight)
        .detach()
        .float()
        .double()
        .requires_grad_()
    )
    soft = run(model, decoder_inputs_embeds=embeds).logits
    soft_loss = cross_entropy(soft, labels)
    (soft_grad,) = torch.autograd.grad(soft_loss, embeds)
    golden |= {
        "soft.decoder_inputs_embeds": embeds,
        "soft.logits": live(soft, decoder_mask),
        "soft.loss": soft_loss,
        "soft.grad": soft_grad,
    }

    trained = train(model, lambda m: cross_entropy(run(m).logits, labels), 1e-3, 1e-2)
    golden |= {f"train.{name}": values for name, values in trained.items()}
    save(folder / "golden.safetensors", golden)
    return trained


PARTS = {
    "bert": lambda: bert_golden(MODELS / "bert"),
    "roberta": lambda: roberta_golden(MODELS / "roberta"),
    "bart": lambda: bart_golden(MODELS / "bart"),
    "layouts": lambda: layouts_golden(MODELS / "layouts.json", reader_layouts()),
    "promptgen": lambda: promptgen_golden(MODELS / "promptgen"),
    "readers": lambda: readers_golden(MODELS / "promptgen" / "readers.json"),
    "optim": lambda: optim_golden(MODELS / "optim"),
    "philox": lambda: philox_golden(GOLDEN / "philox.json"),
    "safetensors": lambda: safetensors_golden(GOLDEN / "safetensors"),
}


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    names = sys.argv[1:] or list(PARTS)
    for name in names:
        if name not in PARTS:
            sys.exit(f"[reference] there is no part '{name}': choose among {', '.join(PARTS)}")
        result = PARTS[name]()
        print(name)
        for key, values in (result or {}).items():
            print(f"  {key:14s}", np.array2string(values.numpy(), precision=6, max_line_width=140))


if __name__ == "__main__":
    main()
