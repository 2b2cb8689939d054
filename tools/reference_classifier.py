"""Goldens of classifiers and of LoRA beside them: test/golden/models/{classifier/*,lora/*}.

    python3 tools/reference_classifier.py                 writes all (needs peft)
    python3 tools/reference_classifier.py modernbert      this classifier alone
    python3 tools/reference_classifier.py check DIR       asks transformers about what was saved here
    python3 tools/reference_classifier.py adapter DIR BASE
                                                          asks peft about an adapter that was saved here

DIR holds a saved model, or an adapter for the model in BASE, and questions.json: {"input_ids", "attention_mask",
"token_type_ids", "logits"}, the logits being ours. Widths are all different, and weights have a spread that leaves
no gradient small, as in reference_readers.py. Of a text, or a pair of texts, the golden has logits, the loss of
each text and the gradient of their mean for every parameter. LoRA has ten losses of AdamW, the adapter that they
began with, as peft saves it, and the merged matrices that they end with.
"""

import copy
import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from transformers import (
    AlbertConfig,
    AlbertForSequenceClassification,
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    ElectraConfig,
    ElectraForSequenceClassification,
    GPT2LMHeadModel,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
)

from reference import right_padded
from reference_core import MODELS, gradients, save, u32
from reference_readers import randomise, save_whole

SETTLED = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
LABELS = {"id2label": {0: "no", 1: "perhaps", 2: "yes"}, "label2id": {"no": 0, "perhaps": 1, "yes": 2}}

CLASSIFIERS = {
    "bert": (
        BertForSequenceClassification,
        BertConfig(
            vocab_size=53, hidden_size=20, num_hidden_layers=2, num_attention_heads=5,
            intermediate_size=28, max_position_embeddings=23, layer_norm_eps=0.02, **LABELS, **SETTLED,
        ),
    ),
    "roberta": (
        RobertaForSequenceClassification,
        RobertaConfig(
            vocab_size=57, hidden_size=24, num_hidden_layers=2, num_attention_heads=3,
            intermediate_size=26, max_position_embeddings=29, type_vocab_size=1, layer_norm_eps=0.03,
            **LABELS, **SETTLED,
        ),
    ),
    "distilbert": (
        DistilBertForSequenceClassification,
        DistilBertConfig(
            vocab_size=59, dim=16, n_layers=2, n_heads=2, hidden_dim=30, max_position_embeddings=21,
            dropout=0.0, attention_dropout=0.0, seq_classif_dropout=0.0, **LABELS,
        ),
    ),
    "albert": (
        AlbertForSequenceClassification,
        AlbertConfig(
            vocab_size=61, embedding_size=12, hidden_size=18, num_hidden_layers=3, num_hidden_groups=1,
            inner_group_num=1, num_attention_heads=3, intermediate_size=22, max_position_embeddings=25,
            layer_norm_eps=0.03, classifier_dropout_prob=0.0, **LABELS, **SETTLED,
        ),
    ),
    "electra": (
        ElectraForSequenceClassification,
        ElectraConfig(
            vocab_size=63, embedding_size=14, hidden_size=24, num_hidden_layers=2, num_attention_heads=2,
            intermediate_size=34, max_position_embeddings=27, hidden_act="silu", layer_norm_eps=0.02,
            **LABELS, **SETTLED,
        ),
    ),
    "xlm-roberta": (
        XLMRobertaForSequenceClassification,
        XLMRobertaConfig(
            vocab_size=55, hidden_size=15, num_hidden_layers=2, num_attention_heads=3,
            intermediate_size=19, max_position_embeddings=31, type_vocab_size=1, layer_norm_eps=0.04,
            **LABELS, **SETTLED,
        ),
    ),
    "modernbert": (
        ModernBertForSequenceClassification,
        ModernBertConfig(
            vocab_size=67, hidden_size=24, num_hidden_layers=3, num_attention_heads=2, intermediate_size=20,
            max_position_embeddings=33, norm_eps=0.02, local_attention=6, pad_token_id=0, bos_token_id=1, eos_token_id=2,
            cls_token_id=1, sep_token_id=2, embedding_dropout=0.0, attention_dropout=0.0, mlp_dropout=0.0,
            classifier_dropout=0.0, **LABELS,
        ),
    ),
}
SEGMENTS = ("bert", "albert", "electra")


def inputs_of(name, config, generator):
    """Three texts; where there are segments their second halves are of the second."""
    mask = right_padded([11, 7, 4], 11)
    ids = torch.randint(5, config.vocab_size, mask.shape, generator=generator)
    inputs = {"input_ids": torch.where(mask == 1, ids, config.pad_token_id), "attention_mask": mask}
    if name in SEGMENTS:
        inputs["token_type_ids"] = (torch.arange(11)[None, :] >= torch.tensor([5, 3, 2])[:, None]) * mask
    return inputs


