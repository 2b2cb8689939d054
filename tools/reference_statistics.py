"""Goldens of what is computed from answers: test/golden/statistics.json, from SciPy and statsmodels, and test/golden/uhn.json,
from transformers.

    python3 tools/reference_statistics.py

    mcnemar     [first, second, p]: statsmodels' exact test, where p is no smaller than a double can be
    percentile  values, and numpy's 2.5th and 97.5th percentile
    bootstrap   groups of values; of the mean over groups of the means within, resampled within each: interval (percentile) and
                standard error of scipy.stats.bootstrap with 100,000 resamples
    paired      two columns in groups; the same for the mean of their differences
    spread      values, mean and deviation over n - 1

uhn.json: words, the vocabulary of test/golden/models/bert in order; facts, [relation, subject, object]; named, those whose object
that BERT names, among its three most probable words, for a word of the subject in "NAME is a common name in the following KIND".
"""

import json

import numpy as np
import torch
from scipy.stats import binomtest, bootstrap
from statsmodels.stats.contingency_tables import mcnemar
from tokenizers import BertWordPieceTokenizer
from transformers import BertForMaskedLM

from reference_core import GOLDEN, MODELS

COUNTS = [
    (0, 0), (1, 0), (0, 1), (1, 1), (5, 0), (0, 6), (3, 4), (10, 10), (7, 21), (30, 12), (100, 99),
    (120, 180), (500, 530), (1000, 900), (0, 1000), (3, 1020), (5000, 5200), (8000, 8600), (17008, 17009),
    (17000, 17017), (16500, 17517), (16000, 18017), (200, 1800), (34017, 0), (1, 34016),
]  # fmt: skip


def exact(first, second):
    if first + second == 0:
        return [first, second, 1.0]
    p = float(mcnemar([[0, first], [second, 0]], exact=True).pvalue)
    other = binomtest(min(first, second), first + second, 0.5).pvalue
    assert np.isclose(p, other, rtol=1e-9, atol=0), (first, second, p, other)
    return [first, second, p]


def of_groups(groups, seed):
    """Interval and standard error of the mean over groups of the means within."""

    def statistic(*parts, axis=-1):
        return np.mean([np.mean(part, axis=axis) for part in parts], axis=0)

    result = bootstrap(
        groups,
        statistic,
        n_resamples=100_000,
        batch=1000,
        vectorized=True,
        paired=False,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    low, high = result.confidence_interval
    return {"interval": [low, high], "error": float(result.standard_error)}


KINDS = {"P19": "city", "P20": "city", "P27": "country", "P103": "language", "P1412": "language"}


def uhn_golden():
    rng = np.random.default_rng(3)
    fixed = "[PAD] [UNK] [CLS] [SEP] [MASK] is a common name in the following city country language : .".split()
    names = [f"Name{chr(97 + i)}" for i in range(26)]
    objects = [f"Object{chr(97 + i)}" for i in range(67 - len(fixed) - len(names))]
    words = [*fixed, *names, *objects]
    tokenizer = BertWordPieceTokenizer({word: i for i, word in enumerate(words)}, lowercase=False)
    model = BertForMaskedLM.from_pretrained(MODELS / "bert").eval()

    def guesses(word, relation, count=3):
        text = f"{word} is a common name in the following {KINDS.get(relation, 'city')} : [MASK] ."
        encoding = tokenizer.encode(text)
        with torch.no_grad():
            logits = model(torch.tensor([encoding.ids])).logits[0, encoding.tokens.index("[MASK]")]
        top = logits.topk(count + 1)
        assert top.values[-2] - top.values[-1] > 1e-5, text  # no doubt who is last
        return [words[i] for i in top.indices[:-1]]

    # any object, or one near the line between the third and the fourth guess
    facts = []
    for relation in [*KINDS, "P36"]:
        for _ in range(30):
            blanks = rng.choice([" ", "  ", "\u00a0"], p=[0.8, 0.1, 0.1])
            own = rng.choice(names, rng.integers(1, 4))
            near = [one for one in guesses(rng.choice(own), relation, 8) if one in names + objects]
            fact = [relation, blanks.join(own), str(rng.choice([rng.choice(objects), *near]))]
            if fact not in facts:
                facts.append(fact)

    named = [
        [relation, subject, object_]
        for relation, subject, object_ in facts
        if relation in KINDS
        and any(object_ in guesses(word, relation) for word in subject.split())
    ]
    return {"words": words, "facts": facts, "named": named}


def main():
    uhn = uhn_golden()
    print(f"{len(uhn['named'])} of {len(uhn['facts'])} facts are named")
    (GOLDEN / "uhn.json").write_text(json.dumps(uhn) + "\n")
    rng = np.random.default_rng(11)
    groups = [rng.binomial(1, p, n).tolist() for p, n in [(0.9, 60), (0.35, 110), (0.5, 25), (0.05, 80)]]
    graded = [(rng.binomial(3, p, n) / 3).tolist() for p, n in [(0.8, 40), (0.3, 70), (0.6, 90)]]
    pairs = []
    for p, q, n in [(0.6, 0.5, 80), (0.3, 0.3, 40), (0.9, 0.75, 60)]:
        first = rng.binomial(1, p, n)
        second = np.where(rng.random(n) < 0.6, first, rng.binomial(1, q, n))
        pairs.append([first.tolist(), second.tolist()])
    values = rng.normal(50, 10, 47).round(3).tolist()
    seeds = [54.8, 55.1, 53.9, 55.6, 54.2]
    golden = {
        "mcnemar": [exact(*counts) for counts in COUNTS],
        "percentile": {"values": values, "interval": np.percentile(values, [2.5, 97.5]).tolist()},
        "bootstrap": [
            {"groups": own, **of_groups(own, seed)} for seed, own in enumerate((groups, graded))
        ],
        "paired": {
            "groups": pairs,
            **of_groups([np.subtract(*pair) for pair in pairs], 7),
        },
        "spread": {
            "values": seeds,
            "mean": float(np.mean(seeds)),
            "deviation": float(np.std(seeds, ddof=1)),
        },
    }
    (GOLDEN / "statistics.json").write_text(json.dumps(golden) + "\n")


main()
