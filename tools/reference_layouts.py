"""Names and shapes of real checkpoints, without their values: test/golden/models/layouts.json.

transformers says which tensors a model of a published configuration has (on the meta device, so
nothing is allocated). What the published files do otherwise is done here in words: older
spellings, buffers and heads of other versions, tied tensors once or twice, a missing prefix.

A layout is {model, config, dtype, tensors}. A tensor is [name in the file, shape], and where they
are not the same: the name in the model (null for one that is not read), then the dtype. Of layers,
whose tensors differ in their number alone, the first stands for all, with * for the number.
"""

import json
import re

import torch
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BartForSequenceClassification,
    BartModel,
    BertConfig,
    BertForPreTraining,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaModel,
    T5Config,
    T5ForConditionalGeneration,
)

BERT_BASE = {
    "architectures": ["BertForMaskedLM"],
    "attention_probs_dropout_prob": 0.1,
    "gradient_checkpointing": False,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 768,
    "initializer_range": 0.02,
    "intermediate_size": 3072,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
    "model_type": "bert",
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "pad_token_id": 0,
    "position_embedding_type": "absolute",
    "type_vocab_size": 2,
    "use_cache": True,
    "vocab_size": 28996,
}

ROBERTA_BASE = {
    "architectures": ["RobertaForMaskedLM"],
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
    "model_type": "roberta",
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "pad_token_id": 1,
    "type_vocab_size": 1,
    "vocab_size": 50265,
}
ROBERTA_LARGE = ROBERTA_BASE | {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_attention_heads": 16,
    "num_hidden_layers": 24,
}

BART_LARGE = {
    "activation_dropout": 0.1,
    "activation_function": "gelu",
    "add_bias_logits": False,
    "add_final_layer_norm": False,
    "architectures": ["BartModel"],
    "attention_dropout": 0.1,
    "bos_token_id": 0,
    "classifier_dropout": 0.0,
    "d_model": 1024,
    "decoder_attention_heads": 16,
    "decoder_ffn_dim": 4096,
    "decoder_layerdrop": 0.0,
    "decoder_layers": 12,
    "decoder_start_token_id": 2,
    "dropout": 0.1,
    "early_stopping": True,
    "encoder_attention_heads": 16,
    "encoder_ffn_dim": 4096,
    "encoder_layerdrop": 0.0,
    "encoder_layers": 12,
    "eos_token_id": 2,
    "forced_bos_token_id": 0,
    "forced_eos_token_id": 2,
    "gradient_checkpointing": False,
    "init_std": 0.02,
    "is_encoder_decoder": True,
    "max_position_embeddings": 1024,
    "model_type": "bart",
    "no_repeat_ngram_size": 3,
    "normalize_before": False,
    "num_beams": 4,
    "num_hidden_layers": 12,
    "pad_token_id": 1,
    "scale_embedding": False,
    "use_cache": True,
    "vocab_size": 50265,
}
BART_BASE = BART_LARGE | {
    "d_model": 768,
    "decoder_attention_heads": 12,
    "decoder_ffn_dim": 3072,
    "decoder_layers": 6,
    "encoder_attention_heads": 12,
    "encoder_ffn_dim": 3072,
    "encoder_layers": 6,
    "normalize_embedding": True,
    "num_hidden_layers": 6,
}
BART_LARGE_CNN = BART_LARGE | {
    "activation_dropout": 0.0,
    "architectures": ["BartForConditionalGeneration"],
    "attention_dropout": 0.0,
    "extra_pos_embeddings": 2,
    "force_bos_token_to_be_generated": True,
    "length_penalty": 2.0,
    "max_length": 142,
    "min_length": 56,
    "normalize_embedding": True,
    "output_past": True,
    "prefix": " ",
    "static_position_embeddings": False,
    "vocab_size": 50264,
}

