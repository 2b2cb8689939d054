"""Goldens in which each LayerNorm's epsilon is felt: test/golden/models/eps/{bert,roberta,gpt2,bart}/.

    python3 tools/reference_eps.py

Models of one layer (BART: one and one) whose LayerNorms all see a variance near their epsilon: 1e-2, which config.json says, for
BERT, RoBERTa and GPT-2; for BART that of torch.nn.LayerNorm, 1e-5, which no config says. Weights are random float32 numbers; the
models run with them in float64. Two runs write the same bytes. Tensors of the goldens, B 2, T 4, without padding:

    input_ids                [B, T] U32   BART: of the encoder and of the decoder
    hidden.0, hidden.1       [B, T, 8]   BERT, RoBERTa: behind the embeddings, behind the layer; GPT-2: embeddings, behind ln_f
    encoder.hidden.I, decoder.hidden.I   [B, T, 8]   BART's, behind layernorm_embedding, behind the layer
    logits                   [B, T, V]
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

ENCODER = {
    "vocab_size": 11,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 8,
    "max_position_embeddings": 8,
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-2,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
CONFIGS = {
    "bert": {"model_type": "bert", **ENCODER, "pad_token_id": 0},
    "roberta": {"model_type": "roberta", **ENCODER, "pad_token_id": 1},
    "gpt2": {
        "model_type": "gpt2",
        "vocab_size": 11,
        "n_positions": 8,
        "n_embd": 8,
        "n_layer": 1,
        "n_head": 2,
        "n_inner": 8,
        "layer_norm_epsilon": 1e-2,
        "resid_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
        "bos_token_id": 10,
        "eos_token_id": 10,
    },
    "bart": {
        "model_type": "bart",
        "vocab_size": 11,
        "d_model": 8,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 8,
        "decoder_ffn_dim": 8,
        "max_position_embeddings": 8,
        "dropout": 0.0,
        "attention_dropout": 0.0,
        "activation_dropout": 0.0,
    },
}
CLASSES = {
    "bert": (BertConfig, BertForMaskedLM),
    "roberta": (RobertaConfig, RobertaForMaskedLM),
    "gpt2": (GPT2Config, GPT2LMHeadModel),
    "bart": (BartConfig, BartForConditionalGeneration),
}


def norms(model):
    return {n: m for n, m in model.named_modules() if isinstance(m, torch.nn.LayerNorm)}


def fill(model, name, generator):
    """What a LayerNorm reads, and what it gives to the next, spreads by the root of its epsilon."""
    (eps,) = {norm.eps for norm in norms(model).values()}
    spread = eps**0.5
    before = name == "gpt2"  # its LayerNorms read the sum, and what they give goes through matrices first
    of_norms = {f"{n}.{kind}" for n in norms(model) for kind in ("weight", "bias")}
    with torch.no_grad():
        for key, p in model.named_parameters():
            draw = torch.randn(p.shape, generator=generator, dtype=torch.float32)
            if key in of_norms:
                scale = 1 if before else spread
                p.copy_(scale * (1 + 0.2 * draw if key.endswith("weight") else 0.3 * draw))
            elif key.endswith("bias"):
                p.copy_(0.3 * spread * draw)
            elif "embed" in key or "shared" in key or ".wte." in key or ".wpe." in key:
                p.copy_(spread * draw)
            else:
                p.copy_((2.5 * spread if before else 0.35) * draw)
    return model.eval().double()


def results(out):
    """Everything that a golden compares."""
    sides = ("hidden_states",) if hasattr(out, "hidden_states") else ()
    if hasattr(out, "encoder_hidden_states"):
        sides = ("encoder_hidden_states", "decoder_hidden_states")
    return [out.logits, *(h for side in sides for h in getattr(out, side))]


def felt(model, run):
    """A tenth of any epsilon moves a result by more than a hundredth of its largest value."""
    want = results(run())
    for name, norm in norms(model).items():
        eps, norm.eps = norm.eps, norm.eps / 10
        pairs = zip(results(run()), want)
        moved = max(((x - y).abs().max() / y.abs().max()).item() for x, y in pairs)
        norm.eps = eps
        assert moved > 1e-2, f"{name} moves the results by {moved}"


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for seed, (name, config) in enumerate(CONFIGS.items()):
        generator = torch.Generator().manual_seed(90 + seed)
        make_config, make_model = CLASSES[name]
        model = make_model(make_config(**config, attn_implementation="eager"))
        fill(model, name, generator)
        ids = torch.randint(3, 10, (2, 4), generator=generator)
        more = {"decoder_input_ids": ids.flip(1)} if name == "bart" else {}
        with torch.no_grad():

            def run():
                return model(input_ids=ids, output_hidden_states=True, use_cache=False, **more)

            out = run()
            felt(model, run)
        golden = {"input_ids": u32(ids), "logits": out.logits}
        if name == "bart":
            golden["decoder_input_ids"] = u32(more["decoder_input_ids"])
            for side in ("encoder", "decoder"):
                states = getattr(out, f"{side}_hidden_states")
                golden |= {f"{side}.hidden.{i}": h for i, h in enumerate(states)}
        else:
            golden |= {f"hidden.{i}": h for i, h in enumerate(out.hidden_states)}
        folder = MODELS / "eps" / name
        save_model(folder, config, model)
        save(folder / "golden.safetensors", golden)
        print(name, "logits up to", out.logits.abs().max().item())


if __name__ == "__main__":
    main()
