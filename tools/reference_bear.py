"""Golden of rankings from lm-pub-quiz 0.3.3: test/golden/ranking/.

    python3 -m pip install lm-pub-quiz==0.3.3     # beside tools/requirements.txt
    python3 tools/reference_bear.py

Writes there
    data/                   facts in BEAR's layout: answers of several pieces, templates with the object first
    {bert,roberta,gpt2}/    a tiny random model with its tokenizer, made of the sentences below
    golden.json             {model: {kind: {relations: {relation: [{template, instance, scores: {reduction: [one an answer]},
                            tokens}]}, accuracy: {relation: {reduction: [one a template]}}}}}; the kind is the name of the
                            pseudo-log-likelihood, "causal" for GPT-2; tokens: the first answer's statement, [token, score] each

Weights are random float32 numbers; the models run with them in float64. Two runs write the same bytes.
"""

import json
import warnings

import torch
from lm_pub_quiz import Dataset, Evaluator
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    RobertaConfig,
    RobertaForMaskedLM,
)

from reference_core import GOLDEN, randomise, save, weights

OUT = GOLDEN / "ranking"

RELATIONS = {
    "R1": {
        "templates": [
            "[X] lies on the river [Y].",
            "[Y] is the river that runs through [X].",
            "the mill of [X], like all mills on [Y], grinds rye.",
        ],
        "answer_space_labels": ["Upper Vennel", "Orrin", "Saint-Brelle", "the Néva's arm"],
        "answer_space_ids": ["A1", "A2", "A3", "A4"],
    },
    # the answer space is that of the file, and the answers have no index
    "R2": {
        "templates": [
            "[X] was cast by [Y].",
            "[Y]: the founder of [X]",
            "éclat and [X] are [Y]'s work; nobody but [Y] signed [X].",
        ],
    },
    "R10": {
        "templates": ["[X] [Y].", "[Y] ([X])", "Who says [X] says [Y]?"],
        "answer_space_labels": ["salt", "salted butter", "a salt-glazed jar"],
        "answer_space_ids": ["C1", "C2", "C3"],
    },
}

FACTS = {
    "R1": [
        ("Quorren", "A2", "Orrin", 1),
        ("mornay-les-Bains", "A1", "Upper Vennel", 0),
        ("Zdařilov", "A4", "the Néva's arm", 3),
        ("the [Y] of Täl $& co.", "A3", "Saint-Brelle", 2),
        ("Old Orrin", "A2", "Orrin", 1),
    ],
    "R2": [
        ("Great Bell No. 7", "B2", "Ilse Vandermolen"),
        ("the Tinker", "B1", "Osk"),
        ("ŉ-bell", "B2", "Ilse Vandermolen"),
        ("Mary & John", "B3", "O'Dowd and Sons (1887)"),
    ],
    "R10": [("bread", "C2", "salted butter", 1), ("kiln", "C3", "a salt-glazed jar", 2)],
}

SENTENCES = """Quorren lies on the river Orrin, the old mill grinds rye and the kiln is of salt-glazed brick.
Upper Vennel and Saint-Brelle are towns; the Néva's arm runs through mornay-les-Bains.
Zdařilov's mills were signed by nobody. Who says bread says salted butter?
Ilse Vandermolen cast the great bell No. 7; Osk was the founder of the tinker's work.
O'Dowd and Sons (1887) like all that is of Täl & co.: a jar, a river, éclat.
""".splitlines()

REDUCTIONS = ("sum", "mean")
METRICS = ("original", "within_word_l2r")


def write_data(folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metadata_relations.json").write_text(
        json.dumps(RELATIONS, indent=1, ensure_ascii=False) + "\n"
    )
    for relation, facts in FACTS.items():
        keys = ("sub_label", "obj_id", "obj_label", "answer_idx")
        lines = [json.dumps(dict(zip(keys, fact)), ensure_ascii=False) + "\n" for fact in facts]
        (folder / f"{relation}.jsonl").write_text("".join(lines))


