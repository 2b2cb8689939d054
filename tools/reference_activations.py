"""Goldens of each activation: test/golden/models/activations/{bert,roberta,bart,gpt2}/.

    python3 tools/reference_activations.py

Models of one layer (BART: one and one), each with the same weights under every activation that config.json may name. Weights are
random float32 numbers; the models ran with them in float64. Two runs write the same bytes. Tensors of the goldens, B 2, T 4,
without padding:

    input_ids           [B, T] U32   BART: of the encoder; those of the decoder, `decoder_input_ids`, are reversed
    upstream            [B, T, V]    the loss is the sum of logits * upstream
    NAME.logits         [B, T, V]    NAME is the activation
    NAME.grad.KEY       the loss's gradient for the table of words and the matrix before each activation
"""

import torch
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    RobertaConfig,
    RobertaForMaskedLM,
)

from reference_core import MODELS, save, save_model, u32
from reference_eps import CONFIGS

NAMES = ("relu", "gelu", "gelu_new", "gelu_pytorch_tanh", "silu", "swish", "tanh")
SAME = ({"gelu_new", "gelu_pytorch_tanh"}, {"silu", "swish"})
CLASSES = {
    "bert": (BertConfig, BertForMaskedLM),
    "roberta": (RobertaConfig, RobertaForMaskedLM),
    "gpt2": (GPT2Config, GPT2LMHeadModel),
    "bart": (BartConfig, BartForConditionalGeneration),
}
# what feels the activation, and is small
GRADIENTS = {
    "bert": (
        "bert.embeddings.word_embeddings.weight",
        "bert.encoder.layer.0.intermediate.dense.weight",
        "cls.predictions.transform.dense.weight",
    ),
    "roberta": (
        "roberta.embeddings.word_embeddings.weight",
        "roberta.encoder.layer.0.intermediate.dense.weight",
        "lm_head.dense.weight",
    ),
    "gpt2": ("transformer.wte.weight", "transformer.h.0.mlp.c_fc.weight"),
    "bart": (
        "model.shared.weight",
        "model.encoder.layers.0.fc1.weight",
        "model.decoder.layers.0.fc1.weight",
    ),
}


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for seed, (name, config) in enumerate(CONFIGS.items()):
        generator = torch.Generator().manual_seed(120 + seed)
        make_config, make_model = CLASSES[name]
        field = "hidden_act" if "hidden_size" in config else "activation_function"
        ids = torch.randint(3, 10, (2, 4), generator=generator)
        upstream = torch.randn((2, 4, 11), generator=generator).double()
        more = {"decoder_input_ids": ids.flip(1)} if name == "bart" else {}
        golden = {"input_ids": u32(ids), "upstream": upstream}
        if more:
            golden["decoder_input_ids"] = u32(ids.flip(1))
        values = None
        seen = {}
        for act in NAMES:
            model = make_model(make_config(**config, **{field: act}, attn_implementation="eager"))
            if values is None:
                values = {
                    key: (0.6 * torch.randn(p.shape, generator=generator) + (".weight" in key and p.dim() == 1)).float()
                    for key, p in model.named_parameters()
                }
            with torch.no_grad():
                for key, p in model.named_parameters():
                    p.copy_(values[key])
            model.eval().double()
            logits = model(input_ids=ids, use_cache=False, **more).logits
            for other, theirs in seen.items():
                moved = ((logits - theirs).abs().max() / theirs.abs().max()).item()
                same = any({act, other} <= names for names in SAME)
                assert moved < 1e-12 if same else moved > 1e-4, f"{name}: {act} and {other} differ by {moved}"
            seen[act] = logits.detach()
            (logits * upstream).sum().backward()
            golden[f"{act}.logits"] = logits
            for key in GRADIENTS[name]:
                golden[f"{act}.grad.{key}"] = model.get_parameter(key).grad
        folder = MODELS / "activations" / name
        save_model(folder, config, model)
        save(folder / "golden.safetensors", {k: v.detach() for k, v in golden.items()})
        print(name, "logits up to", max(v.abs().max().item() for v in seen.values()))


if __name__ == "__main__":
    main()
