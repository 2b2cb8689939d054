"""Free vectors trained in the plainest way: OptiPrompt from both starts, IDPG, instance-aware prompts.

    python3 tools/reference_optiprompt.py               writes test/golden/models/vectors
    python3 tools/reference_optiprompt.py FIRST LAST    looks for seeds to use

One fact at a time, unpadded, through transformers' BERT and its tokenizer; a step is the mean over
all training facts, AdamW, and after each step every dev fact is asked with its subject and with
"None". The relevance of instance-aware prompts is the mean over tokens as the source writes it.
Each case X has its start as X.start.NAME (random ones are drawn here), X.grad.NAME of the first
step, X.end.NAME after the last, X.loss [10], and X.dev and X.none [11], per cent, before each step
and after the last. The folder has the facts in the benchmark's layout and the model with vocab.txt.
"""

import json
import math
import sys

import torch
import torch.nn.functional as F
from transformers import BertTokenizer

from reference_core import BERT_CONFIG, MODELS, make_bert, save, save_model

FOLDER = MODELS / "vectors"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "None", "."]
WORDS = ["the", "town", "of", "lies", "in", "is", "where", "one", "finds", "Kor", "Bel", "##in"]
WORDS += ["##da", "##os", "Mira", "Tal", "Uzo", "Vex", "Wen", "North", "##ia", "Ost"]
OBJECTS = ["France", "Peru", "Ghana", "Nepal", "Chile", "Egypt"]
VOCABULARY = SPECIAL + WORDS + OBJECTS
STEPS = 10
SEED = 19  # a case of less than two picks is no test of picking
MARGIN = 1e-3

RELATIONS = {
    "R1": {
        "template": "the town of [X] lies in [Y] .",
        "train": ["Korin>France", "Belda>Peru", "Mira>Ghana", "Tal Uzo>France", "Vex>Nepal"],
        "dev": ["Wen>France", "Koros>Peru", "Northia>Ghana", "Mira Tal>Nepal", "Ost>Chile"]
        + ["Uzoda>Egypt", "Bel Vex>France", "Korda Ost>Nepal", "Talos>Peru", "Wenia>Ghana"],
    },
    "R2": {
        "template": "[Y] is where one finds [X].",
        "train": ["Belin>Chile", "Vex>Egypt", "North Korda>Chile", "Ostia>Peru", "Uzo>Egypt"],
        "dev": ["Tal>Chile", "Wenin>Egypt", "Mira>Peru", "Koria Bel>Ghana", "Uzoin>France"]
        + ["Northos>Nepal", "Ostda Ost>Chile", "Vexos>Egypt"],
    },
}
FACTS = {
    (relation, split): [tuple(row.split(">")) for row in parts[split]]
    for relation, parts in RELATIONS.items()
    for split in ("train", "dev")
}
CONFIG = BERT_CONFIG | {
    "vocab_size": len(VOCABULARY),
    "hidden_size": 24,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "max_position_embeddings": 24,
}

CASES = {
    "random": {"lr": 0.1, "weight_decay": 0.0, "clip": None, "relations": ["R1"], "vectors": 3},
    "manual": {"lr": 0.1, "weight_decay": 0.0, "clip": None, "relations": ["R1"]},
    "object_first": {"lr": 0.1, "weight_decay": 0.0, "clip": None, "relations": ["R2"]},
    "idpg": {
        "lr": 0.06,
        "weight_decay": 0.05,
        "clip": 10.0,
        "relations": ["R1", "R2"],
        "vectors": 3,
        "bottleneck": 5,
    },
    "instance": {
        "lr": 0.03,
        "weight_decay": 0.02,
        "clip": 1.0,
        "relations": ["R1"],
        "vectors": 4,
        "head": 7,
    },
}
ENCODINGS = ("cls", "mask", "mean")


