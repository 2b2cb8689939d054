"""Layouts, as in reference_layouts.py, of the masked LMs beside BERT and RoBERTa."""

from transformers import (
    AlbertForPreTraining,
    AlbertModel,
    DistilBertForMaskedLM,
    DistilBertModel,
    ElectraForMaskedLM,
    ElectraForPreTraining,
    ModernBertForMaskedLM,
    ModernBertModel,
    XLMRobertaForMaskedLM,
    XLMRobertaModel,
)

from reference_layouts import layout, plain, shapes, without

DISTILBERT = {
    "activation": "gelu",
    "architectures": ["DistilBertForMaskedLM"],
    "attention_dropout": 0.1,
    "dim": 768,
    "dropout": 0.1,
    "hidden_dim": 3072,
    "initializer_range": 0.02,
    "max_position_embeddings": 512,
    "model_type": "distilbert",
    "n_heads": 12,
    "n_layers": 6,
    "pad_token_id": 0,
    "sinusoidal_pos_embds": False,
    "tie_weights_": True,
    "vocab_size": 30522,
}

ALBERT = {
    "architectures": ["AlbertForMaskedLM"],
    "attention_probs_dropout_prob": 0,
    "bos_token_id": 2,
    "down_scale_factor": 1,
    "embedding_size": 128,
    "eos_token_id": 3,
    "gap_size": 0,
    "hidden_act": "gelu_new",
    "hidden_dropout_prob": 0,
    "hidden_size": 768,
    "initializer_range": 0.02,
    "inner_group_num": 1,
    "intermediate_size": 3072,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
    "model_type": "albert",
    "net_structure_type": 0,
    "num_attention_heads": 12,
    "num_hidden_groups": 1,
    "num_hidden_layers": 12,
    "num_memory_blocks": 0,
    "pad_token_id": 0,
    "type_vocab_size": 2,
    "vocab_size": 30000,
}

ELECTRA_SMALL = {
    "architectures": ["ElectraForMaskedLM"],
    "attention_probs_dropout_prob": 0.1,
    "embedding_size": 128,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 256,
    "initializer_range": 0.02,
    "intermediate_size": 1024,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
    "model_type": "electra",
    "num_attention_heads": 4,
    "num_hidden_layers": 12,
    "pad_token_id": 0,
    "position_embedding_type": "absolute",
    "type_vocab_size": 2,
    "vocab_size": 30522,
}

XLM_ROBERTA = {
    "architectures": ["XLMRobertaForMaskedLM"],
    "attention_probs_dropout_prob": 0.1,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 768,
    "initializer_range": 0.02,
    "intermediate_size": 3072,
    "layer_norm_eps": 1e-05,
    "max_position_embeddings": 514,
    "model_type": "xlm-roberta",
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "output_past": True,
    "pad_token_id": 1,
    "type_vocab_size": 1,
    "vocab_size": 250002,
}

MODERNBERT = {
    "architectures": ["ModernBertForMaskedLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 50281,
    "classifier_activation": "gelu",
    "classifier_bias": False,
    "cls_token_id": 50281,
    "decoder_bias": True,
    "embedding_dropout": 0.0,
    "eos_token_id": 50282,
    "global_attn_every_n_layers": 3,
    "global_rope_theta": 160000.0,
    "hidden_activation": "gelu",
    "hidden_size": 768,
    "initializer_range": 0.02,
    "intermediate_size": 1152,
    "layer_norm_eps": 1e-05,
    "local_attention": 128,
    "local_rope_theta": 10000.0,
    "max_position_embeddings": 8192,
    "mlp_bias": False,
    "mlp_dropout": 0.0,
    "model_type": "modernbert",
    "norm_bias": False,
    "norm_eps": 1e-05,
    "num_attention_heads": 12,
    "num_hidden_layers": 22,
    "pad_token_id": 50283,
    "position_embedding_type": "absolute",
    "sep_token_id": 50282,
    "tie_word_embeddings": True,
    "vocab_size": 50368,
}


def family(kind, base, config, prefix, tied, unread=(), also=(), untied=()):
    """Layouts of one model: published (tied tensors once), torch.save (twice), without its prefix, with a decoder of its own,
    and of a class without the head.

    `tied`: second name -> first. `unread`: what the model does not need. `also`: rows that published files hold besides.
    `untied`: names that are not read where the decoder is its own.
    """
    model = config["model_type"]
    settings = kind.config_class(**config)
    rows = plain(shapes(kind, settings), unread)
    once = [*without(rows, *tied), *also]
    twice = [[n, s, d, t and tied.get(t, t)] for n, s, d, t in rows]
    bare = [[n.removeprefix(f"{prefix}."), *rest] for n, *rest in once]
    own = [[n, s, d, None if n in untied else t] for n, s, d, t in rows]
    nameless = {k: v for k, v in config.items() if k not in ("model_type", "architectures")}
    name = kind.__name__
    return {
        name: layout(model, config, once),
        f"{name}, torch.save": layout(model, config, twice),
        f"{name} without its prefix": layout(model, nameless | {"model_type": model}, bare),
        f"{name} known by its tensors": layout(model, nameless, once),
        f"{name} with a separate decoder": layout(
            model, config | {"tie_word_embeddings": False}, own
        ),
        base.__name__: layout(model, config, plain(shapes(base, settings))),
    }


def reader_layouts():
    positions = [1, 512]
    found = family(
        DistilBertForMaskedLM, DistilBertModel, DISTILBERT, "distilbert",
        {"vocab_projector.weight": "distilbert.embeddings.word_embeddings.weight"},
        also=[["distilbert.embeddings.position_ids", positions, "I64", None]],
    )
    found |= family(
        AlbertForPreTraining, AlbertModel, ALBERT, "albert",
        {"predictions.decoder.weight": "albert.embeddings.word_embeddings.weight"},
        unread=["albert.pooler.weight", "albert.pooler.bias", "predictions.bias",
                "sop_classifier.classifier.weight", "sop_classifier.classifier.bias"],
        also=[["albert.embeddings.position_ids", positions, "I64", None]],
    )
    found |= family(
        ElectraForMaskedLM, ElectraForPreTraining, ELECTRA_SMALL, "electra",
        {"generator_lm_head.weight": "electra.embeddings.word_embeddings.weight"},
        also=[["electra.embeddings.position_ids", positions, "I64", None]],
    )
    pooler = [["roberta.pooler.dense.weight", [768, 768], None, None],
              ["roberta.pooler.dense.bias", [768], None, None]]
    xlm = family(
        XLMRobertaForMaskedLM, XLMRobertaModel, XLM_ROBERTA, "roberta",
        {"lm_head.decoder.weight": "roberta.embeddings.word_embeddings.weight",
         "lm_head.decoder.bias": "lm_head.bias"},
        also=pooler, untied=["lm_head.bias"],
    )
    del xlm["XLMRobertaForMaskedLM known by its tensors"]  # they are RoBERTa's
    found |= xlm
    found |= family(
        ModernBertForMaskedLM, ModernBertModel, MODERNBERT, "model",
        {"decoder.weight": "model.embeddings.tok_embeddings.weight"},
    )
    return found