T5_SMALL = {
    "architectures": ["T5ForConditionalGeneration"],
    "d_ff": 2048,
    "d_kv": 64,
    "d_model": 512,
    "decoder_start_token_id": 0,
    "dropout_rate": 0.1,
    "eos_token_id": 1,
    "initializer_factor": 1.0,
    "is_encoder_decoder": True,
    "layer_norm_epsilon": 1e-06,
    "model_type": "t5",
    "n_positions": 512,
    "num_heads": 8,
    "num_layers": 6,
    "output_past": True,
    "pad_token_id": 0,
    "relative_attention_num_buckets": 32,
    "task_specific_params": {"summarization": {"num_beams": 4, "prefix": "summarize: "}},
    "vocab_size": 32128,
}
T5_V1_1_SMALL = {
    "architectures": ["T5ForConditionalGeneration"],
    "d_ff": 1024,
    "d_kv": 64,
    "d_model": 512,
    "decoder_start_token_id": 0,
    "dropout_rate": 0.1,
    "eos_token_id": 1,
    "feed_forward_proj": "gated-gelu",
    "initializer_factor": 1.0,
    "is_encoder_decoder": True,
    "layer_norm_epsilon": 1e-06,
    "model_type": "t5",
    "num_decoder_layers": 8,
    "num_heads": 6,
    "num_layers": 8,
    "output_past": True,
    "pad_token_id": 0,
    "relative_attention_num_buckets": 32,
    "tie_word_embeddings": False,
    "vocab_size": 32128,
}
# as transformers 5 writes the config of a T5 v1.1
T5_V1_1_RESAVED = T5_V1_1_SMALL | {
    "classifier_dropout": 0.0,
    "dense_act_fn": "gelu_new",
    "dtype": "float32",
    "is_decoder": False,
    "is_gated_act": True,
    "relative_attention_max_distance": 128,
    "scale_decoder_outputs": False,
    "tie_word_embeddings": True,
    "use_cache": True,
}

SHARED = "model.shared.weight"
COPIES = [
    "model.encoder.embed_tokens.weight",
    "model.decoder.embed_tokens.weight",
    "lm_head.weight",
]


def shapes(model, config):
    """All names and shapes of a model, tied ones under each of their names."""
    with torch.device("meta"):
        made = model(config)
    return {name: list(tensor.shape) for name, tensor in made.state_dict().items()}


def layout(model, config, tensors, dtype="F32"):
    """Of rows [name in the file, shape, its own dtype or None, name in the model or None]."""
    rows = []
    names = {row[0] for row in tensors}
    for name, shape, own, target in tensors:
        # a T5 numbers the parts of a block too, as "layer"
        kind = "block" if ".block." in name else "layers?"
        layer = re.search(rf"{kind}\.(\d+)\.", name)
        # a tensor that the first layer lacks stands for itself
        if layer and layer.group(1) != "0" and re.sub(rf"({kind})\.\d+\.", r"\1.0.", name) in names:
            continue
        star = [text and re.sub(rf"({kind})\.0\.", r"\1.*.", text) for text in (name, target)]
        rest = [star[1], own] if own else [star[1]] if star[0] != star[1] else []
        rows.append([star[0], shape, *rest])
    return {"model": model, "config": config, "dtype": dtype, "tensors": rows}


def plain(found, unread=(), prefix=""):
    """Each tensor under its own name, or with `prefix` left out."""
    return [
        [name.removeprefix(prefix), shape, None, None if name in unread else name]
        for name, shape in found.items()
    ]


def without(rows, *names):
    assert all(any(row[0] == name for row in rows) for name in names), names
    return [row for row in rows if row[0] not in names]


