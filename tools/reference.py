"""Goldens of the models, the optimiser, the random numbers and the file format, from PyTorch and transformers.

    python3 tools/reference.py [bert] [bart] [promptgen] [optim] [philox] [safetensors]     (no name: all)

Writes test/golden/models/{bert,bart,promptgen,optim}, test/golden/philox.json and test/golden/safetensors.
Weights are drawn in float32 and used in float64, so a golden is the exact result up to its last rounding
to float32. What each tensor is, with shapes: test/golden/models/README.md.
"""

import copy
import json
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from transformers import BartConfig, BartForConditionalGeneration, BertConfig, BertForMaskedLM

GOLDEN = Path(__file__).resolve().parent.parent / "test" / "golden"
MODELS = GOLDEN / "models"
IGNORED = -100  # a position without a label

BERT_CONFIG = {
    "architectures": ["BertForMaskedLM"],
    "model_type": "bert",
    "vocab_size": 67,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 40,
    "type_vocab_size": 2,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "pad_token_id": 0,
    "initializer_range": 0.02,
}

BART_CONFIG = {
    "architectures": ["BartForConditionalGeneration"],
    "model_type": "bart",
    "vocab_size": 71,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "max_position_embeddings": 40,
    "activation_function": "gelu",
    "scale_embedding": False,
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "bos_token_id": 0,
    "pad_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 2,
    "is_encoder_decoder": True,
    "init_std": 0.02,
}


def is_norm(name):
    return "layernorm" in name.lower() or "layer_norm" in name


def randomise(model, generator, matrix=0.18, embedding=0.3):
    """Fills every parameter (and final_logits_bias) with a spread that leaves no gradient small; float32 values."""

    def normal(like, std):
        return torch.randn(like.shape, generator=generator, dtype=torch.float32) * std

    with torch.no_grad():
        for name, p in model.named_parameters():
            if is_norm(name) and name.endswith("weight"):
                p.copy_(1 + normal(p, 0.2))
            elif name.endswith("bias"):
                p.copy_(normal(p, 0.15))
            else:
                p.copy_(normal(p, embedding if "embed" in name or "shared" in name else matrix))
        if hasattr(model, "final_logits_bias"):
            model.final_logits_bias.copy_(normal(model.final_logits_bias, 0.3))
    return model.eval().double()


def make_bert(config, generator, **spread):
    return randomise(BertForMaskedLM(BertConfig(**config, attn_implementation="eager")), generator, **spread)


def make_bart(config, generator, **spread):
    return randomise(
        BartForConditionalGeneration(BartConfig(**config, attn_implementation="eager")), generator, **spread
    )


def weights(model):
    """Every parameter once, by its Hugging Face name (a tied one by its first name), and final_logits_bias."""
    found = {name: p.detach() for name, p in model.named_parameters()}
    if hasattr(model, "final_logits_bias"):
        found["final_logits_bias"] = model.final_logits_bias
    return found


def stored(tensor):
    tensor = tensor.detach()
    return (tensor.float() if tensor.is_floating_point() else tensor).contiguous().clone()


def save(path, tensors):
    path.parent.mkdir(parents=True, exist_ok=True)
    for name, tensor in tensors.items():
        assert not tensor.is_floating_point() or torch.isfinite(tensor).all(), name
    save_file({name: stored(tensor) for name, tensor in tensors.items()}, path, metadata={"format": "pt"})
    path.chmod(0o644)


def save_model(folder, config, model):
    save(folder / "model.safetensors", weights(model))
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def gradients(model, prefix="grad."):
    found = {}
    for name, p in model.named_parameters():
        assert p.grad is not None, f"{name} has no gradient"
        found[prefix + name] = p.grad
    return found


def schedule(step, lr, warmup=3, steps=10):
    """Linear warm-up to lr over `warmup` steps, then linear decay to 0 at `steps`; step counts from 0."""
    return lr * (step + 1) / warmup if step < warmup else lr * (steps - step) / (steps - warmup)


