"""What the model goldens share: tiny random models, files, gradients, the training run.

Weights are drawn in float32 and used in float64, so a golden is the exact result up to its last
rounding to float32.
"""

import copy
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertForMaskedLM,
    RobertaConfig,
    RobertaForMaskedLM,
)

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

ROBERTA_CONFIG = {
    "vocab_size": 53,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "max_position_embeddings": 22,
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-5,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "pad_token_id": 1,
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
    return "norm" in name.lower()


def randomise(model, generator, matrix=0.18, embedding=0.3):
    """Fills all parameters and final_logits_bias with a spread that leaves no gradient small."""

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
    return randomise(
        BertForMaskedLM(BertConfig(**config, attn_implementation="eager")), generator, **spread
    )


def make_roberta(config, generator, **spread):
    return randomise(
        RobertaForMaskedLM(RobertaConfig(**config, attn_implementation="eager")),
        generator,
        **spread,
    )


def make_bart(config, generator, **spread):
    return randomise(
        BartForConditionalGeneration(BartConfig(**config, attn_implementation="eager")),
        generator,
        **spread,
    )


def weights(model):
    """final_logits_bias and every parameter once, by its Hugging Face name (if tied, its first)."""
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
    save_file(
        {name: stored(tensor) for name, tensor in tensors.items()}, path, metadata={"format": "pt"}
    )
    path.chmod(0o644)


def save_model(folder, config, model):
    save(folder / "model.safetensors", weights(model))
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def save_sharded(folder, model, shard):
    """As the library itself saves a model: config.json, shards and their index."""
    for old in folder.glob("model*"):
        old.unlink()
    copy.deepcopy(model).float().save_pretrained(folder, max_shard_size=shard)
    for path in folder.glob("model*"):
        path.chmod(0o644)


def gradients(model, prefix="grad."):
    found = {}
    for name, p in model.named_parameters():
        assert p.grad is not None, f"{name} has no gradient"
        found[prefix + name] = p.grad
    return found


def schedule(step, lr, warmup=3, steps=10):
    """Linear warm-up to lr over `warmup` steps, linear decay to 0 at `steps`; step from 0."""
    return lr * (step + 1) / warmup if step < warmup else lr * (steps - step) / (steps - warmup)


def train(model, loss_of, lr, weight_decay, steps=10, clip=1.0):
    """AdamW on a copy of the model; loss_of(model) -> scalar. Loss, norm and rate of each step."""
    model = copy.deepcopy(model)
    model.zero_grad()
    plain = [p for name, p in model.named_parameters() if name.endswith("bias") or is_norm(name)]
    decayed = [
        p for name, p in model.named_parameters() if not (name.endswith("bias") or is_norm(name))
    ]
    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.999), eps=1e-8)
    losses, norms, rates = [], [], []
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = schedule(step, lr)
        optimiser.zero_grad()
        loss = loss_of(model)
        loss.backward()
        norms.append(
            torch.nn.utils.clip_grad_norm_(model.parameters(), clip).item()
        )  # clip / (norm + 1e-6)
        optimiser.step()
        losses.append(loss.item())
        rates.append(schedule(step, lr))
    return {
        name: torch.tensor(v, dtype=torch.float64)
        for name, v in (("loss", losses), ("norm", norms), ("lr", rates))
    }


def u32(tensor):
    return tensor.to(torch.uint32)