def bert_layouts():
    found = shapes(BertForPreTraining, BertConfig(**BERT_BASE))
    words, decoder = "bert.embeddings.word_embeddings.weight", "cls.predictions.decoder."
    heads = [n for n in found if n.startswith(("bert.pooler.", "cls.seq_relationship."))]
    position_ids = ["bert.embeddings.position_ids", [1, 512], "I64", None]

    def tied(name):
        return {decoder + "weight": words, decoder + "bias": "cls.predictions.bias"}.get(name, name)

    def old(name):
        return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        )

    rows = plain(found, heads)
    once = without(rows, decoder + "weight", decoder + "bias")
    masked = [row for row in once if row[0] not in heads]
    twice = [[n, s, d, target and tied(target)] for n, s, d, target in rows]
    base = [row for row in plain(found, heads, "bert.") if not row[0].startswith("cls.")]
    bare = [[n.removeprefix("bert."), s, d, t] for n, s, d, t in masked]
    separate = [row for row in rows if row[0] not in heads]
    separate = [[n, s, d, None if n == "cls.predictions.bias" else t] for n, s, d, t in separate]
    aside = without(separate, decoder + "bias")
    aside = [[n, s, d, decoder + "bias" if n.endswith("s.bias") and t is None else t]
             for n, s, d, t in aside]
    untied = BERT_BASE | {"tie_word_embeddings": False}
    others = [["classifier.weight", [3, 768], None, None], ["classifier.bias", [3], None, None],
              ["qa_outputs.weight", [2, 768], None, None], ["cls.species.bias", [9], None, None]]
    return {
        "bert-base-cased": layout("bert", BERT_BASE, [[old(n), *rest] for n, *rest in once]),
        "bert-base-cased, torch.save": layout(
            "bert", BERT_BASE, [[old(n), *rest] for n, *rest in without(twice, decoder + "bias")]
        ),
        "BertForPreTraining of transformers 4, torch.save": layout(
            "bert", BERT_BASE, [*twice, position_ids]
        ),
        "BertForMaskedLM, F16": layout("bert", BERT_BASE, masked, "F16"),
        "BertForMaskedLM, BF16": layout("bert", BERT_BASE, masked, "BF16"),
        "BertForMaskedLM without its prefix": layout(
            "bert", {k: v for k, v in BERT_BASE.items() if k != "model_type"}, bare
        ),
        "BertForMaskedLM with a separate decoder": layout("bert", untied, separate),
        "BertForMaskedLM with a separate decoder, one bias": layout("bert", untied, aside),
        "BertModel": layout("bert", BERT_BASE, base),
        "BertForMaskedLM with heads of other tasks": layout(
            "bert", BERT_BASE, [*masked, *others], "F32"
        ),
        "BertForMaskedLM of DataParallel": layout(
            "bert", BERT_BASE, [[f"module.{n}", s, d, t] for n, s, d, t in masked]
        ),
    }


def roberta_layouts():
    words, bias = "roberta.embeddings.word_embeddings.weight", "lm_head.bias"
    decoder = {"lm_head.decoder.weight": words, "lm_head.decoder.bias": bias}
    pooler = [
        ["roberta.pooler.dense.weight", [768, 768], None, None],
        ["roberta.pooler.dense.bias", [768], None, None],
    ]
    position_ids = ["roberta.embeddings.position_ids", [1, 514], "I64", None]
    found = shapes(RobertaForMaskedLM, RobertaConfig(**ROBERTA_BASE))
    rows = [[n, s, d, decoder.get(t, t)] for n, s, d, t in plain(found)]
    once = without(rows, *decoder)
    large = without(plain(shapes(RobertaForMaskedLM, RobertaConfig(**ROBERTA_LARGE))), *decoder)
    base = shapes(RobertaModel, RobertaConfig(**ROBERTA_BASE))
    separate = [[n, s, d, None if n == bias else n] for n, s, d, _ in rows]
    untied = ROBERTA_BASE | {"tie_word_embeddings": False}
    return {
        "roberta-base": layout("roberta", ROBERTA_BASE, [*once, *pooler, position_ids]),
        "roberta-base, torch.save": layout(
            "roberta", ROBERTA_BASE, [*without(rows, "lm_head.decoder.bias"), *pooler, position_ids]
        ),
        "roberta-large": layout("roberta", ROBERTA_LARGE, large),
        "RobertaForMaskedLM with a separate decoder": layout("roberta", untied, separate),
        "RobertaModel": layout(
            "roberta",
            ROBERTA_BASE,
            [[n, s, None, None if n.startswith("pooler.") else f"roberta.{n}"]
             for n, s in base.items()],
        ),
    }