def train(model, loss_of, lr, weight_decay, steps=10, clip=1.0):
    """AdamW on all parameters of a copy of the model. loss_of(model) -> scalar. Losses [steps], norms [steps], rates [steps]."""
    model = copy.deepcopy(model)
    model.zero_grad()
    plain = [p for name, p in model.named_parameters() if name.endswith("bias") or is_norm(name)]
    decayed = [p for name, p in model.named_parameters() if not (name.endswith("bias") or is_norm(name))]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.999), eps=1e-8)
    losses, norms, rates = [], [], []
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = schedule(step, lr)
        optimiser.zero_grad()
        loss = loss_of(model)
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), clip).item())  # clip / (norm + 1e-6)
        optimiser.step()
        losses.append(loss.item())
        rates.append(schedule(step, lr))
    return {name: torch.tensor(v, dtype=torch.float64) for name, v in (("loss", losses), ("norm", norms), ("lr", rates))}


def u32(tensor):
    return tensor.to(torch.uint32)


def right_padded(lengths, width):
    """Mask [B, width]: 1 for the first lengths[b] places of row b."""
    return (torch.arange(width)[None, :] < torch.tensor(lengths)[:, None]).long()


def live(tensor, mask):
    """Rows of padding set to 0: they hold nothing that a result may depend on."""
    return tensor * mask[..., None]


def cross_entropy(logits, labels):
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1), ignore_index=IGNORED)


def bert_golden(folder):
    generator = torch.Generator().manual_seed(11)
    model = make_bert(BERT_CONFIG, generator)
    save_model(folder, BERT_CONFIG, model)
    vocabulary, width = BERT_CONFIG["vocab_size"], 11
    mask = right_padded([11, 7, 4], width)
    ids = torch.randint(5, vocabulary, mask.shape, generator=generator) * mask
    targets = torch.randint(5, vocabulary, mask.shape, generator=generator)
    labelled = (torch.rand(mask.shape, generator=generator) < 0.4) & (mask == 1)
    labelled[:, 1] = True
    labels = torch.where(labelled, targets, IGNORED)
    ids = torch.where(labelled, 4, ids)

    out = model(input_ids=ids, attention_mask=mask, labels=labels, output_hidden_states=True)
    loss = cross_entropy(out.logits, labels)
    assert abs(loss.item() - out.loss.item()) < 1e-5, "the model's own loss is the same up to float32"
    assert len(out.hidden_states) == BERT_CONFIG["num_hidden_layers"] + 1
    loss.backward()
    golden = {
        "input_ids": u32(ids),
        "attention_mask": u32(mask),
        "labels": labels.int(),
        "logits": live(out.logits, mask),
        "loss": loss,
        **{f"hidden.{i}": live(h, mask) for i, h in enumerate(out.hidden_states)},
        **gradients(model),
    }

    mixture = torch.softmax(2 * torch.randn(*mask.shape, vocabulary, generator=generator), -1)
    embeds = (mixture.double() @ model.get_input_embeddings().weight).detach().float().double().requires_grad_()
    soft = model(inputs_embeds=embeds, attention_mask=mask).logits
    soft_loss = cross_entropy(soft, labels)
    (soft_grad,) = torch.autograd.grad(soft_loss, embeds)
    golden |= {"soft.inputs_embeds": embeds, "soft.logits": live(soft, mask), "soft.loss": soft_loss, "soft.grad": soft_grad}

    trained = train(model, lambda m: cross_entropy(m(input_ids=ids, attention_mask=mask).logits, labels), 1e-3, 1e-2)
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
    labels = torch.where(decoder_mask == 1, torch.randint(2, vocabulary, decoder_mask.shape, generator=generator), IGNORED)

    def run(m, **decoder):
        return m(
            input_ids=ids, attention_mask=mask, decoder_attention_mask=decoder_mask, use_cache=False,
            output_hidden_states=True, **(decoder or {"decoder_input_ids": decoder_ids}),
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
        **{f"decoder.hidden.{i}": live(h, decoder_mask) for i, h in enumerate(out.decoder_hidden_states)},
        **gradients(model),
    }

    mixture = torch.softmax(2 * torch.randn(*decoder_mask.shape, vocabulary, generator=generator), -1)
    embeds = (mixture.double() @ model.get_input_embeddings().weight).detach().float().double().requires_grad_()
    soft = run(model, decoder_inputs_embeds=embeds).logits
    soft_loss = cross_entropy(soft, labels)
    (soft_grad,) = torch.autograd.grad(soft_loss, embeds)
    golden |= {
        "soft.decoder_inputs_embeds": embeds, "soft.logits": live(soft, decoder_mask), "soft.loss": soft_loss,
        "soft.grad": soft_grad,
    }

    trained = train(model, lambda m: cross_entropy(run(m).logits, labels), 1e-3, 1e-2)
    golden |= {f"train.{name}": values for name, values in trained.items()}
    save(folder / "golden.safetensors", golden)
    return trained