def write_files():
    (FOLDER / "bert").mkdir(parents=True, exist_ok=True)
    (FOLDER / "bert" / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    (FOLDER / "bert" / "tokenizer_config.json").write_text('{"do_lower_case": false}\n')
    data = FOLDER / "data"
    lines = {"common_vocabs/common_vocab_cased.txt": OBJECTS}
    lines["relation_metainfo/LAMA_relations.jsonl"] = [
        json.dumps({"relation": name, "template": own["template"], "label": name, "type": "N-1"})
        for name, own in RELATIONS.items()
    ]
    for (name, split), facts in FACTS.items():
        rows = [json.dumps({"sub_label": subject, "obj_label": obj}) for subject, obj in facts]
        lines[f"autoprompt_data/{name}/{split}.jsonl"] = rows
        if split == "dev":
            lines[f"LAMA-TREx/{name}.jsonl"] = rows
    for path, rows in lines.items():
        (data / path).parent.mkdir(parents=True, exist_ok=True)
        (data / path).write_text("\n".join(rows) + "\n")


class World:
    """The frozen model, its tokenizer, and questions as lists of embeddings."""

    def __init__(self, seed):
        self.generator = torch.Generator().manual_seed(seed)
        self.bert = make_bert(CONFIG, self.generator, matrix=0.25, embedding=0.5)
        self.bert.requires_grad_(False)
        self.table = self.bert.get_input_embeddings().weight
        self.tokenizer = BertTokenizer(str(FOLDER / "bert" / "vocab.txt"), do_lower_case=False)
        self.allowed = torch.tensor([VOCABULARY.index(word) for word in OBJECTS])

    def ids(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False)

    def rows(self, text):
        return [self.table[i] for i in self.ids(text)]

    def normal(self, *shape, std):
        drawn = torch.randn(shape, generator=self.generator, dtype=torch.float32) * std
        return drawn.double().requires_grad_()

    def answer(self, rows, place):
        """Logits [vocabulary] at a place of a sentence of embeddings."""
        return self.bert(inputs_embeds=torch.stack(rows)[None]).logits[0, place]

    def between(self, subject, vectors):
        """Logits of `[CLS] subject V [MASK] . [SEP]`."""
        head = [*self.rows("[CLS]"), *self.rows(subject), *vectors]
        return self.answer([*head, *self.rows("[MASK] . [SEP]")], len(head))


class Random:
    """OptiPrompt: k vectors between subject and mask."""

    def __init__(self, world, case):
        self.world = world
        self.parameters = {"vectors": world.normal(case["vectors"], 24, std=0.02)}
        self.decayed = ["vectors"]

    def logits(self, _relation, _own, subject):
        return self.world.between(subject, list(self.parameters["vectors"]))


class Manual:
    """OptiPrompt: a vector for each piece of the template but its two slots."""

    def __init__(self, world, case):
        self.world = world
        template = RELATIONS[case["relations"][0]]["template"]
        words = template.replace("[X]", " [X] ").replace("[Y]", " [Y] ").split()
        self.frame = []
        start = []
        for word in words:
            if word in ("[X]", "[Y]"):
                self.frame.append(word)
            else:
                for piece in world.rows(word):
                    self.frame.append(len(start))
                    start.append(piece)
        self.parameters = {"vectors": torch.stack(start).clone().requires_grad_()}
        self.decayed = ["vectors"]

    def logits(self, _relation, _own, subject):
        rows = self.world.rows("[CLS]")
        place = None
        for part in self.frame:
            if part == "[X]":
                rows.extend(self.world.rows(subject))
            elif part == "[Y]":
                place = len(rows)
                rows.extend(self.world.rows("[MASK]"))
            else:
                rows.append(self.parameters["vectors"][part])
        return self.world.answer([*rows, *self.world.rows("[SEP]")], place)


class Idpg:
    """A bottleneck from the encoding of the query to k vectors."""

    def __init__(self, world, case, encoding="cls", start=None):
        self.world, self.encoding, self.count = world, encoding, case["vectors"]
        middle = case["bottleneck"]
        self.parameters = start or {
            "down.weight": world.normal(middle, 24, std=0.3),
            "down.bias": world.normal(middle, std=0.1),
            "up.weight": world.normal(self.count * 24, middle, std=0.3),
            "up.bias": world.normal(self.count * 24, std=0.1),
        }
        self.decayed = ["down.weight", "up.weight"]

    def logits(self, relation, own, subject):
        template = RELATIONS[relation]["template"]
        text = template.replace("[X]", own).replace("[Y]", "[MASK]")
        ids = [VOCABULARY.index("[CLS]"), *self.world.ids(text), VOCABULARY.index("[SEP]")]
        hidden = self.world.bert.bert(input_ids=torch.tensor([ids])).last_hidden_state[0]
        place = ids.index(VOCABULARY.index("[MASK]"))
        encoding = {"cls": hidden[0], "mask": hidden[place], "mean": hidden.mean(0)}[self.encoding]
        p = self.parameters
        middle = F.gelu(F.linear(encoding, p["down.weight"], p["down.bias"]))
        vectors = F.linear(middle, p["up.weight"], p["up.bias"]).reshape(self.count, 24)
        return self.world.between(subject, list(vectors))


class Instance:
    """Vectors of the relation, each weighted by its relevance to the query."""

    def __init__(self, world, case):
        self.world, self.head = world, case["head"]
        spread = 1 / math.sqrt(3 * 24)
        self.parameters = {"embeddings": world.normal(case["vectors"], 24, std=1.0)}
        for name, size in (("mlp.0", 24), ("mlp.2", 24), ("query", self.head), ("key", self.head)):
            self.parameters[f"{name}.weight"] = world.normal(size, 24, std=spread)
            self.parameters[f"{name}.bias"] = world.normal(size, std=0.1)
        self.decayed = [n for n in self.parameters if n.endswith("weight") or n == "embeddings"]

    def logits(self, _relation, own, subject):
        p = self.parameters
        tokens = torch.stack(self.world.rows(f"[CLS] {own} [MASK] . [SEP]"))
        inner = F.relu(F.linear(p["embeddings"], p["mlp.0.weight"], p["mlp.0.bias"]))
        prompt = F.linear(inner, p["mlp.2.weight"], p["mlp.2.bias"])
        query = F.linear(prompt, p["query.weight"], p["query.bias"])
        key = F.linear(tokens, p["key.weight"], p["key.bias"])
        relevance = torch.sigmoid((query @ key.T / math.sqrt(self.head)).mean(1))
        return self.world.between(subject, list(prompt * relevance[:, None]))


def loss_of(method, case, world):
    losses = [
        F.cross_entropy(
            method.logits(relation, subject, subject), torch.tensor(VOCABULARY.index(obj))
        )
        for relation in case["relations"]
        for subject, obj in FACTS[relation, "train"]
    ]
    return torch.stack(losses).mean()


def accuracy(method, case, world, asked):
    """Mean over relations, per cent, of the dev facts that are answered rightly; smallest margin."""
    means, margins = [], []
    with torch.no_grad():
        for relation in case["relations"]:
            right = []
            for subject, obj in FACTS[relation, "dev"]:
                logits = method.logits(relation, subject, asked or subject)[world.allowed]
                top = logits.topk(2).values
                margins.append((top[0] - top[1]).item())
                right.append(OBJECTS[logits.argmax()] == obj)
            means.append(100 * sum(right) / len(right))
    return sum(means) / len(means), min(margins)


def rate(step, lr):
    """Of step 1 .. STEPS: warm-up in the first, linear decay to 0."""
    return lr * (1 if step == 1 else (STEPS - step + 1) / (STEPS - 1))


def run(method, case, world):
    p = method.parameters
    golden = {f"start.{name}": value.clone() for name, value in p.items()}
    plain = [name for name in p if name not in method.decayed]
    optimiser = torch.optim.AdamW(
        [
            {"params": [p[n] for n in method.decayed], "weight_decay": case["weight_decay"]},
            {"params": [p[n] for n in plain], "weight_decay": 0.0},
        ],
        betas=(0.9, 0.999),
        eps=1e-8,
    )
    losses, dev, none, margins, norms = [], [], [], [], []
    for step in range(1, STEPS + 2):
        for asked, into in ((None, dev), ("None", none)):
            score, margin = accuracy(method, case, world, asked)
            into.append(score)
            margins.append(margin)
        if step > STEPS:
            break
        for group in optimiser.param_groups:
            group["lr"] = rate(step, case["lr"])
        optimiser.zero_grad()
        loss = loss_of(method, case, world)
        loss.backward()
        if step == 1:
            golden |= {f"grad.{name}": value.grad.clone() for name, value in p.items()}
        norms.append(
            torch.nn.utils.clip_grad_norm_(list(p.values()), case["clip"] or math.inf).item()
        )
        optimiser.step()
        losses.append(loss.item())
    golden |= {f"end.{name}": value.clone() for name, value in p.items()}
    for name, values in (("loss", losses), ("dev", dev), ("none", none)):
        golden[name] = torch.tensor(values, dtype=torch.float64)
    return golden, min(margins), norms


def all_cases(seed):
    world = World(seed)
    kinds = {"random": Random, "idpg": Idpg, "instance": Instance}
    golden, margins = {}, []
    for name, case in CASES.items():
        method = kinds.get(name, Manual)(world, case)
        if name == "idpg":
            for encoding in ENCODINGS[1:]:
                start = {n: v.detach().clone().requires_grad_() for n, v in method.parameters.items()}
                other = Idpg(world, case, encoding, start)
                loss = loss_of(other, case, world)
                loss.backward()
                golden[f"{encoding}.loss"] = loss
                golden |= {f"{encoding}.grad.{n}": v.grad for n, v in start.items()}
        own, margin, norms = run(method, case, world)
        golden |= {f"{name}.{key}": value for key, value in own.items()}
        margins.append(margin)
        picks = [i for i in range(STEPS + 1) if own["dev"][i] > max([-1.0, *own["dev"][:i]])]
        loss = own["loss"]
        print(
            f"{seed} {name}: loss {loss[0]:.3f} {loss[-1]:.3f} picks {picks} margin {margin:.4f}",
            f"norms {min(norms):.2f} {max(norms):.2f} none {sorted(set(own['none'].tolist()))}",
        )
        if len(picks) < 2 or margin < MARGIN:
            return world, golden, 0.0
    return world, golden, min(margins)


def main():
    write_files()
    if len(sys.argv) > 1:
        torch.set_num_threads(1)
        for seed in range(int(sys.argv[1]), int(sys.argv[2])):
            all_cases(seed)
        return
    world, golden, margin = all_cases(SEED)
    assert margin >= MARGIN, "choose another seed: an answer is undecided, or nothing is better than the start"
    save_model(FOLDER / "bert", CONFIG, world.bert)
    save(FOLDER / "golden.safetensors", golden)
    (FOLDER / "settings.json").write_text(json.dumps(CASES, indent=2) + "\n")


if __name__ == "__main__":
    main()