def bart_layouts():
    def rows_of(config):
        whole = plain(shapes(BartForConditionalGeneration, BartConfig(**config)))
        model = shapes(BartModel, BartConfig(**config))
        assert {f"model.{n}" for n in model} == {n for n, *_ in whole if n.startswith("model.")}
        return [[n, s, d, SHARED if n in COPIES else t] for n, s, d, t in whole]

    def headless(rows):
        return [[n.removeprefix("model."), *rest] for n, *rest in rows if n.startswith("model.")]

    base, large, cnn = rows_of(BART_BASE), rows_of(BART_LARGE), rows_of(BART_LARGE_CNN)
    version = [[f"{part}.version", [1], None, None] for part in ("encoder", "decoder")]
    layouts = {
        "bart-base": layout("bart", BART_BASE, headless(without(base, *COPIES))),
        "bart-base, torch.save": layout("bart", BART_BASE, [*headless(base), *version]),
        "bart-large": layout("bart", BART_LARGE, headless(without(large, *COPIES))),
        "bart-large-cnn": layout("bart", BART_LARGE_CNN, without(cnn, *COPIES)),
        "bart-large-cnn, torch.save": layout(
            "bart", BART_LARGE_CNN, [*cnn, *([f"model.{n}", *rest] for n, *rest in version)]
        ),
        "BartForConditionalGeneration without final_logits_bias": layout(
            "bart", BART_BASE, without(base, *COPIES, "final_logits_bias")
        ),
    }
    classes = shapes(BartForSequenceClassification, BartConfig(**BART_LARGE, num_labels=3))
    layouts["bart-large-mnli"] = layout(
        "bart",
        BART_LARGE | {"architectures": ["BartForSequenceClassification"]},
        [[n, s, None, n if n.startswith("model.") else None]
         for n, s in classes.items() if n not in COPIES],
    )
    for kept in COPIES:
        names = [name for name in (SHARED, *COPIES) if name != kept]
        layouts[f"{kept} alone"] = layout("bart", BART_BASE, without(base, *names))
    return layouts


def t5_layouts():
    words, head = "shared.weight", "lm_head.weight"
    copies = ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"]
    old = [
        "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",
        [32, 8],
        None,
        None,
    ]

    def rows_of(config):
        rows = plain(shapes(T5ForConditionalGeneration, T5Config(**config)))
        rows = [[n, s, d, words if n in copies else t] for n, s, d, t in rows]
        biases = [row for row in rows if "relative_attention_bias" in row[0]]  # of first blocks alone
        assert len(biases) == 2
        return [row for row in rows if row not in biases], biases

    small, small_biases = rows_of(T5_SMALL)
    tied = [[n, s, d, words if n == head else t] for n, s, d, t in small]
    second, second_biases = rows_of(T5_V1_1_SMALL)

    def made(config, rows, biases):
        one = layout("t5", config, rows)
        for name, *rest in biases:
            one["tensors"].append([name, rest[0], *([rest[2]] if rest[2] != name else [])])
        return one

    return {
        "t5-small, torch.save": made(T5_SMALL, tied, [*small_biases, old]),
        "t5-small": made(T5_SMALL, without(small, *copies, head), small_biases),
        "t5-small by a copy's name": made(T5_SMALL, without(tied, words, copies[0], head), small_biases),
        "t5-v1_1-small, torch.save": made(T5_V1_1_SMALL, second, second_biases),
        "t5-v1_1-small": made(T5_V1_1_SMALL, without(second, *copies), second_biases),
        "t5-v1_1-small of transformers 5": made(
            T5_V1_1_RESAVED, without(second, *copies), second_biases
        ),
    }


def layouts_golden(path, more):
    """`more`: further layouts, by name."""
    found = bert_layouts() | roberta_layouts() | bart_layouts() | t5_layouts() | more
    parts = []
    for name, one in found.items():
        rows = ",\n".join(f"    {json.dumps(row)}" for row in one.pop("tensors"))
        head = json.dumps(one)[:-1]
        parts.append(f'{json.dumps(name)}: {head}, "tensors": [\n{rows}\n]}}')
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n")