def optim_golden(folder):
    """AdamW on four tensors for 12 steps; the gradient of a step is the mean of two micro-batches."""
    generator = torch.Generator().manual_seed(13)
    shapes = {"dense.weight": (5, 7), "dense.bias": (5,), "LayerNorm.weight": (9,), "table": (67,)}
    steps, lr, decay, clip = 12, 1e-2, 1e-2, 1.0
    start = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    scale = torch.tensor([0.5, 0.02, 3.0, 0.03, 0.2, 0.01, 1.0, 0.04, 0.05, 8.0, 0.02, 0.6])  # clipped or not
    micro = {
        name: torch.randn(steps, 2, *shape, generator=generator) * scale.reshape(-1, 1, *[1] * len(shape))
        for name, shape in shapes.items()
    }
    parameters = {name: torch.nn.Parameter(value.double()) for name, value in start.items()}
    groups = [
        {"params": [parameters[name]], "weight_decay": 0.0 if name.endswith("bias") or is_norm(name) else decay}
        for name in shapes
    ]
    optimiser = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.999), eps=1e-8)
    after, norms, rates = {name: [] for name in shapes}, [], []
    for step in range(steps):
        rates.append(schedule(step, lr, 4, steps))
        for group in optimiser.param_groups:
            group["lr"] = rates[-1]
        for name, p in parameters.items():
            p.grad = micro[name][step].double().mean(0)
        norms.append(torch.nn.utils.clip_grad_norm_(list(parameters.values()), clip).item())
        optimiser.step()
        for name, p in parameters.items():
            after[name].append(p.detach().clone())
    assert min(norms) < clip < max(norms)
    golden = {"norm": torch.tensor(norms, dtype=torch.float64), "lr": torch.tensor(rates, dtype=torch.float64)}
    for name in shapes:
        golden |= {f"start.{name}": start[name], f"grad.{name}": micro[name], f"after.{name}": torch.stack(after[name])}
        state = optimiser.state[parameters[name]]
        golden |= {f"m.{name}": state["exp_avg"], f"v.{name}": state["exp_avg_sq"]}
    save(folder / "adamw.safetensors", golden)
    return {"norm": golden["norm"]}


def philox4x32(counter, key, rounds=10):
    """Philox4x32 of Salmon et al. 2011: four 32-bit words from a counter of four and a key of two."""
    c, k = [int(x) for x in counter], [int(x) for x in key]
    for _ in range(rounds):
        high0, low0 = divmod(0xD2511F53 * c[0], 1 << 32)
        high1, low1 = divmod(0xCD9E8D57 * c[2], 1 << 32)
        c = [high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0]
        k = [(k[0] + 0x9E3779B9) % (1 << 32), (k[1] + 0xBB67AE85) % (1 << 32)]
    return c


def philox_golden(path):
    """The known-answer vectors of Random123 (kat_vectors), which this file's own Philox must give."""
    published = [
        ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ]
    vectors = []
    for counter, key, output in published:
        words = [[int(word, 16) for word in line.split()] for line in (counter, key)]
        assert " ".join(f"{word:08x}" for word in philox4x32(*words)) == output, counter
        vectors.append({"counter": counter.split(), "key": key.split(), "output": output.split()})
    document = {"source": "Random123 kat_vectors, philox4x32 with 10 rounds", "vectors": vectors}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n")