def wordpiece():
    """A vocabulary of its own making: the library's trainer does not write the same one twice."""
    cut = pre_tokenizers.BertPreTokenizer().pre_tokenize_str(" ".join(SENTENCES))
    words = [word for word, _ in cut]
    characters = sorted(set("".join(words)))
    ends = ["##" + word[i : i + 2] for word in words for i in range(1, len(word) - 1, 2)]
    starts = [word[:2] for word in words]
    known = words[::3] + starts + characters + ["##" + c for c in characters] + ends
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys([*special, *known]))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(special)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def byte_level(special):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=360,
        special_tokens=special,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def tokenizer_of(name):
    """The tokenizer, its class as a checkpoint names it, and its special tokens."""
    if name == "bert":
        return wordpiece(), {"tokenizer_class": "BertTokenizer", "do_lower_case": False}
    if name == "roberta":
        tokenizer = byte_level(["<s>", "<pad>", "</s>", "<unk>"])
        tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
        ends = [(token, tokenizer.token_to_id(token)) for token in ("</s>", "<s>")]
        tokenizer.post_processor = processors.RobertaProcessing(*ends, add_prefix_space=False)
        return tokenizer, {"tokenizer_class": "RobertaTokenizer"}
    tokenizer = byte_level(["<|endoftext|>"])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    end = "<|endoftext|>"
    return tokenizer, {
        "tokenizer_class": "GPT2Tokenizer",
        "bos_token": end,
        "eos_token": end,
        "unk_token": end,
    }


def model_of(name, size):
    """Model and config; tables of words have more rows than the tokenizer has ids."""
    width = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    encoder = {**width, **dropout, "intermediate_size": 48, "vocab_size": size + 3}
    if name == "bert":
        config = {"model_type": "bert", **encoder, "max_position_embeddings": 128, "pad_token_id": 0}
        return BertForMaskedLM(BertConfig(**config)), config
    if name == "roberta":
        config = {
            "model_type": "roberta",
            **encoder,
            "max_position_embeddings": 130,
            "type_vocab_size": 1,
            "pad_token_id": 1,
            "layer_norm_eps": 1e-5,
        }
        return RobertaForMaskedLM(RobertaConfig(**config)), config
    config = {
        "model_type": "gpt2",
        "vocab_size": size + 3,
        "n_positions": 128,
        "n_embd": 32,
        "n_layer": 2,
        "n_head": 4,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "resid_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
    }
    return GPT2LMHeadModel(GPT2Config(**config)), config


def make(name, seed):
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer, about = tokenizer_of(name)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(about, indent=1) + "\n")
    model, config = model_of(name, tokenizer.get_vocab_size())
    randomise(model, torch.Generator().manual_seed(seed))
    save(folder / "model.safetensors", weights(model))
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    return model


def ranked(name, model, dataset, **settings):
    evaluator = Evaluator.from_model(
        model,
        model_type="CLM" if name == "gpt2" else "MLM",
        tokenizer=AutoTokenizer.from_pretrained(OUT / name),
        **settings,
    )
    rows, accuracy = {}, {}
    for relation in dataset:
        found = {}
        for reduction in REDUCTIONS:
            result = evaluator.evaluate_relation(relation, reduction=reduction, batch_size=5)
            for row in result.instance_table.to_dict("records"):
                key = (row["template_index"], row["instance_index"])
                found.setdefault(key, {})[reduction] = row["pll_scores"]
        rows[relation.relation_code] = []
        for (template, instance), scores in sorted(found.items()):
            [(tokens, _)] = evaluator.score_answers(
                template=relation.templates[template],
                answers=relation.answer_space.tolist()[:1],
                reduction=None,
                subject=relation.instance_table.sub_label[instance],
            )
            rows[relation.relation_code].append(
                {
                    "template": template,
                    "instance": instance,
                    "scores": {k: [round(s, 6) for s in own] for k, own in scores.items()},
                    "tokens": [[token, round(score, 6)] for token, score in tokens],
                }
            )
        accuracy[relation.relation_code] = {
            reduction: [
                evaluator.evaluate_relation(
                    relation,
                    template_index=template,
                    reduction=reduction,
                    batch_size=5,
                    create_instance_table=False,
                    metric="accuracy",
                ).metric_values["accuracy"]
                for template in range(3)
            ]
            for reduction in REDUCTIONS
        }
    return {"relations": rows, "accuracy": accuracy}


def main():
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    write_data(OUT / "data")
    dataset = Dataset.from_path(OUT / "data")
    golden = {}
    for seed, name in enumerate(("bert", "roberta", "gpt2"), 71):
        model = make(name, seed)
        kinds = {"causal": {}} if name == "gpt2" else {m: {"pll_metric": m} for m in METRICS}
        golden[name] = {
            kind: ranked(name, model, dataset, **settings) for kind, settings in kinds.items()
        }
        for kind, own in golden[name].items():
            print(name, kind, own["accuracy"])
            first = own["relations"]["R1"][3]
            print("  ", first["scores"]["sum"], first["tokens"])
    text = json.dumps(golden, ensure_ascii=False, separators=(",", ":"))
    (OUT / "golden.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