def classifier_golden(name, seed):
    kind, config = CLASSIFIERS[name]
    # as in reference_readers.py
    config._attn_implementation = "sdpa" if name == "modernbert" else "eager"
    folder = MODELS / "classifier" / name
    generator = torch.Generator().manual_seed(seed)
    model = randomise(kind(config), generator)
    save_whole(folder, model)
    model.double()
    inputs = inputs_of(name, config, generator)
    labels = torch.tensor([2, 0, 1])
    logits = model(**inputs).logits
    losses = F.cross_entropy(logits, labels, reduction="none")
    losses.mean().backward()
    golden = {key: u32(value) for key, value in inputs.items()}
    golden |= {"labels": u32(labels), "logits": logits, "losses": losses, **gradients(model)}
    if name == "modernbert":
        model.config.classifier_pooling = "mean"
        golden["logits.mean"] = model(**inputs).logits
    save(folder / "golden.safetensors", golden)
    return losses


STEPS = 10
RATE = 2e-2
TASKS = {
    "classifier": dict(r=3, lora_alpha=5, target_modules=["query", "value"], task_type="SEQ_CLS"),
    "gpt2": dict(r=2, lora_alpha=8, target_modules=["c_attn", "c_proj"], task_type="CAUSAL_LM", fan_in_fan_out=True),
}


def lora_golden(name, seed):
    from peft import LoraConfig, get_peft_model

    folder = MODELS / "lora" / name
    generator = torch.Generator().manual_seed(seed)
    if name == "classifier":
        base = BertForSequenceClassification.from_pretrained(MODELS / "classifier/bert", attn_implementation="eager")
        inputs = inputs_of("bert", base.config, generator)
        labels = torch.tensor([2, 0, 1])
    else:
        base = GPT2LMHeadModel.from_pretrained(MODELS / "gpt2", attn_implementation="eager")
        inputs = {"input_ids": torch.randint(base.config.vocab_size, (3, 9), generator=generator)}
        labels = inputs["input_ids"].roll(-1, 1)
    model = get_peft_model(base, LoraConfig(lora_dropout=0.0, **TASKS[name])).eval()
    with torch.no_grad():  # B too, so that every gradient is felt from the first step on
        for key, p in model.named_parameters():
            if "lora_" in key:
                p.copy_(0.3 * torch.randn(p.shape, generator=generator))
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    written = json.loads((folder / "adapter_config.json").read_text())
    written["base_model_name_or_path"] = None
    (folder / "adapter_config.json").write_text(json.dumps(written, indent=2) + "\n")
    (folder / "adapter_model.safetensors").chmod(0o644)
    model.double()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=RATE, weight_decay=0.0)
    losses = []
    first = None
    for step in range(STEPS):
        logits = model(**inputs).logits
        first = logits if first is None else first
        loss = F.cross_entropy(logits.flatten(0, -2), labels.flatten())
        losses.append(loss.detach())
        optimizer.zero_grad()
        loss.backward()
        for group in optimizer.param_groups:
            group["lr"] = RATE * (STEPS - step) / STEPS  # linear, to 0 behind the last
        optimizer.step()
    merged = model.merge_and_unload()
    names = {key: value for key, value in merged.state_dict().items() if key.endswith("weight")}
    wanted = TASKS[name]["target_modules"]
    golden = {f"merged.{key}": value for key, value in names.items() if key.split(".")[-2] in wanted}
    golden |= {key: u32(value) for key, value in inputs.items()}
    golden |= {"labels": u32(labels), "logits": first, "train.loss": torch.stack(losses)}
    save(folder / "golden.safetensors", golden)
    return losses


def questions(folder):
    asked = json.loads((Path(folder) / "questions.json").read_text())
    ours = torch.tensor(asked.pop("logits"))
    return {key: torch.tensor(value) for key, value in asked.items() if value is not None}, ours


def compare(model, folder):
    inputs, ours = questions(folder)
    with torch.no_grad():
        theirs = model.eval()(**inputs).logits
    far = (theirs - ours).abs().max().item()
    print("ours  ", ours.tolist())
    print("theirs", theirs.tolist())
    print(f"{type(model).__name__}: the largest difference is {far:.2e}")
    sys.exit(0 if far < 1e-4 else 1)


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    if sys.argv[1:2] == ["check"]:
        model, report = AutoModelForSequenceClassification.from_pretrained(sys.argv[2], output_loading_info=True)
        print({key: value for key, value in report.items() if value}, model.config.id2label)
        compare(model, sys.argv[2])
    elif sys.argv[1:2] == ["adapter"]:
        from peft import PeftModel

        base = AutoModelForSequenceClassification.from_pretrained(sys.argv[3])
        compare(PeftModel.from_pretrained(base, sys.argv[2]), sys.argv[2])
    else:
        wanted = sys.argv[1:]
        for place, each in enumerate(CLASSIFIERS):
            if each in wanted or not wanted:
                print(each, classifier_golden(each, 91 + place).detach().numpy())
        for place, each in enumerate(TASKS if not wanted else ()):
            print(each, torch.stack(lora_golden(each, 101 + place)).numpy())
