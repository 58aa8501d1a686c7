"""Two-sided paired tests on differences, and Holm's correction: scipy.stats' arithmetic without its import.

`scipy.stats` takes longer to import than a comparison to compute; the functions of `scipy.special` that it calls are
called here, when a test is made. `tests/analysis/test_paired_tests.py` holds the results against scipy.stats.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

EXACT = 50  # differences up to which the signed-rank test uses the exact null distribution, without ties and zeros
EXACT_WITH_TIES = 13  # the same with ties or zeros; scipy.stats then enumerates all signs


def t_margin(spread: float, n: int, alpha: float) -> float:
    """Half the width of the confidence interval at 1 - alpha of a mean of n values with standard deviation `spread`."""
    from scipy.special import stdtrit

    return float(stdtrit(n - 1, 1 - alpha / 2) * spread / np.sqrt(n))


def paired_t(differences: NDArray[np.float64]) -> tuple[float, float]:
    """Student's paired t-test of differences [n], n ≥ 2 and not all equal: t and its two-sided p."""
    from scipy.special import stdtr

    n = len(differences)
    t = float(differences.mean() / (differences.std(ddof=1) / np.sqrt(n)))
    return t, float(2 * stdtr(n - 1, -abs(t)))


def signed_rank(differences: NDArray[np.float64]) -> tuple[float, float]:
    """Wilcoxon's signed-rank test of differences [n], one of them not zero: the smaller rank sum and its two-sided p.

    Zeros are left out, ties share their mean rank. The null distribution is exact for few differences (`EXACT`,
    `EXACT_WITH_TIES`) and normal, with the tie correction and without a continuity correction, for more: the rules of
    scipy.stats.wilcoxon with its default arguments.
    """
    from scipy.special import ndtr

    nonzero = differences[differences != 0]
    _, places, counts = np.unique(np.abs(nonzero), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    statistic = float(min(ranks[nonzero > 0].sum(), ranks[nonzero < 0].sum()))
    n, whole = len(differences), len(counts) == len(differences)  # whole: neither ties nor zeros
    if n <= (EXACT if whole else EXACT_WITH_TIES):
        tail = _rank_sums(ranks)[: round(2 * statistic) + 1].sum()
        return statistic, float(min(1, 2 * tail))
    m = float(len(nonzero))
    variance = (m * (m + 1) * (2 * m + 1) - (counts**3 - counts).sum() / 2) / 24
    return statistic, float(2 * ndtr((statistic - m * (m + 1) / 4) / np.sqrt(variance)))


def _rank_sums(ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probability that the ranks with a random half of the signs add up to 0, ½, 1, 1½ …"""
    steps = np.round(2 * ranks).astype(int)
    chances = np.zeros(steps.sum() + 1)
    chances[0] = 1
    for step in steps:
        moved = np.concatenate([np.zeros(step), chances[: len(chances) - step]])
        chances = (chances + moved) / 2
    return chances


def holm(p: Sequence[float]) -> list[float]:
    """P-values after Holm's step-down correction over the family given, in the order given (Holm 1979)."""
    order = np.argsort(p, kind="stable")
    steps = np.asarray(p, float)[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return [float(value) for value in adjusted]
