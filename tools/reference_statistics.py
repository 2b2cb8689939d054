"""Goldens of the statistics, from SciPy and statsmodels: test/golden/statistics.json.

    python3 tools/reference_statistics.py

    mcnemar     [first, second, p]: statsmodels' exact test, where p is no smaller than a double can be
    percentile  values, and numpy's 2.5th and 97.5th percentile
    bootstrap   groups of values; of the mean over groups of the means within, resampled within each: interval (percentile) and
                standard error of scipy.stats.bootstrap with 100,000 resamples
    paired      two columns in groups; the same for the mean of their differences
    spread      values, mean and deviation over n - 1
"""

import json

import numpy as np
from scipy.stats import binomtest, bootstrap
from statsmodels.stats.contingency_tables import mcnemar

from reference_core import GOLDEN

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


def main():
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