def safetensors_golden(folder):
    """A file of every dtype, written by the Python library: a scalar, an empty tensor, names that sort by bytes, text."""
    folder.mkdir(parents=True, exist_ok=True)
    edge = [0.0, -0.0, 1.0, -2.5, 65504.0, 6.103515625e-05, 5.960464477539063e-08, 0.333251953125, float("inf")]
    tensors = {
        "f32": torch.tensor([[1.5, -2.25, 3e-8], [0.1, 1e30, -0.0]]),
        "f64": torch.tensor([0.1, -1e300], dtype=torch.float64),
        "f16": torch.tensor(edge, dtype=torch.float16),
        "bf16": torch.tensor([1.0, -0.1, 3e38, 1e-40, 0.0], dtype=torch.bfloat16),
        "i64": torch.tensor([-1, 1 << 40]),
        "u64": torch.tensor([7, 1 << 40], dtype=torch.uint64),
        "i32": torch.tensor([[-7], [8]], dtype=torch.int32),
        "u32": torch.tensor([4294967295, 1], dtype=torch.uint32),
        "i16": torch.tensor([-300, 300], dtype=torch.int16),
        "u16": torch.tensor([65535], dtype=torch.uint16),
        "i8": torch.tensor([-128, 127, 0], dtype=torch.int8),
        "u8": torch.tensor([0, 255, 3], dtype=torch.uint8),
        "bool": torch.tensor([True, False, True]),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 3),
        "quote \" back\\slash \t tab": torch.tensor([1.0]),
        "Ġword": torch.tensor([2.0]),
        "\uff5e": torch.tensor([3.0]),
        "\U0001f600": torch.tensor([4.0]),
    }
    texts = {"alpha": "a \"quoted\" line\n, Ünï, \u2028"}  # one: the library writes several in any order
    save_file(tensors, folder / "dtypes.safetensors", metadata=texts)
    narrow = {
        "e5m2": torch.tensor([1.0, -2.0]).to(torch.float8_e5m2),
        "e4m3": torch.tensor([1.0, -2.0]).to(torch.float8_e4m3fn),
        "complex": torch.tensor([1 + 2j]),
        "double": torch.tensor([1.5], dtype=torch.float64),
    }
    save_file(narrow, folder / "rare.safetensors")
    save_file({"only": torch.arange(3, dtype=torch.float32)}, folder / "plain.safetensors")

    # float32 -> float16, round to nearest, ties to even: halfway points and their neighbours, under- and overflow.
    halves = np.arange(0, 0x7C00, 97, dtype=np.uint16).view(np.float16).astype(np.float32)
    above = np.nextafter(halves.astype(np.float16), np.float16(np.inf)).astype(np.float32)
    middle = np.where(np.isfinite(above), (halves + above) / 2, halves).astype(np.float32)
    special = np.array([65504, 65519.996, 65520, 1e9, 2**-24, 2**-25, 1.0000001 * 2**-25, 2**-26, 1e-40, 0], np.float32)
    source = np.concatenate([middle, np.nextafter(middle, np.float32(0)), np.nextafter(middle, np.float32(1e9)), special])
    source = np.concatenate([source, -source, [np.float32(np.inf), np.float32(-np.inf)]]).astype(np.float32)
    with np.errstate(over="ignore"):
        rounded = source.astype(np.float16)
    save_file({"f32": torch.from_numpy(source), "f16": torch.from_numpy(rounded)}, folder / "rounding.safetensors")


def promptgen_golden(folder):
    from reference_promptgen import promptgen_golden as write

    return write(folder)


PARTS = {
    "bert": lambda: bert_golden(MODELS / "bert"),
    "bart": lambda: bart_golden(MODELS / "bart"),
    "promptgen": lambda: promptgen_golden(MODELS / "promptgen"),
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
