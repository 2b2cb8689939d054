"""Goldens of the masked LMs beside BERT and RoBERTa: test/golden/models/{distilbert,albert,electra,
xlm-roberta,modernbert}/.

    python3 tools/reference_readers.py [NAME ...]

Widths are all different, and none of them is that of another model, so that no two tensors can be mistaken
for each other. ALBERT has two groups of two layers in five, ELECTRA and ALBERT a table of words that is narrower or
wider than their layers, ModernBERT a window that is shorter than the texts, in its last layer too. Epsilons are large, so that each is felt. Each model also lies there as
transformers saves one whose decoder is its own: untied/.
"""

import copy
import sys

import torch
from transformers import (
    AlbertConfig,
    AlbertForMaskedLM,
    DistilBertConfig,
    DistilBertForMaskedLM,
    ElectraConfig,
    ElectraForMaskedLM,
    ModernBertConfig,
    ModernBertForMaskedLM,
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
)

from reference import encoder_golden, right_padded
from reference_core import MODELS, is_norm, save

SETTLED = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}

MODELS_BY_NAME = {
    "distilbert": (
        DistilBertForMaskedLM,
        DistilBertConfig(
            vocab_size=59, dim=20, n_layers=3, n_heads=5, hidden_dim=28, activation="relu",
            max_position_embeddings=23, dropout=0.0, attention_dropout=0.0, pad_token_id=2,
        ),
    ),
    "albert": (
        AlbertForMaskedLM,
        AlbertConfig(
            vocab_size=61, embedding_size=12, hidden_size=24, num_hidden_layers=5,
            num_hidden_groups=2, inner_group_num=2, num_attention_heads=3, intermediate_size=36,
            max_position_embeddings=26, layer_norm_eps=0.03, **SETTLED,
        ),
    ),
    "electra": (
        ElectraForMaskedLM,
        ElectraConfig(
            vocab_size=57, embedding_size=28, hidden_size=18, num_hidden_layers=2,
            num_attention_heads=3, intermediate_size=22, max_position_embeddings=27,
            hidden_act="silu", layer_norm_eps=0.02, **SETTLED,
        ),
    ),
    "xlm-roberta": (
        XLMRobertaForMaskedLM,
        XLMRobertaConfig(
            vocab_size=51, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
            intermediate_size=26, max_position_embeddings=29, type_vocab_size=1,
            layer_norm_eps=0.04, **SETTLED,
        ),
    ),
    "modernbert": (
        ModernBertForMaskedLM,
        ModernBertConfig(
            vocab_size=63, hidden_size=30, num_hidden_layers=5, num_attention_heads=3,
            intermediate_size=14, max_position_embeddings=24, local_attention=6,
            hidden_activation="gelu", classifier_activation="silu", norm_eps=0.05,
            rope_parameters={
                "full_attention": {"rope_type": "default", "rope_theta": 800.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 50.0},
            },
            pad_token_id=0, bos_token_id=1, eos_token_id=2, cls_token_id=1, sep_token_id=2,
        ),
    ),
}


# of tensors with two names the one that stands in the file, or that is computed with
NAMES = {
    "grad.predictions.bias": "grad.predictions.decoder.bias",
    "grad.lm_head.decoder.weight": "grad.roberta.embeddings.word_embeddings.weight",
    "grad.lm_head.decoder.bias": "grad.lm_head.bias",
}


def randomise(model, generator):
    """Fills all parameters with a spread that leaves no gradient small."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator, dtype=torch.float32)
            if is_norm(name) and name.endswith("weight"):
                p.copy_(1 + 0.2 * noise)
            else:
                p.copy_(noise * (0.15 if name.endswith("bias") else 0.3 if "embed" in name else 0.25))
    return model.eval()


def save_whole(folder, model):
    """As the library itself saves a model."""
    copy.deepcopy(model).float().save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)


def reader_golden(name, seed):
    kind, config = MODELS_BY_NAME[name]
    # ModernBERT's eager attention makes NaN of float64 in rows that see nothing
    config._attn_implementation = "sdpa" if name == "modernbert" else "eager"
    folder = MODELS / name
    generator = torch.Generator().manual_seed(seed)
    model = randomise(kind(config), generator)
    save_whole(folder, model)
    mask = right_padded([11, 7, 4], 11)
    if name == "xlm-roberta":
        mask[1] = mask[1].flip(0)
    trained = encoder_golden(
        folder, model.double(), generator, mask, 4, unmasked=name == "xlm-roberta",
        layers=config.num_hidden_layers * getattr(config, "inner_group_num", 1), names=NAMES,
    )

    config = copy.deepcopy(config)
    config.tie_word_embeddings = False
    own = randomise(kind(config), generator)
    save_whole(folder / "untied", own)
    ids = torch.randint(5, config.vocab_size, (2, 6), generator=generator)
    logits = own.double()(input_ids=ids).logits
    save(folder / "untied/golden.safetensors", {"input_ids": ids.int(), "logits": logits})
    return trained


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    names = list(MODELS_BY_NAME)
    for name in sys.argv[1:] or names:
        print(name, reader_golden(name, 81 + names.index(name))["loss"].numpy())
