"""LPAQA's ensemble in the plainest way: weights of templates learnt by the likelihood of the objects.

    python3 tools/reference_ensemble.py

Writes test/golden/models/ensemble/: a tiny random BERT with a vocabulary of whole words, and golden.json with facts, templates and
what came out. Each candidate's log-probabilities are normalised over the answer words by themselves, weighed by a softmax of
scores, added and normalised again; one fact at a time, unpadded. All facts are one batch, so that no order is left open. The
gradient is autograd's, the optimiser torch's own AdamW.
"""

import json

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from reference_core import BERT_CONFIG, MODELS, make_bert, save_model, schedule

FOLDER = MODELS / "ensemble"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = (
    "None . , a an the old is in of eats lives likes here who what where cat cow dog hen fox owl ant bee ewe ram "
    "elk yak grass fish meat corn seeds honey leaves moss"
).split()
ANSWERS = "grass fish meat corn seeds honey leaves moss fox cat".split()
FACTS = [
    ("cat", "fish"),
    ("cow", "grass"),
    ("dog", "meat"),
    ("hen", "corn"),
    ("the fox", "meat"),
    ("an owl", "meat"),
    ("ant", "seeds"),
    ("bee", "honey"),
    ("ewe", "grass"),
    ("the old ram", "grass"),
    ("elk", "moss"),
    ("yak", "leaves"),
]
TEMPLATES = [
    "[X] eats [Y] .",
    "[Y] is what [X] likes",
    "where [X] is , the [Y] lives here .",
    "[X] , [Y]",
    "who likes [Y] ? [X] .",
]
STEPS, LR, WARMUP, WEIGHT_DECAY = 12, 0.3, 0.25, 0.01
CONFIG = BERT_CONFIG | {
    "vocab_size": len(SPECIAL) + len(WORDS),
    "hidden_size": 16,
    "num_attention_heads": 2,
    "intermediate_size": 24,
}


def make_tokenizer():
    ids = {word: i for i, word in enumerate(SPECIAL + WORDS)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(SPECIAL)
    return tokenizer, ids


def ensemble_golden():
    generator = torch.Generator().manual_seed(72)
    model = make_bert(CONFIG, generator).double().eval()
    tokenizer, ids = make_tokenizer()
    save_model(FOLDER, CONFIG, model)
    tokenizer.save(str(FOLDER / "tokenizer.json"))
    answers = torch.tensor([ids[word] for word in ANSWERS])

    def log_p(template, subject):
        text = template.replace("[X]", subject).replace("[Y]", "[MASK]")
        tokens = [ids["[CLS]"], *tokenizer.encode(text).ids, ids["[SEP]"]]
        with torch.no_grad():
            logits = model(torch.tensor([tokens])).logits[0, tokens.index(ids["[MASK]"])]
        return torch.log_softmax(logits[answers], 0)

    # [K, F, answers]
    each = torch.stack([torch.stack([log_p(t, s) for s, _ in FACTS]) for t in TEMPLATES]) 
    objects = torch.tensor([ANSWERS.index(o) for _, o in FACTS])
    scores = torch.zeros(len(TEMPLATES), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.AdamW([scores], lr=LR, weight_decay=WEIGHT_DECAY)
    losses, after = [], []
    for step in range(STEPS):
        mixed = torch.log_softmax((scores.softmax(0)[:, None, None] * each).sum(0), 1)
        loss = -mixed[torch.arange(len(FACTS)), objects].mean()
        optimizer.zero_grad()
        loss.backward()
        for group in optimizer.param_groups:
            group["lr"] = schedule(step, LR, round(WARMUP * STEPS), STEPS)
        optimizer.step()
        losses.append(loss.item())
        after.append(scores.tolist())
    final = torch.log_softmax((scores.softmax(0)[:, None, None] * each).sum(0), 1).detach()
    golden = {
        "answers": ANSWERS,
        "facts": FACTS,
        "templates": TEMPLATES,
        "steps": STEPS,
        "lr": LR,
        "warmup": WARMUP,
        "weightDecay": WEIGHT_DECAY,
        "correct": [int((p.argmax(1) == objects).sum()) for p in each],
        "loss": losses,
        "scores": after,
        "weights": scores.softmax(0).tolist(),
        "logP": final.tolist(),
    }
    (FOLDER / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")
    print(golden["correct"], losses, golden["weights"])


if __name__ == "__main__":
    torch.set_num_threads(1)
    ensemble_golden()
